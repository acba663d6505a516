//! Compares the emitted escalations with the expectations of a case.

use firewatch_domain::EventTime;

use super::case::{CaseError, Expectation, PolicyCase, duration, matches_name, start_time};
use super::play::TeamEscalation;

/// Maximum number of unexpected records listed.
const MAX_NAMED: usize = 6;
/// Maximum number of records that a failed case shows.
const MAX_SHOWN: usize = 50;

/// Returns the deviations from the expectations; empty if the case passes.
pub(super) fn judge(case: &PolicyCase, escalations: &[TeamEscalation]) -> Result<Vec<String>, CaseError> {
    let start = start_time(case)?;
    let mut expected = vec![false; escalations.len()];
    let mut problems = Vec::new();
    for (n, expect) in case.expect.iter().enumerate() {
        let place = format!("expect {} ({})", n + 1, describe_expectation(expect));
        let mut times = 0;
        for (escalation, expected) in escalations.iter().zip(&mut expected) {
            if meets(escalation, expect, start)
                .map_err(|e| CaseError::Expectation(place.clone(), Box::new(e)))?
            {
                times += 1;
                *expected = true;
            }
        }
        match expect.times {
            None if times == 0 => problems.push(format!("{place}: not emitted")),
            Some(wanted) if wanted != times => {
                problems.push(format!("{place}: emitted {times} times, expected {wanted}"));
            }
            _ => {}
        }
    }
    if !case.others {
        let others: Vec<&TeamEscalation> = escalations
            .iter()
            .zip(&expected)
            .filter(|(_, is)| !**is)
            .map(|(escalation, _)| escalation)
            .collect();
        problems.extend(
            others
                .iter()
                .take(MAX_NAMED)
                .map(|escalation| format!("unexpected: {}", line(escalation, start))),
        );
        if others.len() > MAX_NAMED {
            problems.push(format!("and {} more", others.len() - MAX_NAMED));
        }
    }
    if !problems.is_empty() {
        problems.push("emitted:".into());
        problems.extend(
            escalations.iter().take(MAX_SHOWN).map(|escalation| format!("  {}", line(escalation, start))),
        );
        if escalations.len() > MAX_SHOWN {
            problems.push(format!("  and {} more", escalations.len() - MAX_SHOWN));
        }
    }
    Ok(problems)
}

fn meets(escalation: &TeamEscalation, expect: &Expectation, start: EventTime) -> Result<bool, CaseError> {
    let record = &escalation.record;
    let from = expect.from.as_deref().map(|from| duration(from, "from")).transpose()?;
    let to = expect.to.as_deref().map(|to| duration(to, "to")).transpose()?;
    Ok(escalation.team == expect.team
        && matches_name(&expect.on, &record.conversation)
        && expect.news.is_none_or(|news| news == record.change)
        && expect.state.as_ref().is_none_or(|state| state == record.state.as_str())
        && expect.level.is_none_or(|level| level == record.level)
        && expect.says.as_ref().is_none_or(|text| record.explanation().any(|words| words.contains(text)))
        && expect
            .advises
            .as_ref()
            .is_none_or(|words| record.advice.iter().any(|a| a.contains(words.as_str())))
        && expect.policy.as_ref().is_none_or(|policy| *policy == record.policy)
        && from.is_none_or(|from| record.at >= start + from)
        && to.is_none_or(|to| record.at <= start + to))
}

fn describe_expectation(expect: &Expectation) -> String {
    let mut words = format!("{} on {}", expect.team, expect.on);
    if let Some(news) = expect.news {
        words += &format!(", {news:?}").to_lowercase();
    }
    for (name, value) in [
        ("state", &expect.state),
        ("says", &expect.says),
        ("advises", &expect.advises),
        ("from", &expect.from),
        ("to", &expect.to),
    ] {
        if let Some(value) = value {
            words += &format!(", {name} {value}");
        }
    }
    words
}

fn line(escalation: &TeamEscalation, start: EventTime) -> String {
    let record = &escalation.record;
    format!(
        "{} {}: {} {:?}, {}, {}: {}",
        record.at - start,
        escalation.team,
        record.conversation,
        record.change,
        record.state,
        record.level,
        record.headline()
    )
}
