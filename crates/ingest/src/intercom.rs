//! Decodes Intercom: conversations, pages of them, and webhooks.
//!
//! A conversation is what a contact wrote with the public replies. Admins, bots and teams are the brand. Nobody else
//! can read it, so it has no reach. Of the parts only those that the contact sees are read; notes and changes by
//! admins are not. A rating is a reply with stars. Ids are unique only within a workspace, so a source names its
//! account.

use firewatch_domain::{AccountKind, Author, Post};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::bad_items::ItemList;
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_public, not_relevant, unknown_payload};
use crate::json_values::{Count, Id, Items, OneOrMany, non_empty_id};
use crate::platform_time::{self, PlatformTime};
use crate::reviews::stars;
use crate::{Result, html, json};

/// A conversation, a page of them, or a webhook.
#[derive(Debug, Deserialize)]
struct Payload {
    #[serde(rename = "type")]
    kind: Option<String>,
    conversations: Option<Items<Conversation>>,
    /// Fields of a webhook.
    topic: Option<String>,
    /// Conversations of a page, or what holds that of a webhook.
    data: Option<OneOrMany<Conversation>>,
}

#[derive(Debug, Deserialize)]
struct Conversation {
    #[serde(rename = "type")]
    kind: Option<String>,
    id: Option<Id>,
    conversation_id: Option<Id>,
    created_at: Option<PlatformTime>,
    title: Option<String>,
    #[serde(alias = "conversation_message")]
    source: Option<Source>,
    conversation_parts: Option<Parts>,
    conversation_rating: Option<Rating>,
    /// A field of the `data` of a webhook.
    item: Option<Box<Conversation>>,
}

#[derive(Debug, Deserialize)]
struct Source {
    subject: Option<String>,
    body: Option<String>,
    author: Option<Account>,
    redacted: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Parts {
    #[serde(default)]
    conversation_parts: Items<Part>,
}

#[derive(Debug, Deserialize)]
struct Part {
    #[serde(default)]
    attachments: Items<IgnoredAny>,
    id: Option<Id>,
    part_type: Option<String>,
    body: Option<String>,
    created_at: Option<PlatformTime>,
    author: Option<Account>,
    redacted: Option<bool>,
}

/// What the contact thinks of the conversation. Without a `rating` it was only asked for.
#[derive(Debug, Deserialize)]
struct Rating {
    rating: Option<Count>,
    remark: Option<String>,
    created_at: Option<PlatformTime>,
    contact: Option<Account>,
}

#[derive(Debug, Deserialize)]
struct Account {
    #[serde(rename = "type")]
    kind: Option<String>,
    id: Option<Id>,
}

pub(crate) const LISTS: &[ItemList] = &[
    ItemList::of::<Conversation>(""),
    ItemList::of::<Conversation>("conversations"),
    ItemList::of::<Conversation>("data"),
    ItemList::of::<Part>("conversation_parts"),
];

/// Decodes a payload.
pub(crate) fn decode(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let OneOrMany::One(payload) = json::payload::<Payload>(bytes)? else {
        if let OneOrMany::Many(conversations) = json::payload::<Conversation>(bytes)? {
            out.each("", conversations, |out, one| one.read(out));
        }
        return Ok(());
    };
    let Payload { kind, conversations, topic, data } = *payload;
    if let Some(topic) = topic {
        return match data {
            Some(OneOrMany::One(data)) => webhook(&topic, data.item, out),
            _ => webhook(&topic, None, out),
        };
    }
    if let Some(conversations) = conversations {
        out.each("conversations", conversations, |out, one| one.read(out));
        return Ok(());
    }
    match (kind.as_deref(), data) {
        (_, Some(OneOrMany::Many(page))) => {
            out.each("data", page, |out, one| one.read(out));
            Ok(())
        }
        (Some("conversation"), _) => json::one::<Conversation>(bytes)?.read(out),
        (Some("conversation_part"), _) => Err(not_public("a part without its conversation")),
        (Some(kind), _) if kind.starts_with("ticket") => Err(not_public("a ticket")),
        _ => Err(unknown_payload("not an Intercom conversation: its `type` is another")),
    }
}

fn webhook(topic: &str, item: Option<Box<Conversation>>, out: &mut DecodeOutput<'_>) -> Result<()> {
    let conversation = match (topic, item) {
        ("ping", _) => return Err(not_relevant("a test of the webhook")),
        (_, Some(item)) => item,
        (_, None) => return Err(missing("data/item")),
    };
    match topic {
        "conversation.deleted" => {
            let id = conversation.conversation_id.clone().or_else(|| conversation.id.clone());
            let id = non_empty_id(id).ok_or_else(|| missing("data/item/id"))?;
            out.delete(Occurrence { root: &id, at: out.arrival }, &id)
        }
        "conversation_part.redacted" => conversation.redacted().read(out).map_err(|e| e.within("data/item")),
        _ if topic.starts_with("conversation.") || topic.starts_with("conversation_part.") => {
            conversation.read(out).map_err(|e| e.within("data/item"))
        }
        _ if topic.starts_with("ticket.") => Err(not_public("a ticket")),
        _ => Err(not_relevant("an event other than of a conversation")),
    }
}

impl Conversation {
    /// Marks its parts as redacted, which older versions say only by the topic.
    fn redacted(mut self) -> Self {
        let parts = self.conversation_parts.iter_mut().flat_map(|parts| parts.conversation_parts.iter_mut());
        parts.for_each(|part| part.redacted = part.redacted.or(Some(true)));
        self
    }

