//! Compares the active policy and a shadow policy on the live stream, in a report like that of a backtest.
//!
//! An alert is right if people judged it useful; no other outcome is known.

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

/// Maximum number of faults listed.
const MAX_REPORTED_FAULTS: usize = 5;

/// The records of one policy.
#[derive(Debug, Default)]
struct Side {
    tally: AlertTally,
    /// Versions and hashes of the policies that made the decisions.
    policies: BTreeSet<(String, String)>,
    records: Vec<Escalation>,
}

/// Collects the escalations of both policies, and people's verdicts.
#[derive(Debug, Default)]
pub struct LiveComparison {
    sides: [Side; 2],
    /// Verdicts by conversation and team; `None` applies to every alerted team.
    verdicts: BTreeMap<(String, Option<String>), (EventTime, bool)>,
    survey: Survey,
}

impl LiveComparison {
    /// Adds an escalation record: side 0 is the active policy, side 1 the shadow policy.
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

    /// Adds an action; only verdicts count.
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

    /// Builds the report; `names` are those of the active and the shadow policy.
    #[must_use]
    pub fn report(mut self, input: &str, names: [&str; 2]) -> BacktestReport {
        for side in &mut self.sides {
            // Partitions are read one after the other, so records are not in the order of time.
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
            let (versions, hashes) = (all(|(version, _)| version, side), all(|(_, hash)| hash, side));
            let judged =
                |team: &str| TeamAccuracy::from_verdicts(team, &self.team_verdicts(team, &side.tally));
            PolicyOutcome::from_tally(name, versions, hashes, self.survey.days(), &side.tally, &judged)
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

    /// Returns the last verdict on a conversation for a team.
    fn verdict(&self, conversation: &str, team: &str) -> Option<bool> {
        let verdict_of = |team: Option<String>| self.verdicts.get(&(conversation.to_owned(), team));
        [verdict_of(None), verdict_of(Some(team.into()))]
            .into_iter()
            .flatten()
            .max_by_key(|(at, _)| *at)
            .map(|(_, useful)| *useful)
    }

    /// Returns the last verdict on a conversation for any team.
    fn any_verdict(&self, conversation: &str) -> Option<bool> {
        let from = (conversation.to_owned(), None);
        let all = self
            .verdicts
            .range(from..)
            .take_while(|((verdict_conversation, _), _)| verdict_conversation == conversation);
        all.map(|(_, verdict)| *verdict).max_by_key(|(at, _)| *at).map(|(_, useful)| useful)
    }

    /// Returns the verdicts on the conversations that either policy alerted a team of; `alert` is set for
    /// those of this tally.
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
