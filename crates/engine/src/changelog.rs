//! What a restart needs, as entries of a changelog: a key, and bytes or nothing.
//!
//! Bytes are a version and then postcard. Whatever is read back is checked first, so that a task never starts on
//! state that it cannot read.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of entries that this build writes, and the only one it reads.
const VERSION: u8 = 10;

/// A changed entry of a task's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangelogEntry {
    /// The entry: `c/` and the id of a conversation, or one of the task's own.
    pub key: Vec<u8>,
    /// Its bytes; none when it is over.
    pub value: Option<Vec<u8>>,
}

/// An entry that cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateError(String);

impl StateError {
    pub(crate) fn new(key: &[u8], problem: impl fmt::Display) -> Self {
        Self(format!("the state entry `{}` {problem}", String::from_utf8_lossy(key)))
    }

    /// Keys move when partitions are added, so their state would be looked for in the wrong place.
    pub(crate) fn partition_count_changed(written: u32, found: u32) -> Self {
        Self(format!(
            "the state was written for {written} partitions, and the topics have {found}; conversations have moved \
             between partitions, so begin again with another group and an empty state topic"
        ))
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StateError {}

pub(crate) fn encode(key: &[u8], value: &impl Serialize) -> Result<Vec<u8>, StateError> {
    postcard::to_extend(value, vec![VERSION])
        .map_err(|e| StateError::new(key, format_args!("cannot be written: {e}")))
}

pub(crate) fn decode<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T, StateError> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => {
            postcard::from_bytes(rest).map_err(|e| StateError::new(key, format_args!("is damaged: {e}")))
        }
        Some((other, _)) => Err(StateError::new(
            key,
            format_args!(
                "has version {other}, and this build reads {VERSION}; run the build that wrote it, \
                 or begin again with another group and an empty state topic"
            ),
        )),
        None => Err(StateError::new(key, "is empty")),
    }
}
