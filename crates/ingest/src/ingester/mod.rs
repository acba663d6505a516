//! One source's work: a payload in, events out, with what earlier payloads told.
//!
//! A platform may tell what a post answers and not the root of its thread, a deletion only the post, and an author's followers only
//! now and then. What was seen before answers that. It is bounded, kept by event time, and told as entries of a changelog,
//! so that a restart knows it too.

mod bounded_memory;

use firewatch_domain::{Author, Body, Delete, Duration, Event, EventTime, SCHEMA_VERSION};

use crate::decode_output::not_relevant;
use crate::{DecodedPayload, DeletedAccount, PayloadDecoder};
use bounded_memory::{BoundedMemory, StoredBytes, hash};

/// How long answers are known by the root of their thread: as long as conversations are followed, and an hour.
const THREAD_LIFETIME: Duration = Duration::from_mins(49 * 60);
/// How long an author's followers are believed.
const FOLLOWERS_LIFETIME: Duration = Duration::from_mins(30 * 24 * 60);
/// Followers are noted anew when they are older than this, or have changed by a tenth.
const FOLLOWERS_REFRESH: Duration = Duration::from_mins(24 * 60);
/// Answers to answers are followed up to here; a longer chain is a circle.
const MAX_THREAD_DEPTH: usize = 32;

/// Posts of an author that are known; of one who writes more the last ones.
const MAX_POSTS_PER_AUTHOR: usize = 32;

/// An entry of the changelog: its key, and its bytes or nothing.
pub type MemoryEntry = (Vec<u8>, Option<Vec<u8>>);

/// The work.
#[derive(Debug)]
pub struct Ingester {
    reader: PayloadDecoder,
    /// Roots by what hangs on them: posts that answer, and reshares that are passed on themselves.
    threads: BoundedMemory<String>,
    /// Followers by author.
    followers: BoundedMemory<u64>,
    /// Posts by author, where the platform tells that an account is gone.
    posts: BoundedMemory<Posts>,
}

impl Ingester {
    /// One that knows nothing yet, and will know at most so many answers and as many authors.
    #[must_use]
    pub fn new(reader: PayloadDecoder, max_entries: usize) -> Self {
        let (threads, followers) = (
            BoundedMemory::new(max_entries, THREAD_LIFETIME),
            BoundedMemory::new(max_entries, FOLLOWERS_LIFETIME),
        );
        Self { reader, threads, followers, posts: BoundedMemory::new(max_entries, THREAD_LIFETIME) }
    }

    /// What a payload that arrived at `arrival` tells, each event under the root of its conversation.
    pub fn ingest(&mut self, payload: &[u8], arrival: EventTime) -> DecodedPayload {
        let DecodedPayload { events, mut rejections, deleted_accounts } =
            self.reader.decode(payload, arrival);
        let mut events: Vec<Event> = events.into_iter().filter_map(|event| self.assign_root(event)).collect();
        for account in &deleted_accounts {
            let before = events.len();
            events.extend(self.deletions_for(account));
            if events.len() == before {
                rejections.push(not_relevant("an account that is gone, of which no post is known"));
            }
        }
        DecodedPayload { events, rejections, deleted_accounts }
    }

    /// The deletions of all that is known of an account.
    fn deletions_for(&self, DeletedAccount { author, at }: &DeletedAccount) -> impl Iterator<Item = Event> {
        let posts = self.posts.get(hash(&[author])).map(|(posts, _)| posts.0.clone());
        posts.into_iter().flatten().map(|(conversation, post)| Event {
            v: SCHEMA_VERSION,
            // As if the post alone had been deleted: if it is later, that changes nothing.
            id: format!("{post}/delete"),
            conversation,
            at: *at,
            brand: None,
            platform: Some(self.reader.name().to_owned()),
            body: Body::Delete(Delete { post }),
        })
    }

    /// Puts an event where it belongs; running totals of an answer belong nowhere.
    fn assign_root(&mut self, mut event: Event) -> Option<Event> {
        let root = self.find_root(&event.conversation);
        let moved = root != event.conversation;
        match &mut event.body {
            Body::Counters(_) if moved => return None,
            Body::Post(post) => {
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
                        if let Some(posts) = known.with((root.clone(), post.id.clone())) {
                            self.posts.put(key, posts, event.at);
                        }
                    }
                }
            }
            Body::Engagement(engagement) => {
                // What is passed on may be passed on again under the id of that.
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
            Body::Counters(_) | Body::BrandReply(_) | Body::Delete(_) => {}
        }
        event.conversation = root;
        Some(event)
    }

    /// The root of a conversation that may only be a part of one.
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

    /// What differs from the last commit.
    pub fn changes(&self) -> impl Iterator<Item = MemoryEntry> {
        let threads = self.threads.changes().map(|(key, value)| (memory_key(b't', key), value));
        let followers = self.followers.changes().map(|(key, value)| (memory_key(b'f', key), value));
        threads
            .chain(followers)
            .chain(self.posts.changes().map(|(key, value)| (memory_key(b'p', key), value)))
    }

    /// The changes are written for good.
    pub fn committed(&mut self) {
        self.threads.committed();
        self.followers.committed();
        self.posts.committed();
    }

    /// Undoes all since the last commit.
    pub fn rewind(&mut self) {
        self.threads.rewind();
        self.followers.rewind();
        self.posts.rewind();
    }

    /// Takes an entry of the changelog in; tells whether it could be read.
    pub fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> bool {
        let Some((kind, rest)) = key.split_first() else { return false };
        let Ok(hash) = rest.try_into().map(u64::from_be_bytes) else { return false };
        match kind {
            b't' => self.threads.restore(hash, value),
            b'f' => self.followers.restore(hash, value),
            b'p' => self.posts.restore(hash, value),
            _ => false,
        }
    }
}

/// Posts of an author, the oldest first: the conversation of each, and its own id.
#[derive(Debug, Clone, PartialEq, Default)]
struct Posts(Vec<(String, String)>);

impl Posts {
    /// The same and one more; none when that is among them.
    fn with(mut self, post: (String, String)) -> Option<Self> {
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
    fn write(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).unwrap_or_default()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().map(Self)
    }
}

fn memory_key(kind: u8, key: u64) -> Vec<u8> {
    [&[kind][..], &key.to_be_bytes()].concat()
}

/// Notes an author's followers, or fills in what was last known of them.
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
