//! The frame of Confluent-compatible schema registries before a record: a zero byte and the schema id (u32,
//! big-endian). Protobuf adds the index of the message in the schema.
//!
//! JSON never begins with a zero byte, so a topic may contain both.

use prost::encoding::{decode_varint, encode_varint};

use crate::WireError;

/// Maximum number of levels of a message index.
const MAX_DEPTH: u64 = 32;

/// Splits a framed record into schema id and payload. Returns `None` if the bytes are not framed.
#[must_use]
pub fn split_frame(bytes: &[u8]) -> Option<(u32, &[u8])> {
    match bytes {
        [0, a, b, c, d, rest @ ..] => Some((u32::from_be_bytes([*a, *b, *c, *d]), rest)),
        _ => None,
    }
}

/// Appends the frame for a schema id.
pub fn write_frame(id: u32, out: &mut Vec<u8>) {
    out.push(0);
    out.extend(id.to_be_bytes());
}

/// Reads the index of a Protobuf message: its position in the file, then in each enclosing message. Returns
/// the index and the remaining bytes.
pub(crate) fn read_message_path(mut bytes: &[u8]) -> Result<(Vec<usize>, &[u8]), WireError> {
    let broken = |_| WireError::new("the record is truncated before its message index");
    let next = |bytes: &mut &[u8]| decode_varint(bytes).map_err(broken).map(zigzag);
    let length = next(&mut bytes)?;
    if length > MAX_DEPTH {
        return Err(WireError::new(format!(
            "the message index has {length} levels; the maximum is {MAX_DEPTH}"
        )));
    }
    // A single zero is the short form of the first message.
    let path: Result<Vec<usize>, WireError> = match length {
        0 => Ok(vec![0]),
        _ => (0..length).map(|_| next(&mut bytes).map(|n| n as usize)).collect(),
    };
    Ok((path?, bytes))
}

/// Appends the index of the first message.
pub(crate) fn write_first_message_index(out: &mut Vec<u8>) {
    encode_varint(0, out);
}

/// Decodes a zigzag number. Negative ones are invalid here and become large.
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
        // The long form of the first message: one level, position 0.
        assert_eq!(read_message_path(&[2, 0, 9]).unwrap(), (vec![0], [9].as_slice()));
        assert_eq!(read_message_path(&[4, 2, 6, 9]).unwrap(), (vec![1, 3], [9].as_slice()));
        for broken in [&[][..], &[4, 2], &[0x80], &[0xfe, 0x7f], &[1]] {
            assert!(read_message_path(broken).is_err(), "{broken:?}");
        }
    }
}
