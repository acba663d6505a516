//! `firewatch predict`: runs a model without Kafka.

mod sentiment;
mod virality;

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::args::PredictCommand;
use crate::common::Failure;

/// Reads one input per line and writes its prediction, until the input ends.
pub fn predict(command: &PredictCommand) -> Result<(), Failure> {
    let done = match command {
        PredictCommand::Sentiment(options) => sentiment::predict(options)?,
        PredictCommand::Virality(options) => virality::predict(options)?,
    };
    match done {
        // The reader closed the pipe.
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|e: io::Error| Failure::running("predict", e)),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|e| Failure::setting(&path.display().to_string(), e))
}
