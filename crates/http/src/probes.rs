//! The endpoints for monitoring a process: `/metrics`, `/healthz` and `/readyz`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use thiserror::Error;

use crate::listen::listen;

/// Why a check failed, or why the metrics cannot be encoded.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct ProbeError(Box<dyn std::error::Error + Send + Sync>);

impl ProbeError {
    /// Wraps the cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// A check of the process. Returns the reason if it fails.
pub type Check = dyn Fn() -> Result<(), ProbeError> + Send + Sync;

/// Returns the metrics in Prometheus' text format, or why they cannot be encoded.
pub type Scrape = dyn Fn() -> Result<String, ProbeError> + Send + Sync;

/// The functions behind the endpoints.
pub struct Probes {
    /// The text of `/metrics`.
    pub metrics: Box<Scrape>,
    /// The check of `/healthz`: whether the process makes progress.
    pub alive: Arc<Check>,
    /// The check of `/readyz`: whether the process can do its work.
    pub ready: Arc<Check>,
}

/// Serves the endpoints until the process ends.
///
/// # Errors
/// If the address cannot be bound.
pub async fn serve_probes(address: SocketAddr, probes: Probes) -> std::io::Result<()> {
    let Probes { metrics, alive, ready } = probes;
    let metrics: Arc<Scrape> = metrics.into();
    let routes = Router::new()
        .route("/metrics", get(move || async move { scraped(metrics()) }))
        .route("/healthz", get(move || async move { checked(alive()) }))
        .route("/readyz", get(move || async move { checked(ready()) }));
    let listening = listen(address, None).await.map_err(std::io::Error::other)?;
    listening.serve(routes).await
}

fn checked(result: Result<(), ProbeError>) -> (StatusCode, String) {
    match result {
        Ok(()) => (StatusCode::OK, "ok\n".into()),
        Err(e) => (StatusCode::SERVICE_UNAVAILABLE, format!("{e}\n")),
    }
}

fn scraped(text: Result<String, ProbeError>) -> (StatusCode, String) {
    match text {
        Ok(text) => (StatusCode::OK, text),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()),
    }
}
