//! The receiver of webhooks: a path for each source, `/hooks/NAME`.
//!
//! A request is answered with 200 only when its body is in the raw topic, so that a platform sends it again otherwise. Who is not
//! who they say, sends too much, too fast or too slowly is refused before that.

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

/// Longest wait for a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the brokers; platforms give up after ten seconds or more.
const PUT_TIMEOUT: Duration = Duration::from_secs(8);

/// A source whose payloads come by webhook.
#[derive(Debug, Clone)]
pub struct HookSource {
    /// Its name: the end of its path.
    pub name: String,
    /// The raw topic.
    pub topic: String,
    /// How requests prove whose they are.
    pub hook: HookAuth,
    /// Requests a second, with bursts of as many.
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

/// The routes.
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

/// A platform asks before it sends anything.
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
        Err(problem) => (StatusCode::FORBIDDEN, problem + "\n").into_response(),
    }
}

/// A platform sends something.
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
            return (StatusCode::PAYLOAD_TOO_LARGE, format!("at most {MAX_RAW_BYTES} bytes\n"))
                .into_response();
        }
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "the body did not come\n").into_response(),
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(Into::into);
    if let Err(problem) = endpoint.source.hook.check(&header, &body, (shared.context.clock)()) {
        (shared.context.notify)(&name, &Notice::Skipped(format!("not theirs: {problem}")));
        return (StatusCode::UNAUTHORIZED, problem + "\n").into_response();
    }
    let raw = RawPayload { topic: endpoint.source.topic.clone(), payload: body.to_vec(), cursor: None };
    match tokio::time::timeout(PUT_TIMEOUT, (shared.context.put)(raw)).await {
        Ok(Ok(())) => {
            (shared.context.notify)(&name, &Notice::Accepted);
            StatusCode::OK.into_response()
        }
        put => {
            let problem = match put {
                Ok(Err(problem)) => problem,
                _ => "the brokers do not take it".into(),
            };
            (shared.context.notify)(&name, &Notice::Failed(problem));
            let again = [("retry-after", "30")];
            (StatusCode::SERVICE_UNAVAILABLE, again, "not taken; send it again\n").into_response()
        }
    }
}

fn unknown() -> Response {
    (StatusCode::NOT_FOUND, "no source of that name has a webhook\n").into_response()
}

fn too_fast() -> Response {
    (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")], "too many requests\n").into_response()
}
