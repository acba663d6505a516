//! Restores a changelog that the build before wrote, and goes on from it.
//!
//! `migration/v11.changelog` is what version 11 wrote for a day of conversations: one entry a line, key
//! and value in hexadecimal.

use firewatch_domain::{Escalation, EscalationChange, EscalationState, IncidentKind};
use firewatch_engine::{Effect, Input, LocalTopology, Ruleset, Stream, Task};
use firewatch_escalation::Policy;
use firewatch_tests::{event, reshare, root};
use serde_json::{Value, json};

fn ruleset() -> Ruleset {
    let text = std::fs::read_to_string(root().join("tests/migration/policy.toml")).unwrap();
    Ruleset::shipped(Policy::parse("p", &text).unwrap()).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn entries() -> Vec<(Vec<u8>, Vec<u8>)> {
    let text = std::fs::read_to_string(root().join("tests/migration/v11.changelog")).unwrap();
    let entry = |line: &str| line.split_once(' ').map(|(key, value)| (bytes(key), bytes(value)));
    text.lines().map(|line| entry(line).unwrap()).collect()
}

fn restored(ruleset: &Ruleset) -> Task {
    let mut task = Task::new(0, 1);
    for (key, value) in entries() {
        task.restore(&key, Some(&value), ruleset).unwrap();
    }
    task.finish_restore(ruleset).unwrap();
    task
}

struct Process {
    ruleset: Ruleset,
    topology: LocalTopology,
    emitted: Vec<Escalation>,
}

impl Process {
    fn new() -> Self {
        let ruleset = ruleset();
        Self { topology: LocalTopology::new(restored(&ruleset)), ruleset, emitted: vec![] }
    }

    fn handle(&mut self, stream: Stream, value: &Value) {
        let line = value.to_string();
        let input = Input::new(stream, "t", line.as_bytes());
        let emitted = &mut self.emitted;
        let handled = self.topology.handle(&input, &self.ruleset, &mut |effect| {
            if let Effect::Escalation(record) = effect {
                emitted.push((**record).clone());
            }
        });
        assert!(handled.rejection.is_none(), "{:?}", handled.rejection);
    }

    fn act(&mut self, on: &str, kind: &str, secs: f64) {
        let at = event("a", "a", secs, &json!({}))["at"].clone();
        let action = json!({ "v": 1, "id": format!("{kind} {on}"), "conversation": on, "at": at, "by": "kim", "kind": kind });
        self.handle(Stream::Actions, &action);
    }

    fn later(&mut self, secs: f64) {
        self.handle(
            Stream::Events,
            &event(&format!("at {secs}"), "clock", secs, &json!({ "counters": { "likes": 1 } })),
        );
    }

    fn records(&self, kind: IncidentKind) -> Vec<&Escalation> {
        self.emitted.iter().filter(|record| record.incident == Some(kind)).collect()
    }
}

/// Returns the id of an incident in the changelog, by its beginning.
fn incident(prefix: &str) -> String {
    let keys = entries().into_iter().map(|(key, _)| String::from_utf8(key).unwrap());
    let ids = keys.filter_map(|key| key.strip_prefix("i/9/aldermere/").map(str::to_owned));
    ids.into_iter().find(|id| id.starts_with(prefix)).unwrap_or_else(|| panic!("no incident {prefix}"))
}

#[test]
fn incidents_of_every_kind_go_on_where_they_were() {
    let mut process = Process::new();
    let group = incident("group/");
    process.act(&group, "acknowledge", 601.0);
    process.later(605.0);
    let acknowledged = process.records(IncidentKind::Group);
    assert_eq!(acknowledged.len(), 1, "{acknowledged:?}");
    assert_eq!((acknowledged[0].state, acknowledged[0].step > 0), (EscalationState::Acknowledged, true));
    assert!(acknowledged[0].reasons.decisive().contains("leaving"), "{:?}", acknowledged[0].reasons);
    process.later(2400.0);
    let storm = process.records(IncidentKind::Storm);
    assert_eq!(storm.last().map(|record| record.state), Some(EscalationState::Resolved), "{storm:?}");
    let digests = process.records(IncidentKind::Digest);
    let of_storm = |record: &&&Escalation| record.reasons.decisive().contains("muted");
    assert_eq!(digests.iter().filter(of_storm).filter(|r| r.change == EscalationChange::Opened).count(), 1);
    assert!(process.emitted.iter().all(|record| record.team != "leads" || record.conversation != group));
}

#[test]
fn an_escalation_that_was_open_is_not_opened_again() {
    let mut process = Process::new();
    for i in 0..40 {
        let again = event(&format!("more{i}"), "viral", 610.0 + f64::from(i), &reshare(&format!("m{i}"), 30));
        process.handle(Stream::Events, &again);
    }
    process.later(700.0);
    let opened =
        |record: &&Escalation| record.conversation == "viral" && record.change == EscalationChange::Opened;
    assert_eq!(process.emitted.iter().filter(opened).count(), 0);
    process.act("viral", "resolve", 701.0);
    process.later(705.0);
    let resolved = process.emitted.iter().rfind(|record| record.conversation == "viral").unwrap();
    assert_eq!(
        (resolved.state, resolved.happened.as_deref()),
        (EscalationState::Resolved, Some("resolved by kim"))
    );
}

#[test]
fn one_commit_writes_every_entry_again_in_the_present_version() {
    let ruleset = ruleset();
    let mut task = restored(&ruleset);
    let mut state: std::collections::BTreeMap<_, _> = entries().into_iter().collect();
    assert!(state.values().all(|value| value[0] == 11));
    for change in task.changes().unwrap() {
        match &change.value {
            Some(value) => state.insert(change.key.clone(), value.clone()),
            None => state.remove(&change.key),
        };
    }
    task.committed();
    let old: Vec<String> = state
        .iter()
        .filter(|(_, value)| value[0] != 12)
        .map(|(key, _)| String::from_utf8_lossy(key).into_owned())
        .collect();
    assert!(old.is_empty(), "{old:?}");
    assert!(task.changes().unwrap().is_empty());
    let mut again = Task::new(0, 1);
    for (key, value) in &state {
        again.restore(key, Some(value), &ruleset).unwrap();
    }
    again.finish_restore(&ruleset).unwrap();
    assert_eq!((again.conversations(), again.complaints()), (task.conversations(), task.complaints()));
    assert!(again.conversations() > 20 && again.complaints() > 5);
}
