//! Recordings of events and actions, read and decoded in chunks on a separate thread.
//!
//! A recording is a file of JSON lines (plain or compressed), a Parquet file, or any other iterator of
//! chunks, such as a span of a topic. Every record knows its place, so that a fault can name it.

mod actions;
mod lines;
mod parquet;

use std::fmt;
use std::hash::Hasher;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use firewatch_domain::EventTime;
use firewatch_engine::{DecodeResult, Input, Record, Stream};
use fnv::FnvHasher;

use firewatch_report::AnalysisError;

use crate::lines::{BUFFER, decompressed, open_bytes};

/// Records in a chunk.
pub const CHUNK_RECORDS: usize = 16_384;
/// Number of chunks read ahead.
const CHUNKS_AHEAD: usize = 2;

/// The next chunk of a recording, or the error that ends it.
pub type ChunkResult = Result<Chunk, AnalysisError>;

/// The place of a record: a source of the recording, and the number in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Index of the source, from 0.
    pub source: u32,
    /// Line or row from 1, or the offset.
    pub number: u64,
}

/// Consecutive decoded records.
#[derive(Debug)]
pub struct Chunk {
    /// Names of the sources with the unit of their numbers, such as `events.jsonl, line`.
    sources: Arc<[String]>,
    places: Vec<Place>,
    /// The decoded records and the rejections.
    pub records: Vec<DecodeResult>,
    /// Hashes of the records' keys; 0 for rejected records.
    pub hashes: Vec<u64>,
}

impl Chunk {
    /// Creates an empty chunk of a recording with these sources.
    #[must_use]
    pub fn new(sources: &Arc<[String]>) -> Self {
        Self { sources: sources.clone(), places: vec![], records: vec![], hashes: vec![] }
    }

    /// Creates a chunk from records in memory, numbered from 1.
    #[must_use]
    pub fn from_records(records: impl IntoIterator<Item = Record>) -> Self {
        let mut chunk = Self::new(&["record".to_owned()].into());
        for (number, record) in (1..).zip(records) {
            chunk.push(Place { source: 0, number }, Ok(record));
        }
        chunk
    }

    /// Appends a record.
    pub fn push(&mut self, place: Place, record: DecodeResult) {
        self.hashes.push(record.as_ref().map_or(0, |record| key_hash(record.key())));
        self.places.push(place);
        self.records.push(record);
    }

    /// Returns the records, each with its place in readable form.
    pub fn records_with_places(&self) -> impl Iterator<Item = (impl fmt::Display, &DecodeResult)> {
        self.places.iter().map(|place| PlaceText { place: *place, sources: &self.sources }).zip(&self.records)
    }
}

/// Displays a place, such as `events.jsonl, line 7`.
struct PlaceText<'a> {
    place: Place,
    sources: &'a [String],
}

impl fmt::Display for PlaceText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self.sources.get(self.place.source as usize).map_or("record", String::as_str);
        write!(f, "{source} {}", self.place.number)
    }
}

/// Returns the hash that assigns keys to partitions: FNV-1a, 64 bits.
#[must_use]
pub fn key_hash(key: &str) -> u64 {
    let mut hasher = FnvHasher::default();
    hasher.write(key.as_bytes());
    hasher.finish()
}

/// A recording that is being read in the background.
pub struct RecordingReader {
    /// The chunks in order; an error is the last one.
    pub chunks: Receiver<ChunkResult>,
    /// Amount read so far: compressed bytes of a file, rows of a Parquet file, or records of a topic.
    pub read: Arc<AtomicU64>,
    /// Total amount in the same unit, if known.
    pub size: Option<u64>,
}

impl RecordingReader {
    /// Reads chunks on a new thread. The iterator counts up `read`; `size` is the total, if known.
    #[must_use]
    pub fn spawn(
        chunks: impl Iterator<Item = ChunkResult> + Send + 'static,
        read: Arc<AtomicU64>,
        size: Option<u64>,
    ) -> Self {
        let (to, received) = sync_channel(CHUNKS_AHEAD);
        std::thread::spawn(move || {
            for next in chunks {
                let is_last = next.is_err();
                // Sending fails once the receiver was dropped.
                if to.send(next).is_err() || is_last {
                    return;
                }
            }
        });
        Self { chunks: received, read, size }
    }
}

/// Starts to read a file of events; `-` is standard input. The format is detected by the first bytes. Actions
/// from a second file are merged by time.
///
/// # Errors
/// When a file cannot be opened, the actions cannot be read, or a Parquet file lacks columns.
pub fn open(events: &Path, actions: Option<&Path>) -> Result<RecordingReader, AnalysisError> {
    let name = events.display();
    let mut sources = vec![format!("{name}, line")];
    let actions = actions.map(|path| {
        sources.push(format!("{}, line", path.display()));
        actions::read(path, 1)
    });
    let actions = actions.transpose()?;
    let failed = |e| AnalysisError::File(events.into(), e);
    let (source, size) = open_bytes(events).map_err(failed)?;
    let read = Arc::new(AtomicU64::new(0));
    let mut bytes = BufReader::with_capacity(BUFFER, CountingReader { source, read: read.clone() });
    if bytes.fill_buf().map_err(failed)?.starts_with(b"PAR1") {
        sources[0] = format!("{name}, row");
        let rows = parquet::ParquetChunks::open(events, sources.into(), read.clone())?;
        let size = Some(rows.size());
        return Ok(with_actions(rows, actions, read, size));
    }
    let unpacked = decompressed(bytes).map_err(failed)?;
    Ok(with_actions(lines::LineChunks::new(events, unpacked, sources.into()), actions, read, size))
}

fn with_actions(
    chunks: impl Iterator<Item = ChunkResult> + Send + 'static,
    actions: Option<actions::Actions>,
    read: Arc<AtomicU64>,
    size: Option<u64>,
) -> RecordingReader {
    match actions {
        None => RecordingReader::spawn(chunks, read, size),
        Some(actions) => RecordingReader::spawn(actions.merge_into(chunks), read, size),
    }
}

/// Decodes bytes as a record of a stream. Recorded events count as having arrived in time.
pub fn decode_record(stream: Stream, place: Place, value: &[u8]) -> DecodeResult {
    Record::decode(&Input {
        stream,
        topic: "",
        partition: 0,
        offset: place.number as i64,
        arrival: EventTime::END,
        key: None,
        trace: None,
        value,
    })
}

/// A reader that counts its bytes.
struct CountingReader {
    source: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for CountingReader {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(to)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}
