//! A case's clocks: when the first answer is due, when a hand-off has stalled, and when to look at it next.

use firewatch_domain::{Duration, EventTime};

use super::case::Case;
use crate::Life;
use crate::policy::{Brand, Policy, hours};

impl Case {
    /// When the first answer in public is due; none for a storm or a digest.
    pub(super) fn respond_by(&self, brand: &Brand) -> Option<EventTime> {
        let from = self.posted_at.or(self.began)?;
        self.began.map(|_| hours::after(brand.hours.as_ref(), from, brand.first_response))
    }

    /// When something will have to be decided, if nothing happens before.
    pub(super) fn due(&self, policy: &Policy) -> Option<EventTime> {
        let routes = self.routes.iter().flat_map(|on| [on.due, on.over_at]).flatten();
        let lives = self.lives.iter().filter(|life| !life.state.is_final());
        let lives = lives.flat_map(|life| {
            [life.tier_at(policy), life.forgotten_at(policy), life.repeat_at(policy), life.late_at]
        });
        let asked = self.asked.filter(|asked| !asked.told).map(|asked| asked.by);
        let first = routes.chain(lives.flatten()).chain(asked).min()?;
        // While it is silenced nothing is told.
        Some(self.silenced_until.map_or(first, |until| first.max(until)))
    }
}

impl Life {
    /// When the next tier owns it, if nobody takes it.
    pub(super) fn tier_at(&self, policy: &Policy) -> Option<EventTime> {
        let tier = policy.teams.get(&self.team)?.tiers.get(self.tier)?;
        self.state.is_open().then(|| self.open_since + tier.after)
    }

    /// When it counts as forgotten by who took it.
    pub(super) fn forgotten_at(&self, policy: &Policy) -> Option<EventTime> {
        let after = policy.teams.get(&self.owner)?.forgotten_after?;
        let is_taken = self.state == firewatch_domain::EscalationState::Acknowledged;
        is_taken.then(|| self.told_at + after)
    }

    /// When it is told again.
    pub(super) fn repeat_at(&self, policy: &Policy) -> Option<EventTime> {
        let every = policy.routes.get(&self.route)?.repeat_interval?;
        self.state.is_open().then(|| self.told_at + every)
    }
}

/// A span as a person says it: minutes from one minute on.
pub(super) fn words(span: Duration) -> String {
    let secs = span.as_secs();
    if secs < 60.0 {
        format!("{secs:.0} s")
    } else if secs < 7200.0 {
        format!("{:.0} min", secs / 60.0)
    } else {
        format!("{:.1} h", secs / 3600.0)
    }
}
