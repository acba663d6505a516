//! Facts that a condition can use: names, types and ranges.
//!
//! One table serves the type checker, the search for conditions that never hold, and the documentation.

use firewatch_domain::FlagKind;

/// Type of a fact, as in the expression language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactType {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// A number with a fraction.
    Double,
    /// A string.
    String,
    /// A list of strings.
    Strings,
}

impl FactType {
    /// Returns the type as the expression language spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Double => "double",
            Self::String => "string",
            Self::Strings => "list(string)",
        }
    }
}

/// A numeric fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum NumericFact {
    /// Risk, 0..100.
    Risk,
    /// Lower bound of the risk, 0..100: unknown values at their mildest.
    RiskLow,
    /// Upper bound of the risk, 0..100: unknown values at their worst.
    RiskHigh,
    /// Probability that it is a complaint, 0..1.
    Complaint,
    /// Highest probability that a reply in it is a complaint, 0..1; 0 when no reply was readable.
    ReplyComplaint,
    /// Probability that it passes the viral bar within a day, 0..1.
    Viral,
    /// Probability that the post is negative, 0..1; 0 without readable text.
    Negative,
    /// Probability that the post is angry, 0..1; 0 without readable text.
    Arousal,
    /// Spreading engagements per minute, over one minute.
    PerMinute1,
    /// Spreading engagements per minute, over five minutes.
    PerMinute5,
    /// Spreading engagements per minute, over one hour.
    PerMinute60,
    /// Spreading engagements per minute, over five minutes, with tiny and repeated accounts discounted.
    Discounted5,
    /// Trend of the velocity: above 0 it accelerates.
    Trend,
    /// Minutes since the post was written or first seen.
    Minutes,
    /// The author's followers; 0 when unknown.
    Followers,
    /// Number of accounts that could have seen it.
    Reach,
    /// Lower bound of the reach: accounts with an unknown audience count as having none.
    ReachLow,
    /// Upper bound of the reach: accounts with an unknown audience count as large ones.
    ReachHigh,
    /// Reshares so far.
    Reshares,
    /// Replies so far.
    Replies,
    /// Quotes so far.
    Quotes,
    /// Likes so far.
    Likes,
    /// Forecast of further reshares and quotes within a day.
    ToCome,
}

/// Number of numeric facts.
pub const NUMERIC_FACT_COUNT: usize = 23;

/// Name, type, range and description of a numeric fact.
pub struct NumericFactSpec {
    pub number: NumericFact,
    pub name: &'static str,
    pub kind: FactType,
    pub range: (f64, f64),
    pub about: &'static str,
}

const fn double(
    number: NumericFact,
    name: &'static str,
    range: (f64, f64),
    about: &'static str,
) -> NumericFactSpec {
    NumericFactSpec { number, name, kind: FactType::Double, range, about }
}

const fn int(number: NumericFact, name: &'static str, about: &'static str) -> NumericFactSpec {
    NumericFactSpec { number, name, kind: FactType::Int, range: (0.0, 1e13), about }
}

/// Above the engagements per minute that any post can have.
const MAX_PER_MINUTE: f64 = 1e9;

/// All numeric facts, in the order of [`NumericFact`].
pub const NUMERIC_FACT_SPECS: [NumericFactSpec; NUMERIC_FACT_COUNT] = [
    double(NumericFact::Risk, "risk", (0.0, 100.0), "the risk, 0..100"),
    double(NumericFact::RiskLow, "risk_low", (0.0, 100.0), "the risk with unknown values at their mildest"),
    double(NumericFact::RiskHigh, "risk_high", (0.0, 100.0), "the risk with unknown values at their worst"),
    double(NumericFact::Complaint, "complaint", (0.0, 1.0), "probability that it is a complaint"),
    double(
        NumericFact::ReplyComplaint,
        "reply_complaint",
        (0.0, 1.0),
        "highest probability that a reply in it is a complaint; 0 when no reply was readable",
    ),
    double(NumericFact::Viral, "viral", (0.0, 1.0), "probability that it passes the viral bar within a day"),
    double(
        NumericFact::Negative,
        "negative",
        (0.0, 1.0),
        "probability that the post is negative; 0 without readable text",
    ),
    double(
        NumericFact::Arousal,
        "arousal",
        (0.0, 1.0),
        "probability that the post is angry; 0 without readable text",
    ),
    double(
        NumericFact::PerMinute1,
        "per_minute_1",
        (0.0, MAX_PER_MINUTE),
        "spreading engagements per minute, over one minute",
    ),
    double(NumericFact::PerMinute5, "per_minute_5", (0.0, MAX_PER_MINUTE), "the same over five minutes"),
    double(NumericFact::PerMinute60, "per_minute_60", (0.0, MAX_PER_MINUTE), "the same over one hour"),
    double(
        NumericFact::Discounted5,
        "discounted_5",
        (0.0, MAX_PER_MINUTE),
        "the same over five minutes, with tiny and repeated accounts discounted",
    ),
    double(NumericFact::Trend, "trend", (-100.0, 100.0), "trend of the velocity; above 0 it accelerates"),
    double(NumericFact::Minutes, "minutes", (0.0, 1e9), "minutes since the post was written or first seen"),
    int(NumericFact::Followers, "followers", "the author's followers; 0 when unknown"),
    int(NumericFact::Reach, "reach", "number of accounts that could have seen it"),
    int(NumericFact::ReachLow, "reach_low", "the reach without accounts of unknown audience"),
    int(NumericFact::ReachHigh, "reach_high", "the reach with accounts of unknown audience as large ones"),
    int(NumericFact::Reshares, "reshares", "reshares so far"),
    int(NumericFact::Replies, "replies", "replies so far"),
    int(NumericFact::Quotes, "quotes", "quotes so far"),
    int(NumericFact::Likes, "likes", "likes so far"),
    int(NumericFact::ToCome, "to_come", "forecast of further reshares and quotes within a day"),
];

