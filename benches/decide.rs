//! Measures the evaluation of a policy's 50 routes on a conversation's facts, compared with the `cel` crate's
//! interpreter, and the share it takes in the whole engine.

use std::fmt::Write;
use std::hint::black_box;

use cel::{Context, Program};
use firewatch_benches::report;
use firewatch_domain::{EventTime, FlagKind};
use firewatch_engine::{LineSource, LocalTopology, Ruleset};
use firewatch_escalation::{Facts, NumericFact, Policy};
use serde_json::Value;

const RECORDING: &str = include_str!("../demo/recording.jsonl");
const POLICY: &str = include_str!("../demo/policy.toml");
const NOW: EventTime = EventTime::from_millis(1_790_000_000_000);
const FILE: LineSource<'static> = LineSource { name: "bench", arrival: NOW };
const ROUTES: usize = 50;
/// The number of conversations in a round.
const SITUATIONS: usize = 1_000;

/// Returns the condition of route `i`, of the kinds that a large company would write, with its own
/// thresholds.
fn condition(i: usize) -> String {
    let (risk, share) = (20 + i, 0.5 + i as f64 / 200.0);
    match i % 5 {
        0 => format!("risk >= {risk} && complaint > {share}"),
        1 => format!("(\"press\" in flags || \"legal_threat\" in flags) && reach > {}", i * 1000),
        2 => format!("brand == \"aldermere\" && viral > {share} && per_minute_5 > {i}.0 && !answered"),
        3 => format!("complaint > {share} && (followers > {} || arousal > 0.9) && lang == \"en\"", i * 5000),
        _ => format!("platform in [\"instagram\", \"facebook\"] && double(reshares + quotes) * 2.0 > {i}.0"),
    }
}

fn fifty() -> String {
    let mut text = "[brands.aldermere]\nhandles = [\"@AldermereHealth\", \"@AldermereCare\"]\n".to_owned();
    for i in 0..ROUTES {
        let condition = condition(i);
        let _ = writeln!(text, "[routes.r{i}]\nteam = \"pr\"\nwhen = {{ medium = '{condition}' }}");
    }
    text
}

fn situation(i: usize) -> Facts<'static> {
    const FLAGS: [FlagKind; 1] = [FlagKind::ChurnThreat];
    let mut facts = Facts { read: true, brand: "aldermere", platform: "x", lang: "en", ..Facts::default() };
    if i.is_multiple_of(10) {
        facts.flags = &FLAGS;
    }
    let part = |n: usize| (i * n % 97) as f64 / 97.0;
    for (number, value) in [
        (NumericFact::Risk, 30.0 * part(3)),
        (NumericFact::Complaint, part(5)),
        (NumericFact::Viral, 0.5 * part(7)),
        (NumericFact::Arousal, part(11)),
        (NumericFact::PerMinute5, 20.0 * part(13)),
        (NumericFact::Followers, (9000.0 * part(17)).round()),
        (NumericFact::Reach, (20_000.0 * part(19)).round()),
        (NumericFact::Reshares, (50.0 * part(23)).round()),
    ] {
        facts.numbers[number as usize] = value;
    }
    facts
}

fn context(facts: &Facts<'_>) -> Context<'static, 'static> {
    let mut context = Context::default();
    let number = |n: NumericFact| facts.numbers[n as usize];
    for (name, n) in [
        ("risk", NumericFact::Risk),
        ("complaint", NumericFact::Complaint),
        ("viral", NumericFact::Viral),
        ("arousal", NumericFact::Arousal),
        ("per_minute_5", NumericFact::PerMinute5),
    ] {
        context.add_variable_from_value(name, number(n));
    }
    for (name, n) in [
        ("followers", NumericFact::Followers),
        ("reach", NumericFact::Reach),
        ("reshares", NumericFact::Reshares),
        ("quotes", NumericFact::Quotes),
    ] {
        context.add_variable_from_value(name, number(n) as i64);
    }
    context.add_variable_from_value("answered", facts.answered);
    context.add_variable_from_value("brand", facts.brand);
    context.add_variable_from_value("platform", facts.platform);
    context.add_variable_from_value("lang", facts.lang);
    context.add_variable_from_value(
        "flags",
        facts.flags.iter().map(|f| f.name().to_owned()).collect::<Vec<_>>(),
    );
    context
}

fn main() {
    let policy = |text: &str| Policy::parse("bench", text).unwrap_or_else(|faults| panic!("{faults:?}"));
    let usual = Ruleset::shipped(policy(POLICY)).unwrap_or_else(|e| panic!("{e}"));
    let many = usual.with_policy(policy(&fifty()));
    let lines: Vec<&[u8]> = RECORDING.lines().map(str::as_bytes).collect();
    let situations: Vec<Facts<'_>> = (0..SITUATIONS).map(situation).collect();
    let programs: Vec<Program> =
        (0..ROUTES).map(|i| Program::compile(&condition(i)).unwrap_or_else(|e| panic!("{e}"))).collect();
    let contexts: Vec<_> = situations.iter().map(context).collect();
    let engine = |ruleset: &Ruleset| {
        let mut topology = LocalTopology::default();
        lines
            .iter()
            .for_each(|l| drop(black_box(topology.push_line(l, FILE, ruleset, &mut |e| _ = black_box(e)))));
    };
    report([
        ("parse JSON (serde_json::Value)", lines.len(), &mut || {
            lines.iter().for_each(|l| drop(black_box(serde_json::from_slice::<Value>(l))));
        }),
        ("50 routes decided", SITUATIONS, &mut || {
            for facts in &situations {
                for route in many.policy.routes.values() {
                    black_box(route.highest_level(black_box(facts)));
                }
            }
        }),
        ("the same by the cel interpreter", SITUATIONS, &mut || {
            for context in &contexts {
                for program in &programs {
                    drop(black_box(program.execute(black_box(context))));
                }
            }
        }),
        ("the whole engine, 3 routes", lines.len(), &mut || engine(&usual)),
        ("the whole engine, 50 routes", lines.len(), &mut || engine(&many)),
    ]);
}
