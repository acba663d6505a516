//! Decodes Bluesky: Jetstream events, views and notifications of the AppView, and records of a repository.
//!
//! The stream has no follower counts or counters; post views have counters only. `createdAt` is set by the
//! client, so it is capped at the time when the record was seen. A deletion contains only the record's name. An
//! account can repost or like a post once, so a reaction is known by the post and the account.

mod record;
mod view;

use firewatch_domain::{Author, EngagementKind, EventTime};
use serde::Deserialize;
use serde::de::IgnoredAny;

use self::record::{Record, is_post};
use self::view::{Entry, Liked, Profile, Thread, View};
use crate::bad_items::ItemList;
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_public, not_relevant, unknown_payload};
use crate::json_values::{Count, IfObject, Items, OneOrMany, known_count};
use crate::{Rejection, Result, json};

const POST: &str = "app.bsky.feed.post";
const REPOST: &str = "app.bsky.feed.repost";
const LIKE: &str = "app.bsky.feed.like";

/// A Jetstream event, a view, a record, or a page of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    did: Option<String>,
    #[serde(rename = "time_us")]
    time_us: Option<Count>,
    kind: Option<String>,
    commit: Option<Box<Commit>>,
    account: Option<IfObject<Account>>,
    posts: Option<Items<View>>,
    feed: Option<Items<Entry>>,
    /// A tree of posts, or the list of its items.
    thread: Option<OneOrMany<Thread>>,
    notifications: Option<Items<View>>,
    records: Option<Items<View>>,
    /// Who liked or reposted the post at `uri`.
    likes: Option<Items<Liked>>,
    reposted_by: Option<Items<Profile>>,
    error: Option<IgnoredAny>,
    uri: Option<String>,
    /// Fields of private messages.
    messages: Option<IgnoredAny>,
    convo: Option<IgnoredAny>,
    convos: Option<IgnoredAny>,
    logs: Option<IgnoredAny>,
    sender: Option<IgnoredAny>,
    drafts: Option<IgnoredAny>,
}

pub(crate) const LISTS: &[ItemList] = &[
    ItemList::of::<View>(""),
    ItemList::of::<View>("posts"),
    ItemList::of::<Entry>("feed"),
    ItemList::of::<Thread>("replies"),
    ItemList::of::<Thread>("thread"),
    ItemList::of::<View>("notifications"),
    ItemList::of::<View>("records"),
    ItemList::of::<Liked>("likes"),
    ItemList::of::<Profile>("repostedBy"),
];

#[derive(Debug, Default, Deserialize)]
struct Account {
    active: Option<bool>,
    status: Option<String>,
}

impl Account {
    /// Notes that the account is gone, and with it its posts, or active again. Other inactive states are temporary
    /// states of the server.
    fn read(&self, did: Option<String>, at: EventTime, out: &mut DecodeOutput<'_>) -> Result<()> {
        let gone = ["deleted", "deactivated", "suspended", "takendown"];
        match self.active {
            Some(false) if self.status.as_deref().is_some_and(|status| gone.contains(&status)) => {
                return out.delete_account(&did.ok_or_else(|| missing("did"))?, at);
            }
            Some(true) => out.restored_account(&did.ok_or_else(|| missing("did"))?, at),
            _ => {}
        }
        Err(not_relevant("an account change; no post"))
    }
}

#[derive(Debug, Deserialize)]
struct Commit {
    operation: Option<String>,
    collection: Option<String>,
    rkey: Option<String>,
    record: Option<Record>,
}

