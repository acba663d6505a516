//! Applies what persons do to the escalations that their actions are about, and emits the changes.
//!
//! What an action did can be undone. An action that changes nothing is refused when it names the escalation.

use firewatch_domain::{ActionContext, EscalationChange, EscalationState, EventTime, IncidentId};

use super::active_route::ActiveRoute;
use super::emitter::{DecisionKind, Emitter, EscalationRef};
use super::incident::{Details, Incident};
use crate::lifecycle::Ended;
use crate::policy::Policy;
use crate::{Lifecycle, PR};

/// A change with who made it and what it is about.
pub(super) struct Change<'a> {
    pub by: &'a str,
    pub at: EventTime,
    pub scope: Option<&'a ActionContext>,
}

impl Change<'_> {
    /// Returns the team that it names.
    pub(super) fn team(&self) -> Option<&str> {
        self.scope.and_then(|scope| scope.team.as_deref())
    }

    /// Returns whether it is about the escalations of one team only.
    pub(super) fn is_of_one_team(&self) -> bool {
        self.scope.is_some_and(|scope| scope.team.is_some() || scope.escalation.is_some())
    }
}

/// What became of an action on one escalation.
enum Applied {
    Moved,
    /// Its state does not allow the action.
    NotAllowed,
    /// Something else stands against it, which the team has to know.
    Refused(String),
}

impl Applied {
    fn from_moved(moved: bool) -> Self {
        if moved { Self::Moved } else { Self::NotAllowed }
    }
}

impl Incident {
    /// Returns the places of the escalations that an action is about.
    pub(super) fn meant(&self, id: &IncidentId, made: &Change<'_>) -> Vec<usize> {
        let is_meant = |lifecycle: &Lifecycle| {
            let Some(scope) = made.scope else { return true };
            if let Some(wanted) = &scope.escalation {
                return EscalationRef { id, incident: self, lifecycle }.escalation_id() == *wanted;
            }
            scope.team.as_ref().is_none_or(|team| lifecycle.owner == *team || lifecycle.team == *team)
        };
        let all = self.lifecycles.iter().enumerate();
        all.filter(|(_, lifecycle)| is_meant(lifecycle)).map(|(i, _)| i).collect()
    }

    /// Applies a person's action to each escalation that it is about, and emits those that it changes. What it
    /// does can be undone.
    fn act(
        &mut self,
        id: &IncidentId,
        made: &Change<'_>,
        happened: &str,
        action: &str,
        out: &mut Emitter<'_>,
        apply: impl Fn(&mut Lifecycle, EventTime) -> Applied,
    ) {
        for i in self.meant(id, made) {
            let lifecycle = &mut self.lifecycles[i];
            let before = lifecycle.undo_point(made.by, action);
            match apply(lifecycle, out.now) {
                Applied::Moved => {
                    lifecycle.set_undo(before);
                    let escalation = EscalationRef { id, incident: self, lifecycle: &self.lifecycles[i] };
                    out.emit_step(escalation, EscalationChange::Moved, happened.to_owned());
                }
                Applied::Refused(why) => self.refuse(id, i, format!("not {happened}: {why}"), out),
                Applied::NotAllowed => {
                    let problem = format!("not {happened}: it is {}", lifecycle.state.describe());
                    self.report_no_change(id, i, made, problem, out);
                }
            }
        }
    }

    /// Acknowledges it, unless somebody else has: that is refused with who has it.
    pub(super) fn acknowledge(&mut self, id: &IncidentId, made: &Change<'_>, out: &mut Emitter<'_>) {
        let happened = format!("acknowledged by {}", made.by);
        self.act(id, made, &happened, "acknowledged", out, |lifecycle, at| {
            if lifecycle.move_to(EscalationState::Acknowledged, at) {
                lifecycle.acknowledged_by = Some(made.by.to_owned());
                return Applied::Moved;
            }
            let is_taken = lifecycle.state == EscalationState::Acknowledged;
            match lifecycle.acknowledged_by.as_ref().filter(|other| is_taken && *other != made.by) {
                Some(other) => Applied::Refused(format!("{other} has it")),
                None => Applied::NotAllowed,
            }
        });
    }

