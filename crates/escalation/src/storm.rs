//! A brand's complaints seen together: each is told to support on its own, unless many come at once about one
//! thing; then one storm is told, and grows.
//!
//! Complaints wait in windows of event time. A window is decided when every source partition has passed its
//! end, and its contents are taken in order of time and id, so that the outcome does not depend on how
//! the partitions interleave.

use std::collections::BTreeMap;

use firewatch_domain::{Duration, Escalation, EscalationState, EventTime, Level, Signal, SignalBody};

use crate::baseline::{Baseline, Window};
use crate::{Life, Policy, SUPPORT, Step, Ticket};

/// Signals that wait at most; beyond it the oldest window is decided without the sources that lag.
const MOST_HELD: usize = 50_000;
/// Empty windows looked at one by one after a gap, at most: two days of half minutes.
const MOST_EMPTY: i64 = 5_760;

/// One brand's state.
#[derive(Debug, Clone)]
pub struct BrandWatch {
    /// How far each source partition has come.
    sources: BTreeMap<u32, EventTime>,
    /// How many there are.
    expected_sources: u32,
    /// Signals that wait for their window, by time and id.
    held: BTreeMap<(EventTime, String), SignalBody>,
    /// The start of the next window to decide.
    next: Option<EventTime>,
    baseline: Baseline,
    storm: Option<Storm>,
    /// Complaints told on their own and not over yet.
    cases: BTreeMap<String, Case>,
}

#[derive(Debug, Clone)]
struct Case {
    life: Life,
    posted_at: Option<EventTime>,
}

#[derive(Debug, Clone)]
struct Storm {
    id: String,
    life: Life,
    first_post: Option<EventTime>,
    topics: Vec<String>,
    members: u64,
    told_members: u64,
    told_at: EventTime,
}

/// The brand that a storm's id names.
#[must_use]
pub fn storm_brand(conversation: &str) -> Option<&str> {
    conversation.strip_prefix("storm/")?.rsplit_once('/').map(|(brand, _)| brand)
}

