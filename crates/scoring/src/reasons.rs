//! Explains a risk in sentences for PR and support: the largest contributions first, then the forecast,
//! flags, and whatever is unknown.

use firewatch_domain::{Contribution, Reason, ReasonKind, Reasons};

use crate::reach::LARGEST_CARRIERS;
use crate::reading::MIN_COMPLAINT_TO_QUOTE;
use crate::virality::GrowthDistribution;
use crate::{Assessment, Cascade, Infectiousness, Reading, Subject, Unread};

/// Minimum contribution to the risk, in tenths of a point, for a sentence.
const MIN_POINTS_TENTHS: i32 = 5;
/// Minimum number of followers for an account to be mentioned.
const LARGE_ACCOUNT_FOLLOWERS: u64 = 100_000;
/// Minimum probability of takeoff for the forecast to be mentioned.
const MIN_TAKEOFF_TO_FORECAST: f64 = 0.2;
/// Minimum age in seconds for a conversation to be called self-sustaining. Before it, too few followers have
/// had time to react.
const MIN_AGE_SECS: f64 = 300.0;
/// Absolute trend above which the pace is reported as changing.
const TREND_THRESHOLD: f32 = 0.3;
/// Minimum engagements per minute for the discounted pace to be mentioned.
const MIN_RATE_TO_COMPARE: f32 = 1.0;

/// Returns the reasons for a risk, one sentence each, largest contribution first.
pub(crate) fn reasons(
    subject: &Subject<'_>,
    assessed: &Assessment,
    parts: &[Contribution],
    end: &GrowthDistribution,
) -> Reasons {
    let explainer = Explainer::new(subject, assessed);
    let mut parts: Vec<&Contribution> =
        parts.iter().filter(|c| c.points.0.abs() >= MIN_POINTS_TENTHS).collect();
    parts.sort_by_key(|c| (-c.points.0.abs(), c.name.clone()));
    let mut reasons: Vec<Reason> =
        parts.into_iter().filter_map(|part| explainer.contribution(part)).collect();
    if reasons.is_empty() {
        reasons.extend(explainer.mood());
        reasons.push(Reason::new(ReasonKind::Reach, explainer.reach()));
    }
    let flags = subject.reading.into_iter().flat_map(|reading| &reading.flags);
    let further = [
        (ReasonKind::LargeAccounts, explainer.large_carriers()),
        (ReasonKind::Forecast, explainer.forecast(end)),
        (ReasonKind::SelfSustaining, explainer.self_sustaining()),
    ];
    reasons.extend(further.into_iter().filter_map(|(kind, text)| Some(Reason::new(kind, text?))));
    reasons.extend(flags.map(|flag| Reason::new(ReasonKind::Flag, format!("it {}", flag.describe()))));
    reasons.extend(explainer.unknowns().into_iter().map(|text| Reason::new(ReasonKind::Unknown, text)));
    reasons.into()
}

/// Returns the reason about the post's complaint probability. `None` if the post could not be read.
pub(crate) fn mood(subject: &Subject<'_>, assessed: &Assessment) -> Option<Reason> {
    Explainer::new(subject, assessed).mood()
}

struct Explainer<'a> {
    assessed: &'a Assessment,
    cascade: &'a Cascade,
    reading: Option<&'a Reading>,
    bar: u64,
}

impl<'a> Explainer<'a> {
    fn new(subject: &Subject<'a>, assessed: &'a Assessment) -> Self {
        Explainer { assessed, cascade: subject.cascade, reading: subject.reading, bar: subject.bar }
    }

    fn contribution(&self, part: &Contribution) -> Option<Reason> {
        let counts = self.cascade.counts();
        let Reason { kind, text } = match &*part.name {
            "words" => self.mood()?,
            "size" => {
                let (spread, replies) =
                    (number(self.cascade.spread(), "reshare"), number(counts.replies, "reply"));
                Reason::new(ReasonKind::Size, format!("{spread} and {replies} so far, {}", age(self.cascade)))
            }
            "velocity" => Reason::new(ReasonKind::Velocity, self.velocity()),
            "reach" => Reason::new(ReasonKind::Reach, self.reach()),
            "feedback" => Reason::new(ReasonKind::Feedback, "verdicts on earlier alerts"),
            _ => return None,
        };
        let sign = if part.points.0 > 0 { "+" } else { "" };
        Some(Reason::new(kind, format!("{text} ({sign}{})", part.points)))
    }

    fn velocity(&self) -> String {
        let v = self.cascade.velocity();
        let trend = match v.trend {
            t if t > TREND_THRESHOLD => ", accelerating",
            t if t < -TREND_THRESHOLD => ", slowing",
            _ => "",
        };
        let text = format!("{:.1} engagements per minute (5-minute average){trend}", v.per_minute_5);
        if v.per_minute_5 >= MIN_RATE_TO_COMPARE && v.discounted_5 < v.per_minute_5 / 2.0 {
            return format!(
                "{text}, only {:.1} per minute by distinct accounts with followers",
                v.discounted_5
            );
        }
        text
    }

