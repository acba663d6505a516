//! The analysts' bench: training, evaluation, and the recording the demo plays.
//!
//! Everything here works on files and prints figures; the shipped models are made by it and by nothing else.

pub mod backtest;
mod calibrate;
pub mod cascades;
mod chart;
pub mod drift;
pub mod encoder;
pub mod feedback;
pub mod figures;
pub mod labels;
pub mod lines;
pub mod live;
mod metrics;
mod page;
pub mod policy;
pub mod posts;
pub mod recorded;
pub mod recording;
pub mod report;
pub mod response;
pub mod sentiment;
pub mod storms;
mod table;
pub mod tune;
pub mod versus;
pub mod virality;
mod zone;

pub use metrics::{AveragePrecision, Confusion};
pub use zone::Zone;

use std::fmt;
use std::path::{Path, PathBuf};

/// What stops a bench command.
#[derive(Debug)]
pub enum LabError {
    /// A file that cannot be read or written.
    File(PathBuf, std::io::Error),
    /// A line that does not read as it should.
    Line(PathBuf, usize, String),
    /// A step of the training that failed.
    Step(String),
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, e) => write!(f, "{}: {e}", path.display()),
            Self::Line(path, line, problem) => write!(f, "{}, line {line}: {problem}", path.display()),
            Self::Step(problem) => f.write_str(problem),
        }
    }
}

impl std::error::Error for LabError {}

/// Reads a UTF-8 file whole.
///
/// # Errors
/// Names the file.
pub(crate) fn read(path: &Path) -> Result<String, LabError> {
    std::fs::read_to_string(path).map_err(|e| LabError::File(path.into(), e))
}

/// Writes a file, making its folder.
///
/// # Errors
/// Names the file.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), LabError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| LabError::File(folder.into(), e))?;
    }
    std::fs::write(path, bytes).map_err(|e| LabError::File(path.into(), e))
}

/// A number drawn from a seed and an index, the same on every machine (SplitMix64, Steele et al. 2014).
#[must_use]
pub fn mix(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number from 0 up to 1 and never 1, drawn likewise.
#[must_use]
pub fn unit(seed: u64, index: u64) -> f64 {
    (mix(seed, index) >> 11) as f64 / (1_u64 << 53) as f64
}

/// A stable number for a text, to split data sets by.
#[must_use]
pub fn text_hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| mix(h, u64::from(b)))
}

/// Applies a function to every item on all cores; results come in the order of the items.
pub(crate) fn in_parallel<T: Sync, U: Send>(items: &[T], each: impl Fn(&T) -> U + Sync) -> Vec<U> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let chunk = items.len().div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        let parts: Vec<_> = items
            .chunks(chunk)
            .map(|part| scope.spawn(|| part.iter().map(&each).collect::<Vec<U>>()))
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
    })
}
