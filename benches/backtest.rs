//! Measures a backtest of a million events, nearly all of them engagement: events per second compared with
//! parsing their JSON, peak memory, and the cost of ten policies compared with one.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use firewatch_backtest::recordings::open;
use firewatch_backtest::run::{Backtest, BacktestPlan};
use firewatch_domain::EventTime;
use firewatch_engine::Ruleset;
use firewatch_escalation::Policy;
use firewatch_report::Zone;
use firewatch_report::random::mix;
use serde_json::{Value, json};

const EVENTS: usize = 1_000_000;
const CONVERSATIONS: u64 = 40_000;
const WEEK: f64 = 7.0 * 86_400.0;
const POLICY: &str = include_str!("../demo/policy.toml");
const RECORDING: &str = include_str!("../demo/recording.jsonl");

fn chance(i: u64, what: u64) -> f64 {
    ((mix(i, what) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

/// Returns a standard normal deviate by the method of Box and Muller (1958).
fn normal(i: u64, what: u64) -> f64 {
    (-2.0 * chance(i, what).ln()).sqrt() * (std::f64::consts::TAU * chance(i, what + 1)).cos()
}

/// Returns event lines in time order: posts of the recording, with long-tailed amounts of engagement.
fn history() -> Vec<(i64, String)> {
    let posts: Vec<Value> = RECORDING.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let texts: Vec<&str> = posts.iter().filter_map(|event| event["post"]["text"].as_str()).collect();
    let mut events = Vec::new();
    for c in 0..CONVERSATIONS {
        let at = 1_772_323_200_000 + (chance(c, 0) * WEEK * 1000.0) as i64;
        let (id, text) = (format!("c-{c}"), texts[(chance(c, 1) * texts.len() as f64) as usize]);
        let author = json!({ "id": format!("a{c}"), "followers": (6.0 + 1.5 * normal(c, 2)).exp() as u64 });
        let post = json!({ "id": id, "author": author, "text": text, "lang": "en" });
        let line = |id: &str, at: i64, conversation: &str, body: (&str, Value)| {
            let at = EventTime::from_millis(at);
            let mut event = json!({ "v": 1, "id": id, "conversation": conversation, "at": at, "brand": "aldermere", "platform": "x" });
            event[body.0] = body.1;
            event.to_string()
        };
        events.push((at, line(&format!("p{c}"), at, &id, ("post", post))));
        let engaged = (4.0 * chance(c, 4).powf(-1.0 / 0.9)).min(3000.0) as u64;
        for e in 1..engaged {
            let i = (c << 20) + e;
            let after = at + ((7.0 + 1.5 * normal(i, 5)).exp() * 1000.0) as i64;
            let kind = if chance(i, 7) < 0.8 { "reshare" } else { "like" };
            let followers = (5.5 + 1.7 * normal(i, 8)).exp() as u64;
            let engagement = json!({ "kind": kind, "actor": format!("u{i}"), "followers": followers });
            events.push((after, line(&format!("r{i}"), after, &id, ("engagement", engagement))));
        }
    }
    events.sort();
    events.truncate(EVENTS);
    events
}

/// Runs the backtest on the file with this number of policies; returns the duration in seconds.
fn run(path: &Path, policies: usize) -> f64 {
    let policy = |text: &str| Policy::parse("bench", text).unwrap_or_else(|faults| panic!("{faults:?}"));
    let ruleset = Ruleset::shipped(policy(POLICY)).unwrap_or_else(|e| panic!("{e}"));
    let other = |i: usize| policy(&POLICY.replace("risk >= 15", &format!("risk >= {}", 15 + i)));
    let policies = (0..policies).map(|i| (format!("p{i}"), ruleset.with_policy(other(i)))).collect();
    let plan = BacktestPlan { policies, labels: None, input: "bench".into(), zone: Zone::default() };
    let (bars, labelled) = (plan.bars(), plan.labelled());
    let start = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut backtest = Backtest::new(&plan, &bars, &labelled, threads);
    for chunk in &open(path, None).unwrap_or_else(|e| panic!("{e}")).chunks {
        backtest.process(&chunk.unwrap_or_else(|e| panic!("{e}")), &mut |_, _| ());
    }
    assert_eq!(backtest.records() as usize, EVENTS);
    drop(backtest.finish(&mut |_, _| ()).report());
    start.elapsed().as_secs_f64()
}

/// Returns the peak memory of this process in megabytes.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or_default() / 1000.0
}

fn main() {
    let file = std::env::temp_dir().join(format!("firewatch-backtest-{}.jsonl", std::process::id()));
    // A separate process writes the events, so that its memory does not count as the backtest's.
    if std::env::args().any(|arg| arg == "write") {
        let path = std::env::var("FIREWATCH_BENCH_FILE").unwrap_or_default();
        let mut out = BufWriter::new(std::fs::File::create(path).unwrap_or_else(|e| panic!("{e}")));
        return history()
            .iter()
            .for_each(|(_, line)| writeln!(out, "{line}").unwrap_or_else(|e| panic!("{e}")));
    }
    let own = std::env::current_exe().unwrap_or_else(|e| panic!("{e}"));
    let wrote = std::process::Command::new(own).arg("write").env("FIREWATCH_BENCH_FILE", &file).status();
    assert!(wrote.is_ok_and(|status| status.success()), "the events were not written");
    let start = Instant::now();
    let lines = BufReader::new(std::fs::File::open(&file).unwrap_or_else(|e| panic!("{e}"))).lines();
    let parsed =
        lines.map_while(Result::ok).filter(|line| serde_json::from_str::<Value>(line).is_ok()).count();
    let parse = start.elapsed().as_secs_f64();
    assert_eq!(parsed, EVENTS);
    println!("parse JSON, one thread        {:>9.0} events/s", EVENTS as f64 / parse);
    // Takes the fastest of three runs, because other processes disturb some of them.
    let fastest = |n| (0..3).map(|_| run(&file, n)).fold(f64::MAX, f64::min);
    let one = fastest(1);
    let memory = peak();
    println!(
        "one policy                    {:>9.0} events/s, {memory:.0} MB at most, {:.2} times the parsing",
        EVENTS as f64 / one,
        one / parse
    );
    let ten = fastest(10);
    println!(
        "ten policies at once          {:>9.0} events/s, {:.2} times one",
        EVENTS as f64 / ten,
        ten / one
    );
    let _ = std::fs::remove_file(file);
}
