//! What a conversation tells its brand.
//!
//! Storms are seen across conversations, so each complaint sends one small record keyed by brand. Ticks say
//! how far each source partition has come: the brand decides on a span of time only when every source has
//! passed it, which makes its decisions the same however the partitions interleave.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Escalation, EscalationState, EventTime};

/// One record of the signals topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "signal")]
pub struct Signal {
    /// Schema version; this build reads 1.
    pub v: u32,
    /// Derived from what caused it, so a repeat has the same id.
    pub id: String,
    /// The brand, and the key of the record.
    pub brand: String,
    /// Event time; never earlier than the last tick of the same source.
    pub at: EventTime,
    /// The events partition it comes from.
    pub source: u32,
    /// What is told.
    #[serde(flatten)]
    pub body: SignalBody,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignalBody {
    /// A complaint that support should see, unless it belongs to a storm.
    Complaint {
        /// The escalation as it will be told when it is told on its own.
        case: Box<Escalation>,
        /// The words that a storm's topic is read from, stemmed; at most 12.
        topics: Vec<String>,
    },
    /// A change in the life of a complaint told before.
    Change {
        /// The conversation.
        conversation: String,
        /// Its new state.
        state: EscalationState,
        /// Why, in words.
        reason: String,
    },
    /// Every signal of this source from now on has a time at or after `at`.
    Tick {
        /// How many partitions the events topic has.
        sources: u32,
        /// The source is read to its end and silent: nobody should wait for it until it is heard of again.
        idle: bool,
    },
}
