//! Measures the cost of a payload by platform, as a ratio to plain JSON parsing of the same payloads in the
//! same run.
//!
//! The payloads come from the test cases that have events. The steps of a platform alternate within a round.

use std::hint::black_box;

use firewatch_benches::report;
use firewatch_domain::EventTime;
use firewatch_ingest::{Ingester, Mapping, PayloadDecoder, Platform};
use serde_json::Value;

const NOW: EventTime = EventTime::from_millis(1_780_315_200_000);
/// The number of payloads in a round.
const PAYLOADS: usize = 2000;

fn main() {
    for platform in Platform::ALL {
        let payloads = payloads(platform);
        let reader = reader(platform);
        let mut intake = Ingester::new(reader.clone(), 100_000);
        let bytes: usize = payloads.iter().map(String::len).sum::<usize>() / payloads.len();
        println!("\n{platform}: {bytes} bytes a payload");
        report([
            ("parse JSON (serde_json::Value)", payloads.len(), &mut || {
                payloads.iter().for_each(|p| drop(black_box(serde_json::from_str::<Value>(p))));
            }),
            ("decode", payloads.len(), &mut || {
                payloads.iter().for_each(|p| drop(black_box(reader.decode(p.as_bytes(), NOW))));
            }),
            ("decode and place", payloads.len(), &mut || {
                payloads.iter().for_each(|p| drop(black_box(intake.ingest(p.as_bytes(), NOW))));
                intake.committed();
            }),
        ]);
    }
}

fn reader(platform: Platform) -> PayloadDecoder {
    if platform != Platform::Generic {
        return PayloadDecoder::new(platform);
    }
    let mapping = Mapping::parse("generic.toml", include_str!("../tests/platforms/generic.toml"));
    PayloadDecoder::with_mapping(mapping.unwrap_or_else(|faults| panic!("{faults:?}")))
}

/// Returns the payloads of the test cases that have events, repeated up to [`PAYLOADS`].
fn payloads(platform: Platform) -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/platforms");
    let text = std::fs::read_to_string(format!("{folder}/{platform}.json")).unwrap_or_default();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap_or_default();
    let with_events =
        cases.iter().filter(|case| case["events"].as_array().is_some_and(|events| !events.is_empty()));
    let payloads: Vec<String> =
        with_events.filter_map(|case| Some(case.get("payload")?.to_string())).collect();
    payloads.iter().cycle().take(PAYLOADS).cloned().collect()
}
