//! Notifications: how each channel does, what was refused, and a test.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::auth::ClientAddress;
use super::page::{PageFrame, html};
use super::{Console, Problem, humanize};
use crate::notify::{ChannelState, Delivery, Message, SendResult};
use crate::people::{AuditAction, Person, Right};

/// Deliveries that are shown.
const MAX_DELIVERIES: u32 = 200;

#[derive(Template)]
#[template(path = "notifications.html")]
struct NotificationsPage {
    frame: PageFrame,
    channels: Vec<ChannelState>,
    undelivered: Vec<Delivery>,
}

/// How each channel does, and what was not taken.
pub(super) async fn list(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
) -> Result<Json<(Vec<ChannelState>, Vec<Delivery>)>, Problem> {
    person.require(Right::Manage)?;
    let outbox = &console.notifications.0;
    Ok(Json((outbox.channel_states().await?, outbox.undelivered(MAX_DELIVERIES).await?)))
}

/// The same, as a page.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
) -> Result<Response, Problem> {
    person.require(Right::Manage)?;
    let outbox = &console.notifications.0;
    let (channels, troubled) = (outbox.channel_states().await?, outbox.undelivered(MAX_DELIVERIES).await?);
    html(&NotificationsPage { frame: PageFrame::new(&console, person), channels, undelivered: troubled })
}

/// What is to be sent.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Send")]
pub(super) struct SendRequest {
    /// By this channel.
    channel: String,
    /// A test, or again all that it refused.
    what: SendKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "What")]
enum SendKind {
    Test,
    Again,
}

/// What came of it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Outcome")]
pub(super) struct SendOutcome {
    /// In words.
    #[serde(rename = "said")]
    message: String,
}

/// Sends a test, or again what was refused.
pub(super) async fn send(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    Json(SendRequest { channel, what }): Json<SendRequest>,
) -> Result<Json<SendOutcome>, Problem> {
    person.require(Right::Manage)?;
    let (outbox, sender) = &console.notifications;
    if !sender.channels().any(|known| known.name == channel) {
        return Err(Problem(StatusCode::NOT_FOUND, format!("the settings have no channel {channel:?}")));
    }
    let now = console.now();
    console.people.write_audit((&person.name, &from), AuditAction::Notified, &channel, now).await?;
    if what == SendKind::Again {
        let again = outbox.requeue_refused(&channel, now).await?;
        return Ok(Json(SendOutcome { message: format!("{again} will be sent again") }));
    }
    let id = format!("test/{channel}/{}", now.as_millis());
    match sender.send(&channel, &Message::test(id, outbox.base(), now), now).await {
        SendResult::Accepted => Ok(Json(SendOutcome { message: format!("{channel} has taken the test") })),
        SendResult::RetryLater(problem) | SendResult::Refused(problem) => {
            Err(Problem(StatusCode::BAD_GATEWAY, format!("{channel} has not taken the test: {problem}")))
        }
    }
}
