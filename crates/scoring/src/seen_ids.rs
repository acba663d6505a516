//! Remembers the ids of a long conversation in bounded memory, so that a batch that is delivered again counts once.
//!
//! Hashes of the ids in an open-addressing table that doubles up to a limit. A full table of the largest size becomes
//! the older one, and the one before that is forgotten.

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Number of places of the first table.
const MIN_PLACES: usize = 32;
/// Number of places of the largest table.
const MAX_PLACES: usize = 16_384;

/// The ids of a conversation that are no longer among the recent ones, as hashes of 32 bits.
///
/// It knows at least the last 12,288 ids of those given to it, in at most 128 KiB. It takes a new id for a known one
/// with a probability of at most 24,576 in 4.3 billion: 1 in 170,000.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SeenIds {
    latest: Table,
    /// The full table before; empty until there is one.
    older: Table,
}

/// A set of hashes. 0 marks a free place; the number of places is 0 or a power of two.
#[derive(Debug, Clone, PartialEq, Default)]
struct Table {
    places: Vec<u32>,
    used: usize,
}

impl SeenIds {
    /// Returns whether the hash of an id was inserted.
    #[must_use]
    pub fn contains(&self, hash: u32) -> bool {
        self.latest.contains(hash) || self.older.contains(hash)
    }

    /// Inserts the hash of an id. 0 counts as 1.
    pub fn insert(&mut self, hash: u32) {
        if self.latest.is_full() && self.latest.places.len() == MAX_PLACES {
            self.older = std::mem::take(&mut self.latest);
        }
        self.latest.insert(hash.max(1));
    }
}

impl Table {
    /// Returns whether three quarters of the places are used, beyond which searches become long.
    fn is_full(&self) -> bool {
        4 * (self.used + 1) > 3 * self.places.len()
    }

    fn contains(&self, hash: u32) -> bool {
        self.place(hash).is_some_and(|place| self.places.get(place) == Some(&hash))
    }

    fn insert(&mut self, hash: u32) {
        if self.is_full() {
            let size = (2 * self.places.len()).max(MIN_PLACES);
            let all = std::mem::replace(&mut self.places, vec![0; size]);
            self.used = 0;
            all.into_iter().filter(|hash| *hash != 0).for_each(|hash| self.put(hash));
        }
        self.put(hash);
    }

    fn put(&mut self, hash: u32) {
        if let Some(place) = self.place(hash).and_then(|place| self.places.get_mut(place))
            && *place == 0
        {
            *place = hash;
            self.used += 1;
        }
    }

    /// Returns the place of a hash, or the free one where it would be.
    fn place(&self, hash: u32) -> Option<usize> {
        let mask = self.places.len().checked_sub(1)?;
        (0..self.places.len())
            .map(|step| (hash as usize).wrapping_add(step) & mask)
            .find(|place| self.places.get(*place).is_none_or(|found| *found == 0 || *found == hash))
    }
}

/// Writes the places as bytes, which costs a copy.
impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.places.iter().flat_map(|place| place.to_le_bytes()).collect();
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(TableVisitor)
    }
}

struct TableVisitor;

impl Visitor<'_> for TableVisitor {
    type Value = Table;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("hashes of four bytes, none or a power of two of them")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Table, E> {
        let (hashes, rest) = bytes.as_chunks();
        let places: Vec<u32> = hashes.iter().map(|hash| u32::from_le_bytes(*hash)).collect();
        let used = places.iter().filter(|hash| **hash != 0).count();
        let has_size = places.is_empty() || (places.len().is_power_of_two() && places.len() <= MAX_PLACES);
        if rest.is_empty() && has_size && (places.is_empty() || used < places.len()) {
            Ok(Table { places, used })
        } else {
            Err(E::custom("a table of seen ids has a wrong size"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::short_hash;

    fn hash(i: u32) -> u32 {
        short_hash(&format!("event {i}"))
    }

    fn seen(count: u32) -> SeenIds {
        let mut seen = SeenIds::default();
        (0..count).for_each(|i| seen.insert(hash(i)));
        seen
    }

    #[test]
    fn ids_are_known_again_and_new_ones_are_new() {
        let seen = seen(20_000);
        assert!((0..20_000).all(|i| seen.contains(hash(i))));
        let wrong = (20_000..220_000).filter(|i| seen.contains(hash(*i))).count();
        assert!(wrong <= 6, "{wrong} of 200,000; 1 is expected");
    }

    #[test]
    fn memory_is_bounded_and_the_latest_ids_stay() {
        let all = seen(200_000);
        assert!((200_000 - 12_288..200_000).all(|i| all.contains(hash(i))));
        let bytes = postcard::to_allocvec(&all).unwrap();
        assert!(bytes.len() <= (128 << 10) + 8, "{}", bytes.len());
        assert_eq!(postcard::from_bytes::<SeenIds>(&bytes).unwrap(), all);
        assert!(postcard::to_allocvec(&seen(24)).unwrap().len() <= 132);
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let bytes = postcard::to_allocvec(&seen(3)).unwrap();
        assert!(postcard::from_bytes::<SeenIds>(&bytes[..bytes.len() - 2]).is_err());
        let full = postcard::to_allocvec(&([1_u8; 128].as_slice(), [0_u8; 0].as_slice())).unwrap();
        assert!(postcard::from_bytes::<SeenIds>(&full).is_err(), "a table without a free place");
    }
}
