//! The HTML pages. Each is complete without JavaScript; the script only keeps it up to date.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use firewatch_domain::{Escalation, EscalationState, EventTime, IncidentKind, Level, ReasonKind, Score};

use super::auth::text;
use super::humanize::{self, count, counted};
use super::spread::{ContributionBar, parts, spread};
use super::volume::volume;
use super::{Console, InboxQuery, Problem, WallQuery};
use crate::people::{Person, Right};
use crate::percent_encoding::percent_encoded;
use crate::settings::SignIn;
use crate::store::{Complaint, Cursor, Facets, InboxItem, StormDetail, Wallboard};

/// Rows on a page of the inbox.
const INBOX_ROWS: u32 = 100;

/// What every page needs: the person who views it and the current time.
pub(super) struct PageFrame {
    pub person: Person,
    pub now: EventTime,
    /// Sign-in is on, so the page offers to sign out.
    pub signed_in: bool,
}

impl PageFrame {
    pub fn new(console: &Console, person: Person) -> Self {
        Self { person, now: console.now(), signed_in: console.auth.sign_in != SignIn::Nobody }
    }

    pub fn may_act(&self) -> bool {
        self.person.may(Right::Act)
    }

    pub fn may_manage(&self) -> bool {
        self.person.may(Right::Manage)
    }

    pub fn may_unredact(&self) -> bool {
        self.person.may(Right::Unredacted)
    }
}

/// An escalation as a row of the inbox.
struct InboxRow {
    seq: i64,
    live: bool,
    taken_by: String,
    signal_excerpt: String,
    record: Escalation,
}

impl InboxRow {
    fn from_item(item: &InboxItem) -> Result<Self, Problem> {
        let broken = |_| Problem(StatusCode::INTERNAL_SERVER_ERROR, "a stored record is damaged".into());
        let record = serde_json::from_str(item.record.get()).map_err(broken)?;
        Ok(Self {
            seq: item.seq,
            live: item.live,
            taken_by: item.taken_by.clone(),
            signal_excerpt: item.signal_excerpt.clone(),
            record,
        })
    }

    fn risk(&self) -> String {
        self.record.risk.map_or_else(|| "\u{2013}".into(), |risk| format!("{:.0}", risk.value()))
    }

    fn reason(&self) -> &str {
        self.record.reasons.decisive()
    }

    fn is_storm(&self) -> bool {
        self.record.incident_kind() == IncidentKind::Storm
    }

    /// Returns the row's title: the beginning of the post; for a storm, group, digest or silence notice its
    /// brand, topics and size. Without an excerpt it falls back to the reason about the post, then to the
    /// conversation's id.
    fn title(&self) -> String {
        let record = &self.record;
        let kind = match record.incident_kind() {
            IncidentKind::Conversation => {
                let signal_excerpt = (!self.signal_excerpt.is_empty()).then_some(&*self.signal_excerpt);
                let excerpt = record.excerpt.as_deref().or(signal_excerpt);
                let of_post = || record.reasons.text_of(ReasonKind::Complaint);
                return excerpt.or_else(of_post).unwrap_or(&record.conversation).to_owned();
            }
            IncidentKind::Storm => "Storm",
            IncidentKind::Group => "Group",
            IncidentKind::Digest => "Digest",
            IncidentKind::SilenceNotice => "Silence",
        };
        let brand = record.brand.as_deref().unwrap_or("a brand");
        let about = match record.topics.as_slice() {
            [] => String::new(),
            topics => format!(": {}", topics.join(", ")),
        };
        format!("{kind} at {brand}{about} ({})", counted(record.members.unwrap_or_default(), "post"))
    }

    fn state(&self) -> String {
        self.record.state.as_str().replace('_', " ")
    }

    fn due(&self) -> String {
        self.record.respond_by.map_or_else(String::new, |due: EventTime| due.to_string())
    }

    fn may_acknowledge(&self) -> bool {
        self.record.state.is_open()
    }

    /// Whether the brand has not answered yet, as far as the record shows.
    fn may_reply(&self) -> bool {
        self.record.state.is_open() || self.record.state == EscalationState::Acknowledged
    }

