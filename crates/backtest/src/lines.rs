//! Reads lines of bytes with a bounded size.

use std::io::{BufRead, BufReader, Result};
use std::path::Path;

use firewatch_ingest::MAX_RECORD_BYTES;

use crate::recordings;

/// Reads the next line into `line`, without its line ending; returns whether there was one. Bytes beyond the
/// largest record are read but dropped, so that a line of any length costs bounded memory and still counts as
/// one line.
pub fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> Result<bool> {
    next_line_within(input, line, MAX_RECORD_BYTES)
}

/// Opens the lines of a file, plain or compressed with gzip or zstd; `-` is standard input.
///
/// # Errors
/// When the file cannot be opened.
pub fn open(path: &Path) -> Result<Box<dyn BufRead + Send>> {
    let (bytes, _) = recordings::open_bytes(path)?;
    recordings::lines::decompressed(BufReader::new(bytes))
}

/// Reads the next line like [`next_line`], with another limit in bytes. A longer line keeps one byte more
/// than the limit, so that the caller can detect it.
///
/// # Errors
/// When the input cannot be read.
pub fn next_line_within(input: &mut impl BufRead, line: &mut Vec<u8>, max_bytes: usize) -> Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let chunk = input.fill_buf()?;
        if chunk.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = chunk.iter().position(|b| *b == b'\n');
        let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
        let room = (max_bytes + 1).saturating_sub(line.len());
        line.extend_from_slice(part.get(..room.min(part.len())).unwrap_or_default());
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_bounded_and_all_counted() {
        let long = vec![b'x'; 3 * MAX_RECORD_BYTES];
        let mut bytes = b"one\r\n\n".to_vec();
        bytes.extend(&long);
        bytes.extend(b"\nlast");
        let mut input = std::io::BufReader::with_capacity(1000, bytes.as_slice());
        let (mut line, mut sizes) = (Vec::new(), Vec::new());
        while next_line(&mut input, &mut line).unwrap() {
            sizes.push(line.len());
        }
        assert_eq!(sizes, [3, 0, MAX_RECORD_BYTES + 1, 4]);
    }
}
