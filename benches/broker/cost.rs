//! What exactly-once costs: throughput over a backlog, and the time from an event's arrival to its score as a reader
//! of committed records sees it, in a steady stream and alone; both with and without transactions.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use firewatch_domain::EventTime;
use firewatch_kafka::{RecordProducer, TopicTail};
use firewatch_tests::{Cluster, Deployment};

use crate::PARTITIONS;
use crate::stream::{ANGRY, POLICY, nth, post};

const BACKLOG: usize = 500_000;
/// Runs of each kind, taking turns.
const REPETITIONS: usize = 3;
/// Events a second, and how many, when latency is measured.
const PACE: f64 = 500.0;
const TIMED: usize = 10_000;
/// Not counted at the beginning of these, while it starts up.
const FIRST: usize = 1_000;
/// Events that come alone afterwards, and the time between them.
const ALONE: usize = 20;
const APART: Duration = Duration::from_millis(700);
const WAIT_DEADLINE: Duration = Duration::from_secs(300);
const GUARANTEES: [&str; 2] = ["exactly_once", "at_least_once"];

/// One kind's figures.
#[derive(Default)]
struct Figures {
    per_second: Vec<f64>,
    /// Processor time of an event, microseconds.
    cpu_micros: Vec<f64>,
    latencies: Vec<Duration>,
    alone: Vec<Duration>,
}

/// Measures and prints.
pub fn measure(cluster: &Cluster) {
    let mut figures = [Figures::default(), Figures::default()];
    for turn in 0..REPETITIONS {
        for (guarantee, figures) in GUARANTEES.iter().zip(&mut figures) {
            backlog(cluster, guarantee, turn, figures);
            latency(cluster, guarantee, turn, figures);
        }
    }
    println!(
        "{:<14} {:>10} {:>14} {:>9} {:>9} {:>12} {:>12}",
        "guarantee", "events/s", "CPU us/event", "p50 ms", "p99 ms", "alone p50 ms", "alone max ms"
    );
    let mut rows = Vec::new();
    for (guarantee, figures) in GUARANTEES.iter().zip(&mut figures) {
        let Figures { per_second, cpu_micros, latencies, alone } = figures;
        let row = [
            median(per_second),
            median(cpu_micros),
            quantile(latencies, 0.5),
            quantile(latencies, 0.99),
            quantile(alone, 0.5),
            quantile(alone, 1.0),
        ];
        print_row(guarantee, &row, [0, 1, 0, 0, 0, 0]);
        rows.push(row);
    }
    let ratios: Vec<f64> = rows[0].iter().zip(&rows[1]).map(|(with, without)| with / without).collect();
    print_row("ratio", &ratios, [2; 6]);
}

fn print_row(name: &str, row: &[f64], digits: [usize; 6]) {
    let widths = [10, 14, 9, 9, 12, 12];
    let cells = row.iter().zip(widths.iter().zip(digits)).map(|(v, (w, d))| format!(" {v:>w$.d$}"));
    println!("{name:<14}{}", cells.collect::<String>());
}

/// A quantile, milliseconds.
fn quantile(durations: &mut [Duration], share: f64) -> f64 {
    durations.sort_unstable();
    durations[((durations.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3
}

fn deploy(cluster: &Cluster, name: &str, guarantee: &str) -> Deployment {
    let firewatch = Deployment::new(&cluster.bootstrap_servers(), name, POLICY);
    firewatch.configure(&format!("guarantee = \"{guarantee}\""));
    firewatch.make_topics(PARTITIONS);
    firewatch
}

fn backlog(cluster: &Cluster, guarantee: &str, turn: usize, figures: &mut Figures) {
    let firewatch = deploy(cluster, &format!("backlog.{guarantee}.{turn}"), guarantee);
    firewatch.feed((0..BACKLOG).map(nth));
    let mut instance = firewatch.start();
    instance.wait_for_events(1, WAIT_DEADLINE);
    let start = Instant::now();
    instance.wait_for_events(BACKLOG, WAIT_DEADLINE);
    figures.per_second.push(BACKLOG as f64 / start.elapsed().as_secs_f64());
    figures.cpu_micros.push(instance.cpu().as_secs_f64() * 1e6 / BACKLOG as f64);
    assert!(instance.stop());
}

fn latency(cluster: &Cluster, guarantee: &str, turn: usize, figures: &mut Figures) {
    let firewatch = deploy(cluster, &format!("latency.{guarantee}.{turn}"), guarantee);
    let mut instance = firewatch.start_until_ready();
    let sent = Mutex::new(HashMap::new());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let tail = TopicTail::new(&firewatch.settings, std::slice::from_ref(&firewatch.topics.scores))
                .expect("a reader");
            let mut latencies = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let Ok(Some(record)) = tail.next(Duration::from_millis(100)) else { continue };
                let now = Instant::now();
                let key = record.key.and_then(|key| String::from_utf8(key).ok()).unwrap_or_default();
                // The first that is told of a conversation.
                let begun = sent.lock().expect("times").remove(&key);
                latencies.extend(begun.map(|(i, at): (usize, Instant)| (i, now - at)));
            }
            latencies
        });
        let feed = RecordProducer::new(&firewatch.settings).expect("a feeder");
        let start = Instant::now();
        for i in 0..TIMED + ALONE {
            let alone = u32::try_from(i.saturating_sub(TIMED)).expect("a small number");
            let due = start + Duration::from_secs_f64(i as f64 / PACE) + APART * alone;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis();
            let (key, value) = post(i, EventTime::from_millis(now as i64), ANGRY);
            sent.lock().expect("times").insert(key.clone(), (i, Instant::now()));
            feed.send(&firewatch.topics.events, Some(&key), &value, &[]).expect("an event");
        }
        feed.flush().expect("events");
        instance.wait_for_events(TIMED + ALONE, WAIT_DEADLINE);
        std::thread::sleep(Duration::from_secs(2));
        over.store(true, Ordering::Relaxed);
        for (i, latency) in reader.join().expect("latencies") {
            match i {
                ..FIRST => {}
                FIRST..TIMED => figures.latencies.push(latency),
                _ => figures.alone.push(latency),
            }
        }
    });
    let left = sent.lock().expect("times").len();
    assert_eq!(left, 0, "{left} complaints were not scored");
    assert!(instance.stop());
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
