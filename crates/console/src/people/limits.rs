//! Rate limits: sign-ins per name and per address, against password guessing, and requests per person.
//!
//! Keys are spread by a random hash over a fixed number of counters, so that nobody can make them grow. Two keys share
//! a counter with a probability of 1 in 65,536.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::DefaultClock;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

type Keyed = RateLimiter<u16, DefaultKeyedStateStore<u16>, DefaultClock>;

/// Sign-in attempts per minute for a name from one address; and for a name from all, before each waits.
const MAX_SIGN_INS_PER_NAME: u32 = 5;
/// How long an attempt waits when others have tried the name as well.
const NAME_DELAY: Duration = Duration::from_secs(1);
/// Sign-in attempts per address and minute.
const MAX_SIGN_INS_PER_ADDRESS: u32 = 20;
/// Requests per person: the rate per second, and the burst.
const REQUESTS: (u32, u32) = (50, 200);
/// Live streams of a person at most: one for each open page.
const MAX_STREAMS_PER_PERSON: usize = 16;
/// Refusals of unknown people that are written to the audit trail, per minute.
const MAX_WRITTEN_REFUSALS: u32 = 60;
/// Counters of each limit.
const COUNTERS: usize = 1 << 16;

/// Whether a sign-in attempt is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// It is, after this delay.
    Tried(Duration),
    /// It is not: there were too many.
    Refused,
}

/// Refusals that were not written to the audit trail before one that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unwritten {
    /// Of the same address or person.
    pub of_same: u32,
    /// Of addresses that were too many in a minute.
    pub of_others: u32,
}

/// The rate limiters with their counts.
pub struct Limits {
    hasher: RandomState,
    names: Keyed,
    names_by_address: Keyed,
    addresses: Keyed,
    people: Keyed,
    refusals: Keyed,
    written: DefaultDirectRateLimiter,
    /// Refusals of each address or person that were not written to the audit trail.
    unwritten: Vec<AtomicU32>,
    /// Refusals of addresses that were too many in a minute.
    of_others: AtomicU32,
    /// Open streams by person, of whom there are as many as accounts.
    streams: Streams,
}

type Streams = Arc<Mutex<HashMap<String, usize>>>;

/// An open stream; it is counted until it is dropped.
pub struct OpenStream {
    person: String,
    streams: Streams,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = streams.get_mut(&self.person) {
            *open -= 1;
        }
        streams.retain(|_, open| *open > 0);
    }
}

impl Default for Limits {
    fn default() -> Self {
        let some = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let per_minute = |n| RateLimiter::keyed(Quota::per_minute(some(n)));
        let requests = Quota::per_second(some(REQUESTS.0)).allow_burst(some(REQUESTS.1));
        Self {
            hasher: RandomState::new(),
            names: per_minute(MAX_SIGN_INS_PER_NAME),
            names_by_address: per_minute(MAX_SIGN_INS_PER_NAME),
            addresses: per_minute(MAX_SIGN_INS_PER_ADDRESS),
            people: RateLimiter::keyed(requests),
            refusals: per_minute(1),
            written: RateLimiter::direct(Quota::per_minute(some(MAX_WRITTEN_REFUSALS))),
            of_others: AtomicU32::new(0),
            unwritten: (0..COUNTERS).map(|_| AtomicU32::new(0)).collect(),
            streams: Streams::default(),
        }
    }
}

impl Limits {
    /// Counts a sign-in attempt. Others cannot lock a person out: a name that is tried from elsewhere only waits.
    #[must_use]
    pub fn sign_in(&self, name: &str, address: &str) -> Attempt {
        let (name, network) = (name.to_lowercase(), network(address));
        // The address first: a blocked address must not use up a name's attempts.
        let is_within = self.is_within(&self.addresses, &[&network])
            && self.is_within(&self.names_by_address, &[&name, &network]);
        match is_within {
            false => Attempt::Refused,
            true if self.is_within(&self.names, &[&name]) => Attempt::Tried(Duration::ZERO),
            true => Attempt::Tried(NAME_DELAY),
        }
    }

    /// Counts a use of a sign-in or invitation link; returns whether it is within the address's limit.
    #[must_use]
    pub fn try_link(&self, address: &str) -> bool {
        self.is_within(&self.addresses, &[&network(address)])
    }

    /// Counts a request; returns whether it is within the person's limit.
    #[must_use]
    pub fn request(&self, person: &str) -> bool {
        self.is_within(&self.people, &[person])
    }

