//! Exponential backoff with jitter, so that many clients do not reconnect at the same time.

use std::time::Duration;

/// The first wait, before jitter.
const FIRST: Duration = Duration::from_millis(250);
/// The maximum wait.
const LONGEST: Duration = Duration::from_secs(60);

/// The state of a backoff: the number of failed attempts in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// Starts again from the first wait, after a success.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// Returns the wait before the next attempt: between half and all of the doubled wait.
    pub fn next(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.tries.min(10)).min(LONGEST);
        self.tries += 1;
        let mut byte = [0];
        // Without random numbers the wait has no jitter.
        let part = getrandom::fill(&mut byte).map_or(1.0, |()| 0.5 + f64::from(byte[0]) / 510.0);
        whole.mul_f64(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_begin_anew() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..40).map(|_| backoff.next()).collect();
        assert!(waits[0] <= FIRST && waits[0] >= FIRST / 2);
        assert!(waits[5] >= FIRST * 16 && waits.iter().all(|wait| *wait <= LONGEST));
        assert!(waits[39] >= LONGEST / 2);
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
