//! Decodes Threads: posts and replies of its API, and its webhooks.
//!
//! A conversation is a post with all replies below it. An author is known by name only; there are no followers and
//! no totals. Replies that the owner has hidden or not approved yet are not public.

use firewatch_domain::{AccountKind, Author, Engagement, EngagementKind, EventTime, Post};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::bad_items::ItemList;
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_public, not_relevant, unknown_payload};
use crate::json_values::{Id, IfObject, Items, OneOrMany, non_empty_id};
use crate::platform_time::{self, PlatformTime};
use crate::{Result, html, json};

/// A page of posts, a single post, or a webhook.
#[derive(Debug, Deserialize)]
struct Payload {
    data: Option<Items<Media>>,
    /// The change that a webhook reports.
    values: Option<OneOrMany<Change>>,
    time: Option<PlatformTime>,
    error: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Change {
    field: Option<String>,
    value: Option<Media>,
}

#[derive(Debug, Deserialize)]
struct Media {
    id: Option<Id>,
    text: Option<String>,
    alt_text: Option<String>,
    username: Option<String>,
    permalink: Option<String>,
    timestamp: Option<PlatformTime>,
    deleted_at: Option<PlatformTime>,
    media_type: Option<String>,
    root_post: Option<Link>,
    replied_to: Option<Link>,
    quoted_post: Option<Box<Media>>,
    reposted_post: Option<Box<Media>>,
    text_attachment: Option<IfObject<TextAttachment>>,
    /// Whether the owner of the thread has hidden the reply.
    hide_status: Option<String>,
    /// Of a post that is public for a day: `active` or `archived`.
    ghost_post_status: Option<String>,
    ghost_post_expiration_timestamp: Option<PlatformTime>,
    children: Option<Children>,
    /// Whether the owner has still to approve it.
    reply_approval_status: Option<String>,
    /// The reply is by the account whose token was used.
    is_reply_owned_by_me: Option<bool>,
    poll_attachment: Option<Poll>,
}

/// The pictures and films of a carousel.
#[derive(Debug, Deserialize)]
struct Children {
    #[serde(default)]
    data: Items<Child>,
}

#[derive(Debug, Deserialize)]
struct Child {
    alt_text: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Link {
    id: Option<Id>,
}

/// A longer text beside a post.
#[derive(Debug, Deserialize)]
struct TextAttachment {
    plaintext: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Poll {
    option_a: Option<String>,
    option_b: Option<String>,
    option_c: Option<String>,
    option_d: Option<String>,
}

pub(crate) const LISTS: &[ItemList] = &[ItemList::of::<Media>("data"), ItemList::of::<Change>("values")];

/// Decodes a payload.
pub(crate) fn decode(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let payload: Payload = json::one(bytes)?;
    if let Some(data) = payload.data {
        out.each("data", data, |out, media| media.read(out));
        return Ok(());
    }
    let time = payload.time;
    match payload.values {
        Some(OneOrMany::One(change)) => change.read(time, out).map_err(|e| e.within("values")),
        Some(OneOrMany::Many(changes)) => {
            out.each("values", changes, |out, change| change.read(time.clone(), out));
            Ok(())
        }
        None if payload.error.is_some() => Err(unknown_payload("an error response of Threads")),
        None => json::one::<Media>(bytes)?.read(out),
    }
}

impl Change {
    fn read(self, time: Option<PlatformTime>, out: &mut DecodeOutput<'_>) -> Result<()> {
        let media = self.value.ok_or_else(|| missing("value"))?;
        match self.field.as_deref() {
            Some("replies" | "mentions" | "publish") => media.read(out),
            Some("delete") => {
                let id = non_empty_id(media.id).ok_or_else(|| missing("value/id"))?;
                let at = platform_time::required("deleted_at", media.deleted_at.or(time))?;
                out.delete(Occurrence { root: &id, at }, &id)
            }
            _ => Err(not_relevant("a change other than a post, a mention or a deletion")),
        }
    }
}

impl Media {
    fn read(mut self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let id = non_empty_id(self.id.clone())
            .ok_or_else(|| unknown_payload("not of Threads: `data`, `values` and `id` are missing"))?;
        if self.timestamp.is_none() && self.text.is_none() && self.media_type.is_none() {
            return Err(not_relevant("an id without a post; ask for its fields"));
        }
        match self.hide_status.as_deref() {
            None | Some("NOT_HUSHED" | "UNHUSHED") => {}
            Some(_) => return Err(not_public("a reply that the owner of the thread has hidden")),
        }
        match self.reply_approval_status.as_deref() {
            None | Some("approved" | "APPROVED") => {}
            Some(_) => return Err(not_public("a reply that is held for approval")),
        }
        let at = platform_time::required("timestamp", self.timestamp.clone())?;
        if self.ghost_post_status.as_deref().is_some_and(|status| status.eq_ignore_ascii_case("archived")) {
            let ended = self.ghost_post_expiration_timestamp.take();
            let ended = platform_time::optional("ghost_post_expiration_timestamp", ended)?;
            return out
                .delete(Occurrence { root: &id, at: ended.unwrap_or(out.arrival).min(out.arrival) }, &id);
        }
        if let Some(original) = self.reposted_post.take() {
            return self.reaction(EngagementKind::Reshare, &id, *original, at, out);
        }
        if self.media_type.as_deref() == Some("REPOST_FACADE") {
            return Err(not_relevant("a repost that does not name its original; ask for `reposted_post`"));
        }
        let link = |link: &Option<Link>| link.as_ref().and_then(|link| non_empty_id(link.id.clone()));
        let (root, parent) = (link(&self.root_post), link(&self.replied_to));
        let root = root.or_else(|| parent.clone()).unwrap_or_else(|| id.clone());
        let quoted = self.quoted_post.take();
        let post = Post {
            in_reply_to: parent.or_else(|| Some(root.clone())).filter(|_| root != id),
            quotes: quoted.as_ref().and_then(|quoted| non_empty_id(quoted.id.clone())),
            author: self.author(),
            text: self.text(),
            url: self.permalink.clone(),
            id: id.clone(),
            ..Post::default()
        };
        out.post(Occurrence { root: &root, at }, post)?;
        quoted.map_or(Ok(()), |quoted| self.reaction(EngagementKind::Quote, &id, *quoted, at, out))
    }

