//! The simulation of the ingester's workers: the payloads of X's test cases, with calls that fail.

use std::sync::{Arc, Weak};

use firewatch_engine::Stream;
use firewatch_ingest::{PayloadDecoder, Platform};
use firewatch_telemetry::Metrics;
use serde_json::Value;

use super::{RawSource, SourceContext};
use crate::simulated_log::{Fault, SimulatedLog};
use crate::simulation::{Committed, random_faults, run_processes, worker_context};
use crate::task_reader::InputTopic;
use crate::worker_context::InputSource;
use crate::workers::WorkerControl;
use crate::{RunError, Topics};

const RAW_TOPIC: &str = "raw.x";

/// Returns the payloads of X's test cases, and one that cannot be decoded. Answers come before what they
/// answer, so that the ingester's memory decides their conversation.
fn payloads() -> Vec<Vec<u8>> {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../../../../tests/platforms/x.json")).unwrap();
    let mut payloads: Vec<Vec<u8>> =
        cases.iter().rev().map(|case| case["payload"].to_string().into_bytes()).collect();
    payloads.insert(3, b"{ not JSON".to_vec());
    payloads
}

/// Runs the payloads through ingesters on a cluster with faults, until all are committed.
fn run_ingesters(schedule: impl FnMut(usize) -> Option<Fault> + Send + 'static) -> (Committed, usize) {
    let log = SimulatedLog::new();
    let payloads = payloads();
    for (i, payload) in (0..).zip(&payloads) {
        log.append(RAW_TOPIC, "k", payload, 1_780_131_600_000 + i * 1000);
    }
    log.fail_calls(schedule);
    let topics = Topics::default().for_source(RAW_TOPIC);
    let committed = || Committed::read(&log, &[RAW_TOPIC], &topics.state);
    run_processes(|| {
        let inputs = vec![InputTopic { topic: RAW_TOPIC.to_owned(), stream: Stream::Events }];
        let source = SourceContext {
            worker: worker_context(&log, topics.clone(), inputs),
            events_topic: Topics::default().events,
            raw_source: RawSource {
                name: "x".to_owned(),
                topic: RAW_TOPIC.to_owned(),
                decoder: PayloadDecoder::new(Platform::X),
            },
            metrics: Metrics::new().unwrap().ingest,
        };
        let control = Arc::new(WorkerControl::new((source.worker.clock)()));
        let own = control.clone();
        log.at_end_of(RAW_TOPIC, move || own.finish());
        source.run_ingester(0, &control, InputSource::Group(Weak::new()))?;
        let left = payloads.len() as i64 - committed().events_position();
        if left == 0 { Ok(()) } else { Err(RunError::Timeout(format!("{left} payloads are left"))) }
    });
    (committed(), log.calls())
}

#[test]
fn each_call_of_an_ingester_fails_once_in_each_way_and_nothing_is_lost_or_doubled() {
    let (undisturbed, calls) = run_ingesters(|_| None);
    let counts = ["events", "dlq"].map(|topic| undisturbed.count_in(topic));
    assert!(counts[0] > 10 && counts[1] > 0, "{counts:?}");
    assert!(calls > 40, "{calls}");
    for fault in Fault::ALL {
        for call in 0..calls {
            let (committed, _) = run_ingesters(move |n| (n == call).then_some(fault));
            committed.assert_equals(&undisturbed, &format!("{fault:?} at call {call}"));
        }
    }
}

#[test]
fn many_calls_of_an_ingester_fail_at_random_and_nothing_is_lost_or_doubled() {
    let (undisturbed, calls) = run_ingesters(|_| None);
    for seed in 0..200 {
        let (committed, _) = run_ingesters(random_faults(seed, calls));
        committed.assert_equals(&undisturbed, &format!("seed {seed}"));
    }
}
