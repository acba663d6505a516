//! Decodes Zendesk: tickets, comments in audits and ticket events, and event webhooks.
//!
//! A conversation is a ticket with its public comments. The requester is the author, and staff is the brand.
//! Nobody else can read a ticket, so it has no reach. Internal notes are rejected. Ids are unique only within
//! an account, so a source names its account.

mod comment;

use firewatch_domain::{Author, EventTime, Post};
use serde::Deserialize;
use serde::de::IgnoredAny;

use self::comment::{Comment, User};
use crate::bad_items::ItemList;
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_public, not_relevant, unknown_payload};
use crate::json_values::{Id, IfObject, IfText, Items, OneOrMany, non_empty_id};
use crate::platform_time::{self, PlatformTime};
use crate::{Result, html, json};

#[derive(Debug, Deserialize)]
struct Payload {
    ticket: Option<Ticket>,
    tickets: Option<Items<Ticket>>,
    audit: Option<Audit>,
    audits: Option<Items<Audit>>,
    ticket_events: Option<Items<Audit>>,
    comments: Option<Items<Comment>>,
    ticket_id: Option<Id>,
    #[serde(default)]
    users: Items<User>,
    /// What a search found: tickets among others.
    results: Option<Items<Ticket>>,
    /// Fields of what nobody outside may read.
    suspended_tickets: Option<IgnoredAny>,
    suspended_ticket: Option<IgnoredAny>,
    side_conversations: Option<IgnoredAny>,
    side_conversation: Option<IgnoredAny>,
    events: Option<IgnoredAny>,
    chats: Option<IgnoredAny>,
    messages: Option<IgnoredAny>,
    satisfaction_ratings: Option<IgnoredAny>,
    satisfaction_rating: Option<IgnoredAny>,
    /// Fields of an event webhook.
    #[serde(rename = "type")]
    kind: Option<String>,
    time: Option<PlatformTime>,
    detail: Option<Ticket>,
    event: Option<WebhookEvent>,
    /// A field of a ticket without a wrapper.
    requester_id: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
}

pub(crate) const LISTS: &[ItemList] = &[
    ItemList::of::<Ticket>(""),
    ItemList::of::<Ticket>("tickets"),
    ItemList::of::<Ticket>("results"),
    ItemList::of::<Audit>("audits"),
    ItemList::of::<Audit>("ticket_events"),
    ItemList::of::<Comment>("events"),
    ItemList::of::<Comment>("child_events"),
    ItemList::of::<Comment>("comments"),
    ItemList::of::<User>("users"),
];

#[derive(Debug, Deserialize)]
struct Ticket {
    /// What a search found.
    result_type: Option<String>,
    id: Option<Id>,
    /// The address for programs.
    url: Option<String>,
    created_at: Option<PlatformTime>,
    updated_at: Option<PlatformTime>,
    subject: Option<String>,
    description: Option<String>,
    status: Option<String>,
    requester_id: Option<Id>,
    is_public: Option<bool>,
    via: Option<IfObject<Via>>,
}

/// Where a ticket or comment came from.
#[derive(Debug, Deserialize)]
struct Via {
    channel: Option<IfText>,
}

impl Via {
    /// Checks that it is not part of a conversation beside a ticket.
    fn is_public(via: Option<&IfObject<Self>>) -> Result<()> {
        let channel = via.and_then(|via| via.0.as_ref()?.channel.as_ref()?.0.as_deref());
        if channel == Some("side_conversation") {
            return Err(not_public("messages, chats or conversations beside a ticket"));
        }
        Ok(())
    }
}

/// A set of simultaneous changes, which may include comments.
#[derive(Debug, Deserialize)]
struct Audit {
    ticket_id: Option<Id>,
    created_at: Option<PlatformTime>,
    timestamp: Option<PlatformTime>,
    via: Option<IfObject<Via>>,
    #[serde(default, alias = "child_events")]
    events: Items<Comment>,
}

#[derive(Debug, Deserialize)]
struct WebhookEvent {
    comment: Option<Comment>,
}

