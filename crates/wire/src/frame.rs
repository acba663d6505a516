//! The frame that clients of a Confluent-compatible schema registry put before a record: a zero, and the schema's id in
//! four bytes, the highest first. Protobuf adds which message of the schema it is.
//!
//! JSON begins with no zero, so a topic may hold both.

use prost::encoding::{decode_varint, encode_varint};

use crate::WireError;

/// Messages within messages that are followed at most.
const MAX_DEPTH: u64 = 32;

/// The schema's id and what follows it, when bytes are framed.
#[must_use]
pub fn split_frame(bytes: &[u8]) -> Option<(u32, &[u8])> {
    match bytes {
        [0, a, b, c, d, rest @ ..] => Some((u32::from_be_bytes([*a, *b, *c, *d]), rest)),
        _ => None,
    }
}

/// Begins a record of the schema with this id.
pub fn write_frame(id: u32, out: &mut Vec<u8>) {
    out.push(0);
    out.extend(id.to_be_bytes());
}

/// Which message of a Protobuf schema follows: its place in the file, then in the message before; and the bytes after that.
pub(crate) fn read_message_path(mut bytes: &[u8]) -> Result<(Vec<usize>, &[u8]), WireError> {
    let broken = |_| WireError::new("the bytes end before they say which message of the schema they are");
    let next = |bytes: &mut &[u8]| decode_varint(bytes).map_err(broken).map(zigzag);
    let length = next(&mut bytes)?;
    if length > MAX_DEPTH {
        return Err(WireError::new(format!(
            "the message is said to be {length} messages deep; {MAX_DEPTH} are read"
        )));
    }
    // The first message is so common that one zero stands for it.
    let path: Result<Vec<usize>, WireError> = match length {
        0 => Ok(vec![0]),
        _ => (0..length).map(|_| next(&mut bytes).map(|n| n as usize)).collect(),
    };
    Ok((path?, bytes))
}

/// Says that the first message of the schema follows.
pub(crate) fn write_first_message_index(out: &mut Vec<u8>) {
    encode_varint(0, out);
}

/// What a zigzag number stands for; negative ones stand for nothing here and become large.
fn zigzag(n: u64) -> u64 {
    (n >> 1) ^ (n & 1).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_a_zero_and_an_id() {
        let mut bytes = Vec::new();
        write_frame(0x0102_0304, &mut bytes);
        bytes.extend(b"rest");
        assert_eq!(bytes[..5], [0, 1, 2, 3, 4]);
        assert_eq!(split_frame(&bytes), Some((0x0102_0304, b"rest".as_slice())));
        assert_eq!(split_frame(b"{}"), None);
        assert_eq!(split_frame(&[0, 0, 0, 1]), None);
    }

    #[test]
    fn message_paths_are_zigzag_numbers() {
        assert_eq!(read_message_path(&[0, 9]).unwrap(), (vec![0], [9].as_slice()));
        // One deep, the first: the long form of the same.
        assert_eq!(read_message_path(&[2, 0, 9]).unwrap(), (vec![0], [9].as_slice()));
        assert_eq!(read_message_path(&[4, 2, 6, 9]).unwrap(), (vec![1, 3], [9].as_slice()));
        for broken in [&[][..], &[4, 2], &[0x80], &[0xfe, 0x7f], &[1]] {
            assert!(read_message_path(broken).is_err(), "{broken:?}");
        }
    }
}
