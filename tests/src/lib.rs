//! What tests share: the command, the data sets, and short ways to make and read records.

pub mod browser;
pub mod console;
mod deployment;
mod kafka;
mod registry;

pub use deployment::Deployment;
pub use kafka::{Cluster, Instance, can_run_kafka, metric_sum};
pub use registry::Registry;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// The folder of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// The command, as built beside the tests.
///
/// # Panics
/// When it is not built; `./dev test` builds it first.
#[must_use]
pub fn firewatch() -> Command {
    let tests = std::env::current_exe().unwrap_or_default();
    let path = tests.ancestors().nth(2).map(|target| target.join("firewatch")).unwrap_or_default();
    assert!(
        path.exists(),
        "{} is not there; build it with `cargo build --release --workspace --bins`",
        path.display()
    );
    let mut command = Command::new(path);
    command.current_dir(root());
    command
}

/// Runs the command to its end with this on its standard input.
///
/// # Panics
/// When it cannot be started.
#[must_use]
pub fn piped(args: &[&str], input: &[u8]) -> Output {
    let mut command = firewatch();
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A command that refuses its arguments reads nothing.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    })
}

/// The data sets' folder; none, told with the reason, where a user has none.
///
/// # Panics
/// When they are required and absent.
#[must_use]
pub fn data() -> Option<PathBuf> {
    let path =
        std::env::var_os("FIREWATCH_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from);
    if path.join("MANIFEST.md").exists() {
        return Some(path);
    }
    let required = std::env::var_os("FIREWATCH_REQUIRE_DATA").is_some();
    assert!(!required, "FIREWATCH_REQUIRE_DATA is set, but there are no data sets at {}", path.display());
    eprintln!("SKIPPED: no data sets at {}; FIREWATCH_DATA says where they are", path.display());
    None
}

/// JSON lines.
///
/// # Panics
/// When a line is no JSON.
#[must_use]
pub fn json_lines(bytes: &[u8]) -> Vec<Value> {
    let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            serde_json::from_slice(line).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(line)))
        })
        .collect()
}

/// An event of a conversation, `secs` after 2026-03-10T14:00:00Z.
#[must_use]
pub fn event(id: &str, conversation: &str, secs: f64, body: &Value) -> Value {
    let at = firewatch_domain::EventTime::from_millis(1_773_151_200_000 + (secs * 1000.0) as i64);
    let mut event = json!({ "v": 1, "id": id, "conversation": conversation, "at": at });
    if let (Some(event), Some(body)) = (event.as_object_mut(), body.as_object()) {
        event.extend(body.clone());
    }
    event
}

/// The body of a post.
#[must_use]
pub fn post(followers: impl Into<Option<u64>>, text: &str) -> Value {
    let author = json!({ "id": "author", "followers": followers.into() });
    json!({ "brand": "aldermere", "post": { "id": "p", "author": author, "text": text, "lang": "en" } })
}

/// The body of a reshare.
#[must_use]
pub fn reshare(actor: &str, followers: impl Into<Option<u64>>) -> Value {
    json!({ "engagement": { "kind": "reshare", "actor": actor, "followers": followers.into() } })
}
