//! Windows, storms and idle sources as streams of signals.

use firewatch_domain::{
    ConversationChange, ConversationUpdate, Escalation, EscalationState, IncidentKind, Level, RouteMatch,
    RoutesMatched, SCHEMA_VERSION, Tenths,
};

use super::*;

fn policy() -> Policy {
    Policy::parse("p", "[brands.acme]\n[storms]\nexpected_per_hour = 24.0\n").unwrap()
}

fn at(secs: i64) -> EventTime {
    EventTime::from_millis(1_800_000_000_000) + Duration::from_secs(secs)
}

fn signal(source: u32, secs: i64, id: &str, body: SignalBody) -> Signal {
    Signal { v: SCHEMA_VERSION, id: id.into(), brand: "acme".into(), at: at(secs), source, slot: 0, body }
}

fn complaint(source: u32, secs: i64, conversation: &str, topic: &str) -> Signal {
    let route = RouteMatch { route: "complaint".into(), level: Level::Low, reason: "r".into(), group: None };
    let routes_matched = RoutesMatched {
        routes: vec![route],
        counts_for_storms: true,
        topics: vec![topic.into()],
        risk: Tenths(20),
        ..RoutesMatched::new(conversation, at(secs))
    };
    signal(source, secs, conversation, SignalBody::RoutesMatched(Box::new(routes_matched)))
}

fn watermark(source: u32, secs: i64, sources: u32) -> Signal {
    signal(source, secs, &format!("tick {source} {secs}"), SignalBody::Watermark { sources, idle: false })
}

fn run(signals: impl IntoIterator<Item = Signal>) -> Vec<Escalation> {
    let mut dispatcher = Dispatcher::new(&policy());
    signals.into_iter().flat_map(|s| dispatcher.apply(s, &policy())).collect()
}

fn lines(escalations: &[Escalation]) -> Vec<String> {
    // Without the start time of the complaint, which is part of its id.
    let line = |e: &Escalation| {
        let id = e.posted_at.map_or(e.id.clone(), |at| e.id.replacen(&format!("{at}/"), "", 1));
        format!("{id} {} {}", e.state, e.members.unwrap_or(0))
    };
    escalations.iter().map(line).collect()
}

#[test]
fn a_complaint_is_escalated_when_its_window_has_passed_everywhere() {
    let mut dispatcher = Dispatcher::new(&policy());
    assert!(dispatcher.apply(complaint(0, 1, "c1", "bill"), &policy()).is_empty());
    assert!(dispatcher.apply(watermark(0, 60, 2), &policy()).is_empty(), "the other source lags");
    assert!(
        dispatcher.apply(watermark(1, 30, 2), &policy()).is_empty(),
        "it waits in case a storm replaces it"
    );
    let escalations = dispatcher.apply(watermark(1, 40, 2), &policy());
    assert_eq!(lines(&escalations), ["c1/support/1/0 open 0"]);
    assert_eq!(escalations[0].at, at(31));
    let again = Signal { at: at(61), ..complaint(0, 1, "c1", "bill") };
    assert!(dispatcher.apply(again, &policy()).is_empty());
    dispatcher.apply(watermark(0, 100, 2), &policy());
    assert!(dispatcher.apply(watermark(1, 100, 2), &policy()).is_empty(), "emitted once");
}

#[test]
fn nobody_waits_for_a_silent_source() {
    let silent =
        |source, secs| signal(source, secs, "silent", SignalBody::Watermark { sources: 3, idle: true });
    let never_seen = Signal { at: EventTime::EARLIEST, ..silent(2, 0) };
    let escalations = run([never_seen, silent(1, -900), complaint(0, 1, "c1", "bill"), watermark(0, 40, 3)]);
    assert_eq!(lines(&escalations), ["c1/support/1/0 open 0"]);
    let all_silent = run([silent(2, -900), silent(1, -900), complaint(0, 1, "c1", "bill"), silent(0, 40)]);
    assert_eq!(lines(&all_silent), ["c1/support/1/0 open 0"]);
    let back = run([
        silent(2, 60),
        silent(1, 60),
        watermark(0, 60, 3),
        complaint(1, 5, "late", "bill"),
        watermark(1, 90, 3),
        watermark(0, 90, 3),
    ]);
    assert_eq!(lines(&back), ["late/support/1/0 open 0"], "late, and not lost");
}

