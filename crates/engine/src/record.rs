//! What a task reads: bytes with where they came from, and the record that they are.

use firewatch_domain::{Action, Event, EventTime, Signal};
use firewatch_ingest::{Rejection, decode_action, decode_event, decode_signal};

use crate::Outcome;

/// The streams a task reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Posts, engagement, counters and brand replies.
    Events,
    /// What people did.
    Actions,
    /// What conversations tell their brands.
    Signals,
}

impl Stream {
    /// The stream's name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Actions => "actions",
            Self::Signals => "signals",
        }
    }
}

/// One record as it was read.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What it is read as.
    pub stream: Stream,
    /// The topic's name, or the file's.
    pub topic: &'a str,
    /// The partition.
    pub partition: u32,
    /// The offset, or the line from 1.
    pub offset: i64,
    /// When it arrived.
    pub arrival: EventTime,
    /// Its key, if it has one.
    pub key: Option<&'a [u8]>,
    /// Its W3C trace context, if it has one.
    pub trace: Option<&'a str>,
    /// Its bytes.
    pub value: &'a [u8],
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Handled {
    /// The outcome.
    pub outcome: Outcome,
    /// The record's own time, when it could be read.
    pub at: Option<EventTime>,
    /// Why it was rejected, if it was.
    pub rejection: Option<Rejection>,
}

/// A record that was decoded.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// Of the events.
    Event(Event),
    /// Of the actions.
    Action(Action),
    /// Of the signals.
    Signal(Signal),
}

/// A record, or why it cannot be taken.
pub type DecodeResult = Result<Record, Rejection>;

impl Record {
    /// Decodes what was read.
    ///
    /// # Errors
    /// Why it cannot be taken.
    pub fn decode(input: &Input<'_>) -> DecodeResult {
        Ok(match input.stream {
            Stream::Events => Self::Event(decode_event(input.value, input.key, input.arrival)?),
            Stream::Actions => Self::Action(decode_action(input.value, input.key, input.arrival)?),
            Stream::Signals => Self::Signal(decode_signal(input.value, input.key)?),
        })
    }

    /// Its time.
    #[must_use]
    pub fn at(&self) -> EventTime {
        match self {
            Self::Event(event) => event.at,
            Self::Action(action) => action.at,
            Self::Signal(signal) => signal.at,
        }
    }

    /// What decides which partition it is in: the conversation, or a signal's brand.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Event(event) => &event.conversation,
            Self::Action(action) => &action.conversation,
            Self::Signal(signal) => &signal.brand,
        }
    }
}
