//! Waiting: measures elapsed time and spaces retries.
//!
//! The clock is monotonic, so a correction of the date does not disturb it. No result depends on it.

use std::fmt::Display;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use crate::RunError;

/// Wait before the first retry of a request to a cluster.
pub(crate) const FIRST_RETRY_WAIT: Duration = Duration::from_millis(100);
/// Longest wait between two tries.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Tries before giving up, even when the timeout has passed. They take half a minute.
const MIN_TRIES: u32 = 10;
/// How often to check whether a wait is still wanted.
const CANCEL_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// A point in time to measure from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "time-outs are the shell's, and this crate is part of it")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Sleeps for `wait`.
#[expect(clippy::disallowed_methods, reason = "there is nothing to be woken by")]
pub(crate) fn pause(wait: Duration) {
    std::thread::sleep(wait);
}

/// Sleeps for `wait`, or until `wanted` returns false. Calls `on_step` meanwhile.
pub(crate) fn pause_unless_cancelled(wait: Duration, wanted: impl Fn() -> bool, on_step: impl Fn()) {
    let mut left = wait;
    while !left.is_zero() && wanted() {
        on_step();
        let step = left.min(CANCEL_CHECK_INTERVAL);
        pause(step);
        left -= step;
    }
}

/// Waits that double from try to try, up to a limit. Each is shortened at random by up to half, so that many
/// processes do not come back at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    first_wait: Duration,
    tries: u32,
    since: Stopwatch,
}

impl Backoff {
    /// Starts with about `first_wait`.
    pub fn new(first_wait: Duration) -> Self {
        Self { first_wait, tries: 0, since: Stopwatch::start() }
    }

    /// Starts over after a success.
    pub fn reset(&mut self) {
        *self = Self::new(self.first_wait);
    }

    /// Returns the wait before the next try. Fails when tries have failed for longer than `timeout_ms`;
    /// `problem` is the last failure.
    pub fn next_within(&mut self, timeout_ms: u64, problem: impl Display) -> Result<Duration, RunError> {
        let wait = self.next();
        // A machine that slept did not try, so the time alone does not decide.
        if self.tries <= MIN_TRIES || self.since.elapsed() <= Duration::from_millis(timeout_ms) {
            return Ok(wait);
        }
        Err(RunError::RetriesExhausted(format!(
            "gave up after {} s of retries: {problem}",
            timeout_ms / 1000
        )))
    }

    /// Returns the wait before the next try.
    fn next(&mut self) -> Duration {
        if self.tries == 0 {
            self.since = Stopwatch::start();
        }
        let whole = self.first_wait.saturating_mul(1 << self.tries.min(10)).min(MAX_WAIT);
        self.tries += 1;
        // The hasher's keys are random, which is enough for jitter.
        let random = RandomState::new().hash_one(self.tries) % 1000;
        whole.mul_f64(1.0 - random as f64 / 2000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_are_never_the_same_for_all() {
        let mut backoff = Backoff::new(FIRST_RETRY_WAIT);
        let waits: Vec<Duration> = (0..20).map(|_| backoff.next()).collect();
        assert!(waits[0] <= FIRST_RETRY_WAIT && waits[0] >= FIRST_RETRY_WAIT / 2);
        assert!(waits[3] > FIRST_RETRY_WAIT * 3 && waits[19] <= MAX_WAIT && waits[19] >= MAX_WAIT / 2);
        let same = waits[12..].windows(2).filter(|w| w[0] == w[1]).count();
        assert!(same < 4, "{waits:?}");
        backoff.reset();
        assert!(backoff.next() <= FIRST_RETRY_WAIT);
    }

    #[test]
    fn retries_end_after_the_timeout_and_never_before_the_minimum_of_tries() {
        let mut backoff = Backoff::new(FIRST_RETRY_WAIT);
        let tries = (1..100).find(|_| backoff.next_within(0, "it is broken").is_err());
        assert_eq!(tries, Some(MIN_TRIES + 1));
    }
}
