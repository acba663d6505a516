//! The dispatcher of a brand: sees all its conversations together and decides who is notified of what.
//!
//! Signals wait in windows of event time. A window is decided when every source partition has passed its end. Its
//! signals are applied in the order of time and conversation, and those of a conversation as they came, which is from
//! one partition. So the outcome does not depend on how partitions interleave. A person's action waits for no window:
//! it is applied once the windows before it are decided.

mod actions;
mod active_route;
mod clock;
mod collection;
mod cross_posts;
mod deadlines;
mod digest;
mod due;
mod emitter;
mod expiry;
mod group;
mod growth;
mod incident;
mod incidents;
mod links;
mod matches;
mod part_key;
mod pending;
mod person_silence;
mod related;
mod reminders;
mod silence;
mod state;
mod state_v11;
mod storm;
mod storm_window;
mod updates;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use firewatch_domain::{ConversationUpdate, Duration, Escalation, EventTime, Signal, SignalBody};

use crate::Policy;
use crate::baseline::{ComplaintCounts, VolumeHistory, VolumeMonitor};
use crate::seasonal_profile::SeasonalProfile;

pub use clock::WindowClock;
pub use incident::Incident;
pub use part_key::StatePartKey;
pub use state::{DispatcherCore, StatePart};
pub use state_v11::{IncidentV11, StatePartV11};

use emitter::Emitter;
pub use emitter::{Decision, DecisionKind, DecisionTrace};
use incidents::Incidents;
use pending::{PendingSignals, Window};

/// Maximum number of pending signals. Beyond it, the oldest window is decided without the lagging sources.
const MAX_PENDING_SIGNALS: usize = 50_000;
/// Longest gap of which every storm window is evaluated while no storm is open.
const MAX_GAP: Duration = Duration::from_mins(55 * 60);

/// Key of a pending action: the time before which all windows are decided, the time at which the person acted,
/// and its id.
type ActionKey = (EventTime, EventTime, String);

/// The dispatcher of one brand.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    pub(crate) clock: WindowClock,
    pub(crate) core: DispatcherCore,
    pub(crate) profile: SeasonalProfile,
    pub(crate) history: VolumeHistory,
    pending: PendingSignals,
    /// Actions that wait until the windows before them are decided.
    actions: BTreeMap<ActionKey, ConversationUpdate>,
    pub(crate) incidents: Incidents,
    /// Parts of the state that differ from the changelog, incidents left out.
    pub(crate) changed: BTreeSet<StatePartKey>,
}

