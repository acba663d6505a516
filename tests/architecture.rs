//! The house keeps its shape: arrows between crates, who may name what, and licences.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use firewatch_tests::root;
use serde_json::Value;

/// What each crate may use. An arrow that is not here does not exist.
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

/// Dependencies that only these crates may name.
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

const LICENCES: [&str; 12] = [
    "0BSD",
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "CC0-1.0",
];

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
fn arrows_point_one_way() {
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
        "name new crates here"
    );
}

#[test]
fn what_is_for_some_crates_is_named_by_no_other() {
    let dependencies = dependencies();
    for (dependency, owners) in ONLY {
        for (name, used) in &dependencies {
            assert!(
                !used.contains(dependency) || owners.contains(&name.as_str()),
                "{name} names {dependency}, which is for {owners:?}"
            );
        }
    }
}

#[test]
fn every_licence_is_one_we_may_ship() {
    // What other platforms need is neither shipped nor downloaded.
    let rustc = Command::new("rustc").arg("-vV").output().unwrap();
    let rustc = String::from_utf8(rustc.stdout).unwrap();
    let host = rustc.lines().find_map(|l| l.strip_prefix("host: ")).unwrap();
    let metadata = metadata(&["--filter-platform", host]);
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "metadata without dependencies");
    for package in packages {
        let licence = text(package, "license");
        // An expression is good when one of its alternatives has only licences from the list.
        let alternatives = licence.replace('/', " OR ").replace(['(', ')'], "");
        let good =
            alternatives.split(" OR ").any(|all| all.split(" AND ").all(|l| LICENCES.contains(&l.trim())));
        assert!(good, "{} {} is under {licence:?}", package["name"], package["version"]);
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
