//! What came last, to leave out what a server sends again when it goes on a little before where it was.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

/// A short memory of payloads.
#[derive(Debug, Default)]
pub(crate) struct RecentPayloads {
    known: HashSet<u64>,
    order: VecDeque<u64>,
    hasher: RandomState,
}

/// How many are remembered: a firehose's last half minute.
const CAPACITY: usize = 65_536;

impl RecentPayloads {
    /// Whether a payload is new; it is remembered from now on.
    pub fn is_new(&mut self, payload: &[u8]) -> bool {
        let hash = self.hasher.hash_one(payload);
        if !self.known.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}
