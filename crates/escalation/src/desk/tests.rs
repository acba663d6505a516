//! Windows, storms and silent sources, as streams of signals.

use firewatch_domain::{
    Escalation, EscalationState, Happened, Level, RouteMatch, SCHEMA_VERSION, Tenths, What,
};

use super::*;
use crate::storm_brand;

fn policy() -> Policy {
    Policy::parse("p", "[brands.acme]\n[storms]\nexpected_per_hour = 24.0\n").unwrap()
}

fn at(secs: i64) -> EventTime {
    EventTime::from_millis(1_800_000_000_000) + Duration::from_secs(secs)
}

fn signal(source: u32, secs: i64, id: &str, body: SignalBody) -> Signal {
    Signal { v: SCHEMA_VERSION, id: id.into(), brand: "acme".into(), at: at(secs), source, trial: 0, body }
}

fn complaint(source: u32, secs: i64, conversation: &str, topic: &str) -> Signal {
    let route = RouteMatch { route: "complaint".into(), level: Level::Low, reason: "r".into(), group: None };
    let matched = Matched {
        conversation: conversation.into(),
        began: at(secs),
        posted_at: Some(at(secs)),
        platform: None,
        routes: vec![route],
        counts: true,
        topics: vec![topic.into()],
        near: None,
        author: None,
        related: None,
        risk: Tenths(20),
        reasons: vec![],
        contributions: vec![],
        advice: vec![],
        excerpt: None,
        silences: vec![],
        silenced_until: None,
        answered: false,
        trace: None,
    };
    signal(source, secs, conversation, SignalBody::Matched(Box::new(matched)))
}

fn tick(source: u32, secs: i64, sources: u32) -> Signal {
    signal(source, secs, &format!("tick {source} {secs}"), SignalBody::Tick { sources, idle: false })
}

fn run(signals: impl IntoIterator<Item = Signal>) -> Vec<Escalation> {
    let mut desk = Desk::new(&policy());
    signals.into_iter().flat_map(|s| desk.take(s, &policy())).collect()
}

fn lines(told: &[Escalation]) -> Vec<String> {
    // Without the time that a complaint began, which is part of its id.
    let line = |e: &Escalation| {
        let id = e.posted_at.map_or(e.id.clone(), |at| e.id.replacen(&format!("{at}/"), "", 1));
        format!("{id} {} {}", e.state, e.members.unwrap_or(0))
    };
    told.iter().map(line).collect()
}

#[test]
fn a_complaint_is_told_when_its_window_has_passed_everywhere() {
    let mut desk = Desk::new(&policy());
    assert!(desk.take(complaint(0, 1, "c1", "bill"), &policy()).is_empty());
    assert!(desk.take(tick(0, 60, 2), &policy()).is_empty(), "the other source lags");
    assert!(desk.take(tick(1, 30, 2), &policy()).is_empty(), "it waits for a storm to be told instead");
    let told = desk.take(tick(1, 40, 2), &policy());
    assert_eq!(lines(&told), ["c1/support/1/0 open 0"]);
    assert_eq!(told[0].at, at(40));
    let again = Signal { at: at(61), ..complaint(0, 1, "c1", "bill") };
    assert!(desk.take(again, &policy()).is_empty());
    desk.take(tick(0, 100, 2), &policy());
    assert!(desk.take(tick(1, 100, 2), &policy()).is_empty(), "told once");
}

#[test]
fn nobody_waits_for_a_silent_source() {
    let silent = |source, secs| signal(source, secs, "silent", SignalBody::Tick { sources: 3, idle: true });
    let never_heard = Signal { at: EventTime::EARLIEST, ..silent(2, 0) };
    let told = run([never_heard, silent(1, -900), complaint(0, 1, "c1", "bill"), tick(0, 40, 3)]);
    assert_eq!(lines(&told), ["c1/support/1/0 open 0"]);
    let all_silent = run([silent(2, -900), silent(1, -900), complaint(0, 1, "c1", "bill"), silent(0, 40)]);
    assert_eq!(lines(&all_silent), ["c1/support/1/0 open 0"]);
    let back = run([
        silent(2, 60),
        silent(1, 60),
        tick(0, 60, 3),
        complaint(1, 5, "late", "bill"),
        tick(1, 90, 3),
        tick(0, 90, 3),
    ]);
    assert_eq!(lines(&back), ["late/support/1/0 open 0"], "late, and not lost");
}

#[test]
fn what_was_answered_while_it_waited_is_not_told() {
    let happened =
        Happened { conversation: "c1".into(), what: What::Answered, by: "@care".into(), trace: None };
    let answered = signal(0, 9, "a", SignalBody::Happened(happened));
    assert!(run([complaint(0, 1, "c1", "bill"), answered.clone(), tick(0, 90, 1)]).is_empty());
    let late = Signal { at: at(45), ..answered };
    let told = run([complaint(0, 1, "c1", "bill"), tick(0, 40, 1), late, tick(0, 90, 1)]);
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
    assert_eq!(told.iter().filter(|e| e.conversation.starts_with("usual") && e.step == 0).count(), 4);
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
    let mut desk = Desk::new(&busy);
    let mut storms = 0;
    for i in 0..1200_i64 {
        let mut told = desk.take(complaint(0, i * 3, &format!("c{i}"), &format!("matter{}", i % 8)), &busy);
        told.extend(desk.take(tick(0, i * 3, 1), &busy));
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
    let opened: Vec<_> = told.into_iter().filter(|e| e.step == 0).collect();
    assert_eq!(lines(&opened), ["c1/support/1/0 open 0", "c2/support/1/0 open 0"]);
}

#[test]
fn more_late_signals_than_may_wait_are_decided_and_not_waited_for_for_ever() {
    let policy = policy();
    let mut desk = Desk::new(&policy);
    desk.take(complaint(0, 600, "first", "bill"), &policy);
    desk.take(tick(0, 660, 1), &policy);
    for i in 0..=MOST_HELD {
        desk.take(complaint(0, 1, &format!("late{i}"), "bill"), &policy);
    }
    assert!(desk.held.len() <= MOST_HELD);
}

#[test]
fn a_storm_is_named_by_words_as_people_write_them() {
    let posts = (0..40).map(|i| {
        complaint(0, i * 5, &format!("c{i}"), if i % 5 == 0 { "charg|charging" } else { "charg|charged" })
    });
    let told = run(posts.chain((1..30).map(|t| tick(0, t * 10, 1))).collect::<Vec<_>>());
    let storm = told.iter().find(|e| e.conversation.starts_with("storm/")).unwrap();
    assert!(storm.reasons[0].contains("complaints about charged within"), "{:?}", storm.reasons);
}

#[test]
fn a_route_that_this_policy_does_not_have_yet_waits_for_the_one_that_has_it() {
    let other = Policy::parse(
        "p",
        "[brands.acme]\n[routes.new]\nteam = \"support\"\nwhen = { low = \"complaint >= 0.6\" }\n",
    );
    let mut early = complaint(0, 1, "c1", "bill");
    if let SignalBody::Matched(matched) = &mut early.body {
        matched.routes[0].route = "new".into();
    }
    let mut desk = Desk::new(&policy());
    assert!(desk.take(early, &policy()).is_empty());
    assert!(desk.take(tick(0, 60, 1), &policy()).is_empty(), "nobody is known who should be told");
    let told = desk.take(tick(0, 200, 1), &other.unwrap());
    assert_eq!(lines(&told), ["c1/support/1/0 open 0"]);
}
