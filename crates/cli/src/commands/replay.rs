//! `firewatch replay`: processes a span of the input again with another policy or model.

use std::cell::Cell;
use std::sync::Arc;

use firewatch_domain::Duration;
use firewatch_engine::Stream;
use firewatch_kafka::{Replay, Span};
use firewatch_telemetry::{EngineMetrics, Metrics};

use crate::args::ReplayOptions;
use crate::common::{Failure, count, load_ruleset, print_stdout, with_models};
use crate::{clock, config, process};

/// How often the progress is printed.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Processes the span, or with `--dry-run` prints what would be read and created.
pub fn replay(options: &ReplayOptions) -> Result<(), Failure> {
    let config = config::load(&options.config, std::env::vars())?;
    let ruleset = match &options.policy {
        None => config.ruleset,
        Some(path) => load_ruleset(Some(path))?,
    };
    let ruleset = Arc::new(with_models(ruleset, &options.model)?);
    let metrics = Metrics::new().map_err(|e| Failure::running("metrics", e))?;
    let replay = Replay::new(
        &config.kafka,
        &config.topics,
        &options.prefix,
        &options.bounds.bounds(),
        ruleset,
        metrics.engine.clone(),
        clock::now,
    )
    .map_err(|e| Failure::Running(e.to_string()))?;
    let records = print_spans(replay.spans());
    replay.outputs().iter().for_each(|plan| print_stdout(format_args!("{plan}\n")));
    if options.dry_run {
        print_stdout("dry run: nothing was created or read\n");
        return Ok(());
    }
    let (runtime, stop) = process::start(Some(&options.config))?;
    let (start, last_report) = (clock::now(), Cell::new(clock::now()));
    let report_progress = || {
        if clock::now() - last_report.get() >= PROGRESS_INTERVAL {
            last_report.set(clock::now());
            let read = metrics.engine.records_read("events") + metrics.engine.records_read("actions");
            eprintln!("firewatch: {read} of {records} records replayed");
        }
    };
    let whole = replay.run(&stop, report_progress).map_err(|e| {
        let prefix = &options.prefix;
        Failure::Running(format!(
            "{e}; the topics with the prefix `{prefix}` are incomplete; delete them and replay again"
        ))
    })?;
    runtime.shutdown_background();
    print_result(&metrics.engine, clock::now() - start);
    if whole {
        return Ok(());
    }
    Err(Failure::Running("stopped before the end; the topics hold what was replayed until then".into()))
}

/// Prints the offsets of each partition and returns the number of records.
fn print_spans(spans: &[Span]) -> u64 {
    for (partition, span) in spans.iter().enumerate() {
        let (events, actions) = (span.offsets(Stream::Events), span.offsets(Stream::Actions));
        print_stdout(format_args!(
            "partition {partition:>4}: events {} to {}, actions {} to {}\n",
            events.start, events.end, actions.start, actions.end,
        ));
    }
    let records = spans.iter().map(Span::records).sum();
    print_stdout(format_args!("{}\n", count(records as usize, "record")));
    records
}

fn print_result(metrics: &EngineMetrics, took: Duration) {
    let read = metrics.records_read("events") + metrics.records_read("actions");
    let per_second = read as f64 / took.as_secs().max(0.001);
    print_stdout(format_args!(
        "{} in {:.1} s, {per_second:.0} a second\n",
        count(read as usize, "record"),
        took.as_secs()
    ));
    for kind in ["score", "escalation", "dead_letter"] {
        print_stdout(format_args!("{:>12} {kind}s\n", metrics.effects_written(kind)));
    }
}
