//! Rate limits: sign-ins per name and per address, against password guessing, and requests per person.

use std::num::NonZeroU32;

use governor::clock::DefaultClock;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

type Keyed = RateLimiter<String, DefaultKeyedStateStore<String>, DefaultClock>;

/// Sign-in attempts per name and minute.
const MAX_SIGN_INS_PER_NAME: u32 = 5;
/// Sign-in attempts per address and minute.
const MAX_SIGN_INS_PER_ADDRESS: u32 = 20;
/// Requests per person: the rate per second, and the burst.
const REQUESTS: (u32, u32) = (50, 200);
/// Number of keys above which each check first drops the keys that are back at their full allowance. It does
/// not limit the number of keys: those still in use stay.
const PRUNE_ABOVE_KEYS: usize = 10_000;

/// The rate limiters with their counts.
pub struct Limits {
    names: Keyed,
    addresses: Keyed,
    people: Keyed,
}

impl Default for Limits {
    fn default() -> Self {
        let some = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let requests = Quota::per_second(some(REQUESTS.0)).allow_burst(some(REQUESTS.1));
        Self {
            names: RateLimiter::keyed(Quota::per_minute(some(MAX_SIGN_INS_PER_NAME))),
            addresses: RateLimiter::keyed(Quota::per_minute(some(MAX_SIGN_INS_PER_ADDRESS))),
            people: RateLimiter::keyed(requests),
        }
    }
}

impl Limits {
    /// Counts a sign-in attempt; returns whether it is within the limits of its name and address.
    #[must_use]
    pub fn sign_in(&self, name: &str, address: &str) -> bool {
        // The address first: a blocked address must not use up a name's attempts.
        let by_address = is_within(&self.addresses, address);
        by_address && is_within(&self.names, &name.to_lowercase())
    }

    /// Counts a use of a sign-in or invitation link; returns whether it is within the address's limit.
    #[must_use]
    pub fn try_link(&self, address: &str) -> bool {
        is_within(&self.addresses, address)
    }

    /// Counts a request; returns whether it is within the person's limit.
    #[must_use]
    pub fn request(&self, person: &str) -> bool {
        is_within(&self.people, person)
    }
}

fn is_within(limiter: &Keyed, key: &str) -> bool {
    if limiter.len() > PRUNE_ABOVE_KEYS {
        limiter.retain_recent();
    }
    limiter.check_key(&key.to_owned()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_ins_are_limited_by_name_and_by_address() {
        let limits = Limits::default();
        let tries = (0..9).filter(|i| limits.sign_in("Kim", &format!("10.0.0.{i}"))).count();
        assert_eq!(tries, MAX_SIGN_INS_PER_NAME as usize);
        assert!(!limits.sign_in("kim", "10.0.1.1"), "names are compared without case");
        let tries = (0..40).filter(|i| limits.sign_in(&format!("name {i}"), "10.9.9.9")).count();
        assert_eq!(tries, MAX_SIGN_INS_PER_ADDRESS as usize);
        assert!(limits.sign_in("lee", "10.0.1.2"));
    }
}
