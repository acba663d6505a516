//! The page and the API of the audit trail, and the rows about requests that were refused.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;

use super::auth::ClientAddress;
use super::page::{PageFrame, html};
use super::{Console, Problem};
use crate::people::{AuditAction, AuditEntry, AuditFilter, Person, Right, Unwritten};

/// Maximum number of entries of a page.
const MAX_ENTRIES: u32 = 500;

/// What to list of the audit trail.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AuditQuery {
    /// Only entries older than the one with this `id`: the last one of the page before.
    before: String,
    /// Only entries of this person.
    who: String,
    /// Only entries of this kind, such as `signed in`.
    deed: String,
    /// Maximum number of entries, 1 to 500; 500 by default.
    limit: Option<u32>,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: PageFrame,
    entries: Vec<AuditEntry>,
    deeds: Vec<&'static str>,
    who: String,
    deed: String,
    /// The query of the next page; empty on the last one.
    older: String,
}

/// Returns the audit trail.
pub(super) async fn list(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    Query(query): Query<AuditQuery>,
) -> Result<Json<Vec<AuditEntry>>, Problem> {
    Ok(Json(entries(&console, &person, &from, &query).await?))
}

/// Serves the audit trail as a page.
pub(super) async fn page(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Extension(ClientAddress(from)): Extension<ClientAddress>,
    Query(query): Query<AuditQuery>,
) -> Result<Response, Problem> {
    let entries = entries(&console, &person, &from, &query).await?;
    let is_full = entries.len() >= query.limit() as usize;
    let last = entries.last().filter(|_| is_full).map(|entry| entry.id.clone());
    let older = last.unwrap_or_default();
    let AuditQuery { who, deed, .. } = query;
    let frame = PageFrame::new(&console, person);
    html(&AuditPage { frame, entries, deeds: AuditAction::names(), who, deed, older })
}

impl AuditQuery {
    fn limit(&self) -> u32 {
        self.limit.unwrap_or(MAX_ENTRIES).clamp(1, MAX_ENTRIES)
    }
}

async fn entries(
    console: &Console,
    person: &Person,
    from: &str,
    query: &AuditQuery,
) -> Result<Vec<AuditEntry>, Problem> {
    person.require(Right::Unredacted)?;
    let AuditQuery { before, who, deed, .. } = query;
    let filter = AuditFilter { before, who, deed };
    if !before.is_empty() && !console.people.has_audit_entry(before).await? {
        let problem = format!("before = {before:?}: no entry has this id; use that of the last entry listed");
        return Err(Problem(StatusCode::BAD_REQUEST, problem));
    }
    console.people.write_audit(&person.name, from, AuditAction::ReadAuditTrail, "", console.now()).await?;
    Ok(console.people.audit_entries(filter, query.limit()).await?)
}

/// Writes a refused request of somebody unknown: at most one a minute and address, and few a minute of all. A row says how
/// many were not written before it.
pub(super) async fn write_refusal(
    console: &Console,
    who: &str,
    from: &str,
    why: &str,
) -> Result<(), Problem> {
    let Some(others) = console.auth.limits.refusal(from) else { return Ok(()) };
    let about = with_unwritten(why, others);
    console.people.write_audit(who, from, AuditAction::Refused, &about, console.now()).await?;
    Ok(())
}

/// Writes a request for which a person lacks the right or the token of the session: at most one a minute and person.
pub(super) async fn write_denial(
    console: &Console,
    person: &str,
    from: &str,
    method: &Method,
    path: &str,
) -> Result<(), Problem> {
    let Some(others) = console.auth.limits.denial(person) else { return Ok(()) };
    let path: String = path.chars().take(120).collect();
    let about = with_unwritten(&format!("{method} {path}"), others);
    console.people.write_audit(person, from, AuditAction::Denied, &about, console.now()).await?;
    Ok(())
}

fn with_unwritten(about: &str, Unwritten { of_same, of_others }: Unwritten) -> String {
    let mut about = about.to_owned();
    if of_same > 0 {
        about.push_str(&format!("; {of_same} more from there before"));
    }
    if of_others > 0 {
        about.push_str(&format!("; {of_others} of others not listed"));
    }
    about
}
