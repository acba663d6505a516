//! The HTTP API and its OpenAPI document. A route can only be added with its description, so the document is
//! always complete.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use axum::{Extension, Json, Router};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{
    Console, InboxQuery, Problem, WallQuery, actions, audit, changes, notifications, people, second_factor,
    sign_in, thread,
};
use crate::notify::{ChannelState, Delivery};
use crate::people::{AuditEntry, LocalAccount, OpenInvitation, Person, Right};
use crate::store::{Cursor, EscalationDetail, InboxItem, InboxPage, StormDetail, Wallboard};

/// Builds the router of the API.
pub(super) fn router() -> Router<Console> {
    build_api().router
}

/// Returns the OpenAPI 3.1 document of the API.
#[must_use]
pub fn openapi() -> Value {
    build_api().document()
}

/// Generates the JSON Schema of a type.
type SchemaFn = fn(&mut SchemaGenerator) -> Schema;

fn schema_fn<T: JsonSchema>() -> SchemaFn {
    SchemaGenerator::subschema_for::<T>
}

/// The description of a route in the OpenAPI document.
#[derive(Clone, Copy)]
struct Operation {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    right: Right,
    query: Option<SchemaFn>,
    body: Option<SchemaFn>,
    response: Option<SchemaFn>,
    status: u16,
}

impl Operation {
    fn new(method: &'static str, path: &'static str, summary: &'static str) -> Self {
        let (right, status) = (Right::View, 200);
        Self { method, path, summary, right, query: None, body: None, response: None, status }
    }

    fn get<T: JsonSchema>(path: &'static str, summary: &'static str) -> Self {
        Self { response: Some(schema_fn::<T>()), ..Self::new("get", path, summary) }
    }

    fn post<T: JsonSchema>(path: &'static str, summary: &'static str) -> Self {
        Self { body: Some(schema_fn::<T>()), right: Right::Act, ..Self::new("post", path, summary) }
    }

    fn with_query<T: JsonSchema>(self) -> Self {
        Self { query: Some(schema_fn::<T>()), ..self }
    }

    fn with_response<T: JsonSchema>(self) -> Self {
        Self { response: Some(schema_fn::<T>()), ..self }
    }

    fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    fn requires(self, right: Right) -> Self {
        Self { right, ..self }
    }
}

/// Collects the routes and their descriptions.
struct ApiBuilder {
    router: Router<Console>,
    paths: Map<String, Value>,
    schemas: SchemaGenerator,
}

fn build_api() -> ApiBuilder {
    let settings = SchemaSettings::draft2020_12().with(|s| s.definitions_path = "/components/schemas".into());
    let mut api = ApiBuilder { router: Router::new(), paths: Map::new(), schemas: settings.into_generator() };
    escalations(&mut api);
    people_and_channels(&mut api);
    let document = Operation::get::<Map<String, Value>>("/api/openapi.json", "This document");
    api.add(get(|| async { Json(openapi()) }), document);
    api
}

fn escalations(api: &mut ApiBuilder) {
    let (page, detail) =
        ("List escalations, the most urgent first, page by page", "Get one escalation with its history");
    api.add(
        get(list_escalations),
        Operation::get::<InboxPage>("/api/escalations", page).with_query::<InboxQuery>(),
    );
    api.add(get(get_escalation), Operation::get::<EscalationDetail>("/api/escalations/{*id}", detail));
    let thread = "Get the posts of an escalation's conversation, redacted by default";
    let thread =
        Operation::get::<thread::Thread>("/api/threads/{*id}", thread).with_query::<thread::ThreadQuery>();
    api.add(get(thread::thread), thread);
    let changes = "Stream changes as server-sent events named `escalation`; resume with Last-Event-ID";
    api.add(
        get(changes::stream),
        Operation::get::<InboxItem>("/api/changes", changes).with_query::<changes::ChangesQuery>(),
    );
    let act = "Act on an escalation; a retry with the same idempotency-key header has no effect";
    api.add(post(actions::act), Operation::post::<actions::ActionRequest>("/api/actions", act).status(202));
    let guard = "Look in a drafted public reply for what must not be said in public";
    api.add(
        post(actions::guard),
        Operation::post::<actions::Draft>("/api/guard", guard).with_response::<actions::Verdict>(),
    );
    let storm = "Get a storm's volume against the usual one, and its complaints";
    api.add(get(get_storm), Operation::get::<StormDetail>("/api/storms/{*id}", storm));
    let wall = "Get the wallboard: reply times, open escalations and active storms";
    api.add(get(get_wall), Operation::get::<Wallboard>("/api/wall", wall).with_query::<WallQuery>());
}

