//! Builds the escalation records that teams receive, and records decisions that notify nobody.

use firewatch_domain::{
    Escalation, EscalationChange, EscalationState, EventTime, IncidentId, IncidentKind, Reason, ReasonKind,
    SCHEMA_VERSION,
};

use super::incident::Incident;
use super::related::Related;
use super::verdict::Suppression;
use crate::policy::{Brand, Policy};
use crate::{Lifecycle, PR, UNLISTED_BRAND};

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
    /// The team has a live escalation at this level.
    Known,
    /// A person ended the escalation, and it is no worse.
    ClosedByPerson,
    /// The policy no longer has the route, and the conversation has ended.
    RouteRemoved,
    /// A person's action changed nothing.
    NoChange,
}

impl From<&Suppression> for DecisionKind {
    fn from(suppression: &Suppression) -> Self {
        match suppression {
            Suppression::Answered => Self::Answered,
            Suppression::Known(_) => Self::Known,
            Suppression::ClosedByPerson(_) => Self::ClosedByPerson,
            Suppression::InStorm { .. } => Self::InStorm,
            Suppression::SilencedByPerson(_) | Suppression::SilencedByPolicy { .. } => Self::Silenced,
            Suppression::Asleep { .. } | Suppression::NeverAwake(_) => Self::Asleep,
            Suppression::RouteRemoved(_) => Self::RouteRemoved,
            Suppression::OverBudget(_) => Self::OverBudget,
            Suppression::InGroup(_) => Self::InGroup,
        }
    }
}

impl DecisionKind {
    /// Returns the name of the suppression reason; `None` for what suppresses nothing.
    #[must_use]
    pub fn suppression_reason(self) -> Option<&'static str> {
        Some(match self {
            Self::RouteChanged | Self::NoChange | Self::Known => return None,
            Self::Answered => "answered",
            Self::InStorm => "in_storm",
            Self::InGroup => "in_group",
            Self::Asleep => "asleep",
            Self::OverBudget => "over_budget",
            Self::Silenced => "silenced",
            Self::ClosedByPerson => "closed_by_person",
            Self::RouteRemoved => "route_removed",
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
    pub id: &'a IncidentId,
    pub incident: &'a Incident,
    pub lifecycle: &'a Lifecycle,
}

impl EscalationRef<'_> {
    /// Returns the escalation's id, which all its records share.
    pub fn escalation_id(&self) -> String {
        let Self { id, incident, lifecycle } = self;
        match incident.conversation() {
            Some(conversation) => {
                format!("{id}/{}/{}/{}", conversation.began, lifecycle.team, lifecycle.open_count)
            }
            None => format!("{id}/{}/{}", lifecycle.team, lifecycle.open_count),
        }
    }
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
        id: &IncidentId,
        description: impl FnOnce() -> String,
    ) {
        let at = self.now;
        let decision = |description| Decision { at, kind, conversation: id.to_string(), description };
        match &mut self.decision_trace {
            DecisionTrace::All(decisions) => decisions.push(decision(description())),
            DecisionTrace::Suppressions(decisions) if kind.suppression_reason().is_some() => {
                decisions.push(decision(String::new()));
            }
            DecisionTrace::Suppressions(_) | DecisionTrace::Off => {}
        }
    }

    /// Records why a team is not notified, or not yet.
    pub fn record_suppression(&mut self, suppression: &Suppression, id: &IncidentId, team: &str) {
        let policy = self.policy;
        self.record_decision(suppression.into(), id, || suppression.describe(team, policy));
    }

    /// Emits a step with what happened.
    pub fn emit_step(&mut self, escalation: EscalationRef<'_>, change: EscalationChange, happened: String) {
        let mut record = self.record(escalation, change);
        record.happened = Some(happened);
        self.escalations.push(record);
    }

    /// Emits a step with what happened and everything that the incident lists.
    pub fn emit_list(&mut self, escalation: EscalationRef<'_>, change: EscalationChange, happened: String) {
        let mut record = self.record(escalation, change);
        record.happened = Some(happened);
        record.reasons.extend(escalation.incident.reasons.iter().cloned());
        self.escalations.push(record);
    }

