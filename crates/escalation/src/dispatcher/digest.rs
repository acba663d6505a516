//! Digests: one escalation for a team that lists what waits for its budget, or what a storm muted and nobody
//! has answered.

use std::collections::{BTreeMap, BTreeSet};

use firewatch_domain::{
    Duration, EscalationChange, EventTime, IncidentId, Level, Reason, ReasonKind, Tenths,
};
use serde::{Deserialize, Serialize};

use super::Dispatcher;
use super::collection::{Collection, Membership};
use super::emitter::{Emitter, EscalationRef};
use super::incident::{ActiveRoute, Details, Incident};
use super::incidents::Waiting;
use super::verdict::silence;
use crate::RouteRef;

/// Maximum number of incidents that a digest names.
const MAX_NAMED: usize = 5;
/// Time from the first incident that waits for a budget to the digest, in which a burst gathers.
const DIGEST_WAIT: Duration = Duration::from_secs(10);

/// The open digest of what waits for a team's budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct BudgetDigest {
    id: IncidentId,
    /// Number of incidents and the first of them, as last emitted.
    notified: (u64, Vec<IncidentId>),
    notified_at: EventTime,
}

/// A conversation that a storm muted.
struct Muted {
    level: Level,
    risk: Tenths,
    id: IncidentId,
    route: RouteRef,
    respond_by: Option<EventTime>,
}

impl Dispatcher {
    /// Schedules a digest because something starts to wait for a team's budget, unless there is one.
    pub(super) fn announce_wait(&mut self, team: &str, now: EventTime) {
        if !self.core.digests.contains_key(team) {
            self.core.digest_due.entry(team.to_owned()).or_insert(now + DIGEST_WAIT);
        }
    }

    /// Opens, updates and ends the digests of what waits for budgets.
    pub(super) fn update_budget_digests(&mut self, out: &mut Emitter<'_>) {
        let interval = out.policy.storms.group_interval;
        let new = self.core.digest_due.iter().filter(|(_, due)| **due <= out.now);
        for team in new.map(|(team, _)| team.clone()).collect::<Vec<_>>() {
            self.core.digest_due.remove(&team);
            self.open_budget_digest(team, out);
        }
        let is_due = |digest: &BudgetDigest| out.now - digest.notified_at >= interval;
        let due = self.core.digests.iter().filter(|(_, digest)| is_due(digest));
        for team in due.map(|(team, _)| team.clone()).collect::<Vec<_>>() {
            self.update_budget_digest(&team, out);
        }
    }

    fn open_budget_digest(&mut self, team: String, out: &mut Emitter<'_>) {
        let Some(waiting) = self.incidents.waiting(&team) else { return };
        let level = waiting.first().map_or(Level::Low, |first| first.level.0);
        let notified = notified(waiting);
        let id = self.free_digest_id(&team, out);
        let mut incident =
            Incident::new(Details::BudgetDigest { team: team.clone(), waiting: waiting.len() as u64 });
        incident.reasons = waiting.iter().take(MAX_NAMED).map(Waiting::reason).collect();
        let reason = describe_budget(waiting.len(), &team, out);
        incident.routes.push(ActiveRoute::new(RouteRef::Digest, level, reason, out.now));
        self.incidents.check_in(&id, incident, out.policy);
        self.core.digests.insert(team, BudgetDigest { id, notified, notified_at: out.now });
    }

    /// Emits what has changed in a digest, or ends it.
    fn update_budget_digest(&mut self, team: &str, out: &mut Emitter<'_>) {
        let empty = BTreeSet::new();
        let waiting = self.incidents.waiting(team).unwrap_or(&empty);
        let (count, level) = (waiting.len(), waiting.first().map_or(Level::Low, |first| first.level.0));
        let (now_notified, reasons) =
            (notified(waiting), waiting.iter().take(MAX_NAMED).map(Waiting::reason).collect());
        let Some(digest) = self.core.digests.get_mut(team) else { return };
        if digest.notified == now_notified {
            return;
        }
        (digest.notified, digest.notified_at) = (now_notified, out.now);
        let id = digest.id.clone();
        if count == 0 {
            self.core.digests.remove(team);
            return self.end_incident(&id, "no escalation waits any more", out);
        }
        let Some(mut incident) = self.incidents.check_out(&id) else { return };
        incident.reasons = reasons;
        incident.details = Details::BudgetDigest { team: team.to_owned(), waiting: count as u64 };
        let reason = describe_budget(count, team, out);
        if let Some(active) = incident.routes.first_mut().filter(|active| active.due.is_some()) {
            // It waits for the end of the team's quiet hours.
            (active.level, active.reason) = (active.level.max(level), reason);
        } else if incident.lifecycles.first().is_some_and(crate::Lifecycle::is_live)
            && !incident.holds_reminders(&id, 0, out)
        {
            let lifecycle = &mut incident.lifecycles[0];
            lifecycle.level = lifecycle.level.max(level);
            lifecycle.reason = reason;
            lifecycle.record_step(out.now);
            let escalation =
                EscalationRef { id: &id, incident: &incident, lifecycle: &incident.lifecycles[0] };
            let happened = format!("{} now", describe_waiting(count, ""));
            out.emit_list(escalation, EscalationChange::Grew, happened);
        }
        self.incidents.check_in(&id, incident, out.policy);
    }

    /// Forgets a digest that a person ended. The next one opens when something else starts to wait.
    pub(super) fn close_budget_digest(&mut self, id: &IncidentId) {
        self.core.digests.retain(|_, digest| digest.id != *id);
        self.incidents.remove(id);
    }