    fn mood(&self) -> Option<Reason> {
        let (assessment, reading) = (self.assessed, self.reading?);
        reading.prediction.as_ref().ok()?;
        let percent = (assessment.complaint * 100.0).round();
        let mut text = format!("{percent}% likely a complaint");
        if !reading.evidence.is_empty() && assessment.complaint >= f64::from(MIN_COMPLAINT_TO_QUOTE) {
            text += &format!(": \u{201c}{}\u{201d}", reading.evidence.join("\u{201d}, \u{201c}"));
        }
        Some(Reason::new(ReasonKind::Complaint, text))
    }

    fn reach(&self) -> String {
        format!("estimated reach: {} accounts", thousands(self.assessed.reach.estimate))
    }

    /// Mentions large accounts regardless of their points, because who shares a complaint matters in itself.
    fn large_carriers(&self) -> Option<String> {
        let large: Vec<_> =
            self.cascade.audience().largest().filter(|v| v.followers >= LARGE_ACCOUNT_FOLLOWERS).collect();
        let first = large.iter().map(|v| v.at).min()?;
        let accounts = match large.len() {
            1 => "1 account".into(),
            LARGEST_CARRIERS => format!("at least {LARGEST_CARRIERS} accounts"),
            n => format!("{n} accounts"),
        };
        let ago = match (self.cascade.last_seen()? - first).as_mins().ceil() as u64 {
            0 | 1 => "minute".into(),
            minutes => format!("{minutes} minutes"),
        };
        Some(format!("{accounts} with 100,000 or more followers posted or shared it in the last {ago}"))
    }

    fn forecast(&self, end: &GrowthDistribution) -> Option<String> {
        if end.takeoff_probability < MIN_TAKEOFF_TO_FORECAST || self.cascade.spread() >= self.bar {
            return None;
        }
        let so_far = self.cascade.spread() as f64;
        let end = end.interval().map(|more| so_far + more);
        Some(format!(
            "forecast: {} reshares (80% interval {}-{}); {} chance of passing {} within 24 h",
            rounded(end.point),
            rounded(end.low),
            rounded(end.high),
            percent(self.assessed.viral),
            thousands(self.bar)
        ))
    }

    fn self_sustaining(&self) -> Option<String> {
        if self.cascade.age().as_secs() < MIN_AGE_SECS {
            return None;
        }
        let infectiousness =
            Infectiousness::from_cascade(self.cascade).filter(Infectiousness::is_supercritical)?;
        let low = infectiousness.branching_factor.low;
        Some(format!("self-sustaining: each reshare causes at least {low:.1} more"))
    }

    fn unknowns(&self) -> Vec<String> {
        let (assessment, reading) = (self.assessed, self.reading);
        let mut words = Vec::new();
        match reading {
            None => words.push("the original post was not received, so its sentiment is unknown".into()),
            Some(reading) => match reading.prediction {
                Err(Unread::NoText) => words.push("the post has no text, so its sentiment is unknown".into()),
                Err(Unread::OtherLanguage) => {
                    words.push("the post is not in English, so its sentiment is unknown".into());
                }
                Err(Unread::UnknownWords) => {
                    words.push("the model knows too few of the post's words to judge its sentiment".into());
                }
                Ok(_) => {}
            },
        }
        match assessment.reach.unknown {
            0 => {}
            1 => words.push("the follower count of 1 account is unknown".into()),
            n => words.push(format!("the follower counts of {} accounts are unknown", thousands(n))),
        }
        words
    }
}

fn age(cascade: &Cascade) -> String {
    match cascade.age().as_mins() as i64 {
        0 => "in its first minute".into(),
        1 => "a minute after it was posted".into(),
        m => format!("{m} minutes after it was posted"),
    }
}

/// Formats a number rounded to two significant digits; a forecast has no more.
fn rounded(n: f64) -> String {
    let step = 10_f64.powf((n.max(1.0).log10().floor() - 1.0).max(0.0));
    thousands(((n / step).round() * step) as u64)
}

fn percent(p: f64) -> String {
    match p {
        p if p < 0.01 => "under 1%".into(),
        p if p > 0.99 => "over 99%".into(),
        p => format!("{:.0}%", 100.0 * p),
    }
}

fn number(n: u64, noun: &str) -> String {
    match (n, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{} {stem}ies", thousands(n)),
        (_, None) => format!("{} {noun}s", thousands(n)),
    }
}

/// Formats `1234567` as `1,234,567`.
fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_a_person_writes_them() {
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(999), "999");
        assert_eq!(number(1, "reply"), "1 reply");
        assert_eq!(number(2000, "reply"), "2,000 replies");
        assert_eq!(number(0, "reshare"), "0 reshares");
        assert_eq!([3.4, 47.0, 123.0, 98_765.0].map(rounded), ["3", "47", "120", "99,000"]);
        assert_eq!([0.004, 0.256, 0.999].map(percent), ["under 1%", "26%", "over 99%"]);
    }
}
