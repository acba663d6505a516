//! The process around a run loop: its runtime, its signal handlers, and the probes that report its health.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use firewatch_domain::Duration;
use firewatch_http::{Check, ProbeError, Probes, serve_probes};
use firewatch_kafka::{Health, RunError};
use firewatch_telemetry::{LogSettings, Metrics, start_log};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::common::Failure;
use crate::{clock, config};

/// Time without a heartbeat after which a run loop counts as hung: longer than the longest wait for brokers.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(180);

/// Longest time from the first signal to the end of the process. The Kafka client can wait for brokers, or for its
/// group, for ever. Kubernetes kills a process after 30 seconds.
const STOP_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(25);

/// Starts the log, the runtime and the signal handlers. Call this first, so that a SIGTERM during model loading
/// still shuts down cleanly. Log settings come from the settings file; without one, the log holds warnings.
pub fn start(settings: Option<&Path>) -> Result<(Runtime, Arc<AtomicBool>), Failure> {
    let quiet = LogSettings { level: tracing::Level::WARN, ..LogSettings::default() };
    start_log(settings.map_or(quiet, |path| config::log_settings(path, std::env::vars())));
    let (runtime, stop) = (runtime()?, Arc::new(AtomicBool::new(false)));
    stop_on_signal(&runtime, stop.clone())?;
    Ok((runtime, stop))
}

/// Creates a small runtime for signals and HTTP; records are processed on threads of their own.
pub fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| Failure::running("start the runtime", e))
}

/// Sets `stop` on the first SIGINT or SIGTERM. The second ends the process at once, with exit code 130; so does a
/// process that still runs after [`STOP_TIMEOUT`], with exit code 1.
fn stop_on_signal(runtime: &Runtime, stop: Arc<AtomicBool>) -> Result<(), Failure> {
    let _inside = runtime.enter();
    let listen = |kind| signal(kind).map_err(|e| Failure::running("listen for signals", e));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    runtime.spawn(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        stop.store(true, Ordering::Relaxed);
        tracing::info!("stopping after this batch; send the signal again to stop at once");
        tokio::select! {
            _ = interrupt.recv() => std::process::exit(130),
            _ = terminate.recv() => std::process::exit(130),
            () = tokio::time::sleep(STOP_TIMEOUT) => {
                tracing::error!(
                    "still not stopped {} s after the signal; ended by force. What was committed counts, the rest \
                     is read again, and another process takes over when the session expires",
                    STOP_TIMEOUT.as_secs()
                );
                std::process::exit(1);
            }
        }
    });
    Ok(())
}

/// The run loops and metrics that the probes report on.
pub struct Watched {
    /// Address that the probes listen on.
    pub listen: SocketAddr,
    pub metrics: Metrics,
    /// Heartbeats and readiness of the run loops.
    pub healths: Vec<Arc<Health>>,
}

/// Runs a loop until `stop` is set, and serves its probes meanwhile. Sets `stop` and fails when the probes
/// cannot listen.
pub fn run_watched(
    runtime: Runtime,
    watched: Watched,
    stop: &Arc<AtomicBool>,
    run: impl FnOnce() -> Result<(), RunError>,
) -> Result<(), Failure> {
    let (listen, stop_if_unserved) = (watched.listen, stop.clone());
    let probes = probes(watched.metrics, alive(watched.healths.clone()), ready(watched.healths));
    let server = runtime.spawn(async move {
        if let Err(e) = serve_probes(listen, probes).await {
            tracing::error!("http.listen {listen}: {e}");
            stop_if_unserved.store(true, Ordering::Relaxed);
        }
    });
    let ran = run().map_err(|e| Failure::Running(e.to_string()));
    let has_no_server = server.is_finished();
    runtime.shutdown_background();
    ran?;
    if has_no_server {
        return Err(Failure::Running(format!("stopped: the metrics server could not listen on {listen}")));
    }
    tracing::info!("stopped");
    Ok(())
}

/// Builds the probes of a process from its metrics and checks.
pub fn probes(metrics: Metrics, alive: Arc<Check>, ready: Arc<Check>) -> Probes {
    Probes { metrics: Box::new(move || metrics.text().map_err(ProbeError::new)), alive, ready }
}

fn alive(healths: Vec<Arc<Health>>) -> Arc<Check> {
    Arc::new(move || {
        let silence = healths.iter().map(|health| clock::now() - health.last_heartbeat()).max();
        match silence {
            Some(silence) if silence >= HEARTBEAT_TIMEOUT => {
                Err(ProbeError::new(format!("no heartbeat for {silence}")))
            }
            _ => Ok(()),
        }
    })
}

fn ready(healths: Vec<Arc<Health>>) -> Arc<Check> {
    Arc::new(move || healths.iter().try_for_each(|health| health.readiness().map_err(ProbeError::new)))
}
