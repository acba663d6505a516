//! Decodes YouTube: comment threads and comments of the Data API.
//!
//! A conversation is a top-level comment with its replies. The video is not part of it, because it may have
//! thousands of threads. Subscriber counts are not provided. `textDisplay` is HTML unless plain text is
//! requested.

use firewatch_domain::{Author, Counters, EventTime, Post};
use serde::Deserialize;

use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_relevant, unknown_payload};
use crate::json_values::{Count, OneOrMany, known_count};
use crate::{Result, html, json, platform_time};

/// A comment thread, a comment, or a page of either.
#[derive(Debug, Deserialize)]
struct Resource {
    kind: Option<String>,
    id: Option<String>,
    snippet: Option<Snippet>,
    items: Option<Vec<Resource>>,
    replies: Option<Replies>,
}

#[derive(Debug, Deserialize)]
struct Replies {
    #[serde(default)]
    comments: Vec<Resource>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Snippet {
    top_level_comment: Option<Box<Resource>>,
    total_reply_count: Option<Count>,
    author_display_name: Option<String>,
    author_channel_id: Option<Channel>,
    text_display: Option<String>,
    text_original: Option<String>,
    parent_id: Option<String>,
    like_count: Option<Count>,
    published_at: Option<String>,
    updated_at: Option<String>,
    moderation_status: Option<String>,
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
            Some("youtube#commentThreadListResponse" | "youtube#commentListResponse") => {
                let items = self.items.as_deref().unwrap_or_default();
                out.each("items", items, |out, item| item.read(out));
                Ok(())
            }
            Some("youtube#commentThread") => self.thread(out),
            Some("youtube#comment") => self.comment(None, out),
            Some(_) => Err(not_relevant("neither a comment nor a comment thread")),
            None => Err(unknown_payload("not a YouTube payload: `kind` is missing")),
        }
    }

    fn thread(&self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let snippet = self.snippet()?;
        let top = snippet.top_level_comment.as_ref().ok_or_else(|| missing("snippet.topLevelComment"))?;
        top.comment(known_count(snippet.total_reply_count), out).map_err(|e| e.within("topLevelComment"))?;
        let replies = self.replies.as_ref().map(|replies| replies.comments.as_slice()).unwrap_or_default();
        out.each("replies.comments", replies, |out, reply| reply.comment(None, out));
        Ok(())
    }

    fn comment(&self, replies: Option<u64>, out: &mut DecodeOutput<'_>) -> Result<()> {
        let (id, snippet) = (self.id.as_deref().ok_or_else(|| missing("id"))?, self.snippet()?);
        let root = snippet.parent_id.as_deref().unwrap_or(id);
        let at = platform_time::text("publishedAt", snippet.published_at.as_deref())?;
        if snippet.moderation_status.as_deref() == Some("rejected") {
            return out.delete(Occurrence { root, at: out.arrival.max(at) }, id);
        }
        out.post(Occurrence { root, at }, snippet.post(id, at)?)?;
        if snippet.parent_id.is_some() {
            // The counters of a reply are not those of the conversation.
            return Ok(());
        }
        let counters = Counters { likes: known_count(snippet.like_count), replies, ..Counters::default() };
        out.counters(Occurrence { root, at: out.arrival.max(at) }, counters)
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
        let channel = self.author_channel_id.as_ref().and_then(|channel| channel.value.clone());
        let author =
            channel.map(|id| Author { id, handle: self.author_display_name.clone(), ..Author::default() });
        Ok(Post {
            id: id.to_owned(),
            author,
            text,
            in_reply_to: self.parent_id.clone(),
            edited_at: updated.filter(|updated| *updated > at),
            ..Post::default()
        })
    }
}
