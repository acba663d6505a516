//! The webhook receiver, with a path for each source: `/hooks/NAME`.
//!
//! A request gets status 200 only after the brokers have its body; otherwise the platform sends it again.
//! Requests that are unauthenticated, too large, too frequent or too slow are refused before that. The rate counts only
//! what is authenticated, so that nobody else can use it up.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use firewatch_http::Trust;
use firewatch_ingest::{HookAuth, HookAuthError};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::hook_body::{BodyError, BodyReader};
use crate::{CollectorContext, MAX_RAW_BYTES, Notice, RawPayload};

/// Maximum wait for the brokers. Platforms time out after ten seconds or more.
const PUT_TIMEOUT: Duration = Duration::from_secs(8);

/// Challenges that a source answers per second. Platforms ask about once an hour.
const CHALLENGE_RATE: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

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
    challenges: DefaultDirectRateLimiter,
}

#[derive(Clone)]
struct Shared {
    endpoints: Arc<BTreeMap<String, HookEndpoint>>,
    bodies: Arc<BodyReader>,
    context: CollectorContext,
}

/// Returns the routes of all webhook sources.
pub fn hook_routes(sources: Vec<HookSource>, context: CollectorContext) -> Router {
    let to_endpoint = |source: HookSource| {
        let limit = RateLimiter::direct(Quota::per_second(source.rate));
        let challenges = RateLimiter::direct(Quota::per_second(CHALLENGE_RATE));
        (source.name.clone(), HookEndpoint { source, limit, challenges })
    };
    let endpoints = Arc::new(sources.into_iter().map(to_endpoint).collect());
    Router::new().route("/hooks/{name}", get(answer_challenge).post(receive_payload)).with_state(Shared {
        endpoints,
        bodies: Arc::default(),
        context,
    })
}

/// Handles GET: answers the challenge that a platform sends before its first payload.
async fn answer_challenge(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let Some(endpoint) = shared.endpoints.get(&name) else { return unknown() };
    if endpoint.challenges.check().is_err() {
        return shared.too_fast(&name);
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
    connection: Option<Extension<Trust>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(endpoint) = shared.endpoints.get(&name) else { return unknown() };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(Into::into);
    // Without a signature there is nothing to read.
    if let Err(e) = endpoint.source.hook.check_headers(&header) {
        return shared.unauthenticated(&name, &e);
    }
    let payload = match shared.bodies.read(body).await {
        Ok(payload) => payload,
        Err(e) => return shared.unread(&name, e),
    };
    if let Err(e) = endpoint.source.hook.check(&header, &payload, (shared.context.clock)()) {
        return shared.unauthenticated(&name, &e);
    }
    if let Some(Extension(connection)) = connection {
        connection.vouch();
    }
    if endpoint.limit.check().is_err() {
        return shared.too_fast(&name);
    }
    let raw = RawPayload { topic: endpoint.source.topic.clone(), payload, cursor: None };
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
            not_stored("not stored; send it again\n")
        }
    }
}

/// Refusals. Each is noticed, for the log and the metrics.
impl Shared {
    fn refuse(&self, source: &str, status: StatusCode, why: String) -> Response {
        let answer = format!("{why}\n");
        (self.context.notify)(source, &Notice::Skipped(why));
        (status, answer).into_response()
    }

    fn unauthenticated(&self, source: &str, error: &HookAuthError) -> Response {
        self.refuse(source, StatusCode::UNAUTHORIZED, format!("not authenticated: {error}"))
    }

    fn unread(&self, source: &str, error: BodyError) -> Response {
        match error {
            BodyError::TooLarge => {
                let why = format!("a body of more than {MAX_RAW_BYTES} bytes");
                self.refuse(source, StatusCode::PAYLOAD_TOO_LARGE, why)
            }
            BodyError::Late => {
                self.refuse(source, StatusCode::REQUEST_TIMEOUT, "a body that did not arrive in time".into())
            }
            BodyError::Busy => {
                (self.context.notify)(source, &Notice::Skipped("too many large bodies at once".into()));
                not_stored("too many large bodies at once; send it again\n")
            }
        }
    }

    fn too_fast(&self, source: &str) -> Response {
        (self.context.notify)(source, &Notice::Skipped("a request over the rate".into()));
        (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")], "too many requests\n").into_response()
    }
}

fn not_stored(why: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "30")], why).into_response()
}

fn unknown() -> Response {
    (StatusCode::NOT_FOUND, "no webhook source has this name\n").into_response()
}
