//! `firewatch policy` as policy owners use it: check, test with cases, explain.

use std::process::Output;

use firewatch_escalation::Policy;
use firewatch_tests::{firewatch, root};
use firewatch_train::storms;
use serde_json::Value;

fn policy(args: &[&str]) -> Output {
    firewatch().arg("policy").args(args).current_dir(root()).output().unwrap()
}

fn output_text(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

fn all_cases_pass(file: &str, at_least: usize) {
    let out = policy(&["test", file, "--all"]);
    let output = output_text(&out);
    println!("{output}");
    assert!(out.status.success());
    let good = output.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(good >= at_least, "{good} cases");
}

#[test]
fn the_policy_cases_pass() {
    all_cases_pass("tests/policy/cases.toml", 40);
}

#[test]
fn the_cases_of_the_lifecycle_pass() {
    all_cases_pass("tests/policy/lifecycle.toml", 30);
}

#[test]
fn the_cases_of_what_waits_pass() {
    all_cases_pass("tests/policy/waiting.toml", 20);
}

#[test]
fn the_cases_of_storms_that_a_team_sleeps_through_pass() {
    all_cases_pass("tests/policy/storms.toml", 12);
}

#[test]
fn the_cases_of_groups_digests_clocks_and_tiers_pass() {
    all_cases_pass("tests/policy/collections.toml", 15);
}

#[test]
fn cases_of_escalations_that_outlive_their_conversations_pass() {
    all_cases_pass("tests/policy/outliving.toml", 6);
}

#[test]
fn the_cases_of_actions_pass() {
    all_cases_pass("tests/policy/actions.toml", 15);
}

#[test]
fn the_cases_of_reloads_pass() {
    all_cases_pass("tests/policy/reloads.toml", 7);
}

#[test]
fn a_failing_case_is_reported_with_what_was_emitted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cases.toml");
    let case = |expect: &str| {
        format!(
            "[[case]]\nname = \"x\"\npolicy = \"[brands.a]\"\nuntil = \"5m\"\ntimeline = [{{ at = \"0s\", post = {{ on = \"c\", \
             text = \"Worst service ever, I am so angry\" }} }}]\nexpect = [{expect}]\n"
        )
    };
    let run_case = |expect: &str| {
        std::fs::write(&file, case(expect)).unwrap();
        let out = policy(&["test", file.to_str().unwrap()]);
        (out.status.code(), output_text(&out))
    };
    let right = "{ team = \"support\", on = \"c\", news = \"opened\", to = \"1m\", times = 1 }";
    assert_eq!(run_case(right), (Some(0), "1 case, 0 failed\n".into()));
    let wrong = [
        ("", "unexpected: 30 s support: c Opened, open"),
        ("{ team = \"support\", on = \"c\", times = 0 }", "emitted 1 times, expected 0"),
        ("{ team = \"support\", on = \"c\", to = \"10s\" }", "not emitted"),
        ("{ team = \"support\" }, { team = \"pr\" }", "expect 2 (pr on *): not emitted"),
        ("{ team = \"support\", from = \"soon\" }", "from: \"soon\": not a duration"),
    ];
    for (expect, problem) in wrong {
        let (code, output) = run_case(expect);
        assert!(
            code == Some(1) && output.contains("FAIL x") && output.contains(problem),
            "{expect}: {output}"
        );
    }
    std::fs::write(&file, case(right).replace("until", "untill")).unwrap();
    let out = policy(&["test", file.to_str().unwrap()]);
    assert!(
        out.status.code() == Some(1) && output_text(&out).contains("unknown field `untill`"),
        "{}",
        output_text(&out)
    );
}

