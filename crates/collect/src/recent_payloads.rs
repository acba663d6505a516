//! A bounded set of recent payloads, which detects the ones that a server repeats when a stream resumes with
//! overlap.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

/// The hashes of the last payloads.
#[derive(Debug, Default)]
pub(crate) struct RecentPayloads {
    known: HashSet<u64>,
    order: VecDeque<u64>,
    hasher: RandomState,
}

/// Maximum number of payloads: about half a minute of a firehose.
const CAPACITY: usize = 65_536;

impl RecentPayloads {
    /// Inserts a payload and returns whether it was new.
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
