//! Sign-in by password or identity provider, account set-up by invitation, and sign-out.

use askama::Template;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Json};
use serde::Deserialize;

use super::audit::write_refusal;
use super::auth::{ClientAddress, cookie, text};
use super::page::html;
use super::{Console, Problem, second_factor};
use crate::people::{Attempt, AuditAction, MAX_SESSION, MIN_PASSWORD_CHARS, Person};
use crate::settings::SignIn;
use crate::store::StoreError;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    /// Path to go to after sign-in.
    to: String,
    problem: String,
    by_password: bool,
}

#[derive(Template)]
#[template(path = "open_invitation.html")]
struct OpenInvitationPage {}

#[derive(Template)]
#[template(path = "set_up.html")]
struct SetUpPage {
    token: String,
    /// Empty for the first account.
    name: String,
    problem: String,
    min_password_chars: usize,
}

/// Returns `to` if it is a path of this console, else `/`. This prevents open redirects after sign-in.
pub(super) fn local_path(to: &str) -> &str {
    let is_path = to.starts_with('/') && !to.starts_with("//") && !to.contains(['\\', '\r', '\n', '\t']);
    if is_path { to } else { "/" }
}

/// Returns `to` if it is valid in a cookie value, else `/`.
fn cookie_safe(to: &str) -> &str {
    let is_plain = to.bytes().all(|b| b.is_ascii_graphic() && !b",;\"|".contains(&b));
    if is_plain { to } else { "/" }
}

#[derive(Deserialize)]
pub(super) struct ReturnTo {
    #[serde(default)]
    to: String,
}

/// Serves the sign-in page.
pub(super) async fn page(
    State(console): State<Console>,
    Query(ReturnTo { to }): Query<ReturnTo>,
) -> Result<Response, Problem> {
    sign_in_page(&console, &to, "")
}

pub(super) fn sign_in_page(console: &Console, to: &str, problem: &str) -> Result<Response, Problem> {
    let by_password = console.auth.sign_in == SignIn::Local;
    html(&SignInPage { to: local_path(to).into(), problem: problem.into(), by_password })
}

#[derive(Deserialize)]
pub(super) struct Credentials {
    name: String,
    password: String,
    #[serde(default)]
    to: String,
}

/// Signs in by name and password and starts a session.
pub(super) async fn sign_in(
    State(console): State<Console>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    headers: HeaderMap,
    Form(Credentials { name, password, to }): Form<Credentials>,
) -> Result<Response, Problem> {
    if console.auth.sign_in != SignIn::Local {
        return Err(Problem(StatusCode::NOT_FOUND, "password sign-in is not enabled".into()));
    }
    let (name, now) = (name.trim(), console.now());
    let who: String = name.chars().take(64).collect();
    match console.auth.limits.sign_in(name, &from) {
        Attempt::Tried(delay) => tokio::time::sleep(delay).await,
        Attempt::Refused => {
            write_refusal(&console, &who, &from, "too many attempts").await?;
            let page = sign_in_page(&console, &to, "Too many attempts. Wait a minute, then try again.")?;
            return Ok((StatusCode::TOO_MANY_REQUESTS, page).into_response());
        }
    }
    let verified = console.people.verify_password(name, password).await;
    if matches!(verified, Err(StoreError::Busy)) {
        write_refusal(&console, &who, &from, "too many sign-ins at once").await?;
    }
    if !verified? {
        write_refusal(&console, &who, &from, "wrong name or password").await?;
        let page = sign_in_page(&console, &to, "Wrong name or password.")?;
        return Ok((StatusCode::UNAUTHORIZED, page).into_response());
    }
    if let Some(page) = second_factor::ask_for_code(&console, &headers, name, &to).await? {
        return Ok(page);
    }
    console.people.write_audit(name, &from, AuditAction::SignedIn, "by password", now).await?;
    let token = console.people.begin_session(name, text(&headers, header::USER_AGENT), now).await?;
    start_session(&console, &headers, &token, local_path(&to)).await
}

