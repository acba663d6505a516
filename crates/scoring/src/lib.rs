//! What was said, who can hear it, how fast it moves, and the risk that joins the three.
//!
//! Pure: a text or a summary and a time in, numbers with reasons out. Models are read from bytes.

mod ages;
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

pub use cascade::Cascade;
pub use infection::{Bounded, Infection};
pub use reach::{Audience, PLAUSIBLE_FOLLOWERS, TYPICAL_FOLLOWERS, Voice};
pub use reading::{Reading, TOLD_IN_WORDS, Unread, evidence, pull_to_complaint};
pub use risk::{Assessment, Explained, Subject};
pub use seen::Seen;
pub use sentiment::{HEADS, Head, Part, Said, Scratch, SentimentModel};
pub use virality::ViralityModel;

/// Bytes that are no model of the kind wanted.
#[derive(Debug, Clone)]
pub struct ModelError(String);

impl std::fmt::Display for ModelError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; make it again with `firewatch train`", self.0)
    }
}

impl std::error::Error for ModelError {}
