//! Who may use the console, and the audit trail.

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
use crate::people::{AuditAction, AuditEntry, LocalAccount, Person, Right, Role, check_name};
use crate::settings::SignIn;

/// Entries of the audit trail that are shown.
const MAX_AUDIT_ENTRIES: u32 = 500;

#[derive(Template)]
#[template(path = "people.html")]
struct PeoplePage {
    frame: PageFrame,
    accounts: Vec<LocalAccount>,
    roles: [Role; 4],
    /// Accounts are kept here, and not by an identity provider.
    are_local: bool,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: PageFrame,
    entries: Vec<AuditEntry>,
}

/// Local accounts.
pub(super) async fn list(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
) -> Result<Json<Vec<LocalAccount>>, Problem> {
    person.require(Right::Manage)?;
    Ok(Json(console.people.accounts().await?))
}

/// Accounts, with a form to invite somebody.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
) -> Result<Response, Problem> {
    person.require(Right::Manage)?;
    let accounts = console.people.accounts().await?;
    let are_local = console.auth.sign_in == SignIn::Local;
    html(&PeoplePage { frame: PageFrame::new(&console, person), accounts, roles: Role::ALL, are_local })
}

/// Whom to invite.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Invite {
    /// The name they sign in with. One that has an account gets these roles and a new password.
    name: String,
    /// Their roles.
    roles: Vec<Role>,
}

/// The invitation.
#[derive(Serialize, JsonSchema)]
pub(super) struct Invited {
    /// The path of the page at which they choose a password; it holds for a day, once.
    path: String,
}

/// Makes an invitation. Roles that one has not oneself can be given only by who is a privacy officer, too, for that one.
pub(super) async fn invite(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    Json(Invite { name, roles }): Json<Invite>,
) -> Result<Json<Invited>, Problem> {
    person.require(Right::Manage)?;
    let bad = |problem: String| Problem(StatusCode::BAD_REQUEST, problem);
    let name = name.trim();
    check_name(name).map_err(bad)?;
    if roles.is_empty() {
        return Err(bad("give at least one role".into()));
    }
    // Whoever may not see what is unredacted may let nobody see it, and take over nobody who does.
    let accounts = console.people.accounts().await?;
    let taken_over = accounts.iter().filter(|account| account.name == name);
    if taken_over.flat_map(|account| &account.roles).chain(&roles).any(|role| *role == Role::PrivacyOfficer) {
        person.require(Right::Unredacted)?;
    }
    let now = console.now();
    let listed = roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
    console
        .people
        .write_audit((&person.name, &from), AuditAction::Invited, &format!("{name} as {listed}"), now)
        .await?;
    let token = console.people.invite(name, &roles, now).await?;
    Ok(Json(Invited { path: format!("/set-up?token={token}") }))
}

/// Removes an account.
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
    console.people.write_audit((&person.name, &from), AuditAction::Removed, &name, console.now()).await?;
    if console.people.remove(&name).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem(StatusCode::NOT_FOUND, format!("there is no account {name:?}")))
}

/// The audit trail.
pub(super) async fn audit(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
) -> Result<Json<Vec<AuditEntry>>, Problem> {
    Ok(Json(entries(&console, &person, &from).await?))
}

/// The audit trail, as a page.
pub(super) async fn audit_page(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
) -> Result<Response, Problem> {
    let entries = entries(&console, &person, &from).await?;
    html(&AuditPage { frame: PageFrame::new(&console, person), entries })
}

async fn entries(console: &Console, person: &Person, from: &str) -> Result<Vec<AuditEntry>, Problem> {
    person.require(Right::Unredacted)?;
    console.people.write_audit((&person.name, from), AuditAction::ReadAuditTrail, "", console.now()).await?;
    Ok(console.people.audit_entries(MAX_AUDIT_ENTRIES).await?)
}
