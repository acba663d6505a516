//! Signals: what conversations report to the dispatcher of their brand.
//!
//! Storms span conversations, so each complaint sends one small record keyed by brand. Watermarks report how
//! far each source partition has come. The dispatcher decides a window of time only when every source has
//! passed it, so its decisions do not depend on how partitions interleave.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Channel, Contribution, EventTime, Level, Reasons, SimHash, Tenths};

/// One record of the signals topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "signal")]
pub struct Signal {
    /// Schema version; this build reads 1.
    pub v: u32,
    /// Id derived from the cause, so that a repeated signal has the same id.
    pub id: String,
    /// The brand. It is the key of the record.
    pub brand: String,
    /// Event time; never earlier than the last watermark of the same source.
    pub at: EventTime,
    /// Events partition that the signal comes from.
    pub source: u32,
    /// Policy slot that the signal is for: 0 is the active policy, others are shadow policies. A watermark is
    /// for all slots.
    #[serde(default, skip_serializing_if = "is_active_slot")]
    #[serde(rename = "trial")]
    pub slot: u32,
    /// What the signal reports.
    #[serde(flatten)]
    pub body: SignalBody,
}

fn is_active_slot(slot: &u32) -> bool {
    *slot == 0
}

/// Content of a signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignalBody {
    /// The routes that a conversation matches have changed, or it counts as a complaint for storms from now
    /// on.
    #[serde(rename = "matched")]
    RoutesMatched(Box<RoutesMatched>),
    /// Something happened to a conversation that the dispatcher knows, or the conversation has expired.
    #[serde(rename = "happened")]
    ConversationUpdated(ConversationUpdate),
    /// Every later signal of this source has a time at or after `at`.
    #[serde(rename = "tick")]
    Watermark {
        /// Number of partitions of the events topic.
        sources: u32,
        /// The source is read to its end and silent. Nobody waits for it until its next signal.
        idle: bool,
    },
}

impl SignalBody {
    /// Returns the conversation that it is about; `None` for a watermark.
    #[must_use]
    pub fn conversation(&self) -> Option<&str> {
        match self {
            Self::RoutesMatched(matched) => Some(&matched.conversation),
            Self::ConversationUpdated(update) => Some(&update.conversation),
            Self::Watermark { .. } => None,
        }
    }
}

/// State of a conversation, as far as a team may need it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Matched")]
pub struct RoutesMatched {
    /// The conversation.
    pub conversation: String,
    /// When the conversation began. It is part of the ids of its escalations.
    pub began: EventTime,
    /// When the post was written, if the post has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posted_at: Option<EventTime>,
    /// The network of the post, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// All routes that the conversation matches now; empty when none matches any more.
    pub routes: Vec<RouteMatch>,
    /// The conversation counts as a complaint for storm detection. Sent once.
    #[serde(rename = "counts")]
    pub counts_for_storms: bool,
    /// Candidate words for the topic of a storm, at most 12: the stem, followed by `|` and the word as
    /// written where they differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// SimHash of the text, by which near-copies in a storm are recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "near")]
    pub sim_hash: Option<SimHash>,
    /// Hash of the author's normalised handle, which links posts by one author across networks. Sent only
    /// when `counts` is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<u32>,
    /// The conversation that the post quotes. Sent only when `counts` is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub related: Option<String>,
    /// Risk, 0..100.
    pub risk: Tenths,
    /// Reasons, the most important first.
    #[serde(flatten)]
    pub reasons: Reasons,
    /// Contributions to the risk, in points that add up to it.
    pub contributions: Vec<Contribution>,
    /// Advice from the policy on what to do next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<String>,
    /// Start of the post with personal data replaced, if it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    /// Address of the root post for people, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Address of its author, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_url: Option<String>,
    /// Silences of the policy that match the conversation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silences: Vec<String>,
    /// No team is notified before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced_until: Option<EventTime>,
    /// The brand has answered already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub answered: bool,
    /// W3C trace context of the event that caused the signal, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

impl RoutesMatched {
    /// Creates the state of a conversation that matches no route and has no risk.
    #[must_use]
    pub fn new(conversation: impl Into<String>, began: EventTime) -> Self {
        Self {
            conversation: conversation.into(),
            began,
            posted_at: Some(began),
            platform: None,
            routes: Vec::new(),
            counts_for_storms: false,
            topics: Vec::new(),
            sim_hash: None,
            author: None,
            related: None,
            risk: Tenths::default(),
            reasons: Reasons::default(),
            contributions: Vec::new(),
            advice: Vec::new(),
            excerpt: None,
            url: None,
            author_url: None,
            silences: Vec::new(),
            silenced_until: None,
            answered: false,
            trace: None,
        }
    }
}

/// A route that a conversation matches, with its level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteMatch {
    /// The route's name.
    pub route: String,
    /// The highest level whose condition holds; while none does but the route holds, the last one.
    pub level: Level,
    /// Reason in plain words.
    pub reason: String,
    /// Values of the `group_by` keys, if the route has groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// A change to a conversation that is not a change of routes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Happened")]
pub struct ConversationUpdate {
    /// The conversation, or the id of a storm, group, digest or silence notice.
    pub conversation: String,
    /// What changed.
    #[serde(flatten)]
    pub change: ConversationChange,
    /// Who caused it: a person, or the account that answered.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// For a person's action: when and on which escalation. It is applied as soon as the windows before the
    /// signal's time are decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionContext>,
    /// W3C trace context of the record that caused the signal, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// A person's action, as far as a dispatcher needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActionContext {
    /// When the person acted.
    pub at: EventTime,
    /// The team whose escalation it is about; absent: every team's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Id of the escalation that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<String>,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "what")]
#[schemars(rename = "What")]
pub enum ConversationChange {
    /// A person works on it.
    Acknowledged,
    /// The brand answered in public.
    Answered,
    /// The brand asked the author to continue in private.
    HandOffAsked {
        /// Channels that the brand offered.
        channels: Vec<Channel>,
    },
    /// The conversation continues in private.
    HandedOff,
    /// A reply says that the conversation continues in private. It counts only after the brand asked for it.
    #[serde(rename = "taken_up")]
    HandOffAccepted,
    /// The work is done.
    Resolved,
    /// The work is not done after all.
    Reopened,
    /// Nobody is notified before a given time.
    Silenced {
        /// End of the silence.
        until: EventTime,
    },
    /// The silence ended before its time.
    Unsilenced,
    /// The last action was taken back.
    Undone,
    /// Another team becomes the owner.
    HandedOver {
        /// The new owner.
        team: String,
    },
    /// The root post was edited.
    Edited {
        /// Start of the new text, with personal data replaced.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        excerpt: Option<String>,
    },
    /// A post of the conversation was deleted; its text must be erased.
    Deleted {
        /// The root post was deleted, so no further signal follows.
        #[serde(rename = "all")]
        is_root: bool,
    },
    /// The conversation has ended; no further signal follows.
    Expired {
        /// Reason in plain words.
        reason: String,
    },
}
