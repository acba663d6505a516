//! A deterministic simulation of the workers: each call to the log fails once in each way, and many fail at
//! random. What is committed in the end must be what an undisturbed run commits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use firewatch_domain::EventTime;
use firewatch_engine::{ActiveRuleset, Ruleset, Stream};
use firewatch_escalation::Policy;
use firewatch_telemetry::Metrics;
use serde_json::{Value, json};

use crate::engine_processor::EngineContext;
use crate::positions::{self, POSITIONS_KEY};
use crate::simulated_log::{Fault, SimulatedLog, StoredRecord};
use crate::task_reader::InputTopic;
use crate::worker_context::{InputSource, WorkerContext};
use crate::workers::{WorkerControl, Workers};
use crate::{KafkaSettings, RunError, Topics};

/// When the input begins, milliseconds.
const BEGIN: i64 = 1_773_151_200_000;
/// Most processes that one run may need.
const MAX_PROCESSES: usize = 50;

fn now() -> EventTime {
    EventTime::from_millis(BEGIN + 3_600_000)
}

/// Returns what the workers of a process share, for a cluster.
pub(crate) fn worker_context(
    log: &SimulatedLog,
    topics: Topics,
    inputs: Vec<InputTopic>,
) -> WorkerContext<SimulatedLog> {
    // Small rounds, so that there are many; no time passes.
    let settings =
        KafkaSettings { commit_records: 24, commit_interval_ms: 0, ..KafkaSettings::local("none:9092", "g") };
    let first_retry_wait = Duration::ZERO;
    let (log, workers) = (log.clone(), Arc::new(Workers::default()));
    WorkerContext { settings, topics, inputs, clock: now, workers, log, first_retry_wait }
}

/// Writes the input: two complaints, of which one spreads and is answered, a record that cannot be decoded,
/// and two actions.
fn write_input(log: &SimulatedLog) {
    let topics = Topics::default();
    let at = |secs: i64| EventTime::from_millis(BEGIN + secs * 1000);
    let write = |topic: &str, conversation: &str, secs: i64, id: String, body: Value| {
        let mut record = json!({ "v": 1, "id": id, "conversation": conversation, "at": at(secs) });
        if let (Some(record), Some(body)) = (record.as_object_mut(), body.as_object()) {
            record.extend(body.clone());
        }
        log.append(topic, conversation, record.to_string().as_bytes(), BEGIN + secs * 1000);
    };
    let text = "Two hours on hold with @AldermereHealth and then they hung up on me. Worst insurer ever";
    for (conversation, secs) in [("c1", 0), ("c2", 5)] {
        let post =
            json!({ "id": "p", "author": { "id": "a", "followers": 235 }, "text": text, "lang": "en" });
        let body = json!({ "brand": "aldermere", "post": post });
        write(&topics.events, conversation, secs, format!("{conversation}-post"), body);
    }
    log.append(&topics.events, "c3", b"{ not JSON", BEGIN + 6000);
    for i in 0..150 {
        let engagement = json!({ "kind": "reshare", "actor": format!("u{i}"), "followers": 300 });
        write(&topics.events, "c1", 10 + i, format!("r{i}"), json!({ "engagement": engagement }));
    }
    let acknowledge = json!({ "kind": "acknowledge", "by": "ana" });
    write(&topics.actions, "c1", 62, "act-1".into(), acknowledge);
    write(&topics.actions, "c2", 100, "act-2".into(), json!({ "kind": "resolve", "by": "ben" }));
}

/// What a run committed: the records of each output by key, in order, and the state.
#[derive(PartialEq, Eq)]
pub(crate) struct Committed {
    outputs: BTreeMap<(String, Vec<u8>), Vec<StoredRecord>>,
    state: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Committed {
    /// Reads what is committed in a cluster. Barriers are left out, as each start writes its own.
    pub fn read(log: &SimulatedLog, inputs: &[&str], state_topic: &str) -> Self {
        let (mut outputs, mut state) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::new());
        for (topic, records) in log.topics() {
            for record in records {
                let key = record.key.clone().unwrap_or_default();
                if topic != state_topic {
                    outputs.entry((topic.clone(), key)).or_default().push(record);
                } else if let Some(value) = record.payload {
                    state.insert(key, value);
                } else {
                    state.remove(&key);
                }
            }
        }
        outputs.retain(|(topic, _), _| !inputs.contains(&topic.as_str()));
        state.remove(b"barrier".as_slice());
        Self { outputs, state }
    }

