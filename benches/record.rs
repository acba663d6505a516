//! Measures the cost of a record step by step, as a ratio to plain JSON parsing of the same lines in the same
//! run.
//!
//! The steps alternate within a round, so that a slower machine slows them all, and the report shows the
//! median over rounds. Absolute figures depend on the machine, ratios hardly do.

use std::hint::black_box;

use firewatch_benches::report;
use firewatch_domain::{Body, EventTime};
use firewatch_engine::{LineSource, LocalTopology, Ruleset};
use firewatch_escalation::Policy;
use firewatch_ingest::decode_event;
use firewatch_scoring::Scratch;
use serde_json::Value;

const RECORDING: &str = include_str!("../demo/recording.jsonl");
const POLICY: &str = include_str!("../demo/policy.toml");
const NOW: EventTime = EventTime::from_millis(1_790_000_000_000);
const FILE: LineSource<'static> = LineSource { name: "bench", arrival: NOW };

fn main() {
    let policy = Policy::parse("demo/policy.toml", POLICY).unwrap_or_else(|faults| panic!("{faults:?}"));
    let ruleset = Ruleset::shipped(policy).unwrap_or_else(|e| panic!("{e}"));
    let lines: Vec<&[u8]> = RECORDING.lines().map(str::as_bytes).collect();
    let posts: Vec<String> = lines
        .iter()
        .filter_map(|l| decode_event(l, None, NOW).ok())
        .filter_map(|e| if let Body::Post(post) = e.body { Some(post.text) } else { None })
        .collect();
    let mut scratch = Scratch::default();
    report([
        ("parse JSON (serde_json::Value)", lines.len(), &mut || {
            lines.iter().for_each(|l| drop(black_box(serde_json::from_slice::<Value>(l))));
        }),
        ("decode and check an event", lines.len(), &mut || {
            lines.iter().for_each(|l| drop(black_box(decode_event(l, None, NOW))));
        }),
        ("read a post (text path alone)", posts.len(), &mut || {
            posts.iter().for_each(|p| drop(black_box(ruleset.sentiment.read(&mut scratch, p, Some("en")))));
        }),
        ("the whole engine, nothing written", lines.len(), &mut || {
            let mut topology = LocalTopology::default();
            lines.iter().for_each(|l| {
                drop(black_box(topology.push_line(l, FILE, &ruleset, &mut |e| _ = black_box(e))))
            });
        }),
        ("the whole engine, effects as JSON", lines.len(), &mut || {
            let mut topology = LocalTopology::default();
            let mut out = Vec::new();
            for l in &lines {
                topology.push_line(l, FILE, &ruleset, &mut |e| {
                    out.clear();
                    drop(black_box(serde_json::to_writer(&mut out, e)));
                });
            }
        }),
    ]);
}
