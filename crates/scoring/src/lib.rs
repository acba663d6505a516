//! What was said, who can hear it, how fast it moves, and the risk that joins the three.
//!
//! Pure: a text or a summary and a time in, numbers with reasons out. Models are read from bytes.

mod ages;
mod calibration;
mod cascade;
pub mod encoder;
mod fade;
mod frame;
mod infection;
mod reach;
mod reading;
mod risk;
mod seen;
mod sentiment;
pub mod text;
mod velocity;
pub mod virality;
mod words;

pub use calibration::Calibration;
pub use cascade::Cascade;
pub use infection::{Bounded, Infection};
pub use reach::{Audience, PLAUSIBLE_FOLLOWERS, TYPICAL_FOLLOWERS, Voice};
pub use reading::{Reading, TOLD_IN_WORDS, Unread, evidence, pull_to_complaint};
pub use risk::{Assessment, Explained, Subject};
pub use seen::{Seen, short_hash};
pub use sentiment::{HEADS, Head, Part, Said, Scratch, SentimentModel};
pub use virality::ViralityModel;

use firewatch_settings::Fault;

/// Bytes that are no model of the kind wanted.
#[derive(Debug, Clone)]
pub enum ModelError {
    /// What is wrong with a model.
    File(String),
    /// What is wrong with a calibration.
    Calibration(Vec<Fault>),
}

impl std::fmt::Display for ModelError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(problem) => write!(f, "{problem}; make it again with `firewatch train`"),
            Self::Calibration(faults) => {
                let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
                f.write_str(&faults.join("; "))
            }
        }
    }
}

impl std::error::Error for ModelError {}
