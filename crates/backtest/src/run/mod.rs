//! What policies would have done with a recording: the engine of production over all of it, several policies at once.
//!
//! Policies that agree on brands, horizon and windows work on the same conversations; those that do not have
//! conversations of their own. What is read is decoded once for all.

mod account;
mod judge;
mod page;
mod partitions;
mod report;
mod tables;
mod track;

use std::collections::{BTreeSet, HashSet};

use firewatch_domain::{Duration, Escalation, EventTime};
use firewatch_engine::{Brain, Effect};
use firewatch_escalation::Policy;
use serde::Serialize;

pub use account::{Account, Alert};
pub use judge::{Judged, TellVerdict, Verdict, quantile};
pub use page::html;
pub(crate) use report::differ;
pub use report::{Differs, Report, Told};
pub use tables::tables;

use firewatch_report::Zone;
use crate::labels::Labels;
use crate::recorded::Chunk;
use judge::Truth;
use partitions::Partitions;
use track::{Track, Tracks};

/// A jump of time so far ahead is worth a word: what was open is over by then.
const JUMP: Duration = Duration::from_mins(7 * 24 * 60);
/// Faults of the input that are told one by one.
const TOLD: usize = 5;

/// Policies by name, and what they are tried on.
pub struct Plan {
    /// Names and policies; the first is what the others are compared with.
    pub policies: Vec<(String, Brain)>,
    /// What people said of conversations, if they did.
    pub labels: Option<Labels>,
    /// The recording's name in messages.
    pub input: String,
    /// Where days begin.
    pub zone: Zone,
}

/// Policies that work on the same conversations.
struct Group {
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
    plan: &'a Plan,
    bars: &'a [u64],
    groups: Vec<Group>,
    tracks: Vec<Tracks<'a>>,
    accounts: Vec<Account>,
    lateness: Duration,
    /// How far the desks have come.
    decided: Option<EventTime>,
    survey: Survey,
}

/// A recording that was worked through.
pub struct Ended<'a> {
    plan: &'a Plan,
    bars: &'a [u64],
    /// How the recording looked.
    pub survey: Survey,
    /// What each policy told.
    pub accounts: Vec<Account>,
    over: Vec<(Box<str>, Track)>,
}

impl Plan {
    /// All viral bars of all policies, mildest first.
    #[must_use]
    pub fn bars(&self) -> Vec<u64> {
        let of = |policy: &Policy| {
            let brands = policy.brands.values().map(|brand| brand.viral_bar);
            brands.chain([policy.unlisted.viral_bar]).collect::<Vec<u64>>()
        };
        let mut bars: Vec<u64> = self.policies.iter().flat_map(|(_, brain)| of(&brain.policy)).collect();
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
    fn groups(&self, partitions: usize) -> Vec<Group> {
        let mut groups: Vec<(Vec<usize>, &Brain, Vec<Policy>)> = Vec::new();
        for (i, (_, brain)) in self.policies.iter().enumerate() {
            match groups.iter_mut().find(|(_, first, _)| first.shares_with(brain)) {
                Some((policies, _, trials)) => {
                    policies.push(i);
                    trials.push(brain.policy.clone());
                }
                None => groups.push((vec![i], brain, vec![])),
            }
        }
        let group = |(policies, brain, trials): (Vec<usize>, &Brain, Vec<Policy>)| {
            // They were found to share.
            let with_trials = brain.clone().without_scores().with_trials(trials);
            let brain = with_trials.unwrap_or_else(|_| brain.clone().without_scores());
            Group { policies, partitions: Partitions::new(brain, partitions) }
        };
        groups.into_iter().map(group).collect()
    }
}

impl<'a> Backtest<'a> {
    /// Ready for the first chunk; on so many threads.
    #[must_use]
    pub fn new(plan: &'a Plan, (bars, labelled): (&'a [u64], &'a HashSet<String>), threads: usize) -> Self {
        let policies = || plan.policies.iter().map(|(_, brain)| &brain.policy);
        let horizon = policies().map(|policy| policy.horizon).max().unwrap_or_default();
        Self {
            plan,
            bars,
            groups: plan.groups(threads),
            tracks: (0..threads).map(|_| Tracks::new(bars, horizon, labelled)).collect(),
            accounts: vec![Account { zone: plan.zone.clone(), ..Account::default() }; plan.policies.len()],
            lateness: policies().map(|policy| policy.windows.lateness).max().unwrap_or_default(),
            decided: None,
            survey: Survey::default(),
        }
    }

