//! Shows by which partitioner the keys of a topic were placed, from a sample of its last records.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use firewatch_engine::Partitioner;

use crate::topic_scan::scan_last;
use crate::{KafkaSettings, RunError};

/// Where the keys of a sample lie.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyPlacement {
    /// Number of partitions of the topic.
    pub partitions: u32,
    /// Number of records that were sampled.
    pub sampled: u64,
    /// Number of these without a key.
    pub without_key: u64,
    /// Number of these in the partition that each of [`Partitioner::ALL`] gives their key.
    pub placed_by: [u64; Partitioner::ALL.len()],
}

impl KeyPlacement {
    /// Adds a record of a partition.
    fn add(&mut self, key: Option<&[u8]>, partition: u32) {
        self.sampled += 1;
        let Some(key) = key else {
            self.without_key += 1;
            return;
        };
        for (placed, partitioner) in self.placed_by.iter_mut().zip(Partitioner::ALL) {
            *placed += u64::from(partitioner.partition(key, self.partitions) == partition);
        }
    }

    /// Returns the number of sampled keys that are not where `partitioner` places them.
    #[must_use]
    pub fn misplaced(&self, partitioner: Partitioner) -> u64 {
        let placed = self.placed_by.iter().zip(Partitioner::ALL).find(|(_, one)| *one == partitioner);
        self.sampled - self.without_key - placed.map_or(0, |(placed, _)| *placed)
    }

    /// Returns the partitioner that places every sampled key where it lies; `None` when none or several do.
    #[must_use]
    pub fn partitioner(&self) -> Option<Partitioner> {
        let mut fits = Partitioner::ALL.into_iter().filter(|one| self.misplaced(*one) == 0);
        fits.next().filter(|_| fits.next().is_none())
    }
}

/// Samples the last `per_partition` records of each partition of some topics.
///
/// # Errors
/// When no broker answers or a topic does not exist.
pub fn sample_key_placement(
    settings: &KafkaSettings,
    topics: &[String],
    per_partition: u32,
) -> Result<BTreeMap<String, KeyPlacement>, RunError> {
    let mut found = BTreeMap::new();
    for topic in topics {
        let mut keys = Vec::new();
        let partitions = scan_last(settings, topic, per_partition, &mut |record| {
            keys.push((record.key.clone(), record.partition));
            ControlFlow::Continue(())
        })?;
        let mut placement = KeyPlacement { partitions, ..KeyPlacement::default() };
        keys.iter().for_each(|(key, partition)| placement.add(key.as_deref(), *partition));
        found.insert(topic.clone(), placement);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partitioner_of_a_sample_is_the_one_that_fits_every_key() {
        let mut placement = KeyPlacement { partitions: 12, ..KeyPlacement::default() };
        assert_eq!(placement.partitioner(), None, "nothing was sampled");
        for key in 0..50_u32 {
            let key = format!("c{key}");
            placement.add(Some(key.as_bytes()), Partitioner::Crc32.partition(key.as_bytes(), 12));
        }
        placement.add(None, 3);
        assert_eq!(placement.partitioner(), Some(Partitioner::Crc32));
        assert_eq!((placement.sampled, placement.without_key), (51, 1));
        assert!(placement.misplaced(Partitioner::Murmur2) > 40);
        let murmur = Partitioner::Murmur2.partition(b"other", 12);
        assert_ne!(murmur, Partitioner::Crc32.partition(b"other", 12));
        placement.add(Some(b"other"), murmur);
        assert_eq!((placement.partitioner(), placement.misplaced(Partitioner::Crc32)), (None, 1));
    }
}
