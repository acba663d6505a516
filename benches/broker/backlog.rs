//! Memory while a backlog of millions is worked on: its peak, and whether it still grows at the end.

use std::time::{Duration, Instant};

use firewatch_tests::{Cluster, Deployment, metric_sum};

use crate::PARTITIONS;
use crate::stream::{POLICY, nth};

const BACKLOG: usize = 5_000_000;
const WAIT_DEADLINE: Duration = Duration::from_secs(1200);

/// Measures and prints.
pub fn measure(cluster: &Cluster) {
    let firewatch = Deployment::new(&cluster.bootstrap_servers(), "backlog", POLICY);
    firewatch.make_topics(PARTITIONS);
    firewatch.feed((0..BACKLOG).map(nth));
    let start = Instant::now();
    let mut instance = firewatch.start();
    let mut quarters = [const { Vec::<f64>::new() }; 4];
    let mut read = 0.0;
    while read < BACKLOG as f64 {
        std::thread::sleep(Duration::from_millis(250));
        assert!(start.elapsed() < WAIT_DEADLINE, "{read} of {BACKLOG} events");
        let metrics = instance.get("/metrics").unwrap_or_default();
        read = metric_sum(&metrics, "firewatch_records_total{outcome=\"scored\",stream=\"events\"}")
            + metric_sum(&metrics, "firewatch_records_total{outcome=\"folded\",stream=\"events\"}");
        let quarter = (read * 4.0 / BACKLOG as f64) as usize;
        quarters[quarter.min(3)].push(instance.resident_bytes() as f64 / f64::from(1 << 20));
    }
    let took = start.elapsed().as_secs_f64();
    println!("{BACKLOG} events in {took:.0} s, {:.0} a second", BACKLOG as f64 / took);
    println!("{:<10} {:>10} {:>10}", "quarter", "median MB", "peak MB");
    for (i, memory) in quarters.iter_mut().enumerate() {
        memory.sort_by(f64::total_cmp);
        let (median, peak) = (memory.get(memory.len() / 2), memory.last());
        println!("{:<10} {:>10.0} {:>10.0}", i + 1, median.unwrap_or(&0.0), peak.unwrap_or(&0.0));
    }
    let last = |quarter: usize| quarters[quarter].last().copied().unwrap_or_default();
    println!("peak of the last quarter to that of the second: {:.2}", last(3) / last(1));
    assert!(instance.stop());
}
