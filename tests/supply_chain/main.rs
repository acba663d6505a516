//! Checks the answers to advisories against Cargo.lock.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::{Duration, SystemTime};

use firewatch_domain::EventTime;
use firewatch_tests::root;
use semver::{Version, VersionReq};
use serde::Deserialize;

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
