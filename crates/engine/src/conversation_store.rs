//! The conversations of a task: those touched since the last commit as they are, all others as the bytes that
//! the changelog holds.
//!
//! So memory is the size of the bytes, a restart takes them in without unpacking them, and what was not committed
//! is undone by dropping it. Packing loses nothing, so when it happens makes no difference.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use firewatch_domain::{Duration, EventTime};

use crate::changelog::{ChangelogEntry, StateError, decode, encode};
use crate::conversation::Conversation;

/// How exactly silent conversations expire.
const EXPIRY_STEP: Duration = Duration::from_mins(1);
/// Prefix of a conversation's key in the changelog.
const KEY_PREFIX: &[u8] = b"c/";

/// Conversations by id, and when each expires.
#[derive(Default)]
pub(crate) struct ConversationStore {
    // Looked up only; whatever is told for several conversations goes by `due`, which is ordered.
    /// As committed.
    packed: HashMap<Arc<str>, Box<[u8]>>,
    /// As touched since; none for one that is over.
    touched: HashMap<Arc<str>, Option<Conversation>>,
    /// By the time they expire, exactly.
    expiries: BTreeSet<(EventTime, Arc<str>)>,
    bytes: usize,
}

/// When a conversation expires that was last heard of at a time.
fn expiry(last: EventTime, retention: Duration) -> EventTime {
    (last + retention).ceil(EXPIRY_STEP)
}

impl ConversationStore {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.expiries.len()
    }

    /// Bytes of the entries as committed, keys included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Works on a conversation that is there.
    pub fn visit<R>(
        &mut self,
        id: &str,
        retention: Duration,
        work: impl FnOnce(&mut Conversation) -> R,
    ) -> Option<R> {
        self.unpack(id)?;
        self.work_on(id, retention, work)
    }

    /// Works on a conversation that is open.
    fn work_on<R>(
        &mut self,
        id: &str,
        retention: Duration,
        work: impl FnOnce(&mut Conversation) -> R,
    ) -> Option<R> {
        let conversation = self.touched.get_mut(id)?.as_mut()?;
        let before = conversation.last_seen().map(|last| expiry(last, retention));
        let result = work(conversation);
        let after = conversation.last_seen().map(|last| expiry(last, retention));
        if before != after {
            let (key, _) = self.touched.get_key_value(id)?;
            if let Some(before) = before {
                self.expiries.remove(&(before, key.clone()));
            }
            self.expiries.extend(after.map(|after| (after, key.clone())));
        }
        Some(result)
    }

    /// Works on a conversation, which begins if it is not there yet.
    pub fn visit_or_create<R>(
        &mut self,
        id: &str,
        retention: Duration,
        work: impl FnOnce(&mut Conversation) -> R,
    ) -> Option<R> {
        if self.unpack(id).is_none() {
            let key = self.packed.get_key_value(id).map_or_else(|| Arc::from(id), |(key, _)| key.clone());
            self.touched.insert(key, Some(Conversation::default()));
        }
        self.work_on(id, retention, work)
    }

    /// Takes out the conversation that expires first, if that is by `now`; tells its id and when it expired.
    pub fn pop_expired(&mut self, now: EventTime) -> Option<(Arc<str>, EventTime, Conversation)> {
        let (due, _) = self.expiries.first()?;
        if *due > now {
            return None;
        }
        let (due, id) = self.expiries.pop_first()?;
        self.unpack(&id)?;
        let expired = self.touched.get_mut(&id)?.take()?;
        Some((id, due, expired))
    }

    /// Sees to it that a conversation is open; none when there is no such conversation.
    fn unpack(&mut self, id: &str) -> Option<()> {
        if let Some(open) = self.touched.get(id) {
            return open.is_some().then_some(());
        }
        let (key, bytes) = self.packed.get_key_value(id)?;
        // These bytes were made here, or checked when they were taken in.
        let conversation = decode(id.as_bytes(), bytes).ok()?;
        self.touched.insert(key.clone(), Some(conversation));
        Some(())
    }

    /// Packs what was touched since the last commit.
    pub fn changes(&self, out: &mut Vec<ChangelogEntry>) -> Result<(), StateError> {
        for (id, open) in &self.touched {
            let key = [KEY_PREFIX, id.as_bytes()].concat();
            let value = open.as_ref().map(|conversation| encode(&key, conversation)).transpose()?;
            if value.is_some() || self.packed.contains_key(id) {
                out.push(ChangelogEntry { key, value });
            }
        }
        Ok(())
    }

    /// Takes a change over as committed. Tells whether it was one of a conversation.
    pub fn commit(&mut self, entry: &mut ChangelogEntry) -> bool {
        let Some(id) = entry.key.strip_prefix(KEY_PREFIX).and_then(|id| std::str::from_utf8(id).ok()) else {
            return false;
        };
        let key = self.touched.remove_entry(id).map_or_else(|| Arc::from(id), |(key, _)| key);
        self.bytes -= self.packed.get(&key).map_or(0, |old| old.len() + key.len());
        match entry.value.take() {
            Some(value) => {
                self.bytes += value.len() + key.len();
                self.packed.insert(key, value.into_boxed_slice());
            }
            None => {
                self.packed.remove(&key);
            }
        }
        true
    }

    /// Nothing more of this commit is to come; what began and ended within it leaves no trace.
    pub fn committed(&mut self) {
        self.touched.clear();
    }

    /// Undoes what was done since the last commit.
    pub fn rewind(&mut self, retention: Duration) -> Result<(), StateError> {
        for (id, open) in std::mem::take(&mut self.touched) {
            if let Some(last) = open.and_then(|conversation| conversation.last_seen()) {
                self.expiries.remove(&(expiry(last, retention), id.clone()));
            }
            if let Some(bytes) = self.packed.get(&id) {
                let last = last_event_time(&id, bytes)?;
                self.expiries.insert((expiry(last, retention), id));
            }
        }
        Ok(())
    }

    /// Takes in an entry of the changelog, later ones over earlier ones. Tells whether it was one of a conversation.
    pub fn restore(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        retention: Duration,
    ) -> Result<bool, StateError> {
        let Some(id) = key.strip_prefix(KEY_PREFIX) else { return Ok(false) };
        let id = std::str::from_utf8(id).map_err(|e| StateError::new(key, e))?;
        if let Some((id_key, old)) = self.packed.get_key_value(id) {
            self.expiries.remove(&(expiry(last_event_time(id, old)?, retention), id_key.clone()));
        }
        if let Some(value) = value {
            let due = expiry(last_event_time(id, value)?, retention);
            let id_key =
                self.packed.get_key_value(id).map_or_else(|| Arc::from(id), |(id_key, _)| id_key.clone());
            self.expiries.insert((due, id_key));
        }
        self.commit(&mut ChangelogEntry { key: key.to_vec(), value: value.map(<[u8]>::to_vec) });
        Ok(true)
    }
}

fn last_event_time(id: &str, bytes: &[u8]) -> Result<EventTime, StateError> {
    let conversation: Conversation = decode(id.as_bytes(), bytes)?;
    conversation.last_seen().ok_or_else(|| StateError::new(id.as_bytes(), "was never heard of"))
}
