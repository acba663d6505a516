//! Properties of the dispatcher over random timelines of three sources.
//!
//! Its records depend only on the signals of each source: every interleaving gives the same ones, and so do
//! restarts from the written state, which is complete at every restart. Whatever matches a route is emitted, or
//! there is a named reason not to, and no team gets the same news twice. The policy changes half-way.

use std::collections::{BTreeMap, BTreeSet};

use firewatch_domain::{
    ActionContext, Channel, ConversationChange, ConversationUpdate, Duration, Escalation, EscalationChange,
    EventTime, Level, Reason, ReasonKind, RouteMatch, RoutesMatched, SCHEMA_VERSION, Signal, SignalBody,
    Tenths,
};
use firewatch_escalation::{Decision, DecisionTrace, Dispatcher, Policy, StatePart, StatePartKey};
use proptest::prelude::*;

const SOURCES: u32 = 3;
/// Seconds of signals in each of the two phases; the policy changes between them.
const PHASE: i64 = 1800;
/// Not a multiple of a storm window, so that restarts fall within one.
const WATERMARK_INTERVAL: i64 = 9;

const POLICY: &str = r#"
[brands.acme]
[teams.support]
budget = 6
tiers = { leads = "7m" }
forgotten_after = "5m"
[teams.leads.quiet]
from = "08:05"
to = "08:20"
[teams.pr.quiet]
from = "08:10"
to = "08:15"
wakes = "high"
[routes.complaint]
team = "support"
when = { low = "complaint >= 0.6", medium = "complaint >= 0.9" }
repeat_interval = "9m"
[routes.leaving]
team = "support"
when = { low = '"churn_threat" in flags' }
unless_answered = true
group_by = ["level"]
group_wait = "1m"
[routes.spreading]
team = "pr"
when = { medium = "risk >= 15", high = "risk >= 50" }
for = "40s"
clear_after = "2m"
[silences.known]
when = "likes >= 3"
until = "2027-01-15T08:25:00Z"
by = "lee"
reason = "known"
[storms]
expected_per_hour = 12.0
"#;

fn policies() -> [Policy; 2] {
    let parse = |text: &str| Policy::parse("p", text).unwrap_or_else(|faults| panic!("{faults:?}"));
    let changed = POLICY.replace("group_wait = \"1m\"", "group_wait = \"3m\"").replace("for = \"40s\"", "");
    [parse(POLICY), parse(&changed)]
}

fn at(secs: i64) -> EventTime {
    EventTime::from_millis(1_800_000_000_000) + Duration::from_secs(secs)
}

fn signal(source: u32, secs: i64, id: String, body: SignalBody) -> Signal {
    Signal { v: SCHEMA_VERSION, id, brand: "acme".into(), at: at(secs), source, slot: 0, body }
}

/// An event of a conversation.
#[derive(Debug, Clone)]
struct Happening {
    conversation: u8,
    secs: i64,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Matched { routes: Vec<(u8, Level)>, topic: u8 },
    Updated(u8),
}

fn happening() -> impl Strategy<Value = Happening> {
    let level = prop::sample::select(vec![Level::Low, Level::Medium, Level::High]);
    let matched = (prop::collection::vec((0..3_u8, level), 0..3), 0..4_u8)
        .prop_map(|(routes, topic)| Kind::Matched { routes, topic });
    let kind = prop_oneof![3 => matched, 1 => (0..11_u8).prop_map(Kind::Updated)];
    (0..40_u8, 0..2 * PHASE, kind).prop_map(|(conversation, secs, kind)| Happening {
        conversation,
        secs,
        kind,
    })
}

