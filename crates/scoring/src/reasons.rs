//! A risk told in words that a PR person reads, heaviest first, and what is unknown said as such.

use firewatch_domain::Contribution;

use crate::reach::LARGEST_CARRIERS;
use crate::reading::MIN_COMPLAINT_TO_QUOTE;
use crate::virality::GrowthDistribution;
use crate::{Assessment, Cascade, Infectiousness, Reading, Subject, Unread};

/// Parts that move the risk by less than this many tenths are not worth a sentence.
const MIN_POINTS_TENTHS: i32 = 5;
/// An account from this many followers on is told of.
const LARGE_ACCOUNT_FOLLOWERS: u64 = 100_000;
/// Chance of taking off from which a forecast is told.
const MIN_TAKEOFF_TO_FORECAST: f64 = 0.2;
/// Seconds before which too little exposure has had its time to say that something feeds itself.
const MIN_AGE_SECS: f64 = 300.0;
/// Trend beyond which the pace is said to change.
const TREND_THRESHOLD: f32 = 0.3;
/// Engagements a minute from which it is told how many of them are discounted.
const MIN_RATE_TO_COMPARE: f32 = 1.0;

/// Why the risk is what it is.
pub(crate) fn reasons(
    subject: &Subject<'_>,
    assessed: &Assessment,
    parts: &[Contribution],
    end: &GrowthDistribution,
) -> Vec<String> {
    let explainer = Explainer::new(subject, assessed);
    let mut parts: Vec<&Contribution> =
        parts.iter().filter(|c| c.points.0.abs() >= MIN_POINTS_TENTHS).collect();
    parts.sort_by_key(|c| (-c.points.0.abs(), c.name.clone()));
    let mut words: Vec<String> = parts.into_iter().filter_map(|part| explainer.sentence(part)).collect();
    if words.is_empty() {
        words.extend(explainer.mood());
        words.push(explainer.reach());
    }
    words.extend(explainer.large_carriers());
    words.extend(explainer.forecast(end));
    words.extend(explainer.self_sustaining());
    words.extend(
        subject.reading.into_iter().flat_map(|r| &r.flags).map(|flag| format!("it {}", flag.describe())),
    );
    words.extend(explainer.unknowns());
    words
}

/// What was read in the post.
pub(crate) fn mood(subject: &Subject<'_>, assessed: &Assessment) -> Option<String> {
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

    fn sentence(&self, part: &Contribution) -> Option<String> {
        let counts = self.cascade.counts();
        let text = match &*part.name {
            "words" => self.mood()?,
            "size" => format!(
                "{} and {} so far, {}",
                number(self.cascade.spread(), "reshare"),
                number(counts.replies, "reply"),
                age(self.cascade)
            ),
            "velocity" => self.velocity(),
            "reach" => self.reach(),
            "feedback" => "verdicts on earlier alerts".into(),
            _ => return None,
        };
        let sign = if part.points.0 > 0 { "+" } else { "" };
        Some(format!("{text} ({sign}{})", part.points))
    }

    fn velocity(&self) -> String {
        let v = self.cascade.velocity();
        let trend = match v.trend {
            t if t > TREND_THRESHOLD => ", and it gathers pace",
            t if t < -TREND_THRESHOLD => ", and it slows down",
            _ => "",
        };
        let text = format!("{:.1} engagements a minute over five minutes{trend}", v.per_minute_5);
        if v.per_minute_5 >= MIN_RATE_TO_COMPARE && v.discounted_5 < v.per_minute_5 / 2.0 {
            return format!(
                "{text}, but only {:.1} by accounts that have followers and speak for the first time",
                v.discounted_5
            );
        }
        text
    }

    fn mood(&self) -> Option<String> {
        let (assessment, reading) = (self.assessed, self.reading?);
        reading.prediction.as_ref().ok()?;
        let percent = (assessment.complaint * 100.0).round();
        if reading.evidence.is_empty() || assessment.complaint < f64::from(MIN_COMPLAINT_TO_QUOTE) {
            return Some(format!("reads as a complaint with {percent}%"));
        }
        Some(format!(
            "reads as a complaint with {percent}%: \u{201c}{}\u{201d}",
            reading.evidence.join("\u{201d}, \u{201c}")
        ))
    }

    fn reach(&self) -> String {
        format!("could have been seen by {} accounts", thousands(self.assessed.reach.estimate))
    }

    /// Large accounts are told of whatever they are worth in points: who speaks is news of its own.
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
        Some(format!("{accounts} above 100,000 followers carried it in the last {ago}"))
    }

    fn forecast(&self, end: &GrowthDistribution) -> Option<String> {
        if end.takeoff_probability < MIN_TAKEOFF_TO_FORECAST || self.cascade.spread() >= self.bar {
            return None;
        }
        let so_far = self.cascade.spread() as f64;
        let end = end.interval().map(|more| so_far + more);
        Some(format!(
            "expected to end at {} reshares, between {} and {} in four of five cases; {} to cross {} within a day",
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
        Some(format!("it feeds itself: each reshare brings another {low:.1} at least"))
    }

    fn unknowns(&self) -> Vec<String> {
        let (assessment, reading) = (self.assessed, self.reading);
        let mut words = Vec::new();
        match reading {
            None => words.push("the post itself has not been seen, so its mood is unknown".into()),
            Some(reading) => match reading.prediction {
                Err(Unread::NoText) => words.push("the post has no words, so its mood is unknown".into()),
                Err(Unread::OtherLanguage) => {
                    words.push("the post is in a language that is not read, so its mood is unknown".into());
                }
                Err(Unread::UnknownWords) => {
                    words.push("too few of the post's words are known to judge its mood".into());
                }
                Ok(_) => {}
            },
        }
        match assessment.reach.unknown {
            0 => {}
            1 => words.push("the followers of 1 account that carries it are unknown".into()),
            n => words.push(format!("the followers of {} accounts that carry it are unknown", thousands(n))),
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

/// Two leading digits: more are not known.
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

/// `1234567` as `1,234,567`.
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
