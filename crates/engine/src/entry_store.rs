//! The changelog entries of a task's state other than conversations: its progress and its dispatchers.
//!
//! A dispatcher is stored in parts, so that a commit writes only the parts that changed.

use std::collections::BTreeMap;

use firewatch_domain::EventTime;
use firewatch_escalation::{Dispatcher, StatePart, StatePartKey};
use serde::{Deserialize, Serialize};

use crate::Ruleset;
use crate::changelog::{ChangelogEntry, StateError, decode, encode};

/// The key of the progress entry.
const PROGRESS: &[u8] = b"t";

/// How far a task has come in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// The number of partitions of the events topic.
    pub partitions: u32,
    /// The latest event time, never later than arrival; `None` before the first record.
    pub stream_time: Option<EventTime>,
    /// The last watermark sent to the brands.
    pub watermark: EventTime,
    /// Whether the partition is idle: read to its end, with no event since.
    pub idle: bool,
}

impl Progress {
    /// Returns the stream time after a record of time `at`.
    pub fn time_with(&self, at: EventTime) -> EventTime {
        self.stream_time.map_or(at, |now| now.max(at))
    }
}

#[derive(Serialize, Deserialize)]
enum Entry {
    Progress(Progress),
    Brand(u32, String, StatePart),
}

/// Dispatchers by policy slot and brand; slot 0 is the active policy.
pub(crate) type Dispatchers = BTreeMap<(u32, String), Dispatcher>;

/// The last committed value of each entry, by key.
#[derive(Default)]
pub(crate) struct EntryStore(BTreeMap<Vec<u8>, Box<[u8]>>);

impl EntryStore {
    /// Returns the size of the committed entries in bytes, keys included.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(key, value)| key.len() + value.len()).sum()
    }

    /// Pushes the entries that differ from the last commit to `out`.
    pub fn changes(
        &self,
        progress: Progress,
        dispatchers: &mut Dispatchers,
        out: &mut Vec<ChangelogEntry>,
    ) -> Result<(), StateError> {
        self.diff_entry(PROGRESS.into(), Some(Entry::Progress(progress)), out)?;
        for ((slot, brand), dispatcher) in dispatchers {
            for (part, value) in dispatcher.changes() {
                let entry = value.map(|part| Entry::Brand(*slot, brand.clone(), part));
                self.diff_entry(key(*slot, brand, &part), entry, out)?;
            }
        }
        Ok(())
    }

    fn diff_entry(
        &self,
        key: Vec<u8>,
        entry: Option<Entry>,
        out: &mut Vec<ChangelogEntry>,
    ) -> Result<(), StateError> {
        let value = entry.map(|entry| encode(&key, &entry)).transpose()?;
        if value.as_deref() != self.0.get(&key).map(AsRef::as_ref) {
            out.push(ChangelogEntry { key, value });
        }
        Ok(())
    }

    /// Records an entry as committed.
    pub fn commit(&mut self, entry: ChangelogEntry) {
        match entry.value {
            Some(value) => self.0.insert(entry.key, value.into_boxed_slice()),
            None => self.0.remove(&entry.key),
        };
    }

    /// Decodes the committed entries. Drops the dispatchers of slots that the ruleset no longer has.
    pub fn load(&self, ruleset: &Ruleset) -> Result<(Option<Progress>, Dispatchers), StateError> {
        let mut progress = None;
        let mut dispatchers = BTreeMap::new();
        for (key, bytes) in &self.0 {
            match decode(key, bytes)? {
                Entry::Progress(decoded) => progress = Some(decoded),
                Entry::Brand(slot, brand, part) => {
                    let Some(policy) = ruleset.policy_in_slot(slot) else { continue };
                    dispatchers
                        .entry((slot, brand))
                        .or_insert_with(|| Dispatcher::new(policy))
                        .restore_part(part);
                }
            }
        }
        Ok((progress, dispatchers))
    }
}

/// Returns a part's key. The brand's length precedes its name where an id follows, which keeps keys
/// unambiguous.
fn key(slot: u32, brand: &str, part: &StatePartKey) -> Vec<u8> {
    let key = match part {
        StatePartKey::Core => format!("b/{brand}"),
        StatePartKey::Profile => format!("s/{brand}"),
        StatePartKey::History => format!("l/{brand}"),
        StatePartKey::Incident(conversation) => format!("k/{}/{brand}/{conversation}", brand.len()),
        StatePartKey::Pending(at, id) => format!("w/{}/{brand}/{}/{id}", brand.len(), at.as_millis()),
    };
    if slot == 0 { key } else { format!("x/{slot}/{key}") }.into_bytes()
}
