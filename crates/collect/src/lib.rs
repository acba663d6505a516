//! Collects payloads from platforms into raw topics: a webhook receiver, and stream clients that resume where
//! they stopped.
//!
//! Nothing is decoded here. A payload is written to its raw topic unchanged, and acknowledged or counted as
//! read only after the brokers have it. After an interruption a stream reports the span in which data may be
//! missing.

mod backoff;
mod hook_body;
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
use thiserror::Error;

pub use hook_receiver::{HookSource, hook_routes};
pub use jetstream::{Jetstream, follow_jetstream};
pub use mastodon::{MastodonError, MastodonStream, follow_mastodon};
pub use stream_errors::{FailingStream, StreamErrors};

/// Maximum size of a payload in bytes: the brokers' default limit of 1 MiB, less room for the record's
/// overhead.
pub const MAX_RAW_BYTES: usize = (1 << 20) - 4096;

/// A payload for a raw topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawPayload {
    /// The raw topic.
    pub topic: String,
    /// The bytes as received.
    pub payload: Vec<u8>,
    /// The position from which a stream resumes after this payload. `None` for webhooks.
    pub cursor: Option<String>,
}

/// Why the brokers do not have a payload.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct PutError(Box<dyn std::error::Error + Send + Sync>);

impl PutError {
    /// Wraps the cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// Completes when the brokers have a payload, or with the reason why they do not.
pub type PutFuture = Pin<Box<dyn Future<Output = Result<(), PutError>> + Send>>;

/// Writes a payload to its topic.
pub type Put = dyn Fn(RawPayload) -> PutFuture + Send + Sync;

/// Receives the notices of a source, given by its name.
pub type NotifyFn = dyn Fn(&str, &Notice) + Send + Sync;

/// The dependencies that the shell provides.
#[derive(Clone)]
pub struct CollectorContext {
    /// Writes a payload to its topic. Calls take effect in order.
    pub put: Arc<Put>,
    /// Returns the wall clock time.
    pub clock: fn() -> EventTime,
    /// Receives notices about sources, for logs and metrics.
    pub notify: Arc<NotifyFn>,
}

/// An occurrence at a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The stream is connected.
    Connected,
    /// The brokers have a payload.
    Accepted,
    /// An attempt failed for this reason, and will be repeated.
    Failed(String),
    /// A payload was dropped for this reason.
    Skipped(String),
    /// Data may be missing.
    Gap(Gap),
}

/// A span of a stream in which data may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The time of the last data before the gap.
    pub from: EventTime,
    /// The time of the first data after the gap.
    pub to: EventTime,
    /// The kind of data.
    pub what: Missing,
}

/// The kind of data that may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// All payloads: the server no longer had them.
    Anything,
    /// Edits and deletions, which the server sends only when they happen.
    EditsAndDeletions,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, what } = self;
        let what = match what {
            Missing::Anything => "payloads",
            Missing::EditsAndDeletions => "edits and deletions",
        };
        write!(f, "{what} from {from} to {to} ({}) may be missing", *to - *from)
    }
}
