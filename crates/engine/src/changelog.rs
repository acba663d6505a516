//! The encoding of a task's state as changelog entries, from which a restart rebuilds it.
//!
//! A value is one version byte followed by postcard. Every entry is checked when it is read back, so a task
//! never starts with state that it cannot decode.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version byte of the entries that this build writes.
const VERSION: u8 = 12;
/// The version before, which this build reads and writes again as its own.
const PREVIOUS_VERSION: u8 = 11;

/// A changed entry of a task's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangelogEntry {
    /// `c/` followed by a conversation's id, or a key of the task's own state.
    pub key: Vec<u8>,
    /// The version byte and the encoded value; `None` deletes the entry.
    pub value: Option<Vec<u8>>,
}

/// A state entry that cannot be decoded or encoded, or state of another partition count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateError(String);

impl StateError {
    pub(crate) fn new(key: &[u8], problem: impl fmt::Display) -> Self {
        Self(format!("the state entry `{}` {problem}", String::from_utf8_lossy(key)))
    }

    /// A changed partition count moves keys to other partitions, where their state would not be found.
    pub(crate) fn partition_count_changed(written: u32, found: u32) -> Self {
        Self(format!(
            "the state was written for {written} partitions, and the topics have {found}: conversations have moved \
             to other partitions; start again with another group and an empty state topic"
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
        .map_err(|e| StateError::new(key, format_args!("cannot be encoded: {e}")))
}

pub(crate) fn decode<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T, StateError> {
    let (version, value) = split_version(key, bytes)?;
    if version != VERSION {
        return Err(unknown_version(key, version));
    }
    from_postcard(key, value)
}

/// Decodes a value of the version before; `None` when it is of this version.
pub(crate) fn decode_previous<T: DeserializeOwned>(
    key: &[u8],
    bytes: &[u8],
) -> Result<Option<T>, StateError> {
    match split_version(key, bytes)? {
        (VERSION, _) => Ok(None),
        (PREVIOUS_VERSION, value) => from_postcard(key, value).map(Some),
        (other, _) => Err(unknown_version(key, other)),
    }
}

/// Returns a value of the version before as one of this version; `None` when it is of this version.
pub(crate) fn upgrade<Old, New>(key: &[u8], bytes: &[u8]) -> Result<Option<Vec<u8>>, StateError>
where
    Old: DeserializeOwned,
    New: From<Old> + Serialize,
{
    let Some(old) = decode_previous::<Old>(key, bytes)? else { return Ok(None) };
    encode(key, &New::from(old)).map(Some)
}

fn split_version<'a>(key: &[u8], bytes: &'a [u8]) -> Result<(u8, &'a [u8]), StateError> {
    let (version, value) = bytes.split_first().ok_or_else(|| StateError::new(key, "is empty"))?;
    Ok((*version, value))
}

fn from_postcard<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, StateError> {
    postcard::from_bytes(value).map_err(|e| StateError::new(key, format_args!("is damaged: {e}")))
}

fn unknown_version(key: &[u8], version: u8) -> StateError {
    StateError::new(
        key,
        format_args!(
            "has version {version}, and this build reads {PREVIOUS_VERSION} and {VERSION}; run the build that wrote \
             it, or start again with another group and an empty state topic"
        ),
    )
}
