//! Payloads from the networks into raw topics: a receiver for webhooks, and clients for streams that go on where they were.
//!
//! Nothing is decoded here: what arrives is put into a raw topic as it came, and is acknowledged, or counted as read, only when
//! the topic has it. A stream that was away says from when to when something may be missing.

mod backoff;
mod hook_receiver;
mod jetstream;
mod mastodon;
mod recent_payloads;
mod stream_errors;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use firewatch_domain::EventTime;

pub use hook_receiver::{HookSource, hook_routes};
pub use jetstream::{Jetstream, follow_jetstream};
pub use mastodon::{MastodonStream, follow_mastodon};
pub use stream_errors::StreamErrors;

/// Largest payload that a raw topic takes, bytes: a broker's own limit is 1 MiB with what is around it.
pub const MAX_RAW_BYTES: usize = (1 << 20) - 4096;

/// A payload on its way to a raw topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawPayload {
    /// The topic.
    pub topic: String,
    /// As it came.
    pub payload: Vec<u8>,
    /// Where a stream goes on after it.
    pub cursor: Option<String>,
}

/// A wait for the brokers.
pub type PutFuture = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Puts a payload into its topic.
pub type Put = dyn Fn(RawPayload) -> PutFuture + Send + Sync;

/// Hears of a source, by its name.
pub type NotifyFn = dyn Fn(&str, &Notice) + Send + Sync;

/// What the shell lends: raw topics, a clock, and who is told.
#[derive(Clone)]
pub struct CollectorContext {
    /// Puts a payload into its topic; ends when the brokers have it. Calls take effect in their order.
    pub put: Arc<Put>,
    /// The wall clock.
    pub clock: fn() -> EventTime,
    /// Takes note of what happened to a source.
    pub notify: Arc<NotifyFn>,
}

/// What happened to a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// It is connected.
    Connected,
    /// A payload is in its topic.
    Accepted,
    /// Something is wrong, and it is tried again.
    Failed(String),
    /// A payload was left out, and why.
    Skipped(String),
    /// Something may be missing.
    Gap(Gap),
}

/// A span of which something may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The last that was there before it.
    pub from: EventTime,
    /// The first that was there after it.
    pub to: EventTime,
    /// What of it.
    pub what: Missing,
}

/// What may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Anything: the server had no more of it.
    Anything,
    /// Edits and deletions, which the server tells only as they happen.
    EditsAndDeletions,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, what } = self;
        let what = match what {
            Missing::Anything => "payloads",
            Missing::EditsAndDeletions => "edits and deletions",
        };
        write!(f, "{what} from {from} to {to}, {}, may be missing", *to - *from)
    }
}
