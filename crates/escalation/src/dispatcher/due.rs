//! Processes incidents that are due: openings, reminders, tiers and endings.

use std::collections::BTreeSet;

use firewatch_domain::{Duration, EscalationChange, EscalationState, EventTime, Level};

use super::deadlines::format_duration;
use super::emitter::{DecisionKind, Emitter, EscalationRef};
use super::incident::{Incident, route_team};
use super::part_key::StatePartKey;
use super::{Dispatcher, STORM_ROUTE};
use crate::Lifecycle;
use crate::lifecycle::Trigger;

/// Span over which a team's budget counts.
const BUDGET_WINDOW: Duration = Duration::from_mins(60);

/// When to retry an incident on a route that this policy does not have.
const UNKNOWN_ROUTE_RETRY: Duration = Duration::from_mins(1);

/// An escalation that opens if the team's budget allows it.
struct PendingOpening {
    id: String,
    team: String,
    trigger: Trigger,
    risk: i32,
}

impl Dispatcher {
    /// Processes every incident that is due. Returns the teams for whose budget some started to wait.
    pub(super) fn process_due(&mut self, out: &mut Emitter<'_>) -> BTreeSet<String> {
        let mut openings = Vec::new();
        while let Some((due, id)) = self.agenda.first().cloned()
            && due <= out.now
        {
            self.agenda.pop_first();
            let Some(mut incident) = self.incidents.remove(&id) else { continue };
            incident.next_due = None;
            self.process_incident(&id, &mut incident, &mut openings, out);
            self.changed.insert(StatePartKey::Incident(id.clone()));
            self.incidents.insert(id, incident);
        }
        self.open_by_rank(openings, out)
    }

    /// Processes one incident. It returns to the agenda at once, or after its openings have been decided.
    fn process_incident(
        &mut self,
        id: &str,
        incident: &mut Incident,
        openings: &mut Vec<PendingOpening>,
        out: &mut Emitter<'_>,
    ) {
        incident.end_lapsed_routes(id, out);
        incident.defer_unknown_routes(out);
        let before = openings.len();
        for team in incident.teams_due(out.now, out.policy) {
            if let Some(trigger) = self.decide_opening(id, incident, &team, out) {
                let risk = incident.risk.unwrap_or_default().0;
                openings.push(PendingOpening { id: id.to_owned(), team, trigger, risk });
            }
        }
        incident.remind(id, out);
        if openings.len() == before {
            incident.clear_details();
            // The next time is later than now, so that the window ends.
            incident.next_due =
                incident.compute_next_due(out.policy).map(|due| due.max(out.now + Duration::from_millis(1)));
            self.agenda.extend(incident.next_due.map(|next| (next, id.to_owned())));
        }
    }

    /// Decides what a team is notified of. Raises an open escalation itself and returns a trigger only for a
    /// new opening; everything else is suppressed or deferred with its reason.
    fn decide_opening(
        &mut self,
        id: &str,
        incident: &mut Incident,
        team: &str,
        out: &mut Emitter<'_>,
    ) -> Option<Trigger> {
        let (now, policy) = (out.now, out.policy);
        let Some(trigger) = incident.due_trigger(team, now, policy) else {
            out.record_decision(DecisionKind::Answered, id, || {
                format!("{team} is not notified: the brand has answered")
            });
            incident.mark_decided(team, now, policy);
            return None;
        };
        let is_on = |id: &String| self.core.storms.iter().any(|storm| storm.id == *id);
        let muted =
            incident.storm_id.as_ref().is_some_and(is_on) && trigger.level <= policy.storms.mutes_up_to;
        let awake = policy.teams.get(team).map_or(now, |t| t.awake_at(now, trigger.level));
        let i = incident.lifecycles.iter().position(|lifecycle| lifecycle.team == team);
        let is_open = i.is_some_and(|i| !incident.lifecycles[i].state.is_final());
        if i.is_some_and(|i| !incident.lifecycles[i].raises_level(&trigger)) {
            incident.mark_decided(team, now, policy);
        } else if muted && !is_open {
            out.record_decision(DecisionKind::InStorm, id, || {
                format!(
                    "{team} is not notified separately: part of a storm, which mutes levels up to {}",
                    policy.storms.mutes_up_to
                )
            });
            incident.mark_decided(team, now, policy);
        } else if let Some(until) = self.hide_if_silenced(id, incident, team, out) {
            incident.defer(team, now, until, policy);
        } else if awake > now {
            out.record_decision(DecisionKind::Asleep, id, || {
                format!("{team} has quiet hours until {awake}; level {} does not wake it", trigger.level)
            });
            incident.defer(team, now, awake, policy);
        } else if !is_open && self.join_group(id, incident, &trigger, out) {
            incident.mark_decided(team, now, policy);
        } else if let Some(i) = i.filter(|_| is_open) {
            incident.mark_decided(team, now, policy);
            incident.lifecycles[i].raise(&trigger, now);
            out.emit_full(
                EscalationRef { id, incident, lifecycle: &incident.lifecycles[i] },
                EscalationChange::Raised,
                trigger.reason,
            );
        } else {
            return Some(trigger);
        }
        None
    }

