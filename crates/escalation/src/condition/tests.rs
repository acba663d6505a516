use cel::{Context, Program, Value};
use proptest::prelude::*;

use super::facts::{BOOL_FACTS, FLAGS_NAME, NUMERIC_FACT_SPECS, TEXT_FACTS};
use super::*;

fn fault(source: &str) -> String {
    Condition::parse(source).unwrap_err().to_string()
}

#[test]
fn faults_name_the_place_and_what_to_write() {
    let cases = [
        ("risk", "character 1: this is of type double; a condition must be a bool, such as `risk >= 15`"),
        ("complaint > 0.5 && riks > 15", "character 20: unknown name `riks`; did you mean `risk`?"),
        ("\"saftey_harm\" in flags", "unknown flag `saftey_harm`; did you mean `safety_harm`?"),
        ("risk + reach > 3", "double and int cannot be combined here; write double(...)"),
        ("risk > \"high\"", "double and string cannot be compared like this"),
        ("reshares / 2 > 3", "divide whole numbers as double(...) / double(...)"),
        ("flags.exists(f, f == \"press\")", "loops are not supported"),
        ("risk >", "character 7"),
        ("brand.matches(\"a+\")", "`matches` is not supported here"),
        ("risk > 15 and viral > 0.5", "character 11"),
    ];
    for (source, start) in cases {
        let problem = fault(source);
        assert!(problem.contains(start), "{source}: {problem}");
    }
}

#[test]
fn ranges_find_what_never_and_what_always_holds() {
    let satisfiability = |source: &str| Condition::parse(source).unwrap().satisfiability();
    let never = [
        "risk > 100",
        "100 < risk",
        "complaint > 1.0",
        "risk > 50 && risk < 20",
        "!(risk <= 100)",
        "reshares > 3 && reshares < 4",
        "brand == \"a\" && brand == \"b\"",
        "risk > 50 && (risk < 20 || risk < 30)",
        "false && answered",
    ];
    let always = ["risk >= 0", "risk < 50 || risk >= 50 || true", "!(viral > 1.0)", "reshares > -1"];
    let sometimes = [
        "risk > 50",
        "answered",
        "risk > 99.9 && risk <= 100",
        "reshares >= 3 && reshares < 4",
        "\"press\" in flags",
    ];
    assert!(
        never.iter().all(|c| satisfiability(c) == Satisfiability::Never),
        "{:?}",
        never.map(satisfiability)
    );
    assert!(
        always.iter().all(|c| satisfiability(c) == Satisfiability::Always),
        "{:?}",
        always.map(satisfiability)
    );
    assert!(
        sometimes.iter().all(|c| satisfiability(c) == Satisfiability::Sometimes),
        "{:?}",
        sometimes.map(satisfiability)
    );
}

#[test]
fn a_condition_is_described_with_the_values_it_reads() {
    let condition =
        Condition::parse("risk >= 15 && (viral > 0.5 || \"press\" in flags) && brand == \"acme\"").unwrap();
    let mut facts = Facts { brand: "acme", flags: &[FlagKind::Press], ..Facts::default() };
    facts.numbers[NumericFact::Risk as usize] = 37.25;
    facts.numbers[NumericFact::Viral as usize] = 0.4;
    assert!(condition.holds(&facts));
    assert_eq!(condition.describe(&facts), "risk 37.2, viral 40%, mentions journalists or the press, acme");
}

#[test]
fn the_table_of_numbers_is_in_their_order() {
    for (i, fact) in NUMERIC_FACT_SPECS.iter().enumerate() {
        assert_eq!(fact.number as usize, i, "{}", fact.name);
    }
}

/// Returns the same facts for the interpreter that comes with the parser.
fn context(facts: &Facts<'_>) -> Context<'static, 'static> {
    let mut context = Context::default();
    for fact in &NUMERIC_FACT_SPECS {
        let value = facts.numbers[fact.number as usize];
        let value = if fact.kind == FactType::Int { Value::Int(value as i64) } else { Value::Float(value) };
        context.add_variable_from_value(fact.name, value);
    }
    for (flag, name, _) in BOOL_FACTS {
        context.add_variable_from_value(name, facts.flag(flag));
    }
    for (text, name, _) in TEXT_FACTS {
        context.add_variable_from_value(name, facts.text(text).to_owned());
    }
    let flags: Vec<String> = facts.flags.iter().map(|f| f.name().to_owned()).collect();
    context.add_variable_from_value(FLAGS_NAME, flags);
    context
}

/// Generates conditions as people write them, with random numbers.
fn source() -> impl Strategy<Value = String> {
    let number = (0..20_i32).prop_map(|n| format!("{:.1}", f64::from(n) * 5.0));
    let whole = (0..6_i32).prop_map(|n| (n * n * n).to_string());
    let atom = prop_oneof![
        (number.clone(), prop_oneof!["<", "<=", ">", ">=", "==", "!="])
            .prop_map(|(n, o)| format!("risk {o} {n}")),
        (whole.clone(), prop_oneof!["<", "<=", ">", ">="]).prop_map(|(n, o)| format!("reshares {o} {n}")),
        (whole, number.clone())
            .prop_map(|(n, x)| format!("double(reshares + {n}) * 2.0 - risk / 4.0 > -{x}")),
        number.prop_map(|x| format!("(answered ? risk : risk_high) >= {x}")),
        Just("\"press\" in flags".to_owned()),
        Just("size(flags) > 1".to_owned()),
        Just("brand == \"acme\"".to_owned()),
        Just("brand in [\"acme\", \"b\"]".to_owned()),
        Just("lang.startsWith(\"e\")".to_owned()),
        Just("answered == read".to_owned()),
        Just("!followers_known".to_owned()),
    ];
    atom.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(x, y)| format!("({x} && {y})")),
            (inner.clone(), inner.clone()).prop_map(|(x, y)| format!("({x} || {y})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(c, x, y)| format!("({c} ? {x} : {y})")),
            inner.prop_map(|x| format!("!({x})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn compiled_conditions_agree_with_the_interpreter(
        source in source(),
        risk in (0..20_i32).prop_map(|n| f64::from(n) * 5.0),
        reshares in 0..130_i64,
        bits in 0..16_u8,
    ) {
        const FLAGS: [FlagKind; 2] = [FlagKind::LegalThreat, FlagKind::Press];
        let mut facts = Facts {
            answered: bits & 1 > 0,
            read: bits & 2 > 0,
            brand: if bits & 4 > 0 { "acme" } else { "" },
            lang: "en",
            flags: if bits & 8 > 0 { &FLAGS } else { &FLAGS[..1] },
            ..Facts::default()
        };
        facts.numbers[NumericFact::Risk as usize] = risk;
        facts.numbers[NumericFact::RiskHigh as usize] = risk + 5.0;
        facts.numbers[NumericFact::Reshares as usize] = reshares as f64;
        let own = Condition::parse(&source).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let theirs = Program::compile(&source).unwrap().execute(&context(&facts)).unwrap();
        prop_assert_eq!(Value::Bool(own.holds(&facts)), theirs, "{}", source);
        match own.satisfiability() {
            Satisfiability::Never => prop_assert!(!own.holds(&facts), "{source}"),
            Satisfiability::Always => prop_assert!(own.holds(&facts), "{source}"),
            Satisfiability::Sometimes => {}
        }
    }
}