/// Decodes a payload.
pub(crate) fn decode(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let OneOrMany::One(payload) = json::payload::<Payload>(bytes)? else {
        if let OneOrMany::Many(tickets) = json::payload::<Ticket>(bytes)? {
            out.each("", tickets, |out, ticket| ticket.read(out));
        }
        return Ok(());
    };
    let mut payload = *payload;
    if let Some(kind) = payload.kind.take() {
        return payload.webhook(&kind, out);
    }
    let of_suspended = [&payload.suspended_tickets, &payload.suspended_ticket];
    if of_suspended.into_iter().any(Option::is_some) {
        return Err(not_public("tickets that are held as spam"));
    }
    let is_of_ticket = payload.ticket.is_some() || payload.requester_id.is_some();
    let has_rating = payload.satisfaction_rating.is_some() && !is_of_ticket;
    if has_rating || payload.satisfaction_ratings.is_some() {
        return Err(not_public("ratings, which only the company sees"));
    }
    let of_others = [
        &payload.side_conversations,
        &payload.side_conversation,
        &payload.events,
        &payload.chats,
        &payload.messages,
    ];
    if payload.event.is_some() || of_others.into_iter().any(Option::is_some) {
        return Err(not_public("messages, chats or conversations beside a ticket"));
    }
    if let Some(results) = payload.results {
        out.each("results", results, |out, ticket| match ticket.result_type.as_deref() {
            None | Some("ticket") => ticket.read(out),
            Some(_) => Err(not_relevant("a search result other than a ticket")),
        });
        return Ok(());
    }
    let users: Vec<User> = std::mem::take(&mut payload.users).iter().cloned().collect();
    if let Some(ticket) = payload.ticket {
        ticket.read(out)?;
        let id = ticket.id()?;
        // The description is the first comment.
        let later = payload.comments.unwrap_or_default();
        let later = later.into_iter().map(|one| one.filter(|one| !one.is_description_of(&ticket)));
        out.each("comments", later, |out, comment| comment.read(Some(&id), Some(&ticket), None, &users, out));
        // The first comment of a ticket is its description, so the audit of the creation is skipped.
        let later = payload.audit.filter(|audit| audit.time().ok() != ticket.time().ok());
        return later.map_or(Ok(()), |audit| audit.read(Some(&ticket), &users, out));
    }
    if let Some(tickets) = payload.tickets {
        out.each("tickets", tickets, |out, ticket| ticket.read(out));
    } else if let Some(audits) = payload.audits {
        out.each("audits", audits, |out, audit| audit.read(None, &users, out));
    } else if let Some(audits) = payload.ticket_events {
        out.each("ticket_events", audits, |out, audit| audit.read(None, &users, out));
    } else if let Some(audit) = payload.audit {
        return audit.read(None, &users, out);
    } else if let Some(comments) = payload.comments {
        let batch_ticket_id = non_empty_id(payload.ticket_id);
        out.each("comments", comments, |out, comment| {
            if let (Some(true), Some(id)) = (comment.public(), non_empty_id(comment.id.clone())) {
                out.shown(&id, out.arrival);
            }
            comment.read(batch_ticket_id.as_deref(), None, None, &users, out)
        });
    } else if payload.requester_id.is_some() {
        if let OneOrMany::One(ticket) = json::payload::<Ticket>(bytes)? {
            return ticket.read(out);
        }
    } else if payload.error.is_some() {
        return Err(unknown_payload("an error response of Zendesk; no ticket"));
    } else {
        return Err(unknown_payload(
            "not a Zendesk payload with a ticket, audits, ticket events or comments",
        ));
    }
    Ok(())
}

impl Payload {
    /// Decodes an event webhook, such as `zen:event-type:ticket.comment_added`.
    fn webhook(self, kind: &str, out: &mut DecodeOutput<'_>) -> Result<()> {
        let Some(kind) = kind.strip_prefix("zen:event-type:ticket.") else {
            return Err(not_relevant("an event that is not about a ticket"));
        };
        let ticket = self.detail.ok_or_else(|| missing("detail"))?;
        let at = platform_time::required("time", self.time.clone())?;
        let id = ticket.id()?;
        match kind {
            "created" => ticket.read(out),
            "undeleted" => {
                let post = Post { restored: true, ..ticket.public_post()? };
                out.post(Occurrence { root: &id, at }, post)
            }
            "description_changed" | "subject_changed" => {
                let post = Post { edited_at: Some(at), ..ticket.public_post()? };
                out.post(Occurrence { root: &id, at: ticket.time()? }, post)
            }
            "soft_deleted" | "permanently_deleted" | "marked_as_spam" => {
                out.delete(Occurrence { root: &id, at }, &id)
            }
            "comment_added" => {
                let comment = self.event.and_then(|event| event.comment);
                let comment = comment.ok_or_else(|| missing("event.comment"))?;
                if comment.is_description_of(&ticket) {
                    // Its id as a comment would make it a second post.
                    return ticket.read(out);
                }
                comment.read(Some(&id), Some(&ticket), self.time, &[], out)
            }
            "comment_redacted" | "comment_made_private" => {
                let comment = self.event.and_then(|event| non_empty_id(event.comment?.id));
                out.delete(Occurrence { root: &id, at }, &comment.ok_or_else(|| missing("event.comment.id"))?)
            }
            _ => Err(not_relevant("a ticket change other than a comment")),
        }
    }
}

