//! Reach: how many accounts could have seen a conversation.
//!
//! Audiences overlap. With random duplication in a population of M, carriers with f_i followers reach
//! M (1 - prod(1 - f_i/M)) accounts: Sainsbury's formula of media planning (Agostini 1961 names and tests it).
//! The product is kept as a sum of logarithms, so order does not matter and memory is constant.

use firewatch_domain::Reach;
use serde::{Deserialize, Serialize};

/// Accounts that can be reached at all: about the daily users of a large network.
const POPULATION: f64 = 200_000_000.0;
/// Share of the population that one account can reach at most; fame beyond it is not ours to measure.
const CAP: f64 = 0.5;
/// Followers that stand for an account whose count is unknown: about the median of accounts that reshare.
pub const TYPICAL_FOLLOWERS: u64 = 300;
/// Followers that stand for such an account at the upper end: about the 95th percentile.
pub const PLAUSIBLE_FOLLOWERS: u64 = 10_000;

/// The carriers of a conversation, summed up.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Audience {
    missed: f64,
    total: f64,
    known: u32,
    unknown: u64,
    largest: u64,
}

impl Audience {
    /// Adds an account that carries the conversation.
    pub fn add(&mut self, followers: Option<u64>) {
        match followers {
            Some(f) => {
                self.missed += miss(f);
                self.total += f as f64;
                self.known = self.known.saturating_add(1);
                self.largest = self.largest.max(f);
            }
            None => self.add_unknown(1),
        }
    }

    /// Adds accounts of which only the number is known.
    pub fn add_unknown(&mut self, accounts: u64) {
        self.unknown = self.unknown.saturating_add(accounts);
    }

    /// Mean followers of a carrier, those of unknown audience taken to have `followers`.
    #[must_use]
    pub fn mean(&self, followers: u64) -> f64 {
        let (known, unknown) = (f64::from(self.known), self.unknown as f64);
        if known + unknown < 0.5 {
            return followers as f64;
        }
        (self.total + unknown * followers as f64) / (known + unknown)
    }

    /// Followers of the largest known carrier.
    #[must_use]
    pub fn largest(&self) -> u64 {
        self.largest
    }

    /// The reach with its bounds.
    #[must_use]
    pub fn reach(&self) -> Reach {
        let with = |followers: u64| {
            let missed = self.missed + self.unknown as f64 * miss(followers);
            (POPULATION * -missed.exp_m1()).round() as u64
        };
        Reach {
            low: with(0),
            estimate: with(TYPICAL_FOLLOWERS),
            high: with(PLAUSIBLE_FOLLOWERS),
            unknown: self.unknown,
        }
    }
}

/// Logarithm of the chance that a random account does not follow one with so many followers.
fn miss(followers: u64) -> f64 {
    (-(followers as f64 / POPULATION).min(CAP)).ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_audiences_add_up_and_large_ones_overlap() {
        let reach = |all: &[u64]| {
            let mut audience = Audience::default();
            all.iter().for_each(|f| audience.add(Some(*f)));
            audience.reach().estimate
        };
        assert_eq!(reach(&[]), 0);
        assert_eq!(reach(&[235]), 235);
        assert_eq!(reach(&[1000, 2000]), 3000);
        let (one, two) = (reach(&[50_000_000]), reach(&[50_000_000, 50_000_000]));
        assert_eq!(one, 50_000_000);
        assert_eq!(two, 87_500_000);
        assert!(reach(&[u64::MAX; 100]) <= POPULATION as u64);
    }

    #[test]
    fn an_unknown_audience_is_a_range_not_a_zero() {
        let mut audience = Audience::default();
        audience.add(None);
        let reach = audience.reach();
        assert_eq!((reach.low, reach.estimate, reach.high, reach.unknown), (0, 300, 10_000, 1));
        audience.add(Some(700));
        assert_eq!((audience.mean(0), audience.mean(300)), (350.0, 500.0));
    }
}
