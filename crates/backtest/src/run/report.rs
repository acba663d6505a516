//! The figures of a backtest: displayed as text for people and serialised as JSON for programs.

use std::collections::BTreeMap;
use std::fmt;

use firewatch_domain::{EventTime, Level, Tenths};
use serde::Serialize;

use super::alert_tally::{Alert, AlertTally};
use super::verdicts::{TeamAccuracy, Truth, quantile};
use super::{BacktestPlan, MAX_REPORTED_FAULTS, Survey};
use crate::labels::Labels;
use firewatch_report::Zone;

/// The report of a backtest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BacktestReport {
    /// Name of the recording.
    pub input: String,
    /// Statistics of the recording.
    #[serde(flatten)]
    pub survey: Survey,
    /// Number of labels for conversations that are not in the recording.
    pub unknown_labels: u64,
    /// Why the recording was read only in part, if so.
    pub partial: Option<String>,
    /// Time zone of days and hours.
    pub zone: Zone,
    /// Criterion for a right alert: `labels`, `crossed the viral bar`, or `verdicts`.
    pub judged_by: &'static str,
    /// Results of each policy.
    pub policies: Vec<PolicyOutcome>,
    /// Conversations on which policies alerted different teams, the largest reach first.
    pub differ: Vec<PolicyDifference>,
}

/// The results of a policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicyOutcome {
    /// Name of the policy.
    pub name: String,
    /// Version and hash of the policy.
    pub policy: (String, String),
    /// Number of alerts.
    pub alerts: u64,
    /// Alerts a day; `None` if the recording is shorter than a day.
    pub alerts_per_day: Option<f64>,
    /// The hour with the most alerts, and their number.
    pub busiest_hour: Option<(EventTime, u64)>,
    /// Alerts by team and level.
    pub by_level: Vec<(String, String, u64)>,
    /// Alerts by local day, as midnight of that date, and team.
    pub by_day: Vec<(EventTime, String, u64)>,
    /// Alerts by hour (UTC) and team.
    pub by_hour: Vec<(EventTime, String, u64)>,
    /// Escalation records by kind of change.
    pub records: BTreeMap<&'static str, u64>,
    /// Number of storms, groups and digests.
    pub gathered: u64,
    /// Conversations with suppressed alerts, by reason.
    pub held_back: BTreeMap<&'static str, u64>,
    /// Conversations with an alert of their own.
    pub conversations: u64,
    /// Accuracy of each team's alerts.
    pub judged: Vec<TeamAccuracy>,
}

/// A conversation on which policies differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicyDifference {
    /// Id of the conversation.
    pub conversation: String,
    /// Final reach, if known.
    pub reach: Option<u64>,
    /// Whether it was worth an alert, if known.
    pub wanted: Option<bool>,
    /// Alerts of each policy.
    pub alerts: Vec<Vec<Alert>>,
    /// For each policy, why it suppressed alerts, if it did.
    pub held_back: Vec<Option<&'static str>>,
}

/// Maximum number of differing conversations in a report.
const MAX_DIFFERENCES: usize = 1_000;

pub(super) fn build_report(
    plan: &BacktestPlan,
    survey: &Survey,
    tallies: &[AlertTally],
    truth: &Truth<'_>,
) -> BacktestReport {
    let mut survey = survey.clone();
    let unknown_labels = unknown_labels(plan, truth, &mut survey.faults);
    let days = survey.days();
    let outcomes = plan.policies.iter().zip(tallies).map(|((name, ruleset), tally)| {
        let policy = &ruleset.policy;
        let bar_of = |brand: Option<&str>| policy.viral_bar(brand);
        let judged = |team: &str| TeamAccuracy::from_verdicts(team, &truth.verdicts(team, tally, &bar_of));
        PolicyOutcome::from_tally(name, policy.version.clone(), policy.hash.clone(), days, tally, &judged)
    });
    let first = plan.policies.first().map(|(_, ruleset)| &ruleset.policy);
    let bar_of = |brand: Option<&str>| first.map_or(u64::MAX, |policy| policy.viral_bar(brand));
    BacktestReport {
        policies: outcomes.collect(),
        differ: differ(tallies, &|id| truth.reach_and_label(id, &bar_of)),
        input: plan.input.clone(),
        survey,
        unknown_labels,
        zone: plan.zone.clone(),
        partial: None,
        judged_by: if plan.labels.is_some() { "labels" } else { "crossed the viral bar" },
    }
}

