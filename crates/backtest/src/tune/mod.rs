//! Tuning a policy: thresholds are swept on one part of history and judged on a later part that the choice has not seen.
//!
//! Conversations belong to the part in which they began; those of the last horizon before the split are left out, as
//! what became of them lies after it. Intervals are by the bootstrap over conversations, with Poisson weights that are
//! the same for every policy, so that differences between policies are paired.

mod page;
mod selection;
mod variation;

use std::fmt;

use firewatch_domain::{Duration, EventTime};
use firewatch_engine::Ruleset;
use serde::Serialize;

use crate::labels::Labels;
use crate::run::{BacktestPlan, ConversationVerdict, FinishedBacktest};
use firewatch_report::Zone;
pub use page::{html, tables};
pub use selection::{ConfidenceInterval, Objective, PeriodResult};
pub use variation::{Candidate, Variation, candidates, changed_lines};

/// Wanted conversations in each part below which a choice is a guess.
const MIN_WANTED: usize = 20;
/// Days of each part below which it holds no week's rhythm.
const MIN_DAYS: f64 = 7.0;

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct TuneGoal {
    /// The team whose alerts are tuned.
    pub team: String,
    /// What is to be as good as it can be.
    pub objective: Objective,
    /// Alerts a day for the team, at most.
    pub budget: f64,
    /// The share of history that the choice sees.
    pub split: f64,
}

/// A policy on both parts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TriedPolicy {
    /// What it sets.
    pub name: String,
    /// On the part that the choice sees.
    pub past: PeriodResult,
    /// On the later part.
    pub later: PeriodResult,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TuneResult {
    /// The recording.
    pub input: String,
    /// The team.
    pub team: String,
    /// What was to be as good as it can be.
    pub objective: Objective,
    /// Alerts a day at most.
    pub budget: f64,
    /// The first time, where the later part begins, and the last time.
    pub span: [EventTime; 3],
    /// The policy as it is, and every one that was tried.
    pub current: TriedPolicy,
    /// Those that were tried.
    pub tried: Vec<TriedPolicy>,
    /// Which of them is best on the past within the budget.
    pub chosen: Option<usize>,
    /// How much better the chosen one is than the current one, on the later part, by the objective.
    pub gain: Option<ConfidenceInterval>,
    /// Lines of the policy's file that change.
    pub changed: Vec<String>,
    /// What to keep in mind.
    pub warnings: Vec<String>,
}

/// The plan of a backtest that tries the current policy and all candidates.
#[must_use]
pub fn plan(
    current: (&str, &Ruleset),
    candidates: &[Candidate],
    labels: Option<Labels>,
    input: &str,
) -> BacktestPlan {
    let (name, ruleset) = current;
    let tried = candidates.iter().map(|c| (c.name.clone(), ruleset.with_policy(c.policy.clone())));
    let policies = std::iter::once((name.to_owned(), ruleset.clone())).chain(tried).collect();
    BacktestPlan { policies, labels, input: input.to_owned(), zone: Zone::default() }
}

