//! Decodes Bluesky: Jetstream events, views and notifications of the AppView, and records of a repository.
//!
//! The stream has no follower counts or counters; post views have counters only. `createdAt` is set by the
//! client, so it is capped at the time when the record was seen. A deletion contains only the record's name. An
//! account can repost or like a post once, so a reaction is known by the post and the account.

use firewatch_domain::{Author, Counters, Engagement, EngagementKind, EventTime, Post};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::bad_items::ItemList;
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_public, not_relevant, unknown_payload};
use crate::json_values::{Count, IfObject, Items, OneOrMany, known_count};
use crate::{Rejection, Result, html, json, platform_time};

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
    commit: Option<Commit>,
    account: Option<IfObject<Account>>,
    posts: Option<Items<View>>,
    feed: Option<Items<Entry>>,
    thread: Option<Box<Thread>>,
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
}

pub(crate) const LISTS: &[ItemList] = &[
    ItemList::of::<View>(""),
    ItemList::of::<View>("posts"),
    ItemList::of::<Entry>("feed"),
    ItemList::of::<Thread>("replies"),
    ItemList::of::<View>("notifications"),
    ItemList::of::<View>("records"),
    ItemList::of::<Liked>("likes"),
    ItemList::of::<Profile>("repostedBy"),
];

/// A like in the list of a post's likes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Liked {
    actor: Option<Profile>,
    created_at: Option<String>,
    indexed_at: Option<String>,
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
    #[serde(rename = "$type")]
    kind: Option<String>,
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

/// What is embedded in a post: another post, pictures, a film, or a post with these.
#[derive(Debug, Deserialize)]
struct Embed {
    record: Option<Embedded>,
    images: Option<Vec<Media>>,
    media: Option<Box<Embed>>,
    /// What a film shows.
    alt: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Media {
    alt: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Embedded {
    uri: Option<String>,
    record: Option<Link>,
}

/// A post view of the AppView, a quoted post, a notification, or a record with its name.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct View {
    #[serde(rename = "$type")]
    kind: Option<String>,
    uri: Option<String>,
    author: Option<Profile>,
    record: Option<Record>,
    /// The record, in a quoted view and in an answer that holds a record.
    value: Option<Record>,
    embed: Option<ViewEmbed>,
    labels: Option<Vec<Label>>,
    not_found: Option<IgnoredAny>,
    blocked: Option<IgnoredAny>,
    detached: Option<IgnoredAny>,
    indexed_at: Option<String>,
    reply_count: Option<Count>,
    repost_count: Option<Count>,
    like_count: Option<Count>,
    quote_count: Option<Count>,
}

/// The view of what a post embeds: a quoted post, with media one level below.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ViewEmbed {
    record: Option<Box<ViewEmbed>>,
    uri: Option<String>,
    author: Option<Profile>,
    value: Option<Record>,
    indexed_at: Option<String>,
    reply_count: Option<Count>,
    repost_count: Option<Count>,
    like_count: Option<Count>,
    quote_count: Option<Count>,
    labels: Option<Vec<Label>>,
}

/// A mark that a moderator or the author has put on a post.
#[derive(Debug, Deserialize)]
struct Label {
    val: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
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
    reply: Option<Above>,
}

