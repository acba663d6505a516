//! A brand's desk: all that its conversations are, seen together, and who is told of what.
//!
//! Signals wait in windows of event time. A window is decided when every source partition has passed its
//! end, and its contents are taken in order of time and id, so that the outcome does not depend on how
//! the partitions interleave.

pub(crate) mod case;
mod clock;
mod digest;
mod group;
pub(crate) mod growth;
mod happened;
mod look;
mod parts;
mod silence;
pub(crate) mod tell;
mod twins;

use std::collections::{BTreeMap, BTreeSet};

use firewatch_domain::{Duration, Escalation, EventTime, Matched, Signal, SignalBody};

use crate::Policy;
use crate::baseline::{Lately, Volume, Window};
use crate::season::Season;

pub use case::Case;
pub use parts::{Head, Part, PartKey};

use parts::Mark;
use tell::Telling;
pub use tell::{Note, NoteKind, Notes};
use twins::{By, Related};

/// The name of the route that storms are on.
pub(crate) const STORM: &str = "storm";
/// Signals that wait at most; beyond it the oldest window is decided without the sources that lag.
const MOST_HELD: usize = 50_000;
/// Empty windows looked at one by one after a gap, at most.
const MOST_EMPTY: i64 = 20_000;

/// One brand's desk.
#[derive(Debug, Clone)]
pub struct Desk {
    pub(crate) head: Head,
    pub(crate) season: Season,
    pub(crate) lately: Lately,
    /// Signals that wait for their window, by time and id.
    held: BTreeMap<(EventTime, String), SignalBody>,
    /// Conversations, storms and digests by id.
    pub(crate) cases: BTreeMap<String, Case>,
    /// Those that have to be looked at, by when.
    agenda: BTreeSet<(EventTime, String)>,
    /// What differs from what was last written down.
    pub(crate) changed: BTreeSet<PartKey>,
}

