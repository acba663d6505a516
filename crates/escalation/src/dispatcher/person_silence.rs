//! Silences of persons: they hold back what time brings until they end, by themselves or by a person.

use firewatch_domain::{EscalationChange, EventTime, IncidentId};

use super::actions::Change;
use super::emitter::{DecisionKind, Emitter, EscalationRef};
use super::incident::Incident;
use crate::Lifecycle;
use crate::lifecycle::AllSilenced;

impl Incident {
    /// Returns until when a person silenced it for a team. It may have passed.
    pub(crate) fn silenced_by_person(&self, team: &str) -> Option<EventTime> {
        let lifecycle = self.lifecycles.iter().find(|lifecycle| lifecycle.team == team);
        let of_team = lifecycle.and_then(|lifecycle| lifecycle.silenced_until);
        let of_all = self.silenced_until.filter(|_| !self.unsilenced.iter().any(|one| one == team));
        of_team.max(of_all)
    }

    /// Returns whether a person's silence is in force, of all teams or of one.
    pub(super) fn has_silence(&self, now: EventTime) -> bool {
        self.silences().any(|until| until > now)
    }

    /// Returns when the last silence of a person ends. It may have passed.
    pub(super) fn silences_end(&self) -> Option<EventTime> {
        self.silences().max()
    }

    /// Takes over the silences of an incident whose conversation has begun again. Those of a team are its lifecycle's.
    pub(super) fn keep_silences(&mut self, old: Self, now: EventTime) {
        (self.silenced_until, self.unsilenced) = (old.silenced_until, old.unsilenced);
        let is_silenced = |one: &Lifecycle| one.silenced_until.is_some_and(|until| until > now);
        self.lifecycles = old.lifecycles.into_iter().filter(is_silenced).collect();
    }

    /// Drops the silences that have ended.
    pub(super) fn drop_ended_silences(&mut self, now: EventTime) {
        self.silenced_until = self.silenced_until.filter(|until| *until > now);
        for lifecycle in &mut self.lifecycles {
            lifecycle.silenced_until = lifecycle.silenced_until.filter(|until| *until > now);
        }
    }

    fn silences(&self) -> impl Iterator<Item = EventTime> {
        let of_teams = self.lifecycles.iter().map(|lifecycle| lifecycle.silenced_until);
        of_teams.chain([self.silenced_until]).flatten()
    }

    /// Silences the escalations that an action is about until a time. An action about none in particular
    /// silences the incident for every team, also for those that have no escalation yet.
    pub(super) fn silence(
        &mut self,
        id: &IncidentId,
        until: EventTime,
        made: &Change<'_>,
        out: &mut Emitter<'_>,
    ) {
        if until <= made.at {
            let problem = format!("not silenced by {}: {until} is past", made.by);
            out.record_decision(DecisionKind::NoChange, id, || problem.clone());
            return self.meant(id, made).into_iter().for_each(|i| self.refuse(id, i, problem.clone(), out));
        }
        let happened = format!("silenced until {until} by {}", made.by);
        out.record_decision(DecisionKind::Silenced, id, || happened.clone());
        let before = self.all_silenced();
        let meant = self.meant(id, made);
        // The last silence of a team holds, whether it was of that team or of all.
        if !made.is_of_one_team() {
            self.silenced_until = Some(until);
            self.unsilenced.clear();
            self.leave_budget(None, out.now, out.policy);
        } else if let Some(team) = made.team().filter(|_| meant.is_empty()) {
            self.silence_unseen(id, team, until, out);
        }
        for i in meant {
            let team = self.lifecycles[i].team.clone();
            self.leave_budget(Some(&team), out.now, out.policy);
            let lifecycle = &mut self.lifecycles[i];
            let point = lifecycle.undo_point(made.by, "silenced").with_silence(before.clone());
            lifecycle.silenced_until = made.is_of_one_team().then_some(until);
            if made.is_of_one_team() && self.silenced_until.is_some() {
                self.unsilenced.retain(|one| *one != team);
                self.unsilenced.push(team);
            }
            (lifecycle.reminders_held_until, lifecycle.tier_held_until) = (None, None);
            lifecycle.set_undo(point);
            self.emit_silenced(id, i, &happened, made, out);
        }
    }