    /// Takes the next records; hands on what each policy, by its place in the plan, tells.
    pub fn take(&mut self, chunk: &Chunk, sink: &mut impl FnMut(usize, &Escalation)) {
        self.look_at(chunk);
        let mut told = Vec::new();
        let (tracks, accounts) = (&mut self.tracks, &mut self.accounts);
        for (i, group) in self.groups.iter_mut().enumerate() {
            let mut sink = |effect| told.extend(by_policy(&group.policies, effect));
            if i == 0 {
                group.partitions.take(chunk, tracks, |tracks, taken| tracks.watch(&taken), &mut sink);
            } else {
                let mut none = vec![(); tracks.len()];
                group.partitions.take(chunk, &mut none, |(), _| (), &mut sink);
            }
        }
        settle((tracks, accounts), told, sink);
        // What was told now is of the chunk before.
        if let Some(now) = std::mem::replace(&mut self.decided, self.survey.span.map(|(_, now)| now)) {
            self.tracks.iter_mut().for_each(|tracks| tracks.sweep(now));
        }
    }

    /// Ends it: what waits is decided.
    #[must_use]
    pub fn finish(mut self, sink: &mut impl FnMut(usize, &Escalation)) -> Ended<'a> {
        let mut told = Vec::new();
        for group in &mut self.groups {
            let policies = &group.policies;
            group.partitions.finish(&mut |effect| told.extend(by_policy(policies, effect)));
        }
        settle((&mut self.tracks, &mut self.accounts), told, sink);
        let told = self.accounts.iter().flat_map(|account| account.first.keys().map(|(id, _)| id.clone()));
        let told: BTreeSet<String> = told.collect();
        for group in &self.groups {
            for (trial, policy) in (0..).zip(&group.policies) {
                let held = |id: &String| Some((id.clone(), group.partitions.held(trial, id)?));
                self.accounts[*policy].why_not = told.iter().filter_map(held).collect();
                self.accounts[*policy].held_back = group.partitions.held_back(trial);
            }
        }
        self.tracks.iter_mut().for_each(Tracks::finish);
        self.survey.conversations = self.tracks.iter().map(|tracks| tracks.begun).sum();
        let over = self.tracks.into_iter().flat_map(|tracks| tracks.over).collect();
        Ended { plan: self.plan, bars: self.bars, survey: self.survey, accounts: self.accounts, over }
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
    fn look_at(&mut self, chunk: &Chunk) {
        let Survey { records, rejected, late, span, faults, .. } = &mut self.survey;
        for (place, record) in chunk.told() {
            *records += 1;
            let mut fault = |problem: String| {
                if faults.len() < TOLD {
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
                    if at > last + JUMP {
                        fault(format!("jumps ahead from {last} to {at}; what was open is over by then"));
                    }
                    *span = Some((first.min(at), last.max(at)));
                }
            }
        }
    }
}

impl Ended<'_> {
    /// The report on all of it.
    #[must_use]
    pub fn report(&self) -> Report {
        report::of(self.plan, &self.survey, &self.accounts, &self.truth())
    }

    /// What the alerts of each policy for a team were worth, in the order of time.
    #[must_use]
    pub fn verdicts(&self, team: &str) -> Vec<Vec<Verdict>> {
        let truth = self.truth();
        let of = |((_, brain), account): (&(String, Brain), &Account)| {
            truth.verdicts(team, account, &|brand| brain.policy.bar_of(brand))
        };
        self.plan.policies.iter().zip(&self.accounts).map(of).collect()
    }

    fn truth(&self) -> Truth<'_> {
        Truth::new(&self.over, self.plan.labels.as_ref(), self.bars)
    }
}

/// What an effect tells, and of which policy.
fn by_policy(policies: &[usize], effect: Effect) -> Option<(usize, Escalation)> {
    match effect {
        Effect::Escalation(record) => Some((*policies.first()?, *record)),
        Effect::Trial(trial, record) => Some((*policies.get(trial as usize)?, *record)),
        _ => None,
    }
}

fn settle(
    (tracks, accounts): (&mut [Tracks<'_>], &mut [Account]),
    mut told: Vec<(usize, Escalation)>,
    sink: &mut impl FnMut(usize, &Escalation),
) {
    told.sort_by(|(_, a), (_, b)| (a.at, &a.id).cmp(&(b.at, &b.id)));
    for (policy, record) in &told {
        accounts[*policy].take(record);
        if record.members.is_none() {
            tracks[partitions::partition_of(&record.conversation, tracks.len())].tell(&record.conversation);
        }
        sink(*policy, record);
    }
}
