//! Records whose conversation lives in another partition, on their way to it.
//!
//! Producers do not all choose the partition of a key in the same way. The task that reads such a record passes it on
//! through the signals topic, in the transaction in which it marks it as read.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{Action, Event, EventTime};

/// A record of the signals topic that holds an event or an action for the task of another partition. Its key is the
/// conversation.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "forwarded")]
pub struct Forwarded {
    /// Schema version; this build reads 1.
    pub v: u32,
    /// Topic, partition and offset of the record that was read.
    pub id: String,
    /// When that record arrived.
    pub arrival: EventTime,
    /// The record.
    #[serde(flatten)]
    pub record: ForwardedRecord,
}

/// What is forwarded.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForwardedRecord {
    /// A record of the events topic.
    Event(Event),
    /// A record of the actions topic.
    Action(Action),
}

impl Forwarded {
    /// Returns the conversation, which is the record's key.
    #[must_use]
    pub fn conversation(&self) -> &str {
        match &self.record {
            ForwardedRecord::Event(event) => &event.conversation,
            ForwardedRecord::Action(action) => &action.conversation,
        }
    }

    /// Returns the time of the event or action.
    #[must_use]
    pub fn at(&self) -> EventTime {
        match &self.record {
            ForwardedRecord::Event(event) => event.at,
            ForwardedRecord::Action(action) => action.at,
        }
    }
}
