//! What watches over a process: `/metrics`, `/healthz` and `/readyz`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;

/// A check of the process: fine, or the problem in words.
pub type Check = dyn Fn() -> Result<(), String> + Send + Sync;

/// Returns the metrics in Prometheus' text format, or why they cannot be encoded.
pub type Scrape = dyn Fn() -> Result<String, String> + Send + Sync;

/// What the probes ask.
pub struct Probes {
    /// For `/metrics`.
    pub metrics: Box<Scrape>,
    /// For `/healthz`: the process makes progress.
    pub alive: Arc<Check>,
    /// For `/readyz`: the process does its work.
    pub ready: Arc<Check>,
}

/// Serves the probes until the process ends.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve_probes(listen: SocketAddr, probes: Probes) -> std::io::Result<()> {
    let Probes { metrics, alive, ready } = probes;
    let metrics: Arc<Scrape> = metrics.into();
    let routes = Router::new()
        .route("/metrics", get(move || async move { scraped(metrics()) }))
        .route("/healthz", get(move || async move { checked(alive()) }))
        .route("/readyz", get(move || async move { checked(ready()) }));
    axum::serve(tokio::net::TcpListener::bind(listen).await?, routes).await
}

fn checked(result: Result<(), String>) -> (StatusCode, String) {
    match result {
        Ok(()) => (StatusCode::OK, "ok\n".into()),
        Err(problem) => (StatusCode::SERVICE_UNAVAILABLE, problem + "\n"),
    }
}

fn scraped(text: Result<String, String>) -> (StatusCode, String) {
    match text {
        Ok(text) => (StatusCode::OK, text),
        Err(problem) => (StatusCode::INTERNAL_SERVER_ERROR, problem),
    }
}
