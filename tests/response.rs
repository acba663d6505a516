//! `firewatch report response`: waits and their relation to reach, on simulated streams with a known effect
//! and on real ones.

use std::path::Path;
use std::process::Output;

use firewatch_report::random::mix;
use firewatch_tests::{data, event, firewatch};
use serde_json::{Value, json};

/// From calm to angry.
const TEXTS: [&str; 4] = [
    "The portal is down again and I cannot log in",
    "They denied my claim for the third time and charged me twice. Horrible company.",
    "Still no refund after three weeks, what is going on?",
    "I am so angry and disgusted, this is the worst service ever",
];
/// Factor on the wait for each tenfold of the author's followers.
const PER_TENFOLD: f64 = 0.6;

fn report(input: &Path, more: &[&str]) -> (Output, Value) {
    let page = input.with_extension("html");
    let mut command = firewatch();
    command.args(["report", "response", "--input"]).arg(input).arg("--out").arg(&page).args(more);
    let ran = command.output().unwrap();
    let json = std::fs::read(input.with_extension("json")).unwrap_or_default();
    (ran, serde_json::from_slice(&json).unwrap_or_default())
}

/// Complaints over eight weeks. A fifth of them is never answered, and none is answered after two days.
fn simulated(seed: u64, n: u64) -> Vec<Value> {
    let chance = |i: u64| ((mix(seed, i) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    let mut events = Vec::new();
    for i in 0..n {
        let at = 3600.0 * 24.0 * 56.0 * i as f64 / n as f64;
        let [size, text, first, second, lost] = [0, 1, 2, 3, 4].map(|k| chance(8 * i + k));
        let followers = 10_f64.powf(1.0 + 4.0 * size) as u64;
        let text = TEXTS[(text * TEXTS.len() as f64) as usize];
        let author = json!({ "id": format!("a{i}"), "followers": followers });
        let post = json!({ "id": format!("p{i}"), "author": author, "text": text, "lang": "en" });
        let mut begun =
            event(&format!("p{i}"), &format!("c{i}"), at, &json!({ "brand": "aldermere", "post": post }));
        begun["platform"] = "x".into();
        events.push(begun);
        let normal = (-2.0 * first.ln()).sqrt() * (std::f64::consts::TAU * second).cos();
        let tens = (followers as f64 + 1.0).log10();
        let minutes = (5.0 + PER_TENFOLD.ln() * tens + normal).exp();
        if lost > 0.2 && minutes < 2880.0 {
            let reply = json!({ "account": "@AldermereCare", "text": "Sorry to hear that! Please DM us." });
            let body = json!({ "brand": "aldermere", "platform": "x", "brand_reply": reply });
            events.push(event(&format!("r{i}"), &format!("c{i}"), at + 60.0 * minutes, &body));
        }
    }
    events.sort_by_key(|event| event["at"].to_string());
    events
}

fn write(path: &Path, events: &[Value]) {
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    std::fs::write(path, lines.join("\n")).unwrap();
}

#[test]
fn a_known_effect_of_reach_is_within_the_interval() {
    let folder = tempfile::tempdir().unwrap();
    let mut held = 0;
    for seed in 0..10 {
        let input = folder.path().join(format!("events{seed}.jsonl"));
        write(&input, &simulated(seed, 1500));
        let (ran, figures) = report(&input, &[]);
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let all = &figures["groups"][0];
        let answered = all["answered"].as_f64().unwrap() / all["requests"].as_f64().unwrap();
        assert!((answered - 0.8).abs() < 0.04, "{answered}");
        // Unanswered complaints count: the median of the answered ones alone is about 35 minutes.
        assert!(all["median"].as_f64().unwrap() > 40.0, "{all}");
        assert!((all["handed_off"].as_f64().unwrap() - answered).abs() < 1e-9);
        let reach = &figures["influences"]["reach"]["per_tenfold"];
        let [low, times, high] = ["low", "times", "high"].map(|key| reach[key].as_f64().unwrap());
        println!("seed {seed}: {times:.3}, {low:.3} to {high:.3}");
        held += u32::from((low..high).contains(&PER_TENFOLD));
        assert!(high < 1.0 && (times / PER_TENFOLD - 1.0).abs() < 0.2);
    }
    assert!(held >= 8, "{held} of 10 intervals contain the true effect");
    let page = std::fs::read_to_string(folder.path().join("events0.html")).unwrap();
    assert!(
        page.contains("an author with ten times the followers waits 0.") && page.matches("<svg").count() >= 3
    );
    assert!(!page.contains("http://") || page.matches("http://").all(|_| page.contains("http://www.w3.org")));
    let csv = std::fs::read_to_string(folder.path().join("events0.csv")).unwrap();
    assert!(
        csv.starts_with("brand,platform,at,followers,") && !csv.contains("portal"),
        "the table must not contain text of posts"
    );
}

#[test]
fn real_conversations_are_reported_with_the_limits_of_the_data() {
    let Some(data) = data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("care.json5");
    std::fs::copy(data.join("care/conversations_dev.json"), &input).unwrap();
    let (ran, figures) = report(&input, &["--pseudonyms"]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let all = &figures["groups"][0];
    println!("{all}");
    assert_eq!((&all["requests"], &all["answered"]), (&json!(524), &json!(524)));
    // Calculated independently from the times of the turns and the last answer's id: 123.7 and 4,898 minutes
    // over all 525.
    assert!((all["median"].as_f64().unwrap() - 123.0).abs() < 1.0);
    assert!((all["p90"].as_f64().unwrap() - 4898.0).abs() < 1.0);
    assert!(figures["untold"].as_str().unwrap().contains("the followers of 0 of 524 authors are known"));
    assert!(figures["influences"]["reach"].is_null() && figures["influences"]["arousal"]["times"].is_f64());
    let page = std::fs::read_to_string(input.with_extension("html")).unwrap();
    assert!(
        page.contains("brand 24") && !page.contains("RockstarSupport"),
        "the page must not contain names"
    );
}

#[test]
fn invalid_input_is_reported_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, text: &str, wanted: &str| {
        let input = folder.path().join(name);
        std::fs::write(&input, text).unwrap();
        let (ran, _) = report(&input, &[]);
        let stderr = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(!ran.status.success() && stderr.contains(wanted), "{stderr}");
    };
    refused("a.txt", "[{\"dialogHeader\": 3}]", "a.txt, line 1: column 19: invalid type: integer `3`");
    refused("b.txt", "nonsense\n", "b.txt: no post asks a brand for anything; ");
    refused("c.txt", "", "c.txt: no post asks a brand for anything");
    let ran = firewatch().args(["report", "response", "--input", "x", "--out", "x.pdf"]).output().unwrap();
    assert!(String::from_utf8_lossy(&ran.stderr).contains("ends in .html"));
}
