//! Finds conditions that never or always hold, from the ranges of numbers.
//!
//! Comparisons of a number with a constant narrow its range; where the range becomes empty, the condition
//! cannot hold. Anything else counts as possible. So a warning is always right, but not every such condition
//! is found.

use super::facts::{FactType, NUMERIC_FACT_COUNT, NUMERIC_FACT_SPECS, NumericFact, TextFact};
use super::{BoolExpr, Comparison, NumExpr, Satisfiability, TextMatch};

/// Possible values of numbers, and of strings that are restricted.
#[derive(Clone)]
struct Assumptions<'t> {
    ranges: [ValueRange; NUMERIC_FACT_COUNT],
    texts: Vec<(TextFact, Vec<&'t str>)>,
    /// The post has no flags.
    no_flags: bool,
}

#[derive(Clone, Copy)]
struct ValueRange {
    low: f64,
    high: f64,
    /// Whether the bounds themselves are excluded.
    low_excluded: bool,
    high_excluded: bool,
    is_integer: bool,
}

impl ValueRange {
    fn is_empty(self) -> bool {
        let (low, high) = if self.is_integer {
            let low = if self.low_excluded { self.low.floor() + 1.0 } else { self.low.ceil() };
            let high = if self.high_excluded { self.high.ceil() - 1.0 } else { self.high.floor() };
            return low > high;
        } else {
            (self.low, self.high)
        };
        low > high || low == high && (self.low_excluded || self.high_excluded)
    }

    fn narrow(&mut self, order: Comparison, to: f64) {
        match order {
            Comparison::Less if to <= self.high => (self.high, self.high_excluded) = (to, true),
            Comparison::LessOrEqual if to < self.high => (self.high, self.high_excluded) = (to, false),
            Comparison::Greater if to >= self.low => (self.low, self.low_excluded) = (to, true),
            Comparison::GreaterOrEqual if to > self.low => (self.low, self.low_excluded) = (to, false),
            Comparison::Equal => {
                self.narrow(Comparison::LessOrEqual, to);
                self.narrow(Comparison::GreaterOrEqual, to);
            }
            _ => {}
        }
    }
}

impl Assumptions<'_> {
    fn any() -> Self {
        let ranges = NUMERIC_FACT_SPECS.map(|fact| ValueRange {
            low: fact.range.0,
            high: fact.range.1,
            low_excluded: false,
            high_excluded: false,
            is_integer: fact.kind == FactType::Int,
        });
        Self { ranges, texts: Vec::new(), no_flags: false }
    }
}

/// Returns whether a test can hold for a post without flags whose P(complaint), replies included, is at most
/// `complaint`.
pub(super) fn can_hold_below(test: &BoolExpr, complaint: f64) -> bool {
    let mut world = Assumptions { no_flags: true, ..Assumptions::any() };
    for number in [NumericFact::Complaint, NumericFact::ReplyComplaint] {
        world.ranges[number as usize].high = complaint;
    }
    for number in [NumericFact::Risk, NumericFact::RiskLow, NumericFact::RiskHigh] {
        world.ranges[number as usize].high = 100.0 * complaint;
    }
    is_possible(test, true, &world)
}

/// Returns whether a test can hold.
pub(super) fn satisfiability(test: &BoolExpr) -> Satisfiability {
    let world = Assumptions::any();
    match (is_possible(test, true, &world), is_possible(test, false, &world)) {
        (false, _) => Satisfiability::Never,
        (true, false) => Satisfiability::Always,
        (true, true) => Satisfiability::Sometimes,
    }
}

/// Returns whether the test can have the given result.
fn is_possible<'t>(test: &'t BoolExpr, holds: bool, world: &Assumptions<'t>) -> bool {
    match (test, holds) {
        (BoolExpr::Const(is), _) => *is == holds,
        (BoolExpr::Not(test), _) => is_possible(test, !holds, world),
        (BoolExpr::All(tests), true) | (BoolExpr::Any(tests), false) => all_possible(tests, holds, world),
        (BoolExpr::All(tests), false) | (BoolExpr::Any(tests), true) => {
            tests.iter().any(|t| is_possible(t, holds, world))
        }
        (test, _) => {
            let mut world = world.clone();
            narrow(test, holds, &mut world)
        }
    }
}

/// Returns whether all tests can have the given result at once.
fn all_possible<'t>(tests: &'t [BoolExpr], holds: bool, world: &Assumptions<'t>) -> bool {
    let mut world = world.clone();
    let (atoms, others): (Vec<_>, Vec<_>) =
        tests.iter().map(|t| without_negations(t, holds)).partition(|(t, _)| is_atom(t));
    atoms.into_iter().all(|(test, holds)| narrow(test, holds, &mut world))
        && others.into_iter().all(|(test, holds)| is_possible(test, holds, &world))
}

/// Strips negations from a test and adjusts the expected result.
fn without_negations(test: &BoolExpr, holds: bool) -> (&BoolExpr, bool) {
    match test {
        BoolExpr::Not(inner) => without_negations(inner, !holds),
        other => (other, holds),
    }
}

fn is_atom(test: &BoolExpr) -> bool {
    matches!(test, BoolExpr::Compare(..) | BoolExpr::Text(..) | BoolExpr::Flagged(_))
}

/// Assumes that a test has the given result. Returns whether that is possible.
fn narrow<'t>(test: &'t BoolExpr, holds: bool, world: &mut Assumptions<'t>) -> bool {
    match test {
        BoolExpr::Compare(NumExpr::Const(x), order, NumExpr::Const(y)) => order.holds(*x, *y) == holds,
        BoolExpr::Compare(NumExpr::Fact(number), order, NumExpr::Const(to)) => {
            let range = &mut world.ranges[*number as usize];
            range.narrow(negate_unless(*order, holds), *to);
            !range.is_empty()
        }
        BoolExpr::Compare(NumExpr::Const(to), order, NumExpr::Fact(number)) => {
            let range = &mut world.ranges[*number as usize];
            range.narrow(swap_operands(negate_unless(*order, holds)), *to);
            !range.is_empty()
        }
        BoolExpr::Flagged(_) if world.no_flags => !holds,
        BoolExpr::Text(text, TextMatch::OneOf(all)) if holds => {
            let mut left: Vec<&str> = all.iter().map(AsRef::as_ref).collect();
            for (_, pinned) in world.texts.iter().filter(|(own, _)| own == text) {
                left.retain(|one| pinned.contains(one));
            }
            let any = !left.is_empty();
            world.texts.push((*text, left));
            any
        }
        _ => true,
    }
}

fn negate_unless(order: Comparison, holds: bool) -> Comparison {
    if holds {
        return order;
    }
    match order {
        Comparison::Less => Comparison::GreaterOrEqual,
        Comparison::LessOrEqual => Comparison::Greater,
        Comparison::Greater => Comparison::LessOrEqual,
        Comparison::GreaterOrEqual => Comparison::Less,
        Comparison::Equal => Comparison::Unequal,
        Comparison::Unequal => Comparison::Equal,
    }
}

fn swap_operands(order: Comparison) -> Comparison {
    match order {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        same => same,
    }
}