impl BrandWatch {
    /// A brand not heard of before.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        Self {
            sources: BTreeMap::new(),
            expected_sources: u32::MAX,
            held: BTreeMap::new(),
            next: None,
            baseline: Baseline::new(&policy.storms),
            storm: None,
            cases: BTreeMap::new(),
        }
    }

    /// Takes a signal, and tells what is decided by it.
    pub fn take(&mut self, signal: Signal, policy: &Policy) -> Vec<Escalation> {
        let brand = signal.brand;
        let mut told = Vec::new();
        if let SignalBody::Tick { sources } = signal.body {
            self.expected_sources = sources;
            let mark = self.sources.entry(signal.source).or_insert(signal.at);
            *mark = signal.at.max(*mark);
            if let Some(passed) = self.passed() {
                self.decide_until(passed, &brand, policy, &mut told);
            }
        } else {
            self.held.insert((signal.at, signal.id), signal.body);
            while self.held.len() > MOST_HELD {
                let Some(((oldest, _), _)) = self.held.first_key_value() else { break };
                let end = oldest.floor(policy.storms.group_wait) + policy.storms.group_wait;
                self.decide_until(end, &brand, policy, &mut told);
            }
        }
        told
    }

    /// Complaints told and not over, and signals that wait: the brand's memory.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cases.len() + self.held.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The time that every source has passed.
    fn passed(&self) -> Option<EventTime> {
        if self.sources.len() < self.expected_sources as usize {
            return None;
        }
        self.sources.values().min().copied()
    }

    fn decide_until(&mut self, passed: EventTime, brand: &str, policy: &Policy, told: &mut Vec<Escalation>) {
        let step = policy.storms.group_wait;
        loop {
            let Some(start) = self.next_window(passed, step) else { return };
            self.next = Some(start + step);
            let later = self.held.split_off(&(start + step, String::new()));
            let window = std::mem::replace(&mut self.held, later);
            self.decide(start + step, window, &mut Telling { brand, policy, told });
        }
    }

    /// The start of the next window that ends at or before `passed`. At the end of the stream only windows that hold
    /// something are left; in a long silence the empty ones are not worth counting.
    fn next_window(&self, passed: EventTime, step: Duration) -> Option<EventTime> {
        let held = self.held.first_key_value().map(|((at, _), _)| at.floor(step));
        let mut start = match self.next {
            Some(next) if passed == EventTime::END => held?.max(next),
            Some(next) => next,
            None if passed == EventTime::END => held?,
            None => held.unwrap_or(passed.floor(step) - step),
        };
        let first_worth_it = passed.floor(step) - Duration::from_millis(step.as_millis() * MOST_EMPTY);
        if passed != EventTime::END && start < first_worth_it {
            start = held.map_or(first_worth_it, |h| h.max(start).min(first_worth_it));
        }
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
                    changes.push((conversation, state, reason))
                }
                SignalBody::Tick { .. } => {}
            }
        }
        let mut counted = Window { posts: complaints.len() as u32, ..Window::default() };
        for topic in complaints.iter().flat_map(|(_, topics)| topics) {
            *counted.topics.entry(topic.clone()).or_default() += 1;
        }
        self.baseline.push(counted, &out.policy.storms);
        self.watch_for_storm(end, &complaints, out);
        for (case, topics) in complaints {
            // Answered while it waited: nobody needs to be told.
            let over = changes.iter().any(|(c, state, _)| *c == case.conversation && is_over(*state));
            match &mut self.storm {
                Some(storm) if storm.holds(&topics) => storm.members += 1,
                _ if over => {}
                _ => self.tell_case(*case, end, out),
            }
        }
        for (conversation, state, reason) in changes {
            self.change(&conversation, state, reason, end, out);
        }
        self.grow_or_end_storm(end, out);
    }

    fn watch_for_storm(
        &mut self,
        end: EventTime,
        complaints: &[(Box<Escalation>, Vec<String>)],
        out: &mut Telling<'_>,
    ) {
        let policy = &out.policy.storms;
        let posts = self.baseline.recent_posts();
        if self.storm.is_some() {
            return;
        }
        if f64::from(posts) < self.baseline.alarm(policy) {
            self.baseline.learn(policy);
            return;
        }
        let level =
            if f64::from(posts) >= 3.0 * self.baseline.alarm(policy) { Level::High } else { Level::Medium };
        let storm = Storm {
            id: format!("storm/{}/{end}", out.brand),
            life: Life::open(level),
            first_post: complaints.iter().filter_map(|(case, _)| case.posted_at).min(),
            topics: self.baseline.standing_out(),
            members: 0,
            told_members: 0,
            told_at: end,
        };
        let reason = format!(
            "{posts} complaints in five minutes where {:.0} are usual",
            self.baseline.expected(policy)
        );
        let first = complaints.iter().filter(|(_, topics)| storm.holds(topics)).count() as u64;
        out.storm(&Storm { members: first, ..storm.clone() }, Step { reason }, end);
        self.storm = Some(Storm { told_members: first, ..storm });
    }

    fn grow_or_end_storm(&mut self, end: EventTime, out: &mut Telling<'_>) {
        let policy = &out.policy.storms;
        let Some(storm) = &mut self.storm else { return };
        let posts = self.baseline.recent_posts();
        if f64::from(posts) <= self.baseline.calm(policy) {
            let reason = format!("{posts} complaints in five minutes, as usual again");
            if let Some(step) = storm.life.move_to(EscalationState::Resolved, reason) {
                out.storm(storm, step, end);
            }
            self.storm = None;
        } else if end - storm.told_at >= policy.group_interval && storm.members > storm.told_members {
            let reason = format!("grew from {} to {} posts", storm.told_members, storm.members);
            storm.life.step += 1;
            storm.told_at = end;
            storm.told_members = storm.members;
            out.storm(storm, Step { reason }, end);
        }
    }

    fn tell_case(&mut self, mut case: Escalation, end: EventTime, out: &mut Telling<'_>) {
        // A complaint is told once, also when its signal comes again.
        if self.cases.contains_key(&case.conversation) {
            return;
        }
        case.at = end;
        let life = Life::open(case.level);
        self.cases.insert(case.conversation.clone(), Case { life, posted_at: case.posted_at });
        out.told.push(case);
    }

    fn change(
        &mut self,
        conversation: &str,
        state: EscalationState,
        reason: String,
        end: EventTime,
        out: &mut Telling<'_>,
    ) {
        if let Some(storm) = self.storm.as_mut().filter(|s| s.id == conversation) {
            if let Some(step) = storm.life.move_to(state, reason) {
                out.storm(storm, step, end);
            }
            return;
        }
        let Some(case) = self.cases.get_mut(conversation) else { return };
        if let Some(step) = case.life.move_to(state, reason) {
            out.case(conversation, case, step, end);
        }
        if case.life.state.is_final() {
            self.cases.remove(conversation);
        }
    }
}

