//! Feeds the stream at its pace, whatever breaks, in an order that the log keeps: an action is written after
//! all events before it are in the log, and before any later event.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use firewatch_domain::{Duration as Span, EventTime};
use firewatch_kafka::{KafkaSettings, RecordProducer, RunError, Topics};

use crate::stream::Stream;

/// Ratio of event time to wall-clock time.
const SPEED: f64 = 20.0;
/// Pause before and after an action. It makes the action's place among the events certain.
const APART: Duration = Duration::from_millis(3);

/// State that the feeder shares with the other threads.
#[derive(Default)]
pub struct Fed {
    /// Index of the fault that is being injected.
    pub phase: AtomicUsize,
    pub stop: AtomicBool,
    /// Number of records fed in each phase.
    pub records: Mutex<Vec<u64>>,
    /// Event time at which each phase begins.
    pub begins: Mutex<Vec<EventTime>>,
    pub total: AtomicU64,
}

/// Feeds until `stop` is set, then writes one last record to each partition.
pub fn feed(settings: &KafkaSettings, topics: &Topics, partitions: u32, pace: Pace, fed: &Fed) {
    let feed = RecordProducer::new(settings).expect("a feeder");
    let mut stream = Stream::new(pace.seed);
    let (start, mut sent) = (Instant::now(), 0_u64);
    let span = Span::from_millis((1000.0 / pace.per_second * SPEED) as i64);
    while !fed.stop.load(Ordering::Relaxed) {
        note(fed, stream.now());
        let due = start + Duration::from_secs_f64(sent as f64 / pace.per_second);
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(early);
        }
        let line = stream.next(span);
        if line.is_action {
            settle(&feed);
            feed.send(&topics.actions, Some(&line.key), &line.value, &[]).expect("an action");
            settle(&feed);
        } else {
            feed.send(&topics.events, Some(&line.key), &line.value, &[]).expect("an event");
        }
        sent += 1;
        fed.total.store(sent, Ordering::Relaxed);
    }
    settle(&feed);
    for partition in 0..partitions {
        let line = stream.last(partition, partitions);
        feed.send_to_partition(&topics.events, partition, &line.key, &line.value).expect("a last event");
    }
    settle(&feed);
}

/// Rate and seed of the stream.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub per_second: f64,
    pub seed: u64,
}

fn note(fed: &Fed, now: EventTime) {
    let phase = fed.phase.load(Ordering::Relaxed);
    let mut records = fed.records.lock().expect("counts");
    if records.len() <= phase {
        records.resize(phase + 1, 0);
        fed.begins.lock().expect("beginnings").resize(phase + 1, now);
    }
    records[phase] += 1;
}

/// Waits until the brokers have every record, however long they are away.
fn settle(feed: &RecordProducer) {
    std::thread::sleep(APART);
    let start = Instant::now();
    loop {
        match feed.flush() {
            Ok(()) => break,
            Err(e @ RunError::Undelivered(..)) => panic!("the feeder lost a record: {e}"),
            Err(e) => assert!(start.elapsed() < Duration::from_secs(300), "{e}"),
        }
    }
    std::thread::sleep(APART);
}
