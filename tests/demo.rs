//! The demo as a new user runs it, and its recording through every command.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use firewatch_domain::{Body, EngagementKind, Escalation, EventTime, IncidentKind};
use firewatch_engine::{Effect, LineSource, Ruleset};
use firewatch_escalation::{PR, Policy, SUPPORT};
use firewatch_ingest::decode_event;
use firewatch_kafka::{EmbeddedBroker, Guarantee, KafkaSettings, RecordProducer, Runner, TopicTail, Topics};
use firewatch_telemetry::Metrics;
use firewatch_tests::{firewatch, json_lines, root, run_lines};

const NOW: EventTime = EventTime::from_millis(1_790_000_000_000);

fn now() -> EventTime {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    EventTime::from_millis(since.as_millis() as i64)
}

fn recording() -> String {
    std::fs::read_to_string(root().join("demo/recording.jsonl")).unwrap()
}

fn ruleset() -> Ruleset {
    let policy = std::fs::read_to_string(root().join("demo/policy.toml")).unwrap();
    Ruleset::shipped(Policy::parse("demo/policy.toml", &policy).unwrap()).unwrap()
}

fn piped() -> Vec<Escalation> {
    let ruleset = ruleset();
    let file = LineSource { name: "recording", arrival: NOW };
    let (effects, _) = run_lines(&ruleset, file, recording().lines());
    let escalations = effects.into_iter().filter_map(|effect| match effect {
        Effect::Escalation(escalation) => Some(*escalation),
        _ => None,
    });
    escalations.collect()
}

#[test]
fn the_plain_demo_notifies_both_teams_with_reasons_and_a_summary() {
    let out = firewatch().args(["demo", "--plain", "--speed", "0"]).output().unwrap();
    let output = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    for wanted in [
        "Embedded Kafka at 127.0.0.1:",
        "the console is at http://127.0.0.1:",
        "PR      MEDIUM         takes-off",
        "PR      now CRITICAL   takes-off",
        "% likely a complaint",
        "SUPPORT MEDIUM         quiet",
        "SUPPORT hand_off_asked quiet  @AldermereCare asked to continue by direct message, after 9 min, within the target of 9 min",
        "  rejected, in firewatch.dlq                 6",
        "seconds from post to pr, median",
        "Try next",
    ] {
        assert!(output.contains(wanted), "no {wanted:?} in\n{output}");
    }
    let of_pr = |line: &str| line.contains("  PR  ") && line.contains("quiet");
    assert!(!output.lines().any(of_pr), "the small complaint does not reach PR");
    assert!(!output.contains('\u{1b}'), "plain lines have no control codes");
}