/// Answers with the cookie of a new session. The session that the browser had before ends.
pub(super) async fn start_session(
    console: &Console,
    headers: &HeaderMap,
    token: &str,
    to: &str,
) -> Result<Response, Problem> {
    if let Some(before) = cookie(headers, console.auth.session_cookie_name()) {
        console.people.end_session(before).await?;
    }
    let secs = MAX_SESSION.as_millis() / 1000;
    let cookie = console.auth.set_cookie(console.auth.session_cookie_name(), token, secs);
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(to)).into_response())
}

/// Redirects the browser to the identity provider.
pub(super) async fn start(
    State(console): State<Console>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    Query(ReturnTo { to }): Query<ReturnTo>,
) -> Result<Response, Problem> {
    let Some(oidc) = &console.auth.oidc else { return Ok(Redirect::to("/sign-in").into_response()) };
    check_address_limit(&console, &from)?;
    let started = oidc.start(&console.people, console.now()).await;
    let started = started.map_err(|e| Problem(StatusCode::BAD_GATEWAY, e.to_string()))?;
    let cookie = console.auth.set_cookie(
        console.auth.sign_in_cookie_name(),
        &format!("{}|{}", started.state, cookie_safe(local_path(&to))),
        600,
    );
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&started.url)).into_response())
}

fn check_address_limit(console: &Console, from: &str) -> Result<(), Problem> {
    if console.auth.limits.try_link(from) {
        return Ok(());
    }
    Err(Problem(StatusCode::TOO_MANY_REQUESTS, "too many attempts; wait a minute".into()))
}

#[derive(Deserialize)]
pub(super) struct ProviderCallback {
    #[serde(default)]
    code: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    error: String,
}

/// Handles the redirect back from the identity provider and starts a session.
pub(super) async fn callback(
    State(console): State<Console>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    headers: HeaderMap,
    Query(ProviderCallback { code, state, error }): Query<ProviderCallback>,
) -> Result<Response, Problem> {
    let Some(oidc) = &console.auth.oidc else { return Ok(Redirect::to("/sign-in").into_response()) };
    let (begun, to) = cookie(&headers, console.auth.sign_in_cookie_name())
        .and_then(|kept| kept.split_once('|'))
        .unwrap_or_default();
    check_address_limit(&console, &from)?;
    if !error.is_empty() || state.is_empty() || begun != state {
        let shown: String =
            error.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect();
        let why = if shown.is_empty() {
            "The sign-in was not started in this browser.".into()
        } else {
            format!("The identity provider returned the error {shown}.")
        };
        let page = sign_in_page(&console, to, &format!("Sign-in failed. {why}"))?;
        return Ok((StatusCode::UNAUTHORIZED, page).into_response());
    }
    let now = console.now();
    match oidc.finish(&console.people, &code, &state, now).await {
        Ok((name, roles)) => {
            console
                .people
                .write_audit(&name, &from, AuditAction::SignedIn, "by the identity provider", now)
                .await?;
            let agent = text(&headers, header::USER_AGENT);
            let token = console.people.begin_session_with_roles(&name, &roles, agent, now).await?;
            start_session(&console, &headers, &token, local_path(to)).await
        }
        Err(e) => {
            let problem = e.to_string();
            write_refusal(&console, "-", &from, &problem).await?;
            let page = sign_in_page(&console, to, &format!("Sign-in failed: {problem}."))?;
            Ok((StatusCode::UNAUTHORIZED, page).into_response())
        }
    }
}

#[derive(Deserialize)]
pub(super) struct InvitationToken {
    #[serde(default)]
    token: String,
}

/// Serves the page that takes the token from the end of the link. Links of earlier versions have it in the query.
pub(super) async fn set_up_page(
    State(console): State<Console>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    Query(InvitationToken { token }): Query<InvitationToken>,
) -> Result<Response, Problem> {
    if token.is_empty() {
        return html(&OpenInvitationPage {});
    }
    account_page(&console, &from, token).await
}

