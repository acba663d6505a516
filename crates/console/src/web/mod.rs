//! The pages and the HTTP API: the inbox, one escalation, changes as they come, and what people do.

mod act;
mod changes;
mod page;
mod spread;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use firewatch_domain::{Action, EventTime, Level};
use serde::Deserialize;
use tokio::sync::watch;

use crate::store::{Cursor, Filter, Store, StoreError};

/// Sends an action to its topic; it is there when this returns.
pub type Act = Arc<dyn Fn(&Action) -> Result<(), String> + Send + Sync>;

/// What requests share.
#[derive(Clone)]
pub struct Console {
    /// The projection.
    pub store: Store,
    /// The number of the last change.
    pub changed: watch::Receiver<i64>,
    /// Sends actions.
    pub act: Act,
    /// The time.
    pub clock: fn() -> EventTime,
    /// The teams that escalations can be handed over to.
    pub teams: Arc<[String]>,
}

/// Nothing from elsewhere is loaded, run or framed, and nothing is kept by the browser.
const HEADERS: [(header::HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Everything that is served.
pub fn routes(console: Console) -> Router {
    Router::new()
        .route("/", get(page::inbox))
        .route("/escalations/{*id}", get(page::escalation))
        .route("/assets/console.css", get(page::style))
        .route("/assets/console.js", get(page::script))
        .route("/api/escalations", get(list))
        .route("/api/escalations/{*id}", get(one))
        .route("/api/changes", get(changes::stream))
        .route("/api/actions", post(act::act))
        .fallback(|| async { Problem(StatusCode::NOT_FOUND, "there is nothing here".into()) })
        .layer(from_fn(for_this_machine))
        .layer(from_fn(with_headers))
        .with_state(console)
}

/// Refuses requests for another name: a stranger's site can make its own name stand for this machine, and its pages would
/// be taken for ours.
async fn for_this_machine(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if is_local(host) {
        return next.run(request).await;
    }
    let problem = format!("{host:?} is not this console; open it by a loopback address or as localhost");
    Problem(StatusCode::MISDIRECTED_REQUEST, problem).into_response()
}

fn is_local(host: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    let by_name = host == "localhost" || host.strip_prefix("localhost:").is_some_and(is_port);
    let by_address = host.parse().is_ok_and(|address: SocketAddr| address.ip().is_loopback());
    let alone = host.trim_matches(['[', ']']).parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    by_name || by_address || alone
}

async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Why a request was not answered, as JSON.
pub(crate) struct Problem(pub StatusCode, pub String);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.0, Json(serde_json::json!({ "problem": self.1 }))).into_response()
    }
}

impl From<StoreError> for Problem {
    fn from(e: StoreError) -> Self {
        eprintln!("firewatch: {e}");
        Self(StatusCode::INTERNAL_SERVER_ERROR, "the console's database fails; its log says why".into())
    }
}

/// What the inbox is asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    team: String,
    brand: String,
    level: Option<Level>,
    text: String,
    after: Option<String>,
    most: Option<u32>,
}

async fn list(
    State(console): State<Console>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = asked.after.as_deref().map(Cursor::read).transpose();
    let after = after.map_err(|problem| Problem(StatusCode::BAD_REQUEST, problem))?;
    let Asked { team, brand, level, text, most, .. } = asked;
    let page = console.store.inbox(&Filter { team, brand, level, text }, after, most.unwrap_or(50)).await?;
    // Whatever is asked for, nothing is different before the next change.
    let tag = format!("\"{}\"", page.seq);
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    Ok(([(header::ETAG, tag)], Json(page)).into_response())
}

async fn one(State(console): State<Console>, Path(id): Path<String>) -> Result<Response, Problem> {
    match console.store.escalation(&id).await? {
        Some(detail) => Ok(Json(detail).into_response()),
        None => Err(Problem(StatusCode::NOT_FOUND, format!("there is no escalation {id:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_ours() {
        for ours in
            ["localhost", "localhost:9465", "127.0.0.1:80", "127.0.0.1", "[::1]:9465", "[::1]", "127.8.8.8"]
        {
            assert!(is_local(ours), "{ours}");
        }
        for other in [
            "",
            "evil.example",
            "localhost.evil.example",
            "10.0.0.1:9465",
            "127.0.0.1.evil.example",
            "localhost:x",
        ] {
            assert!(!is_local(other), "{other}");
        }
    }
}
