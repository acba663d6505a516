//! Teams: who they are, how much they can take, when they sleep, and who is next when they do not answer.

use std::collections::BTreeMap;

use firewatch_domain::{Duration, EventTime, Level};
use firewatch_settings::{Settings, parse_duration};

use super::hours::{self, WeeklyHours};
use super::routes::level;
use crate::{PR, SUPPORT};

/// A team.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Team {
    /// Escalations an hour that it is told one by one, for each brand; none: all. What is critical is always told.
    pub budget: Option<u32>,
    /// When it sleeps.
    pub quiet: Option<QuietHours>,
    /// One that it took and did nothing about for so long counts as not taken.
    pub forgotten_after: Option<Duration>,
    /// Who owns what it has not taken in time, soonest first.
    pub tiers: Vec<Tier>,
}

/// Quiet hours.
#[derive(Debug, Clone, PartialEq)]
pub struct QuietHours {
    hours: WeeklyHours,
    /// From this level on it is woken.
    wakes_from: Level,
}

/// The next to own what nobody took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    /// Since it was told first.
    pub after: Duration,
    /// The team.
    pub team: String,
}

impl Team {
    /// When the team may be told of something of this level.
    #[must_use]
    pub fn awake_at(&self, at: EventTime, level: Level) -> EventTime {
        self.quiet.as_ref().map_or(at, |quiet| quiet.awake_at(at, level))
    }
}

impl QuietHours {
    /// When somebody may be told of something of this level.
    #[must_use]
    pub fn awake_at(&self, at: EventTime, level: Level) -> EventTime {
        if level < self.wakes_from { self.hours.end(at).unwrap_or(at) } else { at }
    }
}

/// Reads a section of quiet hours, with the level from which on somebody is woken; none when it is not there.
pub fn quiet_hours(s: &mut Settings, key: &str) -> Option<QuietHours> {
    let hours = hours::read(s, key);
    let wakes = level(s, &format!("{key}.wakes"), Level::Critical);
    hours.map(|hours| QuietHours { hours, wakes_from: wakes })
}

/// Reads the sections of teams.
pub(super) fn read(s: &mut Settings) -> BTreeMap<String, Team> {
    let mut names = s.sections("teams");
    names.extend([PR, SUPPORT].map(str::to_owned));
    names.sort_unstable();
    names.dedup();
    if names.iter().any(|name| name == "trial") {
        s.add_fault(
            "teams.trial",
            "this name stands for what a policy on trial would tell; give the team another",
        );
    }
    let teams = names.iter().map(|name| (name.clone(), team(s, name, &names)));
    teams.collect()
}

fn team(s: &mut Settings, name: &str, all: &[String]) -> Team {
    let key = |field: &str| format!("teams.{name}.{field}");
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
        let problem = "a team's name is part of a topic's; give letters, digits, `.`, `_` and `-`";
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
            s.add_fault(&place, format_args!("no such team to go to; there are {}", others.join(", ")));
        }
        match parse_duration(&after).filter(|after| *after > Duration::ZERO) {
            Some(after) => tiers.push(Tier { after, team }),
            None => {
                s.add_fault(&place, format_args!("{after:?} is not allowed; give a span such as \"15m\""));
            }
        }
    }
    tiers.sort_by_key(|tier| tier.after);
    tiers
}
