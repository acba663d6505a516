//! What was said and passed on in a conversation, looked up in the events when somebody asks. The console keeps none of it. All see it
//! redacted; who may see it as it was written says so, and that is put on record first.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use firewatch_domain::EventTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gate::From;
use super::{Console, Problem};
use crate::people::{Deed, Person, Right};

/// From so many followers on an account is a public voice, whose name PR is shown.
const PUBLIC: u64 = 10_000;
/// Voices that are told.
const VOICES: usize = 5;

/// A conversation as the events have it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Thread {
    /// What was said, in order.
    pub said: Vec<Said>,
    /// Who carried it furthest, the largest first.
    pub voices: Vec<Voice>,
    /// There is more than could be looked through.
    pub is_cut: bool,
}

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Said {
    /// When.
    pub at: EventTime,
    /// By whom.
    pub by: Voice,
    /// It is the brand's own answer.
    pub is_brand: bool,
    /// What.
    pub text: String,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Voice {
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
pub(super) struct Asked {
    /// As it was written. Only a privacy officer may ask for that, and it is put on record.
    pub unredacted: bool,
}

/// The thread of an escalation's conversation.
pub(super) async fn thread(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Extension(From(from)): Extension<From>,
    Path(id): Path<String>,
    Query(Asked { unredacted }): Query<Asked>,
) -> Result<Json<Thread>, Problem> {
    person.needs(if unredacted { Right::Unredacted } else { Right::Look })?;
    let Some((conversation, since)) = console.store.conversation(&id).await? else {
        return Err(Problem(StatusCode::NOT_FOUND, format!("there is no escalation {id:?}")));
    };
    if unredacted {
        console.people.note((&person.name, &from), Deed::Saw, &conversation, console.now()).await?;
    }
    // A look goes through much of a log: who asks waits for those who asked before.
    let _turn = console.gate.looks.acquire().await;
    let look_up = console.tools.look_up.clone();
    let found = tokio::task::spawn_blocking(move || look_up(&conversation, since)).await;
    let mut thread = match found {
        Ok(Ok(thread)) => thread,
        Ok(Err(problem)) => {
            return Err(Problem(StatusCode::BAD_GATEWAY, format!("the events cannot be read: {problem}")));
        }
        Err(_) => return Err(Problem(StatusCode::INTERNAL_SERVER_ERROR, "the events cannot be read".into())),
    };
    thread.voices.sort_by_key(|voice| std::cmp::Reverse(voice.followers));
    thread.voices.truncate(VOICES);
    if !unredacted {
        redact(&mut thread, &console, &person);
    }
    Ok(Json(thread))
}

fn redact(thread: &mut Thread, console: &Console, person: &Person) {
    let may_know = person.may(Right::Act);
    let hide = |voice: &mut Voice| {
        if !(may_know && voice.followers >= Some(PUBLIC)) {
            voice.name = None;
        }
    };
    thread.voices.iter_mut().for_each(hide);
    for said in thread.said.iter_mut().filter(|said| !said.is_brand) {
        said.text = (console.tools.redact)(&said.text);
        hide(&mut said.by);
    }
}
