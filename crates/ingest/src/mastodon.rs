//! Decodes Mastodon: statuses, and the streaming events `update`, `status.update` and `delete`.
//!
//! Ids belong to the server that was queried, so a source names its server. A status names the post it
//! replies to, but not the root of its thread. Statuses with the visibility `private`, `direct` or `limited`
//! are rejected; all others are kept: `public`, `unlisted`, and those without a visibility.

use firewatch_domain::{
    AccountKind, Author, Counters, Engagement, EngagementKind, EventTime, Post, RejectionCode as Code,
};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_relevant, unknown_payload};
use crate::json_values::{Count, Id, OneOrMany, known_count};
use crate::{Rejection, Result, html, json, platform_time};

/// A status, or a streaming frame that contains one.
#[derive(Debug, Deserialize)]
struct Payload {
    event: Option<String>,
    /// The object itself, or its JSON as a string.
    payload: Option<Box<Inner>>,
    #[serde(rename = "error")]
    error: Option<IgnoredAny>,
    /// A field that accounts have and statuses do not.
    acct: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Inner {
    Text(String),
    Number(u64),
    Object(Box<Status>),
}

#[derive(Debug, Deserialize)]
struct Status {
    id: Option<Id>,
    created_at: Option<String>,
    edited_at: Option<String>,
    in_reply_to_id: Option<Id>,
    spoiler_text: Option<String>,
    visibility: Option<String>,
    language: Option<String>,
    content: Option<String>,
    account: Option<Account>,
    reblog: Option<Box<Status>>,
    quote: Option<Quote>,
    replies_count: Option<Count>,
    reblogs_count: Option<Count>,
    favourites_count: Option<Count>,
    quotes_count: Option<Count>,
}

#[derive(Debug, Deserialize)]
struct Account {
    id: Option<Id>,
    acct: Option<String>,
    bot: Option<bool>,
    followers_count: Option<Count>,
}

/// A quote as of Mastodon 4.4. Servers that supported quotes earlier give the status itself.
#[derive(Debug, Deserialize)]
struct Quote {
    quoted_status: Option<Box<Status>>,
    quoted_status_id: Option<Id>,
    id: Option<Id>,
}

/// Decodes a payload: JSON, or a server-sent event.
pub(crate) fn decode(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let start = bytes.trim_ascii_start();
    if start.starts_with(b"event:") || start.starts_with(b"data:") || start.starts_with(b":") {
        return read_sent_event(bytes, out);
    }
    match json::payload::<Payload>(bytes)? {
        OneOrMany::One(frame) => read_one(*frame, bytes, out),
        OneOrMany::Many(_) => {
            if let OneOrMany::Many(statuses) = json::payload::<Status>(bytes)? {
                out.each("", statuses, |out, status| status.read(out));
            }
            Ok(())
        }
    }
}

fn read_one(frame: Payload, bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    if let Some(event) = frame.event {
        return match frame.payload.map(|inner| *inner) {
            None => Err(not_relevant("a stream notice; no status")),
            Some(Inner::Text(text)) => read_event(&event, &text, out),
            Some(Inner::Number(id)) => read_event(&event, &id.to_string(), out),
            Some(Inner::Object(status)) if is_status(&event) => status.read(out),
            Some(Inner::Object(_)) => Err(other_event()),
        };
    }
    if frame.error.is_some() {
        return Err(unknown_payload("an error response of the server; no status"));
    }
    if frame.acct.is_some() {
        return Err(not_relevant("an account; no status"));
    }
    json::one::<Status>(bytes)?.read(out)
}

/// Decodes a server-sent event: `event: NAME`, then `data: PAYLOAD`. Lines that begin with a colon are
/// comments.
fn read_sent_event(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Rejection::new(Code::NotUtf8, format!("byte {} is not UTF-8", e.valid_up_to())))?;
    let (mut event, mut data) = (None, String::new());
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("event:") {
            event = Some(name.trim());
        } else if let Some(more) = line.strip_prefix("data:") {
            data.push_str(more.strip_prefix(' ').unwrap_or(more));
        }
    }
    match event {
        Some(event) => read_event(event, &data, out),
        None => Err(not_relevant("a stream heartbeat")),
    }
}

fn read_event(event: &str, data: &str, out: &mut DecodeOutput<'_>) -> Result<()> {
    if is_status(event) {
        return json::one::<Status>(data.as_bytes())?.read(out);
    }
    if event != "delete" {
        return Err(other_event());
    }
    let id = data.trim().trim_matches('"');
    if id.is_empty() {
        return Err(missing("payload"));
    }
    out.delete(Occurrence { root: id, at: out.arrival }, id)
}

fn is_status(event: &str) -> bool {
    event == "update" || event == "status.update"
}

