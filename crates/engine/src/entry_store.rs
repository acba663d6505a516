//! The changelog entries of a task's state other than conversations: its progress and its dispatchers.
//!
//! A dispatcher is stored in parts, so that a commit writes only the parts that changed.

use std::collections::BTreeMap;

use firewatch_domain::EventTime;
use firewatch_escalation::{Dispatcher, StatePart, StatePartKey, StatePartV11};
use serde::{Deserialize, Serialize};

use crate::Ruleset;
use crate::changelog::{ChangelogEntry, StateError, decode, decode_previous, encode};
use crate::known_brands::KnownBrands;

/// The key of the progress entry.
const PROGRESS: &[u8] = b"t";
/// The key of the entry of known brands.
const BRANDS: &[u8] = b"n";

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
    /// The latest time of a record; idleness does not advance it.
    pub last_record_at: Option<EventTime>,
}

impl Progress {
    /// The start of a stream.
    pub fn new(partitions: u32) -> Self {
        let watermark = EventTime::EARLIEST;
        Self { partitions, stream_time: None, watermark, idle: false, last_record_at: None }
    }

    /// Returns the stream time after a record of time `at`.
    pub fn time_with(&self, at: EventTime) -> EventTime {
        self.stream_time.map_or(at, |now| now.max(at))
    }
}

#[derive(Serialize, Deserialize)]
enum Entry {
    Progress(Progress),
    Brand(u32, String, StatePart),
    Brands(KnownBrands),
}

/// An entry of version 11.
#[derive(Deserialize)]
enum EntryV11 {
    Progress(Progress),
    Brand(u32, String, StatePartV11),
}

impl From<EntryV11> for Entry {
    fn from(old: EntryV11) -> Self {
        match old {
            EntryV11::Progress(progress) => Self::Progress(progress),
            EntryV11::Brand(slot, brand, part) => Self::Brand(slot, brand, part.into()),
        }
    }
}

/// Dispatchers by policy slot and brand; slot 0 is the active policy.
pub(crate) type Dispatchers = BTreeMap<(u32, String), Dispatcher>;

/// The decoded entries.
#[derive(Default)]
pub(crate) struct Entries {
    /// `None` before the first commit.
    pub progress: Option<Progress>,
    pub brands: KnownBrands,
    pub dispatchers: Dispatchers,
}

/// The last committed value of each entry, by key.
#[derive(Default)]
pub(crate) struct EntryStore {
    committed: BTreeMap<Vec<u8>, Box<[u8]>>,
    /// The size of `committed`, keys included.
    bytes: usize,
}

impl EntryStore {
    /// Returns the size of the committed entries in bytes, keys included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Pushes the entries that differ from the last commit to `out`.
    pub fn changes(
        &self,
        progress: Progress,
        brands: &KnownBrands,
        dispatchers: &mut Dispatchers,
        out: &mut Vec<ChangelogEntry>,
    ) -> Result<(), StateError> {
        self.diff_entry(PROGRESS.into(), Some(Entry::Progress(progress)), out)?;
        self.diff_entry(BRANDS.into(), Some(Entry::Brands(brands.clone())), out)?;
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
        if value.as_deref() != self.committed.get(&key).map(AsRef::as_ref) {
            out.push(ChangelogEntry { key, value });
        }
        Ok(())
    }

    /// Records an entry as committed.
    pub fn commit(&mut self, entry: ChangelogEntry) {
        let key = entry.key.len();
        let value = entry.value.as_ref().map_or(0, |value| key + value.len());
        let before = match entry.value {
            Some(value) => self.committed.insert(entry.key, value.into_boxed_slice()),
            None => self.committed.remove(&entry.key),
        };
        self.bytes = self.bytes + value - before.map_or(0, |before| key + before.len());
    }

    /// Decodes the committed entries. Drops the dispatchers of slots that the ruleset no longer has. The next
    /// changes write entries of the version before again as those of this one.
    pub fn load(&self, ruleset: &Ruleset) -> Result<Entries, StateError> {
        let mut entries = Entries::default();
        for (key, bytes) in &self.committed {
            let previous: Option<EntryV11> = decode_previous(key, bytes)?;
            let is_previous = previous.is_some();
            match previous.map_or_else(|| decode(key, bytes), |entry| Ok(entry.into()))? {
                Entry::Progress(progress) => entries.progress = Some(progress),
                Entry::Brands(brands) => entries.brands = brands,
                Entry::Brand(slot, brand, part) => {
                    let Some(policy) = ruleset.policy_in_slot(slot) else { continue };
                    let dispatcher: &mut Dispatcher =
                        entries.dispatchers.entry((slot, brand)).or_insert_with(|| Dispatcher::new(policy));
                    let part_key = dispatcher.restore_part(part);
                    if is_previous {
                        dispatcher.mark_changed(part_key);
                    }
                }
            }
        }
        Ok(entries)
    }
}

/// Returns a part's key. The brand's length precedes its name where an id follows, which keeps keys
/// unambiguous.
fn key(slot: u32, brand: &str, part: &StatePartKey) -> Vec<u8> {
    let key = match part {
        StatePartKey::Clock => format!("p/{brand}"),
        StatePartKey::Core => format!("b/{brand}"),
        StatePartKey::Profile => format!("s/{brand}"),
        StatePartKey::History => format!("l/{brand}"),
        // A conversation's id may look like that of another kind of incident.
        StatePartKey::Incident(id) if id.is_conversation() => {
            format!("k/{}/{brand}/{id}", brand.len())
        }
        StatePartKey::Incident(id) => format!("i/{}/{brand}/{id}", brand.len()),
        StatePartKey::Pending(at, id) => format!("w/{}/{brand}/{}/{id}", brand.len(), at.as_millis()),
        StatePartKey::Action(at, acted_at, id) => {
            format!("a/{}/{brand}/{}/{}/{id}", brand.len(), at.as_millis(), acted_at.as_millis())
        }
    };
    if slot == 0 { key } else { format!("x/{slot}/{key}") }.into_bytes()
}
