//! The figures of a backtest, as a table for people and as JSON for programs.

use std::collections::BTreeMap;
use std::fmt;

use firewatch_domain::{EventTime, Level, Tenths};
use serde::Serialize;

use super::alert_tally::{Alert, AlertTally};
use super::verdicts::{TeamAccuracy, Truth, quantile};
use super::{BacktestPlan, MAX_REPORTED_FAULTS, Survey};
use crate::labels::Labels;
use firewatch_report::Zone;

/// What policies would have done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BacktestReport {
    /// The recording.
    pub input: String,
    /// How it looked.
    #[serde(flatten)]
    pub survey: Survey,
    /// Labels of conversations that are not in the recording.
    pub unknown_labels: u64,
    /// It ended before the recording did, and why.
    pub partial: Option<String>,
    /// Where days begin and hours are.
    pub zone: Zone,
    /// What right is: `labels`, `crossed the viral bar`, or `verdicts`.
    pub judged_by: &'static str,
    /// Each policy.
    pub policies: Vec<PolicyOutcome>,
    /// Conversations that not all policies told the same teams of, those with the largest reach first.
    pub differ: Vec<PolicyDifference>,
}

/// What one policy would have told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicyOutcome {
    /// Its name.
    pub name: String,
    /// Its version and hash.
    pub policy: (String, String),
    /// What was opened.
    pub alerts: u64,
    /// ...a day, where the recording is a day long.
    pub alerts_per_day: Option<f64>,
    /// The hour in which most was opened.
    pub busiest_hour: Option<(EventTime, u64)>,
    /// By team and level.
    pub by_level: Vec<(String, String, u64)>,
    /// By the day on the wall, as midnight of that date, and team.
    pub by_day: Vec<(EventTime, String, u64)>,
    /// By hour and team.
    pub by_hour: Vec<(EventTime, String, u64)>,
    /// Records by what they tell.
    pub records: BTreeMap<&'static str, u64>,
    /// Storms, groups and digests.
    pub gathered: u64,
    /// Conversations of which alerts were held back, by the reason.
    pub held_back: BTreeMap<&'static str, u64>,
    /// Conversations that anybody was told of by themselves.
    pub conversations: u64,
    /// How each team's alerts did.
    pub judged: Vec<TeamAccuracy>,
}

/// A conversation on which policies differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicyDifference {
    /// The conversation.
    pub conversation: String,
    /// Accounts that could have seen it in the end, where that is known.
    pub reach: Option<u64>,
    /// What people said of it, or whether it crossed the bar.
    pub wanted: Option<bool>,
    /// For each policy, its alerts.
    pub alerts: Vec<Vec<Alert>>,
    /// For each policy, what has held alerts of it back, if that is known and anything has.
    pub held_back: Vec<Option<&'static str>>,
}

/// Conversations that differ in a report, at most.
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
        PolicyOutcome::from_tally(name, (policy.version.clone(), policy.hash.clone()), days, tally, &judged)
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

/// Counts labels of conversations that are not there, and notes the first of them as faults.
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

/// How many a conversation reached, and whether it was right to tell, as far as that is known.
pub(crate) type ReachAndLabel = (Option<u64>, Option<bool>);

/// Conversations on which policies differ in whom they tell; `truth` says what became of one.
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
    /// That a policy tells nobody, with what has held it back.
    pub(super) fn no_alert_text(&self, policy: usize) -> String {
        let why = self.held_back.get(policy).copied().flatten();
        why.map_or("tells nobody".into(), |why| format!("tells nobody: {}", why.replace('_', " ")))
    }

    /// What it is worth to look at: its reach, or where that is not known its level and risk.
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
            writeln!(f, "{} labels are of conversations that are not in it", self.unknown_labels)?;
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
        writeln!(f, "\nright is what {}", self.what_is_right())?;
        if self.policies.len() > 1 {
            self.differences(f)?;
        }
        Ok(())
    }
}

impl BacktestReport {
    pub(super) fn what_is_right(&self) -> &'static str {
        match self.judged_by {
            "labels" => "the labels say",
            "verdicts" => "people said was useful, as far as they said",
            _ => "crossed its brand's viral bar, at any time",
        }
    }

    /// The first conversations on which policies differ, with both reasons.
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
                Some(true) => ", right to tell",
                Some(false) => ", not worth telling",
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
    /// What was told, where the recording is so many days long.
    pub(crate) fn from_tally(
        name: &str,
        policy: (String, String),
        days: Option<f64>,
        tally: &AlertTally,
        judged: &dyn Fn(&str) -> TeamAccuracy,
    ) -> Self {
        let mut conversations: Vec<&String> = tally.first_alerts.keys().map(|(id, _)| id).collect();
        conversations.dedup();
        Self {
            name: name.to_owned(),
            policy,
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

    /// How many conversations each reason has held back alerts of, in words.
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
            writeln!(f, "  held back: {}", self.held_back())?;
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
                "    minutes before half of the reach: median {mid:.1}, half of them {low:.1} to {high:.1}; reach still to \
                 come: median {to_come:.0}%"
            )?;
        }
        if !self.answered.is_empty() {
            let (mid, high) = (at(&self.answered, 0.5), at(&self.answered, 0.9));
            let n = self.answered.len();
            writeln!(f, "    {n} answered in public: median {mid:.1} min, nine in ten within {high:.1}")?;
        }
        Ok(())
    }
}
