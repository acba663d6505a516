//! Digests: one escalation for each team and brand that lists what waits for the team's budget.

use std::collections::BTreeSet;

use firewatch_domain::{EscalationChange, EscalationState, EventTime, Level, Tenths};
use serde::{Deserialize, Serialize};

use super::Dispatcher;
use super::emitter::{Emitter, EscalationRef};
use super::incident::Incident;
use crate::Lifecycle;
use crate::lifecycle::Trigger;

/// Pseudo-route of digests.
const DIGEST_ROUTE: &str = "digest";
/// Maximum number of incidents that a digest names.
const MAX_NAMED: usize = 5;

/// An open digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Digest {
    id: String,
    notified_ids: Vec<String>,
    notified_at: EventTime,
}

impl Dispatcher {
    /// Opens, updates and ends digests. `waiting_teams` has the teams for whose budget something started to
    /// wait in this window.
    pub(super) fn update_digests(&mut self, mut waiting_teams: BTreeSet<String>, out: &mut Emitter<'_>) {
        waiting_teams.retain(|team| !self.core.digests.contains_key(team));
        let interval = out.policy.storms.group_interval;
        let old = self.core.digests.iter().filter(|(_, digest)| out.now - digest.notified_at >= interval);
        waiting_teams.extend(old.map(|(team, _)| team.clone()));
        for team in waiting_teams {
            self.update_digest(&team, out);
        }
    }

    fn update_digest(&mut self, team: &str, out: &mut Emitter<'_>) {
        let waiting = self.waiting(team);
        let ids: Vec<String> = waiting.iter().map(|(_, _, id)| id.clone()).collect();
        let Some(digest) = self.core.digests.get_mut(team) else {
            let id = format!("{DIGEST_ROUTE}/{}/{team}/{}", out.brand, out.now);
            self.core
                .digests
                .insert(team.to_owned(), Digest { id: id.clone(), notified_ids: ids, notified_at: out.now });
            let level = waiting.first().map_or(Level::Low, |(level, ..)| *level);
            let mut incident = Incident::new(None);
            incident.lifecycles.push(Lifecycle::open(
                team,
                &Trigger { route: DIGEST_ROUTE.into(), level, reason: String::new() },
                out.now,
            ));
            emit_digest(
                EscalationRef { id: &id, incident: &incident, lifecycle: &incident.lifecycles[0] },
                EscalationChange::Opened,
                &waiting,
                out,
            );
            self.put_back(id, incident, out.policy);
            return;
        };
        if digest.notified_ids == ids {
            return;
        }
        (digest.notified_ids, digest.notified_at) = (ids, out.now);
        let id = digest.id.clone();
        let Some(mut incident) = self.incidents.remove(&id) else { return };
        if waiting.is_empty() {
            self.core.digests.remove(team);
            out.move_all(&id, &mut incident, EscalationState::Resolved, "no escalation waits any more");
            self.incidents.insert(id.clone(), incident);
            self.remove_incident(&id);
            return;
        }
        if let Some(lifecycle) =
            incident.lifecycles.first_mut().filter(|lifecycle| !lifecycle.state.is_final())
        {
            lifecycle.level = lifecycle.level.max(waiting.first().map_or(Level::Low, |(level, ..)| *level));
            lifecycle.record_step(out.now);
            emit_digest(
                EscalationRef { id: &id, incident: &incident, lifecycle: &incident.lifecycles[0] },
                EscalationChange::Grew,
                &waiting,
                out,
            );
        }
        self.put_back(id, incident, out.policy);
    }

    /// Returns the incidents that wait for a team's budget, the most severe first.
    fn waiting(&self, team: &str) -> Vec<(Level, Tenths, String)> {
        let waiting = self
            .incidents
            .iter()
            .filter(|(_, incident)| incident.over_budget_teams.iter().any(|t| t == team));
        let mut all: Vec<_> = waiting
            .filter_map(|(id, incident)| {
                let due = incident.routes.iter().filter(|active| active.due.is_some());
                Some((due.map(|active| active.level).max()?, incident.risk.unwrap_or_default(), id.clone()))
            })
            .collect();
        all.sort_by(|a, b| (b.0, b.1).cmp(&(a.0, a.1)).then_with(|| a.2.cmp(&b.2)));
        all
    }
}

fn emit_digest(
    escalation: EscalationRef<'_>,
    change: EscalationChange,
    waiting: &[(Level, Tenths, String)],
    out: &mut Emitter<'_>,
) {
    let team = &escalation.lifecycle.team;
    let budget = out.policy.teams.get(team).and_then(|team| team.budget).unwrap_or_default();
    let mut reasons = vec![format!(
        "{} more escalations wait: the budget of {team} is {budget} an hour; the most severe are:",
        waiting.len(),
    )];
    reasons.extend(
        waiting.iter().take(MAX_NAMED).map(|(level, risk, id)| format!("{id}: {level}, risk {risk}")),
    );
    let mut record = out.record(escalation, change, reasons);
    record.members = Some(waiting.len() as u64);
    out.escalations.push(record);
}
