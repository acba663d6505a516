//! Digests: one escalation for a team that lists what waits for its budget, or what a storm muted and nobody
//! has answered.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use firewatch_domain::{Duration, EscalationChange, EventTime, IncidentId, Level, Reason, ReasonKind};
use serde::{Deserialize, Serialize};

use super::Dispatcher;
use super::active_route::ActiveRoute;
use super::collection::Collection;
use super::emitter::{DecisionKind, Emitter, EscalationRef};
use super::incident::{Details, Incident};
use super::incidents::Waiting;
use super::storm::about;
use super::verdict::silence;
use crate::{Lifecycle, PR, Policy, RouteRef};

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
        let is_due = |digest: &BudgetDigest| digest.notified_at + interval <= out.now;
        let due = self.core.digests.iter().filter(|(_, digest)| is_due(digest));
        for team in due.map(|(team, _)| team.clone()).collect::<Vec<_>>() {
            self.update_budget_digest(&team, out);
        }
    }

    /// Returns when the next digest is due that no longer lists what waits.
    pub(super) fn next_budget_digest(&self, policy: &Policy) -> Option<EventTime> {
        let changed = self.core.digests.iter().filter(|(team, digest)| {
            let waiting = self.incidents.waiting(team);
            let level = waiting.and_then(BTreeSet::first).map(|first| first.level.0);
            waiting.map_or((0, vec![]), notified) != digest.notified
                || level.is_some_and(|level| self.is_above(&digest.id, level))
        });
        let due = changed.map(|(_, digest)| {
            let due = digest.notified_at + policy.storms.group_interval;
            self.growth_held_until(&digest.id).map_or(due, |until| until.max(due))
        });
        due.min()
    }

    /// Returns whether a level is above that of a live digest.
    fn is_above(&self, digest: &IncidentId, level: Level) -> bool {
        let digest = self.incidents.get(digest).and_then(|digest| digest.lifecycles.first());
        digest.is_some_and(|lifecycle| lifecycle.is_live() && level > lifecycle.level)
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
        let Some(digest) = self.core.digests.get(team) else { return };
        let rises = self.is_above(&digest.id, level);
        if digest.notified == now_notified && !rises {
            return;
        }
        let (id, known) = (digest.id.clone(), digest.notified.clone());
        if count == 0 {
            self.core.digests.remove(team);
            return self.end_incident(&id, "no escalation waits any more", out);
        }
        if self.growth_held_until(&id).is_some_and(|until| until > out.now) {
            return;
        }
        let Some(mut incident) = self.incidents.check_out(&id) else { return };
        incident.reasons = reasons;
        incident.details = Details::BudgetDigest { team: team.to_owned(), waiting: count as u64 };
        let is_live = incident.lifecycles.first().is_some_and(Lifecycle::is_live);
        // What left it was notified of by itself, and what only rose waits as before.
        let has_new = now_notified.1.iter().any(|id| !known.1.contains(id));
        let has_grown = incident.lifecycles.is_empty()
            || rises
            || now_notified.0 > known.0
            || (now_notified.0 == known.0 && has_new);
        let is_held = is_live && has_grown && incident.holds_reminders(&id, 0, out);
        if !is_held {
            if has_grown {
                incident.grow_budget_digest(&id, level, describe_budget(count, team, out), count, out);
            }
            if let Some(digest) = self.core.digests.get_mut(team) {
                (digest.notified, digest.notified_at) = (now_notified, out.now);
            }
        }
        self.incidents.check_in(&id, incident, out.policy);
    }

    /// Returns which team the digest of a storm is for, if the policy no longer has its team: that of the first route by
    /// which a conversation is in it.
    pub(super) fn team_of_members(
        &self,
        id: &IncidentId,
        digest: &Incident,
        policy: &Policy,
    ) -> Option<String> {
        let Details::StormDigest { team, .. } = &digest.details else { return None };
        if policy.teams.contains_key(team) {
            return None;
        }
        let members = self.incidents.members_of(id);
        let members = members.iter().filter_map(|member| self.incidents.get(member)?.conversation());
        let routes = members.flat_map(|member| &member.memberships).filter(|membership| membership.of == *id);
        let mut teams =
            routes.filter_map(|membership| Some(&policy.routes.get(membership.route.policy_name()?)?.team));
        Some(teams.next().map_or(PR, |team| team).to_owned())
    }

    /// Returns whether an incident is the digest of what waits for a budget.
    pub(super) fn is_budget_digest(&self, id: &IncidentId) -> bool {
        self.incidents.get(id).is_some_and(|one| matches!(one.details, Details::BudgetDigest { .. }))
    }

    /// Describes what waits for a budget now, in a digest that its team is about to be notified of.
    pub(super) fn describe_budget_digest(&mut self, id: &IncidentId, out: &mut Emitter<'_>) {
        let Some(incident) = self.incidents.get(id).filter(|one| one.lifecycles.is_empty()) else { return };
        if let Details::BudgetDigest { team, .. } = &incident.details {
            self.update_budget_digest(&team.clone(), out);
        }
    }

    /// Forgets a digest that a person ended. The next one opens when something else starts to wait.
    pub(super) fn close_budget_digest(&mut self, id: &IncidentId) {
        self.core.digests.retain(|_, digest| digest.id != *id);
        self.incidents.remove(id);
    }

    /// Makes a digest for each team of what a storm muted and the brand has not answered. What is silenced waits
    /// for the end of its silence instead.
    pub(super) fn make_storm_digests(
        &mut self,
        storm: &IncidentId,
        topics: &[String],
        out: &mut Emitter<'_>,
    ) {
        self.unmute_silenced(storm, out);
        for (team, muted) in self.muted_by(storm, out) {
            let id = self.free_digest_id(&team, out);
            let joined = muted.len() as u64;
            let collection = Collection { joined, ..Collection::default() };
            let mut incident = Incident::new(Details::StormDigest { team: team.clone(), collection });
            incident.topics = topics.to_vec();
            incident.routes.push(ActiveRoute::new(RouteRef::Digest, Level::Low, String::new(), out.now));
            self.incidents.check_in(&id, incident, out.policy);
            for (member, route) in muted {
                out.record_decision(DecisionKind::RouteChanged, &member, || {
                    format!("in {id}, because the storm that muted it has ended")
                });
                self.incidents.edit(&member, |member| {
                    member.join(&id, &team, route, out);
                });
            }
            self.describe_storm_digest(&id, out);
        }
    }

    /// Describes what a digest holds now, the worst first, if it waits to be opened. One in which nothing is left to
    /// answer is closed.
    pub(super) fn describe_storm_digest(&mut self, id: &IncidentId, out: &mut Emitter<'_>) {
        let is_digest = |one: &Incident| matches!(one.details, Details::StormDigest { .. });
        if !self.incidents.get(id).is_some_and(|one| is_digest(one) && one.lifecycles.is_empty()) {
            return;
        }
        let ids = self.incidents.members_of(id);
        let members = ids.iter().filter_map(|member| self.incidents.get(member).map(|one| (member, one)));
        let mut unanswered: Vec<_> =
            members.filter_map(|(member, one)| unanswered_in(id, member, one, out)).collect();
        unanswered.sort_unstable();
        let Some((worst, _)) = unanswered.first() else { return self.close_unseen(id, out) };
        let (level, count) = (worst.level.0, unanswered.len());
        let overdue =
            unanswered.iter().filter(|(_, respond_by)| respond_by.is_some_and(|by| by < out.now)).count();
        let reasons = unanswered.iter().take(MAX_NAMED).map(|(one, _)| one.reason()).collect();
        let Some(mut incident) = self.incidents.check_out(id) else { return };
        let about = about(&incident.topics);
        let late = if overdue == 0 { String::new() } else { format!(", {overdue} of them overdue") };
        let plural = if count == 1 { "complaint" } else { "complaints" };
        incident.reasons = reasons;
        if let Some(active) = incident.routes.first_mut() {
            active.level = level;
            active.reason = format!(
                "a storm{about} has ended; {count} muted {plural} unanswered{late}; the worst first:"
            );
        }
        if let Some(collection) = incident.details.collection_mut() {
            collection.joined = count as u64;
            (collection.reported, collection.reported_until) = (overdue as u64, Some(out.now));
            self.incidents.summarize(id, collection);
        }
        self.incidents.check_in(id, incident, out.policy);
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

    /// Returns the conversations that a storm muted for each team, each with a route of it, those left out that have
    /// been answered.
    fn muted_by(
        &self,
        storm: &IncidentId,
        out: &Emitter<'_>,
    ) -> BTreeMap<String, Vec<(IncidentId, RouteRef)>> {
        let mut by_team: BTreeMap<String, Vec<(IncidentId, RouteRef)>> = BTreeMap::new();
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
                if incident.is_known_to(team, out.policy) {
                    continue;
                }
                let of_team = by_team.entry(team.to_owned()).or_default();
                if of_team.last().is_none_or(|(last, _)| last != id) {
                    of_team.push((id.clone(), active.route.clone()));
                }
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

impl Incident {
    /// Emits that a digest lists something else. What waits for the end of the team's quiet hours only changes.
    fn grow_budget_digest(
        &mut self,
        id: &IncidentId,
        level: Level,
        reason: String,
        count: usize,
        out: &mut Emitter<'_>,
    ) {
        if let Some(active) = self.routes.first_mut().filter(|active| active.due.is_some()) {
            (active.level, active.reason) = (level, reason);
        } else if let Some(lifecycle) = self.lifecycles.first_mut().filter(|lifecycle| lifecycle.is_live()) {
            let rises = level > lifecycle.level;
            let change = if rises { EscalationChange::Raised } else { EscalationChange::Grew };
            lifecycle.level = lifecycle.level.max(level);
            lifecycle.reason = reason;
            lifecycle.record_step(out.now);
            let escalation = EscalationRef { id, incident: self, lifecycle: &self.lifecycles[0] };
            let happened = format!("{} now", describe_waiting(count, ""));
            out.emit_list(escalation, change, happened);
        }
    }
}

fn notified(waiting: &BTreeSet<Waiting>) -> (u64, Vec<IncidentId>) {
    (waiting.len() as u64, waiting.iter().take(MAX_NAMED).map(|one| one.id.clone()).collect())
}

impl Waiting {
    fn reason(&self) -> Reason {
        let Self { level, risk, id, .. } = self;
        Reason::new(ReasonKind::Member, format!("{id}: {}, risk {}", level.0, risk.0))
    }
}

/// Returns a member of a waiting digest with the deadline of its answer, unless the brand has answered it, its route
/// no longer holds, or the team is about to be notified of it by itself.
fn unanswered_in(
    digest: &IncidentId,
    id: &IncidentId,
    incident: &Incident,
    out: &Emitter<'_>,
) -> Option<(Waiting, Option<EventTime>)> {
    let conversation = incident.conversation().filter(|conversation| conversation.answered_at.is_none())?;
    let membership = conversation.memberships.iter().find(|membership| membership.of == *digest)?;
    let active = incident.routes.iter().find(|active| active.route == membership.route)?;
    let team = incident.team(active, out.policy)?;
    if active.lapsed || incident.teams_due(out.now, out.policy).iter().any(|due| due == team) {
        return None;
    }
    let (level, risk) = (Reverse(active.level), Reverse(incident.risk()));
    Some((Waiting { level, risk, id: id.clone(), since: active.since }, membership.respond_by))
}

fn describe_waiting(count: usize, more: &str) -> String {
    if count == 1 { format!("1 {more}escalation waits") } else { format!("{count} {more}escalations wait") }
}

fn describe_budget(count: usize, team: &str, out: &Emitter<'_>) -> String {
    let budget = out.policy.teams.get(team).and_then(|team| team.budget).unwrap_or_default();
    let wait = describe_waiting(count, "more ");
    format!("{wait}: the budget of {team} is {budget} an hour; the most severe first:")
}
