//! Where history comes from: a file, or topics and a span of them.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use firewatch_kafka::{Between, Edges, Received, Recording, read_topics};
use firewatch_report::AnalysisError;
use firewatch_backtest::recorded::{CHUNK_RECORDS, Chunk, Next, Place, Recorded, open};

use crate::args::{BetweenOptions, EdgeOptions, Source};
use crate::config::{self, Config};
use crate::shell::Failure;

impl EdgeOptions {
    /// The span.
    pub fn edges(&self) -> Edges {
        Edges { from: self.from.clone(), to: self.to.clone() }
    }
}

impl BetweenOptions {
    /// The span.
    pub fn between(self) -> Between {
        Between { from: self.from, to: self.to }
    }

    /// Says that there is none where files are read.
    pub fn of_file(self) -> Result<(), Failure> {
        match (self.from, self.to) {
            (None, None) => Ok(()),
            _ => Err(Failure::setting("--from, --to", "are for topics; give --config in place of files")),
        }
    }
}

impl Source {
    /// Its name in reports.
    pub fn name(&self) -> String {
        let path = self.input.as_ref().or(self.config.as_ref());
        path.map_or_else(String::new, |path| path.display().to_string())
    }

    /// The policies to work with: those given, or that of the settings.
    pub fn policies(&self, given: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
        match &self.config {
            Some(path) if given.is_empty() => Ok(vec![config::load(path, std::env::vars())?.policy]),
            _ => Ok(given.to_vec()),
        }
    }

    /// Begins to read it.
    pub fn open(&self) -> Result<Recorded, Failure> {
        if let Some(path) = &self.config {
            let config = config::load(path, std::env::vars())?;
            let live = (&config.kafka, &config.topics);
            let recording = Recording::open(live, &self.edges.edges());
            return Ok(recorded(recording.map_err(|e| Failure::Running(e.to_string()))?));
        }
        let Some(input) = &self.input else {
            return Err(Failure::setting("--input", "give a file, or --config"));
        };
        open(input, self.actions.as_deref()).map_err(|e| Failure::setting("--input", e))
    }
}

/// Chunks of what the topics hold.
fn recorded(mut recording: Recording) -> Recorded {
    let sources: Arc<[String]> = recording.logs().iter().map(|log| format!("{log}, offset")).collect();
    let (read, size) = (Arc::new(AtomicU64::new(0)), recording.records());
    let counted = read.clone();
    let mut failed = None;
    let chunks = std::iter::from_fn(move || -> Option<Next> {
        if let Some(e) = failed.take() {
            return Some(Err(e));
        }
        let mut chunk = Chunk::new(&sources);
        while chunk.records.len() < CHUNK_RECORDS {
            match recording.next() {
                Some(Ok(taken)) => {
                    let place = Place { source: taken.log as u32, number: taken.offset as u64 };
                    chunk.push(place, taken.record);
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
    Recorded::of(chunks, read, Some(size))
}

/// Hands on the values in topics, each with its place in words.
pub fn read_records(
    config: &Config,
    topics: &[String],
    between: Between,
    take: &mut dyn FnMut(&str, &[u8]),
) -> Result<(), Failure> {
    let mut take = |record: &Received| {
        let Received { topic, partition, offset, value, .. } = record;
        take(&format!("{topic} [{partition}], offset {offset}"), value);
        ControlFlow::Continue(())
    };
    read_topics(&config.kafka, topics, between, &mut take).map_err(|e| Failure::Running(e.to_string()))
}
