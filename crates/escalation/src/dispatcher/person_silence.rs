//! Silences of persons: they hold back what time brings until they end, by themselves or by a person.

use firewatch_domain::{EscalationChange, EventTime, IncidentId};

use super::emitter::{DecisionKind, Emitter, EscalationRef};
use super::incident::Incident;
use super::updates::Change;

impl Incident {
    /// Silences the escalations that an action is about until a time, or ends their silence. An action about
    /// none in particular silences the incident for every team, also for those that have no escalation yet.
    pub(super) fn set_silence(
        &mut self,
        id: &IncidentId,
        until: Option<EventTime>,
        made: &Change<'_>,
        out: &mut Emitter<'_>,
    ) {
        let by = made.by;
        let (happened, action) = match until {
            Some(until) => (format!("silenced until {until} by {by}"), "silenced"),
            None => (format!("silence ended by {by}"), "silence ended"),
        };
        out.record_decision(DecisionKind::Silenced, id, || happened.clone());
        let of_team = made.scope.is_some_and(|scope| scope.team.is_some() || scope.escalation.is_some());
        let mut ended: Vec<EventTime> = self.lifecycles.iter().filter_map(|one| one.silenced_until).collect();
        if until.is_none() || !of_team {
            ended.extend(std::mem::replace(&mut self.silenced_until, until));
        }
        for i in self.meant(id, made) {
            let lifecycle = &mut self.lifecycles[i];
            let before = lifecycle.undo_point(by, action);
            if of_team || until.is_none() {
                lifecycle.silenced_until = until;
            }
            // What a silence that has ended held back comes now.
            let held = until.is_none().then_some(out.now);
            (lifecycle.reminders_held_until, lifecycle.tier_held_until) = (held, held);
            lifecycle.set_undo(of_team.then_some(before));
            if lifecycle.is_live() {
                lifecycle.count_step();
                let escalation = EscalationRef { id, incident: self, lifecycle: &self.lifecycles[i] };
                out.emit_step(escalation, EscalationChange::Silenced, happened.clone());
            }
        }
        if until.is_none() {
            self.release_deferred(ended, out.now);
        }
    }

    /// Lets routes be decided now that waited for the end of a silence. What waits for anything else goes on
    /// waiting.
    pub(super) fn release_deferred(&mut self, ends: impl IntoIterator<Item = EventTime>, now: EventTime) {
        let ends: Vec<EventTime> = ends.into_iter().collect();
        let deferred = self.routes.iter_mut().filter(|one| one.due.is_some_and(|due| ends.contains(&due)));
        deferred.for_each(|active| active.due = Some(now));
    }
}
