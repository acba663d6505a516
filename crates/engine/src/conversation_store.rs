//! The conversations of a task. Those touched since the last commit are held as values, all others as the
//! bytes that the changelog holds.
//!
//! Packed bytes keep memory small, let a restart load entries as they are, and make a rewind cheap: it drops
//! the touched values. Packing is lossless, so its timing cannot change any output.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use firewatch_domain::{Duration, EventTime};

use crate::changelog::{ChangelogEntry, StateError, decode, encode, upgrade};
use crate::conversation::{Conversation, ConversationV11};

/// Expiry times are rounded up to a multiple of this.
const EXPIRY_STEP: Duration = Duration::from_mins(1);
/// Prefix of a conversation's key in the changelog.
const KEY_PREFIX: &[u8] = b"c/";

/// A task's conversations by id, and their expiry times.
#[derive(Default)]
pub(crate) struct ConversationStore {
    // Nothing that reaches the output iterates over the hash maps; expiry uses `expiries`, which is ordered.
    /// The committed conversations, encoded.
    packed: HashMap<Arc<str>, Box<[u8]>>,
    /// The conversations touched since the last commit; `None` for one that has expired.
    touched: HashMap<Arc<str>, Option<Conversation>>,
    /// All conversations in the order in which they expire.
    expiries: BTreeSet<(EventTime, Arc<str>)>,
    /// The size of `packed`, keys included.
    bytes: usize,
    /// Conversations that the changelog holds in the version before.
    outdated: VecDeque<Arc<str>>,
    /// Number of these, from the first on, in the changes that are not committed yet.
    rewriting: usize,
}

/// Maximum number of conversations of the version before that one commit writes again.
const MAX_REWRITTEN: usize = 1000;

/// Returns when a conversation expires whose latest event is at `last`.
fn expiry(last: EventTime, retention: Duration) -> EventTime {
    (last + retention).ceil(EXPIRY_STEP)
}

impl ConversationStore {
    /// Returns the number of conversations.
    pub fn len(&self) -> usize {
        self.expiries.len()
    }

    /// Returns the size of the committed entries in bytes, keys included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns whether there is a conversation of this id.
    pub fn contains(&self, id: &str) -> bool {
        self.touched.get(id).map_or_else(|| self.packed.contains_key(id), Option::is_some)
    }

    /// Runs `work` on an existing conversation; returns `None` when there is none of this id.
    pub fn visit<R>(
        &mut self,
        id: &str,
        retention: Duration,
        work: impl FnOnce(&mut Conversation) -> R,
    ) -> Option<R> {
        self.unpack(id)?;
        self.work_on(id, retention, work)
    }

    /// Runs `work` on an unpacked conversation and updates its expiry.
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

    /// Runs `work` on a conversation, after creating it if there is none of this id.
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

    /// Removes the conversation that expires first, if it expires by `now`. Returns its id, its expiry time
    /// and its state.
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

    /// Unpacks a conversation unless it is unpacked; returns `None` when there is none of this id.
    fn unpack(&mut self, id: &str) -> Option<()> {
        if let Some(open) = self.touched.get(id) {
            return open.is_some().then_some(());
        }
        let (key, bytes) = self.packed.get_key_value(id)?;
        // These bytes were encoded here, or were checked in `restore`.
        let conversation = decode(id.as_bytes(), bytes).ok()?;
        self.touched.insert(key.clone(), Some(conversation));
        Some(())
    }

    /// Encodes the conversations touched since the last commit and pushes them to `out`.
    pub fn changes(&mut self, out: &mut Vec<ChangelogEntry>) -> Result<(), StateError> {
        self.rewriting = self.outdated.len().min(MAX_REWRITTEN);
        for id in self.outdated.iter().take(self.rewriting).filter(|id| !self.touched.contains_key(*id)) {
            if let Some(value) = self.packed.get(id) {
                let key = [KEY_PREFIX, id.as_bytes()].concat();
                out.push(ChangelogEntry { key, value: Some(value.to_vec()) });
            }
        }
        for (id, open) in &self.touched {
            let key = [KEY_PREFIX, id.as_bytes()].concat();
            let value = open.as_ref().map(|conversation| encode(&key, conversation)).transpose()?;
            if value.is_some() || self.packed.contains_key(id) {
                out.push(ChangelogEntry { key, value });
            }
        }
        Ok(())
    }

    /// Records an entry as committed. Returns false if its key is not a conversation's.
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

    /// Ends a commit. Drops the conversations that began and expired within it, which have no entry.
    pub fn committed(&mut self) {
        self.touched.clear();
        self.outdated.drain(..std::mem::take(&mut self.rewriting));
    }

    /// Undoes all changes since the last commit.
    pub fn rewind(&mut self, retention: Duration) -> Result<(), StateError> {
        self.rewriting = 0;
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

    /// Loads a changelog entry; a later entry of a key replaces an earlier one. Returns false if its key is
    /// not a conversation's.
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
        let extended =
            value.map(|value| upgrade::<ConversationV11, Conversation>(key, value)).transpose()?.flatten();
        let value = extended.as_deref().or(value);
        if extended.is_some() {
            self.outdated.push_back(Arc::from(id));
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

/// Decodes the time of a packed conversation's latest event, which fails if the bytes are damaged.
fn last_event_time(id: &str, bytes: &[u8]) -> Result<EventTime, StateError> {
    let conversation: Conversation = decode(id.as_bytes(), bytes)?;
    conversation.last_seen().ok_or_else(|| StateError::new(id.as_bytes(), "has no event time"))
}