    /// Ends it for the teams that were notified of it, with what they would still be notified of; for every team if
    /// nobody was. A storm or group that nobody was notified of yet is not ended: whoever names it has not seen it.
    pub(super) fn resolve(&mut self, id: &IncidentId, made: &Change<'_>, out: &mut Emitter<'_>) {
        if self.lifecycles.is_empty() && !id.is_conversation() {
            out.record_decision(DecisionKind::NoChange, id, || {
                format!("not resolved by {}: nobody was notified of it yet", made.by)
            });
            return;
        }
        let of_escalations = self.meant(id, made).into_iter();
        let mut meant: Vec<String> = of_escalations.map(|i| self.lifecycles[i].team.clone()).collect();
        meant.extend(made.scope.and_then(|scope| scope.team.clone()));
        let of_all = !made.is_of_one_team();
        let is_unseen = self.routes.iter().all(|active| self.is_unseen(active, out.policy));
        // Nobody has to be notified of what is still due.
        let settles = |active: &ActiveRoute| {
            let is_meant = |team: &str| meant.iter().any(|meant| meant == team);
            (of_all && (is_unseen || !self.is_unseen(active, out.policy)))
                || self.team(active, out.policy).is_some_and(is_meant)
        };
        let settled: Vec<bool> = self.routes.iter().map(settles).collect();
        let mut routes = Vec::new();
        for (active, _) in self.routes.iter_mut().zip(settled).filter(|(_, settled)| *settled) {
            (active.due, active.decided, active.muted, active.deferred) = (None, true, false, false);
            routes.push(active.route.clone());
        }
        self.leave(|membership| routes.contains(&membership.route));
        let happened = format!("resolved by {}", made.by);
        let ended = Ended { at: made.at, by_person: true };
        self.act(id, made, &happened, "resolved", out, |lifecycle, at| {
            let moved = lifecycle.move_to(EscalationState::Resolved, at);
            if moved {
                lifecycle.ended = Some(ended);
            }
            Applied::from_moved(moved)
        });
    }

    pub(super) fn reopen(&mut self, id: &IncidentId, made: &Change<'_>, out: &mut Emitter<'_>) {
        let happened = format!("reopened by {}", made.by);
        self.act(id, made, &happened, "reopened", out, |lifecycle, at| {
            Applied::from_moved(lifecycle.move_to(EscalationState::Reopened, at))
        });
        self.meant(id, made).into_iter().for_each(|i| self.reconsider(i, out));
        self.reconsider_unseen(id, made, out);
        self.live_on(id, out);
    }

    /// Makes a team the owner of the live escalations, and emits that to both owners.
    pub(super) fn hand_over(&mut self, id: &IncidentId, to: &str, made: &Change<'_>, out: &mut Emitter<'_>) {
        // The action's team is the new owner, so only an escalation's id narrows it.
        let by_id = made.scope.filter(|scope| scope.escalation.is_some());
        let made = &Change { scope: by_id, ..*made };
        for i in self.meant(id, made) {
            let lifecycle = &mut self.lifecycles[i];
            let problem = if !out.policy.teams.contains_key(to) {
                Some(format!("no team is called {to:?}"))
            } else if !lifecycle.is_live() {
                Some(format!("it is {}", lifecycle.state.describe()))
            } else {
                (lifecycle.owner == to).then(|| format!("{to} has it"))
            };
            if let Some(problem) = problem {
                let problem = format!("not handed over by {}: {problem}", made.by);
                self.report_no_change(id, i, made, problem, out);
                continue;
            }
            let before = lifecycle.undo_point(made.by, "handed over");
            let previous = lifecycle.owner.clone();
            lifecycle.hand_over(to, out.now);
            lifecycle.set_undo(before);
            // The new owner may be awake.
            let team = lifecycle.team.clone();
            self.release(Some(&team), out.now, out.policy);
            let escalation = EscalationRef { id, incident: self, lifecycle: &self.lifecycles[i] };
            out.emit_hand_over(escalation, previous, format!("handed over to {to} by {}", made.by));
        }
    }

