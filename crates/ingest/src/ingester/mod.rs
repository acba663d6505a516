//! Ingests the payloads of one source, and completes their events from earlier payloads.
//!
//! Platforms may omit the root of a reply's thread, the conversation of a deleted post, or an author's
//! follower count. The ingester remembers them. Its memory is bounded, expires by event time, and is written
//! to a changelog, so that it survives a restart.

mod bounded_memory;

use firewatch_domain::{Author, Body, Delete, Duration, Event, EventTime, SCHEMA_VERSION};

use crate::decode_output::{PostVersion, RestoredAccount, ShownPost, not_relevant, restored_id};
use crate::{DecodedPayload, DeletedAccount, PayloadDecoder};
use bounded_memory::{BoundedMemory, StoredBytes, hash};

/// How long the root of a reply is remembered, in event time: 49 hours.
const THREAD_LIFETIME: Duration = Duration::from_mins(49 * 60);
/// How long a follower count is used, in event time.
const FOLLOWERS_LIFETIME: Duration = Duration::from_mins(30 * 24 * 60);
/// Age from which a follower count is stored again. A change by a tenth is stored at once.
const FOLLOWERS_REFRESH: Duration = Duration::from_mins(24 * 60);
/// How long a deletion is remembered, in event time, in case that it is taken back: 30 days.
const DELETION_LIFETIME: Duration = Duration::from_mins(30 * 24 * 60);
/// Maximum number of replies that are followed up to the root. A longer chain is a cycle.
const MAX_THREAD_DEPTH: usize = 32;

/// Maximum number of remembered posts of an author, the latest ones.
const MAX_POSTS_PER_AUTHOR: usize = 32;

/// Part of the key by which the first version of a post is remembered.
const FIRST_VERSION: &str = "first version of";

/// A changelog entry: key and value. `None` deletes the entry.
pub type MemoryEntry = (Vec<u8>, Option<Vec<u8>>);

/// The decoder of one source with its memory.
#[derive(Debug)]
pub struct Ingester {
    reader: PayloadDecoder,
    /// The parent conversation of replies and of reshares that were reshared again.
    threads: BoundedMemory<String>,
    /// Follower counts by author.
    followers: BoundedMemory<u64>,
    /// Posts by author, for platforms that report deleted accounts.
    posts: BoundedMemory<Posts>,
    /// Deleted posts, which a moderator may show again.
    deleted: BoundedMemory<Deletion>,
}

impl Ingester {
    /// Builds an ingester with empty memory. `max_entries` limits each of its maps.
    #[must_use]
    pub fn new(reader: PayloadDecoder, max_entries: usize) -> Self {
        let (threads, followers) = (
            BoundedMemory::new(max_entries, THREAD_LIFETIME),
            BoundedMemory::new(max_entries, FOLLOWERS_LIFETIME),
        );
        let (posts, deleted) = (
            BoundedMemory::new(max_entries, THREAD_LIFETIME),
            BoundedMemory::new(max_entries, DELETION_LIFETIME),
        );
        Self { reader, threads, followers, posts, deleted }
    }

    /// Decodes a payload that arrived at `arrival`, and assigns each event to the root of its conversation.
    pub fn ingest(&mut self, payload: &[u8], arrival: EventTime) -> DecodedPayload {
        let mut decoded = self.reader.decode(payload, arrival);
        self.restore_deleted(&mut decoded);
        let DecodedPayload { events, mut rejections, deleted_accounts, versions, .. } = decoded;
        for PostVersion { id, first, at } in &versions {
            let own = hash(&[&self.reader.conversation(id)]);
            if self.threads.get(own).is_none() {
                self.threads.put(own, self.reader.conversation(first), *at);
                self.threads.put(hash(&[FIRST_VERSION, id]), first.clone(), *at);
            }
        }
        // Pages come newest first: an answer before what it answers.
        for event in &events {
            if let Body::Post(post) = &event.body {
                let own = self.reader.conversation(&post.id);
                if own != event.conversation && self.threads.get(hash(&[&own])).is_none() {
                    self.threads.put(hash(&[&own]), event.conversation.clone(), event.at);
                }
            }
        }
        let mut events: Vec<Event> = events.into_iter().filter_map(|event| self.assign_root(event)).collect();
        for account in &deleted_accounts {
            let deletions: Vec<Event> = self.deletions_for(account).collect();
            if deletions.is_empty() {
                rejections.push(not_relevant("a deleted account without known posts"));
            }
            for deletion in &deletions {
                if let Body::Delete(Delete { post }) = &deletion.body {
                    self.remember_deletion(post, deletion.at);
                }
            }
            events.extend(deletions);
        }
        DecodedPayload { events, rejections, deleted_accounts, versions, ..DecodedPayload::default() }
    }

