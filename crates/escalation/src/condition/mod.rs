//! Conditions of the policy, written in the Common Expression Language (CEL).
//!
//! The `cel` crate parses. Types are checked here, when the policy loads, so that evaluating a [`Condition`]
//! cannot fail. Evaluation of the lowered form takes nanoseconds, where a general interpreter takes
//! microseconds for the routes of a policy. A test compares the two.

mod check;
mod facts;
mod range;

use firewatch_domain::FlagKind;

pub use check::ConditionError;
pub use facts::{FactType, Facts, NumericFact, fact_names};

use facts::{BoolFact, TextFact};

/// A valid condition: every name is known, and the whole is a `bool`.
#[derive(Debug, Clone)]
pub struct Condition {
    source: Box<str>,
    expr: BoolExpr,
}

/// Whether a condition can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Satisfiability {
    /// It holds for some conversations.
    Sometimes,
    /// It holds for no conversation.
    Never,
    /// It holds for every conversation.
    Always,
}

#[derive(Debug, Clone, PartialEq)]
enum BoolExpr {
    Const(bool),
    Fact(BoolFact),
    Not(Box<BoolExpr>),
    All(Vec<BoolExpr>),
    Any(Vec<BoolExpr>),
    Compare(NumExpr, Comparison, NumExpr),
    Text(TextFact, TextMatch),
    /// The post has at least one of these flags.
    Flagged(Vec<FlagKind>),
}

#[derive(Debug, Clone, PartialEq)]
enum NumExpr {
    Const(f64),
    Fact(NumericFact),
    CountFlags,
    Negative(Box<NumExpr>),
    Sum(Box<NumExpr>, Box<NumExpr>),
    Difference(Box<NumExpr>, Box<NumExpr>),
    Product(Box<NumExpr>, Box<NumExpr>),
    Quotient(Box<NumExpr>, Box<NumExpr>),
    If(Box<BoolExpr>, Box<NumExpr>, Box<NumExpr>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    Unequal,
}

#[derive(Debug, Clone, PartialEq)]
enum TextMatch {
    OneOf(Vec<Box<str>>),
    Begins(Box<str>),
    Ends(Box<str>),
    Contains(Box<str>),
}

impl Condition {
    /// Parses and checks a condition.
    ///
    /// # Errors
    /// What is wrong, where, and the remedy.
    pub fn parse(source: &str) -> Result<Self, ConditionError> {
        Ok(Self { source: source.into(), expr: check::compile(source)? })
    }

    /// Returns the condition as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns whether the condition holds.
    #[must_use]
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        self.expr.holds(facts)
    }

    /// Returns whether the condition can hold, by the ranges of its numbers.
    #[must_use]
    pub fn satisfiability(&self) -> Satisfiability {
        range::satisfiability(&self.expr)
    }

    /// Returns whether it can hold while another one does not, by the ranges of numbers.
    #[must_use]
    pub fn can_hold_without(&self, other: &Self) -> bool {
        let without = BoolExpr::Not(Box::new(other.expr.clone()));
        let both = BoolExpr::All(vec![self.expr.clone(), without]);
        range::satisfiability(&both) != Satisfiability::Never
    }

    /// Returns a condition that never holds.
    #[must_use]
    pub fn never() -> Self {
        Self { source: "false".into(), expr: BoolExpr::Const(false) }
    }

    /// Returns the P(complaint), 0..1, below which it cannot hold for a post without flags, whatever its
    /// spread. It is accurate to 0.01.
    #[must_use]
    pub fn min_complaint(&self) -> f64 {
        let possible = |percent: u32| range::can_hold_below(&self.expr, f64::from(percent) / 100.0);
        f64::from((0..=100).find(|percent| possible(*percent)).map_or(100, |percent| percent.max(1) - 1))
            / 100.0
    }

