//! Ends the incident of a conversation that has ended, but not before its teams had their turn.
//!
//! What a team sleeps through is emitted when it wakes, and what a silence hides when that ends within another
//! horizon. The rest ends with the conversation, so that an incident never waits without end.

use firewatch_domain::{Duration, EscalationState, EventTime, IncidentId};

use super::emitter::Emitter;
use super::incident::Incident;
use super::verdict::{Suppression, silence};
use crate::policy::Policy;

/// When to retry an incident on a route that this policy does not have.
const UNKNOWN_ROUTE_RETRY: Duration = Duration::from_mins(1);

impl Incident {
    /// Ends the escalations of a conversation that has ended, and the routes that will notify nobody. While the clock of
    /// the first answer or of a hand-off runs, or its reminder is held back, they go on for another horizon from then.
    /// So do the groups and digests that list it.
    pub(super) fn expire(&mut self, id: &IncidentId, reason: String, out: &mut Emitter<'_>) {
        let live = self.lifecycles.iter().filter(|lifecycle| lifecycle.is_live());
        let clocks = live.filter_map(|one| {
            let ends_at = one.answer_clock.runs_out_at().max(one.stalls_at(self))?;
            Some(ends_at.max(one.reminders_held_until.unwrap_or(ends_at)))
        });
        let of_own = clocks.max();
        if of_own.is_none() {
            out.move_all(id, self, EscalationState::Expired, &reason);
        }
        let retention = out.policy.retention;
        if let Some(conversation) = self.conversation_mut() {
            let of_collections = conversation.memberships.iter().filter_map(|one| one.respond_by).max();
            conversation.expires_at = of_own.max(of_collections).map(|at| at + retention);
            conversation.expired = Some(reason);
        }
        self.suppress_after_end(id, out);
    }

    /// Returns when the escalations end that go on after the end of their conversations.
    pub(super) fn expires_at(&self) -> Option<EventTime> {
        let of_collection = self.details.collection().and_then(|collection| collection.expires_at);
        self.conversation().map_or(of_collection, |conversation| conversation.expires_at)
    }

    /// Suppresses what waits but will notify nobody, once the conversation has ended.
    pub(super) fn suppress_after_end(&mut self, id: &IncidentId, out: &mut Emitter<'_>) {
        if self.conversation().is_none_or(|conversation| conversation.expired.is_none()) {
            return;
        }
        for i in 0..self.routes.len() {
            if let Some((team, suppression)) = self.suppression_after_end(i, out) {
                out.record_suppression(&suppression, id, &team);
                (self.routes[i].due, self.routes[i].decided) = (None, true);
            }
        }
    }

    /// Returns why a route notifies nobody after the end of the conversation, with its team.
    fn suppression_after_end(&self, i: usize, out: &Emitter<'_>) -> Option<(String, Suppression)> {
        let active = self.routes.get(i).filter(|active| active.due.is_some())?;
        let Some(team) = self.team(active, out.policy) else {
            return Some((String::new(), Suppression::RouteRemoved(active.route.clone())));
        };
        let never_wakes = |policy: &Policy| {
            let sleeps = policy.teams.get(team).is_some_and(|team| team.never_wakes_for(active.level));
            sleeps.then_some(Suppression::NeverAwake(active.level))
        };
        let silence = silence(self, team, out.now, out.policy)
            .filter(|(until, _)| *until > out.now + out.policy.retention)
            .map(|(_, suppression)| suppression);
        Some((team.to_owned(), silence.or_else(|| never_wakes(out.policy))?))
    }

    /// Ends escalations that were opened after the end of their conversation and have had their time.
    pub(super) fn expire_if_due(&mut self, id: &IncidentId, out: &mut Emitter<'_>) {
        if self.expires_at().is_none_or(|at| at > out.now) {
            return;
        }
        let reason = self.conversation().and_then(|conversation| conversation.expired.clone());
        let reason = reason.unwrap_or_else(|| "its conversations have ended".into());
        out.move_all(id, self, EscalationState::Expired, &reason);
    }

    /// Defers routes that this policy does not have, because another process may have loaded a newer policy
    /// first. A conversation leaves a removed route at its next signal or at its end.
    pub(super) fn defer_unknown_routes(&mut self, out: &Emitter<'_>) {
        for i in 0..self.routes.len() {
            let active = &self.routes[i];
            let is_due = active.due.is_some_and(|due| due <= out.now);
            if is_due && self.team(active, out.policy).is_none() {
                self.routes[i].due = Some(out.now + UNKNOWN_ROUTE_RETRY);
            }
        }
    }
}
