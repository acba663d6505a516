//! Policy silences: counts what they hide, and notifies each team before a silence lapses.

use std::collections::BTreeMap;

use firewatch_domain::{EscalationChange, EscalationState, EventTime, Level};
use serde::{Deserialize, Serialize};

use super::Dispatcher;
use super::emitter::{DecisionKind, Emitter, EscalationRef};
use super::incident::Incident;
use crate::Lifecycle;
use crate::lifecycle::Trigger;

/// Pseudo-route of silence notices.
const SILENCE_ROUTE: &str = "silence";
/// Maximum number of conversations that a notice names.
const MAX_NAMED: usize = 5;

/// What one silence has hidden from one team.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct HiddenIncidents {
    count: u64,
    /// Ids of the first hidden incidents.
    named: Vec<String>,
    notified: bool,
}

/// Hidden incidents by silence and team.
pub(crate) type HiddenBySilence = BTreeMap<(String, String), HiddenIncidents>;

impl Dispatcher {
    /// Returns until when the policy silences an incident, if it does, and counts the incident as hidden from
    /// the team.
    pub(super) fn hide_if_silenced(
        &mut self,
        id: &str,
        incident: &Incident,
        team: &str,
        out: &mut Emitter<'_>,
    ) -> Option<EventTime> {
        let silences = incident.silences.iter().filter_map(|name| out.policy.silences.get_key_value(name));
        let (name, silence) = silences.max_by_key(|(_, silence)| silence.until)?;
        if silence.until <= out.now {
            return None;
        }
        let hidden = self.core.hidden.entry((name.clone(), team.to_owned())).or_default();
        hidden.count += 1;
        if hidden.named.len() < MAX_NAMED {
            hidden.named.push(id.to_owned());
        }
        let (by, until) = (&silence.by, silence.until);
        out.record_decision(DecisionKind::Silenced, id, || {
            format!("{team} is not notified: silenced by {by} until {until} ({})", silence.reason)
        });
        Some(silence.until)
    }

    /// Emits notices of silences that are about to lapse, and ends the notices of those that have lapsed.
    pub(super) fn notify_expiring_silences(&mut self, out: &mut Emitter<'_>) {
        let mut hidden = std::mem::take(&mut self.core.hidden);
        hidden.retain(|(name, team), hidden| {
            let id = format!("{SILENCE_ROUTE}/{}/{name}", out.brand);
            let silence = out.policy.silences.get(name).filter(|silence| silence.until > out.now);
            let Some(silence) = silence else {
                self.end_notice(&id, out);
                return false;
            };
            if !hidden.notified && out.now >= silence.until - silence.warn_before {
                hidden.notified = true;
                let mut reasons = vec![
                    format!(
                        "the silence {name} lapses at {}; it hides {} from {team}",
                        silence.until, hidden.count
                    ),
                    format!("created by {}: {}", silence.by, silence.reason),
                ];
                reasons.extend(hidden.named.iter().map(|id| format!("hidden: {id}")));
                let mut incident = self.incidents.remove(&id).unwrap_or_else(|| Incident::new(None));
                let trigger =
                    Trigger { route: SILENCE_ROUTE.into(), level: Level::Low, reason: String::new() };
                incident.lifecycles.push(Lifecycle::open(team, &trigger, out.now));
                incident.members = Some(hidden.count);
                let lifecycle = &incident.lifecycles[incident.lifecycles.len() - 1];
                let record = out.record(
                    EscalationRef { id: &id, incident: &incident, lifecycle },
                    EscalationChange::Opened,
                    reasons,
                );
                out.escalations.push(record);
                self.put_back(id, incident, out.policy);
            }
            true
        });
        self.core.hidden = hidden;
    }

    fn end_notice(&mut self, id: &str, out: &mut Emitter<'_>) {
        if let Some(mut incident) = self.incidents.remove(id) {
            out.move_all(id, &mut incident, EscalationState::Resolved, "the silence has lapsed");
            self.incidents.insert(id.to_owned(), incident);
            self.remove_incident(id);
        }
    }
}
