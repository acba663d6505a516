//! Policy silences: counts what they hide, and notifies each team before a silence lapses.

use std::collections::BTreeMap;

use firewatch_domain::{EscalationChange, EventTime, IncidentId, Level, Reason, ReasonKind};

use super::Dispatcher;
use super::emitter::{Emitter, EscalationRef};
use super::incident::{Details, Incident};
use super::verdict::quiet;
use crate::lifecycle::Trigger;
use crate::{Lifecycle, Policy, RouteRef};

/// Maximum number of conversations that a notice names.
const MAX_NAMED: usize = 5;

/// For each silence and team from which it has hidden something, the end for which the notice was decided.
pub(crate) type HiddenBySilence = BTreeMap<(String, String), Option<EventTime>>;

/// What a silence has hidden from a team.
struct Hidden {
    /// The conversations, those that still wait first.
    ids: Vec<IncidentId>,
    /// Number of those that still wait.
    waiting: usize,
}

impl Dispatcher {
    /// Counts an incident as hidden from a team, once for each silence.
    pub(super) fn count_as_hidden(&mut self, incident: &mut Incident, silence: &str, team: &str) {
        let key = (silence.to_owned(), team.to_owned());
        let Some(conversation) = incident.conversation_mut() else { return };
        if conversation.hidden_by.contains(&key) {
            return;
        }
        conversation.hidden_by.push(key.clone());
        self.core.hidden.entry(key).or_default();
    }

    /// Returns what a silence has hidden from a team.
    fn hidden_by(&self, silence: &str, team: &str, policy: &Policy) -> Hidden {
        let was_hidden = |incident: &Incident| {
            let hidden_by = incident.conversation().map_or(&[][..], |conversation| &conversation.hidden_by);
            hidden_by.iter().any(|(name, of)| name == silence && of == team)
        };
        let waits = |incident: &Incident| {
            incident.conversation().is_some_and(|one| one.silences.iter().any(|name| name == silence))
                && incident.routes.iter().any(|on| on.deferred && incident.team(on, policy) == Some(team))
        };
        let hidden = self.incidents.iter().filter(|(_, incident)| was_hidden(incident));
        let (mut waiting, others): (Vec<_>, Vec<_>) = hidden.partition(|(_, incident)| waits(incident));
        let count = waiting.len();
        waiting.extend(others);
        Hidden { ids: waiting.into_iter().map(|(id, _)| id.clone()).collect(), waiting: count }
    }

    /// Returns when the next notice of a silence is due, or the next silence lapses that has hidden something.
    pub(super) fn next_notice(&self, policy: &Policy) -> Option<EventTime> {
        let hidden = self.core.hidden.iter().filter_map(|((name, team), notified_for)| {
            let silence = policy.silences.get(name)?;
            if *notified_for == Some(silence.until) {
                return Some(silence.until);
            }
            let at = silence.until - silence.warn_before;
            Some(quiet(team, Level::Low, at, policy).map_or(at, |(awake, _)| awake).min(silence.until))
        });
        hidden.min()
    }

    /// Emits notices of silences that are about to lapse, and ends the notices of those that have lapsed. A
    /// notice waits for the end of the team's quiet hours.
    pub(super) fn notify_expiring_silences(&mut self, out: &mut Emitter<'_>) {
        let mut hidden = std::mem::take(&mut self.core.hidden);
        hidden.retain(|(name, team), notified_for| {
            let id = IncidentId::silence_notice(out.brand, name);
            let silence = out.policy.silences.get(name).filter(|silence| silence.until > out.now);
            let Some(silence) = silence else {
                self.end_incident(&id, "the silence has lapsed", out);
                return false;
            };
            let is_due =
                *notified_for != Some(silence.until) && out.now >= silence.until - silence.warn_before;
            if is_due && quiet(team, Level::Low, out.now, out.policy).is_none() {
                *notified_for = Some(silence.until);
                let hidden = self.hidden_by(name, team, out.policy);
                if hidden.waiting > 0 {
                    self.open_notice(&id, name, team, &hidden, out);
                }
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
        hidden: &Hidden,
        out: &mut Emitter<'_>,
    ) {
        let Some(silence) = out.policy.silences.get(name) else { return };
        let mut incident = self
            .incidents
            .check_out(id)
            .unwrap_or_else(|| Incident::new(Details::SilenceNotice { hidden: 0 }));
        let Hidden { ids, waiting } = hidden;
        let count = ids.len() as u64;
        incident.details = Details::SilenceNotice { hidden: count };
        incident.reasons =
            vec![Reason::new(ReasonKind::Silence, format!("created by {}: {}", silence.by, silence.reason))];
        let named = ids.iter().take(MAX_NAMED);
        let named = named.map(|id| Reason::new(ReasonKind::Member, format!("hidden: {id}")));
        incident.reasons.extend(named);
        let others = if *waiting < ids.len() { &format!(", of which {waiting} still wait") } else { "" };
        let reason =
            format!("the silence {name} lapses at {}; it hides {count} from {team}{others}", silence.until);
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
