//! How often somebody may ask: sign-ins by name and by address, so that passwords cannot be guessed, and requests by person.

use std::num::NonZeroU32;

use governor::clock::DefaultClock;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

type Keyed = RateLimiter<String, DefaultKeyedStateStore<String>, DefaultClock>;

/// Sign-ins of a name in a minute.
const MAX_SIGN_INS_PER_NAME: u32 = 5;
/// Sign-ins from an address in a minute.
const MAX_SIGN_INS_PER_ADDRESS: u32 = 20;
/// Requests of a person in a second, and at once.
const REQUESTS: (u32, u32) = (50, 200);
/// Keys kept before those that are idle are let go.
const MAX_KEYS: usize = 10_000;

/// The limits, with what they have counted.
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
    /// Whether somebody may try to sign in under this name from this address.
    #[must_use]
    pub fn sign_in(&self, name: &str, address: &str) -> bool {
        let by_address = is_within(&self.addresses, address);
        by_address && is_within(&self.names, &name.to_lowercase())
    }

    /// Whether somebody may try a link from this address.
    #[must_use]
    pub fn try_link(&self, address: &str) -> bool {
        is_within(&self.addresses, address)
    }

    /// Whether a person may ask for something more.
    #[must_use]
    pub fn request(&self, who: &str) -> bool {
        is_within(&self.people, who)
    }
}

fn is_within(limiter: &Keyed, key: &str) -> bool {
    if limiter.len() > MAX_KEYS {
        limiter.retain_recent();
    }
    limiter.check_key(&key.to_owned()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_are_few_for_a_name_from_anywhere_and_from_an_address_for_any_name() {
        let limits = Limits::default();
        let tries = (0..9).filter(|i| limits.sign_in("Kim", &format!("10.0.0.{i}"))).count();
        assert_eq!(tries, MAX_SIGN_INS_PER_NAME as usize);
        assert!(!limits.sign_in("kim", "10.0.1.1"), "in capitals it is the same name");
        let tries = (0..40).filter(|i| limits.sign_in(&format!("name {i}"), "10.9.9.9")).count();
        assert_eq!(tries, MAX_SIGN_INS_PER_ADDRESS as usize);
        assert!(limits.sign_in("lee", "10.0.1.2"));
    }
}
