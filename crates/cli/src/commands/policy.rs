//! `firewatch policy`: what its owners do with a policy before it runs.

use std::path::Path;

use firewatch_escalation::{Policy, names};
use firewatch_backtest::policy;

use crate::args::PolicyCommand;
use crate::commands::demo::RECORDING;
use crate::shell::{Failure, brain, count, read, say};

/// Does what was asked.
pub fn policy(what: &PolicyCommand) -> Result<(), Failure> {
    match what {
        PolicyCommand::Check { file } => check(file),
        PolicyCommand::Test { file, all } => test(file, *all),
        PolicyCommand::Explain { file, conversation, input } => explain(file, conversation, input.as_deref()),
        PolicyCommand::Names => {
            for (name, kind, about) in names() {
                say(format_args!("{name:<16} {:<13} {about}\n", kind.name()));
            }
            Ok(())
        }
    }
}

fn check(file: &Path) -> Result<(), Failure> {
    let policy = Policy::parse(&file.display().to_string(), &read(file)?).map_err(Failure::Settings)?;
    for warning in policy.warnings() {
        say(format_args!("warning: {warning}\n"));
    }
    let (routes, teams) = (count(policy.routes.len(), "route"), count(policy.teams.len(), "team"));
    say(format_args!(
        "{} is sound: version {}, hash {}, {routes} to {teams}\n",
        file.display(),
        policy.version,
        policy.hash
    ));
    Ok(())
}

fn explain(file: &Path, conversation: &str, input: Option<&Path>) -> Result<(), Failure> {
    let brain = brain(Some(file))?;
    let recorded = input.map(read).transpose()?;
    let lines = recorded.as_deref().unwrap_or(RECORDING).lines();
    let decisions = policy::explain(lines, &brain, conversation);
    for decision in &decisions {
        say(format_args!("{decision}\n"));
    }
    if decisions.is_empty() {
        let problem = format!("{conversation:?} is not in the events, and no storm of this name was seen");
        return Err(Failure::setting("--conversation", problem));
    }
    Ok(())
}

fn test(file: &Path, all: bool) -> Result<(), Failure> {
    let verdicts = policy::test(file, &brain(None)?).map_err(|e| Failure::Running(e.to_string()))?;
    let failed = verdicts.iter().filter(|verdict| !verdict.problems.is_empty()).count();
    for verdict in verdicts.iter().filter(|verdict| all || !verdict.problems.is_empty()) {
        say(format_args!("{verdict}\n"));
    }
    say(format_args!("{}, {failed} not as expected\n", count(verdicts.len(), "case")));
    if failed == 0 { Ok(()) } else { Err(Failure::Told) }
}
