//! How long an alert and an action take: from an event's arrival to its escalation, and from a person's action to
//! the record that shows it, as a reader of committed records sees them. Alone on a quiet stream, and beside a
//! steady one that reaches every partition, with posts as late as the default `lateness` allows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use firewatch_domain::{Escalation, EventTime};
use firewatch_escalation::PR;
use firewatch_kafka::{RecordProducer, TopicTail};
use firewatch_tests::{Cluster, Deployment};
use serde_json::json;

use crate::PARTITIONS;
use crate::stream::{ANGRY, post};

/// Every complaint opens an escalation at once, at a level that no storm mutes. The windows are the default ones.
const POLICY: &str = "[brands.acme]\n[routes.now]\nteam = \"pr\"\nwhen = { high = \"complaint >= 0.6\" }\n";
/// Alerts and actions of each kind.
const COUNT: usize = 40;
/// Time between two of them; odd, so that they fall everywhere within a second.
const APART: Duration = Duration::from_millis(1370);
/// Maximum delay of the posts of the steady stream, milliseconds.
const MAX_DELAY: usize = 2000;
/// Events of the steady stream in a second.
const PACE: u64 = 200;
const WAIT_DEADLINE: Duration = Duration::from_secs(60);
/// Conversations of the steady stream begin here; those measured come before.
const BACKGROUND: usize = 100_000;

/// Measures and prints.
pub fn measure(cluster: &Cluster) {
    println!("{:<10} {:<18} {:>8} {:>8} {:>8}", "stream", "from, to", "median s", "p99 s", "worst s");
    for (stream, pace) in [("quiet", 0), ("steady", PACE)] {
        let firewatch = Deployment::new(&cluster.bootstrap_servers(), &format!("alerts.{stream}"), POLICY);
        firewatch.make_topics(PARTITIONS);
        let mut instance = firewatch.start_until_ready();
        let over = AtomicBool::new(false);
        let (mut opened, mut acted) = std::thread::scope(|scope| {
            scope.spawn(|| background(&firewatch, pace, &over));
            let measured = alerts_and_actions(&firewatch);
            over.store(true, Ordering::Relaxed);
            measured
        });
        print_row(stream, "post, escalation", &mut opened);
        print_row(stream, "action, record", &mut acted);
        assert!(instance.stop());
    }
}

fn print_row(stream: &str, name: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize].as_secs_f64();
    println!("{stream:<10} {name:<18} {:>8.2} {:>8.2} {:>8.2}", at(0.5), at(0.99), at(1.0));
}

fn now() -> EventTime {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis();
    EventTime::from_millis(now as i64)
}

/// Sends harmless posts at a steady pace until it is over.
fn background(firewatch: &Deployment, pace: u64, over: &AtomicBool) {
    if pace == 0 {
        return;
    }
    let feed = RecordProducer::new(&firewatch.settings).expect("a feeder");
    let gap = Duration::from_micros(1_000_000 / pace);
    let mut due = Instant::now();
    for i in BACKGROUND.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        due += gap;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let at = EventTime::from_millis(now().as_millis() - (i * 619 % MAX_DELAY) as i64);
        let (key, value) = post(i, at, "Where do I find the form for next year?");
        feed.send(&firewatch.topics.events, Some(&key), &value, &[]).expect("an event");
    }
}

/// Sends posts that open an escalation, each followed by an acknowledgement of it; returns the times that both
/// took.
fn alerts_and_actions(firewatch: &Deployment) -> (Vec<Duration>, Vec<Duration>) {
    let topic = firewatch.topics.team_topic(PR);
    let tail = TopicTail::new(&firewatch.settings, std::slice::from_ref(&topic)).expect("a reader");
    let feed = RecordProducer::new(&firewatch.settings).expect("a feeder");
    let (mut opened, mut acted) = (Vec::new(), Vec::new());
    for i in 0..COUNT {
        std::thread::sleep(APART);
        let (key, value) = post(i, now(), ANGRY);
        let start = Instant::now();
        feed.send(&firewatch.topics.events, Some(&key), &value, &[]).expect("an event");
        feed.flush().expect("an event");
        wait_for(&tail, |record| record.conversation == key && record.step == 0);
        opened.push(start.elapsed());
        std::thread::sleep(APART);
        let action = json!({ "v": 1, "id": format!("a{i}"), "conversation": key, "at": now(), "by": "kim",
            "kind": "acknowledge" });
        let start = Instant::now();
        let bytes = action.to_string().into_bytes();
        feed.send(&firewatch.topics.actions, Some(&key), &bytes, &[]).expect("an action");
        feed.flush().expect("an action");
        wait_for(&tail, |record| record.conversation == key && record.step > 0);
        acted.push(start.elapsed());
    }
    (opened, acted)
}

fn wait_for(tail: &TopicTail, wanted: impl Fn(&Escalation) -> bool) {
    let start = Instant::now();
    while start.elapsed() < WAIT_DEADLINE {
        let Ok(Some(record)) = tail.next(Duration::from_millis(20)) else { continue };
        if serde_json::from_slice::<Escalation>(&record.value).is_ok_and(|record| wanted(&record)) {
            return;
        }
    }
    panic!("no record within {WAIT_DEADLINE:?}");
}
