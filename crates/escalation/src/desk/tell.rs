//! From a case and its life to the record that a team reads.

use firewatch_domain::{Escalation, EscalationState, EventTime, News, SCHEMA_VERSION};

use super::case::Case;
use super::twins::Related;
use crate::policy::{Brand, Policy};
use crate::{Life, PR, storm_brand};

/// A decision that tells nobody, or not yet, and its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// When it was taken.
    pub at: EventTime,
    /// What was decided.
    pub kind: NoteKind,
    /// The conversation.
    pub conversation: String,
    /// What was decided and why, in words.
    pub words: String,
}

/// Decisions that tell nobody, or not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoteKind {
    /// A route holds, or does no more.
    OnRoute,
    /// The brand has answered, and the route asks for nothing then.
    Answered,
    /// It is part of a storm, which is told instead.
    InStorm,
    /// It is part of a group, which is told instead.
    InGroup,
    /// The team sleeps.
    Asleep,
    /// The team's budget is used up for now.
    OverBudget,
    /// It is silenced.
    Silenced,
}

impl NoteKind {
    /// What keeps a team from being told, by name; none for what keeps nobody from it.
    #[must_use]
    pub fn holds_back(self) -> Option<&'static str> {
        Some(match self {
            Self::OnRoute => return None,
            Self::Answered => "answered",
            Self::InStorm => "in_storm",
            Self::InGroup => "in_group",
            Self::Asleep => "asleep",
            Self::OverBudget => "over_budget",
            Self::Silenced => "silenced",
        })
    }
}

/// Which notes are taken.
#[derive(Debug, Default)]
pub enum Notes<'a> {
    /// None.
    #[default]
    None,
    /// Of what holds alerts back, without words.
    HeldBack(&'a mut Vec<Note>),
    /// All of them, in words.
    All(&'a mut Vec<Note>),
}

impl Notes<'_> {
    /// The same for a while.
    pub(crate) fn again(&mut self) -> Notes<'_> {
        match self {
            Self::None => Notes::None,
            Self::HeldBack(notes) => Notes::HeldBack(notes),
            Self::All(notes) => Notes::All(notes),
        }
    }
}

/// Where decisions go, and what they need to be told.
pub(crate) struct Telling<'a> {
    pub now: EventTime,
    pub brand: &'a str,
    pub policy: &'a Policy,
    pub told: &'a mut Vec<Escalation>,
    /// Where decisions that tell nobody go, when somebody asks.
    pub notes: Notes<'a>,
}

/// A case by its id, with one of its lives.
#[derive(Clone, Copy)]
pub(crate) struct Of<'a> {
    pub id: &'a str,
    pub case: &'a Case,
    pub life: &'a Life,
}

impl Telling<'_> {
    /// The policy's words about this brand.
    pub fn terms(&self) -> &Brand {
        self.policy.brand(Some(self.brand))
    }

    /// Takes note of a decision that tells nobody.
    pub fn note(&mut self, kind: NoteKind, conversation: &str, words: impl FnOnce() -> String) {
        let at = self.now;
        let note = |words| Note { at, kind, conversation: conversation.into(), words };
        match &mut self.notes {
            Notes::All(notes) => notes.push(note(words())),
            Notes::HeldBack(notes) if kind.holds_back().is_some() => notes.push(note(String::new())),
            Notes::HeldBack(_) | Notes::None => {}
        }
    }

    /// Tells a step whose reason is all that is new.
    pub fn step(&mut self, of: Of<'_>, news: News, reason: String) {
        let record = self.record(of, news, vec![reason]);
        self.told.push(record);
    }

    /// Tells a step with all that is known.
    pub fn whole(&mut self, of: Of<'_>, news: News, reason: String) {
        let mut reasons = vec![reason];
        reasons.extend_from_slice(&of.case.reasons);
        reasons.extend(of.case.related.iter().map(Related::in_words));
        let mut record = self.record(of, news, reasons);
        record.contributions.clone_from(&of.case.contributions);
        record.advice.clone_from(&of.case.advice);
        self.told.push(record);
    }

    /// The record of a step.
    pub fn record(&self, Of { id, case, life }: Of<'_>, news: News, reasons: Vec<String>) -> Escalation {
        let escalation = match case.began {
            Some(began) => format!("{id}/{began}/{}/{}", life.team, life.round),
            None => format!("{id}/{}/{}", life.team, life.round),
        };
        let is_storm = storm_brand(id).is_some();
        let waits = case.answered.is_none() && !life.state.is_final();
        Escalation {
            v: SCHEMA_VERSION,
            id: format!("{escalation}/{}", life.step),
            escalation,
            step: life.step,
            news,
            state: life.state,
            team: life.owner.clone(),
            level: life.level,
            conversation: id.into(),
            brand: Some(self.brand).filter(|b| self.policy.brands.contains_key(*b)).map(Into::into),
            platform: case.platform.clone(),
            topics: if is_storm { case.topics.clone() } else { vec![] },
            related: case.related.iter().map(|related| related.conversation.clone()).collect(),
            at: self.now,
            posted_at: case.posted_at,
            risk: case.risk,
            reasons,
            contributions: vec![],
            advice: vec![],
            excerpt: case.excerpt.clone().filter(|_| life.team == PR || life.owner == PR),
            route: Some(life.route.clone()),
            handed_over_by: None,
            respond_by: case.respond_by(self.terms()).filter(|_| waits),
            members: case.members,
            policy: self.policy.version.clone(),
            policy_hash: self.policy.hash.clone(),
            trace: case.trace.clone(),
        }
    }

    /// Moves every escalation of a case on to a state, and tells those that moved.
    pub fn move_all(&mut self, id: &str, case: &mut Case, state: EscalationState, reason: &str) {
        for i in 0..case.lives.len() {
            if case.lives[i].move_to(state, self.now) {
                self.step(Of { id, case, life: &case.lives[i] }, News::Moved, reason.to_owned());
            }
        }
    }
}