    /// Returns the flags that it names.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagKind> {
        let mut flags = Vec::new();
        self.expr.visit(&mut |test| {
            if let BoolExpr::Flagged(kinds) = test {
                flags.extend_from_slice(kinds);
            }
        });
        flags
    }

    /// Returns the brands that it names.
    #[must_use]
    pub fn brands(&self) -> Vec<&str> {
        let mut brands = Vec::new();
        self.expr.visit(&mut |test| {
            if let BoolExpr::Text(TextFact::Brand, TextMatch::OneOf(names)) = test {
                brands.extend(names.iter().map(AsRef::as_ref));
            }
        });
        brands
    }

    /// Describes the facts that it uses with their values, for reasons: `risk 37.2`.
    #[must_use]
    pub fn describe(&self, facts: &Facts<'_>) -> String {
        let mut descriptions: Vec<String> = Vec::new();
        self.expr.visit(&mut |test| {
            let mut push = |description: String| {
                if !descriptions.contains(&description) {
                    descriptions.push(description);
                }
            };
            match test {
                BoolExpr::Compare(left, _, right) => {
                    // A value of 0 adds nothing to a reason.
                    let numbers = left.facts().into_iter().chain(right.facts());
                    for number in numbers.filter(|number| facts.numbers[*number as usize] != 0.0) {
                        push(facts::describe_number(number, facts));
                    }
                }
                BoolExpr::Text(text, _) => push(facts.text(*text).to_owned()),
                BoolExpr::Flagged(kinds) => {
                    kinds.iter().filter(|k| facts.flags.contains(k)).for_each(|k| push(k.describe().into()));
                }
                _ => {}
            }
        });
        descriptions.retain(|description| !description.is_empty());
        descriptions.join(", ")
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl BoolExpr {
    fn holds(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Const(is) => *is,
            Self::Fact(flag) => facts.flag(*flag),
            Self::Not(test) => !test.holds(facts),
            Self::All(tests) => tests.iter().all(|t| t.holds(facts)),
            Self::Any(tests) => tests.iter().any(|t| t.holds(facts)),
            Self::Compare(left, order, right) => order.holds(left.value(facts), right.value(facts)),
            Self::Text(text, pattern) => pattern.holds(facts.text(*text)),
            Self::Flagged(kinds) => facts.flags.iter().any(|flag| kinds.contains(flag)),
        }
    }

    fn visit<'t>(&'t self, visitor: &mut impl FnMut(&'t Self)) {
        visitor(self);
        match self {
            Self::Not(test) => test.visit(visitor),
            Self::All(tests) | Self::Any(tests) => tests.iter().for_each(|t| t.visit(visitor)),
            _ => {}
        }
    }
}

impl NumExpr {
    fn value(&self, facts: &Facts<'_>) -> f64 {
        match self {
            Self::Const(value) => *value,
            Self::Fact(number) => facts.numbers[*number as usize],
            Self::CountFlags => facts.flags.len() as f64,
            Self::Negative(x) => -x.value(facts),
            Self::Sum(x, y) => x.value(facts) + y.value(facts),
            Self::Difference(x, y) => x.value(facts) - y.value(facts),
            Self::Product(x, y) => x.value(facts) * y.value(facts),
            Self::Quotient(x, y) => x.value(facts) / y.value(facts),
            Self::If(test, x, y) => {
                if test.holds(facts) {
                    x.value(facts)
                } else {
                    y.value(facts)
                }
            }
        }
    }

    fn facts(&self) -> Vec<NumericFact> {
        match self {
            Self::Const(_) | Self::CountFlags => vec![],
            Self::Fact(number) => vec![*number],
            Self::Negative(x) => x.facts(),
            Self::Sum(x, y)
            | Self::Difference(x, y)
            | Self::Product(x, y)
            | Self::Quotient(x, y)
            | Self::If(_, x, y) => x.facts().into_iter().chain(y.facts()).collect(),
        }
    }
}

impl Comparison {
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
            Self::Equal => left == right,
            Self::Unequal => left != right,
        }
    }
}

impl TextMatch {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::OneOf(all) => all.iter().any(|one| **one == *text),
            Self::Begins(with) => text.starts_with(&**with),
            Self::Ends(with) => text.ends_with(&**with),
            Self::Contains(part) => text.contains(&**part),
        }
    }
}

#[cfg(test)]
mod tests;
