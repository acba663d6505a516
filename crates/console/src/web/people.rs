//! The page and the API of accounts and invitations.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::auth::ClientAddress;
use super::page::{PageFrame, html};
use super::{Console, Problem};
use crate::people::{
    AccountError, AuditAction, LocalAccount, OpenInvitation, Person, Right, Role, check_name,
};
use crate::settings::SignIn;

#[derive(Template)]
#[template(path = "people.html")]
struct PeoplePage {
    frame: PageFrame,
    accounts: Vec<LocalAccount>,
    invitations: Vec<OpenInvitation>,
    roles: [Role; 4],
    /// Accounts are local and not managed by an identity provider.
    are_local: bool,
}

/// Returns the local accounts.
pub(super) async fn list(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
) -> Result<Json<Vec<LocalAccount>>, Problem> {
    person.require(Right::Manage)?;
    Ok(Json(console.people.accounts().await?))
}

/// Serves the page of accounts, with the invitation form.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
) -> Result<Response, Problem> {
    person.require(Right::Manage)?;
    let accounts = console.people.accounts().await?;
    let invitations = console.people.invitations(console.now()).await?;
    let are_local = console.auth.sign_in == SignIn::Local;
    let frame = PageFrame::new(&console, person);
    html(&PeoplePage { frame, accounts, invitations, roles: Role::ALL, are_local })
}

/// Returns the open invitations.
pub(super) async fn invitations(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
) -> Result<Json<Vec<OpenInvitation>>, Problem> {
    person.require(Right::Manage)?;
    Ok(Json(console.people.invitations(console.now()).await?))
}

/// Withdraws an invitation.
pub(super) async fn withdraw(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    person.require(Right::Manage)?;
    console.people.write_audit(&person.name, &from, AuditAction::Withdrew, &name, console.now()).await?;
    if console.people.withdraw(&name).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem(StatusCode::NOT_FOUND, format!("there is no invitation of {name:?}")))
}

/// An invitation to create.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Invite {
    /// The name to sign in with. If it has an account, the invitation replaces its roles and password.
    name: String,
    /// The roles of the account.
    roles: Vec<Role>,
}

/// A created invitation.
#[derive(Serialize, JsonSchema)]
pub(super) struct Invited {
    /// Path of the page to choose a password at; valid for 24 hours and one use.
    path: String,
}

/// Creates an invitation. Only a privacy officer may grant that role, or invite the name of an account that
/// has it.
pub(super) async fn invite(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    Json(Invite { name, roles }): Json<Invite>,
) -> Result<Json<Invited>, Problem> {
    person.require(Right::Manage)?;
    let bad = |problem: String| Problem(StatusCode::BAD_REQUEST, problem);
    let name = name.trim();
    check_name(name).map_err(|e| bad(e.to_string()))?;
    if console.people.is_like_another(name).await? {
        return Err(bad(AccountError::NameLikeAnother.to_string()));
    }
    if roles.is_empty() {
        return Err(bad("at least one role is required".into()));
    }
    // Without the right to unredacted text nobody may grant it, or take over an account that has it.
    let accounts = console.people.accounts().await?;
    let taken_over = accounts.iter().filter(|account| account.name == name);
    if taken_over.flat_map(|account| &account.roles).chain(&roles).any(|role| *role == Role::PrivacyOfficer) {
        person.require(Right::Unredacted)?;
    }
    if officers(&accounts) == [name] && !roles.contains(&Role::PrivacyOfficer) {
        return Err(last_officer());
    }
    let now = console.now();
    let listed = roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
    console
        .people
        .write_audit(&person.name, &from, AuditAction::Invited, &format!("{name} as {listed}"), now)
        .await?;
    let token = console.people.invite(name, &roles, now).await?;
    Ok(Json(Invited { path: format!("/set-up#token={token}") }))
}

/// Removes an account with its sessions and invitations. Only a privacy officer may remove another one, and the last
/// one stays: nobody could make another, nor read the audit trail.
pub(super) async fn remove(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    person.require(Right::Manage)?;
    if name == person.name {
        return Err(Problem(
            StatusCode::CONFLICT,
            "you cannot remove yourself; ask another policy owner".into(),
        ));
    }
    let accounts = console.people.accounts().await?;
    let officers = officers(&accounts);
    if officers.contains(&name.as_str()) {
        person.require(Right::Unredacted)?;
        if officers.len() == 1 {
            return Err(last_officer());
        }
    }
    console.people.write_audit(&person.name, &from, AuditAction::Removed, &name, console.now()).await?;
    if console.people.remove(&name).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem(StatusCode::NOT_FOUND, format!("there is no account {name:?}")))
}

/// Returns the names of the privacy officers.
fn officers(accounts: &[LocalAccount]) -> Vec<&str> {
    let officers = accounts.iter().filter(|account| account.roles.contains(&Role::PrivacyOfficer));
    officers.map(|account| account.name.as_str()).collect()
}

fn last_officer() -> Problem {
    let problem = "the last privacy officer stays one; make another one first".to_owned();
    Problem(StatusCode::CONFLICT, problem)
}
