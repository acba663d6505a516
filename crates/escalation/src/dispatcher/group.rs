//! Groups: conversations on one route with equal `group_by` values share one escalation that grows.

use std::collections::BTreeMap;

use firewatch_domain::{Duration, EscalationState, EventTime, IncidentId, IncidentKind, Reason, ReasonKind};
use serde::{Deserialize, Serialize};

use super::Dispatcher;
use super::active_route::ActiveRoute;
use super::collection::Collection;
use super::emitter::Emitter;
use super::growth::Growth;
use super::incident::{Details, Incident};
use crate::lifecycle::Trigger;
use crate::{Policy, RouteRef};

/// Minimum time between two updates of a group whose route the policy no longer has.
const DEFAULT_INTERVAL: Duration = Duration::from_mins(5);
/// Maximum number of conversations that a group names.
const MAX_NAMED: usize = 5;

/// A group that new conversations join.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct OpenGroup {
    pub id: IncidentId,
    growth: Growth,
}

impl Dispatcher {
    /// Adds a conversation to the group with a key on the trigger's route, and returns the group. A conversation
    /// whose values have changed leaves its former group.
    pub(super) fn join_group(
        &mut self,
        id: &IncidentId,
        incident: &mut Incident,
        team: &str,
        trigger: &Trigger,
        key: &str,
        out: &mut Emitter<'_>,
    ) -> IncidentId {
        let route = trigger.route.to_string();
        let new_group = || OpenGroup {
            id: IncidentId::group(out.brand, &route, key, out.now),
            growth: Growth::new(out.now),
        };
        let group = self.core.groups.entry((route.clone(), key.to_owned())).or_insert_with(new_group);
        let group_id = group.id.clone();
        incident.leave(|membership| membership.route == trigger.route && membership.of != group_id);
        let joins = !incident.is_member_by(&trigger.route);
        if joins {
            group.growth.add_member(incident.conversation().and_then(|conversation| conversation.sim_hash));
        }
        let joined = group.growth.members;
        let mut group_incident = self.incidents.check_out(&group_id).unwrap_or_else(|| {
            let mut new = Incident::new(Details::Group(Collection::default()));
            let reason = trigger.reason.clone();
            new.routes.push(ActiveRoute::new(trigger.route.clone(), trigger.level, reason, out.now));
            new.advice.clone_from(&incident.advice);
            if let Some(storm) = IncidentId::from_prefix(key).and_then(|id| self.incidents.get(&id)) {
                new.topics.clone_from(&storm.topics);
            }
            new
        });
        if let Some(collection) = group_incident.details.collection_mut() {
            collection.joined = joined;
        }
        group_incident.posted_at = group_incident.posted_at.into_iter().chain(incident.posted_at).min();
        if joins && group_incident.reasons.len() < MAX_NAMED {
            group_incident.reasons.push(Reason::new(ReasonKind::Member, format!("member: {id}")));
        }
        if let Some(active) = group_incident.routes.first_mut().filter(|active| trigger.level > active.level)
        {
            (active.level, active.reason, active.due) =
                (trigger.level, trigger.reason.clone(), Some(out.now));
        }
        self.incidents.check_in(&group_id, group_incident, out.policy);
        if joins {
            incident.join(&group_id, team, trigger.route.clone(), out);
        }
        group_id
    }

    /// Lets be one group for each route what has waited, behind quiet hours or a silence, until its storm ended.
    pub(super) fn group_waiting(&mut self, storm: &IncidentId, about: &str, out: &Emitter<'_>) {
        let waits = |incident: &Incident, active: &ActiveRoute| {
            let team = incident.team(active, out.policy);
            active.due.is_some()
                && active.group.is_none()
                && active.level <= out.policy.storms.mutes_up_to
                && incident.lifecycles.iter().all(|lifecycle| Some(lifecycle.team.as_str()) != team)
        };
        let members = self.incidents.iter().filter(|(_, incident)| incident.is_in_storm(storm.as_str()));
        let mut by_route: BTreeMap<RouteRef, Vec<IncidentId>> = BTreeMap::new();
        for (id, incident) in members {
            for active in incident.routes.iter().filter(|active| waits(incident, active)) {
                by_route.entry(active.route.clone()).or_default().push(id.clone());
            }
        }
        for (route, ids) in by_route.into_iter().filter(|(_, ids)| ids.len() > 1) {
            for id in ids {
                self.incidents.edit(&id, |incident| {
                    for active in incident.routes.iter_mut().filter(|active| active.route == route) {
                        active.group = Some(storm.to_string());
                        active.reason.push_str(&format!("; part of a storm{about} that has ended"));
                    }
                });
            }
        }
    }

    /// Returns whether a group holds the posts of a storm.
    pub(super) fn is_group_of_storm(&self, id: &IncidentId) -> bool {
        let key = self.core.groups.iter().find(|(_, group)| group.id == *id).map(|((_, key), _)| key);
        let storm = key.and_then(|key| IncidentId::from_prefix(key));
        storm.is_some_and(|storm| storm.kind() == IncidentKind::Storm)
    }

    /// Lets nobody join groups that a person has ended or answered.
    pub(super) fn close_ended_groups(&mut self) {
        let incidents = &self.incidents;
        self.core.groups.retain(|_, group| {
            let lifecycles = incidents.get(&group.id).map(|incident| &incident.lifecycles);
            lifecycles.is_some_and(|all| {
                all.iter().all(|one| one.state.is_open() || one.state == EscalationState::Acknowledged)
            })
        });
    }

    /// Lets nobody join groups whose route notifies another team by now.
    pub(super) fn close_groups_of_other_teams(&mut self, policy: &Policy) {
        let incidents = &self.incidents;
        self.core.groups.retain(|(route, _), group| {
            let team = policy.routes.get(route).map(|route| &route.team);
            let mut of_teams = incidents.get(&group.id).into_iter().flat_map(|incident| &incident.lifecycles);
            team.is_none_or(|team| of_teams.all(|lifecycle| lifecycle.team == *team))
        });
    }

    /// Returns when the growth of a group is next emitted.
    pub(super) fn next_group_growth(&self, policy: &Policy) -> Option<EventTime> {
        let due = self.core.groups.iter().filter_map(|((route, _), group)| {
            self.next_growth(&group.id, &group.growth, interval_of(route, policy))
        });
        due.min()
    }

    /// Emits growth of groups.
    pub(super) fn update_groups(&mut self, out: &mut Emitter<'_>) {
        self.core.group_waits.retain(|_, first| *first > out.now);
        let mut groups = std::mem::take(&mut self.core.groups);
        for ((route, _), group) in &mut groups {
            self.notify_growth(&group.id, &mut group.growth, interval_of(route, out.policy), out);
        }
        self.core.groups = groups;
    }
}

/// Returns the minimum time between two updates of a group on a route.
fn interval_of(route: &str, policy: &Policy) -> Duration {
    policy.routes.get(route).map_or(DEFAULT_INTERVAL, |route| route.group_interval)
}
