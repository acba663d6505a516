//! State that is packed, rolled back or restored from its changelog changes no output.

use std::collections::BTreeMap;

use firewatch_domain::{EscalationChange, EventTime};
use firewatch_engine::{Effect, Input, Ruleset, Stream, Task};
use firewatch_escalation::Policy;
use firewatch_tests::{event, post, reshare, root};
use proptest::prelude::*;
use serde_json::Value;

const NOW: EventTime = EventTime::from_millis(1_790_000_000_000);
const ANGRY: &str = "This is terrible, the worst service ever, I am so angry and disgusted";

fn ruleset() -> Ruleset {
    let policy = std::fs::read_to_string(root().join("demo/policy.toml")).unwrap();
    Ruleset::shipped(Policy::parse("demo/policy.toml", &policy).unwrap()).unwrap()
}

/// The changelog as compaction leaves it.
type Changelog = BTreeMap<Vec<u8>, Vec<u8>>;

fn commit(task: &mut Task, changelog: &mut Changelog) {
    for change in task.changes().unwrap() {
        match &change.value {
            Some(value) => changelog.insert(change.key.clone(), value.clone()),
            None => changelog.remove(&change.key),
        };
    }
    task.committed();
}

fn restored(changelog: &Changelog, ruleset: &Ruleset) -> Task {
    let mut task = Task::new(0, 1);
    for (key, value) in changelog {
        task.restore(key, Some(value), ruleset).unwrap();
    }
    task.finish_restore(ruleset).unwrap();
    task
}

fn handle_line(task: &mut Task, ruleset: &Ruleset, line: &[u8]) -> Vec<Effect> {
    let (mut effects, mut emitted) = (Vec::new(), Vec::new());
    let input = Input {
        stream: Stream::Events,
        topic: "t",
        partition: 0,
        offset: 1,
        arrival: NOW,
        key: None,
        trace: None,
        value: line,
    };
    task.handle(&input, ruleset, &mut effects);
    for effect in effects {
        if let Effect::Signal(signal) = &effect {
            task.handle_signal((**signal).clone(), ruleset, &mut emitted);
        }
        emitted.push(effect);
    }
    emitted
}

/// Returns the output when the task is committed, rolled back or restored at these records.
fn disturbed(ruleset: &Ruleset, lines: &[String], disturbances: &[(usize, u8)]) -> Vec<Effect> {
    let mut at: BTreeMap<usize, u8> = disturbances.iter().map(|(i, what)| (i % lines.len(), *what)).collect();
    let (mut task, mut changelog, mut emitted) = (Task::new(0, 1), Changelog::new(), Vec::new());
    let (mut next, mut committed, mut tentative) = (0, 0, Vec::new());
    while next < lines.len() {
        tentative.extend(handle_line(&mut task, ruleset, lines[next].as_bytes()));
        next += 1;
        match at.remove(&next) {
            None => {}
            Some(0 | 1) => {
                commit(&mut task, &mut changelog);
                emitted.append(&mut tentative);
                committed = next;
            }
            Some(what) => {
                if what == 2 {
                    // As when a commit fails after the changes were requested.
                    task.changes().unwrap();
                    task.rewind(ruleset).unwrap();
                } else {
                    task = restored(&changelog, ruleset);
                }
                tentative.clear();
                next = committed;
            }
        }
    }
    emitted.append(&mut tentative);
    let mut last = Vec::new();
    task.end_of_stream(ruleset, &mut last);
    for effect in last {
        if let Effect::Signal(signal) = effect {
            task.handle_signal(*signal, ruleset, &mut emitted);
        }
    }
    emitted
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn commits_rollbacks_and_restarts_at_any_record_change_no_output(
        disturbances in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8), 1..60)
    ) {
        let ruleset = ruleset();
        let recording = std::fs::read_to_string(root().join("demo/recording.jsonl")).unwrap();
        let lines: Vec<String> = recording.lines().map(str::to_owned).collect();
        let disturbances: Vec<(usize, u8)> =
            disturbances.into_iter().map(|(i, what)| (i.index(lines.len()), what)).collect();
        let quiet = disturbed(&ruleset, &lines, &[]);
        let faulted = disturbed(&ruleset, &lines, &disturbances);
        prop_assert!(quiet.len() > 1000);
        prop_assert_eq!(quiet.len(), faulted.len());
        for (quiet, faulted) in quiet.iter().zip(&faulted) {
            prop_assert_eq!(quiet, faulted);
        }
    }
}

