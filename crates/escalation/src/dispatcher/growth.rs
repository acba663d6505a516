//! Growth of a storm or group: its members, near-copies among them, and what has been emitted of it.

use firewatch_domain::{Duration, EscalationChange, EventTime, IncidentId, SimHash};
use serde::{Deserialize, Serialize};

use super::Dispatcher;
use super::emitter::{Emitter, EscalationRef};
use crate::Lifecycle;

/// Maximum number of texts whose copies are counted.
const MAX_TEXTS: usize = 16;
/// Number of copies from which a text counts as copied.
const MIN_COPIES: u64 = 3;
/// Minimum share of the members at which copies are reported.
const MIN_COPY_SHARE: f64 = 0.1;

/// Number of members, the last emitted number, and counts of near-copies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Growth {
    pub members: u64,
    notified_members: u64,
    notified_at: EventTime,
    /// First text of each set of near-copies, with the number of copies.
    texts: Vec<(SimHash, u64)>,
}

impl Growth {
    /// Creates a growth without members.
    pub fn new(now: EventTime) -> Self {
        Self { members: 0, notified_members: 0, notified_at: now, texts: vec![] }
    }

    /// Adds a member, with the SimHash of its text if known.
    pub fn add_member(&mut self, sim_hash: Option<SimHash>) {
        self.members += 1;
        let Some(sim_hash) = sim_hash else { return };
        if let Some((_, copies)) = self.texts.iter_mut().find(|(text, _)| text.is_near(sim_hash)) {
            *copies += 1;
            return;
        }
        if self.texts.len() == MAX_TEXTS {
            // The oldest text without copies makes room. When all have copies, the new one is not counted.
            let Some(single) = self.texts.iter().position(|(_, copies)| *copies == 1) else { return };
            self.texts.remove(single);
        }
        self.texts.push((sim_hash, 1));
    }

    /// Returns whether a text is a near-copy of a copied one.
    pub fn is_copied(&self, sim_hash: Option<SimHash>) -> bool {
        let copied = self.texts.iter().filter(|(_, copies)| *copies >= MIN_COPIES);
        sim_hash.is_some_and(|sim_hash| copied.into_iter().any(|(text, _)| text.is_near(sim_hash)))
    }

    /// Describes the most frequent copies in plain words, when there are enough to report.
    pub fn describe_copies(&self) -> Option<String> {
        let max_copies = self.texts.iter().map(|(_, copies)| *copies).max()?;
        let is_worth = max_copies >= MIN_COPIES && max_copies as f64 >= MIN_COPY_SHARE * self.members as f64;
        is_worth.then(|| format!("{max_copies} of {} are near-copies of one text", self.members))
    }

    /// Returns when to emit the members that joined since the last time; `None` if there are none.
    fn due(&self, interval: Duration) -> Option<EventTime> {
        (self.members != self.notified_members).then(|| self.notified_at + interval)
    }

    fn set_notified(&mut self, now: EventTime) {
        (self.notified_members, self.notified_at) = (self.members, now);
    }
}

impl Dispatcher {
    /// Returns when the growth of a live incident is next emitted.
    pub(super) fn next_growth(
        &self,
        id: &IncidentId,
        growth: &Growth,
        interval: Duration,
    ) -> Option<EventTime> {
        let is_live = self.incidents.get(id)?.lifecycles.first().is_some_and(Lifecycle::is_live);
        let due = growth.due(interval).filter(|_| is_live)?;
        Some(self.growth_held_until(id).map_or(due, |until| until.max(due)))
    }

    /// Returns until when a silence or quiet hours hold back the growth of an incident. It may have passed.
    pub(super) fn growth_held_until(&self, id: &IncidentId) -> Option<EventTime> {
        self.incidents.get(id)?.lifecycles.first()?.reminders_held_until
    }

    /// Emits growth to the owner when the interval has passed, unless the incident has ended. A silence and
    /// quiet hours hold it back.
    pub(super) fn notify_growth(
        &mut self,
        id: &IncidentId,
        growth: &mut Growth,
        interval: Duration,
        out: &mut Emitter<'_>,
    ) {
        let lifecycle = self.incidents.get(id).and_then(|incident| incident.lifecycles.first());
        let Some(lifecycle) = lifecycle else { return };
        if lifecycle.step == 0 && lifecycle.notified_at == out.now {
            growth.set_notified(out.now);
        }
        let is_held = lifecycle.reminders_held_until.is_some_and(|until| until > out.now);
        let is_due = growth.due(interval).is_some_and(|due| due <= out.now);
        if !is_due || is_held || !lifecycle.is_live() {
            return;
        }
        let Some(mut incident) = self.incidents.check_out(id) else { return };
        if !incident.holds_reminders(id, 0, out) {
            incident.lifecycles[0].record_step(out.now);
            let present = incident.details.collection().map(|collection| collection.present);
            let left = present.filter(|present| *present < growth.members);
            let are = if present == Some(1) { "is" } else { "are" };
            let left = left.map_or_else(String::new, |present| format!(", of which {present} {are} left"));
            let copies = growth.describe_copies().map_or_else(String::new, |copies| format!("; {copies}"));
            let happened = match growth.notified_members {
                0 => format!("{} posts joined{left}{copies}", growth.members),
                before => format!("grew from {before} to {} posts{left}{copies}", growth.members),
            };
            let escalation = EscalationRef { id, incident: &incident, lifecycle: &incident.lifecycles[0] };
            out.emit_step(escalation, EscalationChange::Grew, happened);
            growth.set_notified(out.now);
        }
        self.incidents.check_in(id, incident, out.policy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIKE: u64 = 0x00ff_00ff_00ff_00ff;

    fn with(texts: impl IntoIterator<Item = u64>) -> Growth {
        let mut growth = Growth::new(EventTime::EARLIEST);
        texts.into_iter().for_each(|text| growth.add_member(Some(SimHash(text))));
        growth
    }

    #[test]
    fn copies_are_counted_and_reported_when_they_are_many() {
        let growth = with([0b1, 0b11, 0b111, u64::MAX]);
        assert_eq!(growth.describe_copies().as_deref(), Some("3 of 4 are near-copies of one text"));
        assert!(growth.is_copied(Some(SimHash(0))) && !growth.is_copied(Some(SimHash(u64::MAX))));
        assert!(!growth.is_copied(None));
        assert_eq!(with([0, 1]).describe_copies(), None, "two may be chance");
        let mut many = with([0, 1, 2]);
        (0..30).for_each(|_| many.add_member(None));
        assert_eq!(many.describe_copies(), None, "3 of 33 say little");
    }

    #[test]
    fn a_text_that_is_copied_is_never_forgotten_for_one_that_is_not() {
        let single = (0..200).map(|i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut growth = with([ALIKE; 3].into_iter().chain(single));
        assert!(growth.texts.len() <= MAX_TEXTS);
        growth.add_member(Some(SimHash(ALIKE)));
        assert!(growth.is_copied(Some(SimHash(ALIKE))));
    }
}