#[test]
fn a_stopped_demo_ends_cleanly() {
    let child = firewatch()
        .args(["demo", "--plain", "--speed", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.unwrap();
    let mut output_lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(output_lines.next().unwrap().unwrap().starts_with("Embedded Kafka at"));
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let rest: Vec<String> = output_lines.map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success());
    assert!(rest.iter().any(|line| line == "Summary"), "{rest:?}");
}

#[test]
fn pr_is_notified_of_the_viral_complaint_before_half_of_its_reshares_and_never_of_the_small_one() {
    let escalations = piped();
    let first = escalations.iter().find(|e| e.conversation == "takes-off" && e.team == PR).unwrap();
    let reshares: Vec<EventTime> = recording()
        .lines()
        .filter_map(|line| decode_event(line.as_bytes(), None, NOW).ok())
        .filter(|e| e.conversation == "takes-off")
        .filter(|e| matches!(&e.body, Body::Engagement(g) if g.kind == EngagementKind::Reshare))
        .map(|e| e.at)
        .collect();
    let before = reshares.iter().filter(|at| **at <= first.at).count();
    println!("PR is notified after {before} of {} reshares", reshares.len());
    assert!(reshares.len() > 1000 && before * 2 < reshares.len());
    let small: Vec<&str> =
        escalations.iter().filter(|e| e.conversation == "quiet").map(|e| e.team.as_str()).collect();
    assert_eq!(small, [SUPPORT; 3], "support alone gets it: opened, answered in time, hand-off stalled");
}

#[test]
fn the_outage_is_one_storm_and_not_an_alert_for_each_post() {
    let escalations = piped();
    let wave: BTreeMap<String, bool> = recording()
        .lines()
        .filter(|l| l.to_lowercase().contains("portal") && l.contains("\"post\""))
        .filter_map(|line| decode_event(line.as_bytes(), None, NOW).ok())
        .map(|e| (e.conversation, false))
        .collect();
    let alone = escalations.iter().filter(|e| e.step == 0 && wave.contains_key(&e.conversation)).count();
    let is_storm = |e: &&Escalation| e.incident == Some(IncidentKind::Storm);
    let storms: std::collections::BTreeSet<&str> =
        escalations.iter().filter(is_storm).map(|e| e.escalation.as_str()).collect();
    println!("{} posts of the wave, {alone} escalated separately, {} storm", wave.len(), storms.len());
    assert_eq!(wave.len(), 420);
    assert_eq!(storms.len(), 1);
    assert!(alone <= 42, "{alone} escalated separately");
    let reasons: Vec<&str> = escalations.iter().filter(is_storm).flat_map(|e| e.reasons.texts()).collect();
    assert!(reasons.iter().any(|text| text.contains("complaints about portal")), "{reasons:?}");
}

#[test]
fn score_gives_the_same_bytes_twice_and_the_brokers_escalations() {
    let score = || {
        let input = root().join("demo/recording.jsonl");
        firewatch().args(["score", "--input"]).arg(input).output().unwrap()
    };
    let (a, b) = (score(), score());
    assert!(a.status.success());
    assert_eq!(a.stdout, b.stdout, "identical bytes");
    let by_command: Vec<Escalation> = json_lines(&a.stdout)
        .into_iter()
        .filter(|r| !r["team"].is_null())
        .map(|r| serde_json::from_value(r).unwrap())
        .collect();
    let by_pipe: Vec<Escalation> = piped();
    assert_eq!(by_command, by_pipe);
    for partitions in [1, 5] {
        let by_broker = brokered(partitions);
        let sorted = |mut all: Vec<Escalation>| {
            all.sort_by(|a, b| a.id.cmp(&b.id));
            all
        };
        let (wanted, got) = (sorted(by_pipe.clone()), sorted(by_broker));
        assert_eq!(got.len(), wanted.len(), "{partitions} partitions");
        for (got, wanted) in got.iter().zip(&wanted) {
            assert_eq!(got, wanted, "{partitions} partitions");
        }
    }
}

/// Runs the recording through the embedded broker and the production engine, as fast as possible.
fn brokered(partitions: u32) -> Vec<Escalation> {
    let topics = Topics::default();
    let broker = EmbeddedBroker::start(&topics, &[PR, SUPPORT], partitions).unwrap();
    let mut settings = KafkaSettings::local(&broker.bootstrap_servers(), "test");
    settings.consumer.push(("fetch.wait.max.ms".into(), "20".into()));
    settings.guarantee = Guarantee::AtLeastOnce;
    let metrics = Metrics::new().unwrap().engine;
    let runner = Runner::new(settings.clone(), topics.clone(), Arc::new(ruleset()), metrics.clone(), now);
    let feed = RecordProducer::new(&settings).unwrap();
    for line in recording().lines() {
        let key = decode_event(line.as_bytes(), None, NOW).ok().map(|e| e.conversation);
        feed.send(&topics.events, key.as_deref(), line.as_bytes(), &[]).unwrap();
    }
    feed.flush().unwrap();
    runner.run_to_end(&AtomicBool::new(true), &AtomicBool::new(false)).unwrap();
    assert_eq!(metrics.records_read("events"), recording().lines().count() as u64);

    let tail = TopicTail::new(&settings, &[PR, SUPPORT].map(|t| topics.team_topic(t))).unwrap();
    let mut escalations = Vec::new();
    while (escalations.len() as u64) < metrics.effects_written("escalation") {
        let record = tail.next(Duration::from_secs(10)).unwrap().expect("expected one more escalation");
        escalations.push(serde_json::from_slice(&record.value).unwrap());
    }
    escalations
}
