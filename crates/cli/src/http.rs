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

/// Serves until the process ends.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(listen: SocketAddr, metrics: Metrics, health: Vec<Arc<Health>>) -> std::io::Result<()> {
    let ready = health.clone();
    let routes = Router::new()
        .route("/metrics", get(move || async move { scrape(&metrics) }))
        .route("/healthz", get(move || async move { alive(&health) }))
        .route("/readyz", get(move || async move { is_ready(&ready) }));
    axum::serve(tokio::net::TcpListener::bind(listen).await?, routes).await
}

fn scrape(metrics: &Metrics) -> (StatusCode, String) {
    match metrics.text() {
        Ok(text) => (StatusCode::OK, text),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()),
    }
}

fn alive(health: &[Arc<Health>]) -> (StatusCode, String) {
    let silent = health.iter().map(|health| clock::now() - health.last_beat()).max().unwrap_or_default();
    if silent < HANGS_AFTER {
        return (StatusCode::OK, "ok\n".into());
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("nothing has come round for {silent}\n"))
}

fn is_ready(health: &[Arc<Health>]) -> (StatusCode, String) {
    match health.iter().try_for_each(|health| health.readiness()) {
        Ok(()) => (StatusCode::OK, "ok\n".into()),
        Err(problem) => (StatusCode::SERVICE_UNAVAILABLE, problem + "\n"),
    }
}
