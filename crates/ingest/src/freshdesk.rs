//! Decodes Freshdesk: tickets, their conversations, and the product events of apps.
//!
//! A conversation is a ticket with its public replies. The requester is the author, and agents are the brand. Nobody
//! else can read a ticket, so it has no reach. Notes and forwarded mail are rejected. Ids are unique only within an
//! account, so a source names its account.

use firewatch_domain::{AccountKind, Author, Post};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::bad_items::ItemList;
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_public, not_relevant, unknown_payload};
use crate::json_values::{Id, Items, OneOrMany, non_empty_id};
use crate::platform_time::{self, PlatformTime};
use crate::{Result, html, json};

/// Source of a ticket that an agent begins by mail.
const OUTBOUND_MAIL: &str = "10";
/// Source of a conversation that is a note.
const NOTE: &str = "2";
/// Source of a conversation that is mail forwarded to somebody else.
const FORWARDED_MAIL: &str = "8";

#[derive(Debug, Deserialize)]
struct Payload {
    /// What a search found.
    results: Option<Items<Item>>,
    /// Fields of a product event.
    event: Option<String>,
    timestamp: Option<PlatformTime>,
    data: Option<EventData>,
    /// A ticket in a wrapper, with its conversations beside it.
    ticket: Option<Item>,
    conversations: Option<Items<Item>>,
    /// What an automation rule sends. It names neither times nor who wrote.
    freshdesk_webhook: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct EventData {
    ticket: Option<Item>,
    conversation: Option<Item>,
}

pub(crate) const LISTS: &[ItemList] =
    &[ItemList::of::<Item>(""), ItemList::of::<Item>("results"), ItemList::of::<Item>("conversations")];

/// A ticket, or a conversation of one.
#[derive(Debug, Deserialize)]
struct Item {
    #[serde(alias = "model_id")]
    id: Option<Id>,
    created_at: Option<PlatformTime>,
    updated_at: Option<PlatformTime>,
    source: Option<Id>,
    /// Fields of a ticket.
    requester_id: Option<Id>,
    responder_id: Option<Id>,
    subject: Option<String>,
    description: Option<String>,
    description_text: Option<String>,
    spam: Option<bool>,
    deleted: Option<bool>,
    conversations: Option<Items<Item>>,
    /// Fields of a conversation.
    ticket_id: Option<Id>,
    user_id: Option<Id>,
    incoming: Option<bool>,
    private: Option<bool>,
    body: Option<String>,
    body_text: Option<String>,
}

/// Decodes a payload.
pub(crate) fn decode(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let OneOrMany::One(payload) = json::payload::<Payload>(bytes)? else {
        if let OneOrMany::Many(items) = json::payload::<Item>(bytes)? {
            out.each("", items, |out, item| item.read(out));
        }
        return Ok(());
    };
    if let Some(results) = payload.results {
        out.each("results", results, |out, item| item.read(out));
        return Ok(());
    }
    match (payload.event, payload.data, payload.ticket) {
        (Some(event), Some(data), _) => data.read(&event, payload.timestamp, out),
        _ if payload.freshdesk_webhook.is_some() => Err(not_public(
            "a webhook of an automation rule, which may hold notes; send product events, or fetch the ticket",
        )),
        (.., Some(ticket)) => {
            let conversations = payload.conversations.or(ticket.conversations);
            Item { conversations, ..ticket }.ticket(out)
        }
        _ => json::one::<Item>(bytes)?.read(out),
    }
}

impl EventData {
    fn read(self, event: &str, at: Option<PlatformTime>, out: &mut DecodeOutput<'_>) -> Result<()> {
        match (self.conversation, self.ticket) {
            (Some(mut conversation), _)
                if event.ends_with("Delete") || conversation.deleted == Some(true) =>
            {
                conversation.updated_at = at.or(conversation.updated_at);
                conversation.delete_reply(out)
            }
            (Some(conversation), _) => conversation.read(out).map_err(|e| e.within("data/conversation")),
            (None, Some(mut ticket)) if event.ends_with("Delete") => {
                ticket.updated_at = at.or(ticket.updated_at);
                ticket.delete_ticket(out)
            }
            (None, Some(ticket)) => ticket.read(out).map_err(|e| e.within("data/ticket")),
            (None, None) => Err(not_relevant("an event other than of a ticket or its conversations")),
        }
    }
}

impl Item {
    fn read(self, out: &mut DecodeOutput<'_>) -> Result<()> {
        if self.ticket_id.is_some() {
            self.reply(out)
        } else if self.requester_id.is_some() {
            self.ticket(out)
        } else if self.private.is_some() {
            Err(not_public("a conversation that does not say of which ticket; give it with its ticket"))
        } else {
            Err(unknown_payload("not of Freshdesk: `requester_id` and `ticket_id` are missing"))
        }
    }

