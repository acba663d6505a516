//! The posts of a conversation, read from the events topic on demand and never stored by the console.
//!
//! Everybody sees the text redacted. A privacy officer can ask for the original text; the request is written
//! to the audit trail before the text is read. It needs a password or a code of the last 15 minutes.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use firewatch_domain::EventTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::auth::ClientAddress;
use super::{Console, Problem, confirm};
use crate::people::{AuditAction, Person, Right};

/// Accounts with at least this many followers are public voices: responders see their names.
const PUBLIC_FOLLOWERS: u64 = 10_000;
/// Maximum number of voices in a response.
const MAX_VOICES: usize = 5;

/// The posts and the largest accounts of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Thread {
    /// The posts, in order of time.
    #[serde(rename = "said")]
    pub posts: Vec<ThreadPost>,
    /// The accounts with the most followers, the largest first.
    pub voices: Vec<Participant>,
    /// The search hit its limit, so posts may be missing.
    pub is_cut: bool,
}

/// A post of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Said")]
pub struct ThreadPost {
    /// When it was posted.
    pub at: EventTime,
    /// Its author.
    pub by: Participant,
    /// Whether it is the brand's own reply.
    pub is_brand: bool,
    /// Its text, redacted unless the original was asked for.
    pub text: String,
}

/// An account that took part in a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Voice")]
pub struct Participant {
    /// Its name; `None` if it is hidden or unknown.
    pub name: Option<String>,
    /// Its followers, if known.
    pub followers: Option<u64>,
    /// What it did, such as posting or resharing.
    pub did: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
#[schemars(rename = "Asked")]
pub(super) struct ThreadQuery {
    /// Return the original text instead of the redacted one. Requires a privacy officer whose session has a password or
    /// a code of the last 15 minutes, see `/confirm`; every request is audited.
    pub unredacted: bool,
}

/// Returns the posts of an escalation's conversation.
pub(super) async fn thread(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(ThreadQuery { unredacted }): Query<ThreadQuery>,
) -> Result<Json<Thread>, Problem> {
    person.require(if unredacted { Right::Unredacted } else { Right::View })?;
    let Some((conversation, since)) = console.store.conversation(&id).await? else {
        return Err(Problem(StatusCode::NOT_FOUND, format!("there is no escalation {id:?}")));
    };
    if unredacted {
        confirm::require_fresh_proof(&console, &headers).await?;
        console
            .people
            .write_audit(&person.name, &from, AuditAction::ViewedUnredacted, &conversation, console.now())
            .await?;
    }
    // A lookup scans much of a log, so only a few run at a time and later requests wait. It keeps its turn until it is
    // done, also when the client has hung up.
    let turn = console.auth.thread_lookups.clone().acquire_owned().await;
    let find_thread = console.tools.find_thread.clone();
    let found = tokio::task::spawn_blocking(move || {
        let found = find_thread(&conversation, since);
        drop(turn);
        found
    });
    let found = found.await;
    let mut thread = match found {
        Ok(Ok(thread)) => thread,
        Ok(Err(problem)) => {
            return Err(Problem(StatusCode::BAD_GATEWAY, format!("cannot read the events: {problem}")));
        }
        Err(_) => return Err(Problem(StatusCode::INTERNAL_SERVER_ERROR, "cannot read the events".into())),
    };
    thread.voices.sort_by_key(|voice| std::cmp::Reverse(voice.followers));
    thread.voices.truncate(MAX_VOICES);
    if !unredacted {
        redact(&mut thread, &console, &person);
    }
    Ok(Json(thread))
}

fn redact(thread: &mut Thread, console: &Console, person: &Person) {
    let may_know = person.may(Right::Act);
    let hide = |voice: &mut Participant| {
        if !(may_know && voice.followers >= Some(PUBLIC_FOLLOWERS)) {
            voice.name = None;
        }
    };
    thread.voices.iter_mut().for_each(hide);
    // A reply of the brand may repeat what the author should not have written.
    for post in &mut thread.posts {
        post.text = (console.tools.redact)(&post.text);
        if !post.is_brand {
            hide(&mut post.by);
        }
    }
}
