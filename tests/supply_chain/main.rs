//! Checks the answers to advisories against Cargo.lock, and the bill of materials (SBOM).

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use firewatch_domain::EventTime;
use firewatch_tests::{python_packages, root};
use semver::{Version, VersionReq};
use serde::Deserialize;
use serde_json::Value;

/// After this time, the test prints that a review is due.
const MAX_REVIEW_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Review {
    reviewed: String,
    newest: String,
    advisory: Vec<Advisory>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advisory {
    id: String,
    package: String,
    affected: Vec<String>,
    subject: String,
    answer: Option<String>,
}

impl Advisory {
    fn affects(&self, package: &Package) -> bool {
        let version = Version::parse(&package.version).unwrap();
        let within = |range: &String| VersionReq::parse(range).unwrap().matches(&version);
        self.package == package.name && self.affected.iter().any(within)
    }
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    checksum: Option<String>,
}

fn read<T: serde::de::DeserializeOwned>(file: &str) -> T {
    let text = std::fs::read_to_string(root().join(file)).unwrap();
    toml::from_str(&text).unwrap_or_else(|e| panic!("{file}: {e}"))
}

#[test]
fn every_affected_version_has_an_answer_and_every_answer_applies() {
    let review: Review = read("advisories.toml");
    let lock: Lock = read("Cargo.lock");
    let mut wrong = Vec::new();
    for advisory in &review.advisory {
        let about = format!("{} ({}: {})", advisory.id, advisory.package, advisory.subject);
        let affected = lock.package.iter().find(|package| advisory.affects(package));
        match (affected, &advisory.answer) {
            (Some(package), None) => wrong.push(format!(
                "{about}: Cargo.lock has {}; use another version, or answer it in advisories.toml",
                package.version
            )),
            (None, Some(_)) => wrong.push(format!(
                "{about}: Cargo.lock has no affected version; remove the answer in advisories.toml"
            )),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn cargo_deny_ignores_exactly_the_answered_advisories() {
    let review: Review = read("advisories.toml");
    let deny: toml::Value = read("deny.toml");
    let ignored = deny["advisories"]["ignore"].as_array().unwrap();
    let ignored: BTreeSet<&str> = ignored.iter().map(|id| id.as_str().unwrap()).collect();
    let answered = review.advisory.iter().filter(|advisory| advisory.answer.is_some());
    let answered: BTreeSet<&str> = answered.map(|advisory| advisory.id.as_str()).collect();
    assert_eq!(ignored, answered, "deny.toml (left) and advisories.toml (right)");
}

#[test]
fn the_age_of_the_review_is_printed() {
    let review: Review = read("advisories.toml");
    let midnight = format!("{}T00:00:00Z", review.reviewed);
    let reviewed = EventTime::parse(&midnight).unwrap_or_else(|e| panic!("reviewed = {midnight:?}: {e:?}"));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let age = now.saturating_sub(Duration::from_millis(u64::try_from(reviewed.as_millis()).unwrap()));
    let due = if age > MAX_REVIEW_AGE { ": a new review is due" } else { "" };
    // Written to the stream itself: the test harness hides what the macros print.
    writeln!(
        std::io::stderr(),
        "Advisories were last reviewed on {}, up to {}, {} days ago{due}",
        review.reviewed,
        review.newest,
        age.as_secs() / (24 * 60 * 60)
    )
    .unwrap();
}

fn bill_of_materials() -> Value {
    let out = Command::new("python3").arg(root().join("deploy/sbom.py")).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

#[test]
fn the_bill_of_materials_is_valid_and_complete() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no python3");
        return;
    }
    let bill = bill_of_materials();
    let components: BTreeMap<&str, &Value> =
        bill["components"].as_array().unwrap().iter().map(|c| (text(c, "bom-ref"), c)).collect();
    let names = |scope: &str| -> BTreeSet<&str> {
        components.values().filter(|c| text(c, "scope") == scope).map(|c| text(c, "name")).collect()
    };

    // What is linked, what runs in the compiler only, and what only training and tests need.
    for name in ["tokio", "rustls", "rdkafka-sys", "firewatch-engine", "encoder.fwm"] {
        assert!(names("required").contains(name), "{name} is not listed as a part of the binary");
    }
    for name in ["serde_derive", "cc"] {
        assert!(names("excluded").contains(name), "{name} is not listed as a tool of the build");
    }
    for name in ["candle-core", "paste", "firewatch-train", "proptest"] {
        assert!(!components.values().any(|c| text(c, "name") == name), "{name} is no part of the binary");
    }
    for name in ["openssl", "librdkafka", "sqlite", "zstd", "zlib", "lz4"] {
        let version = components.values().find(|c| text(c, "name") == name).map(|c| text(c, "version"));
        assert!(
            version.is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit())),
            "{name} has the version {version:?}"
        );
    }

    let lock: Lock = read("Cargo.lock");
    let sums: BTreeMap<String, &str> = lock
        .package
        .iter()
        .filter_map(|p| Some((format!("{}@{}", p.name, p.version), p.checksum.as_deref()?)))
        .collect();
    let mut crates = 0;
    for component in components.values().filter(|c| text(c, "purl").starts_with("pkg:cargo/")) {
        let key = format!("{}@{}", text(component, "name"), text(component, "version"));
        assert_eq!(component["hashes"][0]["content"], sums[&key], "{key}");
        assert!(!text(&component["licenses"][0], "expression").is_empty(), "{key} has no licence");
        crates += 1;
    }
    assert!(crates > 300, "{crates} crates");

    // Every component is reached from the binary.
    let root = text(&bill["metadata"]["component"], "bom-ref");
    let graph: BTreeMap<&str, &Value> =
        bill["dependencies"].as_array().unwrap().iter().map(|d| (text(d, "ref"), &d["dependsOn"])).collect();
    let mut reached = BTreeSet::new();
    let mut open_ends = vec![root];
    while let Some(end) = open_ends.pop() {
        if reached.insert(end) {
            let next = graph.get(end).and_then(|d| d.as_array());
            open_ends.extend(next.into_iter().flatten().filter_map(Value::as_str));
        }
    }
    let listed: BTreeSet<&str> = components.keys().copied().chain([root]).collect();
    let different: Vec<_> = reached.symmetric_difference(&listed).collect();
    assert!(different.is_empty(), "reached from the binary or listed, but not both: {different:?}");

    match python_packages("supply_chain") {
        Ok(packages) => validate(&bill, &packages),
        Err(problem) => {
            let required = std::env::var_os("FIREWATCH_REQUIRE_PYTHON").is_some();
            assert!(!required, "FIREWATCH_REQUIRE_PYTHON is set, but there is no validator: {problem}");
            eprintln!("SKIPPED: no CycloneDX validator: {problem}");
        }
    }
}

/// Validates the document with the CycloneDX project's own schema.
fn validate(bill: &Value, packages: &std::path::Path) {
    let mut python = Command::new("python3");
    python.arg(root().join("tests/supply_chain/validate.py")).env("PYTHONPATH", packages);
    let mut child = python.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bill.to_string().as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