#[test]
fn what_was_answered_while_it_waited_is_not_escalated() {
    let update = ConversationUpdate {
        conversation: "c1".into(),
        change: ConversationChange::Answered,
        by: "@care".into(),
        action: None,
        trace: None,
    };
    let answered = signal(0, 9, "a", SignalBody::ConversationUpdated(update));
    assert!(run([complaint(0, 1, "c1", "bill"), answered.clone(), watermark(0, 90, 1)]).is_empty());
    let late = Signal { at: at(45), ..answered };
    let escalations = run([complaint(0, 1, "c1", "bill"), watermark(0, 40, 1), late, watermark(0, 90, 1)]);
    assert_eq!(lines(&escalations), ["c1/support/1/0 open 0", "c1/support/1/1 answered 0"]);
}

/// Ten minutes of usual volume, then 400 complaints with one topic in six minutes and one with another, then
/// calm.
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
        all.extend([watermark(0, t * 30, 2), watermark(1, t * 30, 2)]);
    }
    all.sort_by_key(|s| s.at);
    all
}

#[test]
fn a_wave_about_one_thing_is_one_storm_that_grows_and_ends() {
    let escalations = run(outage());
    let storm: Vec<&Escalation> =
        escalations.iter().filter(|e| e.incident == Some(IncidentKind::Storm)).collect();
    assert_eq!(storm.first().map(|e| e.state), Some(EscalationState::Open));
    assert_eq!(storm.last().map(|e| e.state), Some(EscalationState::Resolved));
    assert!(storm.len() <= 5, "{:?}", lines(&escalations));
    assert!(storm.iter().all(|e| e.escalation == storm[0].escalation));
    assert!(storm[0].reasons.texts().any(|text| text.contains("portal")));
    let alone = escalations.iter().filter(|e| e.conversation.starts_with("out")).count();
    assert!(alone < 20, "{alone} emitted before the storm was detected");
    assert!(escalations.iter().any(|e| e.conversation == "other"), "another topic is emitted on its own");
    assert_eq!(escalations.iter().filter(|e| e.conversation.starts_with("usual") && e.step == 0).count(), 4);
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
    let mut dispatcher = Dispatcher::new(&busy);
    let mut storms = 0;
    for i in 0..1200_i64 {
        let mut escalations =
            dispatcher.apply(complaint(0, i * 3, &format!("c{i}"), &format!("matter{}", i % 8)), &busy);
        escalations.extend(dispatcher.apply(watermark(0, i * 3, 1), &busy));
        storms += escalations.iter().filter(|e| e.incident == Some(IncidentKind::Storm)).count();
    }
    assert_eq!(storms, 0);
}

#[test]
fn the_end_of_the_stream_decides_what_waits_and_a_long_silence_costs_little() {
    let end = Signal { at: EventTime::END, ..watermark(0, 0, 1) };
    assert_eq!(run([complaint(0, 1, "c1", "bill"), end.clone(), end]).len(), 1);
    let escalations = run([
        complaint(0, 1, "c1", "bill"),
        watermark(0, 400_000_000, 1),
        complaint(0, 400_000_001, "c2", "x"),
        watermark(0, 400_000_100, 1),
    ]);
    let opened: Vec<_> = escalations.into_iter().filter(|e| e.step == 0).collect();
    assert_eq!(lines(&opened), ["c1/support/1/0 open 0", "c2/support/1/0 open 0"]);
}

#[test]
fn more_late_signals_than_may_wait_are_decided_and_not_waited_for_for_ever() {
    let policy = policy();
    let mut dispatcher = Dispatcher::new(&policy);
    dispatcher.apply(complaint(0, 600, "first", "bill"), &policy);
    dispatcher.apply(watermark(0, 660, 1), &policy);
    for i in 0..=MAX_PENDING_SIGNALS {
        dispatcher.apply(complaint(0, 1, &format!("late{i}"), "bill"), &policy);
    }
    assert!(dispatcher.pending.len() <= MAX_PENDING_SIGNALS);
}

