//! The pages. They are whole without the script, which keeps them as things are.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use firewatch_domain::{Escalation, EventTime, Score};

use super::spread::{Part, parts, spread};
use super::{Asked, Console, Problem};
use crate::store::{Filter, Item};

/// An escalation as a row.
struct Row {
    seq: i64,
    taken_by: String,
    record: Escalation,
}

impl Row {
    fn of(item: &Item) -> Result<Self, Problem> {
        let broken = |_| Problem(StatusCode::INTERNAL_SERVER_ERROR, "a record does not read as one".into());
        let record = serde_json::from_str(item.record.get()).map_err(broken)?;
        Ok(Self { seq: item.seq, taken_by: item.taken_by.clone(), record })
    }

    fn risk(&self) -> String {
        self.record.risk.map_or_else(|| "\u{2013}".into(), |risk| format!("{:.0}", risk.value()))
    }

    fn reason(&self) -> &str {
        self.record.reasons.first().map_or("", String::as_str)
    }

    /// How the post begins, or what is known of it.
    fn excerpt(&self) -> &str {
        let known = self.record.excerpt.as_ref().or(self.record.reasons.get(1));
        known.unwrap_or(&self.record.conversation)
    }

    fn state(&self) -> String {
        self.record.state.as_str().replace('_', " ")
    }

    fn due(&self) -> String {
        self.record.respond_by.map_or_else(String::new, |due: EventTime| due.to_string())
    }
}

/// A step of an escalation's life.
struct Step(Escalation);

impl Step {
    /// What it told, in words.
    fn what(&self) -> String {
        let words = |text: &str| text.replace('_', " ");
        let reason = self.0.reasons.first().map_or("", String::as_str);
        format!("{}, {}: {reason}", words(self.0.news.as_str()), words(self.0.state.as_str()))
    }
}

impl Asked {
    /// Whether a level is the mildest that is asked for.
    fn is_from(&self, level: &str) -> bool {
        self.level.is_some_and(|of| of.as_str() == level)
    }
}

#[derive(Template)]
#[template(path = "inbox.html")]
struct Inbox {
    rows: Vec<Row>,
    seq: i64,
    teams: Vec<String>,
    asked: Asked,
}

#[derive(Template)]
#[template(path = "escalation.html")]
struct One {
    row: Row,
    parts: Vec<Part>,
    /// The spread as a chart, and in words.
    spread: Option<(String, String)>,
    history: Vec<Step>,
    teams: Vec<String>,
}

/// The inbox.
pub async fn inbox(State(console): State<Console>, Query(asked): Query<Asked>) -> Result<Response, Problem> {
    let filter = Filter {
        team: asked.team.clone(),
        brand: asked.brand.clone(),
        level: asked.level,
        text: asked.text.clone(),
    };
    let page = console.store.inbox(&filter, None, 100).await?;
    let rows = page.items.iter().map(Row::of).collect::<Result<_, _>>()?;
    html(&Inbox { rows, seq: page.seq, teams: console.teams.to_vec(), asked })
}

/// One escalation.
pub async fn escalation(State(console): State<Console>, Path(id): Path<String>) -> Result<Response, Problem> {
    let Some(detail) = console.store.escalation(&id).await? else {
        return Err(Problem(StatusCode::NOT_FOUND, format!("there is no escalation {id:?}")));
    };
    let steps = detail.history.iter().filter_map(|record| serde_json::from_str(record.get()).ok());
    let history = steps.map(Step).collect();
    let score: Option<Score> = detail.score.as_ref().and_then(|score| serde_json::from_str(score.get()).ok());
    let spread = score.and_then(|score| spread(&detail.points, &score));
    let row = Row::of(&detail.item)?;
    let parts = parts(&row.record.contributions);
    html(&One { row, parts, spread, history, teams: console.teams.to_vec() })
}

fn html(page: &impl Template) -> Result<Response, Problem> {
    let text = page.render().map_err(|e| Problem(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
    Ok(Html(text).into_response())
}

pub async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("../../assets/console.css"))
}

pub async fn script() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("../../assets/console.js"))
}
