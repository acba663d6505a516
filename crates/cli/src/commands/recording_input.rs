//! Where history comes from: a file, or topics and a span of them.

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
    /// The span.
    pub fn bounds(&self) -> SpanBounds {
        SpanBounds { from: self.from.clone(), to: self.to.clone() }
    }
}

impl TimeRangeOptions {
    /// The span.
    pub fn range(self) -> TimeRange {
        TimeRange { from: self.from, to: self.to }
    }

    /// Says that there is none where files are read.
    pub fn require_none(self) -> Result<(), Failure> {
        match (self.from, self.to) {
            (None, None) => Ok(()),
            _ => Err(Failure::setting("--from, --to", "are for topics; give --config in place of files")),
        }
    }
}

impl HistorySource {
    /// Its name in reports.
    pub fn name(&self) -> String {
        let path = self.input.as_ref().or(self.config.as_ref());
        path.map_or_else(String::new, |path| path.display().to_string())
    }

    /// The policies to work with: those given, or that of the settings.
    pub fn policies(&self, given: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
        match &self.config {
            Some(path) if given.is_empty() => Ok(vec![config::load(path, std::env::vars())?.policy_file]),
            _ => Ok(given.to_vec()),
        }
    }

    /// Begins to read it.
    pub fn open(&self) -> Result<RecordingReader, Failure> {
        if let Some(path) = &self.config {
            let config = config::load(path, std::env::vars())?;
            let live = (&config.kafka, &config.topics);
            let span_reader = SpanReader::open(live, &self.bounds.bounds());
            return Ok(recording_from_span(span_reader.map_err(|e| Failure::Running(e.to_string()))?));
        }
        let Some(input) = &self.input else {
            return Err(Failure::setting("--input", "give a file, or --config"));
        };
        open(input, self.actions.as_deref()).map_err(|e| Failure::setting("--input", e))
    }
}

/// Chunks of what the topics hold.
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
                // What was read before is still given.
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

/// Hands on the values in topics, each with its place in words.
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
