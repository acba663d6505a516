//! Failures as users see them, and small helpers of the commands.

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};

use firewatch_engine::Ruleset;
use firewatch_escalation::Policy;
use firewatch_settings::Fault;

/// The demo's policy, used when no other is given.
pub const DEMO_POLICY: &str = include_str!("../../../demo/policy.toml");

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// Arguments, settings or the policy are invalid; nothing was started.
    Settings(Vec<Fault>),
    /// Something failed while running.
    Running(String),
    /// The command's answer is negative and has been printed.
    Reported,
}

impl Failure {
    /// Returns a failure while running; `doing` names the step or the file.
    pub fn running(doing: &str, problem: impl Display) -> Self {
        Self::Running(format!("{doing}: {problem}"))
    }

    /// Returns a failure with one fault in an argument or setting.
    pub fn setting(key: &str, problem: impl Display) -> Self {
        Self::Settings(vec![Fault { key: key.into(), problem: problem.to_string() }])
    }
}

/// Reads a policy file, or takes the demo's, and combines it with the shipped models.
pub fn load_ruleset(policy: Option<&Path>) -> Result<Ruleset, Failure> {
    let policy = match policy {
        None => Policy::parse("the demo's policy", DEMO_POLICY),
        Some(path) => Policy::parse(&path.display().to_string(), &read(path)?),
    };
    let policy = policy.map_err(Failure::Settings)?;
    Ruleset::shipped(policy).map_err(|e| Failure::running("shipped models", e))
}

/// Replaces models of a ruleset by those in files.
pub fn with_models(ruleset: Ruleset, files: &[PathBuf]) -> Result<Ruleset, Failure> {
    files.iter().try_fold(ruleset, |ruleset, path| {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|e| Failure::setting(&name, e))?;
        ruleset.with_model(&name, &bytes).map_err(|e| Failure::setting(&name, e))
    })
}

/// Reads a text file named in the arguments or settings.
pub fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|e| Failure::setting(&path.display().to_string(), e))
}

/// Writes to standard output. A reader that closes the pipe early is no failure.
pub fn print_stdout(text: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_fmt(format_args!("{text}")).and_then(|()| out.flush());
}

/// Writes one file for each ending, all named like `out`, and prints their paths.
pub fn write<const N: usize>(out: &Path, files: [(&str, String); N]) -> Result<(), Failure> {
    for (ending, text) in files {
        let path = out.with_extension(ending);
        std::fs::write(&path, text).map_err(|e| Failure::running(&path.display().to_string(), e))?;
        print_stdout(format_args!("{}\n", path.display()));
    }
    Ok(())
}

/// Formats a number with its noun: `1 error`, `2 errors`.
pub fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}
