//! What policies would have done with a recording: the engine of production over all of it, several policies at once.
//!
//! Policies that agree on brands, horizon and windows work on the same conversations; those that do not have
//! conversations of their own. What is read is decoded once for all.

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

/// A jump of time so far ahead is worth a word: what was open is over by then.
const MAX_TIME_JUMP: Duration = Duration::from_mins(7 * 24 * 60);
/// Faults of the input that are told one by one.
const MAX_REPORTED_FAULTS: usize = 5;

/// Policies by name, and what they are tried on.
pub struct BacktestPlan {
    /// Names and policies; the first is what the others are compared with.
    pub policies: Vec<(String, Ruleset)>,
    /// What people said of conversations, if they did.
    pub labels: Option<Labels>,
    /// The recording's name in messages.
    pub input: String,
    /// Where days begin.
    pub zone: Zone,
}

/// Policies that work on the same conversations.
struct PolicyGroup {
    /// The places of its policies in the plan, the one in force first.
    policies: Vec<usize>,
    partitions: Partitions,
}

/// How a recording looked.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Survey {
    /// Records read.
    pub records: u64,
    /// Records that could not be taken.
    pub rejected: u64,
    /// Records older than one before them by more than the windows wait for.
    pub late: u64,
    /// The first and the last time.
    pub span: Option<(EventTime, EventTime)>,
    /// Conversations begun.
    pub conversations: u64,
    /// The first of what was wrong, each with its place.
    pub faults: Vec<String>,
}

impl Survey {
    /// How many days long it is, from one day on.
    pub(crate) fn days(&self) -> Option<f64> {
        let days = self.span.map(|(from, to)| (to - from).as_secs() / 86_400.0);
        days.filter(|days| *days >= 1.0)
    }
}

/// A recording as it is worked on.
pub struct Backtest<'a> {
    plan: &'a BacktestPlan,
    bars: &'a [u64],
    groups: Vec<PolicyGroup>,
    tracks: Vec<Tracks<'a>>,
    tallies: Vec<AlertTally>,
    lateness: Duration,
    /// How far the desks have come.
    decided_until: Option<EventTime>,
    survey: Survey,
}

/// A recording that was worked through.
pub struct FinishedBacktest<'a> {
    plan: &'a BacktestPlan,
    bars: &'a [u64],
    /// How the recording looked.
    pub survey: Survey,
    /// What each policy told.
    pub tallies: Vec<AlertTally>,
    finished_tracks: Vec<(Box<str>, ConversationTrack)>,
}

impl BacktestPlan {
    /// All viral bars of all policies, mildest first.
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

    /// The conversations that have labels.
    #[must_use]
    pub fn labelled(&self) -> HashSet<String> {
        self.labels.iter().flat_map(Labels::conversations).map(|(id, _)| id.to_owned()).collect()
    }

    /// Policies that can share conversations, together.
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
            // They were found to share.
            let with_trials = ruleset.clone().without_scores().with_shadow_policies(shadow_policies);
            let ruleset = with_trials.unwrap_or_else(|_| ruleset.clone().without_scores());
            PolicyGroup { policies, partitions: Partitions::new(ruleset, partitions) }
        };
        groups.into_iter().map(group).collect()
    }
}

impl<'a> Backtest<'a> {
    /// Ready for the first chunk; on so many threads.
    #[must_use]
    pub fn new(
        plan: &'a BacktestPlan,
        (bars, labelled): (&'a [u64], &'a HashSet<String>),
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

    /// Takes the next records; hands on what each policy, by its place in the plan, tells.
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
        tally_emitted((tracks, tallies), emitted, sink);
        // What was told now is of the chunk before.
        if let Some(now) = std::mem::replace(&mut self.decided_until, self.survey.span.map(|(_, now)| now)) {
            self.tracks.iter_mut().for_each(|tracks| tracks.sweep(now));
        }
    }

    /// Ends it: what waits is decided.
    #[must_use]
    pub fn finish(mut self, sink: &mut impl FnMut(usize, &Escalation)) -> FinishedBacktest<'a> {
        let mut emitted = Vec::new();
        for group in &mut self.groups {
            let policies = &group.policies;
            group.partitions.finish(&mut |effect| emitted.extend(by_policy(policies, effect)));
        }
        tally_emitted((&mut self.tracks, &mut self.tallies), emitted, sink);
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

    /// How far it has come, in records.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.survey.records
    }

    /// Conversations that are followed now.
    #[must_use]
    pub fn conversations(&self) -> usize {
        self.groups.first().map_or(0, |group| group.partitions.conversations())
    }

    /// Takes note of what is wrong with records, and of time that goes back or jumps.
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
                        fault(format!("jumps ahead from {last} to {at}; what was open is over by then"));
                    }
                    *span = Some((first.min(at), last.max(at)));
                }
            }
        }
    }
}

impl FinishedBacktest<'_> {
    /// The report on all of it.
    #[must_use]
    pub fn report(&self) -> BacktestReport {
        report::build_report(self.plan, &self.survey, &self.tallies, &self.truth())
    }

    /// What the alerts of each policy for a team were worth, in the order of time.
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

/// What an effect tells, and of which policy.
fn by_policy(policies: &[usize], effect: Effect) -> Option<(usize, Escalation)> {
    match effect {
        Effect::Escalation(record) => Some((*policies.first()?, *record)),
        Effect::Shadow(slot, record) => Some((*policies.get(slot as usize)?, *record)),
        _ => None,
    }
}

fn tally_emitted(
    (tracks, tallies): (&mut [Tracks<'_>], &mut [AlertTally]),
    mut emitted: Vec<(usize, Escalation)>,
    sink: &mut impl FnMut(usize, &Escalation),
) {
    emitted.sort_by(|(_, a), (_, b)| (a.at, &a.id).cmp(&(b.at, &b.id)));
    for (policy, record) in &emitted {
        tallies[*policy].record(record);
        if record.members.is_none() {
            tracks[partitions::partition_of(&record.conversation, tracks.len())]
                .mark_alerted(&record.conversation);
        }
        sink(*policy, record);
    }
}
