//! Reads events as JSON lines, in chunks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use firewatch_engine::Stream;

use super::{CHUNK_RECORDS, Chunk, ChunkResult, Place, decode_record};
use crate::lines::{Lines, is_blank, next_line, read_error};

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
                Ok(true) if is_blank(&self.line) => {}
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
