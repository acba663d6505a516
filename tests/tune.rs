//! `firewatch tune` chooses from the past alone, within the budget, and reports the result on the later part.

use std::path::Path;
use std::process::Output;

use firewatch_tests::{event, firewatch, post, reshare};
use serde_json::Value;

const POLICY: &str = "horizon = \"2h\"\nviral_bar = 100\n[brands.aldermere]\n[routes.many]   # by count\nteam = \"pr\"\n\
                      when = { high = \"reshares >= 80\" }\n[teams.pr]\n";
const DAY: f64 = 86_400.0;

fn tune(folder: &Path, more: &[&str]) -> Output {
    let mut command = firewatch();
    command
        .arg("tune")
        .arg("--policy")
        .arg(folder.join("p.toml"))
        .arg("--input")
        .arg(folder.join("events.jsonl"));
    command.args(more).output().unwrap()
}

fn output_text(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

/// Writes ten conversations a day for forty days. Three of ten pass the bar; the others stop just below a
/// count, which is 35 before day 24 and 75 from then on.
fn history(folder: &Path) {
    let mut events = Vec::new();
    for i in 0..400 {
        let (id, at) = (format!("c{i}"), DAY / 10.0 * f64::from(i));
        let stops = if at < 24.0 * DAY { 35 } else { 75 };
        let reshares = if i % 10 < 3 { 120 } else { stops };
        events.push(event(&id, &id, at, &post(50, "I am so angry, the worst service ever")));
        events.extend((0..reshares).map(|n| {
            event(&format!("{id}.{n}"), &id, at + 20.0 * f64::from(n + 1), &reshare(&format!("a{n}"), 10))
        }));
    }
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    std::fs::write(folder.join("events.jsonl"), lines.join("\n")).unwrap();
    std::fs::write(folder.join("p.toml"), POLICY).unwrap();
}

#[test]
fn the_choice_uses_the_past_and_is_reported_on_the_later_part() {
    let folder = tempfile::tempdir().unwrap();
    history(folder.path());
    let out = folder.path().join("out.html");
    let vary = "routes.many.when.high=reshares >= {20..80/20}";
    let goal = [
        "--vary",
        vary,
        "--budget",
        "20 alerts/day",
        "--objective",
        "minutes",
        "--out",
        out.to_str().unwrap(),
    ];
    let ran = tune(folder.path(), &goal);
    let output = output_text(&ran);
    assert!(ran.status.success(), "{output}");
    // Every count catches all; the lowest gains the most minutes, at ten alerts a day.
    assert!(output.contains("> routes.many.when.high = reshares >= 20"), "{output}");
    // With five alerts a day the choice is 40, which fits the past but not the later part. The choice uses
    // the past alone.
    let output =
        output_text(&tune(folder.path(), &["--vary", vary, "--budget", "5", "--objective", "minutes"]));
    let chosen: Vec<&str> = output.lines().filter(|line| line.starts_with("> ")).collect();
    assert!(chosen.len() == 1 && chosen[0].contains("reshares >= 40"), "{output}");
    let figures: Vec<f64> = chosen[0].split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [.., past_alerts, past_precision, _, _, later_alerts, later_precision, later_recall, _] = figures[..]
    else {
        panic!("{output}")
    };
    assert!((past_alerts - 3.0).abs() < 0.3 && (past_precision - 1.0).abs() < 1e-9, "{output}");
    assert!((later_alerts - 10.0).abs() < 0.5 && (later_precision - 0.3).abs() < 0.02, "{output}");
    assert!((later_recall - 1.0).abs() < 1e-9 && !output.contains("warning"), "{output}");
    for line in
        ["- when = { high = \"reshares >= 80\" }", "+ when = { high = \"reshares >= 40\" }", ": better"]
    {
        assert!(output.contains(line), "{line} in {output}");
    }
    let chosen = std::fs::read_to_string(out.with_extension("toml")).unwrap();
    assert_eq!(chosen, POLICY.replace("80", "20"));
    let page = std::fs::read_to_string(&out).unwrap();
    assert!(page.matches("<svg").count() == 3 && page.contains("reshares &gt;= 20"));
    assert!(std::fs::read_to_string(out.with_extension("csv")).unwrap().lines().count() > 40);
}

#[test]
fn tuning_errors_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    history(folder.path());
    let vary = ["--vary", "routes.many.when.high=reshares >= {20,40}"];
    let tune_output = |more: &[&str]| output_text(&tune(folder.path(), more));
    let with = |more: &[&'static str]| [&vary, more].concat();
    assert!(
        tune_output(&with(&["--budget", "0.5"]))
            .contains("no candidate keeps to 0.5 alerts a day in the past")
    );
    // Both horizons give the same output, so the current value stays.
    let same = tune_output(&["--vary", "horizon={1h,2h}", "--budget", "20"]);
    assert!(
        same.contains("the current policy is already the best of them") && same.contains("> horizon = 2h"),
        "{same}"
    );
    assert!(same.contains("warning: no candidate has a better timely recall in the past"), "{same}");
    assert!(tune_output(&with(&["--budget", "many"])).contains("give a number above 0"));
    assert!(
        tune_output(&with(&["--budget", "5", "--team", "legal"]))
            .contains("is not a team of the policy; give one of pr, support")
    );
    assert!(tune_output(&with(&["--budget", "5", "--split", "0.001"])).contains("is too short to split"));
    assert!(
        tune_output(&["--vary", "routes.few.for={1s}", "--budget", "5"])
            .contains("the policy file has no `few`")
    );
    assert!(
        tune_output(&["--vary", "routes.many.when.high=reshares >= {1..99}", "--budget", "5"])
            .contains("at most 64")
    );
    // Two days are shorter than a weekly cycle and hold too few conversations.
    let text = std::fs::read_to_string(folder.path().join("events.jsonl")).unwrap();
    let short: Vec<&str> = text.lines().take(1300).collect();
    std::fs::write(folder.path().join("events.jsonl"), short.join("\n")).unwrap();
    let short = tune_output(&with(&["--budget", "50"]));
    assert!(short.contains("the choice is a guess") && short.contains("less than a weekly cycle"), "{short}");
}