    fn may_hand_off(&self) -> bool {
        self.record.state != EscalationState::HandedOff
    }

    /// Returns when a person's silence ends, if it has not yet.
    fn silenced_until(&self, now: &EventTime) -> Option<EventTime> {
        self.record.silenced_until.filter(|until| until > now)
    }

    /// Returns the address of the post, if it leads to a page and to nothing that a browser runs.
    pub fn post_url(&self) -> Option<&str> {
        self.record.url.as_deref().filter(|url| is_page(url))
    }

    /// Returns the address of the author of the post, likewise.
    pub fn author_url(&self) -> Option<&str> {
        self.record.author_url.as_deref().filter(|url| is_page(url))
    }

    /// Returns team, brand, platform, state and assignee in one line.
    fn who(&self) -> String {
        let record = &self.record;
        let known = [record.brand.clone(), record.platform.clone(), Some(self.state())];
        let taken = (!self.taken_by.is_empty()).then(|| format!("assigned to {}", self.taken_by));
        let all = std::iter::once(record.team.clone()).chain(known.into_iter().flatten()).chain(taken);
        all.collect::<Vec<_>>().join(" \u{b7} ")
    }
}

/// A step in the history of an escalation.
struct Step(Escalation);

impl Step {
    /// Returns what changed, the new state and what happened.
    fn what(&self) -> String {
        let words = |text: &str| text.replace('_', " ");
        let reason = self.0.headline();
        let news = words(self.0.change.as_str());
        match words(self.0.state.as_str()) {
            state if state == "open" || news == state => format!("{news}: {reason}"),
            state => format!("{news}, {state}: {reason}"),
        }
    }
}

impl InboxQuery {
    /// Returns the query string of the next page of the same view.
    fn query_after(&self, next: &str) -> String {
        let fields = [
            ("team", &self.team),
            ("brand", &self.brand),
            ("platform", &self.platform),
            ("owner", &self.owner),
            ("level", &self.level),
            ("text", &self.text),
        ];
        let kept = fields.iter().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<String> =
            kept.map(|(key, value)| format!("{key}={}", percent_encoded(value, b""))).collect();
        let over = self.over.then(|| "over=true".to_owned());
        let last = format!("after={}", percent_encoded(next, b""));
        let silenced = self.silenced.then(|| "silenced=true".to_owned());
        pairs.into_iter().chain(over).chain(silenced).chain([last]).collect::<Vec<_>>().join("&")
    }

    fn is_filtered(&self) -> bool {
        self.over
            || self.silenced
            || [&self.team, &self.brand, &self.platform, &self.owner, &self.level, &self.text]
                .iter()
                .any(|field| !field.is_empty())
    }
}

#[derive(Template)]
#[template(path = "inbox.html")]
struct Inbox {
    frame: PageFrame,
    rows: Vec<InboxRow>,
    seq: i64,
    /// Query string of the next page.
    next: Option<String>,
    teams: Vec<String>,
    facets: Facets,
    query: InboxQuery,
}

#[derive(Template)]
#[template(path = "escalation.html")]
struct EscalationPage {
    frame: PageFrame,
    row: InboxRow,
    parts: Vec<ContributionBar>,
    /// The spread as an SVG chart with its text alternative.
    spread: Option<(String, String)>,
    /// For a storm: its complaints, and its volume as an SVG chart with its text alternative.
    storm: Option<(StormDetail, Option<(String, String)>)>,
    copies: Vec<Complaint>,
    history: Vec<Step>,
    teams: Vec<String>,
}

#[derive(Template)]
#[template(path = "wall.html")]
struct WallPage {
    frame: PageFrame,
    seq: i64,
    wall: Wallboard,
    team: String,
    teams: Vec<String>,
    /// Open escalations of each level, the highest level first.
    levels: Vec<(Level, i64)>,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    problem: String,
}

