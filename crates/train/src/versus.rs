//! Compares the risk policy with the common rule “n reshares within m minutes” on the same history.
//!
//! No public data set has complaints with both text and reshares, so the history is composed: held-out
//! labelled texts, each with a randomly drawn real cascade, large ones at a realistic rate. The forecast is
//! trained and both policies are tuned on the past part; both are evaluated on the later part, whose cascades
//! neither has seen.

use std::fmt;
use std::path::Path;

use firewatch_domain::{
    Author, Body, Duration, Engagement, EngagementKind, Event, EventTime, Post, SCHEMA_VERSION,
};
use firewatch_engine::{Record, Ruleset};
use firewatch_escalation::Policy;

use crate::posts::{LabelledPosts, PostSelection};
use crate::virality::evaluate::fold;
use crate::virality::sample::{CascadeOfSet, read_cascade_sets};
use crate::virality::train_on;
use firewatch_backtest::cascades::{ReshareHistory, cascades};
use firewatch_backtest::labels::Labels;
use firewatch_backtest::recordings::{CHUNK_RECORDS, Chunk};
use firewatch_backtest::run::Backtest;
use firewatch_backtest::tune::{
    Candidate, Objective, TuneError, TuneGoal, TuneResult, Variation, candidates, plan, tune,
};
use firewatch_report::{AnalysisError, random::mix};

/// 2026-03-02T00:00:00Z, a Monday.
const START: EventTime = EventTime::from_millis(1_772_409_600_000);
const DAYS: f64 = 70.0;
/// Share of the days in the past part, and the same share of cascades as a number of folds (of five).
const PAST_SHARE: f64 = 0.6;
const PAST_FOLDS: u64 = 3;
/// Number of small cascades for each large one.
const SMALL_PER_LARGE: usize = 30;
/// The default policy, with half the default viral bar, so that enough complaints cross it.
const POLICY: &str = "version = \"versus\"\nviral_bar = 500\n[brands.brand]\n[routes.viral]\nteam = \"pr\"\n\
                      when = { medium = \"risk >= 15\" }\n[storms]\nexpected_per_hour = 30.0\n";
/// Key of the condition that is varied.
const KEY: &str = "routes.viral.when.medium";
/// Thresholds tried for the rule: reshares and minutes.
const RULE_RESHARES: [u32; 10] = [10, 20, 35, 50, 100, 150, 250, 350, 420, 480];
const RULE_MINUTES: [u32; 6] = [10, 20, 30, 60, 180, 720];

/// The comparison: for each objective the tuned risk policy and the tuned rule.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleComparison {
    /// Number of conversations, and of records.
    pub size: (usize, usize),
    /// By objective: the result of the risk policy, and of the rule.
    pub tuned: Vec<(TuneResult, TuneResult)>,
}

/// Composes the history, trains a forecast on its past part, and tunes both policies.
///
/// # Errors
/// When a data file cannot be read, or training or tuning fails.
pub fn compare_with_rule(
    data: &Path,
    progress: &mut dyn FnMut(String),
) -> Result<RuleComparison, AnalysisError> {
    let step = |e: String| AnalysisError::Step(e);
    let all = read_cascade_sets(data)?;
    let past: Vec<&CascadeOfSet> = all.iter().filter(|known| fold(known) < PAST_FOLDS).collect();
    let policy = Policy::parse("versus", POLICY).map_err(|faults| step(format!("{faults:?}")))?;
    let shipped = Ruleset::shipped(policy.clone()).map_err(|e| step(e.to_string()))?;
    let model = train_on(data, &shipped.sentiment, &past, &mut |_| ())?;
    progress(format!("trained a forecast on {} cascades of the past part", past.len()));
    let bytes = model.to_bytes().map_err(|e| step(e.to_string()))?;
    let ruleset = Ruleset::shipped(policy).and_then(|ruleset| ruleset.with_model("trained here", &bytes));
    let ruleset = ruleset.map_err(|e| step(e.to_string()))?;
    let history = compose(data, &all, ruleset.policy.viral_bar(Some("brand")))?;
    progress(format!("{} conversations, {} records", history.labels.len(), history.events.len()));
    let risk: Vec<String> = (1..=40).map(|i| format!("risk >= {}", i * 2)).collect();
    let rule = RULE_RESHARES
        .iter()
        .flat_map(|n| RULE_MINUTES.map(|m| format!("reshares + quotes >= {n} && minutes <= {m}.0")));
    let mut worked = Vec::new();
    for values in [risk, rule.collect()] {
        let tried = candidates(POLICY, &[Variation { key: KEY.into(), values }]);
        let tried = tried.map_err(|e| step(e.to_string()))?;
        worked.push(try_policies(&ruleset, &history, &tried).map_err(|e| step(e.to_string()))?);
        progress(format!("tried {} policies", worked.last().map_or(0, |(_, n)| *n)));
    }
    let [(risk, _), (rule, _)] = worked.as_slice() else { return Err(step("no policies were tried".into())) };
    let tuned = risk.iter().cloned().zip(rule.iter().cloned()).collect();
    Ok(RuleComparison { size: (history.labels.len(), history.events.len()), tuned })
}

/// The composed events in the order of time, and the labels of the conversations.
struct ComposedHistory {
    /// Reshares within a day that make a conversation viral.
    bar: u64,
    events: Vec<Event>,
    labels: Vec<(String, bool)>,
}

