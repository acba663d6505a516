//! `firewatch backtest` on recordings: it emits what the engine emits, for any number of threads and any
//! compression.

mod decisions;

use std::io::Write;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use firewatch_escalation::{PR, SUPPORT};
use firewatch_kafka::{RecordProducer, TopicTail};
use firewatch_tests::{Cluster, Deployment, can_run_kafka, event, firewatch, piped, post, reshare, root};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

const WAIT_DEADLINE: Duration = Duration::from_secs(60);
const PARTITIONS: u32 = 4;

fn backtest(args: &[&str]) -> Output {
    firewatch().arg("backtest").args(args).output().unwrap()
}

fn output_text(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

fn recording() -> String {
    root().join("demo/recording.jsonl").display().to_string()
}

/// Returns escalations in order of time, one a line.
fn escalations(lines: &[u8]) -> Vec<String> {
    let text = String::from_utf8(lines.to_vec()).unwrap();
    let mut found: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| {
            let record: Value = serde_json::from_str(line).unwrap();
            record["escalation"].as_str()?;
            Some((format!("{} {}", record["at"], record["id"]), line.to_owned()))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, line)| line).collect()
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

fn lines(events: &[Value]) -> Vec<u8> {
    events.iter().flat_map(|event| format!("{event}\n").into_bytes()).collect()
}

#[test]
fn it_emits_what_the_engine_emits_with_any_number_of_threads() {
    let alone = piped(&["score"], &std::fs::read(recording()).unwrap());
    let wanted = escalations(&alone.stdout);
    assert!(wanted.len() > 300);
    for threads in ["1", "2", "5"] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().display().to_string();
        let ran = backtest(&["--input", &recording(), "--threads", threads, "--out", &out]);
        assert!(ran.status.success(), "{}", output_text(&ran));
        let found = escalations(&std::fs::read(folder.path().join("escalations-demo.jsonl")).unwrap());
        let differs = found.iter().zip(&wanted).find(|(found, wanted)| found != wanted);
        assert!(found == wanted, "{threads} threads: {differs:?}");
    }
}

#[test]
fn compressed_recordings_are_read_and_a_truncated_one_is_reported_as_partial() {
    let folder = tempfile::tempdir().unwrap();
    let plain = std::fs::read(recording()).unwrap();
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(&plain).unwrap();
    let gz = gz.finish().unwrap();
    let zst = zstd::encode_all(plain.as_slice(), 1).unwrap();
    let report = |input: &str| output_text(&backtest(&["--input", input])).replace(input, "INPUT");
    let wanted = report(&recording());
    assert!(wanted.contains("6143 records, 2802 conversations"), "{wanted}");
    assert_eq!(report(&write(folder.path(), "a.gz", &gz)), wanted);
    // The compression is detected from the bytes, not from the file name.
    assert_eq!(report(&write(folder.path(), "b.jsonl", &zst)), wanted);
    for (name, bytes) in [("cut.gz", &gz[..gz.len() / 2]), ("cut.zst", &zst[..zst.len() / 2])] {
        let cut = write(folder.path(), name, bytes);
        let ran = backtest(&["--input", &cut]);
        assert_eq!(ran.status.code(), Some(1));
        let output = output_text(&ran);
        let line = output.lines().next().unwrap();
        assert!(line.starts_with("PARTIAL: ") && line.contains(&format!("{name}, line ")), "{output}");
        assert!(line.ends_with("the file ends in the middle of compressed data"), "{output}");
        assert!(output.contains("conversations"), "the records read so far are reported: {output}");
    }
}

#[test]
fn input_errors_name_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let events = lines(&[
        event("a", "c1", 0.0, &post(900, "This is terrible, the worst service ever")),
        event("b", "c1", 3600.0, &reshare("x", 3)),
        event("c", "c2", 60.0, &post(900, "Never again")),
        event("d", "c1", 3_600_000.0, &reshare("y", 3)),
    ]);
    let input = write(folder.path(), "events.jsonl", &[&events[..], b"{\"v\":1}\n"].concat());
    let labels = write(folder.path(), "labels.csv", b"conversation,label\nc1,1\nnobody,0\n");
    let output = output_text(&backtest(&["--input", &input, "--labels", &labels]));
    for wanted in [
        "5 records, 3 conversations",
        "1 records rejected, 1 too late for their windows",
        "line 3: goes back from 2026-03-10T15:00:00.000Z to 2026-03-10T14:01:00.000Z",
        "line 4: jumps ahead from 2026-03-10T15:00:00.000Z to 2026-04-21T06:00:00.000Z",
        "line 5: ",
        "the labels, line 3: conversation \"nobody\" is not in the recording",
    ] {
        assert!(output.contains(wanted), "{wanted} in {output}");
    }
    let refused = |args: &[&str], wanted: &str| {
        let ran = backtest(args);
        assert!(!ran.status.success() && output_text(&ran).contains(wanted), "{}", output_text(&ran));
    };
    refused(&["--input", &write(folder.path(), "empty", b"")], "contains no records");
    refused(&["--input", "nowhere.jsonl"], "nowhere.jsonl: No such file");
    refused(&["--input", &folder.path().display().to_string()], "is a folder");
    refused(&["--input", &input, "--labels", &input], "there is no column `conversation`");
    refused(&["--input", &input, "--threads", "0"], "from 1 to 256");
}