/// Chooses among the candidates of a plan that was worked through; `text` is the current policy's file.
///
/// # Errors
/// When the recording holds no time to split.
pub fn tune(
    (plan, ended): (&BacktestPlan, &FinishedBacktest<'_>),
    candidates: &[Candidate],
    text: &str,
    goal: &TuneGoal,
) -> Result<TuneResult, String> {
    let (from, to) = ended.survey.span.ok_or("nothing in the recording has a time")?;
    let hour = Duration::from_mins(60);
    let to = to.floor(hour) + hour;
    let whole = (to - from).as_millis() as f64;
    let split = (from + Duration::from_millis((goal.split * whole) as i64)).floor(hour);
    let horizon = plan.policies.iter().map(|(_, ruleset)| ruleset.policy.retention).max().unwrap_or_default();
    let past_end = (split - horizon).floor(hour);
    if past_end <= from || split >= to {
        return Err(format!(
            "{from} to {to} is too short to split: the past has to be longer than the horizon of {horizon}"
        ));
    }
    let verdicts = ended.verdicts(&goal.team);
    let part = |i: usize, (from, to): (EventTime, EventTime), seed: u64| {
        let own: Vec<&ConversationVerdict> =
            verdicts[i].iter().filter(|v| (from..to).contains(&v.began)).collect();
        let alerts = ended.tallies[i].opened_between(&goal.team, (from.floor(hour), to));
        PeriodResult::from_verdicts(&own, alerts, (to - from).as_secs() / 86_400.0, seed)
    };
    let tried = |i: usize| TriedPolicy {
        name: plan.policies[i].0.clone(),
        past: part(i, (from, past_end), 1),
        later: part(i, (split, to), 2),
    };
    let all: Vec<TriedPolicy> = (0..plan.policies.len()).map(tried).collect();
    let (current, tried) = all.split_first().ok_or("there is no policy")?;
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
        warnings: warnings((current, tried, chosen), goal, (past_end - from, to - split)),
        current: current.clone(),
        tried: tried.to_vec(),
        chosen,
        gain,
        changed,
    })
}

fn warnings(
    (current, tried, chosen): (&TriedPolicy, &[TriedPolicy], Option<usize>),
    goal: &TuneGoal,
    (past, later): (Duration, Duration),
) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, part, span) in [("past", &current.past, past), ("later part", &current.later, later)] {
        let (wanted, days) = (part.wanted, span.as_secs() / 86_400.0);
        if wanted < MIN_WANTED {
            warnings.push(format!(
                "only {wanted} conversations of the {name} were worth telling; below {MIN_WANTED} the choice is a guess"
            ));
        }
        if days < MIN_DAYS {
            warnings.push(format!("the {name} is {days:.1} days long, and a week has a rhythm of its own"));
        }
    }
    let value = |tried: &TriedPolicy| tried.past.objective_value(goal.objective).value;
    if let Some(i) = chosen
        && current.past.alerts_per_day <= goal.budget
        && value(&tried[i]) <= value(current)
    {
        warnings.push(format!("none has a better {} in the past than the policy as it is", goal.objective));
    }
    if let Some(i) = chosen.filter(|_| tried.len() > 2) {
        let alerts = tried[i].past.alerts_per_day;
        let mut others =
            tried.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, t)| t.past.alerts_per_day);
        if others.clone().all(|other| other < alerts) || others.all(|other| other > alerts) {
            warnings.push("the choice is at the edge of what was tried; widen the range".into());
        }
    }
    warnings
}

impl fmt::Display for TuneResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [from, split, to] = self.span;
        writeln!(f, "{}: chosen on {from} to {split}, reported on {split} to {to}", self.input)?;
        writeln!(f, "(conversations of the last horizon before the split are in neither)")?;
        writeln!(f, "alerts of {}: best {} with {} a day at most\n", self.team, self.objective, self.budget)?;
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
            return writeln!(f, "\nnone of them keeps to {} alerts a day in the past", self.budget);
        };
        let (now, then) = (&self.current.later, &chosen.later);
        writeln!(f, "\non the later part, with 95% intervals:")?;
        for (name, now, then) in [
            ("alerts a day", &now.alerted_per_day, &then.alerted_per_day),
            ("precision", &now.precision, &then.precision),
            ("recall in time", &now.recall, &then.recall),
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
                "which cannot be told from none"
            };
            writeln!(f, "  the {} changes by {gain}: {word}", self.objective)?;
        }
        if self.changed.is_empty() {
            return writeln!(f, "\nthe policy is the best of them as it is");
        }
        writeln!(f, "\nlines of the policy that change:")?;
        self.changed.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// A name that fits its column.
fn shorten(name: &str) -> String {
    const ROOM: usize = 46;
    let n = name.chars().count();
    if n <= ROOM {
        name.to_owned()
    } else {
        format!("\u{2026}{}", name.chars().skip(n - ROOM + 1).collect::<String>())
    }
}