/// A boolean fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoolFact {
    Answered,
    Read,
    FollowersKnown,
}

/// All boolean facts, with names and descriptions.
pub const BOOL_FACTS: [(BoolFact, &str, &str); 3] = [
    (BoolFact::Answered, "answered", "the brand has answered"),
    (BoolFact::Read, "read", "the post was seen, and its text is readable"),
    (BoolFact::FollowersKnown, "followers_known", "the platform provides the author's number of followers"),
];

/// A string fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFact {
    Brand,
    Platform,
    Lang,
}

/// All string facts, with names and descriptions.
pub const TEXT_FACTS: [(TextFact, &str, &str); 3] = [
    (TextFact::Brand, "brand", "the brand, as the policy names it; empty when unknown"),
    (TextFact::Platform, "platform", "the network, such as \"x\"; empty when unknown"),
    (TextFact::Lang, "lang", "the post's language; empty without readable text"),
];

/// Name of the list of flags: what makes the post urgent or harmful whatever its sentiment.
pub const FLAGS_NAME: &str = "flags";

/// Facts of one conversation, which conditions are evaluated on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts<'a> {
    /// Values by [`NumericFact`].
    pub numbers: [f64; NUMERIC_FACT_COUNT],
    /// The brand has answered.
    pub answered: bool,
    /// The post was seen, and its text is readable.
    pub read: bool,
    /// The platform provides the author's number of followers.
    pub followers_known: bool,
    /// The brand; empty when unknown.
    pub brand: &'a str,
    /// The network; empty when unknown.
    pub platform: &'a str,
    /// The post's language; empty without readable text.
    pub lang: &'a str,
    /// Flags of the post, most severe first.
    pub flags: &'a [FlagKind],
}

impl Facts<'_> {
    pub(super) fn flag(&self, flag: BoolFact) -> bool {
        match flag {
            BoolFact::Answered => self.answered,
            BoolFact::Read => self.read,
            BoolFact::FollowersKnown => self.followers_known,
        }
    }

    pub(super) fn text(&self, text: TextFact) -> &str {
        match text {
            TextFact::Brand => self.brand,
            TextFact::Platform => self.platform,
            TextFact::Lang => self.lang,
        }
    }
}

/// Returns every name with its type and description, for the documentation.
pub fn fact_names() -> impl Iterator<Item = (&'static str, FactType, &'static str)> {
    let numbers = NUMERIC_FACT_SPECS.iter().map(|fact| (fact.name, fact.kind, fact.about));
    let bools = BOOL_FACTS.iter().map(|(_, name, about)| (*name, FactType::Bool, *about));
    let texts = TEXT_FACTS.iter().map(|(_, name, about)| (*name, FactType::String, *about));
    let flags =
        (FLAGS_NAME, FactType::Strings, "what makes the post urgent or harmful whatever its sentiment");
    numbers.chain(bools).chain(texts).chain([flags])
}

/// Formats a number with its name, for reasons.
pub(super) fn describe_number(number: NumericFact, facts: &Facts<'_>) -> String {
    let (fact, value) = (&NUMERIC_FACT_SPECS[number as usize], facts.numbers[number as usize]);
    let name = fact.name.replace('_', " ");
    match (fact.kind, fact.range.1) {
        (FactType::Int, _) => format!("{name} {value:.0}"),
        (_, 1.0) => format!("{name} {:.0}%", value * 100.0),
        _ => format!("{name} {value:.1}"),
    }
}
