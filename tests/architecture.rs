//! Checks the architecture: dependencies between crates, crates with restricted users, licences, identifiers
//! and signatures.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use firewatch_tests::root;
use serde_json::Value;

/// The workspace crates that each crate may depend on. Any other dependency fails the test.
const ARROWS: [(&str, &[&str]); 17] = [
    ("firewatch-domain", &[]),
    ("firewatch-settings", &["domain"]),
    ("firewatch-telemetry", &[]),
    ("firewatch-http", &[]),
    ("firewatch-wire", &[]),
    ("firewatch-report", &["domain"]),
    ("firewatch-ingest", &["domain", "settings"]),
    ("firewatch-scoring", &["domain", "settings"]),
    ("firewatch-escalation", &["domain", "settings"]),
    ("firewatch-engine", &["domain", "settings", "ingest", "scoring", "escalation"]),
    ("firewatch-kafka", &["domain", "ingest", "engine", "wire", "telemetry"]),
    ("firewatch-backtest", &["domain", "settings", "ingest", "scoring", "escalation", "engine", "report"]),
    ("firewatch-train", &["domain", "settings", "scoring", "escalation", "engine", "report", "backtest"]),
    ("firewatch-collect", &["domain", "ingest", "http"]),
    ("firewatch-console", &["domain", "settings", "escalation", "http"]),
    (
        "firewatch",
        &[
            "domain",
            "settings",
            "collect",
            "console",
            "ingest",
            "scoring",
            "escalation",
            "engine",
            "kafka",
            "backtest",
            "train",
            "report",
            "telemetry",
            "http",
            "wire",
        ],
    ),
    (
        "firewatch-tests",
        &[
            "backtest",
            "collect",
            "console",
            "domain",
            "engine",
            "escalation",
            "http",
            "ingest",
            "kafka",
            "report",
            "scoring",
            "settings",
            "telemetry",
            "train",
            "wire",
        ],
    ),
];

/// Dependencies that only the named crates may have.
const ONLY: [(&str, &[&str]); 10] = [
    ("apache-avro", &["firewatch-wire", "firewatch-tests"]),
    ("prost-reflect", &["firewatch-wire"]),
    ("rdkafka", &["firewatch-kafka"]),
    ("tokio", &["firewatch", "firewatch-collect", "firewatch-console", "firewatch-http", "firewatch-tests"]),
    ("axum", &["firewatch", "firewatch-collect", "firewatch-console", "firewatch-http", "firewatch-tests"]),
    ("sqlx", &["firewatch-console"]),
    ("prometheus", &["firewatch-telemetry"]),
    ("linfa", &["firewatch-train"]),
    ("candle-core", &["firewatch-train"]),
    ("toml", &["firewatch-settings", "firewatch-backtest", "firewatch-escalation", "firewatch-tests"]),
];

/// Returns the licences that deny.toml allows.
fn allowed_licences() -> BTreeSet<String> {
    let deny: toml::Value =
        toml::from_str(&std::fs::read_to_string(root().join("deny.toml")).unwrap()).unwrap();
    let allowed = deny["licenses"]["allow"].as_array().unwrap();
    allowed.iter().map(|licence| licence.as_str().unwrap().to_owned()).collect()
}

fn metadata(extra: &[&str]) -> Value {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(extra)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata(&["--no-deps"]);
    let packages = metadata["packages"].as_array().unwrap();
    let normal = |p: &Value| {
        let all = p["dependencies"].as_array().unwrap();
        all.iter().filter(|d| d["kind"].is_null()).map(|d| text(d, "name").to_owned()).collect()
    };
    packages.iter().map(|p| (text(p, "name").to_owned(), normal(p))).collect()
}

#[test]
fn crates_depend_only_on_their_listed_crates() {
    let dependencies = dependencies();
    for (name, allowed) in ARROWS {
        let allowed: BTreeSet<String> = allowed.iter().map(|a| format!("firewatch-{a}")).collect();
        let used: BTreeSet<String> =
            dependencies[name].iter().filter(|d| d.starts_with("firewatch")).cloned().collect();
        assert!(used.is_subset(&allowed), "{name} uses {:?}", used.difference(&allowed));
    }
    let known: BTreeSet<&str> = ARROWS.iter().map(|(n, _)| *n).chain(["firewatch-benches"]).collect();
    assert_eq!(
        dependencies.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        known,
        "list new crates in ARROWS"
    );
}

