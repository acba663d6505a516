//! A restart with a million conversations: how long it takes, and what a conversation weighs in the changelog and in
//! memory.

use std::time::{Duration, Instant};

use firewatch_domain::EventTime;
use firewatch_tests::{Cluster, Deployment, metric_sum};

use crate::PARTITIONS;
use crate::stream::{ANGRY, POLICY, post};

const CONVERSATIONS: usize = 1_000_000;
const WAIT_DEADLINE: Duration = Duration::from_secs(600);

/// Measures and prints.
pub fn measure(cluster: &Cluster) {
    // Calm enough for nobody to be told: it is conversations that are counted, not complaints.
    let policy = POLICY.replace("medium = 6.0", "medium = 60.0\nhigh = 70.0\ncritical = 80.0");
    let firewatch = Deployment::new(&cluster.bootstrap_servers(), "restore", &policy);
    firewatch.configure("idle_after = \"86400s\"");
    firewatch.make_topics(PARTITIONS);
    let at = |i: usize| EventTime::from_millis(1_773_151_200_000 + i as i64 / 10);
    let text = |i: usize| if i.is_multiple_of(4) { ANGRY } else { "Where do I find the form for next year?" };
    firewatch.feed((0..CONVERSATIONS).map(|i| post(i, at(i), text(i))));
    let mut instance = firewatch.start_until_ready();
    instance.wait_for_events(CONVERSATIONS, WAIT_DEADLINE);
    assert!(instance.stop());

    let start = Instant::now();
    let mut instance = firewatch.start_until_ready();
    let took = start.elapsed();
    // The gauges are set with the first round.
    let metrics = instance.wait_for("/metrics", WAIT_DEADLINE, |m| {
        metric_sum(m, "firewatch_conversations{") >= CONVERSATIONS as f64
    });
    let (bytes, entries) =
        (metric_sum(&metrics, "firewatch_state_bytes{"), metric_sum(&metrics, "firewatch_restored_entries{"));
    let each = |bytes: f64| bytes / CONVERSATIONS as f64;
    println!(
        "{CONVERSATIONS} conversations restored in {:.1} s, start and group included",
        took.as_secs_f64()
    );
    println!("{entries:.0} entries of the changelog read, {:.0} a second", entries / took.as_secs_f64());
    println!("{:.0} bytes of state a conversation, keys and brands' parts included", each(bytes));
    println!("{:.0} bytes of memory a conversation", each(instance.resident_bytes() as f64));
    assert!(instance.stop());
}
