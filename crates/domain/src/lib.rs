//! Domain types of firewatch and their wire records.
//!
//! Everything that users see on a topic is defined here once: the Rust type, its invariants and its JSON form
//! are the same item, and the published JSON Schema is generated from it.

mod action;
mod dead_letter;
mod escalation;
mod event;
mod flag;
mod forwarded;
mod incident;
mod reason;
mod redaction;
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
pub use forwarded::{Forwarded, ForwardedRecord};
pub use incident::{IncidentId, IncidentKind};
pub use reason::{Reason, ReasonKind, Reasons};
pub use redaction::Redaction;
pub use score::{
    Contribution, EngagementCounts, ForecastInterval, HorizonForecast, Reach, Score, Sentiment, Tenths,
    Velocity,
};
pub use signal::{
    ActionContext, ConversationChange, ConversationUpdate, RouteMatch, RoutesMatched, Signal, SignalBody,
};
pub use sim_hash::SimHash;
pub use time::{Duration, EventTime, TimeError};

/// The schema version that this build writes and reads: the `v` of every record.
pub const SCHEMA_VERSION: u32 = 1;

/// Default number of reshares and quotes at which a conversation is viral. About the largest tenth of the
/// Twitter rumours in the training data reach it.
pub const VIRAL_BAR: u64 = 1000;
