//! What firewatch thinks of a conversation: the risk, what it is made of, and how sure it is.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{EventTime, FlagKind};

/// One record of the scores topic: a conversation, scored again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "score")]
pub struct Score {
    /// Schema version; this build writes 1.
    pub v: u32,
    /// `<conversation>/<event that caused it>`.
    pub id: String,
    /// The conversation.
    pub conversation: String,
    /// The brand, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// Event time of the score.
    pub at: EventTime,
    /// 100 times the probability that this is a complaint and will cross the viral bar within a day.
    pub risk: Tenths,
    /// The risk if what is unknown were at its mildest.
    pub risk_low: Tenths,
    /// The risk if what is unknown were at its worst.
    pub risk_high: Tenths,
    /// Probability that the post is a complaint, 0..1.
    pub complaint: f32,
    /// Probability that the conversation crosses the viral bar within a day, 0..1.
    pub viral: f32,
    /// Sentiment of the root post; absent when there was nothing to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentiment: Option<Sentiment>,
    /// Probability that the root post is written in anger, 0..1; absent when there was nothing to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arousal: Option<f32>,
    /// What makes the root post urgent or harmful whatever its mood.
    pub flags: Vec<FlagKind>,
    /// Accounts that could have seen it.
    pub reach: Reach,
    /// How fast it moves.
    pub velocity: Velocity,
    /// How far it will go: within one, six and twenty-four hours, and until the end.
    pub forecast: Vec<HorizonForecast>,
    /// Engagement so far.
    pub engagements: EngagementCounts,
    /// What made the risk, in points that add up to it.
    pub contributions: Vec<Contribution>,
    /// Why, in words, heaviest first; what is unknown is among them.
    pub reasons: Vec<String>,
}

/// Probabilities of the three sentiments; they add up to 1. They are for a stream in which the three are equally
/// common.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sentiment {
    /// Negative, 0..1.
    pub negative: f32,
    /// Neutral, 0..1.
    pub neutral: f32,
    /// Positive, 0..1.
    pub positive: f32,
}

/// Accounts that could have seen a conversation, overlap between audiences discounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reach {
    /// At least: accounts of unknown audience counted as having none.
    pub low: u64,
    /// Best estimate.
    pub estimate: u64,
    /// At most likely: accounts of unknown audience counted as large ones.
    pub high: u64,
    /// How many accounts that carried it have an unknown audience.
    pub unknown: u64,
}

/// What is still to come within a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Outlook")]
pub struct HorizonForecast {
    /// Hours from now; absent: until the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<u32>,
    /// Further reshares and quotes.
    pub reshares: ForecastInterval,
    /// Further accounts that could see it.
    pub reach: ForecastInterval,
}

/// A forecast and its 80% interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Range")]
pub struct ForecastInterval {
    /// One in ten ends below.
    pub low: u64,
    /// The forecast.
    #[serde(rename = "expected")]
    pub point: u64,
    /// One in ten ends above.
    pub high: u64,
}

/// Spreading engagements (reshares, replies, quotes) per minute.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Velocity {
    /// Over the last minute or so.
    pub per_minute_1: f32,
    /// Over the last five minutes or so.
    pub per_minute_5: f32,
    /// Over the last hour or so.
    pub per_minute_60: f32,
    /// Over the last five minutes or so, where each account counts once and one with under ten followers counts for a
    /// tenth for each of them: far below `per_minute_5` when bots push.
    pub discounted_5: f32,
    /// Natural logarithm of the five-minute pace over the sixty-minute pace: above 0 it gathers pace.
    pub trend: f32,
}

/// Engagement so far. For totals that only the platform counts, the largest snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct EngagementCounts {
    /// Reshares.
    pub reshares: u64,
    /// Replies.
    pub replies: u64,
    /// Quotes.
    pub quotes: u64,
    /// Likes.
    pub likes: u64,
    /// Views, when the platform tells them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub views: Option<u64>,
}

/// A named part of the risk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Contribution {
    /// `base`, `words`, `size`, `velocity`, `reach`, or `feedback` where verdicts on earlier alerts bear on the risk.
    pub name: Cow<'static, str>,
    /// Points of risk it adds or takes.
    pub points: Tenths,
}

/// A number with one decimal, kept as an integer so that sums are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tenths(pub i32);

impl Tenths {
    /// The nearest tenth.
    #[must_use]
    pub fn round(value: f64) -> Self {
        Self((value * 10.0).round() as i32)
    }

    /// As a plain number.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from(self.0) / 10.0
    }
}

impl fmt::Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}", self.value())
    }
}

impl Serialize for Tenths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.value())
    }
}

impl<'de> Deserialize<'de> for Tenths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(Self::round)
    }
}

impl JsonSchema for Tenths {
    fn schema_name() -> Cow<'static, str> {
        "Tenths".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "description": "one decimal" })
    }
}
