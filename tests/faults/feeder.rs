//! Feeds the stream at its pace, whatever breaks, in an order that the log keeps: an action is written when all events
//! before it are in the log, and before any event after it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use firewatch_domain::{Duration as Span, EventTime};
use firewatch_kafka::{KafkaSettings, RecordProducer, RunError, Topics};

use crate::stream::Stream;

/// How much faster than life event time goes.
const SPEED: f64 = 20.0;
/// Apart from its neighbours in time an action's place is certain.
const APART: Duration = Duration::from_millis(3);

/// What the feeder shares with the rest.
#[derive(Default)]
pub struct Fed {
    /// The fault that is being tried, by its place in the list.
    pub phase: AtomicUsize,
    pub stop: AtomicBool,
    /// Records fed in each phase.
    pub records: Mutex<Vec<u64>>,
    /// Event time at which each phase begins.
    pub begins: Mutex<Vec<EventTime>>,
    pub total: AtomicU64,
}

/// Feeds until told to stop, then one last record to each partition.
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
        let line = stream.last(partition);
        feed.send_to_partition(&topics.events, partition, &line.key, &line.value).expect("a last event");
    }
    settle(&feed);
}

/// How fast, and which stream.
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

/// Waits until the brokers have everything, however long they are away.
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
