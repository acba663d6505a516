//! The nouns of firewatch and their wire records.
//!
//! Everything a user can see on a topic is defined here once: the Rust type, its invariants and its
//! JSON form are the same item, and the published JSON Schema is generated from it.

mod action;
mod dead_letter;
mod escalation;
mod event;
mod flag;
mod score;
mod signal;
mod sim_hash;
mod time;

pub use action::{Action, ActionKind, Channel};
pub use dead_letter::{DeadLetter, Origin, RejectionCode};
pub use escalation::{Escalation, EscalationChange, EscalationState, Level};
pub use event::{
    AccountKind, Author, Body, BrandReply, Counters, Delete, Engagement, EngagementKind, Event, Post,
};
pub use flag::FlagKind;
pub use score::{
    Contribution, EngagementCounts, ForecastInterval, HorizonForecast, Reach, Score, Sentiment, Tenths,
    Velocity,
};
pub use signal::{ConversationChange, ConversationUpdate, RouteMatch, RoutesMatched, Signal, SignalBody};
pub use sim_hash::SimHash;
pub use time::{Duration, EventTime, TimeError};

/// The one schema version this build writes and reads, the `v` of every record.
pub const SCHEMA_VERSION: u32 = 1;

/// Reshares and quotes from which a conversation is viral, for a brand that does not say: about the largest tenth of the
/// rumours on Twitter that models were trained on.
pub const VIRAL_BAR: u64 = 1000;
