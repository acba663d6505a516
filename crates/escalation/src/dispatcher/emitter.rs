//! Builds the escalation records that teams receive, and records decisions that notify nobody.

use firewatch_domain::{Escalation, EscalationChange, EscalationState, EventTime, SCHEMA_VERSION};

use super::incident::Incident;
use super::related::Related;
use crate::policy::{Brand, Policy};
use crate::{Lifecycle, PR, storm_brand};

/// A decision that notifies nobody, or not yet, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Event time of the decision.
    pub at: EventTime,
    /// Kind of decision.
    pub kind: DecisionKind,
    /// The incident's id: a conversation, storm or group.
    pub conversation: String,
    /// The decision and its reason in plain words. Empty unless the trace is `DecisionTrace::All`.
    pub description: String,
}

/// Kinds of decision that notify nobody, or not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DecisionKind {
    /// A route matches, or no longer does.
    RouteChanged,
    /// The brand has answered, and the route has `unless_answered`.
    Answered,
    /// It is part of a storm, which is emitted instead.
    InStorm,
    /// It is part of a group, which is emitted instead.
    InGroup,
    /// The team has quiet hours.
    Asleep,
    /// The team's budget is used up.
    OverBudget,
    /// A silence applies.
    Silenced,
}

impl DecisionKind {
    /// Returns the name of the suppression reason; `None` for a change of routes, which suppresses nothing.
    #[must_use]
    pub fn suppression_reason(self) -> Option<&'static str> {
        Some(match self {
            Self::RouteChanged => return None,
            Self::Answered => "answered",
            Self::InStorm => "in_storm",
            Self::InGroup => "in_group",
            Self::Asleep => "asleep",
            Self::OverBudget => "over_budget",
            Self::Silenced => "silenced",
        })
    }
}

/// Which decisions that notify nobody are recorded.
#[derive(Debug, Default)]
pub enum DecisionTrace<'a> {
    /// None of them.
    #[default]
    Off,
    /// Suppressions only, without descriptions.
    Suppressions(&'a mut Vec<Decision>),
    /// All of them, with descriptions.
    All(&'a mut Vec<Decision>),
}

impl DecisionTrace<'_> {
    /// Borrows the trace again for a shorter time.
    pub(crate) fn reborrow(&mut self) -> DecisionTrace<'_> {
        match self {
            Self::Off => DecisionTrace::Off,
            Self::Suppressions(decisions) => DecisionTrace::Suppressions(decisions),
            Self::All(decisions) => DecisionTrace::All(decisions),
        }
    }
}

/// Collects the escalations of a window, with the time, the brand and the policy they need.
pub(crate) struct Emitter<'a> {
    pub now: EventTime,
    pub brand: &'a str,
    pub policy: &'a Policy,
    pub escalations: &'a mut Vec<Escalation>,
    /// Receives decisions that notify nobody.
    pub decision_trace: DecisionTrace<'a>,
}

/// An incident with its id and one of its lifecycles.
#[derive(Clone, Copy)]
pub(crate) struct EscalationRef<'a> {
    pub id: &'a str,
    pub incident: &'a Incident,
    pub lifecycle: &'a Lifecycle,
}

impl Emitter<'_> {
    /// Returns the policy's settings for this brand.
    pub fn brand_policy(&self) -> &Brand {
        self.policy.brand(Some(self.brand))
    }

    /// Records a decision that notifies nobody. The description is built only when somebody reads it.
    pub fn record_decision(
        &mut self,
        kind: DecisionKind,
        conversation: &str,
        description: impl FnOnce() -> String,
    ) {
        let at = self.now;
        let decision = |description| Decision { at, kind, conversation: conversation.into(), description };
        match &mut self.decision_trace {
            DecisionTrace::All(decisions) => decisions.push(decision(description())),
            DecisionTrace::Suppressions(decisions) if kind.suppression_reason().is_some() => {
                decisions.push(decision(String::new()));
            }
            DecisionTrace::Suppressions(_) | DecisionTrace::Off => {}
        }
    }

    /// Emits a step with a single reason.
    pub fn emit_step(&mut self, escalation: EscalationRef<'_>, change: EscalationChange, reason: String) {
        let record = self.record(escalation, change, vec![reason]);
        self.escalations.push(record);
    }

    /// Emits a step with all reasons, contributions and advice.
    pub fn emit_full(&mut self, escalation: EscalationRef<'_>, change: EscalationChange, reason: String) {
        let mut reasons = vec![reason];
        reasons.extend_from_slice(&escalation.incident.reasons);
        reasons.extend(escalation.incident.related.iter().map(Related::describe));
        let mut record = self.record(escalation, change, reasons);
        record.contributions.clone_from(&escalation.incident.contributions);
        record.advice.clone_from(&escalation.incident.advice);
        self.escalations.push(record);
    }

    /// Builds the record of a step, without contributions and advice.
    pub fn record(
        &self,
        EscalationRef { id, incident, lifecycle }: EscalationRef<'_>,
        change: EscalationChange,
        reasons: Vec<String>,
    ) -> Escalation {
        let escalation = match incident.began {
            Some(began) => format!("{id}/{began}/{}/{}", lifecycle.team, lifecycle.open_count),
            None => format!("{id}/{}/{}", lifecycle.team, lifecycle.open_count),
        };
        let is_storm = storm_brand(id).is_some();
        let awaits_answer = incident.answered_at.is_none() && !lifecycle.state.is_final();
        Escalation {
            v: SCHEMA_VERSION,
            id: format!("{escalation}/{}", lifecycle.step),
            escalation,
            step: lifecycle.step,
            change,
            state: lifecycle.state,
            team: lifecycle.owner.clone(),
            level: lifecycle.level,
            conversation: id.into(),
            brand: Some(self.brand).filter(|b| self.policy.brands.contains_key(*b)).map(Into::into),
            platform: incident.platform.clone(),
            topics: if is_storm { incident.topics.clone() } else { vec![] },
            related: incident.related.iter().map(|related| related.conversation.clone()).collect(),
            at: self.now,
            posted_at: incident.posted_at,
            risk: incident.risk,
            reasons,
            contributions: vec![],
            advice: vec![],
            excerpt: incident.excerpt.clone().filter(|_| lifecycle.team == PR || lifecycle.owner == PR),
            route: Some(lifecycle.route.clone()),
            handed_over_by: None,
            respond_by: incident.respond_by(self.brand_policy()).filter(|_| awaits_answer),
            members: incident.members,
            policy: self.policy.version.clone(),
            policy_hash: self.policy.hash.clone(),
            trace: incident.trace.clone(),
        }
    }

    /// Moves every escalation of an incident to a state, and emits those that moved.
    pub fn move_all(&mut self, id: &str, incident: &mut Incident, state: EscalationState, reason: &str) {
        for i in 0..incident.lifecycles.len() {
            if incident.lifecycles[i].move_to(state, self.now) {
                self.emit_step(
                    EscalationRef { id, incident, lifecycle: &incident.lifecycles[i] },
                    EscalationChange::Moved,
                    reason.to_owned(),
                );
            }
        }
    }
}
