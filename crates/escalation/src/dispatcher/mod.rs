//! The dispatcher of a brand: sees all its conversations together and decides who is notified of what.
//!
//! Signals wait in windows of event time. A window is decided when every source partition has passed its end.
//! Its signals are applied in the order of time and id, so the outcome does not depend on how partitions
//! interleave.

mod cross_posts;
mod deadlines;
mod digest;
mod due;
mod emitter;
mod group;
mod growth;
mod incident;
mod part_key;
mod related;
mod silence;
mod state;
mod storm;
mod updates;

use std::collections::{BTreeMap, BTreeSet};

use firewatch_domain::{Duration, Escalation, EventTime, RoutesMatched, Signal, SignalBody};

use crate::Policy;
use crate::baseline::{ComplaintCounts, VolumeHistory, VolumeMonitor};
use crate::seasonal_profile::SeasonalProfile;

pub use incident::Incident;
pub use part_key::StatePartKey;
pub use state::{DispatcherCore, StatePart};
pub use storm::storm_brand;

use emitter::Emitter;
pub use emitter::{Decision, DecisionKind, DecisionTrace};
use related::{Related, RelationKind};
use state::SourceProgress;

/// Pseudo-route of storms.
pub(crate) const STORM_ROUTE: &str = "storm";
/// Maximum number of pending signals. Beyond it, the oldest window is decided without the lagging sources.
const MAX_PENDING_SIGNALS: usize = 50_000;
/// Maximum number of empty windows decided one by one after a gap.
const MAX_EMPTY_WINDOWS: i64 = 20_000;

/// The dispatcher of one brand.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    pub(crate) core: DispatcherCore,
    pub(crate) profile: SeasonalProfile,
    pub(crate) history: VolumeHistory,
    /// Signals that wait for their window, by time and id.
    pending: BTreeMap<(EventTime, String), SignalBody>,
    /// Incidents by id.
    pub(crate) incidents: BTreeMap<String, Incident>,
    /// Incidents to process, by due time and id.
    agenda: BTreeSet<(EventTime, String)>,
    /// Parts of the state that differ from the changelog.
    pub(crate) changed: BTreeSet<StatePartKey>,
}

