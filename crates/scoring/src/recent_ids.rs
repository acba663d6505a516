//! A short memory of ids, to recognise what comes again.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A short memory of hashes: the `N` distinct ones heard of last, the latest first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecentIds<const N: usize>([u32; N]);

impl<const N: usize> Default for RecentIds<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> RecentIds<N> {
    /// Whether the id is new; it is remembered from now on, and what comes again and again is not forgotten. Two ids share
    /// a hash once in 4 thousand million.
    pub fn insert(&mut self, id: &str) -> bool {
        let hash = short_hash(id).max(1);
        let known = self.0.iter().position(|h| *h == hash);
        if let Some(recent) = self.0.get_mut(..=known.unwrap_or(N - 1)) {
            recent.rotate_right(1);
        }
        if let Some(first) = self.0.first_mut() {
            *first = hash;
        }
        known.is_none()
    }
}

/// The hashes in use, each in four bytes: hashes do not shrink as other numbers do.
impl<const N: usize> Serialize for RecentIds<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let used: Vec<[u8; 4]> =
            self.0.iter().take_while(|hash| **hash != 0).map(|hash| hash.to_le_bytes()).collect();
        used.serialize(serializer)
    }
}

impl<'de, const N: usize> Deserialize<'de> for RecentIds<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let used = Vec::<[u8; 4]>::deserialize(deserializer)?;
        if used.len() > N {
            return Err(D::Error::custom("more ids than are remembered"));
        }
        let mut ids = Self::default();
        for (slot, hash) in ids.0.iter_mut().zip(used) {
            *slot = u32::from_le_bytes(hash);
        }
        Ok(ids)
    }
}

/// By what an id is known where all of it would take too much: 64-bit FNV-1a folded to 32 bits, the same on every machine and in
/// every version.
#[must_use]
pub fn short_hash(id: &str) -> u32 {
    let hash =
        id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    (hash ^ (hash >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_ids_are_recognised_and_old_ones_forgotten() {
        let mut ids = RecentIds::<4>::default();
        assert!(["a", "b", "c", "d"].iter().all(|id| ids.insert(id)));
        assert!(!ids.insert("a"));
        assert!(ids.insert("e"));
        assert!(!ids.insert("a"), "heard of again in between");
        assert!(ids.insert("b"), "forgotten after four others");
    }
}