impl Storm {
    /// Whether a complaint is about what the storm is about. A storm without a topic holds them all.
    fn holds(&self, topics: &[String]) -> bool {
        self.topics.is_empty() || topics.iter().any(|t| self.topics.contains(t))
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
        let mut record = ticket.record(&self.policy.storms.team, &storm.life, step, at, self.policy);
        if !storm.topics.is_empty() {
            record.reasons.push(format!("they share the words {}", storm.topics.join(", ")));
        }
        record.reasons.push("its posts are not told one by one while it lasts".into());
        record.members = Some(storm.members);
        self.told.push(record);
    }

    fn case(&mut self, conversation: &str, case: &Case, step: Step, at: EventTime) {
        let ticket = Ticket { posted_at: case.posted_at, ..self.ticket(conversation) };
        self.told.push(ticket.record(SUPPORT, &case.life, step, at, self.policy));
    }

    fn ticket<'b>(&'b self, conversation: &'b str) -> Ticket<'b> {
        Ticket { brand: Some(self.brand), ..Ticket::of(conversation) }
    }
}

#[cfg(test)]
mod tests {
    use firewatch_domain::{SCHEMA_VERSION, Tenths};

    use super::*;

    fn policy() -> Policy {
        Policy::parse("p", "[brands.acme]\n[storms]\nexpected_per_hour = 24.0\n").unwrap()
    }

    fn at(secs: i64) -> EventTime {
        EventTime::from_millis(1_800_000_000_000) + Duration::from_secs(secs)
    }

    fn signal(source: u32, secs: i64, id: &str, body: SignalBody) -> Signal {
        Signal { v: SCHEMA_VERSION, id: id.into(), brand: "acme".into(), at: at(secs), source, body }
    }

    fn complaint(source: u32, secs: i64, conversation: &str, topic: &str) -> Signal {
        let ticket = Ticket { posted_at: Some(at(secs)), risk: Some(Tenths(20)), ..Ticket::of(conversation) };
        let case =
            ticket.record(SUPPORT, &Life::open(Level::Low), Step { reason: "r".into() }, at(secs), &policy());
        let body = SignalBody::Complaint { case: Box::new(case), topics: vec![topic.into()] };
        signal(source, secs, conversation, body)
    }

    fn tick(source: u32, secs: i64, sources: u32) -> Signal {
        signal(source, secs, &format!("tick {source} {secs}"), SignalBody::Tick { sources })
    }

    fn run(signals: impl IntoIterator<Item = Signal>) -> Vec<Escalation> {
        let mut watch = BrandWatch::new(&policy());
        signals.into_iter().flat_map(|s| watch.take(s, &policy())).collect()
    }

    fn lines(told: &[Escalation]) -> Vec<String> {
        let line = |e: &Escalation| format!("{} {} {}", e.id, e.state, e.members.unwrap_or(0));
        told.iter().map(line).collect()
    }

    #[test]
    fn a_complaint_is_told_when_its_window_has_passed_everywhere() {
        let mut watch = BrandWatch::new(&policy());
        assert!(watch.take(complaint(0, 1, "c1", "bill"), &policy()).is_empty());
        assert!(watch.take(tick(0, 60, 2), &policy()).is_empty(), "the other source lags");
        let told = watch.take(tick(1, 40, 2), &policy());
        assert_eq!(lines(&told), ["c1/support/1/0 open 0"]);
        assert_eq!(told[0].at, at(30));
        assert!(watch.take(complaint(0, 61, "c1", "bill"), &policy()).is_empty());
        watch.take(tick(0, 100, 2), &policy());
        assert!(watch.take(tick(1, 100, 2), &policy()).is_empty(), "told once");
    }

