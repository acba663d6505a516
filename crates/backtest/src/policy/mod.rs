//! Trying policies out: cases as data, each played through the engine as it runs in production.

mod case;
mod explain;
mod judge;
mod play;

use std::fmt;
use std::path::Path;

use firewatch_engine::Ruleset;
use firewatch_escalation::Policy;

pub use case::{CaseFile, Expectation, PolicyCase};
pub use explain::{ExplainedDecision, explain};
pub use play::{Restarts, TeamEscalation, escalations, play};

use firewatch_report::AnalysisError;

/// How a case came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// The case.
    pub name: String,
    /// What is not as expected; nothing when all is.
    pub problems: Vec<String>,
}

/// Reads a policy, all faults in one text.
pub(crate) fn parse(name: &str, text: &str) -> Result<Policy, String> {
    Policy::parse(name, text)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

/// Plays every case of a file, once as it is and once with a restart after every few records, and judges them.
/// `models` lends its models; its policy has no part in it.
///
/// # Errors
/// When the file, or its policy, cannot be read.
pub fn test(path: &Path, models: &Ruleset) -> Result<Vec<CaseResult>, AnalysisError> {
    let cases = CaseFile::read(path)?;
    let shared = match &cases.policy {
        None => None,
        Some(name) => {
            let file = path.parent().unwrap_or(Path::new("")).join(name);
            let policy = parse(name, &firewatch_report::files::read(&file)?).map_err(AnalysisError::Step)?;
            Some(models.with_policy(policy))
        }
    };
    let verdicts = firewatch_report::parallel::in_parallel(&cases.cases, |case| {
        let problems = run_case(case, shared.as_ref(), models).unwrap_or_else(|problem| vec![problem]);
        CaseResult { name: case.name.clone(), problems }
    });
    Ok(verdicts)
}

/// The policy a case is played with, on the models of `models`: its own, or the one its file shares.
///
/// # Errors
/// When there is none, or it is not valid.
pub fn policy_of(case: &PolicyCase, shared: Option<&Ruleset>, models: &Ruleset) -> Result<Ruleset, String> {
    match (&case.policy, shared) {
        (Some(text), _) => Ok(models.with_policy(parse("the case's policy", text)?)),
        (None, Some(shared)) => Ok(shared.clone()),
        (None, None) => Err("no policy: give one to the case or to the file".into()),
    }
}

/// Records between restarts: all but the smallest cases have several.
const RESTART_EVERY: usize = 7;

fn run_case(case: &PolicyCase, shared: Option<&Ruleset>, models: &Ruleset) -> Result<Vec<String>, String> {
    let brain = policy_of(case, shared, models)?;
    let effects = play(case, &brain, Restarts::Never)?;
    let mut problems = judge::judge(case, &escalations(&effects).collect::<Vec<_>>())?;
    if play(case, &brain, Restarts::Every(RESTART_EVERY))? != effects {
        problems.push("with restarts on the way, something else is told".into());
    }
    Ok(problems)
}

impl fmt::Display for CaseResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.problems.is_empty() { "ok  " } else { "FAIL" }, self.name)?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n       {problem}"))
    }
}
