//! Views of the AppView: posts with their author and totals, quoted posts, feeds, threads and reactions.

use firewatch_domain::{Author, Counters, Engagement, EngagementKind, EventTime};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::record::{Record, collection, is_post};
use super::{LIKE, POST, REPOST};
use crate::check::missing;
use crate::decode_output::{DecodeOutput, Occurrence, not_public, not_relevant, unknown_payload};
use crate::json_values::{Count, Items, known_count};
use crate::{Result, platform_time};

/// A post view of the AppView, a quoted post, a notification, or a record with its name.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct View {
    #[serde(rename = "$type")]
    pub(super) kind: Option<String>,
    pub(super) uri: Option<String>,
    pub(super) author: Option<Profile>,
    pub(super) record: Option<Record>,
    /// The record, in a quoted view and in an answer that holds a record.
    pub(super) value: Option<Box<Record>>,
    pub(super) embed: Option<Box<ViewEmbed>>,
    pub(super) labels: Option<Items<Label>>,
    pub(super) not_found: Option<IgnoredAny>,
    pub(super) blocked: Option<IgnoredAny>,
    pub(super) detached: Option<IgnoredAny>,
    pub(super) indexed_at: Option<String>,
    pub(super) reply_count: Option<Count>,
    pub(super) repost_count: Option<Count>,
    pub(super) like_count: Option<Count>,
    pub(super) quote_count: Option<Count>,
}

/// The view of what a post embeds: a quoted post, with media one level below.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ViewEmbed {
    pub(super) record: Option<Box<ViewEmbed>>,
    pub(super) uri: Option<String>,
    pub(super) author: Option<Profile>,
    pub(super) value: Option<Record>,
    pub(super) indexed_at: Option<String>,
    pub(super) reply_count: Option<Count>,
    pub(super) repost_count: Option<Count>,
    pub(super) like_count: Option<Count>,
    pub(super) quote_count: Option<Count>,
    pub(super) labels: Option<Items<Label>>,
}

