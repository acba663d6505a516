//! Test support: runs the command, finds the data sets, and builds and reads records.

pub mod browser;
pub mod console;
mod deployment;
pub mod generated;
mod kafka;
mod python;
mod registry;
mod secured;

pub use deployment::{Deployment, values};
pub use kafka::{Cluster, Instance, can_run_kafka, metric_sum};
pub use python::python_packages;
pub use registry::Registry;
pub use secured::{Access, Credentials, SecuredCluster};

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use firewatch_domain::EventTime;
use firewatch_engine::{Effect, LineSource, LocalTopology, Ruleset, Tally};
use serde_json::{Value, json};

/// Returns the workspace folder.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Returns the `firewatch` command built beside the tests.
///
/// # Panics
/// When the command is not built; `./dev test` builds it first.
#[must_use]
pub fn firewatch() -> Command {
    let tests = std::env::current_exe().unwrap_or_default();
    let path = tests.ancestors().nth(2).map(|target| target.join("firewatch")).unwrap_or_default();
    assert!(
        path.exists(),
        "{} does not exist; build it with `cargo build --release --workspace --bins`",
        path.display()
    );
    let mut command = Command::new(path);
    command.current_dir(root());
    command
}

/// Runs the command with `input` on its standard input until it exits.
///
/// # Panics
/// When the command cannot be started.
#[must_use]
pub fn piped(args: &[&str], input: &[u8]) -> Output {
    let mut command = firewatch();
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // The write fails when the command refuses its arguments and reads nothing.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    })
}

/// Returns the folder of the data sets. Prints a notice and returns `None` if there are none.
///
/// # Panics
/// When `FIREWATCH_REQUIRE_DATA` is set and the data sets are absent.
#[must_use]
pub fn data() -> Option<PathBuf> {
    let path =
        std::env::var_os("FIREWATCH_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from);
    if path.join("MANIFEST.md").exists() {
        return Some(path);
    }
    let required = std::env::var_os("FIREWATCH_REQUIRE_DATA").is_some();
    assert!(!required, "FIREWATCH_REQUIRE_DATA is set, but there are no data sets at {}", path.display());
    eprintln!("SKIPPED: no data sets at {}; set FIREWATCH_DATA", path.display());
    None
}

/// Parses JSON lines.
///
/// # Panics
/// When a line is not valid JSON.
#[must_use]
pub fn json_lines(bytes: &[u8]) -> Vec<Value> {
    let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            serde_json::from_slice(line).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(line)))
        })
        .collect()
}

/// Returns an event of a conversation, `secs` seconds after 2026-03-10T14:00:00Z.
#[must_use]
pub fn event(id: &str, conversation: &str, secs: f64, body: &Value) -> Value {
    let at = EventTime::from_millis(1_773_151_200_000 + (secs * 1000.0) as i64);
    let mut event = json!({ "v": 1, "id": id, "conversation": conversation, "at": at });
    if let (Some(event), Some(body)) = (event.as_object_mut(), body.as_object()) {
        event.extend(body.clone());
    }
    event
}

/// Returns the body of a post.
#[must_use]
pub fn post(followers: impl Into<Option<u64>>, text: &str) -> Value {
    let author = json!({ "id": "author", "followers": followers.into() });
    json!({ "brand": "aldermere", "post": { "id": "p", "author": author, "text": text, "lang": "en" } })
}

/// Returns the body of a reshare.
#[must_use]
pub fn reshare(actor: &str, followers: impl Into<Option<u64>>) -> Value {
    json!({ "engagement": { "kind": "reshare", "actor": actor, "followers": followers.into() } })
}

/// Runs event lines through a local topology to the end of the stream. Returns the effects other than
/// signals, and the counts of records by outcome.
pub fn run_lines<L: AsRef<[u8]>>(
    ruleset: &Ruleset,
    file: LineSource<'_>,
    lines: impl IntoIterator<Item = L>,
) -> (Vec<Effect>, Tally) {
    let mut effects = Vec::new();
    let mut sink = |effect: &Effect| {
        if !matches!(effect, Effect::Signal(_)) {
            effects.push(effect.clone());
        }
    };
    let mut topology = LocalTopology::default();
    for line in lines {
        topology.push_line(line.as_ref(), file, ruleset, &mut sink);
    }
    let tally = topology.end_of_stream(ruleset, &mut sink);
    (effects, tally)
}
