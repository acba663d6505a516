//! A bounded map with expiry by event time, undo since the last commit, and a changelog for restarts.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hasher as _;

use firewatch_domain::{Duration, EventTime};
use fnv::FnvHasher;

/// A value with a byte encoding for the changelog.
pub(crate) trait StoredBytes: Clone + PartialEq {
    /// Encodes the value.
    fn encode(&self) -> Vec<u8>;
    /// Decodes a value. Returns `None` for invalid bytes.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

impl StoredBytes for String {
    fn encode(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Self::from_utf8(bytes.to_vec()).ok()
    }
}

impl StoredBytes for u64 {
    fn encode(&self) -> Vec<u8> {
        self.to_le_bytes().to_vec()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self::from_le_bytes(bytes.try_into().ok()?))
    }
}

/// What the ingester remembers of earlier payloads, by [`hash`] of the key; a given pair of keys collides with
/// a probability of 1 in 1.8e19.
#[derive(Debug)]
pub(crate) struct BoundedMemory<V> {
    entries: HashMap<u64, (V, EventTime)>,
    by_age: BTreeSet<(EventTime, u64)>,
    max_entries: usize,
    lifetime: Duration,
    /// The previous entry of each change since the last commit, in order.
    journal: Vec<(u64, Option<(V, EventTime)>)>,
}

impl<V: StoredBytes> BoundedMemory<V> {
    /// Builds an empty map. Entries expire `lifetime` after they were last put; beyond `max_entries` the
    /// oldest is removed.
    pub fn new(max_entries: usize, lifetime: Duration) -> Self {
        Self { entries: HashMap::new(), by_age: BTreeSet::new(), max_entries, lifetime, journal: Vec::new() }
    }

    /// Returns an entry, even an expired one: only `put` removes entries.
    pub fn get(&self, key: u64) -> Option<&(V, EventTime)> {
        self.entries.get(&key)
    }

    /// Puts an entry, and removes entries that are expired at `at` or exceed the limit.
    pub fn put(&mut self, key: u64, value: V, at: EventTime) {
        self.set(key, Some((value, at)));
        while let Some((oldest, key)) = self.by_age.first().copied()
            && (oldest + self.lifetime < at || self.entries.len() > self.max_entries)
        {
            self.set(key, None);
        }
    }

    /// Replaces an entry and records the previous one in the journal.
    fn set(&mut self, key: u64, entry: Option<(V, EventTime)>) {
        let before = self.replace(key, entry);
        self.journal.push((key, before));
    }

    fn replace(&mut self, key: u64, entry: Option<(V, EventTime)>) -> Option<(V, EventTime)> {
        let before = match entry {
            Some((value, at)) => {
                self.by_age.insert((at, key));
                self.entries.insert(key, (value, at))
            }
            None => self.entries.remove(&key),
        };
        if let Some((_, old)) = &before
            && self.entries.get(&key).is_none_or(|(_, at)| at != old)
        {
            self.by_age.remove(&(*old, key));
        }
        before
    }

    /// Returns the changed keys since the last commit with their encoded entries; `None` for removed ones.
    pub fn changes(&self) -> impl Iterator<Item = (u64, Option<Vec<u8>>)> {
        let changed: BTreeSet<u64> = self.journal.iter().map(|(key, _)| *key).collect();
        changed.into_iter().map(|key| {
            let bytes = self.entries.get(&key).map(|(value, at)| {
                let mut bytes = at.as_millis().to_le_bytes().to_vec();
                bytes.extend(value.encode());
                bytes
            });
            (key, bytes)
        })
    }

    /// Marks all changes as committed.
    pub fn committed(&mut self) {
        self.journal.clear();
    }

    /// Undoes all changes since the last commit.
    pub fn rewind(&mut self) {
        for (key, before) in std::mem::take(&mut self.journal).into_iter().rev() {
            self.replace(key, before);
        }
    }

    /// Restores a changelog entry. Returns whether it could be read.
    pub fn restore(&mut self, key: u64, bytes: Option<&[u8]>) -> bool {
        let Some(bytes) = bytes else {
            self.replace(key, None);
            return true;
        };
        let entry = bytes.split_first_chunk().and_then(|(at, value)| {
            Some((V::decode(value)?, EventTime::from_millis(i64::from_le_bytes(*at))))
        });
        let is_read = entry.is_some();
        if is_read {
            self.replace(key, entry);
        }
        is_read
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        assert_eq!(self.entries.len(), self.by_age.len());
        self.entries.len()
    }
}

/// Returns the 64-bit FNV-1a hash of the parts. Changelogs contain it, so it must not change between
/// versions.
pub(crate) fn hash(parts: &[&str]) -> u64 {
    let mut hasher = FnvHasher::default();
    for part in parts {
        hasher.write(part.as_bytes());
        hasher.write_u8(0);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> EventTime {
        EventTime::EARLIEST + Duration::from_secs(secs)
    }

    #[test]
    fn hash_is_stable_across_versions() {
        // FNV-1a of "a", a zero, "b" and a zero.
        let by_hand = [b'a', 0, b'b', 0].iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        assert_eq!(hash(&["a", "b"]), by_hand);
    }

    #[test]
    fn put_removes_expired_and_excess_entries() {
        let mut kept = BoundedMemory::<u64>::new(3, Duration::from_secs(60));
        for i in 0..5 {
            kept.put(i, i, at(i as i64));
        }
        assert_eq!((kept.len(), kept.get(1), kept.get(4)), (3, None, Some(&(4, at(4)))));
        kept.put(2, 22, at(50));
        kept.put(9, 9, at(70));
        assert_eq!((kept.len(), kept.get(3), kept.get(2).map(|e| e.0)), (2, None, Some(22)));
    }

    #[test]
    fn restore_and_rewind_return_to_the_last_commit() {
        let mut kept = BoundedMemory::<String>::new(3, Duration::from_secs(60));
        let mut log: Vec<(u64, Option<Vec<u8>>)> = Vec::new();
        for i in 0..10_u64 {
            kept.put(i, format!("v{i}"), at(i as i64));
            kept.put(i / 2, "again".into(), at(i as i64));
            if i % 3 == 2 {
                kept.rewind();
            } else {
                log.extend(kept.changes());
                kept.committed();
            }
        }
        let mut restored = BoundedMemory::<String>::new(3, Duration::from_secs(60));
        for (key, bytes) in &log {
            assert!(restored.restore(*key, bytes.as_deref()));
        }
        assert_eq!((restored.len(), &restored.entries), (kept.len(), &kept.entries));
        assert!(!restored.restore(1, Some(b"short")));
    }
}
