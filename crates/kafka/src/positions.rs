//! A task's position in each stream, as an entry of its changelog.
//!
//! The entry is written in the same transaction as the effects and the state it belongs to. The group's own
//! offsets are reported afterwards, for tools that show lag; nothing depends on them once a task has
//! committed.

use std::collections::BTreeMap;

use firewatch_engine::{ChangelogEntry, Stream};

use crate::RunError;

/// Key of the entry; no key of a task's state equals it.
pub(crate) const POSITIONS_KEY: &[u8] = b"positions";
/// Version of the entry: the only one that this build writes and reads.
const VERSION: u8 = 1;
/// The streams in the order of the entry.
const STREAMS: [Stream; 3] = [Stream::Events, Stream::Actions, Stream::Signals];

/// The offset of the next record in each stream.
pub(crate) type Positions = BTreeMap<Stream, i64>;

/// Encodes positions as a changelog entry: a version byte, then for each stream the offset as 8 bytes,
/// little-endian; -1 where there is none.
pub(crate) fn changelog_entry(positions: &Positions) -> ChangelogEntry {
    let mut value = vec![VERSION];
    for stream in STREAMS {
        value.extend(positions.get(&stream).copied().unwrap_or(-1).to_le_bytes());
    }
    ChangelogEntry { key: POSITIONS_KEY.to_vec(), value: Some(value) }
}

/// Decodes the value of an entry. Fails when it is damaged or of another version.
pub(crate) fn parse_entry(value: &[u8]) -> Result<Positions, RunError> {
    match value.split_first() {
        Some((&VERSION, offsets)) if offsets.len() == 8 * STREAMS.len() => {
            let offsets = offsets.chunks_exact(8).map(|bytes| {
                let mut whole = [0; 8];
                whole.copy_from_slice(bytes);
                i64::from_le_bytes(whole)
            });
            Ok(STREAMS.into_iter().zip(offsets).filter(|(_, offset)| *offset >= 0).collect())
        }
        _ => Err(RunError::Changelog(format!(
            "the changelog entry `positions` is damaged or not of version {VERSION}; run \
             the build that wrote it, or start again with another group and an empty state topic"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_anything_else_is_refused() {
        let positions = Positions::from([(Stream::Events, 1 << 40), (Stream::Signals, 0)]);
        let value = changelog_entry(&positions).value.unwrap();
        assert_eq!(parse_entry(&value).unwrap(), positions);
        let newer: Vec<u8> = [&[2], &value[1..]].concat();
        for other in [&[][..], &value[..20], &newer] {
            assert!(parse_entry(other).unwrap_err().to_string().contains("`positions`"));
        }
    }
}
