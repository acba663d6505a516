//! The backtest: runs the production engine with several policies at once over a recording.
//!
//! Policies with the same brands, horizon and windows share conversations; others get their own. Each record
//! is decoded once for all policies.

mod alert_tally;
mod conversation_track;
mod page;
mod partitions;
mod report;
mod tables;
mod verdicts;

use std::collections::{BTreeSet, HashSet};

use firewatch_domain::{Duration, Escalation, EventTime};
use firewatch_engine::{Effect, Ruleset};
use firewatch_escalation::Policy;
use serde::Serialize;

pub use alert_tally::{Alert, AlertTally};
pub use page::html;
pub(crate) use report::differ;
pub use report::{BacktestReport, PolicyDifference, PolicyOutcome};
pub use tables::tables;
pub use verdicts::{AlertVerdict, ConversationVerdict, TeamAccuracy, quantile};

use crate::labels::Labels;
use crate::recordings::Chunk;
use conversation_track::{ConversationTrack, Tracks};
use firewatch_report::Zone;
use partitions::Partitions;
use verdicts::Truth;

/// A jump ahead in time beyond this is reported, because it ends all open conversations.
const MAX_TIME_JUMP: Duration = Duration::from_mins(7 * 24 * 60);
/// Maximum number of faults listed.
const MAX_REPORTED_FAULTS: usize = 5;

/// The policies to test, and how to evaluate them.
pub struct BacktestPlan {
    /// Names and rulesets; the others are compared with the first.
    pub policies: Vec<(String, Ruleset)>,
    /// Labels of conversations, if there are any.
    pub labels: Option<Labels>,
    /// Name of the recording in messages.
    pub input: String,
    /// Time zone of days and hours.
    pub zone: Zone,
}

/// Policies that share conversations.
struct PolicyGroup {
    /// Indices of its policies in the plan; the first is the active policy of the group.
    policies: Vec<usize>,
    partitions: Partitions,
}

/// Statistics of a recording.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Survey {
    /// Number of records.
    pub records: u64,
    /// Number of rejected records.
    pub rejected: u64,
    /// Number of records behind an earlier one by more than the allowed lateness.
    pub late: u64,
    /// Earliest and latest event time.
    pub span: Option<(EventTime, EventTime)>,
    /// Number of conversations.
    pub conversations: u64,
    /// The first faults, each with its place.
    pub faults: Vec<String>,
}

impl Survey {
    /// Returns the length in days; `None` if it is shorter than a day.
    pub(crate) fn days(&self) -> Option<f64> {
        let days = self.span.map(|(from, to)| (to - from).as_secs() / 86_400.0);
        days.filter(|days| *days >= 1.0)
    }
}

/// A backtest in progress.
pub struct Backtest<'a> {
    plan: &'a BacktestPlan,
    bars: &'a [u64],
    groups: Vec<PolicyGroup>,
    tracks: Vec<Tracks<'a>>,
    tallies: Vec<AlertTally>,
    lateness: Duration,
    /// Time up to which the dispatchers have decided.
    decided_until: Option<EventTime>,
    survey: Survey,
}

/// A finished backtest.
pub struct FinishedBacktest<'a> {
    plan: &'a BacktestPlan,
    bars: &'a [u64],
    /// Statistics of the recording.
    pub survey: Survey,
    /// Alerts of each policy.
    pub tallies: Vec<AlertTally>,
    finished_tracks: Vec<(Box<str>, ConversationTrack)>,
}

impl BacktestPlan {
    /// Returns the viral bars of all policies in ascending order.
    #[must_use]
    pub fn bars(&self) -> Vec<u64> {
        let bars_of_policy = |policy: &Policy| {
            let brands = policy.brands.values().map(|brand| brand.viral_bar);
            brands.chain([policy.unlisted.viral_bar]).collect::<Vec<u64>>()
        };
        let mut bars: Vec<u64> =
            self.policies.iter().flat_map(|(_, ruleset)| bars_of_policy(&ruleset.policy)).collect();
        bars.sort_unstable();
        bars.dedup();
        bars
    }