/// Decodes a payload.
pub(crate) fn decode(bytes: &[u8], out: &mut DecodeOutput<'_>) -> Result<()> {
    let OneOrMany::One(payload) = json::payload::<Payload>(bytes)? else {
        if let OneOrMany::Many(views) = json::payload::<View>(bytes)? {
            out.each("", views, |out, view| view.read(out));
        }
        return Ok(());
    };
    match payload.kind.as_deref() {
        Some("commit") => {
            let by = payload.did.ok_or_else(|| missing("did"))?;
            let seen = known_count(payload.time_us).and_then(|us| i64::try_from(us / 1000).ok());
            let commit = payload.commit.ok_or_else(|| missing("commit"))?;
            return commit.read(&by, seen.map(EventTime::from_millis), out);
        }
        Some("account") => {
            let account = payload.account.and_then(|account| account.0).unwrap_or_default();
            let at = known_count(payload.time_us).and_then(|us| i64::try_from(us / 1000).ok());
            return account.read(payload.did, at.map_or(out.arrival, EventTime::from_millis), out);
        }
        Some("identity") => return Err(not_relevant("an account change; no post")),
        _ => {}
    }
    let of_messages = [&payload.messages, &payload.convo, &payload.convos, &payload.logs, &payload.sender];
    if of_messages.into_iter().any(Option::is_some) {
        return Err(not_public("private messages"));
    }
    if payload.drafts.is_some() {
        return Err(not_public("drafts"));
    }
    let pages =
        [("posts", payload.posts), ("notifications", payload.notifications), ("records", payload.records)];
    if let Some((place, Some(views))) = pages.into_iter().find(|page| page.1.is_some()) {
        out.each(place, views, |out, view| view.read(out));
    } else if let (Some(likes), Some(post)) = (&payload.likes, &payload.uri) {
        out.each("likes", likes, |out, like| like.read(post, out));
    } else if let (Some(accounts), Some(post)) = (&payload.reposted_by, &payload.uri) {
        let at = out.arrival;
        out.each("repostedBy", accounts, |out, by| by.react(EngagementKind::Reshare, (post, post), at, out));
    } else if let Some(feed) = payload.feed {
        out.each("feed", feed, |out, entry| entry.read(out));
    } else if let Some(thread) = payload.thread {
        match thread {
            OneOrMany::One(thread) => thread.read(out),
            OneOrMany::Many(items) => out.each("thread", items, |out, item| {
                item.read(out);
                Ok(())
            }),
        }
    } else if payload.error.is_some() {
        return Err(unknown_payload("an error response of the server; no post"));
    } else if payload.uri.is_none() {
        return Err(unknown_payload("not a Jetstream event or post view: `kind` and `uri` are missing"));
    } else if let OneOrMany::One(view) = json::payload::<View>(bytes)? {
        return view.read(out);
    }
    Ok(())
}

impl Commit {
    fn read(self, by: &str, seen: Option<EventTime>, out: &mut DecodeOutput<'_>) -> Result<()> {
        let collection = self.collection.ok_or_else(|| missing("commit.collection"))?;
        if ![POST, REPOST, LIKE].contains(&collection.as_str()) {
            return Err(not_relevant("a record other than a post, repost or like"));
        }
        let rkey = self.rkey.ok_or_else(|| missing("commit.rkey"))?;
        let uri = ["at://", by, "/", &collection, "/", &rkey].concat();
        let operation = self.operation.as_deref().ok_or_else(|| missing("commit.operation"))?;
        if operation == "delete" {
            if collection != POST {
                return Err(taken_back());
            }
            return out.delete(Occurrence { root: &uri, at: seen.unwrap_or(out.arrival) }, &uri);
        }
        let record = self.record.ok_or_else(|| missing("commit.record"))?;
        let at = record.time(seen)?;
        if collection == POST {
            let edited_at = seen.filter(|_| operation == "update");
            let author = Author { id: by.to_owned(), ..Author::default() };
            return record.post(&uri, Some(author), at, edited_at, out);
        }
        let kind = if collection == LIKE { EngagementKind::Like } else { EngagementKind::Reshare };
        let subject =
            record.subject.and_then(|subject| subject.0?.uri).ok_or_else(|| missing("subject.uri"))?;
        if !is_post(&subject) {
            return Err(not_relevant("a reaction to something other than a post"));
        }
        let by = Profile { did: Some(by.to_owned()), ..Profile::default() };
        by.react(kind, (&subject, &subject), at, out)
    }
}

fn taken_back() -> Rejection {
    not_relevant("a reaction was withdrawn; totals never decrease")
}
