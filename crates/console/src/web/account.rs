//! A person's own account: the password. The second factor has [pages of its own](super::second_factor).

use askama::Template;
use axum::Extension;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::auth::{ClientAddress, text};
use super::page::{PageFrame, html};
use super::sign_in::start_session;
use super::{Console, Problem};
use crate::people::{Attempt, AuditAction, MIN_PASSWORD_CHARS, Person};
use crate::settings::SignIn;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: PageFrame,
    problem: String,
    min_password_chars: usize,
    /// The account is local and not managed by an identity provider.
    is_local: bool,
    has_second_factor: bool,
}

/// Serves the page of the person's account.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
) -> Result<Response, Problem> {
    account_page(&console, person, "").await
}

async fn account_page(console: &Console, person: Person, problem: &str) -> Result<Response, Problem> {
    let has_second_factor = console.people.has_second_factor(&person.name).await?;
    html(&AccountPage {
        frame: PageFrame::new(console, person),
        problem: problem.into(),
        min_password_chars: MIN_PASSWORD_CHARS,
        is_local: console.auth.sign_in == SignIn::Local,
        has_second_factor,
    })
}

#[derive(Deserialize)]
pub(super) struct PasswordChange {
    csrf: String,
    present: String,
    new: String,
}

/// Changes the person's password, ends the other sessions and starts a new one.
pub(super) async fn change_password(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    headers: HeaderMap,
    Form(PasswordChange { csrf, present, new }): Form<PasswordChange>,
) -> Result<Response, Problem> {
    person.check_csrf(&csrf)?;
    if console.auth.sign_in != SignIn::Local {
        return Err(Problem(StatusCode::NOT_FOUND, "there are no local accounts".into()));
    }
    // A stolen session must not be a way to guess the password.
    if console.auth.limits.sign_in(&person.name, &from) == Attempt::Refused {
        return Err(Problem(StatusCode::TOO_MANY_REQUESTS, "too many attempts; wait a minute".into()));
    }
    let now = console.now();
    match console.people.change_password(&person.name, present, new).await? {
        Ok(()) => {
            console.people.write_audit(&person.name, &from, AuditAction::ChangedPassword, "", now).await?;
            let agent = text(&headers, header::USER_AGENT);
            let session = console.people.begin_session(&person.name, agent, now).await?;
            start_session(&console, &headers, &session, "/").await
        }
        Err(problem) => {
            let page = account_page(&console, person, &format!("Not changed: {problem}.")).await?;
            Ok((StatusCode::BAD_REQUEST, page).into_response())
        }
    }
}