    /// Says of posts that they are public again, if a deletion of them is remembered that has been taken back since.
    fn restore_deleted(&mut self, decoded: &mut DecodedPayload) {
        for ShownPost { id, since } in &decoded.shown {
            self.remember_shown(id, *since);
        }
        for RestoredAccount { author, at } in &decoded.restored_accounts {
            let posts = self.posts.get(hash(&[author])).map(|(posts, _)| posts.0.clone());
            for (_, post) in posts.into_iter().flatten() {
                self.remember_shown(&post, *at);
            }
        }
        for event in &mut decoded.events {
            let Body::Post(post) = &mut event.body else { continue };
            let known = self.deleted.get(hash(&[&post.id]));
            let shown_since = known.and_then(|(deletion, _)| deletion.shown_since).filter(|_| !post.restored);
            if let Some(since) = shown_since {
                post.restored = true;
                (event.id, event.at) = (restored_id(&post.id, since), since);
            }
        }
    }

    /// Remembers that a post is public as of a time, if it was deleted before that.
    fn remember_shown(&mut self, post: &str, since: EventTime) {
        let key = hash(&[post]);
        if let Some((deletion, at)) = self.deleted.get(key)
            && deletion.holds
            && *at < since
        {
            let (shown, at) = (Deletion { shown_since: Some(since), ..*deletion }, *at);
            self.deleted.put(key, shown, at);
        }
    }

    /// Remembers the deletion of a post, unless a later one is known.
    fn remember_deletion(&mut self, post: &str, at: EventTime) {
        let key = hash(&[post]);
        let known = self.deleted.get(key);
        if known.is_none_or(|(_, before)| *before < at) {
            let restored_at = known.and_then(|(deletion, _)| deletion.restored_at);
            self.deleted.put(key, Deletion { holds: true, restored_at, shown_since: None }, at);
        }
    }

    /// Returns deletions for all remembered posts of an account.
    fn deletions_for(&self, DeletedAccount { author, at }: &DeletedAccount) -> impl Iterator<Item = Event> {
        let posts = self.posts.get(hash(&[author])).map(|(posts, _)| posts.0.clone());
        posts.into_iter().flatten().map(|(conversation, post)| Event {
            v: SCHEMA_VERSION,
            // The id that a deletion of the post itself has, so that receiving both has no further effect.
            id: self.deletion_id(&post),
            conversation,
            at: *at,
            brand: None,
            platform: Some(self.reader.name().to_owned()),
            body: Body::Delete(Delete { post }),
        })
    }

    /// Returns the id of the deletion of a post. After the post was public again it is another than before.
    fn deletion_id(&self, post: &str) -> String {
        let known = self.deleted.get(hash(&[post]));
        match known.and_then(|(deletion, _)| deletion.restored_at) {
            None => format!("{post}/delete"),
            Some(since) => format!("{post}/delete/{}", since.as_millis()),
        }
    }

    /// Moves an event to its root conversation. Returns `None` for the counters of a reply, which say nothing
    /// about the conversation.
    fn assign_root(&mut self, mut event: Event) -> Option<Event> {
        let root = self.find_root(&event.conversation);
        let moved = root != event.conversation;
        match &mut event.body {
            Body::Counters(_) if moved => return None,
            Body::Post(post) => {
                if post.restored {
                    let restored = Deletion { holds: false, restored_at: Some(event.at), shown_since: None };
                    self.deleted.put(hash(&[&post.id]), restored, event.at);
                }
                let own = self.reader.conversation(&post.id);
                if own != root {
                    self.threads.put(hash(&[&own]), root.clone(), event.at);
                }
                post.related =
                    post.quotes.as_ref().map(|quoted| self.find_root(&self.reader.conversation(quoted)));
                if let Some(author) = &mut post.author {
                    remember_followers(&mut self.followers, author, event.at);
                    if self.reader.reports_deleted_accounts() {
                        let key = hash(&[&author.id]);
                        let known = self.posts.get(key).map(|(posts, _)| posts.clone()).unwrap_or_default();
                        if let Some(posts) = known.with(root.clone(), post.id.clone()) {
                            self.posts.put(key, posts, event.at);
                        }
                    }
                }
            }
            Body::Engagement(engagement) => {
                // A later reshare may refer to this reshare instead of the original.
                let own = self.reader.conversation(&event.id);
                if self.reader.has_nested_reshares() && own != root {
                    self.threads.put(hash(&[&own]), root.clone(), event.at);
                }
                if let Some(actor) = engagement.actor.clone() {
                    let mut author =
                        Author { id: actor, followers: engagement.followers, ..Author::default() };
                    remember_followers(&mut self.followers, &mut author, event.at);
                    engagement.followers = author.followers;
                }
            }
            Body::Delete(delete) => {
                // The deletion of a version is that of the post.
                if let Some((first, _)) = self.threads.get(hash(&[FIRST_VERSION, &delete.post])) {
                    delete.post.clone_from(first);
                }
                event.id = self.deletion_id(&delete.post);
                self.remember_deletion(&delete.post, event.at);
            }
            Body::Counters(_) | Body::BrandReply(_) => {}
        }
        event.conversation = root;
        Some(event)
    }

