//! What it costs on a real broker: exactly-once against at-least-once, a restart with a million conversations, and a
//! backlog of millions; and how long alerts and actions take. Needs Java and Maven; takes about fifteen minutes.
//!
//! `./dev bench broker [cost|alerts|restore|backlog]`. Ratios within a run mean something, absolute times drift with the machine.

mod alerts;
mod backlog;
mod cost;
mod restore;
mod stream;

use firewatch_tests::{Cluster, can_run_kafka};

/// Partitions of every topic.
const PARTITIONS: u32 = 12;

/// Measures on a cluster and prints.
type Measure = fn(&Cluster);

fn main() {
    if !can_run_kafka() {
        return;
    }
    let chosen = std::env::args().nth(1).filter(|name| !name.starts_with('-'));
    let parts: [(&str, Measure); 4] = [
        ("cost", cost::measure),
        ("alerts", alerts::measure),
        ("restore", restore::measure),
        ("backlog", backlog::measure),
    ];
    let cluster = Cluster::start_up("bench", 29392, 1);
    for (name, measure) in parts {
        if chosen.as_deref().is_none_or(|chosen| chosen == name) {
            println!("\n{name}");
            measure(&cluster);
        }
    }
}
