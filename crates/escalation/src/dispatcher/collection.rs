//! Groups and digests of storms: incidents that stand for conversations, which stay incidents of their own.
//!
//! A conversation lists its memberships. The counts of a collection derive from them, so a member that is
//! answered, rises, expires or is deleted leaves without a search.

use std::collections::BTreeSet;

use firewatch_domain::{Duration, EscalationChange, EscalationState, EventTime, IncidentId};
use serde::{Deserialize, Serialize};

use super::Dispatcher;
use super::active_route::ActiveRoute;
use super::deadlines::describe_target;
use super::emitter::{DecisionKind, Emitter, EscalationRef};
use super::incident::Incident;
use super::verdict::Suppression;
use crate::{Lifecycle, Policy, RouteRef};

/// A conversation's place in a group or digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Membership {
    /// The group or digest.
    pub of: IncidentId,
    /// The route by which it belongs there.
    pub route: RouteRef,
    /// When its first public answer is due; `None` when no clock runs, or after an answer.
    pub respond_by: Option<EventTime>,
}

/// What a group and the digest of a storm have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Collection {
    /// Number of conversations that have joined.
    pub joined: u64,
    /// Number of conversations in it now.
    pub present: u64,
    /// Number of these whose answer a clock waits for.
    pub unanswered: u64,
    /// The earliest deadline of these.
    pub respond_by: Option<EventTime>,
    /// A clock has run in it.
    pub has_clock: bool,
    /// Deadlines up to this time have been looked at.
    pub reported_until: Option<EventTime>,
    /// Number of overdue members in the last report.
    pub reported: u64,
    /// When to report overdue members next.
    pub report_at: Option<EventTime>,
    /// When conversations that had ended before it was opened leave it.
    pub expires_at: Option<EventTime>,
}

/// Minimum time between two reports of overdue members.
const REPORT_INTERVAL: Duration = Duration::from_mins(5);

/// The members of a collection, by deadline; those without one come last.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemberIndex {
    by_deadline: BTreeSet<(EventTime, IncidentId)>,
    /// Number of those with a deadline.
    unanswered: u64,
}

impl MemberIndex {
    pub fn insert(&mut self, respond_by: Option<EventTime>, id: IncidentId) {
        if self.by_deadline.insert((respond_by.unwrap_or(EventTime::END), id)) {
            self.unanswered += u64::from(respond_by.is_some());
        }
    }

    pub fn remove(&mut self, respond_by: Option<EventTime>, id: &IncidentId) {
        if self.by_deadline.remove(&(respond_by.unwrap_or(EventTime::END), id.clone())) {
            self.unanswered -= u64::from(respond_by.is_some());
        }
    }

    /// Returns the ids of all members.
    pub fn ids(&self) -> impl Iterator<Item = &IncidentId> {
        self.by_deadline.iter().map(|(_, id)| id)
    }

    /// Returns the number of members whose deadline has passed.
    pub fn overdue(&self, now: EventTime) -> u64 {
        self.by_deadline.iter().take_while(|(respond_by, _)| *respond_by < now).count() as u64
    }

    /// Writes the counts to the collection.
    pub fn summarize(&self, collection: &mut Collection) {
        collection.present = self.by_deadline.len() as u64;
        collection.unanswered = self.unanswered;
        collection.has_clock |= self.unanswered > 0;
        collection.respond_by = self.next_deadline(None);
        let next = self.next_deadline(collection.reported_until);
        // An answer at the deadline itself is still in time.
        let overdue_at = next.map(|deadline| deadline + Duration::from_millis(1));
        let not_before = collection.reported_until.map(|reported| reported + REPORT_INTERVAL);
        collection.report_at = overdue_at.map(|at| not_before.map_or(at, |not_before| at.max(not_before)));
    }

    /// Returns the first deadline after a time, or the first of all.
    fn next_deadline(&self, after: Option<EventTime>) -> Option<EventTime> {
        let from = after.map_or(EventTime::EARLIEST, |after| after + Duration::from_millis(1));
        let from = (from, IncidentId::conversation(""));
        let (deadline, _) = self.by_deadline.range(from..).next()?;
        Some(*deadline).filter(|deadline| *deadline < EventTime::END)
    }
}

impl Incident {
    /// Returns whether the conversation is in a collection by a route.
    pub(super) fn is_member_by(&self, route: &RouteRef) -> bool {
        self.conversation()
            .is_some_and(|conversation| conversation.memberships.iter().any(|m| m.route == *route))
    }

    /// Returns whether a team was notified of the conversation, by itself or in a collection.
    pub(super) fn is_known_to(&self, team: &str, policy: &Policy) -> bool {
        let is_of_team = |membership: &Membership| self.team_of(&membership.route, policy) == Some(team);
        self.lifecycles.iter().any(|lifecycle| lifecycle.team == team)
            || self.conversation().is_some_and(|one| one.memberships.iter().any(is_of_team))
    }

