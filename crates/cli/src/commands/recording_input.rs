//! Opens recorded history for the analysts' commands: a file, or a span of the topics.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use firewatch_backtest::recordings::{CHUNK_RECORDS, Chunk, ChunkResult, Place, RecordingReader, open};
use firewatch_kafka::{ReceivedRecord, SpanBounds, SpanReader, TimeRange, scan_topics};
use firewatch_report::AnalysisError;

use crate::args::{HistorySource, SpanOptions, TimeRangeOptions};
use crate::common::Failure;
use crate::config::{self, Config};

impl SpanOptions {
    /// Returns the bounds of the span.
    pub fn bounds(&self) -> SpanBounds {
        SpanBounds { from: self.from.clone(), to: self.to.clone() }
    }
}

impl TimeRangeOptions {
    /// Returns the time range.
    pub fn range(self) -> TimeRange {
        TimeRange { from: self.from, to: self.to }
    }

    /// Fails when a range is given, for commands that read files.
    pub fn require_none(self) -> Result<(), Failure> {
        match (self.from, self.to) {
            (None, None) => Ok(()),
            _ => {
                Err(Failure::setting("--from, --to", "apply to topics only; give --config instead of files"))
            }
        }
    }
}

impl HistorySource {
    /// Returns the path that reports show as the source.
    pub fn name(&self) -> String {
        let path = self.input.as_ref().or(self.config.as_ref());
        path.map_or_else(String::new, |path| path.display().to_string())
    }

    /// Returns the policies given, or that of the settings when none is given.
    pub fn policies(&self, given: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
        match &self.config {
            Some(path) if given.is_empty() => Ok(vec![config::load(path, std::env::vars())?.policy_file]),
            _ => Ok(given.to_vec()),
        }
    }

    /// Opens the topics if `--config` is given, else the file.
    pub fn open(&self) -> Result<RecordingReader, Failure> {
        if let Some(path) = &self.config {
            let config = config::load(path, std::env::vars())?;
            let span_reader = SpanReader::open(&config.kafka, &config.topics, &self.bounds.bounds());
            return Ok(recording_from_span(span_reader.map_err(|e| Failure::Running(e.to_string()))?));
        }
        let Some(input) = &self.input else {
            return Err(Failure::setting("--input", "is missing; give a file, or --config"));
        };
        open(input, self.actions.as_deref()).map_err(|e| Failure::setting("--input", e))
    }
}

/// Returns a reader of a span's records, in chunks. It lives here because `backtest` does not depend on
/// `kafka`.
fn recording_from_span(mut span_reader: SpanReader) -> RecordingReader {
    let sources: Arc<[String]> = span_reader.logs().iter().map(|log| format!("{log}, offset")).collect();
    let (read, size) = (Arc::new(AtomicU64::new(0)), span_reader.records());
    let counted = read.clone();
    let mut failed = None;
    let chunks = std::iter::from_fn(move || -> Option<ChunkResult> {
        if let Some(e) = failed.take() {
            return Some(Err(e));
        }
        let mut chunk = Chunk::new(&sources);
        while chunk.records.len() < CHUNK_RECORDS {
            match span_reader.next() {
                Some(Ok(record)) => {
                    let place = Place { source: record.log as u32, number: record.offset as u64 };
                    chunk.push(place, record.record);
                }
                // The records read before the error are still delivered.
                Some(Err(e)) => {
                    failed = Some(AnalysisError::Step(e.to_string()));
                    break;
                }
                None => break,
            }
        }
        counted.fetch_add(chunk.records.len() as u64, Ordering::Relaxed);
        if chunk.records.is_empty() { failed.take().map(Err) } else { Some(Ok(chunk)) }
    });
    RecordingReader::spawn(chunks, read, Some(size))
}

/// Passes the values in topics to `take`, each with its place as text.
pub fn read_records(
    config: &Config,
    topics: &[String],
    range: TimeRange,
    take: &mut dyn FnMut(&str, &[u8]),
) -> Result<(), Failure> {
    let mut take = |record: &ReceivedRecord| {
        let ReceivedRecord { topic, partition, offset, value, .. } = record;
        take(&format!("{topic} [{partition}], offset {offset}"), value);
        ControlFlow::Continue(())
    };
    scan_topics(&config.kafka, topics, range, &mut take).map_err(|e| Failure::Running(e.to_string()))
}
