//! What was said and passed on in a conversation, looked up in the events when somebody asks. The console keeps none of it. All see it
//! redacted; who may see it as it was written says so, and that is put on record first.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use firewatch_domain::EventTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::auth::ClientAddress;
use super::{Console, Problem};
use crate::people::{AuditAction, Person, Right};

/// From so many followers on an account is a public voice, whose name PR is shown.
const PUBLIC_FOLLOWERS: u64 = 10_000;
/// Voices that are told.
const MAX_VOICES: usize = 5;

/// A conversation as the events have it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Thread {
    /// What was said, in order.
    #[serde(rename = "said")]
    pub posts: Vec<ThreadPost>,
    /// Who carried it furthest, the largest first.
    pub voices: Vec<Participant>,
    /// There is more than could be looked through.
    pub is_cut: bool,
}

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Said")]
pub struct ThreadPost {
    /// When.
    pub at: EventTime,
    /// By whom.
    pub by: Participant,
    /// It is the brand's own answer.
    pub is_brand: bool,
    /// What.
    pub text: String,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Voice")]
pub struct Participant {
    /// Its name; none where it is not told.
    pub name: Option<String>,
    /// Its followers, when known.
    pub followers: Option<u64>,
    /// What it did, in words.
    pub did: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
#[schemars(rename = "Asked")]
pub(super) struct ThreadQuery {
    /// As it was written. Only a privacy officer may ask for that, and it is put on record.
    pub unredacted: bool,
}

/// The thread of an escalation's conversation.
pub(super) async fn thread(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    Path(id): Path<String>,
    Query(ThreadQuery { unredacted }): Query<ThreadQuery>,
) -> Result<Json<Thread>, Problem> {
    person.require(if unredacted { Right::Unredacted } else { Right::View })?;
    let Some((conversation, since)) = console.store.conversation(&id).await? else {
        return Err(Problem(StatusCode::NOT_FOUND, format!("there is no escalation {id:?}")));
    };
    if unredacted {
        console
            .people
            .write_audit((&person.name, &from), AuditAction::ViewedUnredacted, &conversation, console.now())
            .await?;
    }
    // A look goes through much of a log: who asks waits for those who asked before.
    let _turn = console.auth.thread_lookups.acquire().await;
    let find_thread = console.tools.find_thread.clone();
    let found = tokio::task::spawn_blocking(move || find_thread(&conversation, since)).await;
    let mut thread = match found {
        Ok(Ok(thread)) => thread,
        Ok(Err(problem)) => {
            return Err(Problem(StatusCode::BAD_GATEWAY, format!("the events cannot be read: {problem}")));
        }
        Err(_) => return Err(Problem(StatusCode::INTERNAL_SERVER_ERROR, "the events cannot be read".into())),
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
    for post in thread.posts.iter_mut().filter(|post| !post.is_brand) {
        post.text = (console.tools.redact)(&post.text);
        hide(&mut post.by);
    }
}