    /// Counts a refusal of an address. Returns how many were not written before this one, or `None` if this one is not to be
    /// written either: one a minute and address is, and few a minute of all.
    #[must_use]
    pub fn refusal(&self, address: &str) -> Option<Unwritten> {
        let of_same = self.first_in_a_minute(&[&network(address)])?;
        if self.written.check().is_err() {
            self.of_others.fetch_add(1 + of_same, Ordering::Relaxed);
            return None;
        }
        Some(Unwritten { of_same, of_others: self.of_others.swap(0, Ordering::Relaxed) })
    }

    /// Counts a denial of a person. Returns how many were not written before this one, or `None` if this one is not to be
    /// written either: one a minute and person is.
    #[must_use]
    pub fn denial(&self, person: &str) -> Option<Unwritten> {
        Some(Unwritten { of_same: self.first_in_a_minute(&["person", person])?, of_others: 0 })
    }

    /// Returns the number of times since the last one that was the first in a minute, if this one is.
    fn first_in_a_minute(&self, key: &[&str]) -> Option<u32> {
        let unwritten = self.unwritten.get(usize::from(self.counter(key)))?;
        if self.is_within(&self.refusals, key) {
            return Some(unwritten.swap(0, Ordering::Relaxed));
        }
        unwritten.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Counts a stream of a person; returns `None` when there are too many.
    #[must_use]
    pub fn open_stream(&self, person: &str) -> Option<OpenStream> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let open = streams.entry(person.to_owned()).or_default();
        if *open >= MAX_STREAMS_PER_PERSON {
            return None;
        }
        *open += 1;
        Some(OpenStream { person: person.to_owned(), streams: self.streams.clone() })
    }

    fn is_within(&self, limiter: &Keyed, key: &[&str]) -> bool {
        limiter.check_key(&self.counter(key)).is_ok()
    }

    /// Returns the counter of a key.
    fn counter(&self, key: &[&str]) -> u16 {
        (self.hasher.hash_one(key) % COUNTERS as u64) as u16
    }
}

/// Returns what one host can have of addresses: an address of IPv4, and 64 bits of one of IPv6.
fn network(address: &str) -> String {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Ok(IpAddr::V4(address)) => address.to_string(),
        Err(_) => "-".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(limits: &Limits, name: &str, address: &str) -> bool {
        limits.sign_in(name, address) != Attempt::Refused
    }

    #[test]
    fn sign_ins_are_limited_by_name_and_by_address() {
        let limits = Limits::default();
        let tries = (0..9).filter(|_| tried(&limits, "Kim", "10.0.0.1")).count();
        assert_eq!(tries, MAX_SIGN_INS_PER_NAME as usize);
        assert!(!tried(&limits, "kim", "10.0.0.1"), "names are compared without case");
        let tries = (0..40).filter(|i| tried(&limits, &format!("name {i}"), "10.9.9.9")).count();
        assert_eq!(tries, MAX_SIGN_INS_PER_ADDRESS as usize);
    }

    #[test]
    fn a_name_that_others_try_waits_and_is_not_locked() {
        let limits = Limits::default();
        (0..9).for_each(|i| assert!(tried(&limits, "admin", &format!("10.0.1.{i}"))));
        assert_eq!(limits.sign_in("admin", "10.0.2.1"), Attempt::Tried(NAME_DELAY));
    }

    #[test]
    fn a_host_of_ipv6_is_one_address_and_nothing_grows() {
        let limits = Limits::default();
        let tries = (0..100).filter(|i| limits.try_link(&format!("2001:db8:1:2::{i:x}"))).count();
        assert_eq!(tries, MAX_SIGN_INS_PER_ADDRESS as usize);
        assert_eq!(network("::ffff:10.0.0.1"), "10.0.0.1");
        for i in 0..200_000 {
            let _ = limits.try_link(&format!("2001:db8:{:x}:{:x}::1", i >> 16, i & 0xffff));
        }
        assert!(limits.addresses.len() <= COUNTERS);
    }

    #[test]
    fn one_refusal_a_minute_is_written_with_the_number_of_the_others() {
        let limits = Limits::default();
        assert_eq!(limits.refusal("10.0.0.1"), Some(Unwritten { of_same: 0, of_others: 0 }));
        assert_eq!((0..7).filter_map(|_| limits.refusal("10.0.0.1")).count(), 0);
        assert_eq!(limits.unwritten.iter().map(|one| one.load(Ordering::Relaxed)).sum::<u32>(), 7);
        let written =
            (0..500).filter_map(|i| limits.refusal(&format!("10.1.{}.{}", i / 250, i % 250))).count();
        assert_eq!(written, MAX_WRITTEN_REFUSALS as usize - 1);
        // A few of the addresses share a counter.
        let of_others = limits.of_others.load(Ordering::Relaxed) as usize;
        assert!((480 - written..=500 - written).contains(&of_others), "{of_others}");
        assert!(limits.denial("kim").is_some() && limits.denial("kim").is_none());
    }
}
