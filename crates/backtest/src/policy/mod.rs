//! Policy tests and explanations: plays cases and recordings through the production engine.

mod case;
mod explain;
mod judge;
mod play;

use std::fmt;
use std::path::Path;

use firewatch_engine::Ruleset;
use firewatch_escalation::Policy;
use firewatch_settings::Fault;
use thiserror::Error;

pub use case::{CaseError, CaseFile, CaseFileError, Expectation, PolicyCase};
pub use explain::{ExplainedDecision, explain};
pub use play::{Restarts, TeamEscalation, escalations, play};

use firewatch_report::AnalysisError;

/// The result of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// Name of the case.
    pub name: String,
    /// Deviations from the expectations; empty if the case passed.
    pub problems: Vec<String>,
}

/// A policy is not valid; holds all its faults.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct InvalidPolicy(pub Vec<Fault>);

/// Parses a policy.
pub(crate) fn parse(name: &str, text: &str) -> Result<Policy, InvalidPolicy> {
    Policy::parse(name, text).map_err(InvalidPolicy)
}

/// Plays and judges every case of a file: once normally, and once with a restart after every few records,
/// which must give the same output. Only the models of `models` are used, not its policy.
///
/// # Errors
/// When the file or its shared policy cannot be read.
pub fn test(path: &Path, models: &Ruleset) -> Result<Vec<CaseResult>, AnalysisError> {
    let cases = CaseFile::read(path)?;
    let shared = match &cases.policy {
        None => None,
        Some(name) => {
            let file = path.parent().unwrap_or(Path::new("")).join(name);
            let policy = parse(name, &firewatch_report::files::read(&file)?);
            let policy = policy.map_err(|e| AnalysisError::Step(e.to_string()))?;
            Some(models.with_policy(policy))
        }
    };
    let verdicts = firewatch_report::parallel::in_parallel(&cases.cases, |case| {
        let problems = run_case(case, shared.as_ref(), models).unwrap_or_else(|e| vec![e.to_string()]);
        CaseResult { name: case.name.clone(), problems }
    });
    Ok(verdicts)
}

/// Returns the ruleset a case is played with: its own policy with the models of `models`, or the file's
/// shared one.
///
/// # Errors
/// When neither exists, or the case's policy is not valid.
pub fn policy_of(
    case: &PolicyCase,
    shared: Option<&Ruleset>,
    models: &Ruleset,
) -> Result<Ruleset, CaseError> {
    match (&case.policy, shared) {
        (Some(text), _) => Ok(models.with_policy(parse("the case's policy", text)?)),
        (None, Some(shared)) => Ok(shared.clone()),
        (None, None) => Err(CaseError::NoPolicy),
    }
}

/// Records between restarts: few enough that most cases have several restarts.
const RESTART_EVERY: usize = 7;

fn run_case(case: &PolicyCase, shared: Option<&Ruleset>, models: &Ruleset) -> Result<Vec<String>, CaseError> {
    let ruleset = policy_of(case, shared, models)?;
    let effects = play(case, &ruleset, Restarts::Never)?;
    let mut problems = judge::judge(case, &escalations(&effects).collect::<Vec<_>>())?;
    if play(case, &ruleset, Restarts::Every(RESTART_EVERY))? != effects {
        problems.push("with restarts in between the output differs".into());
    }
    Ok(problems)
}

impl fmt::Display for CaseResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.problems.is_empty() { "ok  " } else { "FAIL" }, self.name)?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n       {problem}"))
    }
}
