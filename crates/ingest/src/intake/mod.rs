//! One source's work: a payload in, events out, with what earlier payloads told.
//!
//! A platform may tell what a post answers and not the root of its thread, a deletion only the post, and an author's followers only
//! now and then. What was seen before answers that. It is bounded, kept by event time, and told as entries of a changelog,
//! so that a restart knows it too.

mod kept;

use firewatch_domain::{Author, Body, Duration, Event, EventTime};

use crate::{Decoded, Reader};
use kept::{Kept, hash};

/// How long answers are known by the root of their thread: as long as conversations are followed, and an hour.
const THREADS: Duration = Duration::from_mins(49 * 60);
/// How long an author's followers are believed.
const FOLLOWERS: Duration = Duration::from_mins(30 * 24 * 60);
/// Followers are noted anew when they are older than this, or have changed by a tenth.
const FRESH: Duration = Duration::from_mins(24 * 60);
/// Answers to answers are followed up to here; a longer chain is a circle.
const DEEPEST: usize = 32;

/// An entry of the changelog: its key, and its bytes or nothing.
pub type Entry = (Vec<u8>, Option<Vec<u8>>);

/// The work.
#[derive(Debug)]
pub struct Intake {
    reader: Reader,
    /// Roots by what hangs on them: posts that answer, and reshares that are passed on themselves.
    threads: Kept<String>,
    /// Followers by author.
    followers: Kept<u64>,
}

impl Intake {
    /// One that knows nothing yet, and will know at most so many answers and as many authors.
    #[must_use]
    pub fn new(reader: Reader, most: usize) -> Self {
        Self { reader, threads: Kept::new(most, THREADS), followers: Kept::new(most, FOLLOWERS) }
    }

    /// What a payload that arrived at `arrival` tells, each event under the root of its conversation.
    pub fn take(&mut self, payload: &[u8], arrival: EventTime) -> Decoded {
        let Decoded { events, rejections } = self.reader.decode(payload, arrival);
        let events = events.into_iter().filter_map(|event| self.place(event)).collect();
        Decoded { events, rejections }
    }

    /// Puts an event where it belongs; running totals of an answer belong nowhere.
    fn place(&mut self, mut event: Event) -> Option<Event> {
        let root = self.root(&event.conversation);
        let moved = root != event.conversation;
        match &mut event.body {
            Body::Counters(_) if moved => return None,
            Body::Post(post) => {
                let own = self.reader.conversation(&post.id);
                if own != root {
                    self.threads.put(hash(&[&own]), root.clone(), event.at);
                }
                post.related =
                    post.quotes.as_ref().map(|quoted| self.root(&self.reader.conversation(quoted)));
                if let Some(author) = &mut post.author {
                    know(&mut self.followers, author, event.at);
                }
            }
            Body::Engagement(engagement) => {
                // What is passed on may be passed on again under the id of that.
                let own = self.reader.conversation(&event.id);
                if self.reader.passes_on_reshares() && own != root {
                    self.threads.put(hash(&[&own]), root.clone(), event.at);
                }
                if let Some(actor) = engagement.actor.clone() {
                    let mut author =
                        Author { id: actor, followers: engagement.followers, ..Author::default() };
                    know(&mut self.followers, &mut author, event.at);
                    engagement.followers = author.followers;
                }
            }
            Body::Counters(_) | Body::BrandReply(_) | Body::Delete(_) => {}
        }
        event.conversation = root;
        Some(event)
    }

    /// The root of a conversation that may only be a part of one.
    fn root(&self, conversation: &str) -> String {
        let mut root = conversation;
        for _ in 0..DEEPEST {
            match self.threads.get(hash(&[root])) {
                Some((above, _)) => root = above,
                None => break,
            }
        }
        root.to_owned()
    }

    /// What differs from the last commit.
    pub fn changes(&self) -> impl Iterator<Item = Entry> {
        let threads = self.threads.changes().map(|(key, value)| (named(b't', key), value));
        threads.chain(self.followers.changes().map(|(key, value)| (named(b'f', key), value)))
    }

    /// The changes are written for good.
    pub fn committed(&mut self) {
        self.threads.committed();
        self.followers.committed();
    }

    /// Undoes all since the last commit.
    pub fn rewind(&mut self) {
        self.threads.rewind();
        self.followers.rewind();
    }

    /// Takes an entry of the changelog in; tells whether it could be read.
    pub fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> bool {
        let Some((kind, rest)) = key.split_first() else { return false };
        let Ok(hash) = rest.try_into().map(u64::from_be_bytes) else { return false };
        match kind {
            b't' => self.threads.restore(hash, value),
            b'f' => self.followers.restore(hash, value),
            _ => false,
        }
    }
}

fn named(kind: u8, key: u64) -> Vec<u8> {
    [&[kind][..], &key.to_be_bytes()].concat()
}

/// Notes an author's followers, or fills in what was last known of them.
fn know(known: &mut Kept<u64>, author: &mut Author, at: EventTime) {
    let key = hash(&[&author.id]);
    let before = known.get(key).copied();
    match (author.followers, before) {
        (Some(now), Some((then, since))) if at - FRESH < since && now.abs_diff(then) * 10 <= then.max(1) => {}
        (Some(now), _) => known.put(key, now, at),
        (None, Some((then, since))) => (author.followers, author.followers_at) = (Some(then), Some(since)),
        (None, None) => {}
    }
}

#[cfg(test)]
mod tests;
