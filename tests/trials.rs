//! Policies on trial decide as they would alone, and the one in force as if there were none.

use firewatch_domain::EventTime;
use firewatch_engine::{Effect, LocalTopology, Ruleset};
use firewatch_escalation::Policy;
use firewatch_tests::root;

const BRAND: &str = "[brands.aldermere]\nhandles = [\"@AldermereHealth\", \"@AldermereCare\"]\n";
/// What each is unlike the others in: bars, words that are kept, conditions, budgets, storms.
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

/// What each policy tells, as lines: the one in force first.
fn emitted_by_policy(ruleset: &Ruleset) -> Vec<Vec<String>> {
    let recording = std::fs::read_to_string(root().join("demo/recording.jsonl")).unwrap();
    let mut emitted = vec![Vec::new(); POLICIES.len()];
    let mut sink = |effect: Effect| {
        let by = match &effect {
            Effect::Escalation(_) => 0,
            Effect::Shadow(slot, _) => *slot as usize,
            _ => return,
        };
        let mut line = Vec::new();
        serde_json::to_writer(&mut line, &effect).unwrap();
        emitted[by].push(String::from_utf8(line).unwrap());
    };
    let mut topology =
        LocalTopology::new(ruleset, "recording", EventTime::parse("2026-03-11T00:00:00Z").unwrap());
    for line in recording.lines() {
        topology.push(line.as_bytes(), &mut sink);
    }
    topology.finish(&mut sink);
    emitted
}

#[test]
fn many_policies_on_the_same_conversations_emit_what_each_emits_alone() {
    let rulesets = POLICIES.map(|text| Ruleset::shipped(policy(text)).unwrap());
    let shadow_policies = POLICIES[1..].iter().map(|text| policy(text)).collect();
    let together = emitted_by_policy(
        &rulesets[0].clone().with_shadow_policies(shadow_policies).map_err(|_| "differ").unwrap(),
    );
    for (i, ruleset) in rulesets.into_iter().enumerate() {
        let alone = emitted_by_policy(&ruleset).swap_remove(0);
        assert!(alone.len() > 10, "policy {i} tells {} times", alone.len());
        let differs = alone.iter().zip(&together[i]).find(|(alone, together)| alone != together);
        assert!(alone == together[i], "policy {i}: {differs:?}");
    }
}

#[test]
fn a_policy_with_other_brands_or_windows_cannot_be_tried_on_the_same_conversations() {
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
