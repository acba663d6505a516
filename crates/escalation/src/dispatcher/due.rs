//! Processes incidents that are due: routes that end, verdicts, and the budgets of teams.

use std::collections::BTreeSet;

use firewatch_domain::{
    Duration, EscalationChange, EscalationState, EventTime, IncidentId, IncidentKind, Level, Tenths,
};

use super::Dispatcher;
use super::deadlines::format_duration;
use super::emitter::{DecisionKind, Emitter, EscalationRef};
use super::incident::{BudgetWait, Incident};
use super::verdict::{Suppression, Verdict, View, decide};
use crate::Lifecycle;
use crate::lifecycle::{AnswerClock, Trigger};

/// Span over which a team's budget counts.
const BUDGET_WINDOW: Duration = Duration::from_mins(60);

/// An escalation that opens if the team's budget allows it.
pub(super) struct PendingOpening {
    id: IncidentId,
    team: String,
    trigger: Trigger,
    risk: Tenths,
}

impl Dispatcher {
    /// Processes every incident that is due, and those that become due by it, each once.
    pub(super) fn process_due(&mut self, out: &mut Emitter<'_>) {
        let (mut openings, mut processed, mut collections) = (Vec::new(), BTreeSet::new(), Vec::new());
        let mut budget_digests = Vec::new();
        loop {
            let due = self.incidents.take_due(out.now);
            let new = due.into_iter().filter(|id| processed.insert(id.clone()));
            let (of_budgets, new): (Vec<_>, Vec<_>) = new.partition(|id| self.is_budget_digest(id));
            budget_digests.extend(of_budgets);
            let (later, now): (Vec<_>, Vec<_>) = new.into_iter().partition(|id| self.is_collection(id));
            collections.extend(later);
            // What collects conversations comes after them, so that it lists what is so then.
            let ready = if now.is_empty() { std::mem::take(&mut collections) } else { now };
            if ready.is_empty() {
                break;
            }
            ready.iter().for_each(|id| self.process_one(id, &mut openings, out));
        }
        self.open_by_rank(openings, out);
        let mut openings = Vec::new();
        for id in budget_digests {
            self.describe_budget_digest(&id, out);
            self.process_one(&id, &mut openings, out);
        }
        self.open_by_rank(openings, out);
        self.incidents.reschedule(&processed);
    }

    fn process_one(&mut self, id: &IncidentId, openings: &mut Vec<PendingOpening>, out: &mut Emitter<'_>) {
        self.expire_members(id, out);
        self.describe_storm_digest(id, out);
        let Some(mut incident) = self.incidents.check_out(id) else { return };
        self.process_incident(id, &mut incident, openings, out);
        let is_finished = self.is_finished(id, &incident, out);
        self.incidents.check_in(id, incident, out.policy);
        if is_finished {
            self.remove_finished(id, out);
        }
        self.end_slept_storm(id, out);
    }

    fn process_incident(
        &mut self,
        id: &IncidentId,
        incident: &mut Incident,
        openings: &mut Vec<PendingOpening>,
        out: &mut Emitter<'_>,
    ) {
        incident.end_lapsed_routes(id, out);
        incident.expire_if_due(id, out);
        incident.suppress_after_end(id, out);
        incident.drop_ended_silences(out.now);
        incident.defer_unknown_routes(out);
        for team in incident.teams_due(out.now, out.policy) {
            let view = View { now: out.now, policy: out.policy, core: &self.core };
            let verdict = decide(incident, &team, view);
            if let Some(trigger) = self.apply_verdict(id, incident, &team, verdict, out) {
                openings.push(PendingOpening { id: id.clone(), team, trigger, risk: incident.risk() });
            }
        }
        self.remind(id, incident, out);
        incident.clear_opening_details();
    }

    /// Applies a verdict. Returns the trigger of an opening, which the team's budget has to allow.
    fn apply_verdict(
        &mut self,
        id: &IncidentId,
        incident: &mut Incident,
        team: &str,
        verdict: Verdict,
        out: &mut Emitter<'_>,
    ) -> Option<Trigger> {
        let (now, policy) = (out.now, out.policy);
        match verdict {
            Verdict::Open(trigger) | Verdict::Reopen(trigger) => return Some(trigger),
            Verdict::Suppress(suppression) => {
                out.record_suppression(&suppression, id, team);
                let muted = matches!(suppression, Suppression::InStorm { .. });
                incident.start_clock(team, out);
                incident.mark_decided(team, now, muted, policy);
            }
            Verdict::Defer(until, suppression) => {
                out.record_suppression(&suppression, id, team);
                if let Suppression::SilencedByPolicy { silence, .. } = &suppression {
                    self.count_as_hidden(incident, silence, team);
                }
                incident.defer(team, now, until, policy);
            }
            Verdict::Join { trigger, key } => {
                let group = self.join_group(id, incident, team, &trigger, &key, out);
                out.record_suppression(&Suppression::InGroup(group), id, team);
                incident.mark_decided(team, now, false, policy);
            }
            Verdict::Raise(trigger) => {
                incident.start_clock(team, out);
                incident.mark_decided(team, now, false, policy);
                let i = incident.lifecycles.iter().position(|lifecycle| lifecycle.team == team)?;
                incident.lifecycles[i].raise(&trigger, now);
                let escalation = EscalationRef { id, incident, lifecycle: &incident.lifecycles[i] };
                out.emit_full(escalation, EscalationChange::Raised, None);
            }
        }
        None
    }