/// Counts labels for conversations that are not in the recording, and adds the first ones to the faults.
fn unknown_labels(plan: &BacktestPlan, truth: &Truth<'_>, faults: &mut Vec<String>) -> u64 {
    let labels = plan.labels.iter().flat_map(Labels::conversations);
    let unknown: Vec<(&str, u64)> = labels.filter(|(id, _)| !truth.tracks.contains_key(id)).collect();
    let shown = unknown.iter().take(MAX_REPORTED_FAULTS);
    faults.extend(
        shown.map(|(id, line)| {
            format!("the labels, line {line}: conversation {id:?} is not in the recording")
        }),
    );
    unknown.len() as u64
}

/// The final reach of a conversation, and whether it was worth an alert; `None` if unknown.
pub(crate) type ReachAndLabel = (Option<u64>, Option<bool>);

/// Returns the conversations on which policies alerted different teams; `truth` returns the outcome of one.
pub(crate) fn differ(tallies: &[AlertTally], truth: &dyn Fn(&str) -> ReachAndLabel) -> Vec<PolicyDifference> {
    let mut all: BTreeMap<&str, Vec<Vec<Alert>>> = BTreeMap::new();
    for (i, tally) in tallies.iter().enumerate() {
        for alert in tally.first_alerts.values() {
            let alerts_by_policy =
                all.entry(&alert.conversation).or_insert_with(|| vec![vec![]; tallies.len()]);
            alerts_by_policy[i].push(alert.clone());
        }
    }
    let teams = |alerts: &Vec<Alert>| alerts.iter().map(|alert| alert.team.clone()).collect::<Vec<_>>();
    let mut differ: Vec<PolicyDifference> = all
        .into_iter()
        .filter(|(_, alerts)| alerts.iter().any(|policy_alerts| teams(policy_alerts) != teams(&alerts[0])))
        .map(|(id, alerts)| {
            let (reach, wanted) = truth(id);
            let held_back =
                tallies.iter().map(|account| account.held_back_by_conversation.get(id).copied()).collect();
            PolicyDifference { conversation: id.into(), reach, wanted, alerts, held_back }
        })
        .collect();
    differ.sort_by(|a, b| b.weight().cmp(&a.weight()).then_with(|| a.conversation.cmp(&b.conversation)));
    differ.truncate(MAX_DIFFERENCES);
    differ
}

impl PolicyDifference {
    /// Describes that a policy has no alert, with the reason if it was suppressed.
    pub(super) fn no_alert_text(&self, policy: usize) -> String {
        let why = self.held_back.get(policy).copied().flatten();
        why.map_or("no alert".into(), |why| format!("no alert: {}", why.replace('_', " ")))
    }

    /// Sort key of differences: reach, then the highest level and risk, which order those of unknown reach.
    fn weight(&self) -> (Option<u64>, Option<Level>, Option<Tenths>) {
        let alerts = || self.alerts.iter().flatten();
        (self.reach, alerts().map(|alert| alert.level).max(), alerts().filter_map(|alert| alert.risk).max())
    }
}

impl fmt::Display for BacktestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(why) = &self.partial {
            writeln!(f, "PARTIAL: {why}\n")?;
        }
        let Survey { records, rejected, late, span, conversations, faults } = &self.survey;
        write!(f, "{}: {records} records, {conversations} conversations", self.input)?;
        if let Some((from, to)) = span {
            write!(f, ", {from} to {to}")?;
        }
        writeln!(f, "\n{rejected} records rejected, {late} too late for their windows")?;
        if self.unknown_labels > 0 {
            writeln!(f, "{} labels name conversations that are not in the recording", self.unknown_labels)?;
        }
        for fault in faults {
            writeln!(f, "  {fault}")?;
        }
        let more = (rejected + late + self.unknown_labels).saturating_sub(faults.len() as u64);
        if more > 0 {
            writeln!(f, "  and {more} more")?;
        }
        for policy in &self.policies {
            write!(f, "\n{policy}")?;
        }
        writeln!(f, "\nan alert is right if {}", self.what_is_right())?;
        if self.policies.len() > 1 {
            self.differences(f)?;
        }
        Ok(())
    }
}

