//! A batch that is delivered again changes no score, whatever its size.

use firewatch_domain::{EventTime, Score};
use firewatch_engine::{Effect, LineSource, Ruleset};
use firewatch_escalation::Policy;
use firewatch_tests::{event, post, reshare, run_lines};
use serde_json::{Value, json};

const NOW: EventTime = EventTime::from_millis(1_790_000_000_000);

/// Returns the last score of each conversation.
fn last_scores(events: &[Value]) -> Vec<Score> {
    let policy = Policy::parse("p", "score_step = 0.1\nviral_bar = 50000\n[brands.aldermere]\n").unwrap();
    let ruleset = Ruleset::shipped(policy).unwrap();
    let lines = events.iter().map(Value::to_string);
    let (effects, _) = run_lines(&ruleset, LineSource { name: "test", arrival: NOW }, lines);
    let mut last: std::collections::BTreeMap<String, Score> = std::collections::BTreeMap::new();
    for effect in effects {
        if let Effect::Score(score) = effect {
            last.insert(score.conversation.clone(), *score);
        }
    }
    last.into_values().collect()
}

/// Returns the events of a large conversation and of some small ones, with accounts that come again.
fn stream() -> Vec<Value> {
    let mut all = vec![event("p", "large", 0.0, &post(900, "This is terrible, I am so angry"))];
    for i in 0..9000_u32 {
        let by = format!("a{}", i % 7000);
        all.push(event(&format!("r{i}"), "large", f64::from(i) / 10.0, &reshare(&by, u64::from(i % 500))));
        if i % 30 == 0 {
            let small = format!("small{}", i % 90);
            let like = json!({ "engagement": { "kind": "like", "actor": by } });
            all.push(event(&format!("l{i}"), &small, f64::from(i) / 10.0, &like));
        }
    }
    all
}

#[test]
fn a_stream_in_batches_that_come_twice_gives_the_same_scores() {
    let once = stream();
    let expected = last_scores(&once);
    let large = expected.iter().find(|score| score.conversation == "large").unwrap();
    assert!(large.engagements.reshares > 7000, "{large:?}");
    for size in [1, 15, 100, 1000, once.len()] {
        let twice: Vec<Value> =
            once.chunks(size).flat_map(|batch| batch.iter().chain(batch)).cloned().collect();
        assert_eq!(last_scores(&twice), expected, "batches of {size}");
    }
}