    /// Returns whether a team waits for the conversation that was not notified of it.
    fn awaits_team(&self, policy: &Policy) -> bool {
        let waiting = self.routes.iter().filter(|active| active.due.is_some());
        let mut teams = waiting.filter_map(|active| self.team(active, policy));
        teams.any(|team| !self.is_known_to(team, policy))
    }

    /// Returns whether a storm that opens takes in the conversation: nobody was notified of it, or a team not yet.
    pub(super) fn joins_new_storm(&self, policy: &Policy) -> bool {
        self.conversation().is_some_and(|one| {
            let is_unknown = self.lifecycles.is_empty() && one.memberships.is_empty();
            one.counts_for_storms && (is_unknown || self.awaits_team(policy))
        })
    }

    /// Returns whether a collection holds conversations that have ended: it waits for a team that will wake, or was
    /// opened after their end.
    fn lists_ended(&self, policy: &Policy) -> bool {
        if self.lifecycles.iter().any(Lifecycle::is_live) {
            return self.details.collection().is_some_and(|collection| collection.expires_at.is_some());
        }
        let wakes = |active: &ActiveRoute| {
            let team = self.team(active, policy).and_then(|team| policy.teams.get(team));
            team.is_none_or(|team| !team.never_wakes_for(active.level))
        };
        self.lifecycles.is_empty() && self.routes.iter().any(|active| active.due.is_some() && wakes(active))
    }

    /// Adds the conversation to a collection of a team by a route.
    pub(super) fn join(&mut self, of: &IncidentId, team: &str, route: RouteRef, out: &Emitter<'_>) {
        let respond_by = self.answer_due(team, out);
        if let Some(conversation) = self.conversation_mut() {
            conversation.memberships.push(Membership { of: of.clone(), route, respond_by });
        }
    }

    /// Ends the memberships by which a team was notified of the conversation.
    pub(super) fn leave_collections_of(&mut self, team: &str, policy: &Policy) {
        let memberships = self.conversation().map_or(&[][..], |one| &one.memberships);
        let of_team = memberships.iter().filter(|one| self.team_of(&one.route, policy) == Some(team));
        let routes: Vec<RouteRef> = of_team.map(|one| one.route.clone()).collect();
        self.leave(|membership| routes.contains(&membership.route));
    }

    /// Ends the memberships for which `ends` holds.
    pub(super) fn leave(&mut self, ends: impl Fn(&Membership) -> bool) {
        if let Some(conversation) = self.conversation_mut() {
            conversation.memberships.retain(|membership| !ends(membership));
        }
    }
}

impl Dispatcher {
    /// Ends collections in which nothing is left, and marks those as answered whose members all are.
    pub(super) fn settle_collections(&mut self, out: &mut Emitter<'_>) {
        let touched = self.incidents.take_touched();
        if touched.is_empty() {
            return;
        }
        for id in touched {
            let Some(mut incident) = self.incidents.check_out(&id) else { continue };
            let Some(collection) = incident.details.collection().cloned() else {
                self.incidents.check_in(&id, incident, out.policy);
                continue;
            };
            let is_answered = collection.has_clock && collection.unanswered == 0;
            // One that is answered before its team was notified needs no escalation.
            let is_unseen = incident.lifecycles.is_empty();
            let is_over = collection.present == 0 || (is_answered && is_unseen);
            if is_over {
                out.move_all(
                    &id,
                    &mut incident,
                    EscalationState::Resolved,
                    "none of its conversations is left",
                );
            } else if is_answered {
                out.move_all(
                    &id,
                    &mut incident,
                    EscalationState::Answered,
                    "the brand has answered every one of them",
                );
            }
            self.incidents.check_in(&id, incident, out.policy);
            if is_over && is_unseen {
                self.close_unseen(&id, out);
            } else if is_over {
                self.close_collection(&id, out);
            }
        }
        self.close_ended_groups();
    }

    /// Closes a collection that nobody was notified of and that no longer needs to be: the brand has answered, or its
    /// conversations hold no more, or have escalations of their own.
    pub(super) fn close_unseen(&mut self, id: &IncidentId, out: &mut Emitter<'_>) {
        let members = self.incidents.members_of(id);
        let mut conversations =
            members.iter().filter_map(|member| self.incidents.get(member)?.conversation());
        let is_answered = conversations.any(|conversation| conversation.answered_at.is_some());
        for incident in self.incidents.get(id).iter() {
            for team in incident.routes.iter().filter_map(|active| incident.team(active, out.policy)) {
                if is_answered {
                    out.record_suppression(&Suppression::Answered, id, team);
                } else {
                    out.record_decision(DecisionKind::RouteChanged, id, || {
                        format!("{team}: nothing in it is left to notify of")
                    });
                }
            }
        }
        self.close_collection(id, out);
    }

