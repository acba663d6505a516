//! The incidents of a brand, with what derives from them: the agenda, the members of each collection, what
//! waits for each budget, and the number of live ones. Only this container changes any of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use firewatch_domain::{EventTime, IncidentId, Level, Tenths};

use super::collection::{Collection, MemberIndex, Membership};
use super::incident::Incident;
use crate::Policy;

/// An incident that waits for a team's budget. The most severe sorts first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Waiting {
    pub level: Reverse<Level>,
    pub risk: Reverse<Tenths>,
    pub id: IncidentId,
    pub since: EventTime,
}

/// All incidents of a brand.
#[derive(Debug, Clone, Default)]
pub(crate) struct Incidents {
    by_id: BTreeMap<IncidentId, Incident>,
    /// Incidents to process, by due time and id.
    agenda: BTreeSet<(EventTime, IncidentId)>,
    /// Incidents that differ from the changelog.
    changed: BTreeSet<IncidentId>,
    /// Members of each group and digest.
    members: BTreeMap<IncidentId, MemberIndex>,
    /// Groups and digests whose members have changed.
    touched: BTreeSet<IncidentId>,
    /// What waits for the budget of each team.
    waiting: BTreeMap<String, BTreeSet<Waiting>>,
    /// Memberships of incidents that are checked out, as they were.
    memberships_out: BTreeMap<IncidentId, Vec<Membership>>,
    alive: usize,
}

impl Incidents {
    pub fn get(&self, id: &IncidentId) -> Option<&Incident> {
        self.by_id.get(id)
    }

    /// Returns every incident with its id, in the order of ids.
    pub fn iter(&self) -> impl Iterator<Item = (&IncidentId, &Incident)> {
        self.by_id.iter()
    }

    /// Returns the number of incidents of which something is due or live.
    pub fn alive(&self) -> usize {
        self.alive
    }

    /// Returns the id of the incident that the wire calls `id`; a conversation comes before anything else.
    pub fn find(&self, id: &str) -> Option<IncidentId> {
        let conversation = IncidentId::conversation(id);
        if self.by_id.contains_key(&conversation) {
            return Some(conversation);
        }
        IncidentId::from_prefix(id).filter(|id| self.by_id.contains_key(id))
    }

    /// Takes an incident out to change it. It must be checked in again, or it is gone.
    pub fn check_out(&mut self, id: &IncidentId) -> Option<Incident> {
        let incident = self.by_id.remove(id)?;
        if let Some(next) = incident.next_due {
            self.agenda.remove(&(next, id.clone()));
        }
        self.alive -= usize::from(incident.is_alive());
        for (team, waiting) in waiting_of(id, &incident) {
            if let Some(of_team) = self.waiting.get_mut(&team) {
                of_team.remove(&waiting);
            }
            if self.waiting.get(&team).is_some_and(BTreeSet::is_empty) {
                self.waiting.remove(&team);
            }
        }
        if let Some(conversation) = incident.conversation().filter(|c| !c.memberships.is_empty()) {
            self.memberships_out.insert(id.clone(), conversation.memberships.clone());
        }
        Some(incident)
    }

    /// Stores a new or changed incident, and schedules when to process it next.
    pub fn check_in(&mut self, id: &IncidentId, mut incident: Incident, policy: &Policy) {
        incident.next_due = incident.compute_next_due(policy);
        self.changed.insert(id.clone());
        self.store(id, incident);
    }

    /// Changes something of an incident on which its schedule does not depend.
    pub fn edit(&mut self, id: &IncidentId, change: impl FnOnce(&mut Incident)) {
        let Some(mut incident) = self.check_out(id) else { return };
        change(&mut incident);
        self.changed.insert(id.clone());
        self.store(id, incident);
    }

    /// Removes an incident for good.
    pub fn remove(&mut self, id: &IncidentId) {
        if self.check_out(id).is_some() {
            self.changed.insert(id.clone());
            self.update_memberships(id, &[]);
        }
        self.members.remove(id);
        self.touched.remove(id);
    }

    /// Loads an incident from the changelog.
    pub fn restore(&mut self, id: IncidentId, incident: Incident) {
        for membership in incident.conversation().iter().flat_map(|c| &c.memberships) {
            self.members.entry(membership.of.clone()).or_default().insert(membership.respond_by, id.clone());
        }
        self.add_to_indexes(&id, &incident);
        self.by_id.insert(id, incident);
    }

    /// Returns when the next incident is due.
    pub fn next_due(&self) -> Option<EventTime> {
        self.agenda.first().map(|(due, _)| *due)
    }