    /// Emits an opening or a raise, with all reasons, contributions and advice. `again` says what preceded the
    /// opening of an escalation that had ended.
    pub fn emit_full(
        &mut self,
        escalation: EscalationRef<'_>,
        change: EscalationChange,
        again: Option<String>,
    ) {
        let incident = escalation.incident;
        let mut record = self.record(escalation, change);
        record.reasons.extend(again.map(|text| Reason::new(ReasonKind::Reopened, text)));
        record.reasons.extend(incident.reasons.iter().cloned());
        record.advice.clone_from(&incident.advice);
        if let Some(conversation) = incident.conversation() {
            record.reasons.extend(conversation.related.iter().map(Related::reason));
            record.contributions.clone_from(&conversation.contributions);
        }
        self.escalations.push(record);
    }

    /// Builds the record of a step, without contributions and advice.
    pub fn record(&self, escalation: EscalationRef<'_>, change: EscalationChange) -> Escalation {
        let EscalationRef { id, incident, lifecycle } = escalation;
        let conversation = incident.conversation();
        let escalation = escalation.escalation_id();
        let awaits_answer = lifecycle.is_live() && conversation.is_none_or(|c| c.answered_at.is_none());
        let related = conversation.map_or(&[][..], |conversation| &conversation.related);
        let excerpt = conversation.and_then(|conversation| conversation.excerpt.clone());
        let silenced_until = incident.silenced_by_person(&lifecycle.team);
        let links = incident.links.as_deref();
        Escalation {
            v: SCHEMA_VERSION,
            id: format!("{escalation}/{}", lifecycle.step),
            escalation,
            step: lifecycle.step,
            change,
            state: lifecycle.state,
            team: lifecycle.owner.clone(),
            level: lifecycle.level,
            conversation: id.to_string(),
            incident: Some(id.kind()),
            brand: Some(self.brand).filter(|brand| *brand != UNLISTED_BRAND).map(Into::into),
            platform: conversation.and_then(|conversation| conversation.platform.clone()),
            topics: if id.kind() == IncidentKind::Storm { incident.topics.clone() } else { vec![] },
            related: related.iter().map(|related| related.conversation.clone()).collect(),
            // An action counts at its own time, which may be after the windows that are still open.
            at: self.now.max(lifecycle.notified_at),
            posted_at: incident.posted_at,
            risk: conversation.and_then(|conversation| conversation.risk),
            reasons: vec![Reason::new(lifecycle.route.reason_kind(), &lifecycle.reason)].into(),
            happened: None,
            acknowledged_by: lifecycle.acknowledged_by.clone(),
            silenced_until: silenced_until.filter(|until| *until > self.now),
            contributions: vec![],
            advice: vec![],
            excerpt: excerpt.filter(|_| lifecycle.team == PR || lifecycle.owner == PR),
            url: links.and_then(|links| links.post.clone()),
            author_url: links.and_then(|links| links.author.clone()),
            route: Some(lifecycle.route.to_string()),
            handed_over_by: None,
            respond_by: incident.respond_by(self.brand_policy()).filter(|_| awaits_answer),
            members: incident.details.members(),
            policy: self.policy.version.clone(),
            policy_hash: self.policy.hash.clone(),
            trace: incident.trace.clone(),
        }
    }

    /// Moves every escalation of an incident to a state, and emits those that moved.
    pub fn move_all(
        &mut self,
        id: &IncidentId,
        incident: &mut Incident,
        state: EscalationState,
        happened: &str,
    ) {
        for i in 0..incident.lifecycles.len() {
            if incident.lifecycles[i].move_to(state, self.now) {
                self.emit_step(
                    EscalationRef { id, incident, lifecycle: &incident.lifecycles[i] },
                    EscalationChange::Moved,
                    happened.to_owned(),
                );
            }
        }
    }

    /// Emits that another team owns an escalation, to that team and to the one before.
    pub fn emit_hand_over(&mut self, escalation: EscalationRef<'_>, previous: String, happened: String) {
        let mut record = self.record(escalation, EscalationChange::HandedOver);
        record.happened = Some(happened);
        record.handed_over_by = Some(previous).filter(|previous| *previous != record.team);
        self.escalations.push(record);
    }
}
