//! A bounded set of recently seen ids, used to detect repeated events and accounts.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The 32-bit hashes of the `N` ids seen last, the most recent first. 0 marks an unused place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecentIds<const N: usize>([u32; N]);

impl<const N: usize> Default for RecentIds<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> RecentIds<N> {
    /// Returns whether an id is among them.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.0.contains(&short_hash(id).max(1))
    }

    /// Returns the hash of the id that the next new one displaces; `None` while there is room.
    #[must_use]
    pub fn next_displaced(&self) -> Option<u32> {
        self.0.last().copied().filter(|hash| *hash != 0)
    }

    /// Inserts an id and returns whether it was new. A known id moves to the front, so that frequent ids are
    /// kept. Two ids collide with a probability of 1 in 4.3 billion.
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

/// Writes the used hashes as four bytes each, because variable-length integers do not shorten hashes.
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
            return Err(D::Error::custom("more ids than the set holds"));
        }
        let mut ids = Self::default();
        for (slot, hash) in ids.0.iter_mut().zip(used) {
            *slot = u32::from_le_bytes(hash);
        }
        Ok(ids)
    }
}

/// Returns a 32-bit hash of an id, for state where the whole id would be too large: 64-bit FNV-1a folded to
/// 32 bits. The hash is stored, so it must stay the same on every machine and in every version.
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
        assert!(!ids.insert("a"), "seen again in between");
        assert!(ids.insert("b"), "forgotten after four others");
    }
}
