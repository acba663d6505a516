//! A brand's complaints seen together: each is told to support on its own, unless many come at once about one
//! thing; then one storm is told, and grows.
//!
//! Complaints wait in windows of event time. A window is decided when every source partition has passed its
//! end, and its contents are taken in order of time and id, so that the outcome does not depend on how
//! the partitions interleave.

use std::collections::{BTreeMap, BTreeSet};

use firewatch_domain::{Duration, Escalation, EscalationState, EventTime, Level, Signal, SignalBody};

use crate::baseline::Window;
use crate::parts::{Case, Head, Mark, Part, PartKey};
use crate::storm::Storm;
use crate::{Life, Policy, SUPPORT, Step, Ticket};

/// Signals that wait at most; beyond it the oldest window is decided without the sources that lag.
const MOST_HELD: usize = 50_000;
/// Empty windows looked at one by one after a gap, at most: two days of half minutes.
const MOST_EMPTY: i64 = 5_760;

/// One brand's state.
#[derive(Debug, Clone)]
pub struct BrandWatch {
    head: Head,
    /// Signals that wait for their window, by time and id.
    held: BTreeMap<(EventTime, String), SignalBody>,
    /// Complaints told on their own and not over yet.
    cases: BTreeMap<String, Case>,
    /// What differs from what was last written down.
    changed: BTreeSet<PartKey>,
}

/// A change in the life of a complaint or a storm told before.
struct Change {
    conversation: String,
    state: EscalationState,
    reason: String,
}