    /// Opens as many escalations as the budgets allow, in the order of level and risk. The others wait and
    /// are listed in a digest.
    fn open_by_rank(&mut self, mut openings: Vec<PendingOpening>, out: &mut Emitter<'_>) -> BTreeSet<String> {
        let mut waiting_teams = BTreeSet::new();
        openings.sort_by(|a, b| {
            let rank = |o: &PendingOpening| (std::cmp::Reverse(o.trigger.level), std::cmp::Reverse(o.risk));
            rank(a).cmp(&rank(b)).then_with(|| (&a.id, &a.team).cmp(&(&b.id, &b.team)))
        });
        for opening in openings {
            let PendingOpening { id, team, trigger, .. } = opening;
            let Some(mut incident) = self.incidents.remove(&id) else { continue };
            // A storm replaces many escalations, so it never waits for a budget.
            let blocked_until = if trigger.route == STORM_ROUTE {
                None
            } else {
                self.reserve_budget(&team, trigger.level, out)
            };
            match blocked_until {
                None => incident.open(&id, &team, trigger, out),
                Some(free_at) => {
                    out.record_decision(DecisionKind::OverBudget, &id, || {
                        format!("over the budget of {team}; waits until {free_at}")
                    });
                    incident.defer(&team, out.now, free_at, out.policy);
                    if !incident.over_budget_teams.contains(&team) {
                        incident.over_budget_teams.push(team.clone());
                    }
                    waiting_teams.insert(team);
                }
            }
            incident.clear_details();
            self.put_back(id, incident, out.policy);
        }
        waiting_teams
    }

    /// Counts an opening against a team's budget. Returns when the budget is free again, if it is used up.
    fn reserve_budget(&mut self, team: &str, level: Level, out: &Emitter<'_>) -> Option<EventTime> {
        let budget = out.policy.teams.get(team)?.budget? as usize;
        let openings = self.core.openings.entry(team.to_owned()).or_default();
        while openings.front().is_some_and(|at| *at + BUDGET_WINDOW <= out.now) {
            openings.pop_front();
        }
        if openings.len() >= budget && level < Level::Critical {
            return openings.front().map(|at| *at + BUDGET_WINDOW);
        }
        openings.push_back(out.now);
        None
    }
}

impl Incident {
    /// Defers routes that this policy does not have. Another process may have loaded a newer policy first;
    /// and a conversation leaves a removed route at its next signal.
    fn defer_unknown_routes(&mut self, out: &Emitter<'_>) {
        for active in self.routes.iter_mut().filter(|active| route_team(active, out.policy).is_none()) {
            active.due =
                active.due.map(|due| if due <= out.now { out.now + UNKNOWN_ROUTE_RETRY } else { due });
        }
    }

    /// Opens an escalation, for the first time or again.
    fn open(&mut self, id: &str, team: &str, trigger: Trigger, out: &mut Emitter<'_>) {
        self.mark_decided(team, out.now, out.policy);
        let i = match self.lifecycles.iter().position(|lifecycle| lifecycle.team == team) {
            Some(i) => {
                self.lifecycles[i].reopen(&trigger, out.now);
                i
            }
            None => {
                self.lifecycles.push(Lifecycle::open(team, &trigger, out.now));
                self.lifecycles.len() - 1
            }
        };
        let waits_for_answer = out.policy.routes.get(&trigger.route).is_some_and(|r| r.unless_answered);
        let due = self.respond_by(out.brand_policy()).filter(|due| waits_for_answer && *due > out.now);
        // An answer at the deadline itself is still in time.
        self.lifecycles[i].overdue_at = due.map(|due| due + Duration::from_millis(1));
        out.emit_full(
            EscalationRef { id, incident: self, lifecycle: &self.lifecycles[i] },
            EscalationChange::Opened,
            trigger.reason,
        );
    }