    /// Gives the live escalations of teams that the policy no longer has to the teams of their routes.
    pub(super) fn replace_removed_owners(&mut self, id: &IncidentId, out: &mut Emitter<'_>) {
        let has_team = |team: &str| out.policy.teams.contains_key(team);
        if matches!(self.details, Details::SilenceNotice { .. }) {
            return self.end_notices_of_removed_teams(id, out);
        }
        for i in 0..self.lifecycles.len() {
            let lifecycle = &self.lifecycles[i];
            let opened_for = Some(lifecycle.team.as_str()).filter(|team| has_team(team));
            let to =
                opened_for.or_else(|| self.team_of(&lifecycle.route, out.policy)).unwrap_or(PR).to_owned();
            let lifecycle = &mut self.lifecycles[i];
            if !lifecycle.is_live() || has_team(&lifecycle.owner) || !has_team(&to) {
                continue;
            }
            let previous = lifecycle.owner.clone();
            lifecycle.hand_over(&to, out.now);
            let happened = format!("the policy no longer has the team {previous}: {to} owns it now");
            let escalation = EscalationRef { id, incident: self, lifecycle: &self.lifecycles[i] };
            out.emit_hand_over(escalation, previous, happened);
        }
    }

    /// Ends the notices of a silence to teams that the policy no longer has: it hides nothing from another.
    fn end_notices_of_removed_teams(&mut self, id: &IncidentId, out: &mut Emitter<'_>) {
        for i in 0..self.lifecycles.len() {
            let lifecycle = &mut self.lifecycles[i];
            if !out.policy.teams.contains_key(&lifecycle.owner)
                && lifecycle.move_to(EscalationState::Resolved, out.now)
            {
                let happened = format!("the policy no longer has the team {}", lifecycle.owner);
                let escalation = EscalationRef { id, incident: self, lifecycle: &self.lifecycles[i] };
                out.emit_step(escalation, EscalationChange::Moved, happened);
            }
        }
    }

    /// Takes back the last action on each escalation that it is about.
    pub(super) fn undo(&mut self, id: &IncidentId, made: &Change<'_>, out: &mut Emitter<'_>) {
        for i in self.meant(id, made) {
            let (team, owner) = (self.lifecycles[i].team.clone(), self.lifecycles[i].owner.clone());
            let can_be_undone = self.lifecycles[i].undo.is_some();
            let ended_at = self.lifecycles[i].ended.map(|ended| ended.at);
            let Some(mut undone) = self.lifecycles[i].restore_undo(out.now) else {
                let why = if can_be_undone {
                    "something else has happened since"
                } else {
                    "there is no action to take back"
                };
                self.refuse(id, i, format!("not undone by {}: {why}", made.by), out);
                continue;
            };
            // An answer that came while it was ended holds.
            let answered_at = self.conversation().and_then(|conversation| conversation.answered_at);
            if ended_at.is_some_and(|ended_at| answered_at.is_some_and(|at| at > ended_at)) {
                self.lifecycles[i].state = self.state_of_answer();
            }
            let change = match undone.all_silenced.take() {
                Some(before) if made.is_of_one_team() => {
                    self.restore_silence_of(i, &before);
                    EscalationChange::Silenced
                }
                Some(before) => {
                    self.restore_silence(before);
                    // Other teams, which were not notified yet, may wait for its end.
                    self.release(None, out.now, out.policy);
                    EscalationChange::Silenced
                }
                None => EscalationChange::Moved,
            };
            self.release(Some(&team), out.now, out.policy);
            self.reconsider(i, out);
            let whose = if undone.by == made.by { String::new() } else { format!(" by {}", undone.by) };
            let happened = format!("{} took back: {}{whose}", made.by, undone.action);
            let lifecycle = &self.lifecycles[i];
            let escalation = EscalationRef { id, incident: self, lifecycle };
            if lifecycle.owner == owner {
                out.emit_step(escalation, change, happened);
            } else {
                out.emit_hand_over(escalation, owner, happened);
            }
        }
        self.unsilence_unseen(id, made, out);
        self.reconsider_unseen(id, made, out);
        self.live_on(id, out);
    }

