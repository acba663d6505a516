//! Reads files, plain or compressed, as lines of bytes with a bounded size.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use firewatch_ingest::MAX_RECORD_BYTES;
use firewatch_report::AnalysisError;

/// Size of read buffers, in bytes.
pub(crate) const BUFFER: usize = 1 << 18;

/// A reader of decompressed lines.
pub type Lines = Box<dyn BufRead + Send>;

/// Reads the next line into `line`, without its line ending; returns whether there was one. Bytes beyond the
/// largest record are read but dropped, so that a line of any length costs bounded memory and still counts as
/// one line.
pub fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    next_line_within(input, line, MAX_RECORD_BYTES)
}

/// Opens the lines of a file, plain or compressed with gzip or zstd; `-` is standard input.
///
/// # Errors
/// When the file cannot be opened.
pub fn open(path: &Path) -> io::Result<Lines> {
    let (bytes, _) = open_bytes(path)?;
    decompressed(BufReader::with_capacity(BUFFER, bytes))
}

/// Opens a file or, for `-`, standard input; returns its size if it is a regular file.
pub(crate) fn open_bytes(path: &Path) -> io::Result<(Box<dyn Read + Send>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let file = File::open(path)?;
    let about = file.metadata()?;
    if about.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder; use a file"));
    }
    Ok((Box::new(file), about.is_file().then_some(about.len())))
}

/// Decompresses gzip and zstd, which it detects by the first bytes; passes other input through.
pub(crate) fn decompressed(mut bytes: BufReader<impl Read + Send + 'static>) -> io::Result<Lines> {
    let mut lines: Lines = match bytes.fill_buf()? {
        [0x1f, 0x8b, ..] => {
            Box::new(BufReader::with_capacity(BUFFER, flate2::bufread::MultiGzDecoder::new(bytes)))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            Box::new(BufReader::with_capacity(BUFFER, zstd::Decoder::with_buffer(bytes)?))
        }
        _ => Box::new(bytes),
    };
    match lines.fill_buf()? {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "is UTF-16; convert it to UTF-8, as with `iconv -f UTF-16 -t UTF-8`",
            ));
        }
        [0xef, 0xbb, 0xbf, ..] => lines.consume(3),
        _ => {}
    }
    Ok(lines)
}

/// Returns whether a line holds nothing, as people leave between records.
#[must_use]
pub fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// Reads the next line like [`next_line`], with another limit in bytes. A longer line keeps one byte more
/// than the limit, so that the caller can detect it.
///
/// # Errors
/// When the input cannot be read.
pub fn next_line_within(input: &mut impl BufRead, line: &mut Vec<u8>, max_bytes: usize) -> io::Result<bool> {
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

/// Reads a file line by line, plain or compressed, and passes each line with its number from 1.
///
/// # Errors
/// When the file cannot be read to its end.
pub fn each_line(path: &Path, mut take: impl FnMut(u64, &[u8])) -> Result<(), AnalysisError> {
    let failed = |e| AnalysisError::File(path.into(), e);
    let (bytes, _) = open_bytes(path).map_err(failed)?;
    let mut input = decompressed(BufReader::with_capacity(BUFFER, bytes)).map_err(failed)?;
    let mut line = Vec::new();
    for number in 1.. {
        match next_line(&mut input, &mut line) {
            Ok(true) if is_blank(&line) => {}
            Ok(true) => take(number, &line),
            Ok(false) => break,
            Err(e) => return Err(read_error(path, number, &e)),
        }
    }
    Ok(())
}

/// Returns the error for a failure at a line.
pub(crate) fn read_error(path: &Path, line: u64, e: &io::Error) -> AnalysisError {
    let problem = match e.kind() {
        io::ErrorKind::UnexpectedEof => "the file ends in the middle of compressed data".to_owned(),
        _ => format!("cannot be read: {e}"),
    };
    AnalysisError::Line(path.into(), line as usize, problem)
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
