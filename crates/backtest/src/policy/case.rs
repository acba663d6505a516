//! Policy test cases as data: a timeline of inputs, and the escalations that must or must not follow, by team
//! and time.

use std::path::Path;

use firewatch_domain::{ActionKind, Channel, Duration, EscalationChange, EventTime, Level, TimeError};
use firewatch_engine::StateError;
use firewatch_ingest::Rejection;
use firewatch_settings::parse_duration;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::InvalidPolicy;
use firewatch_report::AnalysisError;

/// Default start of a timeline: a Tuesday, 10 a.m. in New York.
const START: &str = "2026-03-10T14:00:00Z";

/// Why a file of cases is not valid; names the place.
#[derive(Debug, Error)]
#[error("{}", .0.to_string().trim())]
pub struct CaseFileError(#[source] toml::de::Error);

/// Why a case cannot be played or judged.
#[derive(Debug, Error)]
pub enum CaseError {
    /// A duration is not valid.
    #[error("{key}: {text:?}: not a duration; use one such as \"90s\" or \"5m\"")]
    Duration {
        /// The key of the duration.
        key: &'static str,
        /// Its text.
        text: String,
    },
    /// The start of the case is not a time.
    #[error("start: {0}")]
    Start(#[source] TimeError),
    /// A step of the timeline is not valid: its number from 1, and why.
    #[error("timeline, step {0}: {1}")]
    Step(usize, #[source] Box<CaseError>),
    /// An expectation is not valid: its number from 1 with its description, and why.
    #[error("{0}: {1}")]
    Expectation(String, #[source] Box<CaseError>),
    /// A step has no input, or more than one.
    #[error("use exactly one of post, answer, engage, act and policy")]
    NotOneInput,
    /// Neither the case nor its file has a policy.
    #[error("no policy; add one to the case or to the file")]
    NoPolicy,
    /// A policy of the case is not valid.
    #[error(transparent)]
    Policy(#[from] InvalidPolicy),
    /// The engine rejected an input: the input, and why.
    #[error("{0} was rejected: {1}")]
    Rejected(Value, #[source] Rejection),
    /// The state cannot be written or restored.
    #[error(transparent)]
    State(#[from] StateError),
}

/// A TOML file of cases.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseFile {
    /// Policy of the cases without their own: a path relative to this file.
    pub policy: Option<String>,
    /// The cases.
    #[serde(rename = "case")]
    pub cases: Vec<PolicyCase>,
}

/// One test case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyCase {
    /// What the case shows, in the words of a user.
    pub name: String,
    /// The case's own policy, as TOML text.
    pub policy: Option<String>,
    /// Start of the timeline, RFC 3339.
    #[serde(default = "start")]
    pub start: String,
    /// The inputs.
    pub timeline: Vec<TimelineStep>,
    /// End of the case, as a duration from its start. Everything due by then has been emitted.
    pub until: String,
    /// The escalations that must or must not be emitted.
    pub expect: Vec<Expectation>,
    /// Allows escalations that match no expectation; without it they fail the case.
    #[serde(default)]
    pub others: bool,
}

fn start() -> String {
    START.into()
}

/// One input, or a change of the policy. Exactly one field besides `at` and `late` must be set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimelineStep {
    /// Event time, as a duration from the start.
    pub at: String,
    /// How much later the input arrives, as a duration.
    pub late: Option<String>,
    /// A post by a customer.
    pub post: Option<PostStep>,
    /// A public reply by the brand.
    pub answer: Option<AnswerStep>,
    /// Reshares by others.
    pub engage: Option<EngageStep>,
    /// An action by a person on the team.
    pub act: Option<ActStep>,
    /// A new policy from now on, as TOML text.
    pub policy: Option<String>,
}

/// A post, or many similar ones.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostStep {
    /// The conversation; with `times`, the prefix of each conversation's name.
    pub on: String,
    /// Text of the post; `{n}` is replaced by its number.
    pub text: String,
    /// Followers of the author.
    pub followers: Option<u64>,
    /// Handle of the author.
    pub handle: Option<String>,
    /// The brand; by default the policy's first one.
    pub brand: Option<String>,
    /// The post is a reply in the conversation.
    #[serde(default)]
    pub reply: bool,
    /// Number of posts.
    #[serde(default = "one")]
    pub times: u32,
    /// Duration over which the posts are spread evenly.
    pub over: Option<String>,
}

/// A public reply of the brand.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerStep {
    /// The conversation that is answered.
    pub on: String,
    /// Account of the brand.
    pub by: String,
    /// Text of the reply.
    pub text: String,
}

/// Reshares of a conversation.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngageStep {
    /// The conversation with the reshares.
    pub on: String,
    /// Number of reshares.
    pub times: u32,
    /// Duration over which they are spread evenly.
    pub over: String,
    /// Followers of each resharer.
    #[serde(default)]
    pub followers: u64,
}

/// An action by a person.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActStep {
    /// The conversation; a trailing `*` matches any ending and selects the first emitted match.
    pub on: String,
    /// Kind of action.
    pub kind: ActionKind,
    /// Name of the person.
    #[serde(default = "somebody")]
    pub by: String,
    /// For `hand_over`: the receiving team.
    pub team: Option<String>,
    /// For `silence`: its end, as a duration from the start.
    pub until: Option<String>,
    /// For `hand_off`: the channel.
    pub channel: Option<Channel>,
}

