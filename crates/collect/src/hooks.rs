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
use firewatch_ingest::Hook;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::{MOST, Notice, Port, Raw};

/// Longest wait for a body.
const BODY: Duration = Duration::from_secs(10);
/// Longest wait for the brokers; platforms give up after ten seconds or more.
const PUT: Duration = Duration::from_secs(8);

/// A source whose payloads come by webhook.
#[derive(Debug, Clone)]
pub struct HookSource {
    /// Its name: the end of its path.
    pub name: String,
    /// The raw topic.
    pub topic: String,
    /// How requests prove whose they are.
    pub hook: Hook,
    /// Requests a second, with bursts of as many.
    pub rate: NonZeroU32,
}

struct Door {
    source: HookSource,
    limit: DefaultDirectRateLimiter,
}

#[derive(Clone)]
struct Shared {
    doors: Arc<BTreeMap<String, Door>>,
    port: Port,
}

/// The routes.
pub fn hooks(sources: Vec<HookSource>, port: Port) -> Router {
    let door = |source: HookSource| {
        let limit = RateLimiter::direct(Quota::per_second(source.rate));
        (source.name.clone(), Door { source, limit })
    };
    let doors = Arc::new(sources.into_iter().map(door).collect());
    Router::new().route("/hooks/{name}", get(asked).post(sent)).with_state(Shared { doors, port })
}

/// A platform asks before it sends anything.
async fn asked(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let Some(door) = shared.doors.get(&name) else { return unknown() };
    if door.limit.check().is_err() {
        return too_fast();
    }
    match door.source.hook.challenge(&|name| query.get(name).cloned()) {
        Ok(answer) => answer.into_response(),
        Err(problem) => (StatusCode::FORBIDDEN, problem + "\n").into_response(),
    }
}

/// A platform sends something.
async fn sent(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(door) = shared.doors.get(&name) else { return unknown() };
    if door.limit.check().is_err() {
        return too_fast();
    }
    let body = match tokio::time::timeout(BODY, to_bytes(body, MOST)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            (shared.port.tell)(&name, &Notice::LeftOut(format!("a body of more than {MOST} bytes")));
            return (StatusCode::PAYLOAD_TOO_LARGE, format!("at most {MOST} bytes\n")).into_response();
        }
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "the body did not come\n").into_response(),
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(Into::into);
    if let Err(problem) = door.source.hook.check(&header, &body, (shared.port.clock)()) {
        (shared.port.tell)(&name, &Notice::LeftOut(format!("not theirs: {problem}")));
        return (StatusCode::UNAUTHORIZED, problem + "\n").into_response();
    }
    let raw = Raw { topic: door.source.topic.clone(), payload: body.to_vec(), cursor: None };
    match tokio::time::timeout(PUT, (shared.port.put)(raw)).await {
        Ok(Ok(())) => {
            (shared.port.tell)(&name, &Notice::Taken);
            StatusCode::OK.into_response()
        }
        put => {
            let problem = match put {
                Ok(Err(problem)) => problem,
                _ => "the brokers do not take it".into(),
            };
            (shared.port.tell)(&name, &Notice::Trouble(problem));
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
