//! Decodes Instagram: webhooks of an account, and comments of the Graph API.
//!
//! A conversation is a media object with its comments. The webhook of a comment has its text and, since 2021,
//! its author and media id, but no follower or like counts. A comment without media id is a conversation of
//! its own. Story insights become counters.

use firewatch_domain::{AccountKind, Author, Counters, EventTime, Post};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{From, Source, Webhook};
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_relevant, unknown_payload};
use crate::json_values::{Count, Id, known_count, non_empty_id};
use crate::platform_time::{self, PlatformTime};
use crate::{Result, json};

#[derive(Debug, Deserialize)]
struct Value {
    id: Option<Id>,
    text: Option<String>,
    from: Option<From>,
    media: Option<Media>,
    parent_id: Option<Id>,
    /// The media object of a mention or of insights.
    media_id: Option<Id>,
    impressions: Option<Count>,
    reach: Option<Count>,
    replies: Option<Count>,
    shares: Option<Count>,
}

#[derive(Debug, Deserialize)]
struct Media {
    id: Option<Id>,
}

/// A Graph API comment, or a webhook.
#[derive(Debug, Deserialize)]
struct Payload {
    entry: Option<IgnoredAny>,
    mentioned_media: Option<IgnoredAny>,
    mentioned_comment: Option<IgnoredAny>,
    data: Option<Vec<Comment>>,
}

#[derive(Debug, Deserialize)]
struct Comment {
    id: Option<Id>,
    text: Option<String>,
    timestamp: Option<PlatformTime>,
    media: Option<Media>,
    user: Option<From>,
    from: Option<From>,
    username: Option<String>,
    replies: Option<Replies>,
}

#[derive(Debug, Deserialize)]
struct Replies {
    #[serde(default)]
    data: Vec<Comment>,
}

/// Decodes a payload.
pub(crate) fn decode(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let payload: Payload = json::one(bytes)?;
    if payload.entry.is_some() {
        let webhook: Webhook<Value> = json::one(bytes)?;
        return webhook.read("instagram", out, |source, field, value, out| value.read(source, field, out));
    }
    if payload.mentioned_media.is_some() || payload.mentioned_comment.is_some() {
        return Err(not_relevant("a mention lookup without time and author"));
    }
    if let Some(comments) = payload.data {
        out.each("data", comments, |out, comment| comment.read(None, out));
        return Ok(());
    }
    json::one::<Comment>(bytes)?.read(None, out)
}

impl Value {
    fn read(self, source: &Source, field: &str, out: &mut DecodeOutput<'_>) -> Result<()> {
        let at = platform_time::required("time", source.time.clone())?;
        match field {
            "comments" | "live_comments" => self.comment(source, at, out),
            "story_insights" => self.insights(at, out),
            "mentions" => {
                Err(not_relevant("a mention with ids but no text; fetch the comment and send the response"))
            }
            _ => Err(not_relevant("an account change other than a comment")),
        }
    }

    fn comment(self, source: &Source, at: EventTime, out: &mut DecodeOutput<'_>) -> Result<()> {
        let id = non_empty_id(self.id).ok_or_else(|| missing("id"))?;
        let media = self.media.and_then(|media| non_empty_id(media.id));
        let root = media.clone().unwrap_or_else(|| id.clone());
        let post = Post {
            author: self.from.and_then(|from| from.author(source.id.as_deref())),
            text: self.text.ok_or_else(|| missing("text"))?,
            in_reply_to: non_empty_id(self.parent_id).or(media),
            id,
            ..Post::default()
        };
        out.post(Occurrence { root: &root, at }, post)
    }

    /// Emits story insights as counters. Views are the impressions, otherwise the reach, which is smaller.
    fn insights(self, at: EventTime, out: &mut DecodeOutput<'_>) -> Result<()> {
        let media = non_empty_id(self.media_id).ok_or_else(|| missing("media_id"))?;
        let counters = Counters {
            replies: known_count(self.replies),
            reshares: known_count(self.shares),
            views: known_count(self.impressions).or(known_count(self.reach)),
            ..Counters::default()
        };
        out.counters(Occurrence { root: &media, at }, counters)
    }
}

impl Comment {
    /// Emits a comment and its replies. `under` holds the root and the parent comment of a reply.
    fn read(&self, under: Option<(&str, &str)>, out: &mut DecodeOutput<'_>) -> Result<()> {
        let Some(id) = non_empty_id(self.id.clone()) else {
            return Err(unknown_payload("not an Instagram webhook or comment: `entry` and `id` are missing"));
        };
        let at = platform_time::required("timestamp", self.timestamp.clone())?;
        let media = self.media.as_ref().and_then(|media| non_empty_id(media.id.clone()));
        let root = under.map(|(root, _)| root.to_owned()).or(media.clone()).unwrap_or_else(|| id.clone());
        let from = self.user.as_ref().or(self.from.as_ref());
        let author = from
            .cloned()
            .and_then(|from| From { username: from.username.or(self.username.clone()), ..from }.author(None));
        let post = Post {
            id: id.clone(),
            author,
            text: self.text.clone().ok_or_else(|| missing("text"))?,
            in_reply_to: under.map(|(_, parent)| parent.to_owned()).or(media),
            ..Post::default()
        };
        out.post(Occurrence { root: &root, at }, post)?;
        let replies = self.replies.as_ref().map(|replies| replies.data.as_slice()).unwrap_or_default();
        out.each("replies.data", replies, |out, reply| reply.read(Some((&root, &id)), out));
        Ok(())
    }
}

impl From {
    /// Returns the author. The account that owns the webhook is the brand.
    fn author(self, own: Option<&str>) -> Option<Author> {
        let id = non_empty_id(self.id)?;
        let account = (own == Some(&id)).then_some(AccountKind::Brand);
        Some(Author { id, handle: self.username, account, ..Author::default() })
    }
}
