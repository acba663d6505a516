//! Escalations: the decision to notify a team, and each later change of it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Contribution, EventTime, IncidentId, IncidentKind, Reasons, Tenths};

/// One record of an escalation topic: an escalation that opened or changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "escalation")]
pub struct Escalation {
    /// Schema version; this build writes 1.
    pub v: u32,
    /// `<escalation>/<step>`: unique for each record. It derives from the conversation and its start time,
    /// never from the score.
    pub id: String,
    /// Id of the escalation; all its records share it.
    pub escalation: String,
    /// Number of the record: 0 when the escalation opens, 1 more with every change.
    pub step: u32,
    /// What changed with this record.
    #[serde(rename = "news")]
    pub change: EscalationChange,
    /// State after this record.
    pub state: EscalationState,
    /// The team that owns the escalation.
    pub team: String,
    /// How severe it is.
    pub level: Level,
    /// The conversation it is about, or the id of a storm, group, digest or silence notice.
    pub conversation: String,
    /// What it is about. Records of earlier versions lack it; the conversation's beginning states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentKind>,
    /// The brand, when the policy lists it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// The network of the post, when known. Absent for a storm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// For a storm: the words that distinguish its posts, in their most common spelling. Empty when the storm
    /// has no common topic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// Related conversations: the same complaint by the same author on another network, or the conversation
    /// that it quotes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<String>,
    /// Event time of the decision.
    pub at: EventTime,
    /// When the post was written, if known. For a storm: the time of its first post.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub posted_at: Option<EventTime>,
    /// Risk at the time of the decision, 0..100. Absent for a storm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk: Option<Tenths>,
    /// Why it was opened or last raised, the decisive reason first. Never empty. Records that open or raise it,
    /// or list what is in it, have all reasons; the others only the decisive one.
    #[serde(flatten)]
    pub reasons: Reasons,
    /// What happened with this record, in plain words: what a person did, which deadline passed, how it grew.
    /// Absent on records that open or raise the escalation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub happened: Option<String>,
    /// The person who acknowledged it, while nobody else owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_by: Option<String>,
    /// No reminder of it is emitted before this time, because a person silenced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced_until: Option<EventTime>,
    /// Contributions to the risk, in points that add up to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contributions: Vec<Contribution>,
    /// Advice from the policy on what to do next. Set on records that open or raise the escalation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<String>,
    /// Start of the post on one line, with personal data replaced by placeholders such as `[phone]` and
    /// `[health]`. Set for PR only. People with the right to see personal data look up the conversation
    /// instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    /// Address of the post for people, when known. It goes when the post is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Address of the author of the post, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_url: Option<String>,
    /// The route of the policy that opened or raised the escalation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The team that owned the escalation before this step. It is notified of the hand-over too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over_by: Option<String>,
    /// When the first public answer is due, while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond_by: Option<EventTime>,
    /// For a storm, a group, a digest or a silence notice: number of conversations in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<u64>,
    /// Version of the policy that decided.
    pub policy: String,
    /// Hash of the policy file: 64-bit FNV-1a in hexadecimal.
    pub policy_hash: String,
    /// W3C trace context of the record that caused this one, if it had one. It is sent as a record header.
    #[serde(skip)]
    pub trace: Option<String>,
}

/// What changed with a record of an escalation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "News")]
pub enum EscalationChange {
    /// The escalation opened, for the first time or again.
    Opened,
    /// Its level rose.
    Raised,
    /// Its state changed.
    Moved,
    /// More conversations joined it.
    Grew,
    /// Another team owns it.
    HandedOver,
    /// The first answer is overdue.
    Late,
    /// The brand asked the author to continue in private, and nothing followed.
    Stalled,
    /// It has been unacknowledged for a while.
    Waits,
    /// A person silenced it, or ended its silence.
    Silenced,
    /// A person's action was refused: somebody else acted before, or the escalation's state does not allow it.
    /// The escalation is unchanged.
    Refused,
}

impl Escalation {
    /// Returns what it is about. Records of earlier versions do not state it; their ids do.
    #[must_use]
    pub fn incident_kind(&self) -> IncidentKind {
        let by_id =
            || IncidentId::from_prefix(&self.conversation).map_or_else(IncidentKind::default, |id| id.kind());
        self.incident.unwrap_or_else(by_id)
    }

    /// Returns what happened, then the texts of the reasons.
    pub fn explanation(&self) -> impl Iterator<Item = &str> {
        self.happened.as_deref().into_iter().chain(self.reasons.texts())
    }

    /// Returns what is new with this record: what happened, or else the decisive reason.
    #[must_use]
    pub fn headline(&self) -> &str {
        self.happened.as_deref().unwrap_or_else(|| self.reasons.decisive())
    }
}

/// State of an escalation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EscalationState {
    /// Nobody has acknowledged it.
    Open,
    /// A person works on it.
    Acknowledged,
    /// The brand has answered in public.
    Answered,
    /// The brand has asked the author to continue in private.
    HandOffAsked,
    /// The conversation continues in private.
    HandedOff,
    /// The work is done, or the risk has passed.
    Resolved,
    /// Open again after it was resolved, or acknowledged and then forgotten.
    Reopened,
    /// Its conversation was silent for longer than the horizon, or its post was deleted.
    Expired,
}

impl EscalationChange {
    /// Returns the change as spelled on the wire.
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
            Self::Silenced => "silenced",
            Self::Refused => "refused",
        }
    }
}

impl EscalationState {
    /// Returns the state in words.
    #[must_use]
    pub fn describe(self) -> String {
        self.as_str().replace('_', " ")
    }

    /// Returns the state as spelled on the wire.
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

    /// Returns whether nobody has acknowledged it.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Reopened)
    }

    /// Returns whether it has ended; only a new opening can follow.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Resolved | Self::Expired)
    }
}

/// Severity of an escalation, mildest first.
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

    /// Returns the level as spelled on the wire.
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
