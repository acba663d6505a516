//! The web pages and the HTTP API: inbox, escalations, storms, wallboard, live changes, actions, people and
//! sign-in.

mod account;
mod actions;
mod api;
mod audit;
mod auth;
mod changes;
mod chart;
mod confirm;
mod humanize;
mod notifications;
mod page;
mod people;
mod second_factor;
mod sign_in;
mod spread;
mod thread;
mod volume;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use firewatch_domain::{Action, EventTime, Level};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use thiserror::Error;
use tokio::sync::watch;

use crate::notify::{Outbox, Sender};
use crate::people::People;
use crate::store::{Filter, Store, StoreError};

pub use api::openapi;
pub use auth::Auth;
pub use thread::{Participant, Thread, ThreadPost};

/// Why a function from outside this crate failed.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct ToolError(Box<dyn std::error::Error + Send + Sync>);

impl ToolError {
    /// Wraps the cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// Sends an action to the actions topic and returns once the broker has acknowledged it.
pub type SendAction = Arc<dyn Fn(&Action) -> Result<(), ToolError> + Send + Sync>;
/// Reads a conversation's posts and reshares since a time from the events topic.
pub type FindThread = Arc<dyn Fn(&str, EventTime) -> Result<Thread, ToolError> + Send + Sync>;
/// Replaces personal data in a text by its kind, such as `[phone]`.
pub type Redact = Arc<dyn Fn(&str) -> String + Send + Sync>;
/// Checks a draft: whether nothing was found that must not be said in public, with an explanation.
pub type Guard = Arc<dyn Fn(&str) -> (bool, String) + Send + Sync>;
/// Returns the current time.
pub type Clock = Arc<dyn Fn() -> EventTime + Send + Sync>;

/// The functions that the console needs from outside.
#[derive(Clone)]
pub struct Tools {
    /// Sends an action.
    pub send_action: SendAction,
    /// Reads a conversation from the events.
    pub find_thread: FindThread,
    /// Redacts a text.
    pub redact: Redact,
    /// Checks the draft of a public reply.
    pub guard: Guard,
    /// Returns the current time.
    pub clock: Clock,
}

/// The state that all requests share.
#[derive(Clone)]
pub struct Console {
    /// The projection.
    pub store: Store,
    /// Accounts, sessions and the audit trail.
    pub people: People,
    /// Authentication and rate limits.
    pub auth: Arc<Auth>,
    /// Number of the last change, updated when records are applied.
    pub changed: watch::Receiver<i64>,
    /// The queue of notifications, and their sender.
    pub notifications: (Outbox, Sender),
    /// Functions from outside this crate.
    pub tools: Tools,
    /// The teams that escalations can be handed over to.
    pub teams: Arc<[String]>,
}

impl Console {
    fn now(&self) -> EventTime {
        (self.tools.clock)()
    }
}

/// Maximum size of a request body, in bytes.
const MAX_BODY_BYTES: usize = 64 << 10;

/// Security headers of every response: no content from other origins, no framing and no caching.
const HEADERS: [(header::HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // With `no-referrer` browsers would send `Origin: null` with the console's own forms.
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains"),
];

/// Builds the router with all pages, the API and the middleware.
pub fn routes(console: Console) -> Router {
    Router::new()
        .route("/", get(page::inbox))
        .route("/escalations/{*id}", get(page::escalation))
        .route("/wall", get(page::wall))
        .route("/healthz", get(healthy))
        .route("/account", get(account::page).post(account::change_password))
        .route("/account/second-factor", get(second_factor::page))
        .route("/account/second-factor/start", post(second_factor::start))
        .route("/account/second-factor/on", post(second_factor::turn_on))
        .route("/account/second-factor/off", post(second_factor::turn_off))
        .route("/confirm", get(confirm::page).post(confirm::confirm))
        .route("/people", get(people::page))
        .route("/audit", get(audit::page))
        .route("/notifications", get(notifications::page))
        .route("/sign-in", get(sign_in::page).post(sign_in::sign_in))
        .route("/sign-in/code", get(second_factor::code_page).post(second_factor::enter_code))
        .route("/sign-in/start", get(sign_in::start))
        .route("/sign-in/back", get(sign_in::callback))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/set-up", get(sign_in::set_up_page).post(sign_in::set_up))
        .route("/set-up/open", post(sign_in::open_invitation))
        .route("/assets/console.css", get(page::style))
        .route("/assets/console.js", get(page::script))
        .route("/assets/set-up.js", get(page::set_up_script))
        .merge(api::router())
        .fallback(|| async { Problem(StatusCode::NOT_FOUND, "page not found".into()) })
        .layer(from_fn_with_state(console.clone(), auth::authenticate))
        .layer(from_fn_with_state(console.clone(), auth::check_origin))
        .layer(from_fn_with_state(console.clone(), auth::check_host))
        .layer(from_fn(auth::with_timeout))
        .layer(from_fn(page::problem_pages))
        .layer(from_fn(with_headers))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(console)
}

/// Answers 200 if the database can be read.
async fn healthy(State(console): State<Console>) -> Result<&'static str, Problem> {
    console.store.seq().await?;
    Ok("ok\n")
}

async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// An error response: a status and a message. Sent as JSON to programs and as a page to browsers.
#[derive(Debug, Clone)]
pub(crate) struct Problem(pub StatusCode, pub String);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.0, Json(serde_json::json!({ "problem": self.1 }))).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(e: StoreError) -> Self {
        if matches!(e, StoreError::Busy) {
            return Self(StatusCode::SERVICE_UNAVAILABLE, e.to_string());
        }
        tracing::error!("{e}");
        Self(StatusCode::INTERNAL_SERVER_ERROR, "database error; see the console's log".into())
    }
}