impl Ticket {
    fn read(&self, out: &mut DecodeOutput<'_>) -> Result<()> {
        if self.status.as_deref() == Some("deleted") {
            let id = self.id()?;
            let at = platform_time::optional("updated_at", self.updated_at.clone())?;
            return out.delete(Occurrence { root: &id, at: at.unwrap_or(out.arrival) }, &id);
        }
        let post = self.public_post()?;
        let (id, at) = (post.id.clone(), self.time()?);
        let shown_since = platform_time::optional("updated_at", self.updated_at.clone())?;
        out.shown_post(Occurrence { root: &id, at }, post, shown_since)
    }

    /// Returns the first comment of a ticket that everybody on it may read.
    fn public_post(&self) -> Result<Post> {
        Via::is_public(self.via.as_ref())?;
        if self.is_public == Some(false) {
            return Err(not_public("a ticket that begins with an internal note"));
        }
        let id = self.id()?;
        let words = self.description.clone().ok_or_else(|| missing("description"))?;
        let text = html::with_title(self.subject.clone(), words);
        let author = non_empty_id(self.requester_id.clone()).map(|id| Author { id, ..Author::default() });
        Ok(Post { url: self.agent_url(&id), id, author, text, ..Post::default() })
    }

    /// Returns the address at which agents read the ticket.
    fn agent_url(&self, id: &str) -> Option<String> {
        let (host, _) = self.url.as_deref()?.split_once("/api/")?;
        Some(format!("{host}/agent/tickets/{id}"))
    }

    fn id(&self) -> Result<String> {
        non_empty_id(self.id.clone()).ok_or_else(|| missing("id"))
    }

    fn time(&self) -> Result<EventTime> {
        platform_time::required("created_at", self.created_at.clone())
    }
}

impl Audit {
    fn time(&self) -> Result<EventTime> {
        platform_time::required("created_at", self.created_at.clone().or_else(|| self.timestamp.clone()))
    }

    fn read(self, ticket: Option<&Ticket>, users: &[User], out: &mut DecodeOutput<'_>) -> Result<()> {
        Via::is_public(self.via.as_ref())?;
        let ticket_id = non_empty_id(self.ticket_id).ok_or_else(|| missing("ticket_id"))?;
        let at = self.created_at.or(self.timestamp);
        let is_relevant = |event: &Comment| {
            event.is_comment()
                || matches!(event.kind(), Some("CommentPrivacyChange" | "CommentRedactionEvent"))
        };
        if !self.events.iter().any(is_relevant) {
            return Err(not_relevant("a ticket change other than a comment"));
        }
        let events = self.events.into_iter().map(|event| event.filter(is_relevant));
        out.each("events", events, |out, event| match event.kind() {
            _ if event.is_comment() => event.read(Some(&ticket_id), ticket, at.clone(), users, out),
            Some("CommentPrivacyChange") if event.public() == Some(true) => {
                if let Some(comment) = non_empty_id(event.comment_id) {
                    out.shown(&comment, platform_time::required("created_at", at.clone())?);
                }
                Err(not_relevant("a note that was made public; fetch the comment"))
            }
            _ => {
                let comment = non_empty_id(event.comment_id).ok_or_else(|| missing("comment_id"))?;
                let at = platform_time::required("created_at", at.clone())?;
                out.delete(Occurrence { root: &ticket_id, at }, &comment)
            }
        });
        Ok(())
    }
}