    /// Opens a digest for each team of what a storm muted and the brand has not answered, the worst first.
    /// What is silenced waits for the end of its silence instead.
    pub(super) fn open_storm_digests(&mut self, storm: &IncidentId, about: &str, out: &mut Emitter<'_>) {
        self.unmute_silenced(storm, out);
        for (team, mut muted) in self.muted_by(storm, out) {
            muted.sort_by(|a, b| (b.level, b.risk).cmp(&(a.level, a.risk)).then_with(|| a.id.cmp(&b.id)));
            let id = self.free_digest_id(&team, out);
            let overdue = muted.iter().filter(|one| one.respond_by.is_some_and(|by| by < out.now)).count();
            let late = if overdue == 0 { String::new() } else { format!(", {overdue} of them overdue") };
            let count = muted.len();
            let plural = if count == 1 { "complaint" } else { "complaints" };
            let reason = format!(
                "a storm{about} has ended; {count} muted {plural} unanswered{late}; the worst first:"
            );
            let level = muted.first().map_or(Level::Low, |worst| worst.level);
            let collection = Collection { joined: count as u64, ..Collection::default() };
            let mut incident = Incident::new(Details::StormDigest { team, collection });
            incident.reasons =
                muted.iter().take(MAX_NAMED).map(|m| describe(&m.id, m.level, m.risk)).collect();
            incident.routes.push(ActiveRoute::new(RouteRef::Digest, level, reason, out.now));
            self.incidents.check_in(&id, incident, out.policy);
            for Muted { id: member, route, respond_by, .. } in muted {
                let membership = Membership { of: id.clone(), route, respond_by };
                self.incidents.edit(&member, |member| {
                    if let Some(conversation) = member.conversation_mut() {
                        conversation.memberships.push(membership);
                    }
                });
            }
        }
    }

    /// Lets what a storm muted and a silence hides be decided by the silence.
    fn unmute_silenced(&mut self, storm: &IncidentId, out: &Emitter<'_>) {
        let of_storm = self.incidents.iter().filter(|(_, incident)| {
            incident.conversation().is_some_and(|conversation| conversation.storm.as_ref() == Some(storm))
        });
        let ids: Vec<IncidentId> = of_storm.map(|(id, _)| id.clone()).collect();
        for id in ids {
            let Some(mut incident) = self.incidents.check_out(&id) else { continue };
            for i in 0..incident.routes.len() {
                let team = incident.team(&incident.routes[i], out.policy);
                let is_silenced =
                    team.is_some_and(|team| silence(&incident, team, out.now, out.policy).is_some());
                let active = &mut incident.routes[i];
                if is_silenced && active.muted && !active.lapsed {
                    (active.due, active.decided, active.muted) = (Some(out.now), false, false);
                }
            }
            self.incidents.check_in(&id, incident, out.policy);
        }
    }

    /// Returns the conversations that a storm muted for each team, those left out that have been answered.
    fn muted_by(&self, storm: &IncidentId, out: &Emitter<'_>) -> BTreeMap<String, Vec<Muted>> {
        let mut by_team: BTreeMap<String, Vec<Muted>> = BTreeMap::new();
        for (id, incident) in self.incidents.iter() {
            let Some(conversation) = incident.conversation().filter(|c| c.storm.as_ref() == Some(storm))
            else {
                continue;
            };
            if conversation.answered_at.is_some() {
                continue;
            }
            for active in incident.routes.iter().filter(|active| active.muted && !active.lapsed) {
                let Some(team) = incident.team(active, out.policy) else { continue };
                let has_escalation = incident.lifecycles.iter().any(|lifecycle| lifecycle.team == team);
                if has_escalation || incident.is_member_by(&active.route) {
                    continue;
                }
                let of_team = by_team.entry(team.to_owned()).or_default();
                if of_team.last().is_some_and(|last| last.id == *id) {
                    continue;
                }
                let route = active.route.policy_name().and_then(|name| out.policy.routes.get(name));
                let waits = route.is_some_and(|route| route.unless_answered);
                of_team.push(Muted {
                    level: active.level,
                    risk: incident.risk(),
                    id: id.clone(),
                    route: active.route.clone(),
                    respond_by: incident.respond_by(out.brand_policy()).filter(|_| waits),
                });
            }
        }
        by_team
    }

    /// Returns an id for a digest that opens now. Two can open for a team in one window.
    fn free_digest_id(&self, team: &str, out: &Emitter<'_>) -> IncidentId {
        let mut at = out.now;
        loop {
            let id = IncidentId::digest(out.brand, team, at);
            if self.incidents.get(&id).is_none() {
                return id;
            }
            at = at + Duration::from_millis(1);
        }
    }
}

fn notified(waiting: &BTreeSet<Waiting>) -> (u64, Vec<IncidentId>) {
    (waiting.len() as u64, waiting.iter().take(MAX_NAMED).map(|one| one.id.clone()).collect())
}

impl Waiting {
    fn reason(&self) -> Reason {
        describe(&self.id, self.level.0, self.risk.0)
    }
}

fn describe(id: &IncidentId, level: Level, risk: Tenths) -> Reason {
    Reason::new(ReasonKind::Member, format!("{id}: {level}, risk {risk}"))
}

fn describe_waiting(count: usize, more: &str) -> String {
    if count == 1 { format!("1 {more}escalation waits") } else { format!("{count} {more}escalations wait") }
}

fn describe_budget(count: usize, team: &str, out: &Emitter<'_>) -> String {
    let budget = out.policy.teams.get(team).and_then(|team| team.budget).unwrap_or_default();
    let wait = describe_waiting(count, "more ");
    format!("{wait}: the budget of {team} is {budget} an hour; the most severe first:")
}
