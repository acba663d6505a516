//! Tunes a policy: sweeps thresholds on the past part of the history and evaluates the choice on the later
//! part.
//!
//! A conversation belongs to the part in which it began. Those that began within one horizon before the split
//! are left out, because their outcome lies after it. Intervals come from the bootstrap over conversations,
//! with the same Poisson weights for every policy, so that differences between policies are paired.

mod page;
mod selection;
mod variation;

use std::fmt;

use firewatch_domain::{Duration, EventTime};
use firewatch_engine::Ruleset;
use serde::Serialize;
use thiserror::Error;

use crate::labels::Labels;
use crate::run::{BacktestPlan, ConversationVerdict, FinishedBacktest};
use firewatch_report::Zone;
pub use page::{html, tables};
pub use selection::{ConfidenceInterval, Objective, PeriodResult};
pub use variation::{Candidate, CandidateError, Variation, VariationError, candidates, changed_lines};

/// Minimum number of conversations worth an alert in each part; with fewer the choice is a guess.
const MIN_WANTED: usize = 20;
/// Minimum length of each part in days; a shorter part misses the weekly cycle.
const MIN_DAYS: f64 = 7.0;

/// Why a recording cannot be tuned on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TuneError {
    /// The recording is empty.
    #[error("the recording has no record with a time")]
    NoTime,
    /// The past part would be shorter than the horizon.
    #[error("{from} to {to} is too short to split; the past must be longer than the horizon of {horizon}")]
    TooShort {
        /// Start of the recording.
        from: EventTime,
        /// End of the recording.
        to: EventTime,
        /// The longest retention of the policies.
        horizon: Duration,
    },
    /// The backtest has no policy.
    #[error("no policy to tune")]
    NoPolicy,
}

/// The goal of a tuning.
#[derive(Debug, Clone, PartialEq)]
pub struct TuneGoal {
    /// The team whose alerts are tuned.
    pub team: String,
    /// What to maximise.
    pub objective: Objective,
    /// Maximum number of alerts a day for the team.
    pub budget: f64,
    /// The share of the history that the choice sees, 0 to 1.
    pub split: f64,
}

/// The results of a policy on both parts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TriedPolicy {
    /// What it sets, as `key = value`; for the current policy its name.
    pub name: String,
    /// Results on the past part, which the choice sees.
    pub past: PeriodResult,
    /// Results on the later part.
    pub later: PeriodResult,
}

/// The result of a tuning.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TuneResult {
    /// Name of the recording.
    pub input: String,
    /// The team whose alerts were tuned.
    pub team: String,
    /// What was maximised.
    pub objective: Objective,
    /// Maximum number of alerts a day.
    pub budget: f64,
    /// Start of the history, start of the later part, and end.
    pub span: [EventTime; 3],
    /// Results of the current policy.
    pub current: TriedPolicy,
    /// Results of the candidates.
    pub tried: Vec<TriedPolicy>,
    /// Index in `tried` of the best candidate on the past within the budget, if any keeps to it.
    pub chosen: Option<usize>,
    /// Change of the objective on the later part, from the current policy to the chosen one.
    pub gain: Option<ConfidenceInterval>,
    /// Lines of the policy file that the choice changes.
    pub changed: Vec<String>,
    /// Warnings about the reliability of the choice.
    pub warnings: Vec<String>,
}

/// Returns the plan of a backtest of the current policy and all candidates.
#[must_use]
pub fn plan(
    name: &str,
    ruleset: &Ruleset,
    candidates: &[Candidate],
    labels: Option<Labels>,
    input: &str,
) -> BacktestPlan {
    let tried = candidates.iter().map(|c| (c.name.clone(), ruleset.with_policy(c.policy.clone())));
    let policies = std::iter::once((name.to_owned(), ruleset.clone())).chain(tried).collect();
    BacktestPlan { policies, labels, input: input.to_owned(), zone: Zone::default() }
}

/// Chooses among the candidates of a finished backtest; `text` is the current policy file.
///
/// # Errors
/// When the recording is empty or too short to split.
pub fn tune(
    plan: &BacktestPlan,
    ended: &FinishedBacktest<'_>,
    candidates: &[Candidate],
    text: &str,
    goal: &TuneGoal,
) -> Result<TuneResult, TuneError> {
    let (from, to) = ended.survey.span.ok_or(TuneError::NoTime)?;
    let hour = Duration::from_mins(60);
    let to = to.floor(hour) + hour;
    let whole = (to - from).as_millis() as f64;
    let split = (from + Duration::from_millis((goal.split * whole) as i64)).floor(hour);
    let horizon = plan.policies.iter().map(|(_, ruleset)| ruleset.policy.retention).max().unwrap_or_default();
    let past_end = (split - horizon).floor(hour);
    if past_end <= from || split >= to {
        return Err(TuneError::TooShort { from, to, horizon });
    }
    let verdicts = ended.verdicts(&goal.team);
    let part = |i: usize, (from, to): (EventTime, EventTime), seed: u64| {
        let own: Vec<&ConversationVerdict> =
            verdicts[i].iter().filter(|v| (from..to).contains(&v.began)).collect();
        let alerts = ended.tallies[i].opened_between(&goal.team, from.floor(hour), to);
        PeriodResult::from_verdicts(&own, alerts, (to - from).as_secs() / 86_400.0, seed)
    };
    let tried = |i: usize| TriedPolicy {
        name: plan.policies[i].0.clone(),
        past: part(i, (from, past_end), 1),
        later: part(i, (split, to), 2),
    };
    let all: Vec<TriedPolicy> = (0..plan.policies.len()).map(tried).collect();
    let (current, tried) = all.split_first().ok_or(TuneError::NoPolicy)?;
    let changes = |candidate: &Candidate| changed_lines(text, &candidate.text);
    let sizes: Vec<usize> = candidates.iter().map(|candidate| changes(candidate).len()).collect();
    let chosen = selection::best(tried, goal, &sizes);
    let gain = chosen.map(|i| selection::gain(&tried[i].later, &current.later, goal.objective));
    let changed = chosen.map_or_else(Vec::new, |i| changes(&candidates[i]));
    Ok(TuneResult {
        input: plan.input.clone(),
        team: goal.team.clone(),
        objective: goal.objective,
        budget: goal.budget,
        span: [from, split, to],
        warnings: warnings(current, tried, chosen, goal, past_end - from, to - split),
        current: current.clone(),
        tried: tried.to_vec(),
        chosen,
        gain,
        changed,
    })
}

