//! The pages and the HTTP API: the inbox, one escalation, storms, the wallboard, changes as they come, what people do, and who they are.

mod actions;
mod api;
mod auth;
mod changes;
mod chart;
mod humanize;
mod notifications;
mod page;
mod people;
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
use tokio::sync::watch;

use crate::notify::{Outbox, Sender};
use crate::people::People;
use crate::store::{Filter, Store, StoreError};

pub use api::openapi;
pub use auth::Auth;
pub use thread::{Participant, Thread, ThreadPost};

/// Sends an action to its topic; it is there when this returns.
pub type SendAction = Arc<dyn Fn(&Action) -> Result<(), String> + Send + Sync>;
/// Looks up in the events what was said and passed on in a conversation since a time.
pub type FindThread = Arc<dyn Fn(&str, EventTime) -> Result<Thread, String> + Send + Sync>;
/// A text with what is personal replaced by what it is.
pub type Redact = Arc<dyn Fn(&str) -> String + Send + Sync>;
/// Whether a drafted public reply may be sent, and why not, in words.
pub type Guard = Arc<dyn Fn(&str) -> (bool, String) + Send + Sync>;
/// The time.
pub type Clock = Arc<dyn Fn() -> EventTime + Send + Sync>;

/// What the console asks of others.
#[derive(Clone)]
pub struct Tools {
    /// Sends actions.
    pub send_action: SendAction,
    /// Looks threads up.
    pub find_thread: FindThread,
    /// Redacts.
    pub redact: Redact,
    /// Checks drafts.
    pub guard: Guard,
    /// Tells the time.
    pub clock: Clock,
}

/// What requests share.
#[derive(Clone)]
pub struct Console {
    /// The projection.
    pub store: Store,
    /// Who may come in.
    pub people: People,
    /// How they come in.
    pub auth: Arc<Auth>,
    /// The number of the last change.
    pub changed: watch::Receiver<i64>,
    /// What is told outside of the console.
    pub notifications: (Outbox, Sender),
    /// What it asks of others.
    pub tools: Tools,
    /// The teams that escalations can be handed over to.
    pub teams: Arc<[String]>,
}

impl Console {
    fn now(&self) -> EventTime {
        (self.tools.clock)()
    }
}

/// Largest request, bytes.
const MAX_BODY_BYTES: usize = 64 << 10;

/// Nothing from elsewhere is loaded, run or framed, and nothing is kept by the browser.
const HEADERS: [(header::HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // With no referrer at all a form of our own would come from an origin called null.
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
];

/// Everything that is served.
pub fn routes(console: Console) -> Router {
    Router::new()
        .route("/", get(page::inbox))
        .route("/escalations/{*id}", get(page::escalation))
        .route("/wall", get(page::wall))
        .route("/healthz", get(healthy))
        .route("/people", get(people::page))
        .route("/audit", get(people::audit_page))
        .route("/notifications", get(notifications::page))
        .route("/sign-in", get(sign_in::page).post(sign_in::sign_in))
        .route("/sign-in/start", get(sign_in::start))
        .route("/sign-in/back", get(sign_in::callback))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/set-up", get(sign_in::set_up_page).post(sign_in::set_up))
        .route("/assets/console.css", get(page::style))
        .route("/assets/console.js", get(page::script))
        .merge(api::router())
        .fallback(|| async { Problem(StatusCode::NOT_FOUND, "there is nothing here".into()) })
        .layer(from_fn_with_state(console.clone(), auth::authenticate))
        .layer(from_fn_with_state(console.clone(), auth::check_origin))
        .layer(from_fn_with_state(console.clone(), auth::check_host))
        .layer(from_fn(auth::with_timeout))
        .layer(from_fn(page::problem_pages))
        .layer(from_fn(with_headers))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(console)
}

/// Whether it serves and its database answers.
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

/// Why a request was not answered: as JSON for programs, and as a page for people.
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
        eprintln!("firewatch: {e}");
        Self(StatusCode::INTERNAL_SERVER_ERROR, "the console's database fails; its log says why".into())
    }
}

/// What the inbox is asked.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Asked")]
struct InboxQuery {
    /// Of this team.
    team: String,
    /// Of this brand.
    brand: String,
    /// Seen on this network.
    platform: String,
    /// Taken by this person; `-` for what nobody took.
    owner: String,
    /// From this level on: low, medium, high or critical.
    level: String,
    /// What is over, instead of what is open.
    #[serde(deserialize_with = "is_true")]
    over: bool,
    /// With these words in the excerpt, the reasons or the conversation's id.
    text: String,
    /// Where the page before ended: its `next`.
    after: Option<String>,
    /// Items at most, 1 to 200.
    #[serde(rename = "most")]
    limit: Option<u32>,
}

/// A form sends a choice that was left open as nothing.
fn is_true<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "" | "false" => Ok(false),
        "true" => Ok(true),
        other => Err(serde::de::Error::custom(format!("{other:?} is neither true nor false"))),
    }
}

impl InboxQuery {
    fn filter(&self) -> Result<Filter, Problem> {
        let level = match self.level.as_str() {
            "" => None,
            text => Some(Level::ALL.into_iter().find(|level| level.as_str() == text).ok_or_else(|| {
                let problem = format!("{text:?} is no level; give low, medium, high or critical");
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
            text: self.text.clone(),
        })
    }
}
