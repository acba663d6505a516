//! What two policies told on the live stream, one in force and one on trial, as a report like that of a backtest.
//!
//! Right is what people said was useful; nothing else is known of what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use firewatch_domain::{Action, Escalation, EventTime};
use firewatch_engine::{Record, Stream};

use crate::recordings::{Place, decode_record};
use crate::run::{
    AlertTally, AlertVerdict, BacktestReport, ConversationVerdict, PolicyOutcome, Survey, TeamAccuracy,
    differ,
};
use firewatch_report::Zone;

/// Faults that are told one by one.
const MAX_REPORTED_FAULTS: usize = 5;

/// One of the two.
#[derive(Debug, Default)]
struct Side {
    tally: AlertTally,
    /// Versions and hashes of the policies that decided.
    policies: BTreeSet<(String, String)>,
    records: Vec<Escalation>,
}

/// The two, as they are read.
#[derive(Debug, Default)]
pub struct LiveComparison {
    sides: [Side; 2],
    /// What people said, by conversation and team; no team stands for all that were told.
    verdicts: BTreeMap<(String, Option<String>), (EventTime, bool)>,
    survey: Survey,
}

impl LiveComparison {
    /// Takes a record that one of the two told: 0 for the one in force, 1 for the one on trial.
    pub fn push_escalation(&mut self, side: usize, place: impl fmt::Display, value: &[u8]) {
        match serde_json::from_slice::<Escalation>(value) {
            Ok(record) => {
                self.survey.records += 1;
                let (from, to) = self.survey.span.unwrap_or((record.at, record.at));
                self.survey.span = Some((from.min(record.at), to.max(record.at)));
                self.sides[side].records.push(record);
            }
            Err(e) => self.reject(place, &e),
        }
    }

    /// Takes what somebody did.
    pub fn push_action(&mut self, place: impl fmt::Display, value: &[u8]) {
        match decode_record(Stream::Actions, Place { source: 0, number: 0 }, value) {
            Ok(Record::Action(Action { kind, conversation, team, at, .. })) => {
                let Some(useful) = kind.verdict() else { return };
                let verdict = self.verdicts.entry((conversation, team)).or_insert((at, useful));
                if verdict.0 <= at {
                    *verdict = (at, useful);
                }
            }
            Ok(_) => {}
            Err(e) => self.reject(place, &e),
        }
    }

    fn reject(&mut self, place: impl fmt::Display, problem: &impl fmt::Display) {
        self.survey.rejected += 1;
        if self.survey.faults.len() < MAX_REPORTED_FAULTS {
            self.survey.faults.push(format!("{place}: {problem}"));
        }
    }

    /// The report; names are of the one in force and of the one on trial.
    #[must_use]
    pub fn report(mut self, input: &str, names: [&str; 2]) -> BacktestReport {
        for side in &mut self.sides {
            // Partitions were read one after the other.
            side.records.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
            side.records.dedup_by(|a, b| a.id == b.id);
            for record in side.records.drain(..) {
                side.tally.record(&record);
                side.policies.insert((record.policy, record.policy_hash));
            }
        }
        let all = |of: fn(&(String, String)) -> &String, side: &Side| {
            side.policies.iter().map(of).cloned().collect::<Vec<_>>().join(", ")
        };
        let outcome = |(side, name): (&Side, &str)| {
            let policy = (all(|(version, _)| version, side), all(|(_, hash)| hash, side));
            let judged =
                |team: &str| TeamAccuracy::from_verdicts(team, &self.team_verdicts(team, &side.tally));
            PolicyOutcome::from_tally(name, policy, self.survey.days(), &side.tally, &judged)
        };
        let policies = self.sides.iter().zip(names).map(outcome).collect();
        let conversations: BTreeSet<&String> =
            self.sides.iter().flat_map(|side| side.tally.first_alerts.keys().map(|(id, _)| id)).collect();
        let survey = Survey { conversations: conversations.len() as u64, ..self.survey.clone() };
        let tallies = self.sides.each_mut().map(|side| std::mem::take(&mut side.tally));
        BacktestReport {
            input: input.into(),
            survey,
            unknown_labels: 0,
            zone: Zone::default(),
            partial: None,
            judged_by: "verdicts",
            policies,
            differ: differ(&tallies, &|id| (None, self.any_verdict(id))),
        }
    }

    /// The last verdict on a conversation for a team.
    fn verdict(&self, conversation: &str, team: &str) -> Option<bool> {
        let verdict_of = |team: Option<String>| self.verdicts.get(&(conversation.to_owned(), team));
        [verdict_of(None), verdict_of(Some(team.into()))]
            .into_iter()
            .flatten()
            .max_by_key(|(at, _)| *at)
            .map(|(_, useful)| *useful)
    }

    /// The last verdict on a conversation for any team.
    fn any_verdict(&self, conversation: &str) -> Option<bool> {
        let from = (conversation.to_owned(), None);
        let all = self
            .verdicts
            .range(from..)
            .take_while(|((verdict_conversation, _), _)| verdict_conversation == conversation);
        all.map(|(_, verdict)| *verdict).max_by_key(|(at, _)| *at).map(|(_, useful)| useful)
    }

    /// What was said of what a team was told, and of what it was not told by this one and wanted.
    fn team_verdicts(&self, team: &str, tally: &AlertTally) -> Vec<ConversationVerdict> {
        let mut alerts: BTreeMap<&str, Option<AlertVerdict>> = BTreeMap::new();
        for side in &self.sides {
            let own = side.tally.first_alerts.values().filter(|alert| alert.team == team);
            alerts.extend(own.map(|alert| (alert.conversation.as_str(), None)));
        }
        for alert in tally.first_alerts.values().filter(|alert| alert.team == team) {
            let verdict =
                AlertVerdict { at: alert.at, in_time: true, lead_minutes: None, reach_to_come: None };
            alerts.insert(&alert.conversation, Some(verdict));
        }
        let verdict = |(conversation, alert): (&str, Option<AlertVerdict>)| ConversationVerdict {
            conversation: conversation.into(),
            began: alert.map_or(EventTime::EARLIEST, |alert| alert.at),
            wanted: self.verdict(conversation, team),
            alert,
            answered: None,
        };
        alerts.into_iter().map(verdict).collect()
    }
}
