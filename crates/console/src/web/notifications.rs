//! The notifications page and its API: delivery counts, failed deliveries, test messages and resends.

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

/// Maximum number of failed deliveries shown.
const MAX_DELIVERIES: u32 = 200;

#[derive(Template)]
#[template(path = "notifications.html")]
struct NotificationsPage {
    frame: PageFrame,
    channels: Vec<ChannelState>,
    undelivered: Vec<Delivery>,
}

/// Returns the delivery counts of each channel and the failed deliveries.
pub(super) async fn list(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
) -> Result<Json<(Vec<ChannelState>, Vec<Delivery>)>, Problem> {
    person.require(Right::Manage)?;
    let outbox = &console.notifications.0;
    Ok(Json((outbox.channel_states().await?, outbox.undelivered(MAX_DELIVERIES).await?)))
}

/// Serves the notifications page.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
) -> Result<Response, Problem> {
    person.require(Right::Manage)?;
    let outbox = &console.notifications.0;
    let (channels, troubled) = (outbox.channel_states().await?, outbox.undelivered(MAX_DELIVERIES).await?);
    html(&NotificationsPage { frame: PageFrame::new(&console, person), channels, undelivered: troubled })
}

/// What to send, and by which channel.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Send")]
pub(super) struct SendRequest {
    /// Name of the channel.
    channel: String,
    /// `test` for a test message, `again` to resend everything that the channel refused.
    what: SendKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "What")]
enum SendKind {
    Test,
    Again,
}

/// The result of sending.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Outcome")]
pub(super) struct SendOutcome {
    /// A sentence for the user.
    #[serde(rename = "said")]
    message: String,
}

/// Sends a test message, or requeues the refused deliveries of a channel.
pub(super) async fn send(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    Json(SendRequest { channel, what }): Json<SendRequest>,
) -> Result<Json<SendOutcome>, Problem> {
    person.require(Right::Manage)?;
    let (outbox, sender) = &console.notifications;
    if !sender.channels().any(|known| known.name == channel) {
        return Err(Problem(StatusCode::NOT_FOUND, format!("unknown channel {channel:?}")));
    }
    let now = console.now();
    console.people.write_audit(&person.name, &from, AuditAction::Notified, &channel, now).await?;
    if what == SendKind::Again {
        let again = outbox.requeue_refused(&channel, now).await?;
        return Ok(Json(SendOutcome { message: format!("{again} queued to be sent again") }));
    }
    let id = format!("test/{channel}/{}", now.as_millis());
    match sender.send(&channel, &Message::test(id, outbox.base(), now), now).await {
        SendResult::Accepted => Ok(Json(SendOutcome { message: format!("{channel} accepted the test") })),
        SendResult::RetryLater(problem) | SendResult::Refused(problem) => {
            Err(Problem(StatusCode::BAD_GATEWAY, format!("{channel} did not accept the test: {problem}")))
        }
    }
}