    /// Ends the silences of the escalations that an action is about, for their teams. What the silences held
    /// back comes now.
    pub(super) fn unsilence(&mut self, id: &IncidentId, made: &Change<'_>, out: &mut Emitter<'_>) {
        let happened = format!("silence ended by {}", made.by);
        let before = self.all_silenced();
        let meant = self.meant(id, made);
        if !made.is_of_one_team() && self.silenced_until.take().is_some_and(|until| until > out.now) {
            self.unsilenced.clear();
            out.record_decision(DecisionKind::RouteChanged, id, || happened.clone());
            self.release(None, out.now, out.policy);
        }
        let now = out.now;
        self.unsilence_unseen(id, made, out);
        let is_silenced = |until: Option<EventTime>| until.is_some_and(|until| until > now);
        for i in meant {
            let team = self.lifecycles[i].team.clone();
            let of_all = is_silenced(before.until) && !before.except.contains(&team);
            if !of_all && !is_silenced(self.lifecycles[i].silenced_until) {
                let problem = format!("not unsilenced by {}: no silence is in force", made.by);
                self.report_no_change(id, i, made, problem, out);
                continue;
            }
            if made.is_of_one_team() && of_all {
                self.unsilenced.push(team.clone());
            }
            let lifecycle = &mut self.lifecycles[i];
            let point = lifecycle.undo_point(made.by, "silence ended").with_silence(before.clone());
            lifecycle.silenced_until = None;
            lifecycle.set_undo(point);
            self.release(Some(&team), out.now, out.policy);
            self.emit_silenced(id, i, &happened, made, out);
        }
    }

    /// Ends the silence of what no team, or not the team that an action names, was notified of.
    pub(super) fn unsilence_unseen(&mut self, id: &IncidentId, made: &Change<'_>, out: &Emitter<'_>) {
        if !self.is_of_unseen(id, made) || self.silenced_until.is_none() {
            return;
        }
        match made.team() {
            Some(team) => self.unsilenced.push(team.to_owned()),
            None => (self.silenced_until, self.unsilenced) = (None, vec![]),
        }
        self.release(made.team(), out.now, out.policy);
    }

    /// Silences a team that was not notified yet, as a silence of every team with the others excepted.
    fn silence_unseen(&mut self, id: &IncidentId, team: &str, until: EventTime, out: &mut Emitter<'_>) {
        if self.silenced_until.is_some_and(|until| until > out.now) {
            return out.record_decision(DecisionKind::NoChange, id, || {
                format!(
                    "not silenced for {team}, which was not notified yet: a silence of every team is in force"
                )
            });
        }
        self.leave_budget(Some(team), out.now, out.policy);
        self.silenced_until = Some(until);
        self.unsilenced = out.policy.teams.keys().filter(|other| *other != team).cloned().collect();
    }

    /// Restores the silence of every team for the team of one lifecycle, as it was before an action.
    pub(super) fn restore_silence_of(&mut self, i: usize, before: &AllSilenced) {
        let lifecycle = &mut self.lifecycles[i];
        let is_excepted = |except: &[String]| except.contains(&lifecycle.team);
        let was = before.until.filter(|_| !is_excepted(&before.except));
        let is = self.silenced_until.filter(|_| !is_excepted(&self.unsilenced));
        if was.is_none() && is.is_some() {
            self.unsilenced.push(lifecycle.team.clone());
        } else if was == self.silenced_until {
            self.unsilenced.retain(|team| *team != lifecycle.team);
        } else if was != is {
            lifecycle.silenced_until = lifecycle.silenced_until.max(was);
        }
    }

    /// Restores the silence of every team as it was before an action.
    pub(super) fn restore_silence(&mut self, before: AllSilenced) {
        (self.silenced_until, self.unsilenced) = (before.until, before.except);
    }

    fn all_silenced(&self) -> AllSilenced {
        AllSilenced { until: self.silenced_until, except: self.unsilenced.clone() }
    }

    /// Emits that a silence has begun or ended. One of a team's ended escalation is emitted too, as it keeps that from
    /// opening again.
    fn emit_silenced(
        &mut self,
        id: &IncidentId,
        i: usize,
        happened: &str,
        made: &Change<'_>,
        out: &mut Emitter<'_>,
    ) {
        if self.lifecycles[i].is_live() || made.is_of_one_team() {
            self.lifecycles[i].count_step();
            let escalation = EscalationRef { id, incident: self, lifecycle: &self.lifecycles[i] };
            out.emit_step(escalation, EscalationChange::Silenced, happened.to_owned());
        }
    }
}