#[test]
fn expiry_survives_rollbacks_and_restarts() {
    let ruleset = ruleset();
    let hour = 3600.0;
    let lines: Vec<String> = (0..300)
        .map(|i| {
            let secs = f64::from(i) * hour / 4.0;
            event(&format!("p{i}"), &format!("c{}", i % 120), secs, &post(100, ANGRY)).to_string()
        })
        .collect();
    let quiet = disturbed(&ruleset, &lines, &[]);
    let expired = |effects: &[Effect]| {
        let is = |e: &&Effect| matches!(e, Effect::Escalation(e) if e.state.to_string() == "expired");
        effects.iter().filter(is).count()
    };
    assert!(expired(&quiet) > 100, "{}", expired(&quiet));
    let disturbances: Vec<(usize, u8)> = (1..60).map(|i| (i * 5, [0, 2, 0, 3][i % 4])).collect();
    assert_eq!(disturbed(&ruleset, &lines, &disturbances), quiet);
}

/// Returns the bytes of state after `reshares`. As in real cascades, more of them are late the longer it
/// lasts.
fn bytes_after(reshares: u32, secs: f64) -> usize {
    let ruleset = ruleset();
    let (mut task, mut changelog) = (Task::new(0, 1), Changelog::new());
    handle_line(
        &mut task,
        &ruleset,
        event("p", "conversation-1", 0.0, &post(900, ANGRY)).to_string().as_bytes(),
    );
    for i in 0..reshares {
        let at = secs.powf(f64::from(i) / f64::from(reshares));
        let e = event(&format!("r{i}"), "conversation-1", at, &reshare(&format!("a{i}"), 400));
        handle_line(&mut task, &ruleset, e.to_string().as_bytes());
    }
    commit(&mut task, &mut changelog);
    changelog.iter().filter(|(key, _)| key.starts_with(b"c/")).map(|(_, value)| value.len()).sum()
}

#[test]
fn a_conversations_state_is_bounded_whatever_its_cascade() {
    let [few, many, very_many] = [10, 1_000, 100_000].map(|n| bytes_after(n, 80_000.0));
    println!("bytes of state at 10, 1,000 and 100,000 reshares in a day: {few}, {many}, {very_many}");
    // A complaint keeps its opening words in the state.
    assert!(few <= 512 + ANGRY.len(), "{few}");
    // Beyond that, a table of the ids of its events doubles up to a limit.
    assert!(many <= 9 << 10, "{many}");
    assert!(very_many <= 129 << 10, "{very_many}");
}

#[test]
fn beyond_the_limit_the_least_recent_conversation_expires_with_a_reason() {
    let ruleset = ruleset();
    let mut task = Task::new(0, 1).with_max_conversations(10);
    let mut emitted = Vec::new();
    for i in 0..100 {
        let e = event("p", &format!("c{i}"), f64::from(i) * 90.0, &post(100, ANGRY));
        emitted.extend(handle_line(&mut task, &ruleset, e.to_string().as_bytes()));
        assert!(task.conversations() <= 10);
    }
    let ended: Vec<&str> = emitted
        .iter()
        .filter_map(|e| match e {
            Effect::Escalation(e) if e.state.to_string() == "expired" => Some(e),
            _ => None,
        })
        .inspect(|e| assert!(e.headline().contains("more than 10 conversations"), "{:?}", e.happened))
        .map(|e| e.conversation.as_str())
        .collect();
    assert_eq!(&ended[..3], ["c0", "c1", "c2"]);
}

