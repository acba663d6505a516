//! What a task keeps besides its conversations, entry by entry as the changelog holds it: how far its stream has
//! come, and its brands in parts.

use std::collections::BTreeMap;

use firewatch_domain::EventTime;
use firewatch_escalation::{Desk, Part, PartKey};
use serde::{Deserialize, Serialize};

use crate::Brain;
use crate::state::{Change, StateError, decode, encode};

/// The key of the stream's progress.
const PROGRESS: &[u8] = b"t";

/// How far a task's stream has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Partitions of the events topic.
    pub partitions: u32,
    pub stream_time: Option<EventTime>,
    /// The last time told to the brands.
    pub ticked: EventTime,
    /// The brands were told that this partition is silent.
    pub idle: bool,
}

impl Progress {
    /// Stream time once a record of this time is taken in.
    pub fn time_with(&self, at: EventTime) -> EventTime {
        self.stream_time.map_or(at, |now| now.max(at))
    }
}

#[derive(Serialize, Deserialize)]
enum Entry {
    Progress(Progress),
    Brand(u32, String, Part),
}

/// The brands' desks, for each policy: 0 for the one in force.
pub(crate) type Desks = BTreeMap<(u32, String), Desk>;

/// Entries as committed.
#[derive(Default)]
pub(crate) struct Ledger(BTreeMap<Vec<u8>, Box<[u8]>>);

impl Ledger {
    /// Bytes of the entries as committed, keys included.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(key, value)| key.len() + value.len()).sum()
    }

    /// What differs from the entries as committed.
    pub fn changes(
        &self,
        progress: Progress,
        desks: &mut Desks,
        out: &mut Vec<Change>,
    ) -> Result<(), StateError> {
        self.change(PROGRESS.into(), Some(Entry::Progress(progress)), out)?;
        for ((trial, brand), desk) in desks {
            for (part, value) in desk.changes() {
                let entry = value.map(|part| Entry::Brand(*trial, brand.clone(), part));
                self.change(key(*trial, brand, &part), entry, out)?;
            }
        }
        Ok(())
    }

    fn change(&self, key: Vec<u8>, entry: Option<Entry>, out: &mut Vec<Change>) -> Result<(), StateError> {
        let value = entry.map(|entry| encode(&key, &entry)).transpose()?;
        if value.as_deref() != self.0.get(&key).map(AsRef::as_ref) {
            out.push(Change { key, value });
        }
        Ok(())
    }

    /// Takes a change over as committed.
    pub fn commit(&mut self, change: Change) {
        match change.value {
            Some(value) => self.0.insert(change.key, value.into_boxed_slice()),
            None => self.0.remove(&change.key),
        };
    }

    /// What the entries say.
    pub fn read(&self, brain: &Brain) -> Result<(Option<Progress>, Desks), StateError> {
        let mut progress = None;
        let mut desks = BTreeMap::new();
        for (key, bytes) in &self.0 {
            match decode(key, bytes)? {
                Entry::Progress(read) => progress = Some(read),
                Entry::Brand(trial, brand, part) => {
                    let Some(policy) = brain.policy_on_trial(trial) else { continue };
                    desks.entry((trial, brand)).or_insert_with(|| Desk::new(policy)).put(part);
                }
            }
        }
        Ok((progress, desks))
    }
}

/// Keys differ where parts do; a brand's length keeps its name apart from what follows.
fn key(trial: u32, brand: &str, part: &PartKey) -> Vec<u8> {
    let key = match part {
        PartKey::Head => format!("b/{brand}"),
        PartKey::Season => format!("s/{brand}"),
        PartKey::Lately => format!("l/{brand}"),
        PartKey::Case(conversation) => format!("k/{}/{brand}/{conversation}", brand.len()),
        PartKey::Held(at, id) => format!("w/{}/{brand}/{}/{id}", brand.len(), at.as_millis()),
    };
    if trial == 0 { key } else { format!("x/{trial}/{key}") }.into_bytes()
}