fn people_and_channels(api: &mut ApiBuilder) {
    let me = "Get the signed-in person and the session's x-csrf-token";
    api.add(get(sign_in::me), Operation::get::<Person>("/api/me", me));
    let list = Operation::get::<Vec<LocalAccount>>("/api/people", "List local accounts");
    api.add(get(people::list), list.requires(Right::Manage));
    let invite = "Invite somebody, or replace an account's roles and password";
    let invite = Operation::post::<people::Invite>("/api/people", invite).with_response::<people::Invited>();
    api.add(post(people::invite), invite.requires(Right::Manage));
    let remove = Operation::new("delete", "/api/people/{name}", "Remove an account").status(204);
    api.add(delete(people::remove), remove.requires(Right::Manage));
    let reset = "Reset the second factor of an account and end its sessions";
    let reset = Operation::new("delete", "/api/people/{name}/second-factor", reset).status(204);
    api.add(delete(second_factor::reset), reset.requires(Right::Manage));
    let invitations = Operation::get::<Vec<OpenInvitation>>("/api/invitations", "List open invitations");
    api.add(get(people::invitations), invitations.requires(Right::Manage));
    let withdraw = Operation::new("delete", "/api/invitations/{name}", "Withdraw an invitation").status(204);
    api.add(delete(people::withdraw), withdraw.requires(Right::Manage));
    let trail = Operation::get::<Vec<AuditEntry>>("/api/audit", "List the audit trail, the newest first");
    let trail = trail.with_query::<audit::AuditQuery>();
    api.add(get(audit::list), trail.requires(Right::Unredacted));
    let notifications = "Get delivery counts by channel, and failed deliveries";
    let notifications =
        Operation::get::<(Vec<ChannelState>, Vec<Delivery>)>("/api/notifications", notifications);
    api.add(get(notifications::list), notifications.requires(Right::Manage));
    let send = "Send a test message, or resend what a channel refused";
    let send = Operation::post::<notifications::SendRequest>("/api/notifications", send)
        .with_response::<notifications::SendOutcome>();
    api.add(post(notifications::send), send.requires(Right::Manage));
}

