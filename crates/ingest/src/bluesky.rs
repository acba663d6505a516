//! Decodes Bluesky: Jetstream events, and post views of the AppView.
//!
//! The stream has no follower counts or counters; post views have counters only. `createdAt` is set by the
//! client, so it is capped at the time when the record was seen. A deletion contains only the record's name.

use firewatch_domain::{Author, Counters, Engagement, EngagementKind, EventTime, Post};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_relevant, unknown_payload};
use crate::json_values::{Count, IfObject, OneOrMany, known_count};
use crate::{Rejection, Result, json, platform_time};

const POST: &str = "app.bsky.feed.post";
const REPOST: &str = "app.bsky.feed.repost";
const LIKE: &str = "app.bsky.feed.like";

/// A Jetstream event, a post view, or a page of views.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    did: Option<String>,
    #[serde(rename = "time_us")]
    time_us: Option<Count>,
    kind: Option<String>,
    commit: Option<Commit>,
    account: Option<IfObject<Account>>,
    posts: Option<Vec<View>>,
    feed: Option<Vec<Entry>>,
    thread: Option<Box<Thread>>,
    error: Option<IgnoredAny>,
    uri: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Account {
    active: Option<bool>,
    status: Option<String>,
}

impl Account {
    /// Returns whether the account's posts must be deleted. Other inactive states are temporary states of the
    /// server.
    fn is_gone(&self) -> bool {
        let gone = ["deleted", "deactivated", "suspended", "takendown"];
        self.active == Some(false) && self.status.as_deref().is_some_and(|status| gone.contains(&status))
    }
}

#[derive(Debug, Deserialize)]
struct Commit {
    operation: Option<String>,
    collection: Option<String>,
    rkey: Option<String>,
    record: Option<Record>,
}

/// A post, a repost or a like.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    text: Option<String>,
    created_at: Option<String>,
    langs: Option<Vec<String>>,
    reply: Option<Reply>,
    /// The post of a repost or like. A follow or block has an account here.
    subject: Option<IfObject<Link>>,
    embed: Option<Embed>,
}

#[derive(Debug, Deserialize)]
struct Reply {
    root: Option<Link>,
    parent: Option<Link>,
}

#[derive(Debug, Deserialize)]
struct Link {
    uri: Option<String>,
}

/// A quoted post, alone or with media. Embeds of other kinds have no record.
#[derive(Debug, Deserialize)]
struct Embed {
    record: Option<Embedded>,
}

#[derive(Debug, Deserialize)]
struct Embedded {
    uri: Option<String>,
    record: Option<Link>,
}

/// A post view of the AppView.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct View {
    uri: Option<String>,
    author: Option<Profile>,
    record: Option<Record>,
    indexed_at: Option<String>,
    reply_count: Option<Count>,
    repost_count: Option<Count>,
    like_count: Option<Count>,
    quote_count: Option<Count>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    did: Option<String>,
    handle: Option<String>,
    followers_count: Option<Count>,
    verification: Option<Verification>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verification {
    verified_status: Option<String>,
}

/// A post in a feed, with the reason for its appearance.
#[derive(Debug, Deserialize)]
struct Entry {
    post: Option<View>,
    reason: Option<Reason>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reason {
    uri: Option<String>,
    by: Option<Profile>,
    indexed_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Thread {
    post: Option<View>,
    parent: Option<Box<Thread>>,
    #[serde(default)]
    replies: Vec<Thread>,
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
        Some("account")
            if payload.account.as_ref().and_then(|a| a.0.as_ref()).is_some_and(Account::is_gone) =>
        {
            let by = payload.did.ok_or_else(|| missing("did"))?;
            let at = known_count(payload.time_us).and_then(|us| i64::try_from(us / 1000).ok());
            return out.delete_account(&by, at.map_or(out.arrival, EventTime::from_millis));
        }
        Some("identity" | "account") => return Err(not_relevant("an account change; no post")),
        _ => {}
    }
    if let Some(posts) = payload.posts {
        out.each("posts", posts, |out, view| view.read(out));
    } else if let Some(feed) = payload.feed {
        out.each("feed", feed, |out, entry| entry.read(out));
    } else if let Some(thread) = payload.thread {
        thread.read(out);
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
        let uri = format!("at://{by}/{collection}/{rkey}");
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
        let reaction = Engagement::new(kind, Some(by.to_owned()), None);
        out.engagement(Occurrence { root: &subject, at }, uri.clone(), reaction)
    }
}

impl Record {
    /// Returns the claimed creation time, capped at the time when the record was seen.
    fn time(&self, seen: Option<EventTime>) -> Result<EventTime> {
        let claimed = platform_time::text("createdAt", self.created_at.as_deref());
        match (claimed, seen) {
            (Ok(claimed), Some(seen)) if claimed >= EventTime::EARLIEST => Ok(claimed.min(seen)),
            (_, Some(seen)) => Ok(seen),
            (claimed, None) => claimed,
        }
    }