/// The posts above an answer in a feed.
#[derive(Debug, Deserialize)]
struct Above {
    root: Option<View>,
    parent: Option<View>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reason {
    by: Option<Profile>,
    indexed_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Thread {
    post: Option<View>,
    parent: Option<Box<Thread>>,
    #[serde(default)]
    replies: Items<Thread>,
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
    let of_messages = [&payload.messages, &payload.convo, &payload.convos, &payload.logs, &payload.sender];
    if of_messages.into_iter().any(Option::is_some) {
        return Err(not_public("private messages"));
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
        let by = Profile { did: Some(by.to_owned()), ..Profile::default() };
        by.react(kind, (&subject, &subject), at, out)
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

    /// Returns the text with what the pictures show.
    fn all_text(&self) -> Option<String> {
        let text = self.text.clone()?;
        let Some(embed) = &self.embed else { return Some(text) };
        Some(html::paragraphs([text].into_iter().chain(embed.shown())))
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
            text: self.all_text().ok_or_else(|| missing("text"))?,
            lang: self.langs.as_ref().and_then(|langs| langs.first().cloned()),
            in_reply_to: parent,
            quotes: quotes.map(Into::into),
            url: url(uri),
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
        let Some(record) = self.record.as_ref().or(self.value.as_ref()) else {
            let is_hidden = [&self.not_found, &self.blocked, &self.detached].into_iter().any(Option::is_some);
            return Err(if is_hidden || self.kind.as_deref().is_some_and(is_placeholder) {
                not_relevant("a post that cannot be viewed: deleted, blocked or detached")
            } else {
                unknown_payload("not a post view: `record` and `value` are missing")
            });
        };
        is_shown(self.labels.as_deref())?;
        let seen =
            self.indexed_at.as_deref().map(|at| platform_time::text("indexedAt", Some(at))).transpose()?;
        let at = record.time(seen)?;
        match record.kind.as_deref().or_else(|| collection(uri)) {
            Some(POST) => {}
            Some(LIKE) => return self.reaction(EngagementKind::Like, record, at, out),
            Some(REPOST) => return self.reaction(EngagementKind::Reshare, record, at, out),
            _ => return Err(not_relevant("a record other than a post, repost or like")),
        }
        if let Some(quoted) = &self.embed {
            quoted.read(out);
        }
        // Without a view of the author, the post's address begins with the account.
        let owner = || uri.split('/').nth(2).map(|did| Author { id: did.to_owned(), ..Author::default() });
        let author = self.author.as_ref().and_then(Profile::author).or_else(owner);
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

impl View {
    /// Emits the reaction that a notification is about.
    fn reaction(
        &self,
        kind: EngagementKind,
        record: &Record,
        at: EventTime,
        out: &mut DecodeOutput<'_>,
    ) -> Result<()> {
        let subject = record.subject.as_ref().and_then(|subject| subject.0.as_ref()?.uri.as_deref());
        let subject = subject.ok_or_else(|| missing("record.subject.uri"))?;
        let by = self.author.as_ref().ok_or_else(|| missing("author"))?;
        by.react(kind, (subject, subject), at, out)
    }
}

impl ViewEmbed {
    /// Emits a quoted post before the post that quotes it. One that cannot be viewed is left out.
    fn read(&self, out: &mut DecodeOutput<'_>) {
        if let Some(below) = &self.record {
            return below.read(out);
        }
        let (Some(uri), Some(record)) = (&self.uri, &self.value) else { return };
        if !is_post(uri) {
            return;
        }
        let mut read = || -> Result<()> {
            is_shown(self.labels.as_deref())?;
            let seen = self.indexed_at.as_deref().map(|at| platform_time::text("indexedAt", Some(at)));
            let at = record.time(seen.transpose()?)?;
            record.post(uri, self.author.as_ref().and_then(Profile::author), at, None, out)?;
            if record.reply.is_some() {
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
        };
        if let Err(rejection) = read() {
            out.reject(rejection.within("embed/record"));
        }
    }
}

impl Liked {
    fn read(&self, post: &str, out: &mut DecodeOutput<'_>) -> Result<()> {
        let at = self.created_at.as_deref().or(self.indexed_at.as_deref());
        let at = platform_time::text("createdAt", at)?;
        let by = self.actor.as_ref().ok_or_else(|| missing("actor"))?;
        by.react(EngagementKind::Like, (post, post), at, out)
    }
}

impl Profile {
    /// Emits a reaction of the account. `post` holds the root of the conversation and the post.
    fn react(
        &self,
        kind: EngagementKind,
        post: (&str, &str),
        at: EventTime,
        out: &mut DecodeOutput<'_>,
    ) -> Result<()> {
        let (root, subject) = post;
        let did = self.did.clone().ok_or_else(|| missing("did"))?;
        let name = if kind == EngagementKind::Like { "like" } else { "repost" };
        let reaction = Engagement::new(kind, Some(did.clone()), known_count(self.followers_count));
        out.engagement(Occurrence { root, at }, format!("{name}/{subject}/{did}"), reaction)
    }
}

impl Entry {
    /// Emits a post after those above it, and the repost that put it into the feed if there is one.
    fn read(&self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let view = self.post.as_ref().ok_or_else(|| missing("post"))?;
        let above = self.reply.iter().flat_map(|above| [("root", &above.root), ("parent", &above.parent)]);
        let mut root = None;
        for (step, view) in above {
            let Some(view) = view.as_ref().filter(|view| root != view.uri.as_deref()) else { continue };
            root = view.uri.as_deref();
            if let Err(rejection) = view.read(out) {
                out.reject(rejection.within(format!("reply/{step}")));
            }
        }
        view.read(out)?;
        let Some(Reason { by: Some(by), indexed_at: Some(at) }) = &self.reason else { return Ok(()) };
        let (Some(post), Some(record)) = (&view.uri, &view.record) else { return Ok(()) };
        let at = platform_time::text("reason.indexedAt", Some(at))?;
        by.react(EngagementKind::Reshare, (record.root(post), post), at, out)
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
        out.each("thread/parent", posts.map(Some), |out, view| view.read(out));
        self.read_below(out);
    }

    fn read_below(&self, out: &mut DecodeOutput<'_>) {
        out.each("thread", self.post.iter().map(Some), |out, view| view.read(out));
        for reply in self.replies.iter() {
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
            url: self.did.as_ref().map(|did| format!("https://bsky.app/profile/{did}")),
            followers: known_count(self.followers_count),
            verified: status.map(|status| status == "valid"),
            account: None,
            ..Author::default()
        })
    }
}

impl Embed {
    /// Returns the descriptions of pictures and films.
    fn shown(&self) -> Vec<String> {
        let own = self.images.iter().flatten().filter_map(|image| image.alt.clone()).chain(self.alt.clone());
        own.chain(self.media.iter().flat_map(|media| media.shown())).collect()
    }

    fn quoted(&self) -> Option<&str> {
        let embedded = self.record.as_ref()?;
        let uri = embedded.uri.as_deref().or_else(|| embedded.record.as_ref()?.uri.as_deref())?;
        is_post(uri).then_some(uri)
    }
}

/// Returns the address at which people read a post.
fn url(uri: &str) -> Option<String> {
    let mut parts = uri.split('/').skip(2);
    let (did, _, rkey) = (parts.next()?, parts.next()?, parts.next()?);
    Some(format!("https://bsky.app/profile/{did}/post/{rkey}"))
}

/// Returns the collection in an `at://` address.
fn collection(uri: &str) -> Option<&str> {
    uri.split('/').nth(3)
}

fn is_post(uri: &str) -> bool {
    collection(uri) == Some(POST)
}

/// Returns whether a type stands in the place of a post that is not shown.
fn is_placeholder(kind: &str) -> bool {
    ["#blockedPost", "#notFoundPost", "#viewBlocked", "#viewNotFound", "#viewDetached"]
        .iter()
        .any(|name| kind.ends_with(name))
}

/// Checks that no moderator has hidden a post.
fn is_shown(labels: Option<&[Label]>) -> Result<()> {
    let hides = |label: &Label| matches!(label.val.as_deref(), Some("!hide" | "!takedown" | "!suspend"));
    if labels.is_some_and(|labels| labels.iter().any(hides)) {
        return Err(not_public("a post that a moderator has hidden"));
    }
    Ok(())
}

fn taken_back() -> Rejection {
    not_relevant("a reaction was withdrawn; totals never decrease")
}