fn body(conversation: u8, i: usize, kind: &Kind) -> SignalBody {
    let name = format!("c{conversation}");
    match kind {
        Kind::Matched { routes, topic } => {
            let mut by_route: BTreeMap<u8, Level> = BTreeMap::new();
            for (route, level) in routes {
                let known = by_route.entry(*route).or_insert(*level);
                *known = (*known).max(*level);
            }
            let routes = by_route.into_iter().map(|(route, level)| RouteMatch {
                route: ["complaint", "leaving", "spreading"][usize::from(route)].into(),
                level,
                reason: "r".into(),
                group: (route == 1).then(|| level.as_str().to_owned()),
            });
            SignalBody::RoutesMatched(Box::new(RoutesMatched {
                platform: Some("x".into()),
                routes: routes.collect(),
                counts_for_storms: i.is_multiple_of(2),
                topics: vec![format!("topic{topic}")],
                risk: Tenths(20),
                reasons: vec![Reason::new(ReasonKind::Complaint, "why")].into(),
                silences: if i.is_multiple_of(5) { vec!["known".into()] } else { vec![] },
                ..RoutesMatched::new(name, at(0))
            }))
        }
        Kind::Updated(what) => {
            let change = match what {
                0 => ConversationChange::Acknowledged,
                1 => ConversationChange::Answered,
                2 => ConversationChange::HandOffAsked { channels: vec![Channel::Dm] },
                3 => ConversationChange::HandedOff,
                4 => ConversationChange::Resolved,
                5 => ConversationChange::Reopened,
                6 => ConversationChange::HandedOver { team: "leads".into() },
                7 => ConversationChange::Undone,
                8 => ConversationChange::Silenced { until: at(i as i64 * 20) },
                9 => ConversationChange::Unsilenced,
                _ => ConversationChange::Expired { reason: "no activity".into() },
            };
            // Answers and ends are no actions of a person.
            let is_action = !matches!(what, 1 | 2 | 10);
            let team = i.is_multiple_of(3).then(|| "support".into());
            let action = is_action.then(|| ActionContext { at: at(0), team, escalation: None });
            let by = if i.is_multiple_of(2) { "kim" } else { "jo" }.into();
            let update = ConversationUpdate { conversation: name, change, by, action, trace: None };
            SignalBody::ConversationUpdated(update)
        }
    }
}

/// Returns the signals of each source in one phase, in order, with watermarks. A conversation belongs to one
/// source.
fn streams(all: &[Happening], phase: i64) -> Vec<Vec<Signal>> {
    let span = phase * PHASE..(phase + 1) * PHASE;
    let mut streams: Vec<Vec<Signal>> = (0..SOURCES).map(|_| vec![]).collect();
    for (i, happening) in all.iter().enumerate().filter(|(_, h)| span.contains(&h.secs)) {
        let source = u32::from(happening.conversation) % SOURCES;
        let body = body(happening.conversation, i, &happening.kind);
        let stream = &mut streams[source as usize];
        stream.push(signal(source, happening.secs, format!("s{i:04}"), body));
    }
    for (source, stream) in streams.iter_mut().enumerate() {
        let marks = (span.start / WATERMARK_INTERVAL + 1)..=(span.end / WATERMARK_INTERVAL);
        stream.extend(marks.map(|mark| {
            let secs = mark * WATERMARK_INTERVAL;
            let body = SignalBody::Watermark { sources: SOURCES, idle: false };
            signal(source as u32, secs, format!("tick/{source}/{secs}"), body)
        }));
        // A watermark promises that no earlier signal follows, so it sorts after signals of its own time.
        stream.sort_by_key(|s| (s.at, matches!(s.body, SignalBody::Watermark { .. }), s.id.clone()));
        let late = |s: &&mut Signal| !matches!(s.body, SignalBody::Watermark { .. });
        let mut passed = at(span.start);
        for s in stream.iter_mut() {
            let acted_at = s.at;
            match &mut s.body {
                SignalBody::Watermark { .. } => passed = s.at,
                // An action is sorted among the windows by the last watermark of its source.
                SignalBody::ConversationUpdated(ConversationUpdate { action: Some(action), .. }) => {
                    (action.at, s.at) = (acted_at, passed);
                }
                _ => {}
            }
        }
        assert!(passed == at(span.end) && stream.iter_mut().filter(late).all(|s| s.at <= passed));
    }
    streams
}

/// A dispatcher and its state as a changelog holds it.
struct Process {
    dispatcher: Dispatcher,
    written: BTreeMap<String, Vec<u8>>,
    emitted: Vec<Escalation>,
    decisions: Vec<Decision>,
}

impl Process {
    fn new(policy: &Policy) -> Self {
        let dispatcher = Dispatcher::new(policy);
        let written = all_parts(&dispatcher);
        Self { dispatcher, written, emitted: vec![], decisions: vec![] }
    }

