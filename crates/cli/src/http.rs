//! What watches over the process: `/metrics`, `/healthz` and `/readyz`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use firewatch_domain::Duration;
use firewatch_engine::Metrics;
use firewatch_kafka::Health;

use crate::clock;

/// A run loop or a task that has not come round for so long hangs. Longer than the longest wait for brokers.
const HANGS_AFTER: Duration = Duration::from_secs(180);

/// Whether all is well, or what is not.
pub type Well = dyn Fn() -> Result<(), String> + Send + Sync;

/// What is told of the process.
pub struct Watched {
    /// It comes round.
    pub alive: Arc<Well>,
    /// It does its work.
    pub ready: Arc<Well>,
}

impl Watched {
    /// Run loops and their tasks.
    pub fn loops(healths: Vec<Arc<Health>>) -> Self {
        let others = healths.clone();
        let alive = move || {
            let silent = healths.iter().map(|health| clock::now() - health.last_beat()).max();
            match silent {
                Some(silent) if silent >= HANGS_AFTER => Err(format!("nothing has come round for {silent}")),
                _ => Ok(()),
            }
        };
        let ready = move || others.iter().try_for_each(|health| health.readiness());
        Self { alive: Arc::new(alive), ready: Arc::new(ready) }
    }
}

/// Serves until the process ends.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(listen: SocketAddr, metrics: Metrics, watched: Watched) -> std::io::Result<()> {
    let Watched { alive, ready } = watched;
    let routes = Router::new()
        .route("/metrics", get(move || async move { scrape(&metrics) }))
        .route("/healthz", get(move || async move { said(alive()) }))
        .route("/readyz", get(move || async move { said(ready()) }));
    axum::serve(tokio::net::TcpListener::bind(listen).await?, routes).await
}

fn said(well: Result<(), String>) -> (StatusCode, String) {
    match well {
        Ok(()) => (StatusCode::OK, "ok\n".into()),
        Err(problem) => (StatusCode::SERVICE_UNAVAILABLE, problem + "\n"),
    }
}

fn scrape(metrics: &Metrics) -> (StatusCode, String) {
    match metrics.text() {
        Ok(text) => (StatusCode::OK, text),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()),
    }
}
