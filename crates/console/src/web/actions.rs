//! What people do about escalations: sends actions to the actions topic, and checks drafts of public replies.

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

/// Maximum length of the `idempotency-key` header, in bytes.
const KEY_BYTES: usize = 100;

/// An action to send; the server adds its author and time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Wanted")]
pub(super) struct ActionRequest {
    /// The conversation id of the escalation's record; storms have one, too.
    conversation: String,
    /// The kind of action.
    kind: ActionKind,
    /// For `hand_off`: the channel in which the conversation continues.
    #[serde(default)]
    channel: Option<Channel>,
    /// The id of the escalation that it is about. Without it and a team: every team's escalation of the
    /// conversation.
    #[serde(default)]
    escalation: Option<String>,
    /// For `hand_over`: the team that takes over. Else the team whose escalation it is about.
    #[serde(default)]
    team: Option<String>,
    /// For `silence`: when the silence ends.
    #[serde(default)]
    until: Option<EventTime>,
}

/// Sends an action to the actions topic. A repeat with the same `idempotency-key` has no effect.
pub(super) async fn act(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let bad = |problem: String| Problem(StatusCode::BAD_REQUEST, problem);
    person.require(Right::Act)?;
    // Another site's page can submit a form here, but cannot send JSON.
    if !text(&headers, header::CONTENT_TYPE).starts_with("application/json") {
        return Err(Problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content type: use application/json".into()));
    }
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    let key = key.filter(|key| (1..=KEY_BYTES).contains(&key.len())).ok_or_else(|| {
        bad(format!(
            "the header idempotency-key is missing; use 1 to {KEY_BYTES} characters, the same in a retry"
        ))
    })?;
    let wanted: ActionRequest = serde_json::from_slice(&body).map_err(|e| bad(e.to_string()))?;
    let missing = match wanted.kind {
        ActionKind::HandOver if wanted.team.is_none() => Some("team"),
        ActionKind::Silence if wanted.until.is_none() => Some("until"),
        ActionKind::HandOff if wanted.channel.is_none() => Some("channel"),
        _ => None,
    };
    if let Some(missing) = missing {
        return Err(bad(format!("`{missing}` is missing; this kind of action requires it")));
    }
    if let Some(team) = wanted.team.as_ref().filter(|team| !console.teams.contains(team)) {
        return Err(bad(format!("{team:?}: unknown team; use one of {}", console.teams.join(", "))));
    }
    if !console.store.has_conversation(&wanted.conversation).await? {
        let problem = format!("there is no escalation about the conversation {:?}", wanted.conversation);
        return Err(Problem(StatusCode::NOT_FOUND, problem));
    }
    if let Some(id) = &wanted.escalation {
        check_escalation(&console, &wanted, id, &person).await?;
    }
    let now = console.now();
    let about = format!(
        "{} {}",
        serde_json::to_string(&wanted.kind).unwrap_or_default().trim_matches('"'),
        wanted.conversation
    );
    console.people.write_audit(&person.name, &from, AuditAction::Acted, &about, now).await?;
    let action = Action {
        v: SCHEMA_VERSION,
        id: key.to_owned(),
        conversation: wanted.conversation,
        at: now,
        by: person.name,
        kind: wanted.kind,
        channel: wanted.channel,
        team: wanted.team,
        escalation: wanted.escalation,
        until: wanted.until,
    };
    let act = console.tools.send_action.clone();
    let sent = tokio::task::spawn_blocking(move || act(&action)).await;
    match sent {
        Ok(Ok(())) => Ok(StatusCode::ACCEPTED),
        Ok(Err(problem)) => Err(Problem(StatusCode::BAD_GATEWAY, format!("action not sent: {problem}"))),
        Err(_) => Err(Problem(StatusCode::INTERNAL_SERVER_ERROR, "action not sent".into())),
    }
}

/// Refuses what cannot have an effect: an acknowledgement of what somebody else has, a hand-over to the team that
/// owns it, and any action on a closed escalation but those that open it again or judge it.
async fn check_escalation(
    console: &Console,
    wanted: &ActionRequest,
    id: &str,
    person: &Person,
) -> Result<(), Problem> {
    use ActionKind::{Noise, Reopen, Undo, Useful};
    let Some((team, taken_by, live)) = console.store.owner(id, &wanted.conversation).await? else {
        let problem =
            format!("there is no escalation {id:?} about the conversation {:?}", wanted.conversation);
        return Err(Problem(StatusCode::NOT_FOUND, problem));
    };
    let conflict = |problem: String| Err(Problem(StatusCode::CONFLICT, problem));
    match wanted.kind {
        kind if !live && !matches!(kind, Noise | Reopen | Undo | Useful) => {
            conflict("it is closed; reopen it first".into())
        }
        ActionKind::Acknowledge if !taken_by.is_empty() && taken_by != person.name => {
            conflict(format!("{taken_by} has it"))
        }
        ActionKind::HandOver if wanted.team.as_ref() == Some(&team) => {
            conflict(format!("{team} has it already"))
        }
        _ => Ok(()),
    }
}

/// The draft of a public reply.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Draft {
    /// The text of the draft.
    draft: String,
}

/// The result of checking a draft.
#[derive(Serialize, JsonSchema)]
pub(super) struct Verdict {
    /// Whether nothing was found that must not be said in public.
    send: bool,
    /// Why it may not be sent, or what it offers the customer.
    #[serde(rename = "said")]
    explanation: String,
}

/// Looks in a drafted reply for what must not be said in public. The draft is never stored.
pub(super) async fn guard(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Json(Draft { draft }): Json<Draft>,
) -> Result<Json<Verdict>, Problem> {
    person.require(Right::Act)?;
    let guard = console.tools.guard.clone();
    let checked = tokio::task::spawn_blocking(move || guard(&draft)).await;
    let broken = |_| Problem(StatusCode::INTERNAL_SERVER_ERROR, "the draft could not be checked".into());
    checked.map(|(send, explanation)| Json(Verdict { send, explanation })).map_err(broken)
}