    fn apply(&mut self, signal: Signal, policy: &Policy) {
        let trace = DecisionTrace::All(&mut self.decisions);
        self.emitted.extend(self.dispatcher.apply_traced(signal, policy, trace));
    }

    /// Writes the state and reads it into a new dispatcher.
    fn restart(&mut self, policy: &Policy) {
        for (key, part) in self.dispatcher.changes() {
            let key = key_of(&key);
            match part {
                Some(part) => self.written.insert(key, encode(&part)),
                None => self.written.remove(&key),
            };
        }
        let whole = all_parts(&self.dispatcher);
        let differing =
            whole.keys().chain(self.written.keys()).find(|k| whole.get(*k) != self.written.get(*k));
        assert_eq!(differing, None, "a part of the state is not written as it is");
        self.dispatcher = Dispatcher::new(policy);
        for part in self.written.values() {
            self.dispatcher.restore_part(postcard::from_bytes::<StatePart>(part).unwrap());
        }
    }
}

fn encode(part: &StatePart) -> Vec<u8> {
    postcard::to_allocvec(part).unwrap()
}

fn all_parts(dispatcher: &Dispatcher) -> BTreeMap<String, Vec<u8>> {
    dispatcher.parts().iter().map(|(key, part)| (key_of(key), encode(part))).collect()
}

fn key_of(key: &StatePartKey) -> String {
    match key {
        StatePartKey::Clock => "clock".into(),
        StatePartKey::Core => "core".into(),
        StatePartKey::Profile => "profile".into(),
        StatePartKey::History => "history".into(),
        StatePartKey::Incident(id) => format!("incident/{id}"),
        StatePartKey::Pending(at, id) => format!("pending/{at}/{id}"),
        StatePartKey::Action(at, acted_at, id) => format!("action/{at}/{acted_at}/{id}"),
    }
}

/// Leaves out what comes after the end of a conversation: no signal follows it.
fn without_ended(all: &[Happening]) -> Vec<Happening> {
    let mut ends: BTreeMap<u8, i64> = BTreeMap::new();
    for h in all.iter().filter(|h| matches!(h.kind, Kind::Updated(10))) {
        let end = ends.entry(h.conversation).or_insert(h.secs);
        *end = (*end).min(h.secs);
    }
    let is_before = |h: &&Happening| {
        ends.get(&h.conversation)
            .is_none_or(|end| h.secs < *end || (h.secs == *end && matches!(h.kind, Kind::Updated(10))))
    };
    all.iter().filter(is_before).cloned().collect()
}

/// Plays both phases. `turns` draws the order of the sources, `restarts` the places of restarts.
fn play(all: &[Happening], turns: &[u8], restarts: &[usize]) -> Process {
    let policies = policies();
    let mut process = Process::new(&policies[0]);
    let (mut drawn, mut worked) = (turns.iter().cycle(), 0);
    for (phase, policy) in (0..).zip(&policies) {
        let mut queues: Vec<_> = streams(all, phase).into_iter().map(Vec::into_iter).collect();
        while let Some(open) = Some(queues.iter().filter(|q| q.len() > 0).count()).filter(|open| *open > 0) {
            let turn = usize::from(*drawn.next().unwrap_or(&0)) % open;
            let queue = queues.iter_mut().filter(|q| q.len() > 0).nth(turn).unwrap();
            process.apply(queue.next().unwrap(), policy);
            worked += 1;
            if restarts.iter().any(|every| worked % every == 0) {
                process.restart(policy);
            }
        }
    }
    // Time for all that waits: routes, quiet hours, silences and budgets.
    for source in 0..SOURCES {
        let end = SignalBody::Watermark { sources: SOURCES, idle: false };
        process.apply(signal(source, 2 * PHASE + 7200, "end".into(), end), &policies[1]);
    }
    process
}

/// Returns the records of both phases, sorted by their ids, which are unique.
fn run(all: &[Happening], turns: &[u8], restarts: &[usize]) -> Vec<Escalation> {
    let mut emitted = play(all, turns, restarts).emitted;
    emitted.sort_by(|a, b| a.id.cmp(&b.id));
    emitted
}

