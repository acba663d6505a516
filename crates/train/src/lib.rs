//! Trains and evaluates the shipped models, and generates the demo recording.
//!
//! Everything here reads data sets and writes files or figures. The shipped binary contains this crate only
//! with the feature `train`.

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
