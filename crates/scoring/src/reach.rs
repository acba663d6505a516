//! Reach: how many accounts could have seen a conversation.
//!
//! Audiences overlap. With random duplication in a population of M, carriers with f_i followers reach
//! M (1 - prod(1 - f_i/M)) accounts: Sainsbury's formula of media planning (Agostini 1961 names and tests it).
//! The product is kept as a sum of logarithms, so order does not matter and memory is constant.

use firewatch_domain::{EventTime, Reach};
use serde::{Deserialize, Serialize};

/// Accounts that can be reached at all: about the daily users of a large network.
const POPULATION: f64 = 200_000_000.0;
/// Share of the population that one account can reach at most; fame beyond it is not ours to measure.
const CAP: f64 = 0.5;
/// Followers that stand for an account whose count is unknown: about the median of accounts that reshare.
pub const TYPICAL_FOLLOWERS: u64 = 300;
/// Followers that stand for such an account at the upper end: about the 95th percentile.
pub const PLAUSIBLE_FOLLOWERS: u64 = 10_000;

/// Large accounts that are remembered.
pub(crate) const LOUDEST: usize = 3;

/// An account that carries a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voice {
    /// Its followers.
    pub followers: u64,
    /// When it carried it.
    pub at: EventTime,
}

/// The carriers of a conversation, summed up.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Audience {
    missed: f64,
    total: f64,
    known: u32,
    /// Of those, the ones that nobody follows.
    unheard: u32,
    unknown: u64,
    /// The largest, largest first.
    loudest: [Option<Voice>; LOUDEST],
}

impl Audience {
    /// Adds an account that carried the conversation then.
    pub fn add(&mut self, followers: Option<u64>, at: EventTime) {
        let Some(f) = followers else { return self.add_unknown(1) };
        self.missed += miss(f);
        self.total += f as f64;
        self.known = self.known.saturating_add(1);
        self.unheard = self.unheard.saturating_add(u32::from(f == 0));
        let place = self.loudest.iter().position(|v| v.is_none_or(|v| f > v.followers));
        if let Some(rest) = place.and_then(|place| self.loudest.get_mut(place..)) {
            rest.rotate_right(1);
            rest[0] = Some(Voice { followers: f, at });
        }
    }

    /// Adds accounts of which only the number is known.
    pub fn add_unknown(&mut self, accounts: u64) {
        self.unknown = self.unknown.saturating_add(accounts);
    }

    /// An account of which only the number was known has come.
    pub fn forget_unknown(&mut self) {
        self.unknown = self.unknown.saturating_sub(1);
    }

    /// Accounts with a known number of followers, and those without.
    #[must_use]
    pub fn known(&self) -> (u64, u64) {
        (u64::from(self.known), self.unknown)
    }

    /// The share of known accounts that nobody follows; none when no account is known.
    #[must_use]
    pub fn unheard(&self) -> Option<f64> {
        (self.known > 0).then(|| f64::from(self.unheard) / f64::from(self.known))
    }

    /// Mean followers of the carriers whose number is known, nought when there are none.
    #[must_use]
    pub fn known_mean(&self) -> f64 {
        self.total / f64::from(self.known.max(1))
    }

    /// Mean followers of a carrier other than the author, those of unknown audience taken to have `followers`.
    pub(crate) fn mean(&self, followers: u64, author: Option<u64>) -> f64 {
        let (mut total, mut known) = (self.total, f64::from(self.known));
        if let Some(author) = author {
            total -= author as f64;
            known -= 1.0;
        }
        let (total, known, unknown) = (total.max(0.0), known.max(0.0), self.unknown as f64);
        if known + unknown < 0.5 {
            return followers as f64;
        }
        (total + unknown * followers as f64) / (known + unknown)
    }

    /// The largest known carriers, largest first.
    pub fn loudest(&self) -> impl Iterator<Item = Voice> {
        self.loudest.into_iter().flatten()
    }

    /// The reach with its bounds.
    #[must_use]
    pub fn reach(&self) -> Reach {
        let [low, estimate, high] = [0, TYPICAL_FOLLOWERS, PLAUSIBLE_FOLLOWERS].map(|f| self.seen_by(f));
        Reach { low, estimate, high, unknown: self.unknown }
    }

    /// Accounts that could have seen it, those of unknown audience taken to have `followers`.
    #[must_use]
    pub fn seen_by(&self, followers: u64) -> u64 {
        reached(self.missed + self.unknown as f64 * miss(followers)).round() as u64
    }

    /// Accounts that so many further carriers with so many followers on average would add.
    pub(crate) fn grown_by(&self, carriers: f64, followers: f64) -> f64 {
        let missed = self.missed + self.unknown as f64 * miss(TYPICAL_FOLLOWERS);
        reached(missed + carriers * miss(followers as u64)) - reached(missed)
    }
}

/// Accounts that do not miss it, from the logarithm of the chance that one does.
fn reached(missed: f64) -> f64 {
    POPULATION * -missed.exp_m1()
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
            all.iter().for_each(|f| audience.add(Some(*f), EventTime::from_millis(0)));
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
    fn further_carriers_add_what_overlap_leaves() {
        let mut audience = Audience::default();
        audience.add(Some(1000), EventTime::from_millis(0));
        assert!((audience.grown_by(10.0, 1000.0) - 10_000.0).abs() < 2.0);
        let most = audience.grown_by(1e9, 1000.0);
        assert!(most <= POPULATION, "{most}");
    }

    #[test]
    fn an_unknown_audience_is_a_range_not_a_zero() {
        let mut audience = Audience::default();
        audience.add(None, EventTime::from_millis(0));
        let reach = audience.reach();
        assert_eq!((reach.low, reach.estimate, reach.high, reach.unknown), (0, 300, 10_000, 1));
        audience.add(Some(700), EventTime::from_millis(0));
        assert_eq!((audience.mean(0, None), audience.mean(300, None)), (350.0, 500.0));
        assert_eq!((audience.mean(0, Some(700)), audience.mean(300, Some(700))), (0.0, 300.0));
    }
}
