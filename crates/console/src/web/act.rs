//! What people do: one action, sent to the actions topic under the key that the browser gave it.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use firewatch_domain::{Action, ActionKind, Channel, EventTime, SCHEMA_VERSION};
use serde::Deserialize;

use super::{Console, Problem};

/// Longest key.
const KEY_BYTES: usize = 100;

/// What is done, without who and when.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    conversation: String,
    kind: ActionKind,
    #[serde(default)]
    channel: Option<Channel>,
    #[serde(default)]
    team: Option<String>,
    #[serde(default)]
    until: Option<EventTime>,
}

/// Sends an action. Sent again with its key it changes nothing.
pub async fn act(
    State(console): State<Console>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let bad = |problem: String| Problem(StatusCode::BAD_REQUEST, problem);
    is_from_here(&headers)?;
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    let key = key.filter(|key| (1..=KEY_BYTES).contains(&key.len())).ok_or_else(|| {
        bad(format!("the header idempotency-key is missing; give 1 to {KEY_BYTES} characters that stay when it is sent again"))
    })?;
    let wanted: Wanted = serde_json::from_slice(&body).map_err(|e| bad(e.to_string()))?;
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
    let action = Action {
        v: SCHEMA_VERSION,
        id: key.to_owned(),
        conversation: wanted.conversation,
        at: (console.clock)(),
        by: "console".into(),
        kind: wanted.kind,
        channel: wanted.channel,
        team: wanted.team,
        until: wanted.until,
    };
    let act = console.act.clone();
    let sent = tokio::task::spawn_blocking(move || act(&action)).await;
    match sent {
        Ok(Ok(())) => Ok(StatusCode::ACCEPTED),
        Ok(Err(problem)) => Err(Problem(StatusCode::BAD_GATEWAY, format!("it was not sent: {problem}"))),
        Err(_) => Err(Problem(StatusCode::INTERNAL_SERVER_ERROR, "it was not sent".into())),
    }
}

/// Another site's page can send a request here, but neither this content type nor this origin.
fn is_from_here(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let is_json = text(header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json"));
    let origin = text(header::ORIGIN);
    let host = text(header::HOST).unwrap_or_default();
    let is_own = origin.is_none_or(|origin| origin.split_once("://").is_some_and(|(_, of)| of == host));
    if is_json && is_own {
        return Ok(());
    }
    Err(Problem(StatusCode::FORBIDDEN, "send application/json from a page of this console".into()))
}
