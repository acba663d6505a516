//! Silences of the policy: what is withheld for a while, with an author, a reason and an end.

use std::collections::BTreeMap;

use firewatch_domain::{Duration, EventTime};
use firewatch_settings::Settings;

use super::routes::optional_condition;
use crate::{Condition, Facts};

/// One silence.
#[derive(Debug, Clone, PartialEq)]
pub struct Silence {
    /// Condition for what it hides.
    pub when: Condition,
    /// When it lapses.
    pub until: EventTime,
    /// How long before it lapses teams get a notice of what it hid.
    pub warn_before: Duration,
    /// Who made it.
    pub by: String,
    /// Why it was made.
    pub reason: String,
}

/// Reads the silence sections.
pub(super) fn read(s: &mut Settings) -> BTreeMap<String, Silence> {
    let names = s.sections("silences");
    names.into_iter().filter_map(|name| Some((name.clone(), silence(s, &name)?))).collect()
}

fn silence(s: &mut Settings, name: &str) -> Option<Silence> {
    let key = |field: &str| format!("silences.{name}.{field}");
    let when = optional_condition(s, &key("when"));
    let mut required = |field: &str, example: &str| {
        let text = s.text(&key(field), "");
        if text.is_empty() {
            s.add_fault(&key(field), format_args!("is missing; give {example}"));
        }
        text
    };
    let (by, reason) = (required("by", "its author"), required("reason", "the reason for it"));
    let until = required("until", "the time at which it lapses, such as \"2026-04-01T06:00:00Z\"");
    let until = match EventTime::parse(&until) {
        Ok(until) => until,
        Err(e) => {
            if !until.is_empty() {
                s.add_fault(&key("until"), e);
            }
            EventTime::EARLIEST
        }
    };
    if when.is_none() && !s.has(&key("when")) {
        s.add_fault(&key("when"), "is missing; give a condition, such as brand == \"acme\"");
    }
    let warn_before = s.duration(&key("warn_before"), Duration::from_mins(15), 0.0..=86_400.0);
    Some(Silence { when: when?, until, warn_before, by, reason })
}

/// Returns the silences that match a conversation, lapsed ones included.
pub(crate) fn matching(all: &BTreeMap<String, Silence>, facts: &Facts<'_>) -> Vec<String> {
    all.iter().filter(|(_, silence)| silence.when.holds(facts)).map(|(name, _)| name.clone()).collect()
}
