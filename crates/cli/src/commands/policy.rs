//! `firewatch policy`: checks, tests and explains a policy before it runs.

use std::path::Path;

use firewatch_backtest::policy;
use firewatch_escalation::{Policy, fact_names};

use crate::args::PolicyCommand;
use crate::clock::now;
use crate::commands::demo::RECORDING;
use crate::common::{Failure, count, load_ruleset, print_stdout, read};

/// Runs the requested subcommand.
pub fn policy(what: &PolicyCommand) -> Result<(), Failure> {
    match what {
        PolicyCommand::Check { file } => check(file),
        PolicyCommand::Test { file, all } => test(file, *all),
        PolicyCommand::Explain { file, conversation, input } => explain(file, conversation, input.as_deref()),
        PolicyCommand::Names => {
            for (name, kind, about) in fact_names() {
                print_stdout(format_args!("{name:<16} {:<13} {about}\n", kind.name()));
            }
            Ok(())
        }
    }
}

fn check(file: &Path) -> Result<(), Failure> {
    let policy = Policy::parse(&file.display().to_string(), &read(file)?).map_err(Failure::Settings)?;
    for warning in policy.warnings(now()) {
        print_stdout(format_args!("warning: {warning}\n"));
    }
    let (routes, teams) = (count(policy.routes.len(), "route"), count(policy.teams.len(), "team"));
    print_stdout(format_args!(
        "{} is valid: version {}, hash {}, {routes} to {teams}\n",
        file.display(),
        policy.version,
        policy.hash
    ));
    Ok(())
}

fn explain(file: &Path, conversation: &str, input: Option<&Path>) -> Result<(), Failure> {
    let ruleset = load_ruleset(Some(file))?;
    let recording = input.map(read).transpose()?;
    let lines = recording.as_deref().unwrap_or(RECORDING).lines();
    let decisions = policy::explain(lines, &ruleset, conversation);
    for decision in &decisions {
        print_stdout(format_args!("{decision}\n"));
    }
    if decisions.is_empty() {
        let problem = format!("{conversation:?} is not in the events, and no storm has this id");
        return Err(Failure::setting("--conversation", problem));
    }
    Ok(())
}

fn test(file: &Path, all: bool) -> Result<(), Failure> {
    let verdicts = policy::test(file, &load_ruleset(None)?).map_err(|e| Failure::Running(e.to_string()))?;
    let failed = verdicts.iter().filter(|verdict| !verdict.problems.is_empty()).count();
    for verdict in verdicts.iter().filter(|verdict| all || !verdict.problems.is_empty()) {
        print_stdout(format_args!("{verdict}\n"));
    }
    print_stdout(format_args!("{}, {failed} failed\n", count(verdicts.len(), "case")));
    if failed == 0 { Ok(()) } else { Err(Failure::Reported) }
}
