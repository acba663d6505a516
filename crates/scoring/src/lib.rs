//! Scores a conversation: sentiment of its text, reach, velocity, virality, and the risk that combines them,
//! with reasons.
//!
//! The crate is pure: it maps texts and cascade summaries to numbers and sentences. Models are read from
//! bytes.

mod age_histogram;
mod calibration;
mod cascade;
mod decay;
pub mod encoder;
mod infectiousness;
mod model_format;
mod reach;
mod reading;
mod reasons;
mod recent_ids;
mod risk;
mod seen_ids;
mod sentiment;
pub mod text;
mod velocity;
pub mod virality;

pub use calibration::Calibration;
pub use cascade::Cascade;
pub use infectiousness::{Bounded, Infectiousness};
pub use reach::{Audience, Carrier, PLAUSIBLE_FOLLOWERS, TYPICAL_FOLLOWERS};
pub use reading::{MAX_EVIDENCE, MIN_COMPLAINT_TO_QUOTE, Reading, Unread, complaint_contribution, evidence};
pub use recent_ids::{RecentIds, short_hash};
pub use risk::{Assessment, Explained, Subject};
pub use seen_ids::SeenIds;
pub use sentiment::{HEADS, HeadWeights, Scratch, SentimentModel, TextPrediction, TokenContribution};
pub use virality::ViralityModel;

use firewatch_settings::Fault;

/// Why a model could not be read or written.
#[derive(Debug, Clone)]
pub enum ModelError {
    /// A model file is damaged, of another version, or not a model. The text names the model and the fault.
    File(String),
    /// A calibration file has faults.
    Calibration(Vec<Fault>),
}

impl std::fmt::Display for ModelError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(problem) => write!(f, "{problem}; recreate it with `firewatch train`"),
            Self::Calibration(faults) => {
                let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
                f.write_str(&faults.join("; "))
            }
        }
    }
}

impl std::error::Error for ModelError {}
