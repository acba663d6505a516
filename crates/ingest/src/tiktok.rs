//! Decodes comments on TikTok: pages of its Business and Research APIs, and its webhooks.
//!
//! A conversation is a video with its comments. The Business API names the author and says which comments the
//! account itself wrote; the Research API does not name anybody. There are no followers. Hidden comments and private
//! messages are not public.

use firewatch_domain::{AccountKind, Author, Counters, EventTime, Post};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::bad_items::ItemList;
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_public, not_relevant, unknown_payload};
use crate::json_values::{Count, Id, Items, known_count, non_empty_id};
use crate::platform_time::{self, PlatformTime};
use crate::{Result, json};

/// A page of comments, or a webhook.
#[derive(Debug, Deserialize)]
struct Payload {
    data: Option<Page>,
    /// What a webhook reports, and when.
    event: Option<String>,
    create_time: Option<PlatformTime>,
    content: Option<Content>,
    code: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Page {
    comments: Option<Items<Comment>>,
    messages: Option<IgnoredAny>,
    conversations: Option<IgnoredAny>,
}

/// The content of a webhook: JSON in a text, or the object itself.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected JSON as a text, or an object")]
enum Content {
    Text(String),
    Object(serde_json::Value),
}

#[derive(Debug, Deserialize)]
struct Comment {
    #[serde(alias = "id")]
    comment_id: Option<Id>,
    video_id: Option<Id>,
    parent_comment_id: Option<Id>,
    text: Option<String>,
    create_time: Option<PlatformTime>,
    #[serde(alias = "like_count")]
    likes: Option<Count>,
    #[serde(alias = "reply_count")]
    replies: Option<Count>,
    /// The account whose token was used wrote it.
    owner: Option<bool>,
    username: Option<String>,
    unique_identifier: Option<String>,
    user_id: Option<Id>,
    status: Option<String>,
    reply_list: Option<Items<Comment>>,
    /// Fields of a webhook.
    comment_action: Option<String>,
    timestamp: Option<PlatformTime>,
}

pub(crate) const LISTS: &[ItemList] =
    &[ItemList::of::<Comment>("comments"), ItemList::of::<Comment>("reply_list")];

/// Decodes a payload.
pub(crate) fn decode(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let payload: Payload = json::one(bytes)?;
    if let Some(event) = payload.event {
        return read_event(&event, payload.content, payload.create_time, out);
    }
    match payload.data {
        Some(Page { messages: Some(_), .. } | Page { conversations: Some(_), .. }) => {
            Err(not_public("private messages"))
        }
        Some(Page { comments: Some(comments), .. }) => {
            out.each("data/comments", comments, |out, comment| comment.read(out));
            Ok(())
        }
        _ if payload.code.is_some() => Err(unknown_payload("a response of TikTok without comments")),
        _ => Err(unknown_payload("not of TikTok: `data.comments` and `event` are missing")),
    }
}

fn read_event(
    event: &str,
    content: Option<Content>,
    sent_at: Option<PlatformTime>,
    out: &mut DecodeOutput<'_>,
) -> Result<()> {
    match event {
        "comment.update" => {}
        _ if event.starts_with("im_") => return Err(not_public("private messages")),
        _ => return Err(not_relevant("an event other than a comment")),
    }
    let text = match content.ok_or_else(|| missing("content"))? {
        Content::Text(text) => text,
        Content::Object(object) => object.to_string(),
    };
    json::one::<Comment>(text.as_bytes())?.read_update(sent_at, out).map_err(|e| e.within("content"))
}

impl Comment {
    fn read(self, out: &mut DecodeOutput<'_>) -> Result<()> {
        if self.status.as_deref().is_some_and(|status| status != "PUBLIC") {
            return Err(not_public("a comment that is hidden"));
        }
        let at = platform_time::required("create_time", self.create_time.clone())?;
        if self.status.is_some() {
            out.shown(&self.id()?, out.arrival);
        }
        self.post(at, false, out)?;
        let replies = self.reply_list.unwrap_or_default();
        out.each("reply_list", replies, |out, reply| reply.read(out));
        Ok(())
    }

    /// Decodes the comment of a webhook.
    fn read_update(self, sent_at: Option<PlatformTime>, out: &mut DecodeOutput<'_>) -> Result<()> {
        let at = platform_time::required("timestamp", self.timestamp.clone().or(sent_at))?;
        match self.comment_action.as_deref() {
            Some(action @ ("insert" | "set_to_public")) if self.text.is_some() => {
                self.post(at, action == "set_to_public", out)
            }
            Some(action @ ("insert" | "set_to_public")) => {
                if action == "set_to_public" {
                    out.shown(&self.id()?, at);
                }
                Err(not_relevant("a comment without its text; list the comments of the video"))
            }
            Some(action) if action != "delete" && !action.starts_with("set_to_") => {
                Err(not_relevant("a change of a comment other than its deletion or its audience"))
            }
            Some(_) => {
                let id = self.id()?;
                let root = non_empty_id(self.video_id.clone()).unwrap_or_else(|| id.clone());
                out.delete(Occurrence { root: &root, at }, &id)
            }
            None => Err(missing("comment_action")),
        }
    }

    fn post(&self, at: EventTime, restored: bool, out: &mut DecodeOutput<'_>) -> Result<()> {
        let id = self.id()?;
        let video = non_empty_id(self.video_id.clone());
        let root = video.clone().unwrap_or_else(|| id.clone());
        let parent = non_empty_id(self.parent_comment_id.clone()).or(video);
        let author = self.author();
        let post = Post {
            id,
            author,
            // A picture has no words.
            text: self.text.clone().unwrap_or_default(),
            url: parent.as_ref().map(|_| format!("https://www.tiktok.com/video/{root}")),
            in_reply_to: parent,
            restored,
            ..Post::default()
        };
        let is_root = post.in_reply_to.is_none();
        out.post(Occurrence { root: &root, at }, post)?;
        if !is_root {
            // The counters of a reply are not those of the conversation.
            return Ok(());
        }
        let counters = Counters {
            likes: known_count(self.likes),
            replies: known_count(self.replies),
            ..Counters::default()
        };
        out.counters(Occurrence { root: &root, at: out.arrival.max(at) }, counters)
    }

    fn id(&self) -> Result<String> {
        non_empty_id(self.comment_id.clone()).ok_or_else(|| missing("comment_id"))
    }

    fn author(&self) -> Option<Author> {
        let handle = self.username.clone().filter(|name| !name.is_empty());
        let id = self.unique_identifier.clone().or_else(|| non_empty_id(self.user_id.clone()));
        let id = id.filter(|id| !id.is_empty()).or_else(|| handle.clone())?;
        let account = (self.owner == Some(true)).then_some(AccountKind::Brand);
        let url = handle.as_ref().map(|handle| format!("https://www.tiktok.com/@{handle}"));
        Some(Author { id, handle, account, url, ..Author::default() })
    }
}
