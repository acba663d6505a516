//! What a policy told, as it is told: counts by day, hour, team and level, and the first alert of each conversation.

use std::collections::{BTreeMap, BTreeSet};

use firewatch_domain::{Duration, Escalation, EscalationChange, EventTime, Level, Tenths};
use serde::Serialize;

use firewatch_report::Zone;

/// The first time that a team was told of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alert {
    /// The conversation.
    pub conversation: String,
    /// The team that owned it.
    pub team: String,
    /// When.
    pub at: EventTime,
    /// The level.
    pub level: Level,
    /// Why, in words.
    pub reason: String,
    /// The route that opened it, if one did.
    pub route: Option<String>,
    /// The risk, where it has one.
    pub risk: Option<Tenths>,
}

impl Alert {
    /// The alert that a record opens.
    #[must_use]
    pub fn from_escalation(record: &Escalation) -> Self {
        Self {
            conversation: record.conversation.clone(),
            team: record.team.clone(),
            at: record.at,
            level: record.level,
            reason: record.reasons.first().cloned().unwrap_or_default(),
            route: record.route.clone(),
            risk: record.risk,
        }
    }
}

/// What a policy told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertTally {
    /// Where days begin.
    pub zone: Zone,
    /// What was opened, by team and level.
    pub opened: BTreeMap<(String, Level), u64>,
    /// What was opened, by the day on the wall, as midnight of that date, and team.
    pub by_day: BTreeMap<(EventTime, String), u64>,
    /// What was opened in each hour in which something was, by team.
    pub by_hour: BTreeMap<(EventTime, String), u64>,
    /// Records by what they tell.
    pub news: BTreeMap<&'static str, u64>,
    /// Storms, groups and digests that were opened.
    pub gathered: u64,
    /// Conversations of which alerts were held back, by the reason.
    pub held_back: BTreeMap<&'static str, u64>,
    /// What has held back alerts of conversations that another policy told of.
    pub held_back_by_conversation: BTreeMap<String, &'static str>,
    /// The first alert of each conversation for each team.
    pub first_alerts: BTreeMap<(String, String), Alert>,
}

const DAY: Duration = Duration::from_mins(24 * 60);
const HOUR: Duration = Duration::from_mins(60);

impl AlertTally {
    /// Takes a record that was told.
    pub fn record(&mut self, record: &Escalation) {
        *self.news.entry(record.change.as_str()).or_default() += 1;
        if record.change != EscalationChange::Opened {
            return;
        }
        *self.opened.entry((record.team.clone(), record.level)).or_default() += 1;
        *self.by_day.entry((self.zone.wall_time(record.at).floor(DAY), record.team.clone())).or_default() +=
            1;
        *self.by_hour.entry((record.at.floor(HOUR), record.team.clone())).or_default() += 1;
        if record.members.is_some() {
            self.gathered += 1;
            return;
        }
        let key = (record.conversation.clone(), record.team.clone());
        self.first_alerts.entry(key).or_insert_with(|| Alert::from_escalation(record));
    }

    /// The teams that were told of conversations by themselves, in order.
    #[must_use]
    pub fn teams(&self) -> BTreeSet<&str> {
        self.first_alerts.keys().map(|(_, team)| team.as_str()).collect()
    }

    /// What was opened in all.
    #[must_use]
    pub fn alerts(&self) -> u64 {
        self.opened.values().sum()
    }

    /// What was opened for a team from one hour to another.
    #[must_use]
    pub fn opened_between(&self, team: &str, (from, to): (EventTime, EventTime)) -> u64 {
        let hours = self.by_hour.range((from, String::new())..(to, String::new()));
        hours.filter(|((_, alert_team), _)| alert_team == team).map(|(_, n)| n).sum()
    }

    /// The hour in which most was opened, and how much.
    #[must_use]
    pub fn busiest(&self) -> Option<(EventTime, u64)> {
        let mut hours: BTreeMap<EventTime, u64> = BTreeMap::new();
        for ((hour, _), n) in &self.by_hour {
            *hours.entry(*hour).or_default() += n;
        }
        hours.into_iter().max_by_key(|(at, n)| (*n, std::cmp::Reverse(*at)))
    }
}