fn warnings(
    current: &TriedPolicy,
    tried: &[TriedPolicy],
    chosen: Option<usize>,
    goal: &TuneGoal,
    past: Duration,
    later: Duration,
) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, part, span) in [("past", &current.past, past), ("later part", &current.later, later)] {
        let (wanted, days) = (part.wanted, span.as_secs() / 86_400.0);
        if wanted < MIN_WANTED {
            warnings.push(format!(
                "only {wanted} conversations of the {name} were worth an alert; with fewer than {MIN_WANTED} \
                 the choice is a guess"
            ));
        }
        if days < MIN_DAYS {
            warnings.push(format!("the {name} is {days:.1} days long, less than a weekly cycle"));
        }
    }
    let value = |tried: &TriedPolicy| tried.past.objective_value(goal.objective).value;
    if let Some(i) = chosen
        && current.past.alerts_per_day <= goal.budget
        && value(&tried[i]) <= value(current)
    {
        warnings.push(format!(
            "no candidate has a better {} in the past than the current policy",
            goal.objective
        ));
    }
    if let Some(i) = chosen.filter(|_| tried.len() > 2) {
        let alerts = tried[i].past.alerts_per_day;
        let mut others =
            tried.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, t)| t.past.alerts_per_day);
        if others.clone().all(|other| other < alerts) || others.all(|other| other > alerts) {
            warnings.push("the choice is at the edge of the tried range; widen it".into());
        }
    }
    warnings
}

impl fmt::Display for TuneResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [from, split, to] = self.span;
        writeln!(f, "{}: chosen on {from} to {split}, evaluated on {split} to {to}", self.input)?;
        writeln!(f, "(conversations that began within one horizon before the split are left out)")?;
        writeln!(f, "team {}: best {} within {} alerts a day\n", self.team, self.objective, self.budget)?;
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        writeln!(f, "{:<52} {:>28}   {:>28}", "", "past", "later part")?;
        const HEAD: &str = "alerts/day  prec.  recall   min";
        writeln!(f, "{:<49} {HEAD}   {HEAD}", "")?;
        let mut row = |mark: &str, tried: &TriedPolicy| {
            writeln!(f, "{mark:<2}{:<47} {}   {}", shorten(&tried.name), tried.past, tried.later)
        };
        row(" ", &self.current)?;
        for (i, tried) in self.tried.iter().enumerate() {
            row(if self.chosen == Some(i) { ">" } else { " " }, tried)?;
        }
        let Some(chosen) = self.chosen.and_then(|i| self.tried.get(i)) else {
            return writeln!(f, "\nno candidate keeps to {} alerts a day in the past", self.budget);
        };
        let (now, then) = (&self.current.later, &chosen.later);
        writeln!(f, "\non the later part, with 95% intervals:")?;
        for (name, now, then) in [
            ("alerts a day", &now.alerted_per_day, &then.alerted_per_day),
            ("precision", &now.precision, &then.precision),
            ("timely recall", &now.recall, &then.recall),
            ("minutes gained", &now.minutes, &then.minutes),
        ] {
            writeln!(f, "  {name:<16} {now}  ->  {then}")?;
        }
        if let Some(gain) = &self.gain {
            let word = if gain.low > 0.0 {
                "better"
            } else if gain.high < 0.0 {
                "worse"
            } else {
                "not significant"
            };
            writeln!(f, "  the {} changes by {gain}: {word}", self.objective)?;
        }
        if self.changed.is_empty() {
            return writeln!(f, "\nthe current policy is already the best of them");
        }
        writeln!(f, "\nchanged lines of the policy:")?;
        self.changed.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// Cuts the beginning of a name that is too long for its column.
fn shorten(name: &str) -> String {
    const ROOM: usize = 46;
    let n = name.chars().count();
    if n <= ROOM {
        name.to_owned()
    } else {
        format!("\u{2026}{}", name.chars().skip(n - ROOM + 1).collect::<String>())
    }
}
