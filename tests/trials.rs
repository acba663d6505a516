//! Policies on trial decide as they would alone, and the one in force as if there were none.

use firewatch_domain::EventTime;
use firewatch_engine::{Brain, Effect, Pipe};
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
fn told(brain: &Brain) -> Vec<Vec<String>> {
    let recording = std::fs::read_to_string(root().join("demo/recording.jsonl")).unwrap();
    let mut told = vec![Vec::new(); POLICIES.len()];
    let mut sink = |effect: Effect| {
        let by = match &effect {
            Effect::Escalation(_) => 0,
            Effect::Trial(trial, _) => *trial as usize,
            _ => return,
        };
        let mut line = Vec::new();
        serde_json::to_writer(&mut line, &effect).unwrap();
        told[by].push(String::from_utf8(line).unwrap());
    };
    let mut pipe = Pipe::new(brain, "recording", EventTime::parse("2026-03-11T00:00:00Z").unwrap());
    for line in recording.lines() {
        pipe.push(line.as_bytes(), &mut sink);
    }
    pipe.finish(&mut sink);
    told
}

#[test]
fn many_policies_on_the_same_conversations_tell_what_each_would_tell_alone() {
    let brains = POLICIES.map(|text| Brain::shipped(policy(text)).unwrap());
    let trials = POLICIES[1..].iter().map(|text| policy(text)).collect();
    let together = told(&brains[0].clone().with_trials(trials).map_err(|_| "differ").unwrap());
    for (i, brain) in brains.into_iter().enumerate() {
        let alone = told(&brain).swap_remove(0);
        assert!(alone.len() > 10, "policy {i} tells {} times", alone.len());
        let differs = alone.iter().zip(&together[i]).find(|(alone, together)| alone != together);
        assert!(alone == together[i], "policy {i}: {differs:?}");
    }
}

#[test]
fn a_policy_with_other_brands_or_windows_cannot_be_tried_on_the_same_conversations() {
    let in_force = Brain::shipped(policy("")).unwrap();
    let other = |text: &str| {
        let refused = in_force.clone().with_trials(vec![policy(""), policy(text)]);
        refused.err().map(|(i, faults)| (i, faults.iter().map(|f| f.key.clone()).collect::<Vec<_>>()))
    };
    assert_eq!(
        other("horizon = \"2h\"\n[brands.bolt]\n"),
        Some((1, vec!["horizon".into(), "brands".into()]))
    );
    assert_eq!(other("[windows]\nstep = \"30s\"\n"), Some((1, vec!["windows".into()])));
    assert_eq!(other("viral_bar = 70\n"), None);
}
