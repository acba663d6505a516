//! Confirming who is there: a person whose last password or code is older than 15 minutes enters one again before the
//! console shows original text or a new secret.
//!
//! Only sessions of local accounts are asked. The identity provider decides how often its people sign in.

use askama::Template;
use axum::Extension;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::auth::{ClientAddress, cookie};
use super::page::{PageFrame, html};
use super::second_factor::{CodeRefusal, accept_code};
use super::sign_in::local_path;
use super::{Console, Problem};
use crate::people::{Attempt, AuditAction, PROOF_LIFETIME, Person};
use crate::settings::SignIn;
use crate::store::StoreError;

#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage {
    frame: PageFrame,
    /// Path to go to afterwards.
    to: String,
    problem: String,
    /// A code is asked for, and not the password.
    by_code: bool,
    minutes: i64,
}

#[derive(Deserialize)]
pub(super) struct ReturnTo {
    #[serde(default)]
    to: String,
}

/// Returns whether a session needs no other proof of who is there.
pub(super) async fn has_fresh_proof(console: &Console, headers: &HeaderMap) -> Result<bool, StoreError> {
    if console.auth.sign_in != SignIn::Local {
        return Ok(true);
    }
    match cookie(headers, console.auth.session_cookie_name()) {
        Some(session) => console.people.has_fresh_proof(session, console.now()).await,
        None => Ok(false),
    }
}

/// Returns a 403 problem that says what to do if the last password or code of a session is too old.
pub(super) async fn require_fresh_proof(console: &Console, headers: &HeaderMap) -> Result<(), Problem> {
    if has_fresh_proof(console, headers).await? {
        return Ok(());
    }
    let minutes = PROOF_LIFETIME.as_millis() / 60_000;
    let problem = format!(
        "your last password or code is older than {minutes} minutes; confirm that it is you at /confirm, then try again"
    );
    Err(Problem(StatusCode::FORBIDDEN, problem))
}

/// Serves the page that asks for a code, or for the password of an account without a second factor.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Query(ReturnTo { to }): Query<ReturnTo>,
) -> Result<Response, Problem> {
    if console.auth.sign_in != SignIn::Local {
        return Ok(Redirect::to(local_path(&to)).into_response());
    }
    confirm_page(&console, person, &to, "").await
}

async fn confirm_page(
    console: &Console,
    person: Person,
    to: &str,
    problem: &str,
) -> Result<Response, Problem> {
    let by_code = console.people.has_second_factor(&person.name).await?;
    html(&ConfirmPage {
        frame: PageFrame::new(console, person),
        to: local_path(to).into(),
        problem: problem.into(),
        by_code,
        minutes: PROOF_LIFETIME.as_millis() / 60_000,
    })
}

#[derive(Deserialize)]
pub(super) struct Proof {
    csrf: String,
    /// A code, or the password of an account without a second factor.
    proof: String,
    #[serde(default)]
    to: String,
}

/// Checks a code or a password, and notes in the session that it was entered.
pub(super) async fn confirm(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    headers: HeaderMap,
    Form(Proof { csrf, proof, to }): Form<Proof>,
) -> Result<Response, Problem> {
    person.check_csrf(&csrf)?;
    let session = cookie(&headers, console.auth.session_cookie_name());
    let Some(session) = session.filter(|_| console.auth.sign_in == SignIn::Local) else {
        return Ok(Redirect::to(local_path(&to)).into_response());
    };
    // A stolen session must not be a way to guess the password or a code.
    match console.auth.limits.sign_in(&person.name, &from) {
        Attempt::Tried(delay) => tokio::time::sleep(delay).await,
        Attempt::Refused => {
            let page =
                confirm_page(&console, person, &to, "Too many attempts. Wait a minute, then try again.")
                    .await?;
            return Ok((StatusCode::TOO_MANY_REQUESTS, page).into_response());
        }
    }
    let refused = if console.people.has_second_factor(&person.name).await? {
        accept_code(&console, &person.name, &from, &proof, "in a session").await?.err()
    } else if console.people.verify_password(&person.name, proof).await? {
        None
    } else {
        let (name, now) = (&person.name, console.now());
        console.people.write_audit(name, &from, AuditAction::WrongPassword, "in a session", now).await?;
        Some(CodeRefusal { status: StatusCode::UNAUTHORIZED, message: "Wrong password." })
    };
    if let Some(CodeRefusal { status, message }) = refused {
        let page = confirm_page(&console, person, &to, message).await?;
        return Ok((status, page).into_response());
    }
    console.people.note_proof(session, console.now()).await?;
    Ok(Redirect::to(local_path(&to)).into_response())
}
