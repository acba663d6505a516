//! Scores: the risk of a conversation, its contributions and its uncertainty.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{EventTime, FlagKind, Reasons};

/// One record of the scores topic: a conversation that was scored again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "score")]
pub struct Score {
    /// Schema version; this build writes 1.
    pub v: u32,
    /// `<conversation>/<id of the event that caused the score>`.
    pub id: String,
    /// The conversation.
    pub conversation: String,
    /// The brand, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// Address of the root post for people, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Address of its author, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author_url: Option<String>,
    /// Event time of the score.
    pub at: EventTime,
    /// Risk, 0..100: 100 times the probability that this is a complaint and passes the viral bar within a
    /// day.
    pub risk: Tenths,
    /// Lower bound of the risk: unknown values at their mildest.
    pub risk_low: Tenths,
    /// Upper bound of the risk: unknown values at their worst.
    pub risk_high: Tenths,
    /// Probability that the post is a complaint, 0..1.
    pub complaint: f32,
    /// Probability that the conversation passes the viral bar within a day, 0..1.
    pub viral: f32,
    /// Sentiment of the root post. Absent when there was no readable text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentiment: Option<Sentiment>,
    /// Probability that the root post is angry, 0..1. Absent when there was no readable text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arousal: Option<f32>,
    /// Flags of the root post: what makes it urgent or harmful whatever its sentiment.
    pub flags: Vec<FlagKind>,
    /// Number of accounts that could have seen it.
    pub reach: Reach,
    /// How fast it spreads.
    pub velocity: Velocity,
    /// Forecasts of further spread: within 1, 6 and 24 hours, and until the end.
    pub forecast: Vec<HorizonForecast>,
    /// Engagement so far.
    pub engagements: EngagementCounts,
    /// Contributions to the risk, in points that add up to it.
    pub contributions: Vec<Contribution>,
    /// Reasons, heaviest first. They name what is unknown.
    #[serde(flatten)]
    pub reasons: Reasons,
}

/// Probabilities of the three sentiments, which add up to 1. They assume a stream in which the three are
/// equally common.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sentiment {
    /// Probability of negative sentiment, 0..1.
    pub negative: f32,
    /// Probability of neutral sentiment, 0..1.
    pub neutral: f32,
    /// Probability of positive sentiment, 0..1.
    pub positive: f32,
}

/// Number of accounts that could have seen a conversation, discounted for overlap between audiences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reach {
    /// Lower bound: accounts with an unknown audience count as having none.
    pub low: u64,
    /// Best estimate.
    pub estimate: u64,
    /// Likely upper bound: accounts with an unknown audience count as large ones.
    pub high: u64,
    /// Number of spreading accounts with an unknown audience.
    pub unknown: u64,
}

/// Forecast of further spread within a horizon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Outlook")]
pub struct HorizonForecast {
    /// Hours from now. Absent: until the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<u32>,
    /// Further reshares and quotes.
    pub reshares: ForecastInterval,
    /// Further accounts that could see it.
    pub reach: ForecastInterval,
}

/// A forecast with its 80% interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Range")]
pub struct ForecastInterval {
    /// 10% quantile.
    pub low: u64,
    /// Point forecast.
    #[serde(rename = "expected")]
    pub point: u64,
    /// 90% quantile.
    pub high: u64,
}

/// Spreading engagements (reshares, replies, quotes) per minute, as exponentially decayed averages.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Velocity {
    /// Average over about one minute.
    pub per_minute_1: f32,
    /// Average over about five minutes.
    pub per_minute_5: f32,
    /// Average over about one hour.
    pub per_minute_60: f32,
    /// Average over about five minutes with discounts: each account counts once, and one with fewer than ten
    /// followers counts a tenth for each follower. It is far below `per_minute_5` when bots spread a post.
    pub discounted_5: f32,
    /// Natural logarithm of the five-minute rate over the one-hour rate. Above 0 the spread accelerates.
    pub trend: f32,
}

/// Engagement so far. Where only the platform counts a total, this is its largest snapshot.
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
    /// Views, when the platform provides them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub views: Option<u64>,
}

/// A named contribution to the risk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Contribution {
    /// `base`, `words`, `size`, `velocity` or `reach`; also `feedback` when a calibration from verdicts is in
    /// use.
    pub name: Cow<'static, str>,
    /// Points that it adds to the risk; negative when it lowers the risk.
    pub points: Tenths,
}

/// A number with one decimal, stored as an integer so that sums are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tenths(pub i32);

impl Tenths {
    /// Rounds to the nearest tenth.
    #[must_use]
    pub fn round(value: f64) -> Self {
        Self((value * 10.0).round() as i32)
    }

    /// Returns the plain number.
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
