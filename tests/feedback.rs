//! Verdicts of people on alerts: precision by team and route, and a calibration of the risk for later alerts.

use std::path::Path;
use std::process::Output;

use firewatch_tests::{firewatch, json_lines, root};
use serde_json::{Value, json};

fn run(args: &[&str]) -> (Output, String) {
    let out = firewatch().args(args).output().unwrap();
    let output = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out, output)
}

fn write(folder: &Path, name: &str, lines: &[Value]) -> String {
    let path = folder.join(name);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Returns alerts of PR at every risk from 15 to 94, and verdicts on them: two in five useful at 15, all at
/// 94.
fn history() -> (Vec<Value>, Vec<Value>) {
    let (mut alerts, mut verdicts) = (Vec::new(), Vec::new());
    for i in 0..400_i64 {
        // The order of the alerts is not that of the risk.
        let risk = 15 + (i * 37) % 80;
        let at = firewatch_domain::EventTime::from_millis(1_772_000_000_000 + i * 600_000);
        let later = firewatch_domain::EventTime::from_millis(1_772_000_000_000 + i * 600_000 + 60_000);
        let conversation = format!("c{i}");
        alerts.push(json!({
            "v": 1, "id": format!("{conversation}/0"), "escalation": conversation, "step": 0, "news": "opened",
            "state": "open", "team": "pr", "level": "medium", "conversation": conversation, "at": at, "risk": risk,
            "reasons": ["risk"], "route": if i % 2 == 0 { "viral" } else { "harm" }, "policy": "p", "policy_hash": "h",
        }));
        let kind = if (i / 80) * 100 < 40 * 5 + 60 * 5 * (risk - 15) / 79 { "useful" } else { "noise" };
        verdicts.push(json!({
            "v": 1, "id": format!("v{i}"), "conversation": conversation, "at": later, "by": "kim", "kind": kind,
        }));
    }
    (alerts, verdicts)
}

#[test]
fn precision_is_reported_by_route_and_a_calibration_is_learned_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let (alerts, mut verdicts) = history();
    let escalations = write(folder.path(), "escalations.jsonl", &alerts);
    verdicts.push(json!({ "v": 1 }));
    let actions = write(folder.path(), "actions.jsonl", &verdicts);
    let new = folder.path().join("calibration-2.toml").display().to_string();
    let page = folder.path().join("feedback.html").display().to_string();
    let base = ["report", "feedback", "--escalations", &escalations, "--actions", &actions];
    let (out, output) = run(&[&base[..], &["--calibration", &new, "--out", &page]].concat());
    assert!(out.status.success(), "{output}");
    assert!(output.contains("actions.jsonl, line 401: missing_field: `conversation`"), "{output}");
    let row =
        |name: &str| output.lines().find(|line| line.trim_start().starts_with(name)).unwrap().to_owned();
    let cells: Vec<String> = row("pr").split_whitespace().take(4).map(Into::into).collect();
    assert!(cells[1] == "400" && cells[2] == "400" && cells[3].parse::<u32>().unwrap() > 250, "{cells:?}");
    assert!(row("viral").contains(" 200 ") && row("harm").contains(" 200 "), "{output}");
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.matches("<svg").count() == 1 && html.contains("were useful"), "{html}");
    let csv = std::fs::read_to_string(folder.path().join("feedback.csv")).unwrap();
    assert!(
        csv.starts_with("team,route,level,alerts,judged,useful,precision,low,high\npr,,,400,400,"),
        "{csv}"
    );
    // Verdicts on routes that do not use the risk teach nothing about it.
    let other = folder.path().join("other.toml").display().to_string();
    let (out, output) = run(&[&base[..], &["--calibration", &other, "--route", "viral"]].concat());
    assert!(out.status.success() && output.contains("from 200 verdicts on alerts of pr"), "{output}");
    // The file is not overwritten.
    let before = std::fs::read_to_string(&new).unwrap();
    let (out, output) = run(&[&base[..], &["--calibration", &new]].concat());
    assert!(
        out.status.code() == Some(2) && output.contains("a calibration is never changed in place"),
        "{output}"
    );
    assert_eq!(std::fs::read_to_string(&new).unwrap(), before);
    uses(folder.path(), &new);
}

/// Alerts that were more useful than their risk stated get a higher risk, with the reason.
fn uses(folder: &Path, calibration: &str) {
    let recording = root().join("demo/recording.jsonl").display().to_string();
    let out = folder.join("out").display().to_string();
    let (ran, output) = run(&["backtest", "--input", &recording, "--model", calibration, "--out", &out]);
    assert!(ran.status.success() && output.contains("demo with "), "{output}");
    let read = |name: &str| json_lines(&std::fs::read(folder.join("out").join(name)).unwrap());
    let (plain, calibrated) = (read("escalations-demo.jsonl"), read("escalations-demo-2.jsonl"));
    let by_feedback = |record: &Value| {
        let parts = record["contributions"].as_array().cloned().unwrap_or_default();
        parts.iter().find(|part| part["name"] == "feedback").map(|part| part["points"].as_f64().unwrap())
    };
    assert!(plain.iter().all(|record| by_feedback(record).is_none()));
    let raised =
        calibrated.iter().filter(|record| by_feedback(record).is_some_and(|points| points > 1.0)).count();
    assert!(raised > 0);
    let why = |record: &Value| record["reasons"].to_string().contains("verdicts on earlier alerts (+");
    assert!(calibrated.iter().any(why));
}

#[test]
fn too_few_verdicts_are_refused_and_errors_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (alerts, verdicts) = history();
    let escalations = write(folder.path(), "escalations.jsonl", &alerts);
    let actions = write(folder.path(), "actions.jsonl", &verdicts[..20]);
    let new = folder.path().join("new.toml").display().to_string();
    let base = ["report", "feedback", "--escalations", &escalations, "--actions", &actions];
    let (out, output) = run(&[&base[..], &["--calibration", &new]].concat());
    assert!(out.status.code() == Some(1) && output.contains("20 verdicts on alerts of pr"), "{output}");
    assert!(!Path::new(&new).exists());
    let nothing = write(folder.path(), "none.jsonl", &[]);
    let (out, output) = run(&["report", "feedback", "--escalations", &escalations, "--actions", &nothing]);
    assert!(
        out.status.success() && output.contains("no alert was judged: send actions of the kind"),
        "{output}"
    );
    let (out, output) = run(&["report", "feedback", "--escalations", &escalations]);
    assert!(out.status.code() == Some(2) && output.contains("--actions"), "{output}");
    std::fs::write(folder.path().join("bad.toml"), "[calibration]\nversion = \"2\"\nscale = 0\n").unwrap();
    let bad = folder.path().join("bad.toml").display().to_string();
    let recording = root().join("demo/recording.jsonl").display().to_string();
    let (out, output) = run(&["backtest", "--input", &recording, "--model", &bad]);
    assert!(out.status.code() == Some(2), "{output}");
    assert!(
        output.contains("calibration.shift: is missing")
            && output.contains("calibration.scale: 0 is not allowed"),
        "{output}"
    );
}
