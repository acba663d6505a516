//! One module for each command: it reads the arguments, calls the crates below and prints the result.

pub mod backtest;
pub mod check;
pub mod collect;
pub mod compare;
pub mod console;
pub mod demo;
pub mod guard;
pub mod ingest;
pub mod policy;
pub mod predict;
mod progress;
mod recording_input;
pub mod replay;
pub mod report;
pub mod run;
pub mod schema;
pub mod score;
pub mod topics;
#[cfg(feature = "train")]
pub mod train;
pub mod tune;
