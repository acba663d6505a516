//! Notifications: how each channel does, what was refused, and a test.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gate::From;
use super::page::{Frame, html};
use super::{Console, Problem, words};
use crate::notify::{ChannelState, Delivery, Message, Sent};
use crate::people::{Deed, Person, Right};

/// Deliveries that are shown.
const SHOWN: u32 = 200;

#[derive(Template)]
#[template(path = "notifications.html")]
struct NotificationsPage {
    frame: Frame,
    channels: Vec<ChannelState>,
    troubled: Vec<Delivery>,
}

/// How each channel does, and what was not taken.
pub(super) async fn list(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
) -> Result<Json<(Vec<ChannelState>, Vec<Delivery>)>, Problem> {
    person.needs(Right::Manage)?;
    let outbox = &console.told.0;
    Ok(Json((outbox.states().await?, outbox.troubled(SHOWN).await?)))
}

/// The same, as a page.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
) -> Result<Response, Problem> {
    person.needs(Right::Manage)?;
    let outbox = &console.told.0;
    let (channels, troubled) = (outbox.states().await?, outbox.troubled(SHOWN).await?);
    html(&NotificationsPage { frame: Frame::of(&console, person), channels, troubled })
}

/// What is to be sent.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Send {
    /// By this channel.
    channel: String,
    /// A test, or again all that it refused.
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum What {
    Test,
    Again,
}

/// What came of it.
#[derive(Serialize, JsonSchema)]
pub(super) struct Outcome {
    /// In words.
    said: String,
}

/// Sends a test, or again what was refused.
pub(super) async fn send(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Extension(From(from)): Extension<From>,
    Json(Send { channel, what }): Json<Send>,
) -> Result<Json<Outcome>, Problem> {
    person.needs(Right::Manage)?;
    let (outbox, sender) = &console.told;
    if !sender.channels().any(|known| known.name == channel) {
        return Err(Problem(StatusCode::NOT_FOUND, format!("the settings have no channel {channel:?}")));
    }
    let now = console.now();
    console.people.note((&person.name, &from), Deed::Notified, &channel, now).await?;
    if what == What::Again {
        let again = outbox.again(&channel, now).await?;
        return Ok(Json(Outcome { said: format!("{again} will be sent again") }));
    }
    let id = format!("test/{channel}/{}", now.as_millis());
    match sender.send(&channel, &Message::test(id, outbox.base(), now), now).await {
        Sent::Taken => Ok(Json(Outcome { said: format!("{channel} has taken the test") })),
        Sent::Later(problem) | Sent::Refused(problem) => {
            Err(Problem(StatusCode::BAD_GATEWAY, format!("{channel} has not taken the test: {problem}")))
        }
    }
}