#[test]
fn a_policy_check_reports_all_errors_and_warns_of_likely_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let out = policy(&["check", file.to_str().unwrap()]);
        (out.status.code(), output_text(&out))
    };
    let (code, output) = check(
        "[brands.a]\n[teams.idle]\n[routes.x]\nteam = \"pr\"\nwhen = { low = \"risk > 100\", high = \"risk >= 0\" }\n",
    );
    assert_eq!(code, Some(0), "{output}");
    for warning in [
        "routes.x.when.low: `risk > 100` can never hold",
        "routes.x.when.high: `risk >= 0` holds for every conversation",
        "brands.a.handles: no handles are given",
        "teams.idle: no route, tier or storm notifies this team",
        "is valid: version unnamed, hash ",
    ] {
        assert!(output.contains(warning), "no {warning:?} in {output}");
    }
    let (code, output) = check("[brands.a]\n[routes.x]\nteam = \"nobody\"\nwhen = { low = \"riks > 1\" }\n");
    assert_eq!(code, Some(2), "{output}");
    assert!(
        output.contains("did you mean `risk`?") && output.contains("routes.x.team: \"nobody\""),
        "{output}"
    );
    let shipped = policy(&["check", "demo/policy.toml"]);
    assert!(
        shipped.status.success() && !output_text(&shipped).contains("warning"),
        "{}",
        output_text(&shipped)
    );
}

#[test]
fn the_names_of_conditions_are_listed() {
    let out = output_text(&policy(&["names"]));
    assert!(out.contains("followers        int           the author's followers"), "{out}");
    assert!(out.lines().count() > 25);
}

#[test]
fn storms_are_detected_in_unseen_months_with_few_false_alarms() {
    let policy = Policy::parse("p", "[brands.brand]\n").unwrap();
    let report = storms::evaluate(&[101, 102], &policy);
    println!("{report}");
    let [ours, as_quiet, as_keen] = report.scores() else { panic!("{report}") };
    assert_eq!(ours.seen(), ours.total_storms(), "{report}");
    assert!(ours.false_a_week() <= 1.0, "{report}");
    assert!(as_quiet.seen() < ours.seen() && as_keen.false_a_week() > 10.0 * ours.false_a_week(), "{report}");
}

#[test]
fn every_decision_about_a_conversation_is_explained_in_order() {
    let explained = |conversation: &str| {
        let out = policy(&["explain", "demo/policy.toml", "--conversation", conversation]);
        (out.status.code(), output_text(&out))
    };
    let (code, quiet) = explained("quiet");
    assert_eq!(code, Some(0), "{quiet}");
    let in_order = [
        "routes     complaint at medium; counts as a complaint",
        "score      risk 0.0: 99% likely a complaint",
        "dispatcher on route complaint at medium; decided from 2026-03-10T14:06:42",
        "support    Opened, open, medium",
        "routes     hand-off requested by @AldermereCare",
        "support    Moved, hand_off_asked",
        "support    Stalled",
    ];
    let places: Vec<Option<usize>> = in_order.iter().map(|words| quiet.find(words)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} {quiet}");
    let times: Vec<&str> = quiet.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(times.is_sorted(), "{quiet}");
    let (_, muted) = explained("c-2600");
    assert!(
        muted.contains("part of storm/aldermere/") && muted.contains("support is not notified separately"),
        "{muted}"
    );
    let (code, nobody) = explained("nobody");
    assert!(code == Some(2) && nobody.contains("is not in the events"), "{nobody}");
}

#[test]
fn the_policy_schema_agrees_with_the_parser() {
    let schema: Value =
        serde_json::from_slice(&firewatch().args(["schema", "policy"]).output().unwrap().stdout).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let json = |text: &str| serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap();
    let sample = std::fs::read_to_string(root().join("demo/policy.toml")).unwrap();
    let commented_in: String = sample
        .lines()
        .map(|line| {
            line.strip_prefix("# ").filter(|l| l.starts_with('[') || l.contains(" = ")).unwrap_or(line)
        })
        .fold(String::new(), |all, line| all + line + "\n");
    for text in [sample.as_str(), &commented_in] {
        let errors: Vec<String> = schema.iter_errors(&json(text)).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        assert!(Policy::parse("p", text).is_ok(), "{:?}", Policy::parse("p", text));
    }
    for bad in [
        "",
        "[brands.a]\nviral_bar = 1\n",
        "[brands.a]\n[routes.x.when]\nhgih = \"true\"\n",
        "[brands.a]\n[storms]\nx = 1\n",
        "[brands.a]\nviral_bar = \"many\"\n",
    ] {
        assert!(!schema.is_valid(&json(bad)), "{bad}");
        assert!(Policy::parse("p", bad).is_err(), "{bad}");
    }
}
