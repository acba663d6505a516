//! What two policies told on the live stream, one in force and one on trial, as a report like that of a backtest.
//!
//! Right is what people said was useful; nothing else is known of what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use firewatch_domain::{Action, Escalation, EventTime};
use firewatch_engine::{Record, Stream};

use firewatch_report::Zone;
use crate::run::{Account, Judged, Report, Survey, TellVerdict, Told, Verdict, differ};
use crate::recorded::{Place, decoded};

/// Faults that are told one by one.
const TOLD: usize = 5;

/// One of the two.
#[derive(Debug, Default)]
struct Side {
    account: Account,
    /// Versions and hashes of the policies that decided.
    policies: BTreeSet<(String, String)>,
    records: Vec<Escalation>,
}

/// The two, as they are read.
#[derive(Debug, Default)]
pub struct Live {
    sides: [Side; 2],
    /// What people said, by conversation and team; no team stands for all that were told.
    verdicts: BTreeMap<(String, Option<String>), (EventTime, bool)>,
    survey: Survey,
}

impl Live {
    /// Takes a record that one of the two told: 0 for the one in force, 1 for the one on trial.
    pub fn told(&mut self, side: usize, place: impl fmt::Display, value: &[u8]) {
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
    pub fn done(&mut self, place: impl fmt::Display, value: &[u8]) {
        match decoded(Stream::Actions, Place { source: 0, number: 0 }, value) {
            Ok(Record::Action(Action { kind, conversation, team, at, .. })) => {
                let Some(useful) = kind.verdict() else { return };
                let said = self.verdicts.entry((conversation, team)).or_insert((at, useful));
                if said.0 <= at {
                    *said = (at, useful);
                }
            }
            Ok(_) => {}
            Err(e) => self.reject(place, &e),
        }
    }

    fn reject(&mut self, place: impl fmt::Display, problem: &impl fmt::Display) {
        self.survey.rejected += 1;
        if self.survey.faults.len() < TOLD {
            self.survey.faults.push(format!("{place}: {problem}"));
        }
    }

    /// The report; names are of the one in force and of the one on trial.
    #[must_use]
    pub fn report(mut self, input: &str, names: [&str; 2]) -> Report {
        for side in &mut self.sides {
            // Partitions were read one after the other.
            side.records.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
            side.records.dedup_by(|a, b| a.id == b.id);
            for record in side.records.drain(..) {
                side.account.take(&record);
                side.policies.insert((record.policy, record.policy_hash));
            }
        }
        let all = |of: fn(&(String, String)) -> &String, side: &Side| {
            side.policies.iter().map(of).cloned().collect::<Vec<_>>().join(", ")
        };
        let told = |(side, name): (&Side, &str)| {
            let policy = (all(|(version, _)| version, side), all(|(_, hash)| hash, side));
            let judged = |team: &str| Judged::of(team, &self.of_team(team, &side.account));
            Told::of(name, policy, self.survey.days(), &side.account, &judged)
        };
        let policies = self.sides.iter().zip(names).map(told).collect();
        let conversations: BTreeSet<&String> =
            self.sides.iter().flat_map(|side| side.account.first.keys().map(|(id, _)| id)).collect();
        let survey = Survey { conversations: conversations.len() as u64, ..self.survey.clone() };
        let accounts = self.sides.each_mut().map(|side| std::mem::take(&mut side.account));
        Report {
            input: input.into(),
            survey,
            unknown_labels: 0,
            zone: Zone::default(),
            partial: None,
            judged_by: "verdicts",
            policies,
            differ: differ(&accounts, &|id| (None, self.of_any(id))),
        }
    }

    /// The last verdict on a conversation for a team.
    fn verdict(&self, conversation: &str, team: &str) -> Option<bool> {
        let of = |team: Option<String>| self.verdicts.get(&(conversation.to_owned(), team));
        [of(None), of(Some(team.into()))]
            .into_iter()
            .flatten()
            .max_by_key(|(at, _)| *at)
            .map(|(_, useful)| *useful)
    }

    /// The last verdict on a conversation for any team.
    fn of_any(&self, conversation: &str) -> Option<bool> {
        let from = (conversation.to_owned(), None);
        let all = self.verdicts.range(from..).take_while(|((of, _), _)| of == conversation);
        all.map(|(_, said)| *said).max_by_key(|(at, _)| *at).map(|(_, useful)| useful)
    }

    /// What was said of what a team was told, and of what it was not told by this one and wanted.
    fn of_team(&self, team: &str, account: &Account) -> Vec<Verdict> {
        let mut told: BTreeMap<&str, Option<TellVerdict>> = BTreeMap::new();
        for side in &self.sides {
            let own = side.account.first.values().filter(|alert| alert.team == team);
            told.extend(own.map(|alert| (alert.conversation.as_str(), None)));
        }
        for alert in account.first.values().filter(|alert| alert.team == team) {
            let verdict = TellVerdict { at: alert.at, in_time: true, gained: None, to_come: None };
            told.insert(&alert.conversation, Some(verdict));
        }
        let verdict = |(conversation, told): (&str, Option<TellVerdict>)| Verdict {
            conversation: conversation.into(),
            began: told.map_or(EventTime::EARLIEST, |told| told.at),
            wanted: self.verdict(conversation, team),
            told,
            answered: None,
        };
        told.into_iter().map(verdict).collect()
    }
}