#[test]
fn a_storm_is_named_by_words_as_people_write_them() {
    let posts = (0..40).map(|i| {
        complaint(0, i * 5, &format!("c{i}"), if i % 5 == 0 { "charg|charging" } else { "charg|charged" })
    });
    let escalations = run(posts.chain((1..30).map(|t| watermark(0, t * 10, 1))).collect::<Vec<_>>());
    let storm = escalations.iter().find(|e| e.incident == Some(IncidentKind::Storm)).unwrap();
    assert!(storm.reasons.decisive().contains("complaints about charged within"), "{:?}", storm.reasons);
}

#[test]
fn a_route_that_this_policy_does_not_have_yet_waits_for_the_one_that_has_it() {
    let other = Policy::parse(
        "p",
        "[brands.acme]\n[routes.new]\nteam = \"support\"\nwhen = { low = \"complaint >= 0.6\" }\n",
    );
    let mut early = complaint(0, 1, "c1", "bill");
    if let SignalBody::RoutesMatched(routes_matched) = &mut early.body {
        routes_matched.routes[0].route = "new".into();
    }
    let mut dispatcher = Dispatcher::new(&policy());
    assert!(dispatcher.apply(early, &policy()).is_empty());
    assert!(dispatcher.apply(watermark(0, 60, 1), &policy()).is_empty(), "no team is known for the route");
    let escalations = dispatcher.apply(watermark(0, 200, 1), &other.unwrap());
    assert_eq!(lines(&escalations), ["c1/support/1/0 open 0"]);
}

fn update(secs: i64, conversation: &str, change: ConversationChange) -> Signal {
    let by = String::new();
    let update =
        ConversationUpdate { conversation: conversation.into(), change, by, action: None, trace: None };
    signal(0, secs, "update", SignalBody::ConversationUpdated(update))
}

/// Returns a policy whose support team sleeps at all times, with one tier.
fn sleeping(more: &str) -> Policy {
    let quiet = "[teams.support.quiet]\nfrom = \"00:00\"\nto = \"24:00\"\n";
    Policy::parse("p", &format!("[brands.acme]\n{more}{quiet}")).unwrap()
}

#[test]
fn what_notifies_nobody_ends_with_its_conversation_and_says_why() {
    let silence = "[silences.s]\nwhen = \"complaint >= 0\"\nuntil = \"2099-01-01T00:00:00Z\"\nby = \"jo\"\nreason = \"r\"\n";
    let silenced = Policy::parse("p", &format!("[brands.acme]\n{silence}")).unwrap();
    let without_route = Policy::parse(
        "p",
        "[brands.acme]\n[routes.other]\nteam = \"pr\"\nwhen = { low = \"complaint >= 0.6\" }\n",
    );
    let cases = [
        (sleeping(""), "quiet hours at all times"),
        (silenced, "silence s by jo until 2099"),
        (without_route.unwrap(), "the policy has no route complaint"),
    ];
    for (policy, why) in cases {
        let mut dispatcher = Dispatcher::new(&policy);
        let mut complaint = complaint(0, 1, "c1", "bill");
        if let SignalBody::RoutesMatched(matched) = &mut complaint.body {
            matched.silences = vec!["s".into()];
        }
        let expired = update(100, "c1", ConversationChange::Expired { reason: "no activity".into() });
        let mut decisions = Vec::new();
        for signal in [complaint, watermark(0, 90, 1), expired, watermark(0, 200, 1)] {
            assert!(dispatcher.apply_traced(signal, &policy, DecisionTrace::All(&mut decisions)).is_empty());
        }
        assert_eq!(dispatcher.incidents.iter().count(), 0, "{why}");
        let last = decisions.last().unwrap();
        assert!(last.description.contains(why), "{decisions:?}");
        assert!(last.kind.suppression_reason().is_some());
    }
}