/// The filters of the inbox.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Asked")]
struct InboxQuery {
    /// Only escalations of this team.
    team: String,
    /// Only escalations of this brand.
    brand: String,
    /// Only escalations from this platform.
    platform: String,
    /// Only escalations assigned to this person; `-` for unassigned ones.
    owner: String,
    /// Minimum level: low, medium, high or critical.
    level: String,
    /// Closed escalations instead of open ones.
    #[serde(deserialize_with = "is_true")]
    over: bool,
    /// Only escalations that a person has silenced.
    #[serde(deserialize_with = "is_true")]
    silenced: bool,
    /// Text to find in the excerpt, the reasons, the topics or the conversation's id.
    text: String,
    /// The `next` value of the previous page.
    after: Option<String>,
    /// Maximum number of items, 1 to 200.
    #[serde(rename = "most")]
    limit: Option<u32>,
}

/// The filter of the wallboard.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "WallOf")]
struct WallQuery {
    /// Only this team; all teams if empty.
    team: String,
}

/// Deserialises a flag; an empty value, which forms send for an open choice, is `false`.
fn is_true<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "" | "false" => Ok(false),
        "true" => Ok(true),
        other => Err(serde::de::Error::custom(format!("{other:?} is neither true nor false"))),
    }
}

impl InboxQuery {
    /// Returns the filter; `now` decides what is silenced.
    fn filter(&self, now: EventTime) -> Result<Filter, Problem> {
        let level = match self.level.as_str() {
            "" => None,
            text => Some(Level::ALL.into_iter().find(|level| level.as_str() == text).ok_or_else(|| {
                let problem = format!("{text:?}: unknown level; use low, medium, high or critical");
                Problem(StatusCode::BAD_REQUEST, problem)
            })?),
        };
        Ok(Filter {
            team: self.team.clone(),
            brand: self.brand.clone(),
            platform: self.platform.clone(),
            owner: self.owner.clone(),
            level,
            over: self.over,
            silenced_at: self.silenced.then_some(now),
            text: self.text.clone(),
        })
    }
}
