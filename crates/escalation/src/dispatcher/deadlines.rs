//! Deadlines of an incident: first answer, stalled hand-off, tiers, reminders, and the next time to process
//! it.

use firewatch_domain::{Duration, EventTime};

use super::incident::Incident;
use crate::Lifecycle;
use crate::policy::{Brand, Policy, hours};

impl Incident {
    /// Returns when the first public answer is due; `None` for anything but a conversation.
    pub(super) fn respond_by(&self, brand: &Brand) -> Option<EventTime> {
        let from = self.posted_at.or(self.began)?;
        self.began.map(|_| hours::after(brand.hours.as_ref(), from, brand.first_response))
    }

    /// Returns when the incident must be processed next, if nothing happens before.
    pub(super) fn compute_next_due(&self, policy: &Policy) -> Option<EventTime> {
        let routes = self.routes.iter().flat_map(|active| [active.due, active.ends_at]).flatten();
        let lifecycles = self.lifecycles.iter().filter(|lifecycle| !lifecycle.state.is_final());
        let lifecycles = lifecycles.flat_map(|lifecycle| {
            [
                lifecycle.next_tier_at(policy),
                lifecycle.forgotten_at(policy),
                lifecycle.repeat_at(policy),
                lifecycle.overdue_at,
            ]
        });
        let stall_deadline =
            self.hand_off_request.filter(|request| !request.stall_notified).map(|request| request.deadline);
        let first = routes.chain(lifecycles.flatten()).chain(stall_deadline).min()?;
        // While an incident is silenced, nothing is emitted.
        Some(self.silenced_until.map_or(first, |until| first.max(until)))
    }
}

impl Lifecycle {
    /// Returns when the next tier takes over, unless somebody acknowledges before.
    pub(super) fn next_tier_at(&self, policy: &Policy) -> Option<EventTime> {
        let tier = policy.teams.get(&self.team)?.tiers.get(self.tier)?;
        self.state.is_open().then(|| self.open_since + tier.after)
    }

    /// Returns when an acknowledged escalation without progress is reopened.
    pub(super) fn forgotten_at(&self, policy: &Policy) -> Option<EventTime> {
        let after = policy.teams.get(&self.owner)?.forgotten_after?;
        let is_acknowledged = self.state == firewatch_domain::EscalationState::Acknowledged;
        is_acknowledged.then(|| self.notified_at + after)
    }

    /// Returns when an unacknowledged escalation is emitted again.
    pub(super) fn repeat_at(&self, policy: &Policy) -> Option<EventTime> {
        let every = policy.routes.get(&self.route)?.repeat_interval?;
        self.state.is_open().then(|| self.notified_at + every)
    }
}

/// Formats a span for people: seconds, minutes from one minute, hours from two hours.
pub(super) fn format_duration(span: Duration) -> String {
    let secs = span.as_secs();
    if secs < 60.0 {
        format!("{secs:.0} s")
    } else if secs < 7200.0 {
        format!("{:.0} min", secs / 60.0)
    } else {
        format!("{:.1} h", secs / 3600.0)
    }
}
