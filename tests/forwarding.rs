//! Records of another partition: a task forwards them to the task of their conversation.

use firewatch_domain::EventTime;
use firewatch_engine::{Effect, Fold, Input, Outcome, Partitioner, Ruleset, Stream, Task};
use firewatch_escalation::Policy;
use firewatch_tests::{event, post};
use serde_json::{Value, json};

const NOW: EventTime = EventTime::from_millis(1_790_000_000_000);
const ANGRY: &str = "This is terrible, the worst service ever, I am so angry and disgusted";

/// A task that forwards, and its rules.
struct ForwardingTask(Task, Ruleset);

impl ForwardingTask {
    fn new(partition: u32) -> Self {
        let policy = Policy::parse("p", "[brands.aldermere]\nhandles = [\"@AldermereCare\"]\n").unwrap();
        let task = Task::new(partition, 2).with_partitioner(Partitioner::Murmur2);
        Self(task, Ruleset::shipped(policy).unwrap())
    }

    fn handle(&mut self, stream: Stream, record: &Value) -> (Outcome, Vec<Effect>) {
        let value = record.to_string().into_bytes();
        let input = Input { arrival: NOW, ..Input::new(stream, "t", &value) };
        let mut out = Vec::new();
        (self.0.handle(&input, &self.1, &mut out).outcome, out)
    }
}

/// Returns conversations that live in the first and in the second of two partitions.
fn two_homes() -> [String; 2] {
    [0, 1].map(|partition| {
        let mut ids = (0..100).map(|i| format!("c{i}"));
        ids.find(|id| Partitioner::Murmur2.partition(id.as_bytes(), 2) == partition).unwrap()
    })
}

#[test]
fn a_record_of_another_partition_is_forwarded_once_and_takes_effect_there() {
    let [own, other] = two_homes();
    let (mut first, mut second) = (ForwardingTask::new(0), ForwardingTask::new(1));
    assert_eq!(first.handle(Stream::Events, &event("p", &own, 0.0, &post(9, ANGRY))).0, Outcome::Scored);
    let elsewhere = event("p", &other, 0.0, &post(9, ANGRY));
    let (outcome, effects) = first.handle(Stream::Events, &elsewhere);
    assert_eq!((outcome, first.0.conversations()), (Outcome::Forwarded, 1));
    let forwarded: Vec<_> = effects.iter().filter(|effect| effect.partition().is_some()).collect();
    let [forwarded] = forwarded[..] else { panic!("{effects:?}") };
    assert_eq!((forwarded.partition(), forwarded.key()), (Some(1), Some(other.as_bytes())));
    let record = serde_json::to_value(forwarded).unwrap();
    assert_eq!(second.handle(Stream::Signals, &record).0, Outcome::Scored);
    assert_eq!(second.handle(Stream::Signals, &record).0, Outcome::Folded(Fold::Duplicate));
    let action = |kind: &str| json!({ "v": 1, "id": kind, "conversation": other, "at": "2026-03-10T14:01:00Z", "by": "kim", "kind": kind });
    let (outcome, effects) = first.handle(Stream::Actions, &action("acknowledge"));
    assert_eq!(outcome, Outcome::Forwarded);
    let record = serde_json::to_value(&effects[0]).unwrap();
    assert_eq!(second.handle(Stream::Signals, &record).0, Outcome::Folded(Fold::Action));
    let nowhere = second.handle(Stream::Actions, &json!({ "v": 1, "id": "x", "conversation": "gone", "at": "2026-03-10T14:01:00Z", "by": "kim", "kind": "resolve" }));
    assert!(matches!(nowhere.0, Outcome::Folded(Fold::UnknownConversation) | Outcome::Forwarded));
}

#[test]
fn what_is_forwarded_from_a_partition_that_is_further_ends_no_conversation() {
    let [here, _] = two_homes();
    let mut ids = (0..100).map(|i| format!("later{i}"));
    let ahead = ids.find(|id| Partitioner::Murmur2.partition(id.as_bytes(), 2) == 0).unwrap();
    let (mut task, mut further) = (ForwardingTask::new(0), ForwardingTask::new(1));
    let (_, effects) = further.handle(Stream::Events, &event("p", &ahead, 40.0 * 3600.0, &post(9, ANGRY)));
    let forwarded = effects.iter().find(|effect| effect.partition().is_some()).unwrap();
    let forwarded = serde_json::to_value(forwarded).unwrap();
    task.handle(Stream::Events, &event("p", &here, 0.0, &post(9, ANGRY)));
    task.0.set_caught_up(false);
    task.handle(Stream::Signals, &forwarded);
    assert_eq!(task.0.conversations(), 2, "the one that is still to be read is not over");
    task.0.set_caught_up(true);
    task.handle(Stream::Signals, &forwarded);
    assert_eq!(task.0.conversations(), 1, "40 hours later it is");
}