impl BacktestReport {
    pub(super) fn what_is_right(&self) -> &'static str {
        match self.judged_by {
            "labels" => "its conversation is labelled as worth one",
            "verdicts" => "people judged it useful; unjudged alerts do not count",
            _ => "its conversation crossed the brand's viral bar at any time",
        }
    }

    /// Writes the first differing conversations with each policy's reason.
    fn differences(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        writeln!(
            f,
            "\nThe policies differ on {} conversations{}.",
            self.differ.len(),
            if self.differ.len() == MAX_DIFFERENCES { " or more" } else { "" }
        )?;
        for differs in self.differ.iter().take(SHOWN) {
            let PolicyDifference { conversation, reach, wanted, alerts, .. } = differs;
            let wanted = match wanted {
                Some(true) => ", worth an alert",
                Some(false) => ", not worth an alert",
                None => "",
            };
            let reach = reach.map_or(String::new(), |reach| format!(", reach {reach}"));
            writeln!(f, "{conversation}{reach}{wanted}")?;
            for (i, (policy, alerts)) in self.policies.iter().zip(alerts).enumerate() {
                match alerts.as_slice() {
                    [] => writeln!(f, "  {:<20} {}", policy.name, differs.no_alert_text(i))?,
                    alerts => {
                        for Alert { team, at, level, reason, .. } in alerts {
                            writeln!(f, "  {:<20} {team} at {at}, {level}: {reason}", policy.name)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

impl PolicyOutcome {
    /// Builds the results from a tally; `days` is the length of the recording, `judged` returns a team's
    /// accuracy.
    pub(crate) fn from_tally(
        name: &str,
        version: String,
        hash: String,
        days: Option<f64>,
        tally: &AlertTally,
        judged: &dyn Fn(&str) -> TeamAccuracy,
    ) -> Self {
        let mut conversations: Vec<&String> = tally.first_alerts.keys().map(|(id, _)| id).collect();
        conversations.dedup();
        Self {
            name: name.to_owned(),
            policy: (version, hash),
            alerts: tally.alerts(),
            alerts_per_day: days.map(|days| tally.alerts() as f64 / days),
            busiest_hour: tally.busiest(),
            by_level: tally.opened.iter().map(|((t, l), n)| (t.clone(), l.to_string(), *n)).collect(),
            by_day: tally.by_day.iter().map(|((at, t), n)| (*at, t.clone(), *n)).collect(),
            by_hour: tally.by_hour.iter().map(|((at, t), n)| (*at, t.clone(), *n)).collect(),
            records: tally.news.clone(),
            gathered: tally.gathered,
            held_back: tally.held_back.clone(),
            conversations: conversations.len() as u64,
            judged: tally.teams().into_iter().map(judged).collect(),
        }
    }

    /// Returns the number of conversations with suppressed alerts by reason, as text.
    pub(super) fn held_back(&self) -> String {
        let each = self.held_back.iter().map(|(reason, n)| format!("{n} {}", reason.replace('_', " ")));
        each.collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for PolicyOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (version, hash) = &self.policy;
        writeln!(f, "{}  (version {version}, hash {hash})", self.name)?;
        write!(f, "  {} alerts", self.alerts)?;
        if let Some(a_day) = self.alerts_per_day {
            write!(f, ", {a_day:.1} a day")?;
        }
        if let Some((at, n)) = self.busiest_hour {
            write!(f, "; the busiest hour had {n}, from {at}")?;
        }
        writeln!(f, "; {} conversations, {} storms, groups and digests", self.conversations, self.gathered)?;
        for (team, level, n) in &self.by_level {
            writeln!(f, "    {team:<12} {level:<9} {n:>8}")?;
        }
        if !self.held_back.is_empty() {
            writeln!(f, "  suppressed: {}", self.held_back())?;
        }
        for judged in &self.judged {
            write!(f, "{judged}")?;
        }
        Ok(())
    }
}

impl fmt::Display for TeamAccuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |share: Option<f64>| share.map_or("-".into(), |share| format!("{:.1}%", 100.0 * share));
        let Self { team, alerted, right, in_time, wanted, .. } = self;
        writeln!(
            f,
            "  {team}: precision {} ({right} of {alerted}), recall {} ({in_time} of {wanted} in time)",
            share(self.precision()),
            share(self.recall())
        )?;
        let at = |values: &[f64], q: f64| quantile(values, q).unwrap_or_default();
        if !self.lead_minutes.is_empty() {
            let (low, mid, high) =
                (at(&self.lead_minutes, 0.25), at(&self.lead_minutes, 0.5), at(&self.lead_minutes, 0.75));
            let to_come = 100.0 * at(&self.reach_to_come, 0.5);
            writeln!(
                f,
                "    minutes before half of the reach: median {mid:.1}, quartiles {low:.1} to {high:.1}; reach still \
                 to come: median {to_come:.0}%"
            )?;
        }
        if !self.answered.is_empty() {
            let (mid, high) = (at(&self.answered, 0.5), at(&self.answered, 0.9));
            let n = self.answered.len();
            writeln!(f, "    {n} answered in public: median {mid:.1} min, p90 {high:.1} min")?;
        }
        Ok(())
    }
}