    /// Returns the root of the conversation of the post at `uri`.
    fn root<'a>(&'a self, uri: &'a str) -> &'a str {
        let reply = self.reply.as_ref();
        reply.and_then(|reply| reply.root.as_ref()?.uri.as_deref()).unwrap_or(uri)
    }

    fn post(
        &self,
        uri: &str,
        author: Option<Author>,
        at: EventTime,
        edited_at: Option<EventTime>,
        out: &mut DecodeOutput<'_>,
    ) -> Result<()> {
        let parent = self.reply.as_ref().and_then(|reply| reply.parent.as_ref()?.uri.clone());
        let quotes = self.embed.as_ref().and_then(Embed::quoted);
        let (by, followers) =
            (author.as_ref().map(|a| a.id.clone()), author.as_ref().and_then(|a| a.followers));
        let post = Post {
            id: uri.to_owned(),
            author,
            text: self.text.clone().ok_or_else(|| missing("text"))?,
            lang: self.langs.as_ref().and_then(|langs| langs.first().cloned()),
            in_reply_to: parent,
            quotes: quotes.map(Into::into),
            edited_at,
            ..Post::default()
        };
        out.post(Occurrence { root: self.root(uri), at }, post)?;
        let Some(quoted) = quotes else { return Ok(()) };
        let reaction = Engagement::new(EngagementKind::Quote, by, followers);
        out.engagement(Occurrence { root: quoted, at }, format!("quote/{uri}"), reaction)
    }
}

impl View {
    fn read(&self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let uri = self.uri.as_deref().ok_or_else(|| missing("uri"))?;
        let Some(record) = &self.record else {
            return Err(not_relevant("a post that cannot be viewed: deleted, or blocked by its author"));
        };
        let seen =
            self.indexed_at.as_deref().map(|at| platform_time::text("indexedAt", Some(at))).transpose()?;
        let at = record.time(seen)?;
        let author = self.author.as_ref().and_then(Profile::author);
        record.post(uri, author, at, None, out)?;
        if record.reply.is_some() {
            // The counters of a reply are not those of the conversation.
            return Ok(());
        }
        let counters = Counters {
            reshares: known_count(self.repost_count),
            replies: known_count(self.reply_count),
            quotes: known_count(self.quote_count),
            likes: known_count(self.like_count),
            views: None,
        };
        out.counters(Occurrence { root: uri, at: out.arrival.max(at) }, counters)
    }
}

impl Entry {
    /// Emits a post, and the repost that put it into the feed if there is one.
    fn read(&self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let view = self.post.as_ref().ok_or_else(|| missing("post"))?;
        view.read(out)?;
        let Some(Reason { by: Some(by), indexed_at: Some(at), uri }) = &self.reason else { return Ok(()) };
        let (Some(post), Some(record)) = (&view.uri, &view.record) else { return Ok(()) };
        let at = platform_time::text("reason.indexedAt", Some(at))?;
        let did = by.did.clone().ok_or_else(|| missing("reason.by.did"))?;
        let id = uri.clone().unwrap_or_else(|| format!("repost/{did}"));
        let reaction = Engagement::new(EngagementKind::Reshare, Some(did), known_count(by.followers_count));
        out.engagement(Occurrence { root: record.root(post), at }, id, reaction)
    }
}

impl Thread {
    /// Emits the posts of a thread from the root down.
    fn read(&self, out: &mut DecodeOutput<'_>) {
        let mut above = Vec::new();
        let mut next = self.parent.as_deref();
        while let Some(thread) = next {
            above.push(thread);
            next = thread.parent.as_deref();
        }
        let posts = above.into_iter().rev().filter_map(|thread| thread.post.as_ref());
        out.each("thread.parent", posts, |out, view| view.read(out));
        self.read_below(out);
    }

    fn read_below(&self, out: &mut DecodeOutput<'_>) {
        out.each("thread", &self.post, |out, view| view.read(out));
        for reply in &self.replies {
            reply.read_below(out);
        }
    }
}

impl Profile {
    fn author(&self) -> Option<Author> {
        let status = self.verification.as_ref().and_then(|v| v.verified_status.as_deref());
        Some(Author {
            id: self.did.clone()?,
            handle: self.handle.clone(),
            followers: known_count(self.followers_count),
            verified: status.map(|status| status == "valid"),
            account: None,
            ..Author::default()
        })
    }
}

impl Embed {
    fn quoted(&self) -> Option<&str> {
        let embedded = self.record.as_ref()?;
        let uri = embedded.uri.as_deref().or_else(|| embedded.record.as_ref()?.uri.as_deref())?;
        is_post(uri).then_some(uri)
    }
}

fn is_post(uri: &str) -> bool {
    uri.split('/').nth(3) == Some(POST)
}

fn taken_back() -> Rejection {
    not_relevant("a reaction was withdrawn; totals never decrease")
}