    /// Fails unless the same is committed as in an undisturbed run; names the first output or state entry
    /// that differs.
    pub fn assert_equals(&self, undisturbed: &Self, disturbance: &str) {
        let texts = |records: &[StoredRecord]| -> Vec<String> {
            let text = |record: &StoredRecord| {
                String::from_utf8_lossy(record.payload.as_deref().unwrap_or_default()).into_owned()
            };
            records.iter().map(text).collect()
        };
        for (output, expected) in &undisturbed.outputs {
            let records = self.outputs.get(output).map_or(&[][..], Vec::as_slice);
            assert_eq!(texts(records), texts(expected), "{disturbance}: {}", output.0);
        }
        for (key, expected) in &undisturbed.state {
            let name = String::from_utf8_lossy(key);
            assert_eq!(self.state.get(key), Some(expected), "{disturbance}: state of {name}");
        }
        assert!(self == undisturbed, "{disturbance}: more is committed than without it, or other headers");
    }

    /// Returns the committed position in the events.
    pub fn events_position(&self) -> i64 {
        let entry = self.state.get(POSITIONS_KEY).and_then(|entry| positions::parse_entry(entry).ok());
        entry.and_then(|positions| positions.get(&Stream::Events).copied()).unwrap_or_default()
    }

    /// Returns the number of records in the outputs whose topic contains `part`.
    pub fn count_in(&self, part: &str) -> usize {
        self.outputs.iter().filter(|((topic, _), _)| topic.contains(part)).map(|(_, all)| all.len()).sum()
    }
}

/// Runs processes one after another until one of them ends without an error.
pub(crate) fn run_processes(mut run_process: impl FnMut() -> Result<(), RunError>) {
    let mut ended = run_process();
    for _ in 1..MAX_PROCESSES {
        if ended.is_ok() {
            return;
        }
        ended = run_process();
    }
    assert!(ended.is_ok(), "no process of {MAX_PROCESSES} ended without an error; the last: {ended:?}");
}

/// Returns about three faults in the `calls` calls of an undisturbed run, and a delay for one call in twenty, at
/// random by `seed`. The share is of the run, as no process would end that has too many faults.
pub(crate) fn random_faults(seed: u64, calls: usize) -> impl FnMut(usize) -> Option<Fault> + Send + 'static {
    let mut random = fastrand::Rng::with_seed(seed);
    move |_| {
        if random.u64(..20) == 0 {
            return Some(Fault::Delay);
        }
        (random.usize(..calls / 3) == 0).then(|| Fault::ALL[random.usize(..Fault::ALL.len())])
    }
}

/// Runs the input through engine tasks on a cluster with faults, to the end.
fn run_engine(
    ruleset: &Arc<Ruleset>,
    schedule: impl FnMut(usize) -> Option<Fault> + Send + 'static,
) -> (Committed, usize) {
    let (log, topics) = (SimulatedLog::new(), Topics::default());
    write_input(&log);
    log.fail_calls(schedule);
    run_processes(|| {
        let worker = worker_context(&log, topics.clone(), topics.task_inputs());
        let metrics = Metrics::new().unwrap().engine;
        let ruleset = Arc::new(ActiveRuleset::new(ruleset.clone()));
        let context = EngineContext { worker, ruleset, metrics, partitions: 1 };
        context.expect_end_of_input();
        context.worker.workers.end_of_input.complete_input();
        context.run_task(0, &WorkerControl::new(now()), InputSource::Group(std::sync::Weak::new()))
    });
    (Committed::read(&log, &[&topics.events, &topics.actions], &topics.state), log.calls())
}

fn ruleset() -> Arc<Ruleset> {
    let policy = Policy::parse("test", "[brands.aldermere]\nhandles = [\"@AldermereHealth\"]\n").unwrap();
    Arc::new(Ruleset::shipped(policy).unwrap())
}

#[test]
fn each_call_of_a_task_fails_once_in_each_way_and_nothing_is_lost_or_doubled() {
    let ruleset = ruleset();
    let (undisturbed, calls) = run_engine(&ruleset, |_| None);
    let counts = ["escalations.pr", "escalations.support", "scores", "dlq"].map(|t| undisturbed.count_in(t));
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    assert!(calls > 100, "{calls}");
    for fault in Fault::ALL {
        for call in 0..calls {
            let (committed, _) = run_engine(&ruleset, move |n| (n == call).then_some(fault));
            committed.assert_equals(&undisturbed, &format!("{fault:?} at call {call}"));
        }
    }
}

#[test]
fn many_calls_of_a_task_fail_at_random_and_nothing_is_lost_or_doubled() {
    let ruleset = ruleset();
    let (undisturbed, calls) = run_engine(&ruleset, |_| None);
    for seed in 0..200 {
        let (committed, _) = run_engine(&ruleset, random_faults(seed, calls));
        committed.assert_equals(&undisturbed, &format!("seed {seed}"));
    }
}
