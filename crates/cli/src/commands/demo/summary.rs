//! The summary that the demo prints at its end.

use std::collections::BTreeMap;
use std::fmt;

use firewatch_domain::{Duration, Escalation, EscalationChange, EscalationState, Level};
use firewatch_telemetry::EngineMetrics;

use super::Played;

/// Counts of the escalations to the teams.
#[derive(Debug, Default)]
pub struct DemoSummary {
    played: Played,
    conversations: usize,
    scored: u64,
    folded: u64,
    rejected: u64,
    took: Duration,
    records: u64,
    /// Escalations by team and level; a level reached later counts again.
    by_level: BTreeMap<(String, Level), u64>,
    answered: BTreeMap<String, u64>,
    late: BTreeMap<String, u64>,
    storm_posts: u64,
    /// Seconds from the post to the first escalation, by team.
    delays: BTreeMap<String, Vec<f64>>,
}

impl DemoSummary {
    /// Returns the number of escalation records counted so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Counts one escalation record.
    pub fn record(&mut self, e: Escalation) {
        self.records += 1;
        self.storm_posts = self.storm_posts.max(e.members.unwrap_or(0));
        match e.change {
            EscalationChange::Opened => {
                if let Some(posted) = e.posted_at {
                    self.delays.entry(e.team.clone()).or_default().push((e.at - posted).as_secs());
                }
                *self.by_level.entry((e.team, e.level)).or_default() += 1;
            }
            EscalationChange::Raised => *self.by_level.entry((e.team, e.level)).or_default() += 1,
            EscalationChange::Late => *self.late.entry(e.team).or_default() += 1,
            EscalationChange::Moved
                if matches!(e.state, EscalationState::Answered | EscalationState::HandOffAsked) =>
            {
                *self.answered.entry(e.team).or_default() += 1;
            }
            _ => {}
        }
    }

    /// Adds what is known only at the end.
    pub fn close(&mut self, played: Played, conversations: usize, metrics: &EngineMetrics, took: Duration) {
        self.played = played;
        self.conversations = conversations;
        self.scored = metrics.records_with("events", "scored");
        self.folded = metrics.records_with("events", "folded");
        self.rejected = metrics.records_with("events", "rejected");
        self.took = took;
    }
}

impl fmt::Display for DemoSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row =
            |f: &mut fmt::Formatter<'_>, name: &str, value: String| writeln!(f, "  {name:<38}{value:>8}");
        let Played { lines, posts } = self.played;
        writeln!(f, "\nSummary")?;
        row(f, "events", lines.to_string())?;
        row(f, "  scored", self.scored.to_string())?;
        row(f, "  folded in, no new score", self.folded.to_string())?;
        row(f, "  rejected, in firewatch.dlq", self.rejected.to_string())?;
        row(f, "posts", posts.to_string())?;
        row(f, "conversations", self.conversations.to_string())?;
        for ((team, level), n) in &self.by_level {
            row(f, &format!("escalations to {team}, {level}"), n.to_string())?;
        }
        for (team, n) in &self.answered {
            row(f, &format!("  answered, {team}"), n.to_string())?;
        }
        for (team, n) in &self.late {
            row(f, &format!("  not answered in time, {team}"), n.to_string())?;
        }
        row(f, "posts in the largest storm or group", self.storm_posts.to_string())?;
        for (team, delays) in &self.delays {
            row(f, &format!("seconds from post to {team}, median"), format!("{:.0}", median(delays)))?;
        }
        row(f, "duration in seconds", format!("{:.1}", self.took.as_secs()))?;
        let me = std::env::args().next().unwrap_or_else(|| "firewatch".into());
        writeln!(f, "\nTry next")?;
        writeln!(f, "  {me} demo --events | {me} score | grep '\"team\":\"pr\"'")?;
        writeln!(f, "  {me} check --config firewatch.toml")?;
        writeln!(f, "  {me} schema --asyncapi")
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