#[test]
fn alerts_are_judged_by_outcome_and_by_labels() {
    let folder = tempfile::tempdir().unwrap();
    let policy = "viral_bar = 100\n[brands.aldermere]\n[routes.many]\nteam = \"pr\"\nwhen = { high = \"reshares >= 20\" }\n";
    let policy = write(folder.path(), "p.toml", policy.as_bytes());
    let mut events = Vec::new();
    // Of three conversations that reach 20 reshares, two pass the bar. A fourth passes it within a second,
    // before anybody could be notified.
    for (name, reshares, pace) in
        [("up1", 120, 30.0), ("up2", 150, 30.0), ("down", 40, 30.0), ("burst", 110, 0.001)]
    {
        events.push(event(name, name, 0.0, &post(50, "I am so angry, the worst service ever")));
        events.extend((0..reshares).map(|i| {
            let id = format!("{name}{i}");
            event(&id, name, 1.0 + pace * f64::from(i), &reshare(&id, 100))
        }));
    }
    events.sort_by_key(|event| event["at"].to_string());
    let input = write(folder.path(), "events.jsonl", &lines(&events));
    let output = output_text(&backtest(&["--input", &input, "--policy", &policy]));
    assert!(output.contains("pr: precision 75.0% (3 of 4), recall 66.7% (2 of 3 in time)"), "{output}");
    let labels = write(folder.path(), "labels.csv", b"conversation,label\nup1,0\ndown,1\n");
    let output = output_text(&backtest(&["--input", &input, "--policy", &policy, "--labels", &labels]));
    assert!(output.contains("pr: precision 50.0% (1 of 2), recall 100.0% (1 of 1 in time)"), "{output}");
}

#[test]
fn policies_are_compared_with_the_reasons_of_each() {
    let folder = tempfile::tempdir().unwrap();
    // Records of the recording are up to ten seconds late.
    let windows = "[windows]\nlateness = \"10s\"\n";
    let brands =
        &format!("{windows}[brands.aldermere]\nhandles = [\"@AldermereHealth\", \"@AldermereCare\"]\n");
    let other = format!("{brands}[routes.few]\nteam = \"pr\"\nwhen = {{ high = \"reshares >= 30\" }}\n");
    // A policy whose brands differ shares no conversations with the others.
    let apart = &format!("{windows}[brands.bolt]\n");
    let [first, other, apart] =
        [("a.toml", brands.as_str()), ("b.toml", other.as_str()), ("c.toml", apart.as_str())]
            .map(|(name, text)| write(folder.path(), name, text.as_bytes()));
    let out = folder.path().join("out").display().to_string();
    let args =
        ["--input", &recording(), "--policy", &first, "--policy", &other, "--policy", &apart, "--out", &out];
    let ran = backtest(&args);
    let output = output_text(&ran);
    assert!(ran.status.success() && output.contains("The policies differ on"), "{output}");
    assert!(output.contains("reshares >= 30") || output.contains("reshares 30"), "{output}");
    let read = |name: &str| std::fs::read(folder.path().join("out").join(name)).unwrap();
    for (file, policy) in [("escalations-b.jsonl", &other), ("escalations-c.jsonl", &apart)] {
        let alone = piped(&["score", "--policy", policy], &std::fs::read(recording()).unwrap());
        assert!(escalations(&read(file)) == escalations(&alone.stdout), "{file}");
    }
    let report: Value = serde_json::from_slice(&read("report.json")).unwrap();
    assert!(
        report["policies"][0]["held_back"]["in_storm"].as_u64().unwrap() > 100,
        "posts of a storm are not escalated separately"
    );
    let page = String::from_utf8(read("report.html")).unwrap();
    assert!(page.contains("Where they differ") && page.matches("<svg").count() == 3);
    assert_eq!(report["policies"].as_array().unwrap().len(), 3);
    let differ = String::from_utf8(read("differ.csv")).unwrap();
    assert!(
        differ.starts_with("conversation,reach,wanted,policy,team,at,level,reason,held_back\n")
            && differ.lines().count() > 3
    );
}

