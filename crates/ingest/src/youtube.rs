//! Decodes YouTube: comment threads and comments of the Data API, and messages of a live chat.
//!
//! A conversation is a top-level comment with its replies. The video is not part of it, because it may have
//! thousands of threads. Subscriber counts are not provided. `textDisplay` is HTML unless plain text is
//! requested.

use firewatch_domain::{Author, Counters, EventTime, Post};
use serde::Deserialize;

use crate::bad_items::ItemList;
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_public, not_relevant, unknown_payload};
use crate::json_values::{Count, IfObject, IfText, Items, OneOrMany, known_count};
use crate::{Result, html, json, platform_time};

/// A comment thread, a comment, a chat message, or a page of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    kind: Option<String>,
    /// An object in the results of a search.
    id: Option<IfText>,
    snippet: Option<Snippet>,
    items: Option<Items<Resource>>,
    replies: Option<Replies>,
    /// The author of a message in a live chat.
    author_details: Option<ChatAuthor>,
}

pub(crate) const LISTS: &[ItemList] =
    &[ItemList::of::<Resource>(""), ItemList::of::<Resource>("items"), ItemList::of::<Resource>("comments")];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChatAuthor {
    channel_id: Option<String>,
    display_name: Option<String>,
    is_verified: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Replies {
    #[serde(default)]
    comments: Items<Resource>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Snippet {
    top_level_comment: Option<Box<Resource>>,
    total_reply_count: Option<Count>,
    /// Of a thread: whether everybody can see it.
    is_public: Option<bool>,
    author_display_name: Option<String>,
    /// An object in a comment, a string in a live chat.
    author_channel_id: Option<IfObject<Channel>>,
    text_display: Option<String>,
    text_original: Option<String>,
    parent_id: Option<String>,
    video_id: Option<String>,
    like_count: Option<Count>,
    published_at: Option<String>,
    updated_at: Option<String>,
    moderation_status: Option<String>,
    /// Fields of a chat message.
    #[serde(rename = "type")]
    kind: Option<String>,
    display_message: Option<String>,
    message_deleted_details: Option<DeletedMessage>,
    message_retracted_details: Option<DeletedMessage>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeletedMessage {
    #[serde(alias = "retractedMessageId")]
    deleted_message_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Channel {
    value: Option<String>,
}

/// Decodes a payload.
pub(crate) fn decode(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    match json::payload::<Resource>(bytes)? {
        OneOrMany::One(resource) => resource.read(out),
        OneOrMany::Many(resources) => {
            out.each("", resources, |out, resource| resource.read(out));
            Ok(())
        }
    }
}

impl Resource {
    fn read(&self, out: &mut DecodeOutput<'_>) -> Result<()> {
        match self.kind.as_deref() {
            Some(
                "youtube#commentThreadListResponse"
                | "youtube#commentListResponse"
                | "youtube#liveChatMessageListResponse",
            ) => {
                out.each("items", self.items.iter().flatten(), |out, item| item.read(out));
                Ok(())
            }
            Some("youtube#liveChatMessage") => self.chat_message(out),
            Some("youtube#commentThread") => self.thread(out),
            Some("youtube#comment") => self.comment(None, out),
            Some(_) => Err(not_relevant("neither a comment nor a comment thread")),
            // `fields` may leave out the kind of the page.
            None if self.items.is_some() => {
                out.each("items", self.items.iter().flatten(), |out, item| item.read(out));
                Ok(())
            }
            None => Err(unknown_payload("not a YouTube payload: `kind` is missing")),
        }
    }

    fn thread(&self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let snippet = self.snippet()?;
        if snippet.is_public == Some(false) {
            return Err(not_public("a thread that not everybody can see"));
        }
        let top = snippet.top_level_comment.as_ref().ok_or_else(|| missing("snippet.topLevelComment"))?;
        top.comment(known_count(snippet.total_reply_count), out)
            .map_err(|e| e.within("snippet/topLevelComment"))?;
        let replies = self.replies.iter().flat_map(|replies| &replies.comments);
        out.each("replies/comments", replies, |out, reply| reply.comment(None, out));
        Ok(())
    }

    /// Emits a message of a live chat, a conversation of its own.
    fn chat_message(&self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let (id, snippet) = (self.id()?, self.snippet()?);
        let at = platform_time::text("publishedAt", snippet.published_at.as_deref())?;
        match snippet.kind.as_deref() {
            Some(
                "textMessageEvent" | "superChatEvent" | "superStickerEvent" | "memberMilestoneChatEvent",
            ) => {}
            // A tombstone has the id of the message.
            Some("messageDeletedEvent" | "messageRetractedEvent" | "tombstone") => {
                let details = &snippet.message_deleted_details;
                let gone = details.as_ref().or(snippet.message_retracted_details.as_ref());
                let gone = gone.and_then(|gone| gone.deleted_message_id.as_deref()).unwrap_or(id);
                return out.delete(Occurrence { root: gone, at }, gone);
            }
            _ => return Err(not_relevant("an event of a live chat without words")),
        }
        let author = self.author_details.as_ref().and_then(|author| {
            let (handle, verified) = (author.display_name.clone(), author.is_verified);
            Some(Author { id: author.channel_id.clone()?, handle, verified, ..Author::default() })
        });
        let text = snippet.display_message.clone().ok_or_else(|| missing("snippet.displayMessage"))?;
        out.post(Occurrence { root: id, at }, Post { id: id.to_owned(), author, text, ..Post::default() })
    }

    fn comment(&self, replies: Option<u64>, out: &mut DecodeOutput<'_>) -> Result<()> {
        let (id, snippet) = (self.id()?, self.snippet()?);
        if snippet.is_public == Some(false) {
            return Err(not_public("a comment that not everybody can see"));
        }
        let root = snippet.parent_id.as_deref().unwrap_or(id);
        let at = platform_time::text("publishedAt", snippet.published_at.as_deref())?;
        // Only the owner of the channel sees it, as of now.
        let shown_since = match snippet.moderation_status.as_deref() {
            None => None,
            Some("published") => Some(out.arrival.max(at)),
            Some("rejected") => return out.delete(Occurrence { root, at: out.arrival.max(at) }, id),
            Some(_) => return Err(not_public("a comment that is held for review")),
        };
        out.shown_post(Occurrence { root, at }, snippet.post(id, at)?, shown_since)?;
        if snippet.parent_id.is_some() {
            // The counters of a reply are not those of the conversation.
            return Ok(());
        }
        let counters = Counters { likes: known_count(snippet.like_count), replies, ..Counters::default() };
        out.counters(Occurrence { root, at: out.arrival.max(at) }, counters)
    }

    fn id(&self) -> Result<&str> {
        self.id.as_ref().and_then(|id| id.0.as_deref()).ok_or_else(|| missing("id"))
    }

    fn snippet(&self) -> Result<&Snippet> {
        self.snippet.as_ref().ok_or_else(|| missing("snippet"))
    }
}

impl Snippet {
    fn post(&self, id: &str, at: EventTime) -> Result<Post> {
        let updated = self.updated_at.as_deref();
        let updated = updated.map(|at| platform_time::text("updatedAt", Some(at))).transpose()?;
        let text = match (&self.text_original, &self.text_display) {
            (Some(text), _) => text.clone(),
            (None, Some(shown)) => html::text(shown),
            (None, None) => return Err(missing("textDisplay")),
        };
        let channel = self.author_channel_id.as_ref().and_then(|channel| channel.0.as_ref()?.value.clone());
        let author = channel.map(|id| Author {
            url: Some(format!("https://www.youtube.com/channel/{id}")),
            id,
            handle: self.author_display_name.clone(),
            ..Author::default()
        });
        Ok(Post {
            id: id.to_owned(),
            author,
            text,
            in_reply_to: self.parent_id.clone(),
            url: self
                .video_id
                .as_ref()
                .map(|video| format!("https://www.youtube.com/watch?v={video}&lc={id}")),
            edited_at: updated.filter(|updated| *updated > at),
            ..Post::default()
        })
    }
}