#[test]
fn unreadable_state_is_named_and_prevents_the_start() {
    let ruleset = ruleset();
    let (mut task, mut changelog) = (Task::new(0, 1), Changelog::new());
    handle_line(&mut task, &ruleset, event("p", "c", 0.0, &post(900, ANGRY)).to_string().as_bytes());
    commit(&mut task, &mut changelog);
    let fault = |key: &[u8], value: &[u8]| {
        let mut task = Task::new(0, 1);
        let restored_result =
            task.restore(key, Some(value), &ruleset).and_then(|()| task.finish_restore(&ruleset));
        restored_result.unwrap_err().to_string()
    };
    let sound = changelog[&b"c/c"[..]].clone();
    let newer = [&[13], &sound[1..]].concat();
    assert!(fault(b"c/c", &newer).contains("has version 13, and this build reads 11 and 12"));
    assert!(fault(b"c/c", &sound[..20]).contains("is damaged"));
    assert!(fault(b"b/x", b"\x0b\xff").contains("is damaged"));
    let mut other = Task::new(0, 12);
    for (key, value) in &changelog {
        other.restore(key, Some(value), &ruleset).unwrap();
    }
    let problem = other.finish_restore(&ruleset).unwrap_err().to_string();
    assert!(problem.contains("for 1 partitions, and the topics have 12"), "{problem}");
}

#[test]
fn a_conversation_that_expires_before_its_first_commit_is_not_written() {
    let ruleset = ruleset();
    let mut task = Task::new(0, 1).with_max_conversations(1);
    for i in 0..5 {
        let e: Value = event("p", &format!("c{i}"), f64::from(i) * 90.0, &post(100, "Hello there"));
        handle_line(&mut task, &ruleset, e.to_string().as_bytes());
    }
    let keys: Vec<String> = task
        .changes()
        .unwrap()
        .iter()
        .map(|c| String::from_utf8_lossy(&c.key).into_owned())
        .filter(|k| k.starts_with("c/"))
        .collect();
    assert_eq!(keys, ["c/c4"]);
    task.committed();
    assert_eq!(task.conversations(), 1);
    assert!(task.changes().unwrap().is_empty(), "nothing has changed since");
}

#[test]
fn the_clocks_of_a_brand_go_on_when_a_process_restarts_with_a_policy_that_no_longer_lists_it() {
    let ruleset = |brands: &str| {
        let rest = "first_response = \"20m\"\n[routes.c]\nteam = \"support\"\nwhen.low = \"complaint >= 0.6\"\n\
                    unless_answered = true\n";
        Ruleset::shipped(Policy::parse("p.toml", &format!("{rest}{brands}")).unwrap()).unwrap()
    };
    let (before, after) = (ruleset("[brands.aldermere]\n[brands.other]\n"), ruleset("[brands.other]\n"));
    let (mut task, mut changelog) = (Task::new(0, 1), Changelog::new());
    for (id, at) in [("c", 0.0), ("d", 60.0)] {
        let complaint = event("p", id, at, &post(20, ANGRY));
        handle_line(&mut task, &before, complaint.to_string().as_bytes());
    }
    commit(&mut task, &mut changelog);
    let mut task = restored(&changelog, &after);
    let later = event("p", "e", 3600.0, &post(20, "Hello there"));
    let emitted = handle_line(&mut task, &after, later.to_string().as_bytes());
    let late = emitted.iter().filter_map(|effect| match effect {
        Effect::Escalation(one) if one.change == EscalationChange::Late => {
            Some((one.conversation.as_str(), one.brand.as_deref()))
        }
        _ => None,
    });
    let brand = Some("aldermere");
    assert_eq!(late.collect::<Vec<_>>(), [("c", brand), ("d", brand)]);
}
