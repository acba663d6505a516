//! The HTTP API, and its OpenAPI document: a route is added with what it takes and answers, so the document cannot leave one out.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use axum::{Extension, Json, Router};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{Asked, Console, Problem, act, changes, people, sign, thread, told};
use crate::notify::{ChannelState, Delivery};
use crate::people::{Account, Entry, Person, Right};
use crate::store::{Cursor, Detail, Item, Page, Storm, Wall};

/// The API's routes.
pub(super) fn router() -> Router<Console> {
    described().router
}

/// The OpenAPI 3.1 document of the API.
#[must_use]
pub fn openapi() -> Value {
    described().document()
}

/// What is said of a route.
struct About {
    summary: &'static str,
    right: Right,
    query: Option<Value>,
    body: Option<Value>,
    answer: (u16, Value),
}

/// Routes with what is said of them.
struct Described {
    router: Router<Console>,
    paths: Map<String, Value>,
    schemas: SchemaGenerator,
}

fn described() -> Described {
    let mut api = Described {
        router: Router::new(),
        paths: Map::new(),
        schemas: SchemaSettings::draft2020_12()
            .with(|s| s.definitions_path = "/components/schemas".into())
            .into_generator(),
    };
    let looks = |summary, answer| About {
        summary,
        right: Right::Look,
        query: None,
        body: None,
        answer: (200, answer),
    };
    let page = api.of::<Page>();
    let query = Some(api.of::<Asked>());
    api.add(
        "/api/escalations",
        get(list),
        "get",
        About { query, ..looks("Open escalations, the most urgent first; a page at a time", page) },
    );
    let detail = api.of::<Detail>();
    api.add("/api/escalations/{*id}", get(one), "get", looks("All about one escalation", detail));
    let thread = api.of::<thread::Thread>();
    let query = Some(api.of::<thread::Asked>());
    let about =
        looks("What was said in its conversation, redacted unless asked otherwise by who may", thread);
    api.add("/api/threads/{*id}", get(thread::thread), "get", About { query, ..about });
    let item = api.of::<Item>();
    let query = Some(api.of::<changes::Since>());
    let about = looks(
        "Changes as server-sent events named `escalation`, each with its number as id; asked again with Last-Event-ID",
        item,
    );
    api.add("/api/changes", get(changes::stream), "get", About { query, ..about });
    let body = Some(api.of::<act::Wanted>());
    let acts = About {
        summary: "Act on an escalation; the header idempotency-key makes a repeat harmless",
        right: Right::Act,
        query: None,
        body,
        answer: (202, Value::Null),
    };
    api.add("/api/actions", post(act::act), "post", acts);
    let (body, answer) = (Some(api.of::<act::Draft>()), api.of::<act::Verdict>());
    let about = looks("Whether a drafted public reply may be sent", answer);
    api.add("/api/guard", post(act::guard), "post", About { body, right: Right::Act, ..about });
    let storm = api.of::<Storm>();
    api.add(
        "/api/storms/{*id}",
        get(storm_of),
        "get",
        looks("A storm: volume beside what is usual, and its complaints", storm),
    );
    let wall = api.of::<Wall>();
    let query = Some(api.of::<WallOf>());
    api.add(
        "/api/wall",
        get(wall_of),
        "get",
        About { query, ..looks("Reply times against target, what is open, storms", wall) },
    );
    let me = api.of::<Person>();
    api.add(
        "/api/me",
        get(sign::me),
        "get",
        looks("Who is signed in, and what changes have to bear in x-csrf-token", me),
    );
    let manages = |summary, answer| About { right: Right::Manage, ..looks(summary, answer) };
    let accounts = api.of::<Vec<Account>>();
    api.add("/api/people", get(people::list), "get", manages("Local accounts", accounts));
    let (body, answer) = (Some(api.of::<people::Invite>()), api.of::<people::Invited>());
    api.add(
        "/api/people",
        post(people::invite),
        "post",
        About { body, ..manages("Invite somebody, or give somebody other roles and a new password", answer) },
    );
    api.add(
        "/api/people/{name}",
        delete(people::remove),
        "delete",
        About { answer: (204, Value::Null), ..manages("Remove somebody", Value::Null) },
    );
    let entries = api.of::<Vec<Entry>>();
    api.add(
        "/api/audit",
        get(people::audit),
        "get",
        About { right: Right::Unredacted, ..looks("The audit trail, the newest first", entries) },
    );
    let states = api.of::<(Vec<ChannelState>, Vec<Delivery>)>();
    api.add(
        "/api/notifications",
        get(told::list),
        "get",
        manages("How each channel does, and what was not taken", states),
    );
    let body = Some(api.of::<told::Send>());
    let answer = api.of::<told::Outcome>();
    api.add(
        "/api/notifications",
        post(told::send),
        "post",
        About { body, ..manages("Send a test, or again what a channel refused", answer) },
    );
    api.add(
        "/api/openapi.json",
        get(|| async { Json(openapi()) }),
        "get",
        looks("This document", json!({ "type": "object" })),
    );
    api
}

