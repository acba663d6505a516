//! Conditions of the policy, written in the Common Expression Language (CEL).
//!
//! The `cel` crate parses; types are checked here, when the policy loads, so that a condition that exists cannot fail.
//! What is left runs over plain numbers in nanoseconds, where a general interpreter takes microseconds for a policy's
//! routes; a test holds the two against each other.

mod check;
mod facts;
mod range;

use firewatch_domain::FlagKind;

pub use facts::{Facts, Number, Type, names};

use facts::{Flag, Text};

/// A condition that is sound: every name is known, and the whole is a `bool`.
#[derive(Debug, Clone)]
pub struct Condition {
    source: Box<str>,
    test: Test,
}

/// Whether it can hold at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Can {
    /// For some conversations.
    Sometimes,
    /// For none.
    Never,
    /// For all.
    Always,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Const(bool),
    Fact(Flag),
    Not(Box<Test>),
    All(Vec<Test>),
    Any(Vec<Test>),
    Compare(Num, Order, Num),
    Text(Text, Match),
    /// Whether any of these flags is there.
    Flagged(Vec<FlagKind>),
}

#[derive(Debug, Clone, PartialEq)]
enum Num {
    Const(f64),
    Fact(Number),
    CountFlags,
    Negative(Box<Num>),
    Sum(Box<Num>, Box<Num>),
    Difference(Box<Num>, Box<Num>),
    Product(Box<Num>, Box<Num>),
    Quotient(Box<Num>, Box<Num>),
    If(Box<Test>, Box<Num>, Box<Num>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    Unequal,
}

#[derive(Debug, Clone, PartialEq)]
enum Match {
    Among(Vec<Box<str>>),
    Begins(Box<str>),
    Ends(Box<str>),
    Contains(Box<str>),
}

impl Condition {
    /// Reads and checks a condition.
    ///
    /// # Errors
    /// What is wrong with it, where, and what to write instead.
    pub fn parse(source: &str) -> Result<Self, String> {
        Ok(Self { source: source.into(), test: check::test(source)? })
    }

    /// The condition as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it holds.
    #[must_use]
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        self.test.holds(facts)
    }

    /// Whether it can hold, by the ranges that its numbers have.
    #[must_use]
    pub fn can_hold(&self) -> Can {
        range::can_hold(&self.test)
    }

    /// One that never holds.
    #[must_use]
    pub fn never() -> Self {
        Self { source: "false".into(), test: Test::Const(false) }
    }

    /// The P(complaint) below which it cannot hold for a post without flags, whatever its spread; to a hundredth.
    #[must_use]
    pub fn least_complaint(&self) -> f64 {
        let possible = |percent: u32| range::can_hold_below(&self.test, f64::from(percent) / 100.0);
        f64::from((0..=100).find(|percent| possible(*percent)).map_or(100, |percent| percent.max(1) - 1))
            / 100.0
    }

    /// The flags it names.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagKind> {
        let mut flags = Vec::new();
        self.test.visit(&mut |test| {
            if let Test::Flagged(kinds) = test {
                flags.extend_from_slice(kinds);
            }
        });
        flags
    }

    /// The brands it names.
    #[must_use]
    pub fn brands(&self) -> Vec<&str> {
        let mut brands = Vec::new();
        self.test.visit(&mut |test| {
            if let Test::Text(Text::Brand, Match::Among(names)) = test {
                brands.extend(names.iter().map(AsRef::as_ref));
            }
        });
        brands
    }

    /// The facts it asks for with their values, for reasons: `risk 37.2`.
    #[must_use]
    pub fn said(&self, facts: &Facts<'_>) -> String {
        let mut said: Vec<String> = Vec::new();
        self.test.visit(&mut |test| {
            let mut note = |words: String| {
                if !said.contains(&words) {
                    said.push(words);
                }
            };
            match test {
                Test::Compare(left, _, right) => {
                    // What is not there says nothing.
                    let asked = left.facts().into_iter().chain(right.facts());
                    for number in asked.filter(|number| facts.numbers[*number as usize] != 0.0) {
                        note(facts::told(number, facts));
                    }
                }
                Test::Text(text, _) => note(facts.text(*text).to_owned()),
                Test::Flagged(kinds) => {
                    kinds.iter().filter(|k| facts.flags.contains(k)).for_each(|k| note(k.in_words().into()));
                }
                _ => {}
            }
        });
        said.retain(|words| !words.is_empty());
        said.join(", ")
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Test {
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

    fn visit<'t>(&'t self, see: &mut impl FnMut(&'t Self)) {
        see(self);
        match self {
            Self::Not(test) => test.visit(see),
            Self::All(tests) | Self::Any(tests) => tests.iter().for_each(|t| t.visit(see)),
            _ => {}
        }
    }
}

impl Num {
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

    fn facts(&self) -> Vec<Number> {
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

impl Order {
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

impl Match {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Among(all) => all.iter().any(|one| **one == *text),
            Self::Begins(with) => text.starts_with(&**with),
            Self::Ends(with) => text.ends_with(&**with),
            Self::Contains(part) => text.contains(&**part),
        }
    }
}

#[cfg(test)]
mod tests;
