//! Reach: the number of accounts that could have seen a conversation.
//!
//! Audiences overlap. If followers are drawn at random from a population of M, carriers with f_i followers
//! reach M (1 - prod(1 - f_i/M)) accounts: the Sainsbury formula of media planning (named and tested by
//! Agostini 1961). The product is stored as a sum of logarithms, so that order does not matter and memory is
//! constant.

use firewatch_domain::{EventTime, Reach};
use serde::{Deserialize, Serialize};

/// Size of the reachable population, in accounts: about the daily users of a large network.
const POPULATION: f64 = 200_000_000.0;
/// Maximum share of the population that one account reaches.
const MAX_POPULATION_SHARE: f64 = 0.5;
/// The follower count assumed for an account whose count is unknown: about the median of accounts that
/// reshare.
pub const TYPICAL_FOLLOWERS: u64 = 300;
/// The follower count assumed for such an account in the upper bound: about the 95th percentile.
pub const PLAUSIBLE_FOLLOWERS: u64 = 10_000;

/// Number of largest carriers that are kept.
pub(crate) const LARGEST_CARRIERS: usize = 3;

/// An account whose followers see a conversation: the author, or one that reshared or quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carrier {
    /// The follower count.
    pub followers: u64,
    /// The time of the post, reshare or quote.
    pub at: EventTime,
}

/// The summary of a conversation's carriers.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Audience {
    log_miss: f64,
    follower_total: f64,
    known: u32,
    /// Known accounts without followers.
    zero_followers: u32,
    unknown: u64,
    /// The largest known carriers, largest first.
    largest: [Option<Carrier>; LARGEST_CARRIERS],
}

impl Audience {
    /// Adds a carrier. `followers` is `None` if the count is unknown.
    pub fn add(&mut self, followers: Option<u64>, at: EventTime) {
        let Some(f) = followers else { return self.add_unknown(1) };
        self.log_miss += log_miss(f);
        self.follower_total += f as f64;
        self.known = self.known.saturating_add(1);
        self.zero_followers = self.zero_followers.saturating_add(u32::from(f == 0));
        let place = self.largest.iter().position(|v| v.is_none_or(|v| f > v.followers));
        if let Some(rest) = place.and_then(|place| self.largest.get_mut(place..)) {
            rest.rotate_right(1);
            rest[0] = Some(Carrier { followers: f, at });
        }
    }

    /// Adds carriers of unknown follower count.
    pub fn add_unknown(&mut self, accounts: u64) {
        self.unknown = self.unknown.saturating_add(accounts);
    }

    /// Removes one carrier of unknown follower count, because its event has arrived.
    pub fn forget_unknown(&mut self) {
        self.unknown = self.unknown.saturating_sub(1);
    }

    /// Returns the numbers of carriers with a known and with an unknown follower count.
    #[must_use]
    pub fn known(&self) -> (u64, u64) {
        (u64::from(self.known), self.unknown)
    }

    /// Returns the share of known carriers without followers. `None` if no carrier is known.
    #[must_use]
    pub fn zero_follower_share(&self) -> Option<f64> {
        (self.known > 0).then(|| f64::from(self.zero_followers) / f64::from(self.known))
    }

    /// Returns the mean follower count of the known carriers, or 0 if there are none.
    #[must_use]
    pub fn known_mean(&self) -> f64 {
        self.follower_total / f64::from(self.known.max(1))
    }

    /// Returns the mean follower count of the carriers without the author, taking unknown counts as
    /// `followers`.
    pub(crate) fn mean(&self, followers: u64, author: Option<u64>) -> f64 {
        let (mut total, mut known) = (self.follower_total, f64::from(self.known));
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

    /// Returns the largest known carriers, largest first; at most three.
    pub fn largest(&self) -> impl Iterator<Item = Carrier> {
        self.largest.into_iter().flatten()
    }

    /// Returns the reach with its lower and upper bound.
    #[must_use]
    pub fn reach(&self) -> Reach {
        let [low, estimate, high] =
            [0, TYPICAL_FOLLOWERS, PLAUSIBLE_FOLLOWERS].map(|f| self.reach_assuming(f));
        Reach { low, estimate, high, unknown: self.unknown }
    }

    /// Returns the reach in accounts, taking unknown follower counts as `followers`.
    #[must_use]
    pub fn reach_assuming(&self, followers: u64) -> u64 {
        reach_from_log_miss(self.log_miss + self.unknown as f64 * log_miss(followers)).round() as u64
    }

    /// Returns how many accounts `carriers` further carriers with `followers` followers on average would add.
    pub(crate) fn reach_growth(&self, carriers: f64, followers: f64) -> f64 {
        let now = self.log_miss + self.unknown as f64 * log_miss(TYPICAL_FOLLOWERS);
        reach_from_log_miss(now + carriers * log_miss(followers as u64)) - reach_from_log_miss(now)
    }
}

/// Returns the number of accounts reached, from the logarithm of the probability that an account is not.
fn reach_from_log_miss(log_miss: f64) -> f64 {
    POPULATION * -log_miss.exp_m1()
}

/// Returns the logarithm of the probability that a random account does not follow one with `followers`
/// followers.
fn log_miss(followers: u64) -> f64 {
    (-(followers as f64 / POPULATION).min(MAX_POPULATION_SHARE)).ln_1p()
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
        assert!((audience.reach_growth(10.0, 1000.0) - 10_000.0).abs() < 2.0);
        let growth = audience.reach_growth(1e9, 1000.0);
        assert!(growth <= POPULATION, "{growth}");
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
