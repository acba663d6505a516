//! A decision to tell a team, and its life.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Contribution, EventTime, Tenths};

/// One record of an escalation topic: an escalation opened, or changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "escalation")]
pub struct Escalation {
    /// Schema version; this build writes 1.
    pub v: u32,
    /// `<escalation>/<step>`: unique per record, derived from the conversation and when it began, never from the score.
    pub id: String,
    /// The escalation that all its records share.
    pub escalation: String,
    /// 0 when opened, one more with every change.
    pub step: u32,
    /// What this record tells.
    #[serde(rename = "news")]
    pub change: EscalationChange,
    /// Where it stands now.
    pub state: EscalationState,
    /// The team that owns it.
    pub team: String,
    /// How bad it is.
    pub level: Level,
    /// The conversation, or the storm, it is about.
    pub conversation: String,
    /// The brand, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// The network it was seen on, when known; none for a storm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// For a storm: the words that set its posts apart, as most people write them; none when it is about everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// Conversations that it belongs with: the same by the same author on another network, or what it quotes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<String>,
    /// Event time of the decision.
    pub at: EventTime,
    /// When the post was written, when it has been seen (for a storm: its first post).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub posted_at: Option<EventTime>,
    /// Risk at the decision, 0..100; none for a storm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk: Option<Tenths>,
    /// Why, in words; never empty.
    #[schemars(length(min = 1))]
    pub reasons: Vec<String>,
    /// What made the risk, in points that add up to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contributions: Vec<Contribution>,
    /// What to do next, by the policy; with what opens or raises it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<String>,
    /// How the post begins, on one line, with what is personal replaced by what it is, such as `[phone]` and `[health]`. For
    /// PR; who may see the person's data looks the conversation up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    /// The route of the policy that opened or raised it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The team that owned it until this step, which is told of the hand-over as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over_by: Option<String>,
    /// While it waits for a first answer in public: when that is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond_by: Option<EventTime>,
    /// For a storm, a group or a digest: conversations in it so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<u64>,
    /// Version of the policy that decided.
    pub policy: String,
    /// Hash of the policy's text: FNV-1a of 64 bits, in hexadecimal.
    pub policy_hash: String,
    /// The W3C trace context of what caused it, when that had one; a header of the record.
    #[serde(skip)]
    pub trace: Option<String>,
}

/// What a record of an escalation tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "News")]
pub enum EscalationChange {
    /// It was opened, or opened again.
    Opened,
    /// Its level rose.
    Raised,
    /// Its state changed.
    Moved,
    /// More conversations are in it.
    Grew,
    /// Another team owns it.
    HandedOver,
    /// The first answer is late.
    Late,
    /// A hand-off was asked for, and nothing has followed.
    Stalled,
    /// Nobody has taken it for a while.
    Waits,
}

/// The life of an escalation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EscalationState {
    /// Somebody should look.
    Open,
    /// Somebody does.
    Acknowledged,
    /// The brand has answered in public.
    Answered,
    /// The brand has asked the author to go on in private.
    HandOffAsked,
    /// The talk goes on in private.
    HandedOff,
    /// Done, or the risk has passed.
    Resolved,
    /// Open again after it was done.
    Reopened,
    /// Its conversation fell silent past the horizon.
    Expired,
}

impl EscalationChange {
    /// What it tells as on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Raised => "raised",
            Self::Moved => "moved",
            Self::Grew => "grew",
            Self::HandedOver => "handed_over",
            Self::Late => "late",
            Self::Stalled => "stalled",
            Self::Waits => "waits",
        }
    }
}

impl EscalationState {
    /// The state as on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Answered => "answered",
            Self::HandOffAsked => "hand_off_asked",
            Self::HandedOff => "handed_off",
            Self::Resolved => "resolved",
            Self::Reopened => "reopened",
            Self::Expired => "expired",
        }
    }

    /// Whether nobody has taken it yet.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Reopened)
    }

    /// Whether nothing follows but a new opening.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Resolved | Self::Expired)
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Look when there is time.
    Low,
    /// Look today.
    Medium,
    /// Look now.
    High,
    /// Call people in.
    Critical,
}

impl Level {
    /// All levels, mildest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The level as on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for EscalationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