impl ApiBuilder {
    fn add(&mut self, handler: MethodRouter<Console>, about: Operation) {
        self.router = std::mem::take(&mut self.router).route(about.path, handler);
        let path = about.path.replace("{*", "{");
        let mut schema = |of: SchemaFn| of(&mut self.schemas).to_value();
        let (query, takes, answers) =
            (about.query.map(&mut schema), about.body.map(&mut schema), about.response.map(&mut schema));
        let in_path = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        let in_path = in_path.map(
            |name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }),
        );
        let parameters: Vec<Value> =
            in_path.chain(query.iter().flat_map(|query| self.parameters(query))).collect();
        let content = |schema: &Value| {
            let media = if about.path == "/api/changes" { "text/event-stream" } else { "application/json" };
            json!({ media: { "schema": schema } })
        };
        let problem = json!({
            "description": "Error",
            "content": content(&json!({ "$ref": "#/components/schemas/problem" })),
        });
        let mut responses = json!({ "4XX": problem, "5XX": problem });
        responses[about.status.to_string()] = json!({ "description": "Success" });
        if let Some(schema) = &answers {
            responses[about.status.to_string()]["content"] = content(schema);
        }
        let mut operation = json!({
            "summary": about.summary,
            "description": format!("Requires the right to {}.", describe_right(about.right)),
            "parameters": parameters,
            "responses": responses,
        });
        if let Some(schema) = &takes {
            operation["requestBody"] = json!({ "required": true, "content": content(schema) });
        }
        self.paths.entry(path).or_insert_with(|| json!({}))[about.method] = operation;
    }

    /// Returns the fields of a query's schema as OpenAPI parameters.
    fn parameters(&self, query: &Value) -> Vec<Value> {
        let name = query["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        let schema = self.schemas.definitions().get(name).unwrap_or(query);
        let fields = schema["properties"].as_object().cloned().unwrap_or_default();
        let parameter = |(name, mut schema): (String, Value)| {
            let words = schema.as_object_mut().and_then(|s| s.remove("description")).unwrap_or_default();
            json!({ "name": name, "in": "query", "required": false, "description": words, "schema": schema })
        };
        fields.into_iter().map(parameter).collect()
    }

    fn document(mut self) -> Value {
        let mut schemas = self.schemas.take_definitions(true);
        let problem = json!({
            "type": "object", "required": ["problem"], "properties": { "problem": { "type": "string" } },
        });
        schemas.insert("problem".into(), problem);
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "firewatch console",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "The API behind the console's pages, with the same sign-in and rights.",
            },
            "security": [{ "session": [] }],
            "paths": self.paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": { "session": { "type": "apiKey", "in": "cookie", "name": "__Host-firewatch" } },
            },
        })
    }
}

fn describe_right(right: Right) -> &'static str {
    match right {
        Right::View => "view (any role)",
        Right::Act => "act (responder or policy owner)",
        Right::Manage => "manage (policy owner)",
        Right::Unredacted => "see unredacted text (privacy officer)",
    }
}

async fn list_escalations(
    State(console): State<Console>,
    Query(query): Query<InboxQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = query.after.as_deref().map(Cursor::parse).transpose();
    let after = after.map_err(|e| Problem(StatusCode::BAD_REQUEST, e.to_string()))?;
    let filter = query.filter(console.now())?;
    let page = console.store.inbox(&filter, after, query.limit.unwrap_or(50)).await?;
    // The change number identifies the content of every page, whatever its filters. Only silences end without a
    // change.
    let tag = format!("\"{}\"", page.seq);
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    if is_known && !query.silenced {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    Ok(([(header::ETAG, tag)], Json(page)).into_response())
}

async fn get_escalation(
    State(console): State<Console>,
    Path(id): Path<String>,
) -> Result<Json<EscalationDetail>, Problem> {
    let found = console.store.escalation(&id).await?;
    found.map(Json).ok_or_else(|| Problem(StatusCode::NOT_FOUND, format!("there is no escalation {id:?}")))
}

async fn get_storm(
    State(console): State<Console>,
    Path(id): Path<String>,
) -> Result<Json<StormDetail>, Problem> {
    let found = console.store.storm_for_escalation(&id).await?;
    found.map(Json).ok_or_else(|| Problem(StatusCode::NOT_FOUND, format!("there is no storm {id:?}")))
}

async fn get_wall(
    State(console): State<Console>,
    Extension(_): Extension<Person>,
    Query(WallQuery { team }): Query<WallQuery>,
) -> Result<Json<Wallboard>, Problem> {
    Ok(Json(console.store.wallboard(&team, console.now()).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_every_route_and_its_references_lead_somewhere() {
        let document = openapi();
        let text = document.to_string();
        for (i, _) in text.match_indices("\"$ref\":\"#/components/schemas/") {
            let name = text[i + 29..].split('"').next().unwrap();
            assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
        }
        let list = &document["paths"]["/api/escalations"]["get"];
        assert!(list["parameters"].as_array().unwrap().iter().any(|p| p["name"] == "platform"));
        let action = &document["paths"]["/api/actions"]["post"];
        assert!(
            action["requestBody"].is_object()
                && action["description"].as_str().unwrap().contains("responder")
        );
        assert_eq!(document["paths"].as_object().unwrap().len(), 17);
    }
}