fn one() -> u32 {
    1
}

fn somebody() -> String {
    "kim".into()
}

/// An escalation that must be emitted, or with `times = 0` must not.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// Team whose topic receives it.
    pub team: String,
    /// The conversation; a trailing `*` matches any ending.
    #[serde(default = "anything")]
    pub on: String,
    /// Kind of change; any if absent.
    pub news: Option<EscalationChange>,
    /// State, by its name on the wire.
    pub state: Option<String>,
    /// Level of the escalation.
    pub level: Option<Level>,
    /// Text that one of its reasons contains, or the account of what happened.
    pub says: Option<String>,
    /// Text that one piece of its advice contains.
    pub advises: Option<String>,
    /// Earliest time, as a duration from the start.
    pub from: Option<String>,
    /// Latest time, as a duration from the start.
    pub to: Option<String>,
    /// Version of the policy that decided.
    pub policy: Option<String>,
    /// Exact number of matches; one or more if absent, and 0 if it must not be emitted.
    pub times: Option<usize>,
}

fn anything() -> String {
    "*".into()
}

impl CaseFile {
    /// Reads a file of cases.
    ///
    /// # Errors
    /// When the file cannot be read, or is not a valid file of cases.
    pub fn read(path: &Path) -> Result<Self, AnalysisError> {
        Self::parse(&firewatch_report::files::read(path)?)
            .map_err(|e| AnalysisError::Step(format!("{}: {e}", path.display())))
    }

    /// Parses cases from TOML text.
    ///
    /// # Errors
    /// When the text is not a valid file of cases; names the place.
    pub fn parse(text: &str) -> Result<Self, CaseFileError> {
        toml::from_str(text).map_err(CaseFileError)
    }
}

/// Parses a duration; the error names `key`.
pub(super) fn duration(text: &str, key: &'static str) -> Result<Duration, CaseError> {
    parse_duration(text).ok_or_else(|| CaseError::Duration { key, text: text.to_owned() })
}

/// Returns whether a name matches a pattern; a trailing `*` matches any ending.
pub(super) fn matches_name(wanted: &str, name: &str) -> bool {
    wanted.strip_suffix('*').map_or(wanted == name, |begin| name.starts_with(begin))
}

/// Parses the start of a case.
pub(super) fn start_time(case: &PolicyCase) -> Result<EventTime, CaseError> {
    EventTime::parse(&case.start).map_err(CaseError::Start)
}