impl BrandWatch {
    /// A brand not heard of before.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        Self {
            head: Head::new(policy),
            held: BTreeMap::new(),
            cases: BTreeMap::new(),
            changed: BTreeSet::new(),
        }
    }

    /// Takes a signal, and tells what is decided by it.
    pub fn take(&mut self, signal: Signal, policy: &Policy) -> Vec<Escalation> {
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
            if let Some(passed) = self.passed(policy.storms.group_wait) {
                self.decide_until(passed, &brand, policy, &mut told);
            }
        } else {
            mark.idle = false;
            self.changed.insert(PartKey::Held(signal.at, signal.id.clone()));
            self.held.insert((signal.at, signal.id), signal.body);
            while self.held.len() > MOST_HELD {
                let step = policy.storms.group_wait;
                let Some(((oldest, _), _)) = self.held.first_key_value() else { break };
                // A late signal is decided with the window that is next.
                let start = self.head.next.map_or(oldest.floor(step), |next| next.max(oldest.floor(step)));
                self.decide_until(start + step, &brand, policy, &mut told);
            }
        }
        told
    }

    /// Complaints told and not over, and signals that wait: what this brand keeps in memory.
    #[must_use]
    pub fn open(&self) -> usize {
        self.cases.len() + self.held.len()
    }

    /// The parts that changed since this was last asked, each as it is now; none for one that is over.
    pub fn changes(&mut self) -> Vec<(PartKey, Option<Part>)> {
        let changed = std::mem::take(&mut self.changed);
        changed
            .into_iter()
            .map(|key| {
                let part = match &key {
                    PartKey::Head => Some(Part::Head(Box::new(self.head.clone()))),
                    PartKey::Case(id) => self.cases.get(id).map(|case| Part::Case(id.clone(), case.clone())),
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
            Part::Case(id, case) => {
                self.cases.insert(id, case);
            }
            Part::Held(at, id, body) => {
                self.held.insert((at, id), body);
            }
        }
    }

    /// The time that every source has passed which is not silent; the latest of all when all are. When all have
    /// ended, that is where the last of them came to, or the last signal that waits.
    fn passed(&self, step: Duration) -> Option<EventTime> {
        if self.head.sources.len() < self.head.expected_sources as usize {
            return None;
        }
        let active = self.head.sources.values().filter(|mark| !mark.idle).map(|mark| mark.at).min();
        match active.or_else(|| self.head.sources.values().map(|mark| mark.at).max()) {
            Some(EventTime::END) => {
                let last = self.held.last_key_value().map(|((at, _), _)| at.floor(step) + step);
                Some(last.map_or(self.head.latest, |last| last.max(self.head.latest)))
            }
            passed => passed,
        }
    }

    fn decide_until(&mut self, passed: EventTime, brand: &str, policy: &Policy, told: &mut Vec<Escalation>) {
        let step = policy.storms.group_wait;
        loop {
            let Some(start) = self.next_window(passed, step) else { return };
            self.changed.insert(PartKey::Head);
            self.head.next = Some(start + step);
            let later = self.held.split_off(&(start + step, String::new()));
            let window = std::mem::replace(&mut self.held, later);
            self.changed.extend(window.keys().map(|(at, id)| PartKey::Held(*at, id.clone())));
            self.decide(start + step, window, &mut Telling { brand, policy, told });
        }
    }

    /// The start of the next window that ends at or before `passed`. The first one is that of the first signal; in a
    /// long silence most empty ones are passed over.
    fn next_window(&self, passed: EventTime, step: Duration) -> Option<EventTime> {
        let held = self.held.first_key_value().map(|((at, _), _)| at.floor(step));
        let next = self.head.next.or(held)?;
        let worth_it = passed.floor(step) - Duration::from_millis(step.as_millis() * MOST_EMPTY);
        let start = next.max(held.map_or(worth_it, |held| held.min(worth_it)));
        (start + step <= passed).then_some(start)
    }

    fn decide(
        &mut self,
        end: EventTime,
        window: BTreeMap<(EventTime, String), SignalBody>,
        out: &mut Telling<'_>,
    ) {
        let mut complaints = Vec::new();
        let mut changes = Vec::new();
        for (_, body) in window {
            match body {
                SignalBody::Complaint { case, topics } => complaints.push((case, topics)),
                SignalBody::Change { conversation, state, reason } => {
                    changes.push(Change { conversation, state, reason });
                }
                SignalBody::Tick { .. } => {}
            }
        }
        let mut counted = Window { posts: complaints.len() as u32, ..Window::default() };
        for topic in complaints.iter().flat_map(|(_, topics)| topics) {
            *counted.topics.entry(topic.clone()).or_default() += 1;
        }
        self.head.baseline.push(counted, &out.policy.storms);
        self.watch_for_storm(end, &complaints, out);
        for (case, topics) in complaints {
            // Answered while it waited: nobody needs to be told.
            let over = changes.iter().any(|c| c.conversation == case.conversation && is_over(c.state));
            match &mut self.head.storm {
                Some(storm) if storm.holds(&topics) => storm.members += 1,
                _ if over => {}
                _ => self.tell_case(*case, end, out),
            }
        }
        for change in changes {
            self.change(change, end, out);
        }
        self.tell_or_end_storm(end, out);
    }

    fn watch_for_storm(
        &mut self,
        end: EventTime,
        complaints: &[(Box<Escalation>, Vec<String>)],
        out: &mut Telling<'_>,
    ) {
        let policy = &out.policy.storms;
        let posts = self.head.baseline.recent_posts();
        if self.head.storm.is_some() {
            return;
        }
        if f64::from(posts) < self.head.baseline.alarm(policy) {
            self.head.baseline.learn(policy);
            return;
        }
        let level = if f64::from(posts) >= 3.0 * self.head.baseline.alarm(policy) {
            Level::High
        } else {
            Level::Medium
        };
        let reason = format!(
            "{posts} complaints in five minutes where {:.0} are usual",
            self.head.baseline.expected(policy)
        );
        let mut storm = Storm::new(out.brand, end, level, Step { reason });
        storm.first_post = complaints.iter().filter_map(|(case, _)| case.posted_at).min();
        storm.topics = self.head.baseline.standing_out();
        self.head.storm = Some(storm);
    }

    fn tell_or_end_storm(&mut self, end: EventTime, out: &mut Telling<'_>) {
        let policy = &out.policy.storms;
        let Some(storm) = &mut self.head.storm else { return };
        if let Some(step) = storm.news(end, policy) {
            out.storm(storm, step, end);
        }
        let posts = self.head.baseline.recent_posts();
        if f64::from(posts) <= self.head.baseline.calm(policy) {
            let reason = format!("{posts} complaints in five minutes, as usual again");
            if let Some(step) = storm.life.move_to(EscalationState::Resolved, reason) {
                out.storm(storm, step, end);
            }
            self.head.storm = None;
        }
    }

    fn tell_case(&mut self, mut case: Escalation, end: EventTime, out: &mut Telling<'_>) {
        // A complaint is told once, also when its signal comes again.
        if self.cases.contains_key(&case.conversation) {
            return;
        }
        case.at = end;
        let life = Life::open(case.level, case.posted_at);
        self.changed.insert(PartKey::Case(case.conversation.clone()));
        self.cases.insert(case.conversation.clone(), Case { life, posted_at: case.posted_at });
        out.told.push(case);
    }

    fn change(&mut self, change: Change, end: EventTime, out: &mut Telling<'_>) {
        let Change { conversation, state, reason } = change;
        if let Some(storm) = self.head.storm.as_mut().filter(|s| s.id == conversation) {
            if let Some(step) = storm.life.move_to(state, reason) {
                out.storm(storm, step, end);
            }
            return;
        }
        let Some(case) = self.cases.get_mut(&conversation) else { return };
        if let Some(step) = case.life.move_to(state, reason) {
            out.case(&conversation, case, step, end);
        }
        if case.life.state.is_final() {
            self.cases.remove(&conversation);
        }
        self.changed.insert(PartKey::Case(conversation));
    }
}

/// A complaint in this state needs nobody any more.
fn is_over(state: EscalationState) -> bool {
    state.is_final() || matches!(state, EscalationState::Answered | EscalationState::HandedOff)
}

/// Where decisions go, and what they need to be told.
struct Telling<'a> {
    brand: &'a str,
    policy: &'a Policy,
    told: &'a mut Vec<Escalation>,
}

impl Telling<'_> {
    fn storm(&mut self, storm: &Storm, step: Step, at: EventTime) {
        let ticket = Ticket { posted_at: storm.first_post, ..self.ticket(&storm.id) };
        let mut record = ticket.record(&self.policy.storms.team, &storm.life, step, at);
        if !storm.topics.is_empty() {
            record.reasons.push(format!("they share the words {}", storm.topics.join(", ")));
        }
        record.reasons.push("its posts are not told one by one while it lasts".into());
        record.members = Some(storm.members);
        self.told.push(record);
    }

    fn case(&mut self, conversation: &str, case: &Case, step: Step, at: EventTime) {
        let ticket = Ticket { posted_at: case.posted_at, ..self.ticket(conversation) };
        self.told.push(ticket.record(SUPPORT, &case.life, step, at));
    }

    fn ticket<'b>(&'b self, conversation: &'b str) -> Ticket<'b> {
        Ticket { brand: Some(self.brand), ..Ticket::of(conversation, self.policy) }
    }
}

#[cfg(test)]
mod tests;