impl Described {
    fn of<T: JsonSchema>(&mut self) -> Value {
        self.schemas.subschema_for::<T>().to_value()
    }

    fn add(&mut self, path: &'static str, handler: MethodRouter<Console>, method: &str, about: About) {
        self.router = std::mem::take(&mut self.router).route(path, handler);
        let told = path.replace("{*", "{");
        let mut parameters: Vec<Value> = told
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split('}').next())
            .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
            .collect();
        parameters.extend(about.query.as_ref().map_or_else(Vec::new, |query| self.parameters(query)));
        let problem = json!({ "description": "Why not", "content": { "application/json": { "schema": { "$ref": "#/components/schemas/problem" } } } });
        let media = if path == "/api/changes" { "text/event-stream" } else { "application/json" };
        let (status, answer) = &about.answer;
        let mut answers = json!({ "4XX": problem, "5XX": problem });
        answers[status.to_string()] = match answer {
            Value::Null => json!({ "description": "Done" }),
            schema => json!({ "description": "Done", "content": { media: { "schema": schema } } }),
        };
        let mut operation = json!({
            "summary": about.summary,
            "description": format!("Needs the right to {}.", right(about.right)),
            "parameters": parameters,
            "responses": answers,
        });
        if let Some(body) = about.body {
            operation["requestBody"] =
                json!({ "required": true, "content": { "application/json": { "schema": body } } });
        }
        let entry = self.paths.entry(told).or_insert_with(|| json!({}));
        entry[method] = operation;
    }

    /// The fields of a query's schema, each as a parameter.
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
        let problem = json!({ "type": "object", "required": ["problem"], "properties": { "problem": { "type": "string" } } });
        schemas.insert("problem".into(), problem);
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "firewatch console",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "The API behind the console's pages, with the same sign-in and the same rights.",
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

fn right(right: Right) -> &'static str {
    match right {
        Right::Look => "look: any role",
        Right::Act => "act: a responder or policy owner",
        Right::Manage => "manage: a policy owner",
        Right::Unredacted => "see what is unredacted: a privacy officer",
    }
}

async fn list(
    State(console): State<Console>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = asked.after.as_deref().map(Cursor::read).transpose();
    let after = after.map_err(|problem| Problem(StatusCode::BAD_REQUEST, problem))?;
    let page = console.store.inbox(&asked.filter()?, after, asked.most.unwrap_or(50)).await?;
    // Whatever is asked for, nothing is different before the next change.
    let tag = format!("\"{}\"", page.seq);
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    Ok(([(header::ETAG, tag)], Json(page)).into_response())
}

async fn one(State(console): State<Console>, Path(id): Path<String>) -> Result<Json<Detail>, Problem> {
    let found = console.store.escalation(&id).await?;
    found.map(Json).ok_or_else(|| Problem(StatusCode::NOT_FOUND, format!("there is no escalation {id:?}")))
}

async fn storm_of(State(console): State<Console>, Path(id): Path<String>) -> Result<Json<Storm>, Problem> {
    let found = console.store.storm_of(&id).await?;
    found.map(Json).ok_or_else(|| Problem(StatusCode::NOT_FOUND, format!("there is no storm {id:?}")))
}

#[derive(Default, serde::Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WallOf {
    /// Of this team; of all when left out.
    pub team: String,
}

async fn wall_of(
    State(console): State<Console>,
    Extension(_): Extension<Person>,
    Query(WallOf { team }): Query<WallOf>,
) -> Result<Json<Wall>, Problem> {
    Ok(Json(console.store.wall(&team, console.now()).await?))
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
        assert_eq!(document["paths"].as_object().unwrap().len(), 14);
    }
}
