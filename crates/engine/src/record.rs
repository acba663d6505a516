//! Step `decode`: the raw input of a task, with its origin, and the typed record that it decodes to.

use firewatch_domain::{Action, Event, EventTime, Forwarded, Signal};
use firewatch_ingest::{Rejection, SignalsRecord, decode_action, decode_event, decode_signals_record};

use crate::Outcome;

/// An input stream of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Posts, engagement, counters and brand replies.
    Events,
    /// People's actions on escalations.
    Actions,
    /// Records that conversations send to their brands' dispatchers.
    Signals,
}

impl Stream {
    /// Returns the stream's name in metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Actions => "actions",
            Self::Signals => "signals",
        }
    }
}

/// One raw record as it was read.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The stream, which selects the decoder.
    pub stream: Stream,
    /// The name of the topic or file.
    pub topic: &'a str,
    /// The partition.
    pub partition: u32,
    /// The offset, or the line number from 1.
    pub offset: i64,
    /// The arrival time; no event counts as later.
    pub arrival: EventTime,
    /// The record's key, if any.
    pub key: Option<&'a [u8]>,
    /// The record's W3C trace context, if any.
    pub trace: Option<&'a str>,
    /// The record's bytes.
    pub value: &'a [u8],
}

impl<'a> Input<'a> {
    /// A record of partition 0 at offset 0 without key or trace context, whose arrival time limits nothing.
    #[must_use]
    pub fn new(stream: Stream, topic: &'a str, value: &'a [u8]) -> Self {
        Self {
            stream,
            topic,
            partition: 0,
            offset: 0,
            arrival: EventTime::END,
            key: None,
            trace: None,
            value,
        }
    }
}

/// The result of processing one record.
#[derive(Debug, Clone, PartialEq)]
pub struct Handled {
    /// Whether it led to a score, changed state only, or was rejected.
    pub outcome: Outcome,
    /// The record's own time; `None` if it was rejected.
    pub at: Option<EventTime>,
    /// The reason for a rejection; `None` if the record was accepted.
    pub rejection: Option<Rejection>,
}

/// The arrival time and W3C trace context of a decoded record.
#[derive(Debug, Clone, Copy)]
pub struct RecordMeta<'a> {
    /// The arrival time; no event counts as later.
    pub arrival: EventTime,
    /// The trace context, if any.
    pub trace: Option<&'a str>,
}

/// A decoded record.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A record of the events stream.
    Event(Event),
    /// A record of the actions stream.
    Action(Action),
    /// A record of the signals stream.
    Signal(Signal),
    /// A record of the signals stream that the task of another partition has read.
    Forwarded(Box<Forwarded>),
}

/// A decoded record, or the reason for its rejection.
pub type DecodeResult = Result<Record, Rejection>;

impl Record {
    /// Decodes a raw record by its stream.
    ///
    /// # Errors
    /// When the record is invalid; the rejection states the code and the detail.
    pub fn decode(input: &Input<'_>) -> DecodeResult {
        Ok(match input.stream {
            Stream::Events => Self::Event(decode_event(input.value, input.key, input.arrival)?),
            Stream::Actions => Self::Action(decode_action(input.value, input.key, input.arrival)?),
            Stream::Signals => match decode_signals_record(input.value, input.key)? {
                SignalsRecord::Signal(signal) => Self::Signal(*signal),
                SignalsRecord::Forwarded(forwarded) => Self::Forwarded(forwarded),
            },
        })
    }

    /// Returns the record's own time.
    #[must_use]
    pub fn at(&self) -> EventTime {
        match self {
            Self::Event(event) => event.at,
            Self::Action(action) => action.at,
            Self::Signal(signal) => signal.at,
            Self::Forwarded(forwarded) => forwarded.at(),
        }
    }

    /// Returns the key that selects the record's partition: the conversation's id, or a signal's brand.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Event(event) => &event.conversation,
            Self::Action(action) => &action.conversation,
            Self::Signal(signal) => &signal.brand,
            Self::Forwarded(forwarded) => forwarded.conversation(),
        }
    }
}