    /// Returns the state of an escalation whose conversation the brand has answered.
    fn state_of_answer(&self) -> EscalationState {
        let is_asked =
            self.conversation().is_some_and(|conversation| conversation.hand_off_request.is_some());
        if is_asked { EscalationState::HandOffAsked } else { EscalationState::Answered }
    }

    /// Sees to escalations that a person brought back: their team may be gone, and their conversation ended.
    fn live_on(&mut self, id: &IncidentId, out: &mut Emitter<'_>) {
        self.replace_removed_owners(id, out);
        let ends_at = out.now + out.policy.retention;
        let is_alive = self.is_alive();
        if let Some(conversation) = self.conversation_mut().filter(|one| is_alive && one.expired.is_some()) {
            conversation.expires_at.get_or_insert(ends_at);
        }
    }

    /// Reports an action that changes nothing. One that names the escalation is refused, as a person waits for its
    /// effect.
    pub(super) fn report_no_change(
        &mut self,
        id: &IncidentId,
        i: usize,
        made: &Change<'_>,
        problem: String,
        out: &mut Emitter<'_>,
    ) {
        if made.scope.is_some_and(|scope| scope.escalation.is_some()) {
            self.refuse(id, i, problem, out);
        } else {
            out.record_decision(DecisionKind::NoChange, id, || problem);
        }
    }

    /// Lets be decided again what is worse than a live escalation knows: it was dropped when a person ended it.
    fn reconsider(&mut self, i: usize, out: &Emitter<'_>) {
        let lifecycle = &self.lifecycles[i];
        let (team, level) = (lifecycle.team.clone(), lifecycle.level);
        if !lifecycle.is_live() {
            return;
        }
        let known =
            self.routes_mut(Some(&team), out.policy).filter(|active| !active.lapsed && active.due.is_none());
        known.filter(|active| active.level > level).for_each(|active| active.due = Some(out.now));
    }

    /// Lets be decided again what a person ended before its team was notified of it.
    fn reconsider_unseen(&mut self, id: &IncidentId, made: &Change<'_>, out: &Emitter<'_>) {
        let has_ended = self.conversation().is_none_or(|conversation| conversation.expired.is_some());
        if has_ended || !self.is_of_unseen(id, made) {
            return;
        }
        let wanted = made.team();
        let unseen: Vec<bool> =
            self.routes.iter().map(|active| self.is_unseen(active, out.policy) && !active.muted).collect();
        for (i, _) in unseen.into_iter().enumerate().filter(|(_, is_unseen)| *is_unseen) {
            let is_wanted = wanted.is_none_or(|team| self.team(&self.routes[i], out.policy) == Some(team));
            let active = &mut self.routes[i];
            if is_wanted && !active.lapsed {
                let route = active.route.policy_name().and_then(|name| out.policy.routes.get(name));
                let waits = route.map_or(active.since, |route| active.since + route.hold + route.group_wait);
                (active.due, active.decided) = (active.due.or(Some(waits.max(out.now))), false);
            }
        }
    }

    /// Returns whether an action is about what no team, or not the team that it names, was notified of.
    pub(super) fn is_of_unseen(&self, id: &IncidentId, made: &Change<'_>) -> bool {
        let names_escalation = made.scope.is_some_and(|scope| scope.escalation.is_some());
        !names_escalation && self.meant(id, made).is_empty()
    }

    /// Returns whether the team of a route was not notified of it: neither by itself nor in a group or digest.
    fn is_unseen(&self, active: &ActiveRoute, policy: &Policy) -> bool {
        let team = self.team(active, policy);
        let has_escalation = self.lifecycles.iter().any(|lifecycle| Some(lifecycle.team.as_str()) == team);
        !has_escalation && !self.is_member_by(&active.route)
    }

    /// Emits that an action was refused. Nothing else changes.
    pub(super) fn refuse(&mut self, id: &IncidentId, i: usize, happened: String, out: &mut Emitter<'_>) {
        self.lifecycles[i].count_step();
        let escalation = EscalationRef { id, incident: self, lifecycle: &self.lifecycles[i] };
        out.emit_step(escalation, EscalationChange::Refused, happened);
    }
}