/// Returns the last matches of each conversation that no later signal of it takes back.
fn standing_matches(all: &[Happening]) -> Vec<u8> {
    let mut by_time: Vec<(usize, &Happening)> = all.iter().enumerate().collect();
    by_time.sort_by_key(|(i, h)| (h.secs, *i));
    let mut standing: BTreeMap<u8, bool> = BTreeMap::new();
    for (_, h) in by_time {
        match &h.kind {
            Kind::Matched { routes, .. } => {
                standing.insert(h.conversation, !routes.is_empty());
            }
            Kind::Updated(4 | 10) => {
                standing.remove(&h.conversation);
            }
            Kind::Updated(_) => {}
        }
    }
    standing.into_iter().filter(|(_, matches)| *matches).map(|(conversation, _)| conversation).collect()
}

/// A conversation that matches a route to the end was emitted, or there is a decision about it with a reason.
fn assert_every_match_is_accounted_for(all: &[Happening], process: &Process) {
    for conversation in standing_matches(all) {
        let name = format!("c{conversation}");
        let emitted = process.emitted.iter().any(|e| e.conversation == name);
        let named = process
            .decisions
            .iter()
            .any(|decision| decision.conversation == name && decision.kind.suppression_reason().is_some());
        assert!(emitted || named, "{name} matches a route, and nobody knows why nobody was notified");
    }
}

/// Between two openings for a team lies an end, and a live escalation is raised only to a higher level.
fn assert_no_news_is_repeated(emitted: &[Escalation]) {
    let mut live: BTreeMap<&str, Level> = BTreeMap::new();
    let mut by_incident: BTreeMap<(&str, String), &Escalation> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for e in emitted {
        assert!(ids.insert(&e.id), "{} twice", e.id);
        let (without_count, _) = e.escalation.rsplit_once('/').unwrap();
        match e.change {
            EscalationChange::Opened => {
                let before = by_incident.get(&(e.conversation.as_str(), without_count.to_owned()));
                assert!(
                    before.is_none_or(|b| b.state.is_final()),
                    "{} opened while it was live",
                    e.escalation
                );
                live.insert(&e.escalation, e.level);
            }
            EscalationChange::Raised => {
                let before = live.insert(&e.escalation, e.level);
                assert!(before.is_some_and(|level| level < e.level), "{} raised to {}", e.id, e.level);
            }
            _ => {}
        }
        by_incident.insert((&e.conversation, without_count.to_owned()), e);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn interleavings_and_restarts_do_not_change_the_records(
        all in prop::collection::vec(happening(), 20..160),
        turns in prop::collection::vec(any::<u8>(), 1..400),
        restarts in prop::collection::vec(1..60_usize, 0..3),
    ) {
        let all = without_ended(&all);
        let quiet = run(&all, &[0, 1, 2], &[]);
        let disturbed = run(&all, &turns, &restarts);
        prop_assert_eq!(quiet.len(), disturbed.len());
        for (quiet, disturbed) in quiet.iter().zip(&disturbed) {
            prop_assert_eq!(quiet, disturbed);
        }
    }

    #[test]
    fn every_match_is_emitted_or_has_a_reason_and_no_news_is_repeated(
        all in prop::collection::vec(happening(), 20..200),
    ) {
        let all = without_ended(&all);
        let process = play(&all, &[0, 1, 2], &[]);
        assert_every_match_is_accounted_for(&all, &process);
        assert_no_news_is_repeated(&process.emitted);
    }
}

#[test]
fn the_property_covers_records_of_both_teams() {
    let matched = |conversation: u8, secs, routes| Happening {
        conversation,
        secs,
        kind: Kind::Matched { routes, topic: conversation % 4 },
    };
    let all: Vec<Happening> = (0..30_u8)
        .map(|i| matched(i, i64::from(i) * 100, vec![(i % 3, Level::Low), ((i + 1) % 3, Level::High)]))
        .chain((0..10_u8).map(|i| Happening {
            conversation: i,
            secs: 2000 + i64::from(i),
            kind: Kind::Updated(i % 7),
        }))
        .collect();
    let emitted = run(&all, &[2, 0, 1], &[5]);
    assert!(emitted.len() > 20, "{} records", emitted.len());
    let teams: std::collections::BTreeSet<&str> = emitted.iter().map(|e| e.team.as_str()).collect();
    assert!(teams.contains("pr") && teams.contains("support"), "{teams:?}");
}
