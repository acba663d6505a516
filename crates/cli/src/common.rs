//! Failures as a person is told them, and other small change of the shell.

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};

use firewatch_engine::Ruleset;
use firewatch_escalation::Policy;
use firewatch_settings::Fault;

/// The demo's policy, for want of another.
pub const DEMO_POLICY: &str = include_str!("../../../demo/policy.toml");

/// Why a command did not do its work.
#[derive(Debug)]
pub enum Failure {
    /// Arguments, settings or policy are wrong; nothing was started.
    Settings(Vec<Fault>),
    /// Something failed on the way.
    Running(String),
    /// The answer is no, and it has been told.
    Reported,
}

impl Failure {
    /// A failure on the way, told with what was being done.
    pub fn running(doing: &str, problem: impl Display) -> Self {
        Self::Running(format!("{doing}: {problem}"))
    }

    /// One fault in arguments or settings.
    pub fn setting(key: &str, problem: impl Display) -> Self {
        Self::Settings(vec![Fault { key: key.into(), problem: problem.to_string() }])
    }
}

/// Reads a policy file and joins it with the shipped models.
pub fn load_ruleset(policy: Option<&Path>) -> Result<Ruleset, Failure> {
    let policy = match policy {
        None => Policy::parse("the demo's policy", DEMO_POLICY),
        Some(path) => Policy::parse(&path.display().to_string(), &read(path)?),
    };
    let policy = policy.map_err(Failure::Settings)?;
    Ruleset::shipped(policy).map_err(|e| Failure::running("shipped models", e))
}

/// The same with model files in the place of what it has.
pub fn with_models(ruleset: Ruleset, files: &[PathBuf]) -> Result<Ruleset, Failure> {
    files.iter().try_fold(ruleset, |ruleset, path| {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|e| Failure::setting(&name, e))?;
        ruleset.with_model(&name, &bytes).map_err(|e| Failure::setting(&name, e))
    })
}

/// Reads a settings file.
pub fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|e| Failure::setting(&path.display().to_string(), e))
}

/// Writes to standard output. Whoever closes it early has seen enough: that is no failure.
pub fn print_stdout(text: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_fmt(format_args!("{text}")).and_then(|()| out.flush());
}

/// Writes files of one name with several endings, and tells of each.
pub fn write<const N: usize>(out: &Path, files: [(&str, String); N]) -> Result<(), Failure> {
    for (ending, text) in files {
        let path = out.with_extension(ending);
        std::fs::write(&path, text).map_err(|e| Failure::running(&path.display().to_string(), e))?;
        print_stdout(format_args!("{}\n", path.display()));
    }
    Ok(())
}

/// `1 fault`, `2 faults`.
pub fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}
