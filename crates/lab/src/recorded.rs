//! A recording of events as a file has it: JSON lines, plain or compressed, read and decoded in chunks on a thread of its own.

use std::fs::File;
use std::hash::Hasher;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use firewatch_domain::EventTime;
use firewatch_engine::{Input, Record, Stream};
use firewatch_ingest::Rejection;
use fnv::FnvHasher;

use crate::LabError;
use crate::lines::next_line;

/// Size of the buffers.
const BUFFER: usize = 1 << 18;
/// Lines in a chunk.
const CHUNK_LINES: usize = 16_384;
/// Chunks read ahead.
const AHEAD: usize = 2;

/// A line as it was decoded.
pub type Decoded = Result<Record, Rejection>;

/// Lines that follow each other, decoded.
#[derive(Debug, Default)]
pub struct Chunk {
    /// The number of the first line, from 1.
    pub first: u64,
    /// What each line is.
    pub records: Vec<Decoded>,
    /// Hashes of the records' keys; 0 for those that could not be taken.
    pub hashes: Vec<u64>,
}

impl Chunk {
    /// Records made here rather than read.
    #[must_use]
    pub fn of(first: u64, records: impl IntoIterator<Item = Record>) -> Self {
        let mut chunk = Self { first, ..Self::default() };
        records.into_iter().for_each(|record| chunk.push(Ok(record)));
        chunk
    }

    fn push(&mut self, record: Decoded) {
        self.hashes.push(record.as_ref().map_or(0, |record| hash(record.key())));
        self.records.push(record);
    }
}

/// The hash by which keys are put into partitions: FNV-1a of 64 bits.
#[must_use]
pub fn hash(key: &str) -> u64 {
    let mut hasher = FnvHasher::default();
    hasher.write(key.as_bytes());
    hasher.finish()
}

/// What reading told next.
pub type Next = Result<Chunk, LabError>;

/// A file that is being read.
pub struct Recorded {
    /// Chunks in order; after an error, none.
    pub chunks: Receiver<Next>,
    /// Bytes of the file that were read so far, before they were unpacked.
    pub read: Arc<AtomicU64>,
    /// Bytes of the file, where it has an end.
    pub size: Option<u64>,
}

/// Begins to read a file; `-` is standard input. What it is compressed with is told by its first bytes.
///
/// # Errors
/// When it cannot be opened or is of a kind that is not read.
pub fn open(path: &Path) -> Result<Recorded, LabError> {
    let failed = |e| LabError::File(path.into(), e);
    let (source, size): (Box<dyn Read + Send>, _) = if path == Path::new("-") {
        (Box::new(io::stdin()), None)
    } else {
        let file = File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if about.is_dir() {
            return Err(failed(io::Error::new(io::ErrorKind::IsADirectory, "is a folder; give a file")));
        }
        (Box::new(file), about.is_file().then_some(about.len()))
    };
    let read = Arc::new(AtomicU64::new(0));
    let mut bytes = BufReader::with_capacity(BUFFER, Counted { source, read: read.clone() });
    let lines: Box<dyn BufRead + Send> = match bytes.fill_buf().map_err(failed)? {
        [0x1f, 0x8b, ..] => {
            Box::new(BufReader::with_capacity(BUFFER, flate2::bufread::MultiGzDecoder::new(bytes)))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let unpacked = zstd::Decoder::with_buffer(bytes).map_err(failed)?;
            Box::new(BufReader::with_capacity(BUFFER, unpacked))
        }
        _ => Box::new(bytes),
    };
    let (to, chunks) = sync_channel(AHEAD);
    let path = path.to_owned();
    std::thread::spawn(move || {
        let name = path.display().to_string();
        let reader = Chunks { path, name, lines, line: Vec::new(), next: 1 };
        // Whoever listened has gone when it cannot be sent.
        for next in reader {
            let is_last = next.is_err();
            if to.send(next).is_err() || is_last {
                return;
            }
        }
    });
    Ok(Recorded { chunks, read, size })
}

struct Chunks {
    path: PathBuf,
    name: String,
    lines: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    /// The number of the next line.
    next: u64,
}

impl Iterator for Chunks {
    type Item = Next;

    fn next(&mut self) -> Option<Next> {
        let mut chunk = Chunk { first: self.next, ..Chunk::default() };
        while chunk.records.len() < CHUNK_LINES {
            match next_line(&mut self.lines, &mut self.line) {
                Ok(true) => chunk.push(decoded(&self.name, self.next, &self.line)),
                Ok(false) => break,
                // What was read before is still given; the error comes again.
                Err(_) if !chunk.records.is_empty() => break,
                Err(e) => return Some(Err(broken(&self.path, self.next, &e))),
            }
            self.next += 1;
        }
        (!chunk.records.is_empty()).then_some(Ok(chunk))
    }
}

/// A line as a record. A recording is taken to have arrived in time.
pub fn decoded(name: &str, line: u64, value: &[u8]) -> Decoded {
    Record::decode(&Input {
        stream: Stream::Events,
        topic: name,
        partition: 0,
        offset: line as i64,
        arrival: EventTime::END,
        key: None,
        trace: None,
        value,
    })
}

fn broken(path: &Path, line: u64, e: &io::Error) -> LabError {
    let problem = match e.kind() {
        io::ErrorKind::UnexpectedEof => "the file ends in the middle of compressed data".to_owned(),
        _ => format!("cannot be read on: {e}"),
    };
    LabError::Line(path.into(), line as usize, problem)
}

/// Counts the bytes that are read.
struct Counted {
    source: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(to)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}
