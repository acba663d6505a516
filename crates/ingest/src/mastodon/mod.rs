//! Decodes Mastodon: statuses, searches, threads, notifications, and the events of its streaming API.
//!
//! Ids belong to the server that was queried, so a source names its server. A status names the post it
//! replies to, but not the root of its thread. Statuses with the visibility `public` or `unlisted` are kept.

mod groups;
mod stream;

use firewatch_domain::{AccountKind, Author, Counters, Engagement, EngagementKind, EventTime, Post};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use groups::NotificationGroup;
use stream::{read_event, read_sent_event};

use crate::bad_items::ItemList;
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_public, not_relevant, unknown_payload};
use crate::json_values::{Count, Id, IfText, Items, OneOrMany, known_count};
use crate::{Result, html, json, platform_time};

/// A streaming frame, a page, or a single status or notification.
#[derive(Debug, Deserialize)]
struct Payload {
    /// The name of a stream event; an object in a notification.
    event: Option<IfText>,
    /// The object itself, or its JSON as a string.
    payload: Option<Inner>,
    /// The object of a webhook of the server.
    object: Option<Value>,
    error: Option<IgnoredAny>,
    /// A field of push notifications.
    notification_type: Option<IgnoredAny>,
    /// Results of a search, or the statuses of grouped notifications.
    statuses: Option<Items<Status>>,
    accounts: Option<Items<Account>>,
    notification_groups: Option<Items<NotificationGroup>>,
    /// The thread above and below a status.
    ancestors: Option<Items<Status>>,
    descendants: Option<Items<Status>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected an id, an object, or JSON as a text")]
enum Inner {
    Text(String),
    Number(u64),
    Object(Value),
}

/// A status, or another object with a status in it.
#[derive(Debug, Deserialize)]
struct Status {
    id: Option<Id>,
    created_at: Option<String>,
    edited_at: Option<String>,
    in_reply_to_id: Option<Id>,
    spoiler_text: Option<String>,
    visibility: Option<String>,
    /// Not for other servers, nor for readers without an account here.
    local_only: Option<bool>,
    /// A field of the chat messages of Pleroma, which have no visibility.
    chat_id: Option<IgnoredAny>,
    language: Option<String>,
    content: Option<String>,
    /// The text as it was typed, in the source of a status.
    text: Option<IgnoredAny>,
    /// Fields of announcements of the server, and of links and tags that are talked about.
    starts_at: Option<IgnoredAny>,
    all_day: Option<IgnoredAny>,
    history: Option<IgnoredAny>,
    url: Option<String>,
    uri: Option<String>,
    account: Option<Account>,
    reblog: Option<Box<Status>>,
    quote: Option<Quote>,
    poll: Option<Poll>,
    #[serde(default)]
    media_attachments: Items<Media>,
    replies_count: Option<Count>,
    reblogs_count: Option<Count>,
    favourites_count: Option<Count>,
    quotes_count: Option<Count>,
    /// Fields of a notification.
    #[serde(rename = "type")]
    kind: Option<String>,
    status: Option<Box<Status>>,
    /// A field of accounts.
    acct: Option<IgnoredAny>,
    /// A field of private conversations.
    last_status: Option<IgnoredAny>,
    /// Fields of statuses that are not published yet.
    scheduled_at: Option<IgnoredAny>,
    params: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Account {
    id: Option<Id>,
    acct: Option<String>,
    url: Option<String>,
    bot: Option<bool>,
    followers_count: Option<Count>,
}

/// A quote as of Mastodon 4.4. Servers that supported quotes earlier give the status itself.
#[derive(Debug, Deserialize)]
struct Quote {
    quoted_status: Option<Box<Status>>,
    quoted_status_id: Option<Id>,
    #[serde(flatten)]
    itself: Box<Status>,
}

#[derive(Debug, Deserialize)]
struct Poll {
    #[serde(default)]
    options: Vec<PollOption>,
}

#[derive(Debug, Deserialize)]
struct PollOption {
    title: Option<String>,
}

/// A picture, film or sound.
#[derive(Debug, Deserialize)]
struct Media {
    /// What it shows, for those who do not see it.
    description: Option<String>,
}

pub(crate) const LISTS: &[ItemList] = &[
    ItemList::of::<Status>(""),
    ItemList::of::<Status>("statuses"),
    ItemList::of::<Status>("ancestors"),
    ItemList::of::<Status>("descendants"),
    ItemList::of::<Account>("accounts"),
    ItemList::of::<NotificationGroup>("notification_groups"),
];

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
    if let Some(event) = frame.event.and_then(|event| event.0) {
        let webhook = frame.object.filter(|_| event.starts_with("status."));
        return match frame.payload.or(webhook.map(Inner::Object)) {
            None => Err(not_relevant("a stream notice; no status")),
            Some(Inner::Text(text)) => read_event(&event, &text, out),
            Some(Inner::Number(id)) => read_event(&event, &id.to_string(), out),
            Some(Inner::Object(object)) => read_event(&event, &object.to_string(), out),
        };
    }
    if frame.notification_type.is_some() {
        return Err(not_public("a push notification, which does not say who may read its status"));
    }
    if frame.error.is_some() {
        return Err(unknown_payload("an error response of the server; no status"));
    }
    let pages =
        [("ancestors", &frame.ancestors), ("statuses", &frame.statuses), ("descendants", &frame.descendants)];
    let mut is_page = false;
    for (place, statuses) in pages {
        is_page |= statuses.is_some();
        out.each(place, statuses.iter().flatten(), |out, status| status.read(out));
    }
    let (statuses, accounts) = (frame.statuses.unwrap_or_default(), frame.accounts.unwrap_or_default());
    let groups = frame.notification_groups.unwrap_or_default();
    out.each("notification_groups", groups, |out, group| group.read(&statuses, &accounts, out));
    if is_page { Ok(()) } else { json::one::<Status>(bytes)?.read(out) }
}

impl Status {
    fn read(&self, out: &mut DecodeOutput<'_>) -> Result<()> {
        if self.starts_at.is_some() || self.all_day.is_some() || self.history.is_some() {
            return Err(not_relevant("an announcement, or a link or tag that is talked about; no status"));
        }
        if let Err(rejection) = self.is_public() {
            // Who may see a boost has nothing to do with the original.
            if let Some(original) = &self.reblog {
                original.post_within("reblog", out.arrival, out);
            }
            return Err(rejection);
        }
        if let Some(kind) = self.kind.as_deref().filter(|_| self.content.is_none()) {
            return self.notification(kind, out);
        }
        if self.acct.is_some() {
            return Err(not_relevant("an account; no status"));
        }
        if self.content.is_none() && self.text.is_some() {
            return Err(not_public("the source of a status, which does not say who may read it"));
        }
        if self.content.is_none() {
            return Err(unknown_payload("not a Mastodon status: `content` is missing"));
        }
        let (id, at) = (self.id()?, self.time()?);
        let Some(original) = &self.reblog else { return self.post(out.arrival, out) };
        original.is_public()?;
        original.post_within("reblog", out.arrival, out);
        let reaction = self.reaction(EngagementKind::Reshare);
        // The boosted status comes whole, so its parent is known: a boost of a reply counts in the parent's
        // conversation.
        let by = self.account.as_ref().and_then(|account| account.id.as_ref());
        let id = by.map_or_else(|| Ok(id.to_owned()), |by| original.reaction_id("reblog", by))?;
        out.engagement(Occurrence { root: original.root()?, at }, id, reaction)
    }

