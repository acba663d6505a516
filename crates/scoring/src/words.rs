//! A risk told in words that a PR person reads, heaviest first, and what is unknown said as such.

use firewatch_domain::Contribution;

use crate::reading::TOLD_IN_WORDS;
use crate::{Assessment, Cascade, Reading, Unread};

/// Parts that move the risk by less than this many tenths are not worth a sentence.
const WORTH_TELLING: i32 = 5;
/// A carrier from this many followers on is named.
const LARGE_VOICE: u64 = 100_000;

/// Why the risk is what it is.
#[must_use]
pub fn reasons(assessment: &Assessment, cascade: &Cascade, reading: Option<&Reading>) -> Vec<String> {
    let mut parts: Vec<&Contribution> =
        assessment.contributions.iter().filter(|c| c.points.0.abs() >= WORTH_TELLING).collect();
    parts.sort_by_key(|c| (-c.points.0.abs(), c.name.clone()));
    let mut words: Vec<String> =
        parts.into_iter().filter_map(|part| sentence(part, assessment, cascade, reading)).collect();
    if words.is_empty() {
        words.extend(mood(assessment, reading));
        words.push(reach(assessment, cascade));
    }
    words.extend(reading.into_iter().flat_map(|r| &r.flags).map(|flag| format!("it {}", flag.in_words())));
    words.extend(unknowns(assessment, reading));
    words
}

fn sentence(
    part: &Contribution,
    assessment: &Assessment,
    cascade: &Cascade,
    reading: Option<&Reading>,
) -> Option<String> {
    let velocity = cascade.velocity();
    let counts = cascade.counts();
    let said = match &*part.name {
        "words" => mood(assessment, reading)?,
        "size" => {
            format!("{} and {} so far", number(cascade.spread(), "reshare"), number(counts.replies, "reply"))
        }
        "velocity" => {
            format!("{:.1} engagements a minute over five minutes, {}", velocity.per_minute_5, age(cascade))
        }
        "trend" if velocity.trend >= 0.0 => "it gathers pace".into(),
        "trend" => "it slows down".into(),
        "reach" => reach(assessment, cascade),
        _ => return None,
    };
    let sign = if part.points.0 > 0 { "+" } else { "" };
    Some(format!("{said} ({sign}{})", part.points))
}

fn mood(assessment: &Assessment, reading: Option<&Reading>) -> Option<String> {
    let reading = reading?;
    reading.said.as_ref().ok()?;
    let percent = (assessment.complaint * 100.0).round();
    if reading.evidence.is_empty() || assessment.complaint < f64::from(TOLD_IN_WORDS) {
        return Some(format!("reads as a complaint with {percent}%"));
    }
    Some(format!(
        "reads as a complaint with {percent}%: \u{201c}{}\u{201d}",
        reading.evidence.join("\u{201d}, \u{201c}")
    ))
}

fn reach(assessment: &Assessment, cascade: &Cascade) -> String {
    let largest = cascade.audience().largest();
    let seen_by = format!("could have been seen by {} accounts", thousands(assessment.reach.estimate));
    if largest >= LARGE_VOICE {
        return format!("{seen_by}, one voice with {} followers among them", thousands(largest));
    }
    seen_by
}

fn age(cascade: &Cascade) -> String {
    match cascade.age().as_mins() as i64 {
        0 => "in its first minute".into(),
        1 => "a minute after it was posted".into(),
        m => format!("{m} minutes after it was posted"),
    }
}

fn unknowns(assessment: &Assessment, reading: Option<&Reading>) -> Vec<String> {
    let mut words = Vec::new();
    match reading {
        None => words.push("the post itself has not been seen, so its mood is unknown".into()),
        Some(reading) => match reading.said {
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
    }
}
