//! Compares what was told with what a case expects.

use firewatch_domain::EventTime;

use super::case::{Case, Expect, begin, duration, is_named};
use super::play::Told;

/// Records named in one problem, at most.
const NAMED: usize = 6;

/// What is not as expected.
pub(super) fn judge(case: &Case, told: &[Told]) -> Result<Vec<String>, String> {
    let start = begin(case)?;
    let mut expected = vec![false; told.len()];
    let mut problems = Vec::new();
    for (n, expect) in case.expect.iter().enumerate() {
        let place = format!("expect {} ({})", n + 1, words(expect));
        let mut times = 0;
        for (told, expected) in told.iter().zip(&mut expected) {
            if meets(told, expect, start).map_err(|e| format!("{place}: {e}"))? {
                times += 1;
                *expected = true;
            }
        }
        match expect.times {
            None if times == 0 => problems.push(format!("{place}: not told")),
            Some(wanted) if wanted != times => {
                problems.push(format!("{place}: told {times} times, not {wanted}"));
            }
            _ => {}
        }
    }
    if !case.others {
        let others: Vec<&Told> =
            told.iter().zip(&expected).filter(|(_, is)| !**is).map(|(told, _)| told).collect();
        problems.extend(others.iter().take(NAMED).map(|told| format!("not expected: {}", line(told, start))));
        if others.len() > NAMED {
            problems.push(format!("and {} more", others.len() - NAMED));
        }
    }
    if !problems.is_empty() {
        problems.push("told were:".into());
        problems.extend(told.iter().take(3 * NAMED).map(|told| format!("  {}", line(told, start))));
    }
    Ok(problems)
}

fn meets(told: &Told, expect: &Expect, start: EventTime) -> Result<bool, String> {
    let record = &told.record;
    let from = expect.from.as_deref().map(|from| duration(from, "from")).transpose()?;
    let to = expect.to.as_deref().map(|to| duration(to, "to")).transpose()?;
    Ok(told.team == expect.team
        && is_named(&expect.on, &record.conversation)
        && expect.news.is_none_or(|news| news == record.news)
        && expect.state.as_ref().is_none_or(|state| state == record.state.as_str())
        && expect.level.is_none_or(|level| level == record.level)
        && expect
            .says
            .as_ref()
            .is_none_or(|says| record.reasons.iter().any(|reason| reason.contains(says.as_str())))
        && expect
            .advises
            .as_ref()
            .is_none_or(|words| record.advice.iter().any(|a| a.contains(words.as_str())))
        && expect.policy.as_ref().is_none_or(|policy| *policy == record.policy)
        && from.is_none_or(|from| record.at >= start + from)
        && to.is_none_or(|to| record.at <= start + to))
}

fn words(expect: &Expect) -> String {
    let mut words = format!("{} of {}", expect.team, expect.on);
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

fn line(told: &Told, start: EventTime) -> String {
    let record = &told.record;
    let first = record.reasons.first().map_or("", String::as_str);
    format!(
        "{} {}: {} {:?}, {}, {}: {first}",
        record.at - start,
        told.team,
        record.conversation,
        record.news,
        record.state,
        record.level
    )
}