    /// Returns the ids of the labelled conversations.
    #[must_use]
    pub fn labelled(&self) -> HashSet<String> {
        self.labels.iter().flat_map(Labels::conversations).map(|(id, _)| id.to_owned()).collect()
    }

    /// Groups the policies that can share conversations.
    fn groups(&self, partitions: usize) -> Vec<PolicyGroup> {
        let mut groups: Vec<(Vec<usize>, &Ruleset, Vec<Policy>)> = Vec::new();
        for (i, (_, ruleset)) in self.policies.iter().enumerate() {
            match groups.iter_mut().find(|(_, first, _)| first.is_compatible_with(ruleset)) {
                Some((policies, _, shadow_policies)) => {
                    policies.push(i);
                    shadow_policies.push(ruleset.policy.clone());
                }
                None => groups.push((vec![i], ruleset, vec![])),
            }
        }
        let group = |(policies, ruleset, shadow_policies): (Vec<usize>, &Ruleset, Vec<Policy>)| {
            // The policies were checked to be compatible, so this cannot fail.
            let with_trials = ruleset.clone().without_scores().with_shadow_policies(shadow_policies);
            let ruleset = with_trials.unwrap_or_else(|_| ruleset.clone().without_scores());
            PolicyGroup { policies, partitions: Partitions::new(ruleset, partitions) }
        };
        groups.into_iter().map(group).collect()
    }
}

impl<'a> Backtest<'a> {
    /// Creates a backtest on `threads` threads.
    #[must_use]
    pub fn new(
        plan: &'a BacktestPlan,
        bars: &'a [u64],
        labelled: &'a HashSet<String>,
        threads: usize,
    ) -> Self {
        let policies = || plan.policies.iter().map(|(_, ruleset)| &ruleset.policy);
        let horizon = policies().map(|policy| policy.retention).max().unwrap_or_default();
        Self {
            plan,
            bars,
            groups: plan.groups(threads),
            tracks: (0..threads).map(|_| Tracks::new(bars, horizon, labelled)).collect(),
            tallies: vec![
                AlertTally { zone: plan.zone.clone(), ..AlertTally::default() };
                plan.policies.len()
            ],
            lateness: policies().map(|policy| policy.windows.lateness).max().unwrap_or_default(),
            decided_until: None,
            survey: Survey::default(),
        }
    }

    /// Processes the next chunk; passes emitted escalations to `sink`, each with the index of its policy in
    /// the plan.
    pub fn process(&mut self, chunk: &Chunk, sink: &mut impl FnMut(usize, &Escalation)) {
        self.survey_chunk(chunk);
        let mut emitted = Vec::new();
        let (tracks, tallies) = (&mut self.tracks, &mut self.tallies);
        for (i, group) in self.groups.iter_mut().enumerate() {
            let mut sink = |effect| emitted.extend(by_policy(&group.policies, effect));
            if i == 0 {
                group.partitions.process(chunk, tracks, |tracks, taken| tracks.observe(&taken), &mut sink);
            } else {
                let mut none = vec![(); tracks.len()];
                group.partitions.process(chunk, &mut none, |(), _| (), &mut sink);
            }
        }
        tally_emitted(tracks, tallies, emitted, sink);
        // The emitted escalations are those of the chunk before, so sweep only up to its time.
        if let Some(now) = std::mem::replace(&mut self.decided_until, self.survey.span.map(|(_, now)| now)) {
            self.tracks.iter_mut().for_each(|tracks| tracks.sweep(now));
        }
    }