/// Runs a backtest of the candidates and tunes for each objective; returns the results and the number of
/// candidates.
fn try_policies(
    ruleset: &Ruleset,
    history: &ComposedHistory,
    tried: &[Candidate],
) -> Result<(Vec<TuneResult>, usize), TuneError> {
    let labels = Labels::from_pairs(history.labels.iter().cloned());
    let plan = plan("the default, risk >= 15", ruleset, tried, Some(labels), "composed");
    let (bars, labelled) = (plan.bars(), plan.labelled());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut backtest = Backtest::new(&plan, &bars, &labelled, threads);
    for events in history.events.chunks(CHUNK_RECORDS) {
        let records = events.iter().cloned().map(Record::Event);
        backtest.process(&Chunk::from_records(records), &mut |_, _| ());
    }
    let ended = backtest.finish(&mut |_, _| ());
    let goal =
        |objective| TuneGoal { team: "pr".into(), objective, budget: f64::INFINITY, split: PAST_SHARE };
    let current = tune(&plan, &ended, tried, POLICY, &goal(Objective::F1))?;
    // The budget is the number of alerts a day of the default policy on the past part.
    let budget = current.current.past.alerts_per_day;
    let mut tuned = vec![current];
    for objective in [Objective::Recall, Objective::Minutes] {
        tuned.push(tune(&plan, &ended, tried, POLICY, &TuneGoal { budget, ..goal(objective) })?);
    }
    Ok((tuned, tried.len()))
}

/// Draws a text and a start time for every cascade.
fn compose(data: &Path, all: &[CascadeOfSet], bar: u64) -> Result<ComposedHistory, AnalysisError> {
    let small = cascades(&data.join("cascades/auspol_dev.csv"))?;
    let posts = LabelledPosts::read(data, PostSelection::default())?.held_out;
    let texts: Vec<(&str, bool)> =
        posts.iter().filter_map(|post| Some((post.text.as_str(), post.complaint?))).collect();
    let mut history = ComposedHistory { bar, events: vec![], labels: vec![] };
    let mut n = 0;
    for known in all {
        let is_past = fold(known) < PAST_FOLDS;
        for i in 0..=SMALL_PER_LARGE {
            let chance = |what: u64| mix(11, n * 8 + what) as f64 / u64::MAX as f64;
            let cascade = if i == 0 {
                &known.cascade
            } else {
                &small[(chance(0) * small.len() as f64) as usize % small.len()]
            };
            let part = if is_past { (0.0, PAST_SHARE) } else { (PAST_SHARE, 1.0) };
            let day = DAYS * (part.0 + chance(1) * (part.1 - part.0));
            let (text, complaint) = texts[(chance(2) * texts.len() as f64) as usize % texts.len()];
            history.add(&format!("c{n}"), START + seconds(day * 86_400.0), text, complaint, cascade);
            n += 1;
        }
    }
    history.events.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    Ok(history)
}

fn seconds(secs: f64) -> Duration {
    Duration::from_millis((secs * 1000.0) as i64)
}

impl ComposedHistory {
    fn add(&mut self, id: &str, at: EventTime, text: &str, complaint: bool, cascade: &ReshareHistory) {
        const DAY: f64 = 86_400.0;
        let event = |name: String, at: EventTime, body: Body| Event {
            v: SCHEMA_VERSION,
            id: name,
            conversation: id.to_owned(),
            at,
            brand: Some("brand".into()),
            platform: Some("x".into()),
            body,
        };
        let author = Author {
            id: cascade.author.clone().unwrap_or_else(|| format!("a{id}")),
            followers: cascade.followers,
            ..Author::default()
        };
        let lang = Some("en".to_owned());
        let post = Post { id: id.into(), author: Some(author), text: text.into(), lang, ..Post::default() };
        self.events.push(event(id.to_owned(), at, Body::Post(Box::new(post))));
        for (i, reshare) in cascade.reshares.iter().take_while(|reshare| reshare.secs < DAY).enumerate() {
            let kind = EngagementKind::Reshare;
            let actor = Some(reshare.user.clone().unwrap_or_else(|| format!("{id}.{i}")));
            let body = Body::Engagement(Engagement::new(kind, actor, reshare.followers));
            self.events.push(event(format!("{id}.{i}"), at + seconds(reshare.secs), body));
        }
        self.labels.push((id.to_owned(), complaint && cascade.count_until(DAY) as u64 >= self.bar));
    }
}

impl fmt::Display for RuleComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} conversations, {} records; results on the later part with 95% intervals:",
            self.size.0, self.size.1
        )?;
        for (risk, rule) in &self.tuned {
            let budget = if risk.budget.is_finite() {
                format!(", at most {:.1} alerts a day", risk.budget)
            } else {
                String::new()
            };
            writeln!(f, "\nbest {} on the past part{budget}", risk.objective)?;
            writeln!(
                f,
                "{:<42} {:>10} {:>22} {:>22} {:>22}",
                "", "alerts/day", "precision", "timely recall", "minutes"
            )?;
            let chosen = |tuned: &TuneResult| tuned.chosen.and_then(|i| tuned.tried.get(i)).cloned();
            for tried in [Some(risk.current.clone()), chosen(risk), chosen(rule)].into_iter().flatten() {
                let part = &tried.later;
                let name = tried
                    .name
                    .strip_prefix(KEY)
                    .map_or(tried.name.as_str(), |rest| rest.trim_start_matches(" = "));
                writeln!(
                    f,
                    "{name:<42} {:>10.2} {:>22} {:>22} {:>22}",
                    part.alerts_per_day,
                    part.precision.to_string(),
                    part.recall.to_string(),
                    part.minutes.to_string()
                )?;
            }
        }
        Ok(())
    }
}
