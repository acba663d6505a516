//! What a condition can ask about a conversation: names, types and ranges.
//!
//! One table says it all: the checker takes types from it, the search for conditions that never hold takes ranges, and
//! the documentation its words.

use firewatch_domain::FlagKind;

/// The type of a fact, as in the expression language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactType {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// A number with a fraction.
    Double,
    /// Text.
    String,
    /// A list of texts.
    Strings,
}

impl FactType {
    /// The type as the expression language spells it.
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

/// A number that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum NumericFact {
    /// The risk.
    Risk,
    /// The risk if what is unknown were at its mildest.
    RiskLow,
    /// The risk if what is unknown were at its worst.
    RiskHigh,
    /// Probability that it is a complaint.
    Complaint,
    /// The highest probability that a reply in it is a complaint; 0 when none was read.
    ReplyComplaint,
    /// Probability that it crosses the viral bar within a day.
    Viral,
    /// Probability that the post is negative; 0 when unread.
    Negative,
    /// Probability that it is written in anger; 0 when unread.
    Arousal,
    /// Spreading engagements a minute, over one minute.
    PerMinute1,
    /// The same over five minutes.
    PerMinute5,
    /// The same over an hour.
    PerMinute60,
    /// Over five minutes, tiny and repeated accounts discounted.
    Discounted5,
    /// Above 0 it gathers pace.
    Trend,
    /// Minutes since it was posted or first heard of.
    Minutes,
    /// The author's followers; 0 when unknown.
    Followers,
    /// Accounts that could have seen it.
    Reach,
    /// The same, accounts of unknown audience counted as having none.
    ReachLow,
    /// The same, accounts of unknown audience counted as large ones.
    ReachHigh,
    /// Reshares so far.
    Reshares,
    /// Replies so far.
    Replies,
    /// Quotes so far.
    Quotes,
    /// Likes so far.
    Likes,
    /// Reshares and quotes expected within a day from now.
    ToCome,
}

/// How many numbers there are.
pub const NUMERIC_FACT_COUNT: usize = 23;

/// A number's place, name, type, least and greatest value, and what it is.
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

/// More engagements a minute than any post can have.
const MAX_PER_MINUTE: f64 = 1e9;

/// Every number, in the order of [`Number`].
pub const NUMERIC_FACT_SPECS: [NumericFactSpec; NUMERIC_FACT_COUNT] = [
    double(NumericFact::Risk, "risk", (0.0, 100.0), "the risk"),
    double(NumericFact::RiskLow, "risk_low", (0.0, 100.0), "the risk if what is unknown were at its mildest"),
    double(NumericFact::RiskHigh, "risk_high", (0.0, 100.0), "the risk if what is unknown were at its worst"),
    double(NumericFact::Complaint, "complaint", (0.0, 1.0), "probability that it is a complaint"),
    double(
        NumericFact::ReplyComplaint,
        "reply_complaint",
        (0.0, 1.0),
        "the highest probability that a reply in it is a complaint; 0 when none was read",
    ),
    double(NumericFact::Viral, "viral", (0.0, 1.0), "probability that it crosses the viral bar within a day"),
    double(
        NumericFact::Negative,
        "negative",
        (0.0, 1.0),
        "probability that the post is negative; 0 when unread",
    ),
    double(
        NumericFact::Arousal,
        "arousal",
        (0.0, 1.0),
        "probability that it is written in anger; 0 when unread",
    ),
    double(
        NumericFact::PerMinute1,
        "per_minute_1",
        (0.0, MAX_PER_MINUTE),
        "spreading engagements a minute, over one minute",
    ),
    double(NumericFact::PerMinute5, "per_minute_5", (0.0, MAX_PER_MINUTE), "the same over five minutes"),
    double(NumericFact::PerMinute60, "per_minute_60", (0.0, MAX_PER_MINUTE), "the same over an hour"),
    double(
        NumericFact::Discounted5,
        "discounted_5",
        (0.0, MAX_PER_MINUTE),
        "over five minutes, tiny and repeated accounts discounted",
    ),
    double(NumericFact::Trend, "trend", (-100.0, 100.0), "above 0 it gathers pace"),
    double(NumericFact::Minutes, "minutes", (0.0, 1e9), "minutes since it was posted or first heard of"),
    int(NumericFact::Followers, "followers", "the author's followers; 0 when unknown"),
    int(NumericFact::Reach, "reach", "accounts that could have seen it"),
    int(NumericFact::ReachLow, "reach_low", "the same, accounts of unknown audience counted as having none"),
    int(NumericFact::ReachHigh, "reach_high", "the same, accounts of unknown audience counted as large ones"),
    int(NumericFact::Reshares, "reshares", "reshares so far"),
    int(NumericFact::Replies, "replies", "replies so far"),
    int(NumericFact::Quotes, "quotes", "quotes so far"),
    int(NumericFact::Likes, "likes", "likes so far"),
    int(NumericFact::ToCome, "to_come", "reshares and quotes expected within a day from now"),
];

