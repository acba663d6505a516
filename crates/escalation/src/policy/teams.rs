//! Teams: their budgets, quiet hours and tiers.

use std::collections::BTreeMap;

use firewatch_domain::{Duration, EventTime, Level};
use firewatch_settings::{Settings, parse_duration};

use super::hours::{self, WeeklyHours};
use super::routes::level;
use crate::{PR, SUPPORT};

/// Settings of one team.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Team {
    /// Maximum number of new escalations in an hour, for each brand; `None`: unlimited. Critical ones always
    /// open.
    pub budget: Option<u32>,
    /// Quiet hours.
    pub quiet: Option<QuietHours>,
    /// Time without progress after which an acknowledged escalation is reopened; `None`: never.
    pub forgotten_after: Option<Duration>,
    /// Teams that take over unacknowledged escalations, soonest first.
    pub tiers: Vec<Tier>,
}

/// Quiet hours of a team or a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct QuietHours {
    hours: WeeklyHours,
    /// Lowest level that notifies during quiet hours.
    wakes_from: Level,
}

/// The next owner of an unacknowledged escalation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    /// Time since the escalation was opened.
    pub after: Duration,
    /// Name of the next team.
    pub team: String,
}

impl Team {
    /// Returns the earliest time to notify the team of this level.
    #[must_use]
    pub fn awake_at(&self, at: EventTime, level: Level) -> EventTime {
        self.quiet.as_ref().map_or(at, |quiet| quiet.awake_at(at, level))
    }
}

impl Team {
    /// Returns whether the team has quiet hours at all times that this level does not end.
    #[must_use]
    pub fn never_wakes_for(&self, level: Level) -> bool {
        self.quiet.as_ref().is_some_and(|quiet| quiet.hours.is_always() && level < quiet.wakes_from)
    }
}

impl QuietHours {
    /// Returns the earliest time to notify of this level.
    #[must_use]
    pub fn awake_at(&self, at: EventTime, level: Level) -> EventTime {
        if level < self.wakes_from { self.hours.end(at).unwrap_or(at) } else { at }
    }
}

/// Reads a section of quiet hours; `None` when it is absent.
pub fn quiet_hours(s: &mut Settings, key: &str) -> Option<QuietHours> {
    let hours = hours::read(s, key);
    let wakes = level(s, &format!("{key}.wakes"), Level::Critical);
    hours.map(|hours| QuietHours { hours, wakes_from: wakes })
}

/// Reads the team sections.
pub(super) fn read(s: &mut Settings) -> BTreeMap<String, Team> {
    let mut names = s.sections("teams");
    names.extend([PR, SUPPORT].map(str::to_owned));
    names.sort_unstable();
    names.dedup();
    if names.iter().any(|name| name == "trial") {
        s.add_fault(
            "teams.trial",
            "this name is reserved for the topic of the shadow policy; choose another",
        );
    }
    let teams = names.iter().map(|name| (name.clone(), team(s, name, &names)));
    teams.collect()
}

fn team(s: &mut Settings, name: &str, all: &[String]) -> Team {
    let key = |field: &str| format!("teams.{name}.{field}");
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
        let problem = "a team's name is part of a topic name; use only letters, digits, `.`, `_` and `-`";
        s.add_fault(&format!("teams.{name}"), problem);
    }
    let budget = s.optional_integer(&key("budget"), 1..=100_000).map(|budget| budget as u32);
    let quiet = quiet_hours(s, &key("quiet"));
    Team {
        budget,
        quiet,
        forgotten_after: s.optional_duration(&key("forgotten_after"), 60.0..=2_592_000.0),
        tiers: tiers(s, &key("tiers"), name, all),
    }
}

fn tiers(s: &mut Settings, key: &str, own: &str, all: &[String]) -> Vec<Tier> {
    let mut tiers = Vec::new();
    for (team, after) in s.free_section(key) {
        let place = format!("{key}.{team}");
        if team == own || !all.contains(&team) {
            let others: Vec<&str> = all.iter().map(String::as_str).filter(|t| *t != own).collect();
            s.add_fault(
                &place,
                format_args!("not another team of this policy; give one of {}", others.join(", ")),
            );
        }
        match parse_duration(&after).filter(|after| *after > Duration::ZERO) {
            Some(after) => tiers.push(Tier { after, team }),
            None => {
                s.add_fault(
                    &place,
                    format_args!("{after:?} is not allowed; give a duration such as \"15m\""),
                );
            }
        }
    }
    tiers.sort_by_key(|tier| tier.after);
    tiers
}
