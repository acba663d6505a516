//! Reads events as JSON lines, plain or compressed with gzip or zstd.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use firewatch_engine::Stream;

use super::{BUFFER, CHUNK_RECORDS, Chunk, ChunkResult, Place, decode_record, open_bytes};
use crate::lines::next_line;
use firewatch_report::AnalysisError;

/// A reader of decompressed lines.
pub type Lines = Box<dyn BufRead + Send>;

/// Decompresses gzip and zstd, which it detects by the first bytes; passes other input through.
pub fn decompressed(mut bytes: BufReader<impl Read + Send + 'static>) -> io::Result<Lines> {
    Ok(match bytes.fill_buf()? {
        [0x1f, 0x8b, ..] => {
            Box::new(BufReader::with_capacity(BUFFER, flate2::bufread::MultiGzDecoder::new(bytes)))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            Box::new(BufReader::with_capacity(BUFFER, zstd::Decoder::with_buffer(bytes)?))
        }
        _ => Box::new(bytes),
    })
}

/// Reads lines in chunks.
pub struct LineChunks {
    path: PathBuf,
    sources: Arc<[String]>,
    lines: Lines,
    line: Vec<u8>,
    /// Place of the next line.
    next: Place,
}

impl LineChunks {
    pub fn new(path: &Path, lines: Lines, sources: Arc<[String]>) -> Self {
        Self { path: path.into(), sources, lines, line: vec![], next: Place { source: 0, number: 1 } }
    }
}

impl Iterator for LineChunks {
    type Item = ChunkResult;

    fn next(&mut self) -> Option<ChunkResult> {
        let mut chunk = Chunk::new(&self.sources);
        while chunk.records.len() < CHUNK_RECORDS {
            match next_line(&mut self.lines, &mut self.line) {
                Ok(true) => chunk.push(self.next, decode_record(Stream::Events, self.next, &self.line)),
                Ok(false) => break,
                // Return the lines read so far; the next call reports the error.
                Err(_) if !chunk.records.is_empty() => break,
                Err(e) => return Some(Err(read_error(&self.path, self.next.number, &e))),
            }
            self.next.number += 1;
        }
        (!chunk.records.is_empty()).then_some(Ok(chunk))
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
            Ok(true) => take(number, &line),
            Ok(false) => break,
            Err(e) => return Err(read_error(path, number, &e)),
        }
    }
    Ok(())
}

/// Returns the error for a failure at a line.
fn read_error(path: &Path, line: u64, e: &io::Error) -> AnalysisError {
    let problem = match e.kind() {
        io::ErrorKind::UnexpectedEof => "the file ends in the middle of compressed data".to_owned(),
        _ => format!("cannot be read: {e}"),
    };
    AnalysisError::Line(path.into(), line as usize, problem)
}
