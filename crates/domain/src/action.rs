//! What a person did about an escalation. It comes in through a topic of its own, so the log stays the only truth.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::EventTime;

/// One record of the actions topic.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "action")]
pub struct Action {
    /// Schema version; this build reads 1.
    pub v: u32,
    /// Unique within the conversation: a second action with the same id changes nothing.
    pub id: String,
    /// The conversation acted on (a storm's id for a storm), and the key of the record.
    pub conversation: String,
    /// When it was done.
    pub at: EventTime,
    /// Who did it: a user or system name.
    pub by: String,
    /// What was done.
    pub kind: ActionKind,
    /// With `hand_off`: where the talk goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// With `hand_over`: the team that is to own it. With a verdict: the team that it speaks for, all that were told when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// With `silence`: until when no team is told of this conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<EventTime>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// Somebody has seen it and takes it.
    Acknowledge,
    /// Answered in public.
    Reply,
    /// The talk goes on in a private channel.
    HandOff,
    /// Another team is to own it.
    HandOver,
    /// Done.
    Resolve,
    /// Not done after all.
    Reopen,
    /// Keep quiet about it until a time.
    Silence,
    /// A verdict: being told of it was worth it. Changes nothing; what is told later is tuned by it.
    Useful,
    /// A verdict: being told of it was a waste.
    Noise,
}

impl ActionKind {
    /// Whether being told was worth it, where this is a verdict.
    #[must_use]
    pub fn verdict(self) -> Option<bool> {
        match self {
            Self::Useful => Some(true),
            Self::Noise => Some(false),
            _ => None,
        }
    }
}

/// A private channel that a conversation is handed off to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// The platform's direct messages.
    Dm,
    /// E-mail.
    Email,
    /// Telephone.
    Phone,
}