    /// Removes routes that have ended, and resolves escalations whose team has no other route.
    fn end_lapsed_routes(&mut self, id: &str, out: &mut Emitter<'_>) {
        let over = |at: Option<EventTime>| at.is_some_and(|at| at <= out.now);
        let ended: Vec<_> = self.routes.iter().filter(|active| over(active.ends_at)).cloned().collect();
        self.routes.retain(|active| !over(active.ends_at));
        for active in ended {
            let Some((team, route)) =
                route_team(&active, out.policy).zip(out.policy.routes.get(&active.route))
            else {
                continue;
            };
            if self.has_route(team, out.policy) {
                continue;
            }
            let reason = match &route.until {
                Some(until) => format!(
                    "{} has held for {}",
                    until.source(),
                    format_duration(route.clear_after.unwrap_or_default())
                ),
                None => format!(
                    "no condition of {} has held for {}",
                    active.route,
                    format_duration(route.clear_after.unwrap_or_default())
                ),
            };
            if let Some(i) = self.lifecycles.iter().position(|lifecycle| lifecycle.team == team)
                && self.lifecycles[i].move_to(EscalationState::Resolved, out.now)
            {
                out.emit_step(
                    EscalationRef { id, incident: self, lifecycle: &self.lifecycles[i] },
                    EscalationChange::Moved,
                    reason,
                );
            }
        }
    }

    /// Emits reminders: overdue answers, forgotten and unacknowledged escalations, and stalled hand-offs.
    fn remind(&mut self, id: &str, out: &mut Emitter<'_>) {
        let (now, policy) = (out.now, out.policy);
        let is_due = |at: Option<EventTime>| at.is_some_and(|at| at <= now);
        for i in 0..self.lifecycles.len() {
            let lifecycle = &mut self.lifecycles[i];
            if lifecycle.state.is_final() {
                continue;
            }
            if is_due(lifecycle.overdue_at) {
                lifecycle.overdue_at = None;
                lifecycle.record_step(now);
                let business = if out.brand_policy().hours.is_some() { " of business hours" } else { "" };
                let target = format_duration(out.brand_policy().first_response);
                out.emit_step(
                    EscalationRef { id, incident: self, lifecycle: &self.lifecycles[i] },
                    EscalationChange::Late,
                    format!("no public answer within {target}{business}"),
                );
            }
            let lifecycle = &mut self.lifecycles[i];
            if is_due(lifecycle.forgotten_at(policy)) {
                let since = format_duration(now - lifecycle.notified_at);
                lifecycle.move_to(EscalationState::Reopened, now);
                out.emit_step(
                    EscalationRef { id, incident: self, lifecycle: &self.lifecycles[i] },
                    EscalationChange::Moved,
                    format!("acknowledged, but no progress for {since}"),
                );
            }
            let lifecycle = &self.lifecycles[i];
            if is_due(lifecycle.next_tier_at(policy)) {
                self.next_tier(id, i, out);
            }
            let lifecycle = &mut self.lifecycles[i];
            if is_due(lifecycle.repeat_at(policy)) {
                lifecycle.record_step(now);
                let since = format_duration(now - lifecycle.open_since);
                out.emit_step(
                    EscalationRef { id, incident: self, lifecycle: &self.lifecycles[i] },
                    EscalationChange::Waits,
                    format!("unacknowledged for {since}"),
                );
            }
        }
        if let Some(request) = self
            .hand_off_request
            .as_mut()
            .filter(|request| !request.stall_notified && request.deadline <= now)
        {
            request.stall_notified = true;
            let reason = format!(
                "asked to continue in private {} ago; nothing has followed",
                format_duration(now - request.at)
            );
            for i in 0..self.lifecycles.len() {
                if self.lifecycles[i].state == EscalationState::HandOffAsked {
                    self.lifecycles[i].record_step(now);
                    out.emit_step(
                        EscalationRef { id, incident: self, lifecycle: &self.lifecycles[i] },
                        EscalationChange::Stalled,
                        reason.clone(),
                    );
                }
            }
        }
    }

    /// Hands an unacknowledged escalation to the next tier.
    fn next_tier(&mut self, id: &str, i: usize, out: &mut Emitter<'_>) {
        let lifecycle = &mut self.lifecycles[i];
        let Some(tier) =
            out.policy.teams.get(&lifecycle.team).and_then(|team| team.tiers.get(lifecycle.tier))
        else {
            return;
        };
        lifecycle.tier += 1;
        let reason = format!(
            "not acknowledged by {} within {}: {} owns it now",
            lifecycle.owner,
            format_duration(tier.after),
            tier.team
        );
        let before = std::mem::replace(&mut lifecycle.owner, tier.team.clone());
        lifecycle.record_step(out.now);
        let mut record = out.record(
            EscalationRef { id, incident: self, lifecycle: &self.lifecycles[i] },
            EscalationChange::HandedOver,
            vec![reason],
        );
        record.handed_over_by = Some(before).filter(|before| *before != tier.team);
        out.escalations.push(record);
    }
}