    /// Removes a collection, and the memberships in it. What follows begins another.
    pub(super) fn close_collection(&mut self, id: &IncidentId, out: &mut Emitter<'_>) {
        let members = self.incidents.members_of(id);
        self.incidents.remove(id);
        self.core.groups.retain(|_, group| group.id != *id);
        for member in members {
            self.incidents.edit(&member, |member| member.leave(|membership| membership.of == *id));
            self.remove_if_ended(&member, out);
        }
    }

    /// Removes an incident that is over, and a collection with the memberships in it.
    pub(super) fn remove_finished(&mut self, id: &IncidentId, out: &mut Emitter<'_>) {
        if self.is_collection(id) {
            self.close_collection(id, out);
        } else {
            self.incidents.remove(id);
        }
    }

    /// Returns whether an incident is over and nothing needs it. One whose conversation has ended stays while a storm
    /// mutes it or a person silences it, and while a collection lists it or waits to notify its team of it.
    pub(super) fn is_finished(&self, id: &IncidentId, incident: &Incident, out: &mut Emitter<'_>) -> bool {
        if !incident.is_over() {
            return false;
        }
        let Some(conversation) = incident.conversation() else { return true };
        if incident.waits_in_storm(&self.core.storms) || incident.has_silence(out.now) {
            return false;
        }
        let is_kept = conversation.expires_at.is_some_and(|at| at > out.now);
        for membership in &conversation.memberships {
            let Some(collection) = self.incidents.get(&membership.of) else { continue };
            let has_clock = is_kept && membership.respond_by.is_some();
            if collection.lists_ended(out.policy) || (has_clock && collection.is_alive()) {
                return false;
            }
            if collection.lifecycles.is_empty() {
                for active in &collection.routes {
                    let team = collection.team(active, out.policy).unwrap_or_default();
                    out.record_suppression(&Suppression::NeverAwake(active.level), id, team);
                }
            }
        }
        true
    }

    /// Returns whether an incident is a group or the digest of a storm.
    pub(super) fn is_collection(&self, id: &IncidentId) -> bool {
        self.incidents.get(id).is_some_and(|incident| incident.details.collection().is_some())
    }

    /// Returns whether a conversation in a collection has ended.
    pub(super) fn has_ended_members(&self, id: &IncidentId) -> bool {
        let members = self.incidents.members_of(id);
        members.iter().any(|member| self.incidents.get(member).is_some_and(Incident::is_over))
    }

    /// Removes the conversations from a collection that had ended before it was opened, once their time has come.
    pub(super) fn expire_members(&mut self, id: &IncidentId, out: &mut Emitter<'_>) {
        let expires_at = self.incidents.get(id).and_then(|one| one.details.collection()?.expires_at);
        if expires_at.is_none_or(|at| at > out.now) {
            return;
        }
        let members = self.incidents.members_of(id);
        let still_waits = |member: &IncidentId| {
            let conversation = self.incidents.get(member).and_then(Incident::conversation);
            conversation.is_some_and(|one| one.expired.is_none() && one.answered_at.is_none())
        };
        if !members.iter().any(still_waits) {
            return;
        }
        self.incidents.edit(id, |incident| {
            if let Some(collection) = incident.details.collection_mut() {
                collection.expires_at = None;
            }
        });
        for member in members {
            self.remove_if_ended(&member, out);
        }
    }

    pub(super) fn remove_if_ended(&mut self, id: &IncidentId, out: &mut Emitter<'_>) {
        if self.incidents.get(id).is_some_and(|incident| self.is_finished(id, incident, out)) {
            self.incidents.remove(id);
        }
    }

    /// Emits that members of a collection are overdue: when the first is, and each time that they have doubled.
    pub(super) fn report_overdue(&self, id: &IncidentId, incident: &mut Incident, out: &mut Emitter<'_>) {
        let overdue = self.incidents.count_overdue(id, out.now);
        let target = describe_target(out.brand_policy());
        let Some(collection) = incident.details.collection_mut() else { return };
        collection.reported_until = Some(out.now);
        self.incidents.summarize(id, collection);
        if overdue < 2 * collection.reported {
            return;
        }
        collection.reported = overdue;
        let have = if overdue == 1 { "has" } else { "have" };
        let plural = if collection.present == 1 { "conversation" } else { "conversations" };
        let happened =
            format!("{overdue} of {} {plural} {have} no public answer within {target}", collection.present);
        for i in 0..incident.lifecycles.len() {
            if incident.lifecycles[i].is_live() {
                incident.lifecycles[i].record_step(out.now);
                let escalation = EscalationRef { id, incident, lifecycle: &incident.lifecycles[i] };
                out.emit_step(escalation, EscalationChange::Late, happened.clone());
            }
        }
    }
}