/// Serves the inbox.
pub(super) async fn inbox(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Query(query): Query<InboxQuery>,
) -> Result<Response, Problem> {
    let after = query.after.as_deref().map(Cursor::parse).transpose();
    let after = after.map_err(|e| Problem(StatusCode::BAD_REQUEST, e.to_string()))?;
    let frame = PageFrame::new(&console, person);
    let page = console.store.inbox(&query.filter(frame.now)?, after, INBOX_ROWS).await?;
    let rows = page.items.iter().map(InboxRow::from_item).collect::<Result<_, _>>()?;
    let next = page.next.as_deref().map(|next| query.query_after(next));
    let facets = console.store.facets().await?;
    html(&Inbox { frame, rows, seq: page.seq, next, teams: console.teams.to_vec(), facets, query })
}

/// Serves the page of one escalation; a storm's page also shows its volume and complaints.
pub(super) async fn escalation(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let Some(detail) = console.store.escalation(&id).await? else {
        return Err(Problem(StatusCode::NOT_FOUND, format!("there is no escalation {id:?}")));
    };
    let steps = detail.history.iter().filter_map(|record| serde_json::from_str(record.get()).ok());
    let history = steps.map(Step).collect();
    let score: Option<Score> = detail.score.as_ref().and_then(|score| serde_json::from_str(score.get()).ok());
    let spread = score.and_then(|score| spread(&detail.points, &score));
    let row = InboxRow::from_item(&detail.item)?;
    let parts = parts(&row.record.contributions);
    let storm = console.store.storm_for_escalation(&id).await?.map(|storm| {
        let chart = volume(&storm);
        (storm, chart)
    });
    let copies = console.store.near_copies(&row.record.conversation).await?;
    let frame = PageFrame::new(&console, person);
    html(&EscalationPage { frame, row, parts, spread, storm, copies, history, teams: console.teams.to_vec() })
}

/// Serves the wallboard.
pub(super) async fn wall(
    State(console): State<Console>,
    Extension(person): Extension<Person>,
    Query(WallQuery { team }): Query<WallQuery>,
) -> Result<Response, Problem> {
    let frame = PageFrame::new(&console, person);
    let wall = console.store.wallboard(&team, frame.now).await?;
    let levels = Level::ALL.into_iter().zip(wall.open).rev().collect();
    let seq = console.store.seq().await?;
    html(&WallPage { frame, seq, wall, team, teams: console.teams.to_vec(), levels })
}

impl WallPage {
    /// Returns the percentage of the last 24 hours' first replies that were on time; `None` without replies.
    fn in_time(&self) -> Option<usize> {
        let replies = &self.wall.replies;
        (replies.count > 0).then(|| 100 * replies.in_time / replies.count)
    }

    /// Compares the escalations opened in the last 24 hours with those of the same 24 hours a week ago.
    fn beside_last_week(&self) -> String {
        let [now, then] = self.wall.opened;
        match (now, then) {
            (_, 0) => "none in the same 24 hours a week ago".into(),
            (now, then) if now == then => "same number as a week ago".into(),
            (now, then) if now > then => {
                format!("{:.1} times the number a week ago", now as f64 / then as f64)
            }
            (now, then) => format!("{} fewer than a week ago", count((then - now) as u64)),
        }
    }
}

pub(super) fn html(page: &impl Template) -> Result<Response, Problem> {
    let text = page.render().map_err(|e| Problem(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
    Ok(Html(text).into_response())
}

/// Renders a [`Problem`] as a page if the client accepts HTML; others get it as JSON.
pub(super) async fn problem_pages(request: Request, next: Next) -> Response {
    let is_page = text(request.headers(), header::ACCEPT).contains("text/html");
    let response = next.run(request).await;
    let problem = response.extensions().get::<Problem>().filter(|_| is_page);
    let Some(Problem(status, problem)) = problem.cloned() else { return response };
    html(&ProblemPage { problem }).map_or(response, |page| (status, page).into_response())
}

pub(super) async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("../../assets/console.css"))
}

pub(super) async fn script() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("../../assets/console.js"))
}
pub(super) async fn set_up_script() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("../../assets/set-up.js"))
}

fn is_page(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}