/// A yes or no that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoolFact {
    Answered,
    Read,
    FollowersKnown,
}

/// Every yes or no.
pub const BOOL_FACTS: [(BoolFact, &str, &str); 3] = [
    (BoolFact::Answered, "answered", "the brand has answered"),
    (BoolFact::Read, "read", "the post was seen and could be read"),
    (BoolFact::FollowersKnown, "followers_known", "the platform told the author's followers"),
];

/// A text that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFact {
    Brand,
    Platform,
    Lang,
}

/// Every text.
pub const TEXT_FACTS: [(TextFact, &str, &str); 3] = [
    (TextFact::Brand, "brand", "the brand, as the policy names it; empty when unknown"),
    (TextFact::Platform, "platform", "the network, such as \"x\"; empty when unknown"),
    (TextFact::Lang, "lang", "the post's language; empty when unread"),
];

/// The list of what makes the post urgent or harmful whatever its mood.
pub const FLAGS_NAME: &str = "flags";

/// What is known of a conversation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts<'a> {
    /// By [`Number`].
    pub numbers: [f64; NUMERIC_FACT_COUNT],
    /// The brand has answered.
    pub answered: bool,
    /// The post was seen and could be read.
    pub read: bool,
    /// The platform told the author's followers.
    pub followers_known: bool,
    /// The brand; empty when unknown.
    pub brand: &'a str,
    /// The network; empty when unknown.
    pub platform: &'a str,
    /// The post's language; empty when unread.
    pub lang: &'a str,
    /// What makes the post urgent or harmful.
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

/// Every name with its type and what it is, for the documentation.
pub fn fact_names() -> impl Iterator<Item = (&'static str, FactType, &'static str)> {
    let numbers = NUMERIC_FACT_SPECS.iter().map(|fact| (fact.name, fact.kind, fact.about));
    let bools = BOOL_FACTS.iter().map(|(_, name, about)| (*name, FactType::Bool, *about));
    let texts = TEXT_FACTS.iter().map(|(_, name, about)| (*name, FactType::String, *about));
    let flags = (FLAGS_NAME, FactType::Strings, "what makes the post urgent or harmful whatever its mood");
    numbers.chain(bools).chain(texts).chain([flags])
}

/// A number with its name, for reasons.
pub(super) fn describe_number(number: NumericFact, facts: &Facts<'_>) -> String {
    let (fact, value) = (&NUMERIC_FACT_SPECS[number as usize], facts.numbers[number as usize]);
    let name = fact.name.replace('_', " ");
    match (fact.kind, fact.range.1) {
        (FactType::Int, _) => format!("{name} {value:.0}"),
        (_, 1.0) => format!("{name} {:.0}%", value * 100.0),
        _ => format!("{name} {value:.1}"),
    }
}