    #[test]
    fn what_was_answered_while_it_waited_is_not_told() {
        let change = |secs, state| SignalBody::Change {
            conversation: "c1".into(),
            state,
            reason: format!("at {secs}"),
        };
        let answered = signal(0, 9, "a", change(9, EscalationState::Answered));
        assert!(run([complaint(0, 1, "c1", "bill"), answered.clone(), tick(0, 40, 1)]).is_empty());
        let late = Signal { at: at(45), ..answered };
        let told = run([complaint(0, 1, "c1", "bill"), tick(0, 31, 1), late, tick(0, 90, 1)]);
        assert_eq!(lines(&told), ["c1/support/1/0 open 0", "c1/support/1/1 answered 0"]);
    }

    /// Ten minutes of the usual, then 400 complaints about one thing in six minutes, one about another; then calm.
    fn outage() -> Vec<Signal> {
        let mut all = Vec::new();
        for i in 0..4_i64 {
            all.push(complaint(i as u32 % 2, i * 150, &format!("usual{i}"), "bill"));
        }
        for i in 0..400_i64 {
            all.push(complaint(i as u32 % 2, 600 + i * 9 / 10, &format!("out{i:03}"), "portal"));
        }
        all.push(complaint(1, 800, "other", "claim"));
        for t in 1..=80_i64 {
            all.extend([tick(0, t * 30, 2), tick(1, t * 30, 2)]);
        }
        all.sort_by_key(|s| s.at);
        all
    }

    #[test]
    fn a_wave_about_one_thing_is_one_storm_that_grows_and_ends() {
        let told = run(outage());
        let storm: Vec<&Escalation> = told.iter().filter(|e| e.conversation.starts_with("storm/")).collect();
        assert_eq!(storm.first().map(|e| e.state), Some(EscalationState::Open));
        assert_eq!(storm.last().map(|e| e.state), Some(EscalationState::Resolved));
        assert!(storm.len() <= 5, "{:?}", lines(&told));
        assert!(storm.iter().all(|e| e.escalation == storm[0].escalation));
        assert!(storm[0].reasons.iter().any(|r| r.contains("portal")));
        let alone = told.iter().filter(|e| e.conversation.starts_with("out")).count();
        assert!(alone < 20, "{alone} told before the storm was seen");
        assert!(told.iter().any(|e| e.conversation == "other"), "another matter is told on its own");
        assert_eq!(told.iter().filter(|e| e.conversation.starts_with("usual")).count(), 4);
        assert_eq!(storm_brand(&storm[0].conversation), Some("acme"));
    }

    #[test]
    fn the_outcome_does_not_depend_on_how_sources_interleave() {
        let all = outage();
        let (a, b): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|s| s.source == 0);
        let in_turn = run(all);
        assert_eq!(run(a.iter().chain(&b).cloned()), in_turn);
        assert_eq!(run(b.into_iter().chain(a)), in_turn);
    }

    #[test]
    fn steady_volume_is_no_storm_however_high_once_it_is_usual() {
        let busy = Policy::parse("p", "[brands.acme]\n[storms]\nexpected_per_hour = 1200.0\n").unwrap();
        let mut watch = BrandWatch::new(&busy);
        let mut storms = 0;
        for i in 0..1200_i64 {
            let mut told = watch.take(complaint(0, i * 3, &format!("c{i}"), "bill"), &busy);
            told.extend(watch.take(tick(0, i * 3, 1), &busy));
            storms += told.iter().filter(|e| e.conversation.starts_with("storm/")).count();
        }
        assert_eq!(storms, 0);
    }

    #[test]
    fn the_end_of_the_stream_decides_what_waits_and_a_long_silence_costs_little() {
        let end = Signal { at: EventTime::END, ..tick(0, 0, 1) };
        assert_eq!(run([complaint(0, 1, "c1", "bill"), end.clone(), end]).len(), 1);
        let told = run([
            complaint(0, 1, "c1", "bill"),
            tick(0, 400_000_000, 1),
            complaint(0, 400_000_001, "c2", "x"),
            tick(0, 400_000_100, 1),
        ]);
        assert_eq!(lines(&told), ["c1/support/1/0 open 0", "c2/support/1/0 open 0"]);
    }
}