    /// Opens as many escalations as the budgets allow, in the order of level and risk. The others wait and
    /// are listed in a digest.
    fn open_by_rank(&mut self, mut openings: Vec<PendingOpening>, out: &mut Emitter<'_>) {
        openings.sort_by(|a, b| {
            let rank = |o: &PendingOpening| (std::cmp::Reverse(o.trigger.level), std::cmp::Reverse(o.risk));
            rank(a).cmp(&rank(b)).then_with(|| (&a.id, &a.team).cmp(&(&b.id, &b.team)))
        });
        for PendingOpening { id, team, trigger, .. } in openings {
            if self.incidents.get(&id).is_none() {
                continue;
            }
            // A storm, its group or a digest replaces many escalations, so it never waits for a budget.
            let counts = match id.kind() {
                IncidentKind::Conversation => true,
                IncidentKind::Group => !self.is_group_of_storm(&id),
                _ => false,
            };
            let free_at = if counts { self.reserve_budget(&team, trigger.level, out) } else { None };
            let lists_ended = self.has_ended_members(&id);
            let Some(mut incident) = self.incidents.check_out(&id) else { continue };
            match free_at {
                None => {
                    incident.open(&id, &team, &trigger, lists_ended, out);
                    incident.leave_collections_of(&team, out.policy);
                }
                Some(free_at) => {
                    out.record_suppression(&Suppression::OverBudget(free_at), &id, &team);
                    incident.defer(&team, out.now, free_at, out.policy);
                    if !incident.budget_waits.iter().any(|wait| wait.team == team) {
                        self.announce_wait(&team, out.now);
                        incident.budget_waits.push(BudgetWait { team, since: out.now });
                    }
                }
            }
            incident.clear_opening_details();
            self.incidents.check_in(&id, incident, out.policy);
            self.end_slept_storm(&id, out);
        }
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
    /// Opens an escalation, for the first time or again.
    fn open(
        &mut self,
        id: &IncidentId,
        team: &str,
        trigger: &Trigger,
        lists_ended: bool,
        out: &mut Emitter<'_>,
    ) {
        self.mark_decided(team, out.now, false, out.policy);
        let known = self.lifecycles.iter().position(|lifecycle| lifecycle.team == team);
        let again = known.and_then(|i| describe_reopening(&self.lifecycles[i], trigger, out.now));
        let i = known.unwrap_or_else(|| {
            self.lifecycles.push(Lifecycle::open(team, trigger, out.now));
            self.lifecycles.len() - 1
        });
        if known.is_some() {
            self.lifecycles[i].reopen(trigger, out.now);
        }
        // An answer at the deadline itself is still in time. A deadline that has passed is reported at once.
        let due = self.answer_due(team, out);
        let clock = due.map(|due| AnswerClock::Until(due + Duration::from_millis(1)));
        self.lifecycles[i].answer_clock = clock.unwrap_or_default();
        // Like a conversation, it ends once it has been silent for longer than the horizon.
        let expires_at = out.now + out.policy.retention + Duration::from_mins(1);
        if let Some(conversation) =
            self.conversation_mut().filter(|conversation| conversation.expired.is_some())
        {
            conversation.expires_at.get_or_insert(expires_at);
        }
        if let Some(collection) = self.details.collection_mut().filter(|_| lists_ended) {
            collection.expires_at.get_or_insert(expires_at);
        }
        let escalation = EscalationRef { id, incident: self, lifecycle: &self.lifecycles[i] };
        out.emit_full(escalation, EscalationChange::Opened, again);
    }

    /// Removes routes that have ended, and resolves escalations whose team has no other route.
    fn end_lapsed_routes(&mut self, id: &IncidentId, out: &mut Emitter<'_>) {
        let over = |at: Option<EventTime>| at.is_some_and(|at| at <= out.now);
        let ended: Vec<_> = self.routes.iter().filter(|active| over(active.ends_at)).cloned().collect();
        self.routes.retain(|active| !over(active.ends_at));
        for active in ended {
            self.leave(|membership| membership.route == active.route);
            let (Some(team), Some(route)) = (
                self.team(&active, out.policy).map(str::to_owned),
                active.route.policy_name().and_then(|name| out.policy.routes.get(name)),
            ) else {
                continue;
            };
            if self.has_route(&team, out.policy) {
                continue;
            }
            let span = format_duration(route.clear_after.unwrap_or_default());
            let happened = match &route.until {
                Some(until) => format!("{} has held for {span}", until.source()),
                None => format!("no condition of {} has held for {span}", active.route),
            };
            out.record_decision(DecisionKind::RouteChanged, id, || {
                format!("off route {}: {happened}", active.route)
            });
            if let Some(i) = self.lifecycles.iter().position(|lifecycle| lifecycle.team == team)
                && self.lifecycles[i].move_to(EscalationState::Resolved, out.now)
            {
                let escalation = EscalationRef { id, incident: self, lifecycle: &self.lifecycles[i] };
                out.emit_step(escalation, EscalationChange::Moved, happened);
            }
        }
    }
}

/// Describes why an escalation opens again after its end.
fn describe_reopening(before: &Lifecycle, trigger: &Trigger, now: EventTime) -> Option<String> {
    let ended = before.ended?;
    let how = if ended.by_person { "a person resolved it" } else { "it calmed down" };
    let since = format_duration(now - ended.at);
    let change = match trigger.level.cmp(&before.level) {
        std::cmp::Ordering::Greater => {
            format!("worse than before: {} then, {} now", before.level, trigger.level)
        }
        std::cmp::Ordering::Equal => format!("again at {}", trigger.level),
        std::cmp::Ordering::Less => format!("{} then, {} now", before.level, trigger.level),
    };
    Some(format!("reopened {since} after {how}; {change}"))
}
