//! Reads events from a Parquet file: a column for each field of an event, and bodies as structs (`post`) or
//! columns with dotted names (`post.author.followers`).
//!
//! Rows are converted to JSON and decoded like any other record, so that the same validation applies.

mod rows;
mod schema;
mod value;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::parquet::errors::ParquetError;
use firewatch_engine::Stream;

use self::rows::Rows;
use super::{CHUNK_RECORDS, Chunk, ChunkResult, Place, decode_record};
use firewatch_report::AnalysisError;

/// Columns that every file must have.
const REQUIRED_COLUMNS: [&str; 4] = ["v", "id", "conversation", "at"];
/// Columns of which every file must have at least one.
const BODY_COLUMNS: [&str; 5] = ["post", "engagement", "counters", "brand_reply", "delete"];

/// Reads the rows of a file in chunks.
pub struct ParquetChunks {
    path: PathBuf,
    sources: Arc<[String]>,
    rows: Rows,
    read: Arc<AtomicU64>,
    /// Place of the next row.
    next: Place,
}

impl ParquetChunks {
    pub fn open(path: &Path, sources: Arc<[String]>, read: Arc<AtomicU64>) -> Result<Self, AnalysisError> {
        let file = File::open(path).map_err(|e| AnalysisError::File(path.into(), e))?;
        let failed = |e: ParquetError| unreadable(path, &e.to_string());
        let rows = Rows::open(file).map_err(failed)?;
        check_columns(&rows.column_names()).map_err(|problem| unreadable(path, &problem))?;
        read.store(0, Ordering::Relaxed);
        let next = Place { source: 0, number: 1 };
        Ok(Self { path: path.into(), sources, rows, read, next })
    }

    /// Returns the number of rows in the file.
    pub fn size(&self) -> u64 {
        self.rows.count()
    }

    fn decode(&mut self) -> Result<Chunk, ParquetError> {
        let mut json = Vec::new();
        let count = self.rows.read(CHUNK_RECORDS, &mut json)?;
        let mut chunk = Chunk::new(&self.sources);
        for line in json.split(|byte| *byte == b'\n').take(count) {
            chunk.push(self.next, decode_record(Stream::Events, self.next, line));
            self.next.number += 1;
        }
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(chunk)
    }
}

impl Iterator for ParquetChunks {
    type Item = ChunkResult;

    fn next(&mut self) -> Option<ChunkResult> {
        match self.decode() {
            Ok(chunk) if chunk.records.is_empty() => None,
            Ok(chunk) => Some(Ok(chunk)),
            Err(e) => {
                let problem = format!("row {}: Parquet argument error: {e}", self.next.number);
                Some(Err(unreadable(&self.path, &problem)))
            }
        }
    }
}

fn unreadable(path: &Path, problem: &str) -> AnalysisError {
    AnalysisError::File(path.into(), std::io::Error::other(problem.to_owned()))
}

/// Checks that the required columns exist; the error names what is missing.
fn check_columns(columns: &[&str]) -> Result<(), String> {
    let has = |name: &str| columns.iter().any(|column| stem(column) == name);
    let there = || columns.join(", ");
    if let Some(missing) = REQUIRED_COLUMNS.into_iter().find(|name| !has(name)) {
        return Err(format!("there is no column `{missing}`; the columns are {}", there()));
    }
    if BODY_COLUMNS.into_iter().any(has) {
        return Ok(());
    }
    let wanted = BODY_COLUMNS.join("`, `");
    Err(format!("there is none of the columns `{wanted}`; the columns are {}", there()))
}

/// Returns the part of a name before the first dot.
fn stem(name: &str) -> &str {
    name.split_once('.').map_or(name, |(stem, _)| stem)
}