    /// Takes the incidents that are due off the agenda, in order.
    pub fn take_due(&mut self, now: EventTime) -> Vec<IncidentId> {
        let mut due = Vec::new();
        while let Some((at, id)) = self.agenda.pop_first() {
            if at > now {
                self.agenda.insert((at, id));
                break;
            }
            due.push(id);
        }
        due
    }

    /// Puts incidents that were taken off the agenda back on it, if something is still due.
    pub fn reschedule(&mut self, ids: &BTreeSet<IncidentId>) {
        for id in ids {
            let next = self.by_id.get(id).and_then(|incident| incident.next_due);
            self.agenda.extend(next.map(|next| (next, id.clone())));
        }
    }

    /// Takes the ids of incidents that changed since the last call.
    pub fn take_changed(&mut self) -> BTreeSet<IncidentId> {
        std::mem::take(&mut self.changed)
    }

    /// Takes the ids of groups and digests whose members changed since the last call.
    pub fn take_touched(&mut self) -> BTreeSet<IncidentId> {
        std::mem::take(&mut self.touched)
    }

    /// Returns the members of a group or digest, those with the earliest deadline first.
    pub fn members_of(&self, id: &IncidentId) -> Vec<IncidentId> {
        self.members.get(id).map_or_else(Vec::new, |members| members.ids().cloned().collect())
    }

    /// Returns the number of members of a group or digest whose answer is overdue.
    pub fn count_overdue(&self, id: &IncidentId, now: EventTime) -> u64 {
        self.members.get(id).map_or(0, |members| members.overdue(now))
    }

    /// Writes the counts and the next report of a group or digest to it.
    pub fn summarize(&self, id: &IncidentId, collection: &mut Collection) {
        if let Some(members) = self.members.get(id) {
            members.summarize(collection);
        }
    }

    /// Returns what waits for a team's budget, the most severe first.
    pub fn waiting(&self, team: &str) -> Option<&BTreeSet<Waiting>> {
        self.waiting.get(team)
    }

    fn store(&mut self, id: &IncidentId, incident: Incident) {
        self.add_to_indexes(id, &incident);
        let memberships = incident.conversation().map_or_else(Vec::new, |c| c.memberships.clone());
        self.by_id.insert(id.clone(), incident);
        self.update_memberships(id, &memberships);
    }

    /// Updates the schedule, the count of live incidents and the waits for budgets.
    fn add_to_indexes(&mut self, id: &IncidentId, incident: &Incident) {
        self.agenda.extend(incident.next_due.map(|next| (next, id.clone())));
        self.alive += usize::from(incident.is_alive());
        for (team, waiting) in waiting_of(id, incident) {
            self.waiting.entry(team).or_default().insert(waiting);
        }
    }

    /// Updates the collections that a conversation joined or left, or whose clock it changed.
    fn update_memberships(&mut self, id: &IncidentId, now: &[Membership]) {
        let before = self.memberships_out.remove(id).unwrap_or_default();
        for ended in before.iter().filter(|membership| !now.contains(membership)) {
            if let Some(members) = self.members.get_mut(&ended.of) {
                members.remove(ended.respond_by, id);
            }
            self.update_collection(&ended.of);
        }
        for begun in now.iter().filter(|membership| !before.contains(membership)) {
            self.members.entry(begun.of.clone()).or_default().insert(begun.respond_by, id.clone());
            self.update_collection(&begun.of);
        }
    }

    /// Writes the counts of a collection to its incident, which becomes due when the next answer is.
    fn update_collection(&mut self, id: &IncidentId) {
        let Some(incident) = self.by_id.get_mut(id) else { return };
        let Some(collection) = incident.details.collection_mut() else { return };
        self.members.entry(id.clone()).or_default().summarize(collection);
        let report_at = collection.report_at;
        self.changed.insert(id.clone());
        self.touched.insert(id.clone());
        if report_at.is_some_and(|at| incident.next_due.is_none_or(|next| at < next)) {
            if let Some(next) = incident.next_due {
                self.agenda.remove(&(next, id.clone()));
            }
            incident.next_due = report_at;
            self.agenda.extend(report_at.map(|at| (at, id.clone())));
        }
    }
}

/// Returns the teams for whose budget an incident waits.
fn waiting_of(id: &IncidentId, incident: &Incident) -> Vec<(String, Waiting)> {
    if incident.budget_waits.is_empty() {
        return vec![];
    }
    let due = incident.routes.iter().filter(|active| active.due.is_some());
    let Some(level) = due.map(|active| active.level).max() else { return vec![] };
    let (level, risk) = (Reverse(level), Reverse(incident.risk()));
    let waiting = |since| Waiting { level, risk, id: id.clone(), since };
    incident.budget_waits.iter().map(|wait| (wait.team.clone(), waiting(wait.since))).collect()
}