impl Dispatcher {
    /// Creates the dispatcher of a new brand.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        Self {
            core: DispatcherCore::new(),
            profile: SeasonalProfile::new(policy.storms.expected_per_hour),
            history: VolumeHistory::new(),
            pending: BTreeMap::new(),
            incidents: BTreeMap::new(),
            agenda: BTreeSet::new(),
            changed: BTreeSet::new(),
        }
    }

    /// Applies a signal, and returns the escalations that it causes.
    pub fn apply(&mut self, signal: Signal, policy: &Policy) -> Vec<Escalation> {
        self.apply_traced(signal, policy, DecisionTrace::Off)
    }

    /// Applies a signal like [`Self::apply`], and records decisions that notify nobody.
    pub fn apply_traced(
        &mut self,
        signal: Signal,
        policy: &Policy,
        mut decision_trace: DecisionTrace<'_>,
    ) -> Vec<Escalation> {
        let brand = signal.brand;
        let mut escalations = Vec::new();
        let progress = self
            .core
            .sources
            .entry(signal.source)
            .or_insert(SourceProgress { at: EventTime::EARLIEST, idle: true });
        if progress.idle || matches!(signal.body, SignalBody::Watermark { .. }) {
            self.changed.insert(StatePartKey::Core);
        }
        if let SignalBody::Watermark { sources, idle } = signal.body {
            self.core.expected_sources = sources;
            *progress = SourceProgress { at: signal.at.max(progress.at), idle };
            if signal.at < EventTime::END {
                self.core.latest_watermark = self.core.latest_watermark.max(signal.at);
            }
            if let Some(watermark) = self.watermark(policy) {
                self.decide_until(
                    watermark,
                    &mut Emitter {
                        now: watermark,
                        brand: &brand,
                        policy,
                        escalations: &mut escalations,
                        decision_trace,
                    },
                );
            }
        } else {
            progress.idle = false;
            self.changed.insert(StatePartKey::Pending(signal.at, signal.id.clone()));
            self.pending.insert((signal.at, signal.id), signal.body);
            while self.pending.len() > MAX_PENDING_SIGNALS {
                let step = policy.windows.step;
                let Some(((oldest, _), _)) = self.pending.first_key_value() else { break };
                // A late signal is decided with the next window.
                let start =
                    self.core.next_window.map_or(oldest.floor(step), |next| next.max(oldest.floor(step)));
                let decision_trace = decision_trace.reborrow();
                let mut out = Emitter {
                    now: start,
                    brand: &brand,
                    policy,
                    escalations: &mut escalations,
                    decision_trace,
                };
                self.decide_until(start + step, &mut out);
            }
        }
        escalations
    }

    /// Returns the number of live incidents and pending signals: what this dispatcher keeps in memory.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.incidents.values().filter(|incident| incident.is_alive()).count() + self.pending.len()
    }

    /// Returns the number of sources whose stream has ended.
    #[must_use]
    pub fn ended_sources(&self) -> usize {
        self.core.sources.values().filter(|progress| progress.at == EventTime::END).count()
    }

    /// Returns the parts that changed since the last call, in their present form; `None` for a part that is
    /// gone.
    pub fn changes(&mut self) -> Vec<(StatePartKey, Option<StatePart>)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|key| (key.clone(), self.part(&key))).collect()
    }

    /// Returns every part of the state, as a complete changelog holds them.
    #[must_use]
    pub fn parts(&self) -> Vec<(StatePartKey, StatePart)> {
        let whole = [StatePartKey::Core, StatePartKey::Profile, StatePartKey::History].into_iter();
        let incidents = self.incidents.keys().map(|id| StatePartKey::Incident(id.clone()));
        let pending = self.pending.keys().map(|(at, id)| StatePartKey::Pending(*at, id.clone()));
        let keys = whole.chain(incidents).chain(pending);
        keys.filter_map(|key| self.part(&key).map(|part| (key, part))).collect()
    }

    fn part(&self, key: &StatePartKey) -> Option<StatePart> {
        match key {
            StatePartKey::Core => Some(StatePart::Core(Box::new(self.core.clone()))),
            StatePartKey::Profile => Some(StatePart::Profile(Box::new(self.profile.clone()))),
            StatePartKey::History => Some(StatePart::History(Box::new(self.history.clone()))),
            StatePartKey::Incident(id) => {
                let incident = self.incidents.get(id)?;
                Some(StatePart::Incident(id.clone(), Box::new(incident.clone())))
            }
            StatePartKey::Pending(at, id) => {
                let body = self.pending.get(&(*at, id.clone()))?;
                Some(StatePart::Pending(*at, id.clone(), body.clone()))
            }
        }
    }

    /// Restores a part from the changelog.
    pub fn restore_part(&mut self, part: StatePart) {
        match part {
            StatePart::Core(core) => self.core = *core,
            StatePart::Profile(profile) => self.profile = *profile,
            StatePart::History(history) => self.history = *history,
            StatePart::Incident(id, incident) => {
                self.agenda.extend(incident.next_due.map(|next| (next, id.clone())));
                self.incidents.insert(id, *incident);
            }
            StatePart::Pending(at, id, body) => {
                self.pending.insert((at, id), body);
            }
        }
    }

    /// Returns the time that every active source has passed, or the latest time when all are idle. At the end
    /// of all streams it is late enough to decide everything that still waits.
    fn watermark(&self, policy: &Policy) -> Option<EventTime> {
        let step = policy.windows.step;
        if self.core.sources.len() < self.core.expected_sources as usize {
            return None;
        }
        let active =
            self.core.sources.values().filter(|progress| !progress.idle).map(|progress| progress.at).min();
        match active.or_else(|| self.core.sources.values().map(|progress| progress.at).max()) {
            Some(EventTime::END) => {
                let last_pending = self.pending.last_key_value().map(|((at, _), _)| at.floor(step) + step);
                let last = last_pending.map_or(self.core.latest_watermark, |last_pending| {
                    last_pending.max(self.core.latest_watermark)
                });
                let wait = policy.routes.values().map(|route| route.hold + route.group_wait).max();
                Some((last + wait.unwrap_or_default()).ceil(step))
            }
            watermark => watermark,
        }
    }

    fn decide_until(&mut self, watermark: EventTime, out: &mut Emitter<'_>) {
        let step = out.policy.windows.step;
        while let Some(start) = self.next_window(watermark, step) {
            self.changed.insert(StatePartKey::Core);
            self.core.next_window = Some(start + step);
            let window = self.take_pending_before(start + step);
            out.now = start + step;
            self.decide(window, out);
        }
    }

    /// Takes the pending signals before a time. Most windows are empty.
    fn take_pending_before(&mut self, end: EventTime) -> BTreeMap<(EventTime, String), SignalBody> {
        if self.pending.first_key_value().is_none_or(|((at, _), _)| *at >= end) {
            return BTreeMap::new();
        }
        let later = self.pending.split_off(&(end, String::new()));
        let window = std::mem::replace(&mut self.pending, later);
        self.changed.extend(window.keys().map(|(at, id)| StatePartKey::Pending(*at, id.clone())));
        window
    }

    /// Returns the start of the next window that ends at or before the watermark. The first window is that of
    /// the first signal; in a long gap, most empty windows are skipped.
    fn next_window(&self, watermark: EventTime, step: Duration) -> Option<EventTime> {
        let first_pending = self.pending.first_key_value().map(|((at, _), _)| at.floor(step));
        let next = self.core.next_window.or(first_pending)?;
        let earliest_start =
            watermark.floor(step) - Duration::from_millis(step.as_millis() * MAX_EMPTY_WINDOWS);
        let due = self.agenda.first().map(|(due, _)| due.ceil(step) - step);
        let start = next.max(first_pending.into_iter().chain(due).fold(earliest_start, EventTime::min));
        (start + step <= watermark).then_some(start)
    }

    /// Decides the window that ends now.
    fn decide(&mut self, window: BTreeMap<(EventTime, String), SignalBody>, out: &mut Emitter<'_>) {
        let mut counts = ComplaintCounts::default();
        let mut new = Vec::new();
        for ((at, _), body) in window {
            match body {
                SignalBody::RoutesMatched(routes_matched) => {
                    if routes_matched.counts_for_storms {
                        new.push(routes_matched.conversation.clone());
                        if !self
                            .core
                            .storms
                            .iter()
                            .any(|storm| storm.holds(&routes_matched.topics, routes_matched.sim_hash))
                        {
                            counts.record(&routes_matched.topics);
                        }
                    }
                    self.apply_match(*routes_matched, at, out);
                }
                SignalBody::ConversationUpdated(update) => self.apply_update(update, at, out),
                SignalBody::Watermark { .. } => {}
            }
        }
        let opened = self.detect_storm(counts, out);
        self.join_storms(&new, opened, out);
        let waiting_teams = self.process_due(out);
        self.update_storms(out);
        self.update_groups(out);
        self.update_digests(waiting_teams, out);
        self.notify_expiring_silences(out);
    }

    /// Returns the complaint volume of the brand.
    pub(crate) fn volume(&mut self) -> VolumeMonitor<'_> {
        VolumeMonitor {
            profile: &mut self.profile,
            history: &mut self.history,
            current: &mut self.core.current_bucket,
        }
    }

    /// Applies the present state of a conversation to its incident.
    fn apply_match(&mut self, routes_matched: RoutesMatched, at: EventTime, out: &mut Emitter<'_>) {
        let (id, began) = (routes_matched.conversation.clone(), Some(routes_matched.began));
        let mut incident = match self.incidents.remove(&id) {
            // A conversation that began again after its end is a new incident.
            Some(old) if old.began == began => old,
            _ => Incident::new(began),
        };
        let before = incident.routes.clone();
        self.relate(&mut incident, &routes_matched, at);
        incident.apply_match(routes_matched, at, out.policy);
        for active in incident.routes.iter().filter(|active| !before.contains(active)) {
            out.record_decision(DecisionKind::RouteChanged, &id, || active.describe());
        }
        self.put_back(id, incident, out.policy);
    }

    /// Relates a new complaint to the conversations it belongs with, on both sides.
    fn relate(&mut self, incident: &mut Incident, routes_matched: &RoutesMatched, at: EventTime) {
        if !routes_matched.counts_for_storms {
            return;
        }
        if let Some(quoted) = &routes_matched.related {
            incident.relate(Related { conversation: quoted.clone(), kind: RelationKind::Quote });
        }
        let Some(cross_post) = self.core.cross_posts.observe(routes_matched, at) else { return };
        if let Some(other) = self.incidents.get_mut(&cross_post.conversation) {
            other
                .relate(Related { conversation: routes_matched.conversation.clone(), kind: cross_post.kind });
            self.changed.insert(StatePartKey::Incident(cross_post.conversation.clone()));
        }
        incident.relate(cross_post);
    }

    /// Stores an incident, and schedules when to process it next.
    pub(crate) fn put_back(&mut self, id: String, mut incident: Incident, policy: &Policy) {
        if let Some(old) = incident.next_due {
            self.agenda.remove(&(old, id.clone()));
        }
        incident.next_due = incident.compute_next_due(policy);
        self.agenda.extend(incident.next_due.map(|next| (next, id.clone())));
        self.changed.insert(StatePartKey::Incident(id.clone()));
        self.incidents.insert(id, incident);
    }

    /// Removes an incident for good.
    pub(crate) fn remove_incident(&mut self, id: &str) {
        if let Some(next) = self.incidents.remove(id).and_then(|incident| incident.next_due) {
            self.agenda.remove(&(next, id.to_owned()));
        }
        self.changed.insert(StatePartKey::Incident(id.to_owned()));
    }
}

#[cfg(test)]
mod tests;
