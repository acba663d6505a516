//! Decodes Instagram: webhooks of an account, and comments and media of the Graph API.
//!
//! A conversation is a media object with its comments. The webhook of a comment has its text and, since 2021,
//! its author and media id, but no follower or like counts. A comment without media id is a conversation of
//! its own. Story insights become counters. Hidden comments and private messages are not public.

use firewatch_domain::{Author, Counters, EventTime, Post};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Change, Entry, From, Source, Webhook};
use crate::bad_items::ItemList;
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_public, not_relevant, unknown_payload};
use crate::json_values::{Count, Id, Items, known_count, non_empty_id};
use crate::platform_time::{self, PlatformTime};
use crate::{Result, html, json};

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
    mentioned_media: Option<Box<Comment>>,
    mentioned_comment: Option<Box<Comment>>,
    data: Option<Items<Comment>>,
}

pub(crate) const LISTS: &[ItemList] = &[
    ItemList::of::<Entry<Value>>("entry"),
    ItemList::of::<Change<Value>>("changes"),
    ItemList::of::<Comment>("data"),
];

#[derive(Debug, Deserialize)]
struct Comment {
    id: Option<Id>,
    text: Option<String>,
    timestamp: Option<PlatformTime>,
    media: Option<Media>,
    /// The comment that this one answers.
    parent_id: Option<Id>,
    user: Option<From>,
    from: Option<From>,
    username: Option<String>,
    hidden: Option<bool>,
    like_count: Option<Count>,
    replies: Option<Replies>,
    /// Fields of a picture or film.
    caption: Option<String>,
    alt_text: Option<String>,
    /// The pictures and films of a carousel.
    children: Option<Replies>,
    media_type: Option<String>,
    media_product_type: Option<String>,
    permalink: Option<String>,
    comments_count: Option<Count>,
    comments: Option<Replies>,
    /// Fields of private messages and their conversations.
    to: Option<IgnoredAny>,
    message: Option<IgnoredAny>,
    messages: Option<IgnoredAny>,
    participants: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Replies {
    #[serde(default)]
    data: Items<Comment>,
}

/// Decodes a payload.
pub(crate) fn decode(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let payload: Payload = json::one(bytes)?;
    if payload.entry.is_some() {
        let webhook: Webhook<Value> = json::one(bytes)?;
        return webhook.read("instagram", out, |source, field, value, out| value.read(source, field, out));
    }
    let looked_up =
        [("mentioned_media", payload.mentioned_media), ("mentioned_comment", payload.mentioned_comment)];
    for (place, found) in looked_up {
        if let Some(found) = found {
            if found.timestamp.is_none() {
                return Err(not_relevant("a mention lookup without time; ask for `timestamp`"));
            }
            return found.read(None, out).map_err(|e| e.within(place));
        }
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
            // A sticker has no words.
            text: self.text.unwrap_or_default(),
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
        let of_messages = [&self.to, &self.message, &self.messages, &self.participants];
        if of_messages.into_iter().any(Option::is_some) {
            return Err(not_public("private messages"));
        }
        if self.hidden == Some(true) {
            return Err(not_public("a comment that the account has hidden"));
        }
        if self.media_product_type.as_deref() == Some("THREADS") {
            return Err(unknown_payload("a post on Threads; read it as `threads`"));
        }
        let Some(id) = non_empty_id(self.id.clone()) else {
            return Err(unknown_payload("not an Instagram webhook or comment: `entry` and `id` are missing"));
        };
        if self.media_type.is_some() || self.caption.is_some() || self.permalink.is_some() {
            return self.media(&id, out);
        }
        if self.text.is_none() && self.timestamp.is_none() {
            return Err(not_relevant("an account or a list of ids; no comment"));
        }
        let at = platform_time::required("timestamp", self.timestamp.clone())?;
        let media = self.media.as_ref().and_then(|media| non_empty_id(media.id.clone()));
        let root = under.map(|(root, _)| root.to_owned()).or(media.clone()).unwrap_or_else(|| id.clone());
        let post = Post {
            id: id.clone(),
            author: self.author(),
            text: self.text.clone().unwrap_or_default(),
            in_reply_to: under
                .map(|(_, parent)| parent.to_owned())
                .or_else(|| non_empty_id(self.parent_id.clone()))
                .or(media),
            ..Post::default()
        };
        let is_root = post.in_reply_to.is_none();
        out.post(Occurrence { root: &root, at }, post)?;
        if is_root {
            let counters = Counters { likes: known_count(self.like_count), ..Counters::default() };
            out.counters(Occurrence { root: &root, at: out.arrival.max(at) }, counters)?;
        }
        let replies = self.replies.iter().flat_map(|replies| &replies.data);
        out.each("replies/data", replies, |out, reply| reply.read(Some((&root, &id)), out));
        Ok(())
    }

    /// Emits a picture or film with its comments.
    fn media(&self, id: &str, out: &mut DecodeOutput<'_>) -> Result<()> {
        let at = platform_time::required("timestamp", self.timestamp.clone())?;
        let children = self.children.iter().flat_map(|children| children.data.iter());
        let shown = self.alt_text.iter().chain(children.filter_map(|child| child.alt_text.as_ref()));
        let text = html::paragraphs(self.caption.iter().chain(shown).cloned());
        let url = self.permalink.clone();
        let post = Post { id: id.to_owned(), author: self.author(), text, url, ..Post::default() };
        out.post(Occurrence { root: id, at }, post)?;
        let counters = Counters {
            likes: known_count(self.like_count),
            replies: known_count(self.comments_count),
            ..Counters::default()
        };
        out.counters(Occurrence { root: id, at: out.arrival.max(at) }, counters)?;
        let comments = self.comments.iter().flat_map(|comments| &comments.data);
        out.each("comments/data", comments, |out, comment| comment.read(Some((id, id)), out));
        Ok(())
    }

    fn author(&self) -> Option<Author> {
        let from = self.user.as_ref().or(self.from.as_ref()).cloned();
        let from = from.unwrap_or(From { id: None, username: None });
        From { username: from.username.or(self.username.clone()), ..from }.author(None)
    }
}