#[test]
fn suppressed_alerts_are_reported_with_their_reason() {
    let folder = tempfile::tempdir().unwrap();
    let policy = |team: &str| {
        format!(
            "[brands.aldermere]\n{team}[routes.many]\nteam = \"pr\"\nwhen = {{ medium = \"reshares >= 20\" }}\n"
        )
    };
    let always = write(folder.path(), "always.toml", policy("").as_bytes());
    let asleep = "[teams.pr.quiet]\nfrom = \"12:00\"\nto = \"20:00\"\n";
    let asleep = write(folder.path(), "asleep.toml", policy(asleep).as_bytes());
    let never = policy("").replace("20", "2000");
    let never = write(folder.path(), "never.toml", never.as_bytes());
    let mut events = vec![event("p", "c", 0.0, &post(50, "I am so angry, the worst service ever"))];
    events.extend((0..60).map(|i| {
        let id = format!("r{i}");
        event(&id, "c", 1.0 + f64::from(i), &reshare(&id, 100))
    }));
    let input = write(folder.path(), "events.jsonl", &lines(&events));
    let args = ["--input", &input, "--policy", &always, "--policy", &asleep, "--policy", &never];
    let output = output_text(&backtest(&args));
    for (policy, wanted) in [(&asleep, "no alert: asleep\n"), (&never, "no alert\n")] {
        assert!(output.contains(&format!("{policy} {wanted}")), "{wanted} in {output}");
    }
}

