//! Deadlines of an incident: first answer, stalled hand-off, tiers, reminders, and the next time to process
//! it.

use firewatch_domain::{Duration, EscalationState, EventTime};

use super::active_route::ActiveRoute;
use super::emitter::Emitter;
use super::incident::Incident;
use crate::Lifecycle;
use crate::lifecycle::AnswerClock;
use crate::policy::{Brand, Policy, hours};

impl Incident {
    /// Returns when the first public answer is due: of the conversation, or the earliest in a collection.
    pub(super) fn respond_by(&self, brand: &Brand) -> Option<EventTime> {
        let Some(conversation) = self.conversation() else {
            return self.details.collection().and_then(|collection| collection.respond_by);
        };
        let from = self.posted_at.unwrap_or(conversation.began);
        Some(hours::after(brand.hours.as_ref(), from, brand.first_response))
    }

    /// Returns when a team is owed the first public answer to a conversation: `None` after an answer, and when none of
    /// the team's routes waits for one.
    pub(super) fn answer_due(&self, team: &str, out: &Emitter<'_>) -> Option<EventTime> {
        self.conversation().filter(|conversation| conversation.answered_at.is_none())?;
        let waits = |active: &ActiveRoute| {
            !active.lapsed
                && active.waits_for_answer(out.policy)
                && self.team(active, out.policy) == Some(team)
        };
        self.respond_by(out.brand_policy()).filter(|_| self.routes.iter().any(waits))
    }

    /// Starts the clock of the first answer for a team that knows of the conversation, when the first of its routes
    /// that waits for an answer is decided.
    pub(super) fn start_clock(&mut self, team: &str, out: &Emitter<'_>) {
        let waiting = |active: &&ActiveRoute| {
            active.waits_for_answer(out.policy) && self.team(active, out.policy) == Some(team)
        };
        let mut all = self.routes.iter().filter(waiting);
        let Some(due) = self.answer_due(team, out).filter(|_| all.all(|active| !active.decided)) else {
            return;
        };
        let is_of_team: Vec<bool> = {
            let routes = self.conversation().into_iter().flat_map(|conversation| &conversation.memberships);
            routes.map(|membership| self.team_of(&membership.route, out.policy) == Some(team)).collect()
        };
        let mut live = self.lifecycles.iter_mut().filter(|one| one.team == team && one.is_live());
        if let Some(lifecycle) = live.find(|one| one.answer_clock != AnswerClock::Overdue) {
            // An answer at the deadline itself is still in time.
            lifecycle.answer_clock = AnswerClock::Until(due + Duration::from_millis(1));
        }
        let memberships = self.conversation_mut().into_iter().flat_map(|one| &mut one.memberships);
        for (membership, _) in memberships.zip(is_of_team).filter(|(_, is_of_team)| *is_of_team) {
            membership.respond_by = Some(due);
        }
    }

    /// Returns when the incident must be processed next, if nothing happens before.
    pub(super) fn compute_next_due(&self, policy: &Policy) -> Option<EventTime> {
        let routes = self.routes.iter().flat_map(|active| [active.due, active.ends_at]).flatten();
        let live = self.lifecycles.iter().filter(|lifecycle| lifecycle.is_live());
        let lifecycles = live.filter_map(|lifecycle| {
            let reminder = lifecycle.next_reminder_at(policy, self);
            let tier =
                lifecycle.next_tier_at(policy).map(|at| at.max(lifecycle.tier_held_until.unwrap_or(at)));
            reminder.into_iter().chain(tier).min()
        });
        let is_ended = self.conversation().is_some_and(|conversation| conversation.expired.is_some());
        let silence = self.silences_end().filter(|_| is_ended);
        routes.chain(lifecycles).chain(self.expires_at()).chain(silence).min()
    }
}

impl Lifecycle {
    /// Returns when the first reminder is due or, if it is held back, may be emitted.
    fn next_reminder_at(&self, policy: &Policy, incident: &Incident) -> Option<EventTime> {
        let reminders = [
            self.forgotten_at(policy),
            self.repeat_at(policy),
            self.answer_clock.runs_out_at(),
            self.stalls_at(incident),
            incident.details.collection().and_then(|collection| collection.report_at),
        ];
        let first = reminders.into_iter().flatten().min()?;
        Some(first.max(self.reminders_held_until.unwrap_or(first)))
    }

    /// Returns when the next tier takes over, unless somebody acknowledges before.
    pub(super) fn next_tier_at(&self, policy: &Policy) -> Option<EventTime> {
        let tier = policy.teams.get(&self.tiers_of)?.tiers.get(self.tier)?;
        self.state.is_open().then(|| self.open_since + tier.after)
    }

    /// Returns when an acknowledged escalation without progress is reopened.
    pub(super) fn forgotten_at(&self, policy: &Policy) -> Option<EventTime> {
        let after = policy.teams.get(&self.owner)?.forgotten_after?;
        (self.state == EscalationState::Acknowledged).then(|| self.notified_at + after)
    }

    /// Returns when an unacknowledged escalation is emitted again.
    pub(super) fn repeat_at(&self, policy: &Policy) -> Option<EventTime> {
        let every = policy.routes.get(self.route.policy_name()?)?.repeat_interval?;
        self.state.is_open().then(|| self.notified_at + every)
    }

    /// Returns when a requested hand-off counts as stalled.
    pub(super) fn stalls_at(&self, incident: &Incident) -> Option<EventTime> {
        let request = incident.conversation()?.hand_off_request?;
        (self.state == EscalationState::HandOffAsked && !self.stalled).then_some(request.deadline)
    }
}

/// Describes a brand's target for the first answer, for people.
pub(super) fn describe_target(brand: &Brand) -> String {
    let business = if brand.hours.is_some() { " of business hours" } else { "" };
    format!("{}{business}", format_duration(brand.first_response))
}

/// Formats a span for people: seconds, minutes from one minute, hours from two hours.
pub(super) fn format_duration(span: Duration) -> String {
    let secs = span.as_secs();
    if secs < 60.0 {
        format!("{secs:.0} s")
    } else if secs < 7200.0 {
        format!("{:.0} min", secs / 60.0)
    } else {
        format!("{:.1} h", secs / 3600.0)
    }
}
