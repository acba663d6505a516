//! `firewatch run`: runs the engine on Kafka until stopped.

use std::path::Path;
use std::sync::Arc;

use firewatch_kafka::Runner;
use firewatch_telemetry::Metrics;

use crate::common::Failure;
use crate::policy_reload::PolicyWatcher;
use crate::process::Watched;
use crate::{clock, config, process};

/// Consumes and emits until SIGINT or SIGTERM, then finishes the batch, commits and leaves the group.
pub fn run(path: &Path) -> Result<(), Failure> {
    let (runtime, stop) = process::start(Some(path))?;
    let config = config::load(path, std::env::vars())?;
    let metrics = Metrics::new().map_err(|e| Failure::running("metrics", e))?;
    let (brokers, file) = (config.kafka.brokers.clone(), config.policy_file.clone());
    let engine = metrics.engine.clone();
    let runner =
        Runner::new(config.kafka, config.topics, Arc::new(config.ruleset), engine.clone(), clock::now);
    runtime.spawn(PolicyWatcher { file, active_ruleset: runner.active_ruleset(), metrics: engine }.watch());
    let listen = config.listen;
    tracing::info!("reading from {brokers}; metrics at http://{listen}/metrics");
    let watched = Watched { listen, metrics, healths: vec![runner.health()] };
    process::run_watched(runtime, watched, &stop, || runner.run(&stop))
}