fn other_event() -> Rejection {
    not_relevant("a stream event other than `update`, `status.update` and `delete`; no status")
}

impl Status {
    fn read(&self, out: &mut DecodeOutput<'_>) -> Result<()> {
        if self.content.is_none() && self.account.is_none() {
            return Err(unknown_payload("not a Mastodon status: `content` and `account` are missing"));
        }
        self.is_public()?;
        let (id, at) = (self.id()?, self.time()?);
        let Some(original) = &self.reblog else { return self.post(out.arrival, out) };
        original.is_public()?;
        original.post(at, out).map_err(|e| e.within("reblog"))?;
        let reaction = self.reaction(EngagementKind::Reshare);
        // The boosted status comes whole, so its parent is known: a boost of a reply counts in the parent's
        // conversation.
        out.engagement(Occurrence { root: original.root()?, at }, id.to_owned(), reaction)
    }

    /// Emits a status and its counters as of `counted_at`.
    fn post(&self, counted_at: EventTime, out: &mut DecodeOutput<'_>) -> Result<()> {
        let (id, at, root) = (self.id()?, self.time()?, self.root()?);
        let quoted = self.quote.as_ref().and_then(Quote::id);
        let edited_at =
            self.edited_at.as_deref().map(|at| platform_time::text("edited_at", Some(at))).transpose()?;
        let content = self.content.as_deref().ok_or_else(|| missing("content"))?;
        let text = match self.spoiler_text.as_deref().filter(|warning| !warning.is_empty()) {
            None => html::text(content),
            Some(warning) => format!("{warning}\n\n{}", html::text(content)),
        };
        let post = Post {
            id: id.to_owned(),
            author: self.account.as_ref().and_then(Account::author),
            text,
            lang: self.language.clone(),
            in_reply_to: self.in_reply_to_id.as_ref().map(|id| id.0.clone()),
            quotes: quoted.map(Into::into),
            edited_at,
            ..Post::default()
        };
        out.post(Occurrence { root, at }, post)?;
        if let Some(quoted) = quoted {
            let reaction = self.reaction(EngagementKind::Quote);
            // The payload may hold only the quoted id, so the quoted status counts as the root. If it is a
            // reply that the ingester has seen, the ingester moves the quote to that thread, where it also
            // puts `Post::related`. If not, the quote stays in a conversation of the reply's own.
            out.engagement(Occurrence { root: quoted, at }, format!("quote/{id}"), reaction)?;
        }
        if self.in_reply_to_id.is_some() {
            // The counters of a reply are not those of the conversation.
            return Ok(());
        }
        out.counters(Occurrence { root, at: counted_at.max(at) }, self.counters())
    }

    fn is_public(&self) -> Result<()> {
        match self.visibility.as_deref() {
            Some("private" | "direct" | "limited") => Err(not_relevant("a status that is not public")),
            _ => Ok(()),
        }
    }

    fn id(&self) -> Result<&str> {
        self.id.as_ref().map(|id| id.0.as_str()).ok_or_else(|| missing("id"))
    }

    /// Returns the closest known root: the parent of a reply, otherwise the status itself. The ingester finds
    /// the true root, as far as it remembers the replies in between.
    fn root(&self) -> Result<&str> {
        self.in_reply_to_id.as_ref().map_or_else(|| self.id(), |id| Ok(&id.0))
    }

    fn time(&self) -> Result<EventTime> {
        platform_time::text("created_at", self.created_at.as_deref())
    }

    fn reaction(&self, kind: EngagementKind) -> Engagement {
        let author = self.account.as_ref().and_then(Account::author);
        match author {
            None => Engagement::new(kind, None, None),
            Some(Author { id, followers, account, .. }) => {
                Engagement { account, ..Engagement::new(kind, Some(id), followers) }
            }
        }
    }

    fn counters(&self) -> Counters {
        Counters {
            reshares: known_count(self.reblogs_count),
            replies: known_count(self.replies_count),
            quotes: known_count(self.quotes_count),
            likes: known_count(self.favourites_count),
            views: None,
        }
    }
}

impl Account {
    fn author(&self) -> Option<Author> {
        Some(Author {
            id: self.id.as_ref()?.0.clone(),
            handle: self.acct.clone(),
            followers: known_count(self.followers_count),
            verified: None,
            account: self.bot.filter(|is_bot| *is_bot).map(|_| AccountKind::Bot),
            ..Author::default()
        })
    }
}

impl Quote {
    fn id(&self) -> Option<&str> {
        let status = self.quoted_status.as_ref().and_then(|status| status.id.as_ref());
        status.or(self.quoted_status_id.as_ref()).or(self.id.as_ref()).map(|id| id.0.as_str())
    }
}
