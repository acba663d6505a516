//! Shadow policies decide as they would alone, and the active policy as if there were none.

use firewatch_domain::EventTime;
use firewatch_engine::{Effect, LineSource, Ruleset};
use firewatch_escalation::Policy;
use firewatch_tests::{root, run_lines};

const BRAND: &str = "[brands.aldermere]\nhandles = [\"@AldermereHealth\", \"@AldermereCare\"]\n";
/// Each policy differs from the others: bars, quoted words, conditions, budgets, storms.
const POLICIES: [&str; 5] = [
    "[routes.spread]\nteam = \"pr\"\nwhen = { low = \"reshares >= 3\", high = \"reach > 50000\" }\n",
    "",
    "viral_bar = 60\n",
    "[routes.many]\nteam = \"support\"\nwhen = { low = \"complaint >= 0.2\", high = \"reshares > 40\" }\n\
     [teams.support]\nbudget = 30\n[storms]\nleast_posts = 8\ncounts = \"complaint > 0.2\"\nexpected_per_hour = 10.0\n",
    "[routes.few]\nteam = \"pr\"\nwhen = { high = \"risk >= 20 || complaint > 0.97\" }\n[storms]\ncounts = \"complaint > 0.97\"\n",
];

fn policy(text: &str) -> Policy {
    let (top, sections) = text.split_at(text.find('[').unwrap_or(text.len()));
    Policy::parse("p", &format!("{top}{BRAND}{sections}")).unwrap()
}

/// Returns the escalations of each policy as lines, the active policy first.
fn emitted_by_policy(ruleset: &Ruleset) -> Vec<Vec<String>> {
    let recording = std::fs::read_to_string(root().join("demo/recording.jsonl")).unwrap();
    let mut emitted = vec![Vec::new(); POLICIES.len()];
    let file = LineSource { name: "recording", arrival: EventTime::parse("2026-03-11T00:00:00Z").unwrap() };
    let (effects, _) = run_lines(ruleset, file, recording.lines());
    for effect in &effects {
        let slot = match effect {
            Effect::Escalation(_) => 0,
            Effect::Shadow(slot, _) => *slot as usize,
            _ => continue,
        };
        let mut line = Vec::new();
        serde_json::to_writer(&mut line, effect).unwrap();
        emitted[slot].push(String::from_utf8(line).unwrap());
    }
    emitted
}

#[test]
fn shadow_policies_emit_what_each_emits_alone() {
    let rulesets = POLICIES.map(|text| Ruleset::shipped(policy(text)).unwrap());
    let shadow_policies = POLICIES[1..].iter().map(|text| policy(text)).collect();
    let together = emitted_by_policy(
        &rulesets[0].clone().with_shadow_policies(shadow_policies).map_err(|_| "differ").unwrap(),
    );
    for (i, ruleset) in rulesets.into_iter().enumerate() {
        let alone = emitted_by_policy(&ruleset).swap_remove(0);
        assert!(alone.len() > 10, "policy {i} emits {} escalations", alone.len());
        let differs = alone.iter().zip(&together[i]).find(|(alone, together)| alone != together);
        assert!(alone == together[i], "policy {i}: {differs:?}");
    }
}

#[test]
fn a_shadow_policy_needs_the_same_brands_and_windows() {
    let in_force = Ruleset::shipped(policy("")).unwrap();
    let other = |text: &str| {
        let refused = in_force.clone().with_shadow_policies(vec![policy(""), policy(text)]);
        refused.err().map(|(i, faults)| (i, faults.iter().map(|f| f.key.clone()).collect::<Vec<_>>()))
    };
    assert_eq!(
        other("horizon = \"2h\"\n[brands.bolt]\n"),
        Some((1, vec!["horizon".into(), "brands".into()]))
    );
    assert_eq!(other("[windows]\nstep = \"30s\"\n"), Some((1, vec!["windows".into()])));
    assert_eq!(other("viral_bar = 70\n"), None);
}