    /// Ends the recording, decides everything that waits and returns the finished backtest.
    #[must_use]
    pub fn finish(mut self, sink: &mut impl FnMut(usize, &Escalation)) -> FinishedBacktest<'a> {
        let mut emitted = Vec::new();
        for group in &mut self.groups {
            let policies = &group.policies;
            group.partitions.finish(&mut |effect| emitted.extend(by_policy(policies, effect)));
        }
        tally_emitted(&mut self.tracks, &mut self.tallies, emitted, sink);
        let alerted =
            self.tallies.iter().flat_map(|account| account.first_alerts.keys().map(|(id, _)| id.clone()));
        let alerted: BTreeSet<String> = alerted.collect();
        for group in &self.groups {
            for (slot, policy) in (0..).zip(&group.policies) {
                let held = |id: &String| Some((id.clone(), group.partitions.held_back_reason(slot, id)?));
                self.tallies[*policy].held_back_by_conversation = alerted.iter().filter_map(held).collect();
                self.tallies[*policy].held_back = group.partitions.held_back(slot);
            }
        }
        self.tracks.iter_mut().for_each(Tracks::finish);
        self.survey.conversations = self.tracks.iter().map(|tracks| tracks.started).sum();
        let over = self.tracks.into_iter().flat_map(|tracks| tracks.finished).collect();
        FinishedBacktest {
            plan: self.plan,
            bars: self.bars,
            survey: self.survey,
            tallies: self.tallies,
            finished_tracks: over,
        }
    }

    /// Returns the number of records processed so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.survey.records
    }

    /// Returns the number of conversations followed now.
    #[must_use]
    pub fn conversations(&self) -> usize {
        self.groups.first().map_or(0, |group| group.partitions.conversations())
    }

    /// Counts rejected and late records, and records faults, including jumps in time.
    fn survey_chunk(&mut self, chunk: &Chunk) {
        let Survey { records, rejected, late, span, faults, .. } = &mut self.survey;
        for (place, record) in chunk.records_with_places() {
            *records += 1;
            let mut fault = |problem: String| {
                if faults.len() < MAX_REPORTED_FAULTS {
                    faults.push(format!("{place}: {problem}"));
                }
            };
            match record {
                Err(rejection) => {
                    *rejected += 1;
                    fault(rejection.to_string());
                }
                Ok(record) => {
                    let at = record.at();
                    let (first, last) = *span.get_or_insert((at, at));
                    if at + self.lateness < last {
                        *late += 1;
                        fault(format!("goes back from {last} to {at}; sort the recording by time"));
                    }
                    if at > last + MAX_TIME_JUMP {
                        fault(format!("jumps ahead from {last} to {at}; open conversations end before that"));
                    }
                    *span = Some((first.min(at), last.max(at)));
                }
            }
        }
    }
}

impl FinishedBacktest<'_> {
    /// Builds the report.
    #[must_use]
    pub fn report(&self) -> BacktestReport {
        report::build_report(self.plan, &self.survey, &self.tallies, &self.truth())
    }

    /// Returns the verdicts on each policy's alerts for a team, in the order of time.
    #[must_use]
    pub fn verdicts(&self, team: &str) -> Vec<Vec<ConversationVerdict>> {
        let truth = self.truth();
        let verdicts_of_policy = |((_, ruleset), account): (&(String, Ruleset), &AlertTally)| {
            truth.verdicts(team, account, &|brand| ruleset.policy.viral_bar(brand))
        };
        self.plan.policies.iter().zip(&self.tallies).map(verdicts_of_policy).collect()
    }

    fn truth(&self) -> Truth<'_> {
        Truth::new(&self.finished_tracks, self.plan.labels.as_ref(), self.bars)
    }
}

/// Returns the escalation of an effect with the index of its policy in the plan.
fn by_policy(policies: &[usize], effect: Effect) -> Option<(usize, Escalation)> {
    match effect {
        Effect::Escalation(record) => Some((*policies.first()?, *record)),
        Effect::Shadow(slot, record) => Some((*policies.get(slot as usize)?, *record)),
        _ => None,
    }
}

fn tally_emitted(
    tracks: &mut [Tracks<'_>],
    tallies: &mut [AlertTally],
    mut emitted: Vec<(usize, Escalation)>,
    sink: &mut impl FnMut(usize, &Escalation),
) {
    emitted.sort_by(|(_, a), (_, b)| (a.at, &a.escalation, a.step).cmp(&(b.at, &b.escalation, b.step)));
    for (policy, record) in &emitted {
        tallies[*policy].record(record);
        if record.members.is_none() {
            tracks[partitions::partition_of(&record.conversation, tracks.len())]
                .mark_alerted(&record.conversation);
        }
        sink(*policy, record);
    }
}
