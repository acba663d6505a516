//! The process around a run loop: its runtime, its signals, and the probes that watch over it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use firewatch_domain::Duration;
use firewatch_http::{Check, Probes, serve_probes};
use firewatch_kafka::{Health, RunError};
use firewatch_telemetry::Metrics;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::clock;
use crate::common::Failure;

/// A run loop or a task without a heartbeat for so long hangs. Longer than the longest wait for brokers.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(180);

/// Starts the runtime and the signal handlers. Call this first, so that a SIGTERM during model loading still shuts down cleanly.
pub fn start() -> Result<(Runtime, Arc<AtomicBool>), Failure> {
    let (runtime, stop) = (runtime()?, Arc::new(AtomicBool::new(false)));
    stop_on_signal(&runtime, stop.clone())?;
    Ok((runtime, stop))
}

/// A small runtime for signals and HTTP; the records have threads of their own.
pub fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| Failure::running("start the runtime", e))
}

/// Sets `stop` on the first SIGINT or SIGTERM; the second ends the process at once.
fn stop_on_signal(runtime: &Runtime, stop: Arc<AtomicBool>) -> Result<(), Failure> {
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

/// What the probes of a run loop watch.
pub struct Watched {
    /// Where the probes listen.
    pub listen: SocketAddr,
    pub metrics: Metrics,
    /// The run loops' heartbeats.
    pub healths: Vec<Arc<Health>>,
}

/// Runs a loop until `stop` is set, with its probes beside it; a process whose probes cannot listen stops.
pub fn run_watched(
    runtime: Runtime,
    watched: Watched,
    stop: &Arc<AtomicBool>,
    run: impl FnOnce() -> Result<(), RunError>,
) -> Result<(), Failure> {
    let (listen, unwatched) = (watched.listen, stop.clone());
    let probes = probes(watched.metrics, alive(watched.healths.clone()), ready(watched.healths));
    let server = runtime.spawn(async move {
        if let Err(e) = serve_probes(listen, probes).await {
            eprintln!("firewatch: http.listen {listen}: {e}");
            unwatched.store(true, Ordering::Relaxed);
        }
    });
    let ran = run().map_err(|e| Failure::Running(e.to_string()));
    let has_no_server = server.is_finished();
    runtime.shutdown_background();
    ran?;
    if has_no_server {
        return Err(Failure::Running("stopped, as nobody could have watched over it".into()));
    }
    eprintln!("firewatch: stopped; all that was read is committed");
    Ok(())
}

/// The probes of a process with these checks.
pub fn probes(metrics: Metrics, alive: Arc<Check>, ready: Arc<Check>) -> Probes {
    Probes { metrics: Box::new(move || metrics.text().map_err(|e| e.to_string())), alive, ready }
}

fn alive(healths: Vec<Arc<Health>>) -> Arc<Check> {
    Arc::new(move || {
        let silent = healths.iter().map(|health| clock::now() - health.last_heartbeat()).max();
        match silent {
            Some(silent) if silent >= HEARTBEAT_TIMEOUT => {
                Err(format!("nothing has come round for {silent}"))
            }
            _ => Ok(()),
        }
    })
}

fn ready(healths: Vec<Arc<Health>>) -> Arc<Check> {
    Arc::new(move || healths.iter().try_for_each(|health| health.readiness()))
}
