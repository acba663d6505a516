//! `firewatch run`: the engine behind Kafka, until told to stop.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use firewatch_engine::Metrics;
use firewatch_kafka::{RunError, Runner};
use tokio::signal::unix::{SignalKind, signal};

use crate::http::Watched;
use crate::reload::Watch;
use crate::shell::Failure;
use crate::{clock, config, http};

/// Consumes and emits until SIGINT or SIGTERM; then finishes the batch, commits and leaves the group.
pub fn run(path: &Path) -> Result<(), Failure> {
    let (runtime, stop) = until_told()?;
    let config = config::load(path, std::env::vars())?;
    let metrics = Metrics::new().map_err(|e| Failure::running("metrics", e))?;
    let (brokers, file) = (config.kafka.brokers.clone(), config.policy.clone());
    let runner =
        Runner::new(config.kafka, config.topics, Arc::new(config.brain), metrics.clone(), clock::now);
    let watch = Watch { file, in_force: runner.in_force(), metrics: metrics.clone() };
    runtime.spawn(watch.watch());
    let listen = config.listen;
    eprintln!("firewatch: reading from {brokers}; metrics at http://{listen}/metrics");
    let watched = Watched::loops(vec![runner.health()]);
    watched_over(runtime, (listen, metrics, watched), &stop, || runner.run(&stop))
}

/// Runs a loop until it is told to stop, while others can watch over it.
pub fn watched_over(
    runtime: tokio::runtime::Runtime,
    (listen, metrics, watched): (SocketAddr, Metrics, Watched),
    stop: &Arc<AtomicBool>,
    run: impl FnOnce() -> Result<(), RunError>,
) -> Result<(), Failure> {
    let unheard = stop.clone();
    let server = runtime.spawn(async move {
        if let Err(e) = http::serve(listen, metrics, watched).await {
            eprintln!("firewatch: http.listen {listen}: {e}");
            unheard.store(true, Ordering::Relaxed);
        }
    });
    let ran = run().map_err(|e| Failure::Running(e.to_string()));
    let unbound = server.is_finished();
    runtime.shutdown_background();
    ran?;
    if unbound {
        return Err(Failure::Running("stopped, as nobody could have watched over it".into()));
    }
    eprintln!("firewatch: stopped; all that was read is committed");
    Ok(())
}

/// A runtime, and whether a signal has told the process to stop. First of all things: who is told while the models are read ends in
/// good order too.
pub fn until_told() -> Result<(tokio::runtime::Runtime, Arc<AtomicBool>), Failure> {
    let (runtime, stop) = (runtime()?, Arc::new(AtomicBool::new(false)));
    stop_on_signal(&runtime, stop.clone())?;
    Ok((runtime, stop))
}

/// A small runtime for signals and HTTP; the records have a thread of their own.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| Failure::running("start the runtime", e))
}

/// Sets `stop` on the first SIGINT or SIGTERM; the second ends the process at once.
fn stop_on_signal(runtime: &tokio::runtime::Runtime, stop: Arc<AtomicBool>) -> Result<(), Failure> {
    let _inside = runtime.enter();
    let listen = |kind| signal(kind).map_err(|e| Failure::running("listen for signals", e));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    runtime.spawn(async move {
        loop {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            if stop.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            eprintln!("firewatch: stopping after this batch; once more to stop at once");
        }
    });
    Ok(())
}