impl Desk {
    /// A brand not heard of before.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        Self {
            head: Head::new(),
            season: Season::new(policy.storms.expected_per_hour),
            lately: Lately::new(),
            held: BTreeMap::new(),
            cases: BTreeMap::new(),
            agenda: BTreeSet::new(),
            changed: BTreeSet::new(),
        }
    }

    /// Takes a signal, and tells what is decided by it.
    pub fn take(&mut self, signal: Signal, policy: &Policy) -> Vec<Escalation> {
        self.take_noting(signal, policy, Notes::None)
    }

    /// The same, with notes of the decisions that tell nobody.
    pub fn take_noting(&mut self, signal: Signal, policy: &Policy, mut notes: Notes<'_>) -> Vec<Escalation> {
        let brand = signal.brand;
        let mut told = Vec::new();
        let mark =
            self.head.sources.entry(signal.source).or_insert(Mark { at: EventTime::EARLIEST, idle: true });
        if mark.idle || matches!(signal.body, SignalBody::Tick { .. }) {
            self.changed.insert(PartKey::Head);
        }
        if let SignalBody::Tick { sources, idle } = signal.body {
            self.head.expected_sources = sources;
            *mark = Mark { at: signal.at.max(mark.at), idle };
            if signal.at < EventTime::END {
                self.head.latest = self.head.latest.max(signal.at);
            }
            if let Some(passed) = self.passed(policy) {
                self.decide_until(
                    passed,
                    &mut Telling { now: passed, brand: &brand, policy, told: &mut told, notes },
                );
            }
        } else {
            mark.idle = false;
            self.changed.insert(PartKey::Held(signal.at, signal.id.clone()));
            self.held.insert((signal.at, signal.id), signal.body);
            while self.held.len() > MOST_HELD {
                let step = policy.windows.step;
                let Some(((oldest, _), _)) = self.held.first_key_value() else { break };
                // A late signal is decided with the window that is next.
                let start = self.head.next.map_or(oldest.floor(step), |next| next.max(oldest.floor(step)));
                let notes = notes.again();
                let mut out = Telling { now: start, brand: &brand, policy, told: &mut told, notes };
                self.decide_until(start + step, &mut out);
            }
        }
        told
    }

    /// Cases that somebody was told of or will be, and signals that wait: what this desk keeps in memory.
    #[must_use]
    pub fn open(&self) -> usize {
        self.cases.values().filter(|case| case.is_alive()).count() + self.held.len()
    }

    /// The parts that changed since this was last asked, each as it is now; none for one that is over.
    pub fn changes(&mut self) -> Vec<(PartKey, Option<Part>)> {
        let changed = std::mem::take(&mut self.changed);
        changed
            .into_iter()
            .map(|key| {
                let part = match &key {
                    PartKey::Head => Some(Part::Head(Box::new(self.head.clone()))),
                    PartKey::Season => Some(Part::Season(Box::new(self.season.clone()))),
                    PartKey::Lately => Some(Part::Lately(Box::new(self.lately.clone()))),
                    PartKey::Case(id) => {
                        self.cases.get(id).map(|case| Part::Case(id.clone(), Box::new(case.clone())))
                    }
                    PartKey::Held(at, id) => {
                        let held = self.held.get(&(*at, id.clone()));
                        held.map(|body| Part::Held(*at, id.clone(), body.clone()))
                    }
                };
                (key, part)
            })
            .collect()
    }

    /// Puts a part in its place, as it was written down.
    pub fn put(&mut self, part: Part) {
        match part {
            Part::Head(head) => self.head = *head,
            Part::Season(season) => self.season = *season,
            Part::Lately(lately) => self.lately = *lately,
            Part::Case(id, case) => {
                self.agenda.extend(case.next.map(|next| (next, id.clone())));
                self.cases.insert(id, *case);
            }
            Part::Held(at, id, body) => {
                self.held.insert((at, id), body);
            }
        }
    }

    /// The time that every source has passed which is not silent; the latest of all when all are. When all have
    /// ended, that is where the last of them came to, or when the last that waits is due.
    fn passed(&self, policy: &Policy) -> Option<EventTime> {
        let step = policy.windows.step;
        if self.head.sources.len() < self.head.expected_sources as usize {
            return None;
        }
        let active = self.head.sources.values().filter(|mark| !mark.idle).map(|mark| mark.at).min();
        match active.or_else(|| self.head.sources.values().map(|mark| mark.at).max()) {
            Some(EventTime::END) => {
                let held = self.held.last_key_value().map(|((at, _), _)| at.floor(step) + step);
                let last = held.map_or(self.head.latest, |held| held.max(self.head.latest));
                let wait = policy.routes.values().map(|route| route.hold + route.group_wait).max();
                Some((last + wait.unwrap_or_default()).ceil(step))
            }
            passed => passed,
        }
    }

    fn decide_until(&mut self, passed: EventTime, out: &mut Telling<'_>) {
        let step = out.policy.windows.step;
        while let Some(start) = self.next_window(passed, step) {
            self.changed.insert(PartKey::Head);
            self.head.next = Some(start + step);
            let window = self.held_before(start + step);
            out.now = start + step;
            self.decide(window, out);
        }
    }

    /// Takes out what waits from before a time; most windows are empty.
    fn held_before(&mut self, end: EventTime) -> BTreeMap<(EventTime, String), SignalBody> {
        if self.held.first_key_value().is_none_or(|((at, _), _)| *at >= end) {
            return BTreeMap::new();
        }
        let later = self.held.split_off(&(end, String::new()));
        let window = std::mem::replace(&mut self.held, later);
        self.changed.extend(window.keys().map(|(at, id)| PartKey::Held(*at, id.clone())));
        window
    }

    /// The start of the next window that ends at or before `passed`. The first one is that of the first signal; in a
    /// long silence most empty ones are passed over.
    fn next_window(&self, passed: EventTime, step: Duration) -> Option<EventTime> {
        let held = self.held.first_key_value().map(|((at, _), _)| at.floor(step));
        let next = self.head.next.or(held)?;
        let worth_it = passed.floor(step) - Duration::from_millis(step.as_millis() * MOST_EMPTY);
        let due = self.agenda.first().map(|(due, _)| due.ceil(step) - step);
        let start = next.max(held.into_iter().chain(due).fold(worth_it, EventTime::min));
        (start + step <= passed).then_some(start)
    }

    /// Decides a window that ends now.
    fn decide(&mut self, window: BTreeMap<(EventTime, String), SignalBody>, out: &mut Telling<'_>) {
        let mut counted = Window::default();
        let mut new = Vec::new();
        for ((at, _), body) in window {
            match body {
                SignalBody::Matched(matched) => {
                    if matched.counts {
                        new.push(matched.conversation.clone());
                        if !self.head.storms.iter().any(|storm| storm.holds(&matched.topics, matched.near)) {
                            counted.take(&matched.topics);
                        }
                    }
                    self.matched(*matched, at, out);
                }
                SignalBody::Happened(happened) => self.happened(happened, at, out),
                SignalBody::Tick { .. } => {}
            }
        }
        let opened = self.watch_for_storm(counted, out);
        self.join_storms(&new, opened, out);
        let waits = self.look_at_what_is_due(out);
        self.tell_or_end_storms(out);
        self.tell_or_end_groups(out);
        self.digest(waits, out);
        self.tell_of_silences(out);
    }

    /// What is known of the volume of complaints.
    pub(crate) fn volume(&mut self) -> Volume<'_> {
        Volume { season: &mut self.season, lately: &mut self.lately, recent: &mut self.head.recent }
    }

    /// Takes in what a conversation is now.
    fn matched(&mut self, matched: Matched, at: EventTime, out: &mut Telling<'_>) {
        let (id, began) = (matched.conversation.clone(), Some(matched.began));
        let mut case = match self.cases.remove(&id) {
            // One that began anew after it was over has nothing to do with the one before.
            Some(old) if old.began == began => old,
            _ => Case::new(began),
        };
        let before = case.routes.clone();
        self.relate(&mut case, &matched, at);
        case.take(matched, at, out.policy);
        for on in case.routes.iter().filter(|on| !before.contains(on)) {
            out.note(NoteKind::OnRoute, &id, || on.in_words());
        }
        self.put_back(id, case, out.policy);
    }

    /// Takes note of what a new complaint belongs with, on both sides.
    fn relate(&mut self, case: &mut Case, matched: &Matched, at: EventTime) {
        if !matched.counts {
            return;
        }
        if let Some(quoted) = &matched.related {
            case.relate(Related { conversation: quoted.clone(), by: By::Quote });
        }
        let Some(twin) = self.head.twins.take(matched, at) else { return };
        if let Some(other) = self.cases.get_mut(&twin.conversation) {
            other.relate(Related { conversation: matched.conversation.clone(), by: twin.by });
            self.changed.insert(PartKey::Case(twin.conversation.clone()));
        }
        case.relate(twin);
    }

    /// Puts a case back in its place, and notes when it has to be looked at next.
    pub(crate) fn put_back(&mut self, id: String, mut case: Case, policy: &Policy) {
        if let Some(old) = case.next {
            self.agenda.remove(&(old, id.clone()));
        }
        case.next = case.due(policy);
        self.agenda.extend(case.next.map(|next| (next, id.clone())));
        self.changed.insert(PartKey::Case(id.clone()));
        self.cases.insert(id, case);
    }

    /// Takes a case out for good.
    pub(crate) fn drop_case(&mut self, id: &str) {
        if let Some(next) = self.cases.remove(id).and_then(|case| case.next) {
            self.agenda.remove(&(next, id.to_owned()));
        }
        self.changed.insert(PartKey::Case(id.to_owned()));
    }
}

#[cfg(test)]
mod tests;
