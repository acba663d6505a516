use firewatch_domain::{EventTime, Level, Redaction, VIRAL_BAR};

use super::*;
use crate::SUPPORT;

fn faults(text: &str) -> Vec<String> {
    Policy::parse("p", text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn a_brand_is_all_a_policy_needs() {
    let policy = Policy::parse("p", "[brands.acme]\n").unwrap();
    assert_eq!(policy.viral_bar(Some("acme")), VIRAL_BAR);
    assert_eq!(policy.viral_bar(None), VIRAL_BAR);
    assert_eq!(policy.team_names(), [PR, SUPPORT]);
    assert_eq!(policy.routes.keys().collect::<Vec<_>>(), ["complaint", "harm", "viral"]);
    assert!((policy.min_route_complaint - 0.14).abs() < 0.02, "{}", policy.min_route_complaint);
    assert!((policy.min_storm_complaint - 0.59).abs() < 0.02, "{}", policy.min_storm_complaint);
}

#[test]
fn the_level_of_redaction_is_chosen_by_name() {
    let redaction = |text: &str| Policy::parse("p", &format!("{text}[brands.acme]\n")).unwrap().redaction;
    assert_eq!(redaction(""), Redaction::Balanced);
    assert_eq!(redaction("redaction = \"strict\"\n"), Redaction::Strict);
    let faults = faults("redaction = \"much\"\n[brands.acme]\n");
    assert!(faults.iter().any(|fault| fault.contains("redaction: \"much\"")), "{faults:?}");
}

#[test]
fn the_name_of_unlisted_brands_is_reserved() {
    let faults = faults("[brands.\"(unlisted)\"]\n");
    assert!(
        faults.iter().any(|fault| fault.contains("(unlisted): this name stands for brands")),
        "{faults:?}"
    );
}

#[test]
fn values_that_contradict_each_other_are_faults_all_reported_at_once() {
    let text = "[brands.a]\nviral_bar = 1\n[routes.x]\nteam = \"nobody\"\nwhen = { medium = \"riks > 3\" }\n\
                [routes.y]\nuntil = \"risk < 3\"\n[routes.z]\nwhen = { low = 'brand == \"b\"' }\n\
                [teams.pr]\nbudget = 0\n[teams.pr.tiers]\nlegal = \"15m\"\n\
                [teams.pr.quiet]\nzone = \"Mars\"\nfrom = \"25:00\"\ndays = [\"funday\"]\n[storm]\nx = 1\n";
    let faults = faults(text);
    let starts = [
        "teams.pr.budget: 0 ",
        "teams.pr.quiet.zone: \"Mars\"",
        "teams.pr.quiet.from: \"25:00\"",
        "teams.pr.quiet.days: \"funday\"",
        "teams.pr.tiers.legal: not another team",
        "routes.x.when.medium: \"riks > 3\", character 1: unknown name `riks`",
        "routes.x.team: \"nobody\"",
        "routes.y.when: is missing; give a condition",
        "brands.a.viral_bar: 1 ",
        "routes.z: brand \"b\" is not listed; give one of a",
        "storm.x: unknown key",
    ];
    for start in starts {
        assert!(faults.iter().any(|f| f.starts_with(start)), "{start} / {faults:#?}");
    }
    assert_eq!(faults.len(), starts.len(), "{faults:#?}");
}

fn at(text: &str) -> EventTime {
    EventTime::parse(text).unwrap()
}

#[test]
fn clocks_run_in_business_hours_over_nights_weekends_and_a_change_of_the_clock() {
    let text = "[brands.a]\n[brands.a.hours]\nzone = \"America/New_York\"\ndays = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\"]\n\
                from = \"08:00\"\nto = \"18:00\"\n";
    let policy = Policy::parse("p", text).unwrap();
    let hours = policy.brands["a"].hours.as_ref().unwrap();
    let nine = Duration::from_mins(9);
    // Friday 17:55 in New York is 21:55 UTC; the clocks go forward on Sunday 2026-03-08.
    let friday = at("2026-03-06T22:55:00Z");
    assert_eq!(hours.after(friday, nine), at("2026-03-09T12:04:00Z"), "Monday 08:04, daylight time");
    assert_eq!(hours.between(friday, at("2026-03-09T12:04:00Z")), nine);
    let noon = at("2026-03-10T16:00:00Z");
    assert_eq!(hours.after(noon, nine), noon + nine);
    assert_eq!(hours.end(noon), Some(at("2026-03-10T22:00:00Z")));
    assert_eq!(hours.end(at("2026-03-07T16:00:00Z")), None, "Saturday");
}

#[test]
fn quiet_hours_go_past_midnight_and_wake_for_what_is_critical() {
    let text = "[brands.a]\n[teams.pr.quiet]\nzone = \"Europe/Vienna\"\nfrom = \"22:00\"\nto = \"07:00\"\n";
    let team = &Policy::parse("p", text).unwrap().teams[PR];
    let night = at("2026-03-10T23:30:00Z");
    assert_eq!(team.awake_at(night, Level::High), at("2026-03-11T06:00:00Z"));
    assert_eq!(team.awake_at(night, Level::Critical), night);
    let day = at("2026-03-10T12:00:00Z");
    assert_eq!(team.awake_at(day, Level::Low), day);
}