    /// Emits a quote or repost as a reaction to the original, after the original if it comes with its words.
    fn reaction(
        &self,
        kind: EngagementKind,
        id: &str,
        original: Media,
        at: EventTime,
        out: &mut DecodeOutput<'_>,
    ) -> Result<()> {
        let Some(original_id) = non_empty_id(original.id.clone()) else { return Ok(()) };
        if original.timestamp.is_some()
            && let Err(rejection) = original.read(out)
        {
            out.reject(rejection.about("the original"));
        }
        let by = self.author().map(|author| author.id);
        let id = if kind == EngagementKind::Quote { format!("quote/{id}") } else { id.to_owned() };
        out.engagement(Occurrence { root: &original_id, at }, id, Engagement::new(kind, by, None))
    }

    fn author(&self) -> Option<Author> {
        let name = self.username.clone().filter(|name| !name.trim().is_empty())?;
        let account = (self.is_reply_owned_by_me == Some(true)).then_some(AccountKind::Brand);
        let url = Some(format!("https://www.threads.net/@{name}"));
        // Names are equal whatever their case.
        Some(Author { id: name.to_lowercase(), handle: Some(name), account, url, ..Author::default() })
    }

    fn text(&self) -> String {
        let poll = self.poll_attachment.as_ref();
        let options = poll.map(|poll| [&poll.option_a, &poll.option_b, &poll.option_c, &poll.option_d]);
        let options = options.into_iter().flatten().filter_map(Clone::clone);
        let attached = self.text_attachment.as_ref().and_then(|text| text.0.as_ref()?.plaintext.clone());
        let children = self.children.iter().flat_map(|children| children.data.iter());
        let shown = self.alt_text.iter().chain(children.filter_map(|child| child.alt_text.as_ref()));
        let more = attached.into_iter().chain(options).chain(shown.cloned());
        html::paragraphs(self.text.clone().into_iter().chain(more))
    }
}