    fn ticket(mut self, out: &mut DecodeOutput<'_>) -> Result<()> {
        if self.deleted == Some(true) || self.spam == Some(true) {
            return self.delete_ticket(out);
        }
        let id = self.id()?;
        let at = platform_time::required("created_at", self.created_at.take())?;
        let words = self.description_text.take().or_else(|| self.description.as_deref().map(html::text));
        let words = words.ok_or_else(|| missing("description_text"))?;
        let is_of_brand = self.source.as_ref().is_some_and(|source| source.0 == OUTBOUND_MAIL);
        let author = if is_of_brand { self.responder_id.take() } else { self.requester_id.take() };
        let post = Post {
            id: id.clone(),
            author: account(author, is_of_brand),
            text: html::with_title(self.subject.take(), words),
            ..Post::default()
        };
        let shown_since = platform_time::optional("updated_at", self.updated_at)?;
        out.shown_post(Occurrence { root: &id, at }, post, shown_since)?;
        let replies = self.conversations.unwrap_or_default();
        out.each("conversations", replies, |out, reply| {
            Item { ticket_id: reply.ticket_id.clone().or(Some(Id(id.clone()))), ..reply }.reply(out)
        });
        Ok(())
    }

    fn reply(self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let is_from = |source: &str| self.source.as_ref().is_some_and(|own| own.0 == source);
        match self.private {
            Some(false) if is_from(FORWARDED_MAIL) => {
                return Err(not_public("mail that was forwarded to somebody else"));
            }
            Some(false) => {}
            Some(true) if is_from(NOTE) => return Err(not_public("an internal note")),
            Some(true) => return Err(not_public("a private conversation")),
            None => return Err(not_public("a conversation that does not say that it is public")),
        }
        if self.deleted == Some(true) {
            return self.delete_reply(out);
        }
        let root = self.root()?;
        let id = self.reply_id()?;
        let at = platform_time::required("created_at", self.created_at)?;
        let text = self.body_text.or_else(|| self.body.as_deref().map(html::text));
        let is_of_brand = self.incoming == Some(false);
        let post = Post {
            author: account(self.user_id, is_of_brand),
            text: text.ok_or_else(|| missing("body_text"))?,
            in_reply_to: Some(root.clone()),
            id,
            ..Post::default()
        };
        out.post(Occurrence { root: &root, at }, post)
    }

    fn delete_ticket(self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let id = self.id()?;
        let at = platform_time::optional("updated_at", self.updated_at)?.unwrap_or(out.arrival);
        out.delete(Occurrence { root: &id, at }, &id)
    }

    /// Deletes a reply. An event may not say of which ticket; then the reply is known by what was read before.
    fn delete_reply(self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let id = self.reply_id()?;
        let root = self.root().unwrap_or_else(|_| id.clone());
        let at = platform_time::optional("updated_at", self.updated_at)?.unwrap_or(out.arrival);
        out.delete(Occurrence { root: &root, at }, &id)
    }

    fn id(&self) -> Result<String> {
        non_empty_id(self.id.clone()).ok_or_else(|| missing("id"))
    }

    /// Returns the id of a reply as a post. A ticket and a reply may have the same number.
    fn reply_id(&self) -> Result<String> {
        self.id().map(|id| format!("reply/{id}"))
    }

    fn root(&self) -> Result<String> {
        non_empty_id(self.ticket_id.clone()).ok_or_else(|| missing("ticket_id"))
    }
}

fn account(id: Option<Id>, is_of_brand: bool) -> Option<Author> {
    let account = if is_of_brand { AccountKind::Brand } else { AccountKind::Person };
    Some(Author { id: non_empty_id(id)?, account: Some(account), ..Author::default() })
}
