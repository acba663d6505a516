//! The webhook receiver, with a path for each source: `/hooks/NAME`.
//!
//! A request gets status 200 only after the brokers have its body; otherwise the platform sends it again.
//! Requests that are unauthenticated, too large, too frequent or too slow are refused before that.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use firewatch_ingest::HookAuth;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::{CollectorContext, MAX_RAW_BYTES, Notice, RawPayload};

/// Maximum wait for a request body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum wait for the brokers. Platforms time out after ten seconds or more.
const PUT_TIMEOUT: Duration = Duration::from_secs(8);

/// A source that delivers payloads by webhook.
#[derive(Debug, Clone)]
pub struct HookSource {
    /// The name, which is the last segment of its path.
    pub name: String,
    /// The raw topic.
    pub topic: String,
    /// How requests are authenticated.
    pub hook: HookAuth,
    /// Maximum requests per second, and the size of a burst.
    pub rate: NonZeroU32,
}

struct HookEndpoint {
    source: HookSource,
    limit: DefaultDirectRateLimiter,
}

#[derive(Clone)]
struct Shared {
    endpoints: Arc<BTreeMap<String, HookEndpoint>>,
    context: CollectorContext,
}

/// Returns the routes of all webhook sources.
pub fn hook_routes(sources: Vec<HookSource>, context: CollectorContext) -> Router {
    let to_endpoint = |source: HookSource| {
        let limit = RateLimiter::direct(Quota::per_second(source.rate));
        (source.name.clone(), HookEndpoint { source, limit })
    };
    let endpoints = Arc::new(sources.into_iter().map(to_endpoint).collect());
    Router::new()
        .route("/hooks/{name}", get(answer_challenge).post(receive_payload))
        .with_state(Shared { endpoints, context })
}

/// Handles GET: answers the challenge that a platform sends before its first payload.
async fn answer_challenge(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let Some(endpoint) = shared.endpoints.get(&name) else { return unknown() };
    if endpoint.limit.check().is_err() {
        return too_fast();
    }
    match endpoint.source.hook.challenge(&|name| query.get(name).cloned()) {
        Ok(answer) => answer.into_response(),
        Err(e) => (StatusCode::FORBIDDEN, format!("{e}\n")).into_response(),
    }
}

/// Handles POST: authenticates a payload and writes it to the raw topic.
async fn receive_payload(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(endpoint) = shared.endpoints.get(&name) else { return unknown() };
    if endpoint.limit.check().is_err() {
        return too_fast();
    }
    let body = match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_RAW_BYTES)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            (shared.context.notify)(
                &name,
                &Notice::Skipped(format!("a body of more than {MAX_RAW_BYTES} bytes")),
            );
            return (StatusCode::PAYLOAD_TOO_LARGE, format!("the maximum is {MAX_RAW_BYTES} bytes\n"))
                .into_response();
        }
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "the body did not arrive\n").into_response(),
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(Into::into);
    if let Err(e) = endpoint.source.hook.check(&header, &body, (shared.context.clock)()) {
        (shared.context.notify)(&name, &Notice::Skipped(format!("not authenticated: {e}")));
        return (StatusCode::UNAUTHORIZED, format!("{e}\n")).into_response();
    }
    let raw = RawPayload { topic: endpoint.source.topic.clone(), payload: body.to_vec(), cursor: None };
    match tokio::time::timeout(PUT_TIMEOUT, (shared.context.put)(raw)).await {
        Ok(Ok(())) => {
            (shared.context.notify)(&name, &Notice::Accepted);
            StatusCode::OK.into_response()
        }
        put => {
            let problem = match put {
                Ok(Err(e)) => e.to_string(),
                _ => "the brokers do not respond".into(),
            };
            (shared.context.notify)(&name, &Notice::Failed(problem));
            let again = [("retry-after", "30")];
            (StatusCode::SERVICE_UNAVAILABLE, again, "not stored; send it again\n").into_response()
        }
    }
}

fn unknown() -> Response {
    (StatusCode::NOT_FOUND, "no webhook source has this name\n").into_response()
}

fn too_fast() -> Response {
    (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")], "too many requests\n").into_response()
}
