//! What people do: one action, sent to the actions topic under the key that the browser gave it; and whether a reply may be sent.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::{Extension, Json};
use firewatch_domain::{Action, ActionKind, Channel, EventTime, SCHEMA_VERSION};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::auth::{ClientAddress, text};
use super::{Console, Problem};
use crate::people::{AuditAction, Person, Right};

/// Longest key.
const KEY_BYTES: usize = 100;

/// What is done, without who and when.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Wanted")]
pub(super) struct ActionRequest {
    /// The conversation of an escalation, or a storm's.
    conversation: String,
    /// What is done.
    kind: ActionKind,
    /// With `hand_off`: where the talk goes on.
    #[serde(default)]
    channel: Option<Channel>,
    /// With `hand_over`: the team that is to own it.
    #[serde(default)]
    team: Option<String>,
    /// With `silence`: until when.
    #[serde(default)]
    until: Option<EventTime>,
}

/// Sends an action. Sent again with its key it changes nothing.
pub(super) async fn act(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let bad = |problem: String| Problem(StatusCode::BAD_REQUEST, problem);
    person.require(Right::Act)?;
    // Another site's page can send a form here, but not this.
    if !text(&headers, header::CONTENT_TYPE).starts_with("application/json") {
        return Err(Problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json".into()));
    }
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    let key = key.filter(|key| (1..=KEY_BYTES).contains(&key.len())).ok_or_else(|| {
        bad(format!("the header idempotency-key is missing; give 1 to {KEY_BYTES} characters that stay when it is sent again"))
    })?;
    let wanted: ActionRequest = serde_json::from_slice(&body).map_err(|e| bad(e.to_string()))?;
    let missing = match wanted.kind {
        ActionKind::HandOver if wanted.team.is_none() => Some("team"),
        ActionKind::Silence if wanted.until.is_none() => Some("until"),
        ActionKind::HandOff if wanted.channel.is_none() => Some("channel"),
        _ => None,
    };
    if let Some(missing) = missing {
        return Err(bad(format!("`{missing}` is missing; it must be there")));
    }
    if let Some(team) = wanted.team.as_ref().filter(|team| !console.teams.contains(team)) {
        return Err(bad(format!("{team:?} is no team; there are {}", console.teams.join(", "))));
    }
    if !console.store.has_conversation(&wanted.conversation).await? {
        let problem = format!("there is no escalation about the conversation {:?}", wanted.conversation);
        return Err(Problem(StatusCode::NOT_FOUND, problem));
    }
    let now = console.now();
    let about = format!(
        "{} {}",
        serde_json::to_string(&wanted.kind).unwrap_or_default().trim_matches('"'),
        wanted.conversation
    );
    console.people.write_audit((&person.name, &from), AuditAction::Acted, &about, now).await?;
    let action = Action {
        v: SCHEMA_VERSION,
        id: key.to_owned(),
        conversation: wanted.conversation,
        at: now,
        by: person.name,
        kind: wanted.kind,
        channel: wanted.channel,
        team: wanted.team,
        until: wanted.until,
    };
    let act = console.tools.send_action.clone();
    let sent = tokio::task::spawn_blocking(move || act(&action)).await;
    match sent {
        Ok(Ok(())) => Ok(StatusCode::ACCEPTED),
        Ok(Err(problem)) => Err(Problem(StatusCode::BAD_GATEWAY, format!("it was not sent: {problem}"))),
        Err(_) => Err(Problem(StatusCode::INTERNAL_SERVER_ERROR, "it was not sent".into())),
    }
}

/// A drafted public reply.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Draft {
    /// What it says.
    draft: String,
}

/// What is thought of it.
#[derive(Serialize, JsonSchema)]
pub(super) struct Verdict {
    /// It may be sent.
    send: bool,
    /// Why not, or what it offers.
    #[serde(rename = "said")]
    explanation: String,
}

/// Whether a drafted reply may be sent. The draft is kept nowhere.
pub(super) async fn guard(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Json(Draft { draft }): Json<Draft>,
) -> Result<Json<Verdict>, Problem> {
    person.require(Right::Act)?;
    let guard = console.tools.guard.clone();
    let checked = tokio::task::spawn_blocking(move || guard(&draft)).await;
    let broken = |_| Problem(StatusCode::INTERNAL_SERVER_ERROR, "the draft could not be looked at".into());
    checked.map(|(send, explanation)| Json(Verdict { send, explanation })).map_err(broken)
}
