//! Measures the console under load. First it processes a million escalation records and is killed halfway.
//! Then a browser shows 5,000 open escalations with 200 changes a second for ten minutes. Needs Java, Maven
//! and Chromium.
//!
//! Run it with `./dev bench console [--minutes N]`. Absolute times depend on the machine.

use std::time::{Duration, Instant};

use firewatch_tests::browser::{Chromium, can_browse};
use firewatch_tests::console::{ConsoleProcess, ConsoleSetup, escalation};
use firewatch_tests::{Cluster, can_run_kafka};
use serde_json::{Value, json};

const RECORDS: usize = 1_000_000;
const OPEN: usize = 5_000;
const A_SECOND: usize = 200;

fn main() {
    if !(can_run_kafka() && can_browse()) {
        return;
    }
    let arguments: Vec<String> = std::env::args().collect();
    let minutes =
        arguments.iter().position(|a| a == "--minutes").and_then(|i| arguments.get(i + 1)?.parse().ok());
    let cluster = Cluster::start_up("console", 29492, 1);
    rebuild(&cluster);
    live(&cluster, minutes.unwrap_or(10));
}

/// Returns the key and value of record `i`, which is a step of one of `of` escalations.
fn record(i: usize, of: usize) -> (String, Value) {
    let (n, step) = (i % of, i / of);
    let levels = ["low", "medium", "high", "critical"];
    let contribution = |name: &str, points: f64| json!({ "name": name, "points": points });
    let change = json!({
        "level": levels[(n + step) % 4], "risk": ((n * 37 + step * 11) % 1000) as f64 / 10.0, "news": if step == 0 { "opened" } else { "raised" },
        "excerpt": format!("number {n}: the portal has been down since this morning and nobody answers the [phone] they gave me"),
        "respond_by": "2026-03-10T14:09:00Z", "platform": "x", "posted_at": "2026-03-10T14:00:00Z",
        "reasons": ["risk 41 is at least 35", "reads as a complaint (0.97): down, nobody answers", "12 reshares in 4 minutes, and faster"],
        "contributions": [contribution("base", 2.0), contribution("words", 13.1), contribution("size", 20.2), contribution("velocity", 5.7)],
        "advice": ["Answer in public within nine minutes", "Ask for a DM; never for a number"],
    });
    (format!("c-e{n}"), escalation(&format!("e{n}"), step as u32, &change))
}

fn feed(setup: &ConsoleSetup, records: impl Iterator<Item = (String, Value)>) {
    let topic = setup.topics.team_topic("pr");
    for (key, record) in records {
        setup.feed.send(&topic, Some(&key), record.to_string().as_bytes(), &[]).unwrap();
    }
    setup.feed.flush().unwrap();
}

fn processed(console: &ConsoleProcess) -> i64 {
    console.get("/api/escalations?most=1").json()["seq"].as_i64().unwrap_or_default()
}

fn wait_until(console: &ConsoleProcess, min_processed: i64) {
    while processed(console) < min_processed {
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn rebuild(cluster: &Cluster) {
    let setup = ConsoleSetup::at(&cluster.bootstrap_servers(), "rebuild");
    feed(&setup, (0..RECORDS).map(|i| record(i, RECORDS / 5)));
    let start = Instant::now();
    let mut console = setup.start();
    wait_until(&console, RECORDS as i64 / 2);
    let half = start.elapsed();
    console.child.kill().unwrap();
    let _ = console.child.wait();
    drop(console);
    let start = Instant::now();
    let console = setup.start();
    let resumed = processed(&console);
    wait_until(&console, RECORDS as i64);
    let secs = (half + start.elapsed()).as_secs_f64();
    println!(
        "a million records taken in within {secs:.1} s, {:.0} a second; killed at {:.1} s, it resumed at {resumed}; {} MB of memory, {} MB of database",
        RECORDS as f64 / secs,
        half.as_secs_f64(),
        resident(&console) / 1_000_000,
        std::fs::metadata(setup.folder.path().join("console.db")).map_or(0, |m| m.len()) / 1_000_000,
    );
}

fn live(cluster: &Cluster, minutes: u64) {
    let setup = ConsoleSetup::at(&cluster.bootstrap_servers(), "live");
    feed(&setup, (0..OPEN).map(|i| record(i, OPEN)));
    let console = setup.start();
    wait_until(&console, OPEN as i64);
    let browser = Chromium::start();
    browser.open(&format!("http://{}/", console.address));
    browser.wait("document.querySelector('#link').textContent === 'live'");
    let paint = "performance.getEntriesByType('paint').map((p) => p.name + ' ' + Math.round(p.startTime) + ' ms').join(', ')";
    println!("{OPEN} open: {}", browser.evaluate(paint));
    // Records the latency that a person sees: from a key press to the next frame, as the browser measures it.
    let _ = browser.evaluate(
        "window.waits = []; new PerformanceObserver((list) => list.getEntries().forEach((e) => e.name === 'keydown' && waits.push(e.duration)))
            .observe({ type: 'event', durationThreshold: 16, buffered: false }); true",
    );
    let start = Instant::now();
    let (mut i, mut minute, mut presses) = (OPEN, 0, 0);
    while start.elapsed() < Duration::from_secs(60 * minutes) {
        feed(&setup, (i..i + A_SECOND / 10).map(|i| record(i, OPEN)));
        i += A_SECOND / 10;
        let due = Duration::from_millis(100) * ((i - OPEN) / (A_SECOND / 10)) as u32;
        if (i / (A_SECOND / 10)).is_multiple_of(5) {
            browser.press(if presses % 8 < 4 { "j" } else { "k" });
            presses += 1;
        }
        if start.elapsed().as_secs() / 60 >= minute {
            minute += 1;
            print_figures(&console, &browser, start.elapsed());
        }
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
    print_figures(&console, &browser, start.elapsed());
    let waits = browser.evaluate("waits");
    let mut waits: Vec<f64> = waits.as_array().unwrap().iter().filter_map(Value::as_f64).collect();
    // The browser does not report latencies below one frame (16 ms), so missing entries count as 16 ms.
    waits.resize(presses.max(waits.len()), 16.0);
    waits.sort_by(f64::total_cmp);
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    println!(
        "{presses} keys: half within {:.0} ms, 99 of 100 within {:.0} ms, the slowest {:.0} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    println!("{} changes in {:.0} s", i - OPEN, start.elapsed().as_secs_f64());
}

fn print_figures(console: &ConsoleProcess, browser: &Chromium, at: Duration) {
    println!(
        "after {:>3} s: server {} MB, page {} MB and {} rows",
        at.as_secs(),
        resident(console) / 1_000_000,
        browser.evaluate("Math.round(performance.memory.usedJSHeapSize / 1e6)"),
        browser.evaluate("document.querySelectorAll('#inbox li').length"),
    );
}

/// Returns the resident memory of the console in bytes.
fn resident(console: &ConsoleProcess) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/statm", console.child.id())).unwrap_or_default();
    status.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or_default() * 4096
}