    /// Returns the root of a conversation, following remembered parents.
    fn find_root(&self, conversation: &str) -> String {
        let mut root = conversation;
        for _ in 0..MAX_THREAD_DEPTH {
            match self.threads.get(hash(&[root])) {
                Some((above, _)) => root = above,
                None => break,
            }
        }
        root.to_owned()
    }

    /// Returns the changes since the last commit, as changelog entries.
    pub fn changes(&self) -> impl Iterator<Item = MemoryEntry> {
        let threads = self.threads.changes().map(|(key, value)| (memory_key(b't', key), value));
        let followers = self.followers.changes().map(|(key, value)| (memory_key(b'f', key), value));
        let posts = self.posts.changes().map(|(key, value)| (memory_key(b'p', key), value));
        let deleted = self.deleted.changes().map(|(key, value)| (memory_key(b'd', key), value));
        threads.chain(followers).chain(posts).chain(deleted)
    }

    /// Marks all changes as committed.
    pub fn committed(&mut self) {
        self.threads.committed();
        self.followers.committed();
        self.posts.committed();
        self.deleted.committed();
    }

    /// Undoes all changes since the last commit.
    pub fn rewind(&mut self) {
        self.threads.rewind();
        self.followers.rewind();
        self.posts.rewind();
        self.deleted.rewind();
    }

    /// Restores a changelog entry. Returns whether it could be read.
    pub fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> bool {
        let Some((kind, rest)) = key.split_first() else { return false };
        let Ok(hash) = rest.try_into().map(u64::from_be_bytes) else { return false };
        match kind {
            b't' => self.threads.restore(hash, value),
            b'f' => self.followers.restore(hash, value),
            b'p' => self.posts.restore(hash, value),
            b'd' => self.deleted.restore(hash, value),
            _ => false,
        }
    }
}

/// The deletion of a post.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Deletion {
    /// Whether the post has not been read again since.
    holds: bool,
    /// Since when the post was public again after an earlier deletion.
    restored_at: Option<EventTime>,
    /// Since when the platform says that the post is public again.
    shown_since: Option<EventTime>,
}

impl StoredBytes for Deletion {
    fn encode(&self) -> Vec<u8> {
        let millis = |at: Option<EventTime>| at.map(EventTime::as_millis);
        serde_json::to_vec(&(self.holds, millis(self.restored_at), millis(self.shown_since)))
            .unwrap_or_default()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (holds, restored_at, shown_since): (bool, Option<i64>, Option<i64>) =
            serde_json::from_slice(bytes).ok()?;
        let time = |millis: Option<i64>| millis.map(EventTime::from_millis);
        Some(Self { holds, restored_at: time(restored_at), shown_since: time(shown_since) })
    }
}

/// Posts of an author, oldest first: the conversation and the post id of each.
#[derive(Debug, Clone, PartialEq, Default)]
struct Posts(Vec<(String, String)>);

impl Posts {
    /// Appends a post. Returns `None` if it is already among them.
    fn with(mut self, conversation: String, id: String) -> Option<Self> {
        let post = (conversation, id);
        if self.0.contains(&post) {
            return None;
        }
        if self.0.len() == MAX_POSTS_PER_AUTHOR {
            self.0.remove(0);
        }
        self.0.push(post);
        Some(self)
    }
}

impl StoredBytes for Posts {
    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).unwrap_or_default()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().map(Self)
    }
}

fn memory_key(kind: u8, key: u64) -> Vec<u8> {
    [&[kind][..], &key.to_be_bytes()].concat()
}

/// Remembers an author's follower count, or fills in the last known one with its time.
fn remember_followers(known: &mut BoundedMemory<u64>, author: &mut Author, at: EventTime) {
    let key = hash(&[&author.id]);
    let before = known.get(key).copied();
    match (author.followers, before) {
        (Some(now), Some((then, since)))
            if at - FOLLOWERS_REFRESH < since && now.abs_diff(then) * 10 <= then.max(1) => {}
        (Some(now), _) => known.put(key, now, at),
        (None, Some((then, since))) => (author.followers, author.followers_at) = (Some(then), Some(since)),
        (None, None) => {}
    }
}

#[cfg(test)]
mod tests;
