//! What a conversation tells its brand.
//!
//! Storms are seen across conversations, so each complaint sends one small record keyed by brand. Ticks say
//! how far each source partition has come: the brand decides on a span of time only when every source has
//! passed it, which makes its decisions the same however the partitions interleave.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Channel, Contribution, EventTime, Level, SimHash, Tenths};

/// One record of the signals topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "signal")]
pub struct Signal {
    /// Schema version; this build reads 1.
    pub v: u32,
    /// Derived from what caused it, so a repeat has the same id.
    pub id: String,
    /// The brand, and the key of the record.
    pub brand: String,
    /// Event time; never earlier than the last tick of the same source.
    pub at: EventTime,
    /// The events partition it comes from.
    pub source: u32,
    /// The policy that is told: 0 for the one in force, others for those on trial. A tick is for all of them.
    #[serde(default, skip_serializing_if = "is_active_slot")]
    #[serde(rename = "trial")]
    pub slot: u32,
    /// What is told.
    #[serde(flatten)]
    pub body: SignalBody,
}

fn is_active_slot(slot: &u32) -> bool {
    *slot == 0
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignalBody {
    /// The routes of the policy that a conversation matches have changed, or it counts as a complaint from now on.
    #[serde(rename = "matched")]
    RoutesMatched(Box<RoutesMatched>),
    /// Something was done about a conversation whose brand knows of it, or its time is over.
    #[serde(rename = "happened")]
    ConversationUpdated(ConversationUpdate),
    /// Every signal of this source from now on has a time at or after `at`.
    #[serde(rename = "tick")]
    Watermark {
        /// How many partitions the events topic has.
        sources: u32,
        /// The source is read to its end and silent: nobody should wait for it until it is heard of again.
        idle: bool,
    },
}

/// What a conversation is, as far as a team may have to know it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Matched")]
pub struct RoutesMatched {
    /// The conversation.
    pub conversation: String,
    /// When it began: part of the names of its escalations.
    pub began: EventTime,
    /// When the post was written, when it has been seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posted_at: Option<EventTime>,
    /// The network it was seen on, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// All routes that it matches, none when it matches none any more.
    pub routes: Vec<RouteMatch>,
    /// It is a complaint that storms are looked for in; told so once.
    #[serde(rename = "counts")]
    pub counts_for_storms: bool,
    /// The words that a storm's topic is read from: the stem, and after a bar the word as it was written where that
    /// differs; at most 12.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// By which near-copies of it are known in a storm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "near")]
    pub sim_hash: Option<SimHash>,
    /// A hash of the author's name as it may be on several networks, by which what one person wrote on two is known; told with
    /// `counts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<u32>,
    /// The conversation that its post quotes; told with `counts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub related: Option<String>,
    /// The risk.
    pub risk: Tenths,
    /// Why, in words, what a person needs first.
    pub reasons: Vec<String>,
    /// Points that add up to the risk.
    pub contributions: Vec<Contribution>,
    /// What to do next, by the policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<String>,
    /// How the post begins, with what is personal replaced, when it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    /// The policy's silences that are on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silences: Vec<String>,
    /// No team is to be told until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced_until: Option<EventTime>,
    /// The brand has answered already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub answered: bool,
    /// The W3C trace context of what caused it, when that had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// A route of the policy, and how far a conversation is on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteMatch {
    /// The route's name.
    pub route: String,
    /// The highest level whose condition has held.
    pub level: Level,
    /// Why, in words.
    pub reason: String,
    /// What it is grouped by, when its route has groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// Something that was done about a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Happened")]
pub struct ConversationUpdate {
    /// The conversation, or the storm.
    pub conversation: String,
    /// What was done.
    #[serde(flatten)]
    pub change: ConversationChange,
    /// Who did it: a person, or the account that answered.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// The W3C trace context of what caused it, when that had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "what")]
#[schemars(rename = "What")]
pub enum ConversationChange {
    /// Somebody takes it.
    Acknowledged,
    /// The brand answered in public.
    Answered,
    /// The brand asked the author to go on in private.
    HandOffAsked {
        /// Where.
        channels: Vec<Channel>,
    },
    /// The talk goes on in private.
    HandedOff,
    /// Somebody says so in a reply, which counts when the brand had asked for it.
    #[serde(rename = "taken_up")]
    HandOffAccepted,
    /// Done.
    Resolved,
    /// Not done after all.
    Reopened,
    /// No team is to be told until then.
    Silenced {
        /// Until when.
        until: EventTime,
    },
    /// Another team is to own it.
    HandedOver {
        /// The team.
        team: String,
    },
    /// Its first post was edited.
    Edited {
        /// How it begins now, as in [`Matched::excerpt`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        excerpt: Option<String>,
    },
    /// A post of it was deleted: what it said is to be forgotten.
    Deleted {
        /// It was the first post, so that nothing more will be heard of it.
        #[serde(rename = "all")]
        is_root: bool,
    },
    /// Nothing more will be heard of it.
    Expired {
        /// Why, in words.
        reason: String,
    },
}
