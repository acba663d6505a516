//! A hash table of all feature weights, in slots of 16 bytes: a fingerprint, then one weight for each column.
//!
//! The low half of a key selects the slot and the high half is the fingerprint. Of a million keys that are
//! not in the table, about a hundred are mistaken for one that is. Weights are stored as 16-bit multiples of
//! a step, which is the largest weight of the column divided by 32,767.

use crate::ModelError;

/// Number of columns: log-odds of negative, neutral, positive, complaint and arousal, and the lexicon's mood.
pub const COLUMNS: usize = 6;
/// Size of a slot in the file, in bytes.
const SLOT_BYTES: usize = 4 + 2 * COLUMNS;
/// Share of used slots.
const LOAD_FACTOR: f64 = 0.6;

/// One weight for each column.
pub type ColumnWeights = [f32; COLUMNS];

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Slot {
    /// The high half of the key, made odd; 0 for a free slot.
    fingerprint: u32,
    weights: [i16; COLUMNS],
}

/// A hash table of feature weights with open addressing.
pub struct WeightTable {
    slots: Box<[Slot]>,
    /// The value of one integer step, by column.
    steps: ColumnWeights,
}

impl WeightTable {
    /// Builds a table from keys and weights.
    #[must_use]
    pub fn from_features(features: &[(u64, ColumnWeights)]) -> Self {
        let mut steps = [0.0_f32; COLUMNS];
        for (_, weights) in features {
            for (step, w) in steps.iter_mut().zip(weights) {
                *step = step.max(w.abs() / f32::from(i16::MAX));
            }
        }
        let n = (features.len() as f64 / LOAD_FACTOR) as usize + 8;
        let mut table = Self { slots: vec![Slot::default(); n].into(), steps };
        for (key, weights) in features {
            let mut slot = Slot { fingerprint: fingerprint(*key), weights: [0; COLUMNS] };
            for ((to, w), step) in slot.weights.iter_mut().zip(weights).zip(&steps) {
                *to = if *step > 0.0 { (w / step).round() as i16 } else { 0 };
            }
            table.insert(*key, slot);
        }
        table
    }

    fn insert(&mut self, key: u64, slot: Slot) {
        let n = self.slots.len();
        let start = self.start_slot(key);
        if let Some(free) = (0..n).map(|i| (start + i) % n).find(|i| self.slots[*i].fingerprint == 0) {
            self.slots[free] = slot;
        }
    }

    fn start_slot(&self, key: u64) -> usize {
        (((key & 0xffff_ffff) * self.slots.len() as u64) >> 32) as usize
    }

    /// Returns the weights of a feature, or `None` if it is not in the table.
    #[must_use]
    pub fn get(&self, key: u64) -> Option<ColumnWeights> {
        let fingerprint = fingerprint(key);
        let start = self.start_slot(key);
        let (before, after) = self.slots.split_at(start.min(self.slots.len()));
        for slot in after.iter().chain(before) {
            if slot.fingerprint == fingerprint {
                let mut weights = self.steps;
                weights.iter_mut().zip(slot.weights).for_each(|(step, w)| *step *= f32::from(w));
                return Some(weights);
            }
            if slot.fingerprint == 0 {
                return None;
            }
        }
        None
    }

    /// Returns the value of one integer step, by column.
    #[must_use]
    pub fn steps(&self) -> ColumnWeights {
        self.steps
    }

    /// Appends the slots to `out`, little-endian.
    pub fn write(&self, out: &mut Vec<u8>) {
        for slot in &self.slots {
            out.extend(slot.fingerprint.to_le_bytes());
            slot.weights.iter().for_each(|w| out.extend(w.to_le_bytes()));
        }
    }

    /// Reads slots back.
    ///
    /// # Errors
    /// If the length is not a multiple of the slot size, no slot is free, or a step is not finite.
    pub fn read(bytes: &[u8], steps: ColumnWeights) -> Result<Self, ModelError> {
        let (chunks, rest) = bytes.as_chunks::<SLOT_BYTES>();
        if !rest.is_empty() || chunks.is_empty() {
            return Err(ModelError::File(format!(
                "a weight table of {} bytes, not a whole number of slots",
                bytes.len()
            )));
        }
        let slots: Box<[Slot]> = chunks.iter().map(Slot::read).collect();
        if slots.iter().all(|s| s.fingerprint != 0) {
            return Err(ModelError::File("a weight table without a free slot".into()));
        }
        if steps.iter().any(|s| !s.is_finite()) {
            return Err(ModelError::File("a weight table with a step that is not finite".into()));
        }
        Ok(Self { slots, steps })
    }
}

impl Slot {
    fn read(bytes: &[u8; SLOT_BYTES]) -> Self {
        let (fingerprint, rest) = bytes.split_at(4);
        let mut slot = Self {
            fingerprint: u32::from_le_bytes(fingerprint.try_into().unwrap_or_default()),
            ..Self::default()
        };
        for (w, b) in slot.weights.iter_mut().zip(rest.as_chunks::<2>().0) {
            *w = i16::from_le_bytes(*b);
        }
        slot
    }
}

fn fingerprint(key: u64) -> u32 {
    (key >> 32) as u32 | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(n: u64) -> Vec<(u64, ColumnWeights)> {
        (0..n)
            .map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15), [i as f32, -1.0, 0.5, 0.0, 2.0, 0.25]))
            .collect()
    }

    #[test]
    fn what_is_put_in_is_found_and_survives_the_file() {
        let features = features(1000);
        let table = WeightTable::from_features(&features);
        let mut bytes = Vec::new();
        table.write(&mut bytes);
        assert_eq!(bytes.len(), SLOT_BYTES * table.slots.len());
        let read = WeightTable::read(&bytes, table.steps()).unwrap();
        for (key, weights) in features {
            let found = read.get(key).unwrap();
            assert!(found.iter().zip(weights).all(|(a, b)| (a - b).abs() <= 0.02), "{found:?} {weights:?}");
        }
        let strangers =
            (0..10_000_u64).filter(|i| read.get(i.wrapping_mul(0xd134_2543_de82_ef95) ^ 77).is_some());
        assert!(strangers.count() < 5);
    }

    #[test]
    fn damaged_tables_are_refused() {
        assert!(WeightTable::read(&[0; 17], [1.0; COLUMNS]).is_err());
        assert!(WeightTable::read(&[], [1.0; COLUMNS]).is_err());
        assert!(WeightTable::read(&[1; SLOT_BYTES], [1.0; COLUMNS]).is_err());
        assert!(WeightTable::read(&[0; SLOT_BYTES], [f32::NAN; COLUMNS]).is_err());
    }
}