/// Serves the account page of an invitation, or of the first account.
pub(super) async fn open_invitation(
    State(console): State<Console>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    Form(InvitationToken { token }): Form<InvitationToken>,
) -> Result<Response, Problem> {
    account_page(&console, &from, token).await
}

async fn account_page(console: &Console, from: &str, token: String) -> Result<Response, Problem> {
    check_address_limit(console, from)?;
    match console.people.invitation(&token, console.now()).await? {
        Some(invitation) => html(&SetUpPage {
            token,
            name: invitation.name,
            problem: String::new(),
            min_password_chars: MIN_PASSWORD_CHARS,
        }),
        None => {
            Err(Problem(StatusCode::FORBIDDEN, "this link was used or has expired; ask for a new one".into()))
        }
    }
}

#[derive(Deserialize)]
pub(super) struct NewAccount {
    token: String,
    #[serde(default)]
    name: String,
    password: String,
}

/// Creates the account of an invitation and starts a session.
pub(super) async fn set_up(
    State(console): State<Console>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    headers: HeaderMap,
    Form(NewAccount { token, name, password }): Form<NewAccount>,
) -> Result<Response, Problem> {
    let now = console.now();
    check_address_limit(&console, &from)?;
    let invited = console.people.invitation(&token, now).await?.map(|invitation| invitation.name);
    let accounts = console.people.accounts().await?;
    let had_account = accounts.iter().any(|account| invited.as_ref() == Some(&account.name));
    match console.people.accept(&token, &name, password, now).await? {
        Ok(name) => {
            let deed = if had_account { AuditAction::ResetPassword } else { AuditAction::Joined };
            console.people.write_audit(&name, &from, deed, "by an invitation", now).await?;
            if let Some(page) = second_factor::ask_for_code(&console, &headers, &name, "/").await? {
                return Ok(page);
            }
            let session =
                console.people.begin_session(&name, text(&headers, header::USER_AGENT), now).await?;
            start_session(&console, &headers, &session, "/").await
        }
        Err(e) => {
            let problem = e.to_string();
            let name = invited.unwrap_or_default();
            let page = html(&SetUpPage { token, name, problem, min_password_chars: MIN_PASSWORD_CHARS })?;
            Ok((StatusCode::BAD_REQUEST, page).into_response())
        }
    }
}

/// Ends the session and clears its cookie.
pub(super) async fn sign_out(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    headers: HeaderMap,
    Form(CsrfForm { csrf }): Form<CsrfForm>,
) -> Result<Response, Problem> {
    person.check_csrf(&csrf)?;
    if let Some(token) = cookie(&headers, console.auth.session_cookie_name()) {
        console.people.end_session(token).await?;
        console.people.write_audit(&person.name, &from, AuditAction::SignedOut, "", console.now()).await?;
    }
    let gone = console.auth.set_cookie(console.auth.session_cookie_name(), "", 0);
    Ok(([(header::SET_COOKIE, gone)], Redirect::to("/sign-in")).into_response())
}

#[derive(Deserialize)]
pub(super) struct CsrfForm {
    pub csrf: String,
}

/// Returns the person who is signed in, with the CSRF token of the session.
pub(super) async fn me(Extension(person): Extension<Person>) -> Json<Person> {
    Json(person)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere_after_signing_in() {
        for elsewhere in
            ["", "https://evil.example", "//evil.example", "/\\evil.example", "javascript:x", "/a\r\nb"]
        {
            assert_eq!(local_path(elsewhere), "/", "{elsewhere:?}");
        }
        assert_eq!(
            [cookie_safe("/a?b=c"), cookie_safe("/;Domain=x"), cookie_safe("/\u{e4}")],
            ["/a?b=c", "/", "/"]
        );
        assert_eq!(local_path("/escalations/c-1/x?y=1"), "/escalations/c-1/x?y=1");
    }
}