impl Dispatcher {
    /// Creates the dispatcher of a new brand.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        Self {
            clock: WindowClock::new(),
            core: DispatcherCore::new(),
            profile: SeasonalProfile::new(policy.storms.expected_per_hour),
            history: VolumeHistory::new(),
            pending: PendingSignals::default(),
            actions: BTreeMap::new(),
            incidents: Incidents::default(),
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
        decision_trace: DecisionTrace<'_>,
    ) -> Vec<Escalation> {
        let Signal { id, brand, at, source, body, .. } = signal;
        let mut escalations = Vec::new();
        let mut out =
            Emitter { now: at, brand: &brand, policy, escalations: &mut escalations, decision_trace };
        match body {
            SignalBody::Watermark { sources, idle } => {
                self.clock.observe_watermark(source, at, sources, idle);
                self.changed.insert(StatePartKey::Clock);
                self.advance(&mut out);
            }
            SignalBody::ConversationUpdated(update) if update.action.is_some() => {
                let acted_at = update.action.as_ref().map_or(at, |action| action.at);
                self.changed.insert(StatePartKey::Action(at, acted_at, id.clone()));
                self.actions.insert((at, acted_at, id), update);
                self.advance(&mut out);
            }
            body => {
                if self.clock.observe_signal(source) {
                    self.changed.insert(StatePartKey::Clock);
                }
                self.changed.insert(self.pending.push(at, body));
                self.decide_oldest(&mut out);
            }
        }
        escalations
    }

    /// Decides the oldest windows while more signals wait than may.
    fn decide_oldest(&mut self, out: &mut Emitter<'_>) {
        let step = out.policy.windows.step;
        while self.pending.len() > MAX_PENDING_SIGNALS {
            let Some(oldest) = self.pending.first_at() else { break };
            // A late signal is decided with the next window.
            let start = oldest.floor(step);
            let start = self.clock.next_window.map_or(start, |next| next.max(start));
            self.decide_until(start + step, out);
        }
    }

    /// Returns the number of live incidents and pending signals: what this dispatcher keeps in memory.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.incidents.alive() + self.pending.len() + self.actions.len()
    }

    /// Returns the number of sources whose stream has ended.
    #[must_use]
    pub fn ended_sources(&self) -> usize {
        self.clock.ended_sources()
    }

    /// Decides every window that all sources have passed, and applies the actions that waited for them.
    fn advance(&mut self, out: &mut Emitter<'_>) {
        if let Some(watermark) = self.clock.watermark(self.pending.last_at(), out.policy) {
            self.decide_until(watermark, out);
            self.apply_actions(watermark, out);
        }
    }

    fn decide_until(&mut self, watermark: EventTime, out: &mut Emitter<'_>) {
        let step = out.policy.windows.step;
        while let Some(start) = self.next_window(watermark, out.policy) {
            self.apply_actions(start, out);
            // A window may change anything of the core; what did not change is not written again.
            self.changed.extend([StatePartKey::Clock, StatePartKey::Core]);
            self.clock.next_window = Some(start + step);
            let window = self.pending.take_before(start + step);
            let taken = window.keys().map(|(at, place)| StatePartKey::Pending(*at, place.clone()));
            self.changed.extend(taken);
            out.now = start + step;
            self.decide(window, out);
        }
    }

    /// Applies the actions that wait only for windows before a time. An action on an incident that is not known
    /// yet waits for its own window, as its post may still be pending.
    fn apply_actions(&mut self, until: EventTime, out: &mut Emitter<'_>) {
        while let Some((key, update)) = self.actions.pop_first() {
            if key.0 > until {
                self.actions.insert(key, update);
                break;
            }
            let (at, acted_at, id) = key;
            self.changed.insert(StatePartKey::Action(at, acted_at, id.clone()));
            if self.incidents.find(&update.conversation).is_none() {
                let at = acted_at.max(self.clock.next_window.unwrap_or(acted_at));
                self.changed.insert(self.pending.push_action(at, &id, update));
                continue;
            }
            self.changed.insert(StatePartKey::Core);
            out.now = acted_at.max(self.clock.next_window.unwrap_or(acted_at));
            self.apply_update(update, acted_at, out);
            self.settle_collections(out);
        }
    }

    /// Returns the start of the next window in which something can happen and that ends at or before the
    /// watermark: one with a signal, a deadline, a digest or a notice, or the last of a storm window.
    fn next_window(&self, watermark: EventTime, policy: &Policy) -> Option<EventTime> {
        let step = policy.windows.step;
        let first_pending = self.pending.first_at().map(|at| at.floor(step));
        let next = self.clock.next_window.or(first_pending)?;
        let gap = Duration::from_millis(MAX_GAP.as_millis() / step.as_millis() * step.as_millis());
        let from =
            if self.core.storms.is_empty() { watermark.floor(step) - gap } else { EventTime::EARLIEST };
        let storm_window = storm_window::window_end(next, step).max(from) - step;
        let digest = self.core.digest_due.values().min().copied();
        // What has grown is looked at in each storm window, unless those are left out.
        let grown = (from > next).then(|| [self.next_group_growth(policy), self.next_budget_digest(policy)]);
        let due = [self.incidents.next_due(), digest, self.next_notice(policy)].into_iter();
        let due = due.chain(grown.into_iter().flatten()).flatten();
        let due = due.map(|due| due.ceil(step) - step);
        let start = next.max(first_pending.into_iter().chain(due).fold(storm_window, EventTime::min));
        (start + step <= watermark).then_some(start)
    }

    /// Decides the window that ends now.
    fn decide(&mut self, window: Window, out: &mut Emitter<'_>) {
        self.adopt_policy(out);
        let mut counts = ComplaintCounts::default();
        let mut new = Vec::new();
        for ((at, _), body) in window {
            match body {
                SignalBody::RoutesMatched(matched) => {
                    if matched.counts_for_storms {
                        new.push(matched.conversation.clone());
                        if !self.is_in_storm(&matched.topics, matched.sim_hash) {
                            counts.record(&matched.topics);
                        }
                    }
                    self.apply_match(*matched, at, out);
                }
                SignalBody::ConversationUpdated(update) => self.apply_update(update, at, out),
                SignalBody::Watermark { .. } => {}
            }
        }
        let opened = self.count_complaints(&counts, out);
        self.join_storms(&new, opened, out);
        self.process_due(out);
        self.update_storms(out);
        self.update_groups(out);
        self.settle_collections(out);
        self.update_budget_digests(out);
        self.notify_expiring_silences(out);
    }

    /// Lets be decided now what waits by the terms of a former policy, and gives what a team had that is no more to
    /// another.
    fn adopt_policy(&mut self, out: &mut Emitter<'_>) {
        if self.core.policy_hash == out.policy.hash {
            return;
        }
        self.core.policy_hash.clone_from(&out.policy.hash);
        let ids: Vec<_> = self.incidents.iter().map(|(id, _)| id.clone()).collect();
        for id in ids {
            let Some(mut incident) = self.incidents.check_out(&id) else { continue };
            let team = self.team_of_members(&id, &incident, out.policy);
            incident.details.replace_team(team);
            incident.replace_removed_owners(&id, out);
            incident.budget_waits.retain(|wait| out.policy.teams.contains_key(&wait.team));
            incident.release(None, out.now, out.policy);
            self.incidents.check_in(&id, incident, out.policy);
        }
        self.close_groups_of_other_teams(out.policy);
    }

    /// Returns the complaint volume of the brand.
    pub(crate) fn volume(&mut self) -> VolumeMonitor<'_> {
        VolumeMonitor {
            profile: &mut self.profile,
            history: &mut self.history,
            current: &mut self.core.current_bucket,
        }
    }
}

#[cfg(test)]
mod tests;