#[test]
fn restricted_dependencies_are_used_only_by_their_owners() {
    let dependencies = dependencies();
    for (dependency, owners) in ONLY {
        for (name, used) in &dependencies {
            assert!(
                !used.contains(dependency) || owners.contains(&name.as_str()),
                "{name} depends on {dependency}, which is restricted to {owners:?}"
            );
        }
    }
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    // Leaves out dependencies of other platforms: they are neither shipped nor downloaded.
    let rustc = Command::new("rustc").arg("-vV").output().unwrap();
    let rustc = String::from_utf8(rustc.stdout).unwrap();
    let host = rustc.lines().find_map(|l| l.strip_prefix("host: ")).unwrap();
    let metadata = metadata(&["--filter-platform", host]);
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "cargo metadata lists no dependencies");
    let allowed = allowed_licences();
    for package in packages {
        let licence = text(package, "license");
        // A licence expression is accepted if one of its alternatives has only licences from the list.
        let alternatives = licence.replace('/', " OR ").replace(['(', ')'], "");
        let good =
            alternatives.split(" OR ").any(|all| all.split(" AND ").all(|l| allowed.contains(l.trim())));
        assert!(good, "{} {} has the licence {licence:?}", package["name"], package["version"]);
        let source = text(package, "source");
        let registry = source.is_empty() || source.starts_with("registry+");
        assert!(registry, "{} comes from {source}, not from the registry", package["name"]);
    }
}

#[test]
fn pure_crates_do_no_io() {
    let banned = ["std::fs", "std::net", "std::process", "std::thread", "std::env", "println!", "eprintln!"];
    for name in ["domain", "settings", "ingest", "scoring", "escalation", "engine", "telemetry", "wire"] {
        let mut folders = vec![root().join("crates").join(name).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let code = std::fs::read_to_string(&path).unwrap();
                for word in banned {
                    assert!(!code.contains(word), "{} has {word}", path.display());
                }
            }
        }
    }
}

/// Words that identifiers must not contain; CONTRIBUTING names the standard term for each.
const BANNED_WORDS: [&str; 21] = [
    "told",
    "tell",
    "tells",
    "said",
    "heard",
    "brain",
    "desk",
    "crew",
    "lane",
    "glance",
    "patience",
    "outlook",
    "infection",
    "fade",
    "faded",
    "telling",
    "ledger",
    "ticked",
    "in_words",
    "is_one",
    "trial",
];
/// Prefixes that identifiers must not have; use `max_` and `min_`.
const BANNED_PREFIXES: [&str; 2] = ["most_", "least_"];
/// Names that constants must not have: they state neither a quantity nor a unit.
const BANNED_CONSTANTS: [&str; 5] = ["LOOK", "ASK", "TOLD", "MOST", "LEAST"];

/// Returns the path and text of every Rust file of the crates, the tests and the benches.
fn sources() -> Vec<(String, String)> {
    let mut folders: Vec<_> = ["crates", "tests", "benches"].map(|folder| root().join(folder)).into();
    let mut all = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") && !path.ends_with("node_modules") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                all.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    all.sort();
    all
}

/// Returns the code of a file: comments and the contents of strings are replaced by blanks, line by line.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let bytes: Vec<char> = text.chars().collect();
    let mut i = 0;
    while i < bytes.len() {
        let rest = &bytes[i..];
        if rest.starts_with(&['/', '/']) {
            while i < bytes.len() && bytes[i] != '\n' {
                i += 1;
            }
            continue;
        }
        let raw = rest[0] == 'r'
            && matches!(rest.get(1), Some('"' | '#'))
            && !code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if raw {
            let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
            if rest.get(1 + hashes) == Some(&'"') {
                let end: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                i += 2 + hashes;
                while i < bytes.len() && !bytes[i..].iter().take(end.len()).copied().eq(end.chars()) {
                    if bytes[i] == '\n' {
                        code.push('\n');
                    }
                    i += 1;
                }
                i += end.len();
                continue;
            }
        }
        if rest[0] == '"' {
            i += 1;
            while i < bytes.len() && bytes[i] != '"' {
                if bytes[i] == '\n' {
                    code.push('\n');
                }
                i += if bytes[i] == '\\' { 2 } else { 1 };
            }
            i += 1;
            continue;
        }
        // A quote as a character literal must not open a string.
        if rest.starts_with(&['\'', '"', '\'']) {
            i += 3;
            continue;
        }
        if rest.starts_with(&['\'', '\\']) && rest.get(3) == Some(&'\'') {
            i += 4;
            continue;
        }
        code.push(rest[0]);
        i += 1;
    }
    code
}

