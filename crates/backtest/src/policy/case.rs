//! Cases as data: a timeline of what comes in, and what must be told, to whom, between which times, and what must not.

use std::path::Path;

use firewatch_domain::{ActionKind, Channel, Duration, EscalationChange, EventTime, Level};
use firewatch_settings::parse_duration;
use serde::Deserialize;

use firewatch_report::AnalysisError;

/// When a timeline begins, unless it says otherwise: a Tuesday, 10 o'clock in New York.
const START: &str = "2026-03-10T14:00:00Z";

/// A file of cases.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseFile {
    /// The policy of cases that bring none: a file beside this one.
    pub policy: Option<String>,
    /// The cases.
    #[serde(rename = "case")]
    pub cases: Vec<PolicyCase>,
}

/// One case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyCase {
    /// What it shows, as its user would say it.
    pub name: String,
    /// A policy of its own, as text.
    pub policy: Option<String>,
    /// When it begins, RFC 3339.
    #[serde(default = "start")]
    pub start: String,
    /// What comes in, by time.
    pub timeline: Vec<TimelineStep>,
    /// When it ends, as a span from its start; what is due by then has been told.
    pub until: String,
    /// What must be told, or must not.
    pub expect: Vec<Expectation>,
    /// Other things may be told as well; otherwise whatever is told has to be expected.
    #[serde(default)]
    pub others: bool,
}

fn start() -> String {
    START.into()
}

/// One thing that comes in, or happens to the process. Exactly one of all but `at` and `late` is given.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimelineStep {
    /// When, as a span from the start.
    pub at: String,
    /// How much later it arrives.
    pub late: Option<String>,
    /// Somebody writes.
    pub post: Option<PostStep>,
    /// The brand answers in public.
    pub answer: Option<AnswerStep>,
    /// Others react.
    pub engage: Option<EngageStep>,
    /// Somebody of the brand does something about it.
    pub act: Option<ActStep>,
    /// Another policy, as text, from now on.
    pub policy: Option<String>,
}

/// A post, or many alike.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostStep {
    /// The conversation; with `times`, the beginning of the name of each.
    pub on: String,
    /// What is written; `{n}` stands for the number of it.
    pub text: String,
    /// Its author's followers.
    pub followers: Option<u64>,
    /// Its author's handle.
    pub handle: Option<String>,
    /// The brand; the policy's first when left out.
    pub brand: Option<String>,
    /// It is a reply in the conversation.
    #[serde(default)]
    pub reply: bool,
    /// How many.
    #[serde(default = "one")]
    pub times: u32,
    /// Over which span, evenly.
    pub over: Option<String>,
}

/// A reply of the brand.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerStep {
    /// The conversation.
    pub on: String,
    /// The account.
    pub by: String,
    /// What it says.
    pub text: String,
}

/// Reactions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngageStep {
    /// The conversation.
    pub on: String,
    /// How many reshares.
    pub times: u32,
    /// Over which span, evenly.
    pub over: String,
    /// Followers of each who reshares.
    #[serde(default)]
    pub followers: u64,
}

/// What a person does.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActStep {
    /// The conversation; `*` at its end stands for anything, of what was told the first.
    pub on: String,
    /// What.
    pub kind: ActionKind,
    /// Who.
    #[serde(default = "somebody")]
    pub by: String,
    /// With `hand_over`: to which team.
    pub team: Option<String>,
    /// With `silence`: until when, as a span from the start.
    pub until: Option<String>,
    /// With `hand_off`: where.
    pub channel: Option<Channel>,
}

fn one() -> u32 {
    1
}

fn somebody() -> String {
    "kim".into()
}

/// What must be told, or must not.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The team whose topic has it.
    pub team: String,
    /// The conversation; `*` at its end stands for anything.
    #[serde(default = "anything")]
    pub on: String,
    /// What it tells; anything when left out.
    pub news: Option<EscalationChange>,
    /// The state, by its name on the wire.
    pub state: Option<String>,
    /// The level.
    pub level: Option<Level>,
    /// Words that one of its reasons holds.
    pub says: Option<String>,
    /// Words that one piece of its advice holds.
    pub advises: Option<String>,
    /// Not before this span from the start.
    pub from: Option<String>,
    /// Not after this span from the start.
    pub to: Option<String>,
    /// The version of the policy that decided.
    pub policy: Option<String>,
    /// How many times; once or more when left out, and 0 for what must not be told.
    pub times: Option<usize>,
}

fn anything() -> String {
    "*".into()
}

impl CaseFile {
    /// Reads a file of cases.
    ///
    /// # Errors
    /// Where it is not as it should be.
    pub fn read(path: &Path) -> Result<Self, AnalysisError> {
        Self::parse(&firewatch_report::files::read(path)?)
            .map_err(|e| AnalysisError::Step(format!("{}: {e}", path.display())))
    }

    /// Reads cases from text.
    ///
    /// # Errors
    /// Where it is not as it should be.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|e| e.to_string().trim().to_owned())
    }
}

/// A span from the start; `place` is named when it is none.
pub(super) fn duration(text: &str, place: &str) -> Result<Duration, String> {
    parse_duration(text)
        .ok_or_else(|| format!("{place}: {text:?} is no span; give one such as \"90s\" or \"5m\""))
}

/// Whether a name is the one wanted, where `*` at the end stands for anything.
pub(super) fn matches_name(wanted: &str, name: &str) -> bool {
    wanted.strip_suffix('*').map_or(wanted == name, |begin| name.starts_with(begin))
}

/// The time at which a case begins.
pub(super) fn start_time(case: &PolicyCase) -> Result<EventTime, String> {
    EventTime::parse(&case.start).map_err(|e| format!("start: {e}"))
}