#[test]
fn the_trace_names_the_team_that_sleeps_when_the_next_tier_waits() {
    let tiers = "[routes.leaving]\nteam = \"pr\"\nwhen = { low = \"complaint >= 0.6\" }\n\
                 [teams.pr]\ntiers = { support = \"5m\" }\n";
    let policy = sleeping(tiers);
    let mut complaint = complaint(0, 1, "c1", "bill");
    if let SignalBody::RoutesMatched(matched) = &mut complaint.body {
        matched.routes[0].route = "leaving".into();
    }
    let mut dispatcher = Dispatcher::new(&policy);
    let mut decisions = Vec::new();
    let mut escalations = Vec::new();
    for signal in [complaint, watermark(0, 900, 1)] {
        escalations.extend(dispatcher.apply_traced(signal, &policy, DecisionTrace::All(&mut decisions)));
    }
    assert_eq!(lines(&escalations), ["c1/pr/1/0 open 0"]);
    let held: Vec<&str> =
        decisions.iter().map(|one| &*one.description).filter(|d| d.contains("quiet")).collect();
    assert!(!held.is_empty() && held.iter().all(|text| text.starts_with("support has")), "{held:?}");
}

#[test]
fn an_action_that_names_an_escalation_and_changes_nothing_is_refused_with_the_reason() {
    let policy = policy();
    let mut dispatcher = Dispatcher::new(&policy);
    let mut opened = Vec::new();
    for signal in [complaint(0, 1, "c1", "bill"), watermark(0, 60, 1)] {
        opened.extend(dispatcher.apply(signal, &policy));
    }
    let mut act = |secs: i64, change, escalation: Option<String>| {
        let action = firewatch_domain::ActionContext { at: at(secs), team: None, escalation };
        let mut signal = update(secs, "c1", change);
        if let SignalBody::ConversationUpdated(update) = &mut signal.body {
            (update.by, update.action) = ("jo".into(), Some(action));
        }
        let signals = [signal, watermark(0, secs + 30, 1)];
        let records: Vec<Escalation> =
            signals.into_iter().flat_map(|s| dispatcher.apply(s, &policy)).collect();
        records.iter().filter_map(|e| e.happened.clone()).collect::<Vec<_>>()
    };
    let named = Some(opened[0].escalation.clone());
    let to = |team: &str| ConversationChange::HandedOver { team: team.into() };
    assert_eq!(act(70, to("nobody"), named.clone()), ["not handed over by jo: no team is called \"nobody\""]);
    assert_eq!(act(110, to("support"), named.clone()), ["not handed over by jo: support has it"]);
    assert!(act(150, to("nobody"), None).is_empty(), "it is about every team's");
    let answered = "answered in public by jo, after 2 min, within the target of 9 min";
    assert_eq!(act(150, ConversationChange::Answered, named.clone()), [answered]);
    let again = act(170, ConversationChange::Answered, named.clone());
    assert_eq!(again, ["not answered in public by jo: it is answered"]);
    assert_eq!(act(190, ConversationChange::Resolved, named.clone()), ["resolved by jo"]);
    assert_eq!(act(230, ConversationChange::Acknowledged, named), ["not acknowledged by jo: it is resolved"]);
}

#[test]
fn an_action_that_comes_early_does_not_put_off_what_comes_after_it() {
    let policy = policy();
    let action = || {
        let mut signal = update(5, "c1", ConversationChange::Acknowledged);
        if let SignalBody::ConversationUpdated(update) = &mut signal.body {
            let action = firewatch_domain::ActionContext { at: at(20), team: None, escalation: None };
            (update.by, update.action) = ("jo".into(), Some(action));
        }
        signal
    };
    let records = |signals: [Signal; 4]| {
        let mut dispatcher = Dispatcher::new(&policy);
        let records = signals.into_iter().flat_map(|signal| dispatcher.apply(signal, &policy));
        records.map(|record| (record.id, record.at)).collect::<Vec<_>>()
    };
    let complaint = || complaint(0, 10, "c1", "bill");
    let early = records([watermark(0, 5, 1), action(), complaint(), watermark(0, 60, 1)]);
    let late = records([watermark(0, 5, 1), complaint(), action(), watermark(0, 60, 1)]);
    assert!(!early.is_empty() && early == late, "{early:?} {late:?}");
}