#[test]
fn days_and_hours_follow_the_time_zone() {
    let folder = tempfile::tempdir().unwrap();
    let days = |zone: &str| {
        let out = folder.path().display().to_string();
        let ran = backtest(&["--input", &recording(), "--zone", zone, "--out", &out]);
        assert!(ran.status.success(), "{}", output_text(&ran));
        let html = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
        assert!(html.contains(&format!("hour of the day, {zone}")));
        let csv = std::fs::read_to_string(folder.path().join("by_day.csv")).unwrap();
        csv.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(days("UTC").iter().all(|day| day == "2026-03-10"));
    assert!(days("Pacific/Auckland").iter().all(|day| day == "2026-03-11"));
    let ran = backtest(&["--input", &recording(), "--zone", "Nowhere"]);
    assert!(output_text(&ran).contains("\"Nowhere\": unknown time zone"), "{}", output_text(&ran));
}

/// Returns actions on the first conversations that were escalated, all after the recorded hour.
fn actions_on(escalations: &[String]) -> Vec<Value> {
    let opened = escalations.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let opened = opened.filter(|record| record["news"] == "opened" && record["members"].is_null());
    let conversations: Vec<String> =
        opened.map(|record| record["conversation"].as_str().unwrap().to_owned()).collect();
    let action = |i: usize, kind: &str, with: &Value| {
        let mut action = event(&format!("did{i}"), &conversations[i], 3605.0, with);
        action["kind"] = kind.into();
        action["by"] = "kim".into();
        action
    };
    vec![
        action(0, "hand_off", &json!({ "channel": "dm" })),
        action(1, "hand_over", &json!({ "team": "pr" })),
        action(2, "resolve", &json!({})),
    ]
}

#[test]
fn a_run_on_kafka_emits_the_same_ids() {
    if !can_run_kafka() {
        return;
    }
    let cluster = Cluster::start_up("backtest", 29592, 1);
    let policy = std::fs::read_to_string(root().join("demo/policy.toml")).unwrap();
    let deployment = Deployment::new(&cluster.bootstrap_servers(), "same", &policy);
    // Idle detection follows the wall clock, which a recording does not have.
    deployment.configure("idle_after = \"86400s\"");
    deployment.make_topics(PARTITIONS);
    let mut live = deployment.start_until_ready();
    // A harmless post in every partition an hour later lets everything pending be decided.
    let later = |i: u32| {
        event(&format!("later{i}"), &format!("later{i}"), 7200.0, &post(9, "Good morning everybody"))
    };
    let later: Vec<String> = (0..PARTITIONS).map(|i| later(i).to_string()).collect();
    let text = std::fs::read_to_string(recording()).unwrap() + &later.join("\n") + "\n";
    let folder = tempfile::tempdir().unwrap();
    let input = write(folder.path(), "events.jsonl", text.as_bytes());
    let (before, after) = text.lines().partition::<Vec<&str>, _>(|line| !later.iter().any(|l| l == line));
    let policy = deployment.folder().join("policy.toml").display().to_string();
    let tried = |name: &str, args: &[&str]| {
        let out = folder.path().join(name);
        let ran = backtest(&[args, &["--policy", &policy, "--out", &out.display().to_string()]].concat());
        assert!(ran.status.success(), "{}", output_text(&ran));
        escalations(&std::fs::read(out.join("escalations-policy.jsonl")).unwrap())
    };
    // The actions come after the recorded hour, so they change no earlier escalation.
    let alone = tried("alone", &["--input", &input]);
    let actions = actions_on(&alone);
    let did = write(folder.path(), "actions.jsonl", &lines(&actions));
    let wanted = tried("wanted", &["--input", &input, "--actions", &did]);
    for state in ["\"handed_off\"", "\"handed_over\"", "\"resolved\""] {
        let count = |escalations: &[String]| escalations.iter().filter(|line| line.contains(state)).count();
        assert!(count(&wanted) > count(&alone), "{state}");
    }
    let feed = RecordProducer::new(&deployment.settings).unwrap();
    let keyed = |line: &str| {
        let key = serde_json::from_str::<Value>(line).ok()?["conversation"].as_str()?.to_owned();
        Some((key, line.to_owned()))
    };
    let mut fed = 0;
    for (key, line) in before.iter().filter_map(|line| keyed(line)) {
        feed.send(&deployment.topics.events, Some(&key), line.as_bytes(), &[]).unwrap();
        fed += 1;
    }
    feed.flush().unwrap();
    for action in &actions {
        let key = action["conversation"].as_str();
        feed.send(&deployment.topics.actions, key, action.to_string().as_bytes(), &[]).unwrap();
    }
    feed.flush().unwrap();
    for (i, (key, line)) in (0..).zip(after.iter().filter_map(|line| keyed(line))) {
        feed.send_to_partition(&deployment.topics.events, i, &key, line.as_bytes()).unwrap();
        fed += 1;
    }
    feed.flush().unwrap();
    live.wait_for_events(fed, WAIT_DEADLINE);
    let topics = [PR, SUPPORT].map(|team| deployment.topics.team_topic(team));
    let (tail, start) = (TopicTail::new(&deployment.settings, &topics).unwrap(), Instant::now());
    let mut found = Vec::new();
    while found.len() < wanted.len() && start.elapsed() < WAIT_DEADLINE {
        found.extend(tail.next(Duration::from_millis(500)).unwrap());
    }
    found.extend(tail.next(Duration::from_secs(2)).unwrap());
    let mut found = escalations(&found.iter().map(|r| r.value.as_slice()).collect::<Vec<_>>().join(&b'\n'));
    // A hand-over is written to both teams.
    found.dedup();
    let differs = found.iter().zip(&wanted).find(|(found, wanted)| found != wanted);
    assert!(found == wanted, "{} and {}: {differs:?}", found.len(), wanted.len());
    // The same holds for a backtest that reads the topics, whose records have arrival times.
    let config = deployment.config().display().to_string();
    let found = tried("span", &["--config", &config]);
    let differs = found.iter().zip(&wanted).find(|(found, wanted)| found != wanted);
    assert!(found == wanted, "{} and {}: {differs:?}", found.len(), wanted.len());
    let feedback = |more: &[&str]| {
        let args = [&["report", "feedback", "--config", &config][..], more].concat();
        output_text(&firewatch().args(args).output().unwrap())
    };
    let opened = wanted.iter().filter(|line| line.contains("\"news\":\"opened\"")).count();
    let row = |output: &str, team: &str| -> usize {
        let line = output.lines().find(|line| line.starts_with(team)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or_default()
    };
    let output = feedback(&[]);
    assert_eq!(row(&output, "pr") + row(&output, "support"), opened, "{output}");
    let output = feedback(&["--to", "2020-01-01T00:00:00Z"]);
    assert!(row(&output, "pr") == 0 && output.contains("no alert was judged"), "{output}");
    let ran = backtest(&["--config", &config, "--from", "2100-01-01T00:00:00Z"]);
    assert!(
        output_text(&ran).contains("events: nothing was written in this span; give other bounds"),
        "{}",
        output_text(&ran)
    );
    assert!(live.stop());
}
