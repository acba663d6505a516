//! Finds conditions that can never hold or always do, from the ranges that numbers have.
//!
//! Comparisons of a number with a constant narrow its range; where it becomes empty the condition cannot hold. What is
//! not such a comparison is taken as possible, so a warning is always right, but not every such condition is found.

use super::facts::{NUMBER_FACTS, NUMBERS, Number, Text, Type};
use super::{Can, Match, Num, Order, Test};

/// What numbers can be, and texts if they are pinned.
#[derive(Clone)]
struct World<'t> {
    ranges: [Range; NUMBERS],
    texts: Vec<(Text, Vec<&'t str>)>,
    /// The post has no flags.
    plain: bool,
}

#[derive(Clone, Copy)]
struct Range {
    low: f64,
    high: f64,
    /// Whether the ends themselves are out.
    above_low: bool,
    below_high: bool,
    whole: bool,
}

impl Range {
    fn is_empty(self) -> bool {
        let (low, high) = if self.whole {
            let low = if self.above_low { self.low.floor() + 1.0 } else { self.low.ceil() };
            let high = if self.below_high { self.high.ceil() - 1.0 } else { self.high.floor() };
            return low > high;
        } else {
            (self.low, self.high)
        };
        low > high || low == high && (self.above_low || self.below_high)
    }

    fn narrow(&mut self, order: Order, to: f64) {
        match order {
            Order::Less if to <= self.high => (self.high, self.below_high) = (to, true),
            Order::LessOrEqual if to < self.high => (self.high, self.below_high) = (to, false),
            Order::Greater if to >= self.low => (self.low, self.above_low) = (to, true),
            Order::GreaterOrEqual if to > self.low => (self.low, self.above_low) = (to, false),
            Order::Equal => {
                self.narrow(Order::LessOrEqual, to);
                self.narrow(Order::GreaterOrEqual, to);
            }
            _ => {}
        }
    }
}

impl World<'_> {
    fn any() -> Self {
        let ranges = NUMBER_FACTS.map(|fact| Range {
            low: fact.range.0,
            high: fact.range.1,
            above_low: false,
            below_high: false,
            whole: fact.kind == Type::Int,
        });
        Self { ranges, texts: Vec::new(), plain: false }
    }
}

/// Whether a test can hold for a post without flags and with at most such a P(complaint), replies included.
pub(super) fn can_hold_below(test: &Test, complaint: f64) -> bool {
    let mut world = World { plain: true, ..World::any() };
    for number in [Number::Complaint, Number::ReplyComplaint] {
        world.ranges[number as usize].high = complaint;
    }
    for number in [Number::Risk, Number::RiskLow, Number::RiskHigh] {
        world.ranges[number as usize].high = 100.0 * complaint;
    }
    possible(test, true, &world)
}

/// Whether a test can hold.
pub(super) fn can_hold(test: &Test) -> Can {
    let world = World::any();
    match (possible(test, true, &world), possible(test, false, &world)) {
        (false, _) => Can::Never,
        (true, false) => Can::Always,
        (true, true) => Can::Sometimes,
    }
}

/// Whether the test can come out so.
fn possible<'t>(test: &'t Test, holds: bool, world: &World<'t>) -> bool {
    match (test, holds) {
        (Test::Const(is), _) => *is == holds,
        (Test::Not(test), _) => possible(test, !holds, world),
        (Test::All(tests), true) | (Test::Any(tests), false) => together(tests, holds, world),
        (Test::All(tests), false) | (Test::Any(tests), true) => {
            tests.iter().any(|t| possible(t, holds, world))
        }
        (test, _) => {
            let mut world = world.clone();
            narrow(test, holds, &mut world)
        }
    }
}

/// Whether all can come out so at once.
fn together<'t>(tests: &'t [Test], holds: bool, world: &World<'t>) -> bool {
    let mut world = world.clone();
    let (plain, others): (Vec<_>, Vec<_>) =
        tests.iter().map(|t| bare(t, holds)).partition(|(t, _)| is_plain(t));
    plain.into_iter().all(|(test, holds)| narrow(test, holds, &mut world))
        && others.into_iter().all(|(test, holds)| possible(test, holds, &world))
}

/// A test without its negations.
fn bare(test: &Test, holds: bool) -> (&Test, bool) {
    match test {
        Test::Not(inner) => bare(inner, !holds),
        other => (other, holds),
    }
}

fn is_plain(test: &Test) -> bool {
    matches!(test, Test::Compare(..) | Test::Text(..) | Test::Flagged(_))
}

/// Takes in that a test comes out so. Tells whether that is possible.
fn narrow<'t>(test: &'t Test, holds: bool, world: &mut World<'t>) -> bool {
    match test {
        Test::Compare(Num::Const(x), order, Num::Const(y)) => order.holds(*x, *y) == holds,
        Test::Compare(Num::Fact(number), order, Num::Const(to)) => {
            let range = &mut world.ranges[*number as usize];
            range.narrow(turned(*order, holds), *to);
            !range.is_empty()
        }
        Test::Compare(Num::Const(to), order, Num::Fact(number)) => {
            let range = &mut world.ranges[*number as usize];
            range.narrow(mirrored(turned(*order, holds)), *to);
            !range.is_empty()
        }
        Test::Flagged(_) if world.plain => !holds,
        Test::Text(text, Match::Among(all)) if holds => {
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

fn turned(order: Order, holds: bool) -> Order {
    if holds {
        return order;
    }
    match order {
        Order::Less => Order::GreaterOrEqual,
        Order::LessOrEqual => Order::Greater,
        Order::Greater => Order::LessOrEqual,
        Order::GreaterOrEqual => Order::Less,
        Order::Equal => Order::Unequal,
        Order::Unequal => Order::Equal,
    }
}

fn mirrored(order: Order) -> Order {
    match order {
        Order::Less => Order::Greater,
        Order::LessOrEqual => Order::GreaterOrEqual,
        Order::Greater => Order::Less,
        Order::GreaterOrEqual => Order::LessOrEqual,
        same => same,
    }
}
