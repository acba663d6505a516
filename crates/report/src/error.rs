//! Why an analysis command failed.

use std::path::PathBuf;

use thiserror::Error;

/// Why an analysis command failed.
#[derive(Debug, Error)]
pub enum AnalysisError {
    /// A file cannot be read or written.
    #[error("{}: {}", .0.display(), .1)]
    File(PathBuf, #[source] std::io::Error),
    /// A line of a file is not valid: the file, the line's number from 1, and the problem with its remedy.
    #[error("{}, line {}: {}", .0.display(), .1, .2)]
    Line(PathBuf, usize, String),
    /// A step of the analysis failed.
    #[error("{0}")]
    Step(String),
}
