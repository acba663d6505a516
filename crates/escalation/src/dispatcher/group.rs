//! Groups: conversations on one route with equal `group_by` values share one escalation that grows.

use firewatch_domain::{Duration, EscalationState, EventTime};
use serde::{Deserialize, Serialize};

use super::Dispatcher;
use super::emitter::{DecisionKind, Emitter};
use super::growth::Growth;
use super::incident::{ActiveRoute, Incident};
use super::part_key::StatePartKey;
use crate::lifecycle::Trigger;

/// Time without a new member after which a group ends.
const IDLE_TIMEOUT: Duration = Duration::from_mins(60);
/// Maximum number of conversations that a group names.
const MAX_NAMED: usize = 5;

/// An open group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct IncidentGroup {
    id: String,
    growth: Growth,
    last_joined_at: EventTime,
}

impl Dispatcher {
    /// Adds an incident to its group, if its route has groups. Returns whether it did.
    pub(super) fn join_group(
        &mut self,
        id: &str,
        incident: &mut Incident,
        trigger: &Trigger,
        out: &mut Emitter<'_>,
    ) -> bool {
        let active = incident.routes.iter().find(|active| active.route == trigger.route);
        let Some(key) = active.and_then(|active| active.group.clone()) else { return false };
        let name = format!("group/{}/{}/{key}/{}", out.brand, trigger.route, out.now);
        let new_group = IncidentGroup { id: name, growth: Growth::new(out.now), last_joined_at: out.now };
        let group = self.core.groups.entry((trigger.route.clone(), key)).or_insert(new_group);
        let joins = !incident.in_groups.contains(&trigger.route);
        if joins {
            incident.in_groups.push(trigger.route.clone());
            group.growth.add_member(incident.sim_hash);
            group.last_joined_at = out.now;
        }
        let (group_id, members) = (group.id.clone(), group.growth.members);
        let mut group_incident = self.incidents.remove(&group_id).unwrap_or_else(|| {
            let mut new = Incident::new(None);
            new.routes.push(ActiveRoute::new(&trigger.route, trigger.level, trigger.reason.clone(), out.now));
            new.advice.clone_from(&incident.advice);
            new
        });
        group_incident.members = Some(members);
        group_incident.posted_at = group_incident.posted_at.into_iter().chain(incident.posted_at).min();
        if joins && group_incident.reasons.len() < MAX_NAMED {
            group_incident.reasons.push(format!("member: {id}"));
        }
        if let Some(active) = group_incident.routes.first_mut().filter(|active| trigger.level > active.level)
        {
            (active.level, active.reason, active.due) =
                (trigger.level, trigger.reason.clone(), Some(out.now));
        }
        out.record_decision(DecisionKind::InGroup, id, || format!("notified as part of {group_id}"));
        self.put_back(group_id, group_incident, out.policy);
        true
    }

    /// Emits growth of groups, and ends those without new members.
    pub(super) fn update_groups(&mut self, out: &mut Emitter<'_>) {
        let mut groups = std::mem::take(&mut self.core.groups);
        groups.retain(|(route, _), group| {
            let Some(mut incident) = self.incidents.remove(&group.id) else { return false };
            let interval = out.policy.routes.get(route).map_or(IDLE_TIMEOUT, |route| route.group_interval);
            group.growth.notify_growth(&group.id, &mut incident, interval, out);
            let is_over = out.now - group.last_joined_at >= IDLE_TIMEOUT;
            if is_over {
                let reason = format!("no new member for {IDLE_TIMEOUT}");
                out.move_all(&group.id, &mut incident, EscalationState::Resolved, &reason);
            }
            self.changed.insert(StatePartKey::Incident(group.id.clone()));
            self.incidents.insert(group.id.clone(), incident);
            if is_over {
                self.remove_incident(&group.id);
            }
            !is_over
        });
        self.core.groups = groups;
    }
}
