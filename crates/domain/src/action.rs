//! What a person did about an escalation.
//!
//! Actions come in through a topic of their own, so that the log remains the only source of truth.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::EventTime;

/// One record of the actions topic.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "action")]
pub struct Action {
    /// Schema version; this build reads 1.
    pub v: u32,
    /// Id, unique within the conversation. A second action with the same id changes nothing.
    pub id: String,
    /// The conversation acted on, or the id of a storm, group, digest or silence notice. It is the key of the
    /// record.
    pub conversation: String,
    /// When the person acted.
    pub at: EventTime,
    /// Who acted: a user or system name.
    pub by: String,
    /// What was done.
    pub kind: ActionKind,
    /// For `hand_off`: the private channel in which the conversation continues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// For `hand_over`: the team that becomes the owner. For a verdict: the team it speaks for. For any other
    /// action: the team whose escalation it is about. When absent, every team that was notified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Id of the escalation that it is about, which narrows the action to one team. A reply and a hand-off to
    /// a private channel are facts about the conversation and hold for every team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalation: Option<String>,
    /// For `silence`: nobody is notified before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<EventTime>,
}

/// The kind of action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// A person has seen the escalation and works on it.
    Acknowledge,
    /// The brand has answered in public.
    Reply,
    /// The conversation continues in a private channel.
    HandOff,
    /// Another team becomes the owner.
    HandOver,
    /// The work is done.
    Resolve,
    /// The work is not done after all.
    Reopen,
    /// Nobody is notified until a given time.
    Silence,
    /// The silence ends now.
    Unsilence,
    /// Takes back the last action on the escalation, unless something else has happened since. A reply and a
    /// hand-off to a private channel cannot be taken back.
    Undo,
    /// Verdict: the notification was useful. It changes no state; `firewatch report feedback` learns from it.
    Useful,
    /// Verdict: the notification was noise. It changes no state, like `useful`.
    Noise,
}

impl ActionKind {
    /// Returns whether the notification was useful, or `None` when this action is not a verdict.
    #[must_use]
    pub fn verdict(self) -> Option<bool> {
        match self {
            Self::Useful => Some(true),
            Self::Noise => Some(false),
            _ => None,
        }
    }
}

/// A private channel to which a conversation is handed off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Direct messages of the platform.
    Dm,
    /// E-mail.
    Email,
    /// Telephone.
    Phone,
}
