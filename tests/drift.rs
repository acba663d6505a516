//! Drift reports on the demo's hour, which turns into a storm, and on invalid input.

use std::path::Path;

use firewatch_tests::{firewatch, piped, root};

fn report(args: &[&str]) -> (Option<i32>, String) {
    let out = firewatch().args(["report", "drift"]).args(args).output().unwrap();
    (
        out.status.code(),
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr),
    )
}

/// Writes the scores of the demo's recording, mixed with escalations and one invalid line.
fn scores(folder: &Path) -> String {
    let out = piped(&["score"], &std::fs::read(root().join("demo/recording.jsonl")).unwrap());
    let path = folder.join("scores.jsonl");
    std::fs::write(&path, [&out.stdout[..], b"{\"risk_low\":1}\n"].concat()).unwrap();
    path.display().to_string()
}

#[test]
fn the_report_names_what_drifted_in_the_demos_storm() {
    let folder = tempfile::tempdir().unwrap();
    let (scores, page) = (scores(folder.path()), folder.path().join("drift.html"));
    let out = page.display().to_string();
    let (code, output) =
        report(&["--scores", &scores, "--recent-from", "2026-03-10T14:30:00Z", "--out", &out]);
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("Large drift: complaint, negative, arousal"), "{output}");
    assert!(
        output.contains("former: 1220 conversations") && output.contains("recent: 1582 conversations"),
        "{output}"
    );
    assert!(output.contains("scores.jsonl, line") && output.contains("missing field `v`"), "{output}");
    assert!(output.contains("too few conversations older than a day"), "{output}");
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.matches("<svg").count() >= 3 && html.contains("Large drift: complaint"), "{html}");
    let bins = std::fs::read_to_string(folder.path().join("drift.bins.csv")).unwrap();
    let former: f64 = bins
        .lines()
        .filter(|line| line.starts_with("complaint,"))
        .map(|line| line.split(',').nth(3).unwrap().parse::<f64>().unwrap())
        .sum();
    assert!((former - 1.0).abs() < 1e-4, "{bins}");
    // Compared with itself, nothing has drifted.
    let (_, output) = report(&["--scores", &scores, "--training", &scores]);
    assert!(output.contains("No drift beyond chance."), "{output}");
}

#[test]
fn spans_with_too_few_scores_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let scores = scores(folder.path());
    let (code, output) = report(&["--scores", &scores, "--recent-from", "2027-01-01T00:00:00Z"]);
    assert!(
        code == Some(1) && output.contains("scores of 0 conversations; at least 50 are needed"),
        "{output}"
    );
    let (code, output) = report(&["--scores", &scores]);
    assert!(code == Some(2) && output.contains("--recent-from"), "{output}");
    let (code, output) =
        report(&["--scores", &scores, "--training", &scores, "--to", "2027-01-01T00:00:00Z"]);
    assert!(
        code == Some(2) && output.contains("--from, --to: apply to topics only; give --config"),
        "{output}"
    );
    let recording = root().join("demo/recording.jsonl").display().to_string();
    let (code, output) = report(&["--scores", &recording, "--training", &scores]);
    assert!(code == Some(1) && output.contains("scores of 0 conversations"), "{output}");
}