    /// Returns the id of an account's reaction to the status: the same in a stream and in notifications.
    fn reaction_id(&self, name: &str, by: &Id) -> Result<String> {
        Ok(format!("{name}/{}/{}", self.id()?, by.0))
    }

    /// Emits what a notification is about: a status, or a reaction to one.
    fn notification(&self, kind: &str, out: &mut DecodeOutput<'_>) -> Result<()> {
        let Some(status) = &self.status else {
            return Err(not_relevant("a notification without a status"));
        };
        status.read(out).map_err(|e| e.within("status"))?;
        let Some((name, reaction)) = reaction_kind(kind) else { return Ok(()) };
        let by = self.account.as_ref().and_then(|account| account.id.as_ref());
        let by = by.ok_or_else(|| missing("account.id"))?;
        let id = status.reaction_id(name, by)?;
        out.engagement(Occurrence { root: status.root()?, at: self.time()? }, id, self.reaction(reaction))
    }

    /// Emits a status that another one contains. A rejected one does not affect the other.
    fn post_within(&self, step: &str, counted_at: EventTime, out: &mut DecodeOutput<'_>) {
        if let Err(rejection) = self.is_public().and_then(|()| self.post(counted_at, out)) {
            out.reject(rejection.within(step));
        }
    }

    /// Emits a status and its counters as of `counted_at`, after the status that it quotes.
    fn post(&self, counted_at: EventTime, out: &mut DecodeOutput<'_>) -> Result<()> {
        let (id, at, root) = (self.id()?, self.time()?, self.root()?);
        if let Some(quote) = &self.quote {
            let quoted = quote.quoted_status.as_ref().map(|status| ("quote/quoted_status", status));
            let (place, status) = quoted.unwrap_or(("quote", &quote.itself));
            if status.content.is_some() {
                status.post_within(place, counted_at, out);
            }
        }
        let quoted = self.quote.as_ref().and_then(Quote::id);
        let edited_at =
            self.edited_at.as_deref().map(|at| platform_time::text("edited_at", Some(at))).transpose()?;
        let content = self.content.as_deref().ok_or_else(|| missing("content"))?;
        let post = Post {
            id: id.to_owned(),
            author: self.account.as_ref().and_then(Account::author),
            text: self.text(content),
            lang: self.language.clone(),
            in_reply_to: self.in_reply_to_id.as_ref().map(|id| id.0.clone()),
            quotes: quoted.map(Into::into),
            url: self.url.clone().or_else(|| self.uri.clone()),
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

    /// Returns all that the status says: the warning before it, the text, the options of a poll, and what its
    /// pictures show.
    fn text(&self, content: &str) -> String {
        let warning = self.spoiler_text.clone().unwrap_or_default();
        let options =
            self.poll.iter().flat_map(|poll| &poll.options).filter_map(|option| option.title.clone());
        let shown = self.media_attachments.iter().filter_map(|media| media.description.clone());
        html::paragraphs([warning, html::text(content)].into_iter().chain(options).chain(shown))
    }

    fn is_public(&self) -> Result<()> {
        if self.last_status.is_some() || self.chat_id.is_some() {
            return Err(not_public("a private conversation"));
        }
        if self.scheduled_at.is_some() || self.params.is_some() {
            return Err(not_public("a status that is not published yet"));
        }
        match self.visibility.as_deref() {
            _ if self.local_only == Some(true) => {
                Err(not_public("a status for the members of its server only"))
            }
            Some("public" | "unlisted") => Ok(()),
            // A notification, or another object without words.
            None if self.content.is_none() => Ok(()),
            None => Err(not_public("a status, or a version of one, that does not say who may read it")),
            Some(_) => Err(not_public("a status that is not public")),
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
        let account = self.account.as_ref();
        account.map_or_else(|| Engagement::new(kind, None, None), |account| account.reaction(kind))
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

/// Returns how reactions of a kind of notification are named, and what they are. `None` for other notifications.
fn reaction_kind(notification: &str) -> Option<(&'static str, EngagementKind)> {
    match notification {
        "reblog" => Some(("reblog", EngagementKind::Reshare)),
        "favourite" => Some(("favourite", EngagementKind::Like)),
        // Of Pleroma and Akkoma, Fedibird, and others.
        "pleroma:emoji_reaction" | "emoji_reaction" | "reaction" => Some(("emoji", EngagementKind::Like)),
        _ => None,
    }
}

impl Account {
    fn reaction(&self, kind: EngagementKind) -> Engagement {
        match self.author() {
            None => Engagement::new(kind, None, None),
            Some(Author { id, followers, account, .. }) => {
                Engagement { account, ..Engagement::new(kind, Some(id), followers) }
            }
        }
    }

    fn author(&self) -> Option<Author> {
        Some(Author {
            id: self.id.as_ref()?.0.clone(),
            handle: self.acct.clone(),
            url: self.url.clone(),
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
        status.or(self.quoted_status_id.as_ref()).or(self.itself.id.as_ref()).map(|id| id.0.as_str())
    }
}
