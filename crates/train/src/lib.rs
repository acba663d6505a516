//! Training and evaluation of the shipped models, and the recording that the demo plays.
//!
//! Everything here reads data sets and writes files or figures. The shipped models are made by this crate alone; the shipped
//! binary has it only with the feature `train`.

mod calibrate;
mod classification;
pub mod encoder;
pub mod figures;
pub mod posts;
pub mod recording;
pub mod report;
pub mod sentiment;
pub mod storms;
pub mod versus;
pub mod virality;

pub use classification::{AveragePrecision, Confusion};
