//! Counts the alerts of a policy by day, hour, team and level, and keeps the first alert of each
//! conversation.

use std::collections::{BTreeMap, BTreeSet};

use firewatch_domain::{Duration, Escalation, EscalationChange, EventTime, Level, Tenths};
use serde::Serialize;

use firewatch_report::Zone;

/// The first alert of a conversation to a team.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alert {
    /// Id of the conversation.
    pub conversation: String,
    /// Team that owned the escalation.
    pub team: String,
    /// When it was opened.
    pub at: EventTime,
    /// Level at that time.
    pub level: Level,
    /// First reason.
    pub reason: String,
    /// Route that opened it, if one did.
    pub route: Option<String>,
    /// Risk at that time, if it has one.
    pub risk: Option<Tenths>,
}

impl Alert {
    /// Creates the alert of the record that opens an escalation.
    #[must_use]
    pub fn from_escalation(record: &Escalation) -> Self {
        Self {
            conversation: record.conversation.clone(),
            team: record.team.clone(),
            at: record.at,
            level: record.level,
            reason: record.reasons.decisive().to_owned(),
            route: record.route.clone(),
            risk: record.risk,
        }
    }
}

/// The alerts of a policy, counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertTally {
    /// Time zone of the days.
    pub zone: Zone,
    /// Alerts by team and level.
    pub opened: BTreeMap<(String, Level), u64>,
    /// Alerts by local day, as midnight of that date, and team.
    pub by_day: BTreeMap<(EventTime, String), u64>,
    /// Alerts by hour (UTC) and team; hours without alerts are absent.
    pub by_hour: BTreeMap<(EventTime, String), u64>,
    /// Records by kind of change.
    pub news: BTreeMap<&'static str, u64>,
    /// Opened storms, groups and digests.
    pub gathered: u64,
    /// Conversations with suppressed alerts, by reason.
    pub held_back: BTreeMap<&'static str, u64>,
    /// The reason for suppressed alerts, for conversations that some policy alerted on.
    pub held_back_by_conversation: BTreeMap<String, &'static str>,
    /// The first alert of each conversation for each team.
    pub first_alerts: BTreeMap<(String, String), Alert>,
}

const DAY: Duration = Duration::from_mins(24 * 60);
const HOUR: Duration = Duration::from_mins(60);

impl AlertTally {
    /// Counts an emitted escalation record.
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

    /// Returns the teams with alerts about single conversations, in alphabetical order.
    #[must_use]
    pub fn teams(&self) -> BTreeSet<&str> {
        self.first_alerts.keys().map(|(_, team)| team.as_str()).collect()
    }

    /// Returns the total number of alerts.
    #[must_use]
    pub fn alerts(&self) -> u64 {
        self.opened.values().sum()
    }

    /// Returns the number of alerts of a team from one hour up to, not including, another.
    #[must_use]
    pub fn opened_between(&self, team: &str, from: EventTime, to: EventTime) -> u64 {
        let hours = self.by_hour.range((from, String::new())..(to, String::new()));
        hours.filter(|((_, alert_team), _)| alert_team == team).map(|(_, n)| n).sum()
    }

    /// Returns the hour with the most alerts and their number.
    #[must_use]
    pub fn busiest(&self) -> Option<(EventTime, u64)> {
        let mut hours: BTreeMap<EventTime, u64> = BTreeMap::new();
        for ((hour, _), n) in &self.by_hour {
            *hours.entry(*hour).or_default() += n;
        }
        hours.into_iter().max_by_key(|(at, n)| (*n, std::cmp::Reverse(*at)))
    }
}