    fn read(self, out: &mut DecodeOutput<'_>) -> Result<()> {
        if self.kind.as_deref() != Some("conversation") {
            return Err(unknown_payload("not an Intercom conversation: its `type` is another"));
        }
        let id = non_empty_id(self.id).ok_or_else(|| missing("id"))?;
        let at = platform_time::required("created_at", self.created_at)?;
        if let Some(source) = self.source {
            source.read(Occurrence { root: &id, at }, self.title, out)?;
        }
        let parts = self.conversation_parts.map(|parts| parts.conversation_parts).unwrap_or_default();
        out.each("conversation_parts/conversation_parts", parts, |out, part| part.read(&id, out));
        self.conversation_rating
            .map_or(Ok(()), |rating| rating.read(&id, out).map_err(|e| e.within("conversation_rating")))
    }
}

impl Rating {
    fn read(self, root: &str, out: &mut DecodeOutput<'_>) -> Result<()> {
        let Some(stars) = stars("rating", self.rating)? else { return Ok(()) };
        let at = platform_time::required("created_at", self.created_at)?;
        let post = Post {
            id: format!("rating/{}", at.as_millis()),
            author: self.contact.and_then(Account::author),
            text: self.remark.unwrap_or_default().trim().to_owned(),
            stars: Some(stars),
            in_reply_to: Some(root.to_owned()),
            ..Post::default()
        };
        out.post(Occurrence { root, at }, post)
    }
}

impl Source {
    fn read(self, when: Occurrence<'_>, title: Option<String>, out: &mut DecodeOutput<'_>) -> Result<()> {
        if self.redacted == Some(true) {
            return out.delete(Occurrence { at: out.arrival, ..when }, when.root);
        }
        let subject = self.subject.filter(|subject| !subject.trim().is_empty()).or(title);
        let words = words(&self.body.unwrap_or_default());
        let post = Post {
            id: when.root.to_owned(),
            author: self.author.and_then(Account::author),
            text: html::with_title(subject.map(|subject| html::text(&subject)), words),
            ..Post::default()
        };
        out.post(when, post)
    }
}

impl Part {
    fn read(self, root: &str, out: &mut DecodeOutput<'_>) -> Result<()> {
        match self.part_type.as_deref() {
            Some("comment" | "open" | "close" | "quick_reply") => {}
            Some("note" | "note_and_reopen") => return Err(not_public("an internal note")),
            Some(_) => return Err(not_relevant("a part other than a reply")),
            None => return Err(not_public("a part that does not say that it is a reply")),
        }
        let id = format!("part/{}", non_empty_id(self.id).ok_or_else(|| missing("id"))?);
        if self.redacted == Some(true) {
            return out.delete(Occurrence { root, at: out.arrival }, &id);
        }
        let body = self.body.unwrap_or_default();
        if body.trim().is_empty() && self.attachments.iter().next().is_none() {
            return Err(not_relevant("a part without words"));
        }
        let at = platform_time::required("created_at", self.created_at)?;
        let post = Post {
            id,
            author: self.author.and_then(Account::author),
            text: words(&body),
            in_reply_to: Some(root.to_owned()),
            ..Post::default()
        };
        out.post(Occurrence { root, at }, post)
    }
}

/// Returns the words of a message. Webhooks write them as plain text since API 2.15, everything else as HTML.
fn words(body: &str) -> String {
    if body.trim_start().starts_with('<') { html::text(body) } else { body.trim().to_owned() }
}

impl Account {
    fn author(self) -> Option<Author> {
        let account = match self.kind.as_deref()? {
            "admin" | "bot" | "team" => AccountKind::Brand,
            _ => AccountKind::Person,
        };
        Some(Author { id: non_empty_id(self.id)?, account: Some(account), ..Author::default() })
    }
}
