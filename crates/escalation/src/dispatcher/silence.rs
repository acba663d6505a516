//! Policy silences: counts what they hide, and notifies each team before a silence lapses.

use std::collections::BTreeMap;

use firewatch_domain::{EscalationChange, EventTime, IncidentId, Level, Reason, ReasonKind};
use serde::{Deserialize, Serialize};

use super::Dispatcher;
use super::emitter::{Emitter, EscalationRef};
use super::incident::{Details, Incident};
use super::verdict::quiet;
use crate::lifecycle::Trigger;
use crate::{Lifecycle, RouteRef};

/// Maximum number of conversations that a notice names.
const MAX_NAMED: usize = 5;

/// What one silence has hidden from one team.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct HiddenIncidents {
    pub count: u64,
    /// Ids of the first hidden incidents.
    pub named: Vec<String>,
    /// The end of the silence for which the notice was emitted.
    pub notified_for: Option<EventTime>,
}

/// Hidden incidents by silence and team.
pub(crate) type HiddenBySilence = BTreeMap<(String, String), HiddenIncidents>;

impl Dispatcher {
    /// Counts an incident as hidden from a team, once for each silence.
    pub(super) fn count_as_hidden(
        &mut self,
        id: &IncidentId,
        incident: &mut Incident,
        silence: &str,
        team: &str,
    ) {
        let key = (silence.to_owned(), team.to_owned());
        let Some(conversation) = incident.conversation_mut() else { return };
        if conversation.hidden_by.contains(&key) {
            return;
        }
        conversation.hidden_by.push(key.clone());
        let hidden = self.core.hidden.entry(key).or_default();
        hidden.count += 1;
        if hidden.named.len() < MAX_NAMED {
            hidden.named.push(id.to_string());
        }
    }

    /// Emits notices of silences that are about to lapse, and ends the notices of those that have lapsed. A
    /// notice waits for the end of the team's quiet hours.
    pub(super) fn notify_expiring_silences(&mut self, out: &mut Emitter<'_>) {
        let mut hidden = std::mem::take(&mut self.core.hidden);
        hidden.retain(|(name, team), hidden| {
            let id = IncidentId::silence_notice(out.brand, name);
            let silence = out.policy.silences.get(name).filter(|silence| silence.until > out.now);
            let Some(silence) = silence else {
                self.end_incident(&id, "the silence has lapsed", out);
                return false;
            };
            let is_due =
                hidden.notified_for != Some(silence.until) && out.now >= silence.until - silence.warn_before;
            if is_due && quiet(team, Level::Low, out.now, out.policy).is_none() {
                hidden.notified_for = Some(silence.until);
                self.open_notice(&id, name, team, hidden, out);
            }
            true
        });
        self.core.hidden = hidden;
    }

    fn open_notice(
        &mut self,
        id: &IncidentId,
        name: &str,
        team: &str,
        hidden: &HiddenIncidents,
        out: &mut Emitter<'_>,
    ) {
        let Some(silence) = out.policy.silences.get(name) else { return };
        let mut incident = self
            .incidents
            .check_out(id)
            .unwrap_or_else(|| Incident::new(Details::SilenceNotice { hidden: 0 }));
        incident.details = Details::SilenceNotice { hidden: hidden.count };
        incident.reasons =
            vec![Reason::new(ReasonKind::Silence, format!("created by {}: {}", silence.by, silence.reason))];
        let named = hidden.named.iter().map(|id| Reason::new(ReasonKind::Member, format!("hidden: {id}")));
        incident.reasons.extend(named);
        let reason =
            format!("the silence {name} lapses at {}; it hides {} from {team}", silence.until, hidden.count);
        let trigger = Trigger { route: RouteRef::Silence, level: Level::Low, reason, since: out.now };
        let i = match incident.lifecycles.iter().position(|lifecycle| lifecycle.team == team) {
            // The silence was extended.
            Some(i) => {
                incident.lifecycles[i].reopen(&trigger, out.now);
                i
            }
            None => {
                incident.lifecycles.push(Lifecycle::open(team, &trigger, out.now));
                incident.lifecycles.len() - 1
            }
        };
        let escalation = EscalationRef { id, incident: &incident, lifecycle: &incident.lifecycles[i] };
        out.emit_full(escalation, EscalationChange::Opened, None);
        self.incidents.check_in(id, incident, out.policy);
    }
}
