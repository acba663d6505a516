//! The cost of a record, step by step, as ratios to plain JSON parsing of the same lines in the same run.
//!
//! The steps take turns within a round, so that a machine that slows down slows them all; the median over rounds is
//! told. Absolute figures drift with the machine, ratios hardly do.

use std::hint::black_box;
use std::time::Instant;

use firewatch_domain::{Body, EventTime};
use firewatch_engine::{Brain, Pipe};
use firewatch_escalation::Policy;
use firewatch_ingest::decode_event;
use firewatch_scoring::Stems;
use serde_json::Value;

const RECORDING: &str = include_str!("../demo/recording.jsonl");
const POLICY: &str = include_str!("../demo/policy.toml");
const NOW: EventTime = EventTime::from_millis(1_790_000_000_000);
const ROUNDS: usize = 15;

fn main() {
    let policy = Policy::parse("demo/policy.toml", POLICY).unwrap_or_else(|faults| panic!("{faults:?}"));
    let brain = Brain::shipped(policy).unwrap_or_else(|e| panic!("{e}"));
    let lines: Vec<&[u8]> = RECORDING.lines().map(str::as_bytes).collect();
    let posts: Vec<String> = lines
        .iter()
        .filter_map(|l| decode_event(l, None, NOW).ok())
        .filter_map(|e| if let Body::Post(post) = e.body { Some(post.text) } else { None })
        .collect();
    let mut stems = Stems::default();
    let steps: [(&str, usize, &mut dyn FnMut()); 5] = [
        ("parse JSON (serde_json::Value)", lines.len(), &mut || {
            lines.iter().for_each(|l| drop(black_box(serde_json::from_slice::<Value>(l))));
        }),
        ("decode and check an event", lines.len(), &mut || {
            lines.iter().for_each(|l| drop(black_box(decode_event(l, None, NOW))));
        }),
        ("read a post (text path alone)", posts.len(), &mut || {
            posts.iter().for_each(|p| drop(black_box(brain.sentiment.read(&mut stems, p, Some("en")))));
        }),
        ("the whole engine, nothing written", lines.len(), &mut || {
            let mut pipe = Pipe::new(&brain, "bench", NOW);
            lines.iter().for_each(|l| drop(black_box(pipe.push(l, &mut |e| drop(black_box(e))))));
        }),
        ("the whole engine, effects as JSON", lines.len(), &mut || {
            let mut pipe = Pipe::new(&brain, "bench", NOW);
            let mut out = Vec::new();
            for l in &lines {
                pipe.push(l, &mut |e| {
                    out.clear();
                    drop(black_box(e.encode(&mut out)));
                });
            }
        }),
    ];
    report(steps);
}

fn report(mut steps: [(&str, usize, &mut dyn FnMut()); 5]) {
    let mut nanos = vec![Vec::new(); steps.len()];
    for _ in 0..ROUNDS {
        for ((_, n, step), nanos) in steps.iter_mut().zip(&mut nanos) {
            let start = Instant::now();
            step();
            nanos.push(start.elapsed().as_nanos() as f64 / *n as f64);
        }
    }
    println!("{:<38} {:>12} {:>12} {:>10}", "step", "ns a record", "records/s", "to parse");
    let plain = nanos[0].clone();
    for ((name, ..), nanos) in steps.iter().zip(&nanos) {
        let ratio = median(nanos.iter().zip(&plain).map(|(a, b)| a / b).collect());
        let each = median(nanos.clone());
        println!("{name:<38} {each:>12.0} {:>12.0} {ratio:>10.2}", 1e9 / each);
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