fn identifiers(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

/// Splits an identifier into lower-case words: `told_to` and `ToldTo` both give `told`, `to`.
fn words_of(identifier: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = '_';
    for c in identifier.chars() {
        if c == '_' || (c.is_uppercase() && before.is_lowercase()) {
            words.push(String::new());
        }
        if c != '_' {
            words.last_mut().unwrap().extend(c.to_lowercase());
        }
        before = c;
    }
    words
}

#[test]
fn no_identifier_has_a_banned_word() {
    let mut found = BTreeSet::new();
    for (file, text) in sources() {
        for (number, line) in code_of(&text).lines().enumerate() {
            for identifier in identifiers(line) {
                let words = words_of(identifier);
                let snake = identifier.to_lowercase();
                let banned = words.iter().any(|word| BANNED_WORDS.contains(&word.as_str()))
                    || BANNED_WORDS.iter().any(|word| word.contains('_') && *word == snake)
                    || BANNED_PREFIXES.iter().any(|prefix| snake.starts_with(prefix))
                    || BANNED_CONSTANTS.contains(&identifier);
                if banned {
                    found.insert(format!("{file}:{}: {identifier}", number + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{} identifiers: {found:#?}", found.len());
}

#[test]
fn no_public_type_name_is_used_in_two_crates() {
    let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, text) in sources() {
        let Some(crate_name) = file.strip_prefix("crates/").and_then(|rest| rest.split('/').next()) else {
            continue;
        };
        for line in code_of(&text).lines() {
            let declared = ["pub struct ", "pub enum ", "pub trait ", "pub type "]
                .iter()
                .find_map(|start| line.strip_prefix(start))
                .and_then(|rest| identifiers(rest).next());
            if let Some(name) = declared {
                places.entry(name.to_owned()).or_default().insert(crate_name.to_owned());
            }
        }
    }
    let twice: Vec<_> = places.into_iter().filter(|(_, crates)| crates.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:#?}");
}

/// Returns the signature of every function on one line, with its file and line number.
fn signatures() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (file, text) in sources() {
        let code = code_of(&text);
        let lines: Vec<&str> = code.lines().collect();
        for (i, line) in lines.iter().enumerate() {
            let start = line.trim_start();
            let is_function = identifiers(start).take(5).any(|word| word == "fn") && start.contains("fn ");
            if !is_function {
                continue;
            }
            let mut signature = String::new();
            for line in &lines[i..lines.len().min(i + 20)] {
                signature.push_str(line.trim());
                signature.push(' ');
                if line.contains('{') || line.trim_end().ends_with(';') {
                    break;
                }
            }
            all.push((format!("{file}:{}", i + 1), signature));
        }
    }
    all
}

#[test]
fn no_function_takes_a_tuple_pattern() {
    let found: Vec<_> = signatures()
        .into_iter()
        .filter(|(_, signature)| signature.split('{').next().unwrap().replace("(): ()", "").contains("): ("))
        .collect();
    assert!(found.is_empty(), "use a struct or separate parameters: {found:#?}");
}

#[test]
fn no_public_library_function_returns_a_string_error() {
    let found: Vec<_> = signatures()
        .into_iter()
        .filter(|(place, signature)| {
            place.starts_with("crates/")
                && !place.starts_with("crates/cli/")
                && (signature.starts_with("pub fn") || signature.starts_with("pub async fn"))
                && signature.split("->").nth(1).is_some_and(|returned| {
                    returned.split('{').next().unwrap().replace(' ', "").contains(",String>")
                        && returned.contains("Result<")
                })
        })
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}