/// A mark that a moderator or the author has put on a post.
#[derive(Debug, Deserialize)]
pub(super) struct Label {
    pub(super) val: Option<String>,
    /// The mark is taken back.
    pub(super) neg: Option<bool>,
    /// Until when it holds.
    pub(super) exp: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Profile {
    pub(super) did: Option<String>,
    pub(super) handle: Option<String>,
    pub(super) followers_count: Option<Count>,
    pub(super) labels: Option<Items<Label>>,
    pub(super) verification: Option<Verification>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Verification {
    pub(super) verified_status: Option<String>,
}

/// A post in a feed, with the reason for its appearance.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) post: Option<View>,
    pub(super) reason: Option<Reason>,
    pub(super) reply: Option<Above>,
}

/// The posts above an answer in a feed.
#[derive(Debug, Deserialize)]
pub(super) struct Above {
    pub(super) root: Option<View>,
    pub(super) parent: Option<View>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reason {
    pub(super) by: Option<Profile>,
    pub(super) indexed_at: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Thread {
    pub(super) post: Option<View>,
    /// What an item of a list of posts holds: its post, or why that is not shown.
    pub(super) value: Option<Box<Thread>>,
    pub(super) parent: Option<Box<Thread>>,
    #[serde(default)]
    pub(super) replies: Items<Thread>,
}

/// A like in the list of a post's likes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Liked {
    pub(super) actor: Option<Profile>,
    pub(super) created_at: Option<String>,
    pub(super) indexed_at: Option<String>,
}

impl View {
    pub(super) fn read(&self, out: &mut DecodeOutput<'_>) -> Result<()> {
        let uri = self.uri.as_deref().ok_or_else(|| missing("uri"))?;
        let Some(record) = self.record.as_ref().or(self.value.as_deref()) else {
            let is_hidden = [&self.not_found, &self.blocked, &self.detached].into_iter().any(Option::is_some);
            return Err(if is_hidden || self.kind.as_deref().is_some_and(is_placeholder) {
                not_relevant("a post that cannot be viewed: deleted, blocked or detached")
            } else {
                unknown_payload("not a post view: `record` and `value` are missing")
            });
        };
        is_shown(self.labels.as_ref(), out.arrival)?;
        is_shown(self.author.as_ref().and_then(|author| author.labels.as_ref()), out.arrival)?;
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
        let totals = [self.repost_count, self.reply_count, self.quote_count, self.like_count];
        out.counters(Occurrence { root: uri, at: out.arrival.max(at) }, counters(totals))
    }
}

impl View {
    /// Emits the reaction that a notification is about.
    pub(super) fn reaction(
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
    pub(super) fn read(&self, out: &mut DecodeOutput<'_>) {
        if let Some(below) = &self.record {
            return below.read(out);
        }
        let (Some(uri), Some(record)) = (&self.uri, &self.value) else { return };
        if !is_post(uri) {
            return;
        }
        let mut read = || -> Result<()> {
            is_shown(self.labels.as_ref(), out.arrival)?;
            is_shown(self.author.as_ref().and_then(|author| author.labels.as_ref()), out.arrival)?;
            let seen = self.indexed_at.as_deref().map(|at| platform_time::text("indexedAt", Some(at)));
            let at = record.time(seen.transpose()?)?;
            record.post(uri, self.author.as_ref().and_then(Profile::author), at, None, out)?;
            if record.reply.is_some() {
                return Ok(());
            }
            let totals = [self.repost_count, self.reply_count, self.quote_count, self.like_count];
            out.counters(Occurrence { root: uri, at: out.arrival.max(at) }, counters(totals))
        };
        if let Err(rejection) = read() {
            out.reject(rejection.within("embed/record"));
        }
    }
}

impl Liked {
    pub(super) fn read(&self, post: &str, out: &mut DecodeOutput<'_>) -> Result<()> {
        let at = self.created_at.as_deref().or(self.indexed_at.as_deref());
        let at = platform_time::text("createdAt", at)?;
        let by = self.actor.as_ref().ok_or_else(|| missing("actor"))?;
        by.react(EngagementKind::Like, (post, post), at, out)
    }
}

impl Profile {
    /// Emits a reaction of the account. `post` holds the root of the conversation and the post.
    pub(super) fn react(
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
        out.engagement(Occurrence { root, at }, [name, "/", subject, "/", &did].concat(), reaction)
    }
}

impl Entry {
    /// Emits a post after those above it, and the repost that put it into the feed if there is one.
    pub(super) fn read(&self, out: &mut DecodeOutput<'_>) -> Result<()> {
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
    pub(super) fn read(&self, out: &mut DecodeOutput<'_>) {
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

    pub(super) fn read_below(&self, out: &mut DecodeOutput<'_>) {
        let own = self.post.iter().chain(self.value.iter().filter_map(|value| value.post.as_ref()));
        out.each("thread", own.map(Some), |out, view| view.read(out));
        for reply in self.replies.iter() {
            reply.read_below(out);
        }
    }
}

impl Profile {
    pub(super) fn author(&self) -> Option<Author> {
        let status = self.verification.as_ref().and_then(|v| v.verified_status.as_deref());
        Some(Author {
            id: self.did.clone()?,
            handle: self.handle.clone(),
            url: self.did.as_ref().map(|did| ["https://bsky.app/profile/", did].concat()),
            followers: known_count(self.followers_count),
            verified: status.map(|status| status == "valid"),
            account: None,
            ..Author::default()
        })
    }
}

/// Returns the totals of a post: reposts, replies, quotes and likes.
fn counters(totals: [Option<Count>; 4]) -> Counters {
    let [reshares, replies, quotes, likes] = totals.map(known_count);
    Counters { reshares, replies, quotes, likes, views: None }
}

/// Returns whether a type stands in the place of a post that is not shown.
fn is_placeholder(kind: &str) -> bool {
    ["#blockedPost", "#notFoundPost", "#viewBlocked", "#viewNotFound", "#viewDetached"]
        .iter()
        .any(|name| kind.ends_with(name))
}

/// Checks that no moderator has hidden a post.
fn is_shown(labels: Option<&Items<Label>>, now: EventTime) -> Result<()> {
    let hides = |label: &Label| {
        let ends = label.exp.as_deref().and_then(|exp| EventTime::parse(exp).ok());
        let holds = label.neg != Some(true) && ends.is_none_or(|ends| now < ends);
        holds && matches!(label.val.as_deref(), Some("!hide" | "!takedown" | "!suspend"))
    };
    if labels.is_some_and(|labels| labels.iter().any(hides)) {
        return Err(not_public("a post that a moderator has hidden"));
    }
    Ok(())
}
