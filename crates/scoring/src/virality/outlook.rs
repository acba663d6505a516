//! A forecast as a distribution: how many more reshares, with which chance.

use std::sync::LazyLock;

use super::network::BINS;
use super::takeoff::Sizes;

/// Growth is u = ln((more + 0.5) / (so far + 1)); the bins between these bounds are equally wide, and two are open.
const GROWTH: (f64, f64) = (-5.5, 7.5);
/// How far the open bins reach.
const OPEN: (f64, f64) = (1.5, 1.0);
/// The share of the distribution below the forecast. Growth is skewed: a bit below the median lies the value that is
/// most often within a given percentage, and the median absolute percentage error is least.
const POINT: f64 = 0.34;
/// The shares below the ends of the 80% interval. Training smooths outcomes over bins, which makes distributions a
/// little wide; these take it off.
const INTERVAL: (f64, f64) = (0.11, 0.89);

/// The growth that so many more are.
#[must_use]
pub fn growth(more: f64, so_far: f64) -> f64 {
    ((more + 0.5) / (so_far + 1.0)).ln()
}

fn more(growth: f64, so_far: f64) -> f64 {
    (growth.exp() * (so_far + 1.0) - 0.5).max(0.0)
}

/// The growth at which a bin begins and ends.
#[must_use]
pub fn bin_ends(bin: usize) -> (f64, f64) {
    let width = (GROWTH.1 - GROWTH.0) / (BINS - 2) as f64;
    let at = |i: usize| GROWTH.0 + i as f64 * width;
    let begin = if bin == 0 { GROWTH.0 - OPEN.0 } else { at(bin - 1) };
    let end = if bin + 1 == BINS { GROWTH.1 + OPEN.1 } else { at(bin) };
    (begin, end)
}

/// By how much the logarithm of the size grows in the middle of each bin: ln(1 + exp(u)).
static MIDDLES: LazyLock<[f64; BINS]> = LazyLock::new(|| {
    std::array::from_fn(|i| {
        let (begin, end) = bin_ends(i);
        ((begin + end) / 2.0).exp().ln_1p()
    })
});

/// A forecast of a number, with its 80% interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// A tenth of outcomes is below.
    pub low: f64,
    /// The forecast.
    pub expected: f64,
    /// A tenth of outcomes is above.
    pub high: f64,
}

impl Interval {
    /// Each of the three, turned into something else.
    #[must_use]
    pub fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self { low: f(self.low), expected: f(self.expected), high: f(self.high) }
    }
}

/// The distribution of further reshares within a time: none if the conversation does not take off, and chances by
/// growth if it does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlook {
    pub(crate) so_far: f64,
    pub(crate) takes_off: f64,
    pub(crate) chances: [f32; BINS],
}

impl Outlook {
    /// The same where some final sizes are likelier than in what was learnt from.
    pub(super) fn weighed(mut self, sizes: &Sizes) -> Self {
        let (so_far, mut sum) = ((self.so_far + 1.0).ln(), 0.0);
        for (chance, times) in self.chances.iter_mut().zip(MIDDLES.iter()) {
            *chance *= sizes.likelier(so_far + times) as f32;
            sum += *chance;
        }
        self.chances.iter_mut().for_each(|chance| *chance /= sum);
        self
    }

    /// The number of further reshares that a share of the outcomes stays below.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        let stays = 1.0 - self.takes_off;
        if share <= stays {
            return 0.0;
        }
        let (share, mut below) = ((share - stays) / self.takes_off, 0.0);
        for (i, chance) in self.chances.iter().map(|c| f64::from(*c)).enumerate() {
            if below + chance >= share || i + 1 == BINS {
                let (begin, end) = bin_ends(i);
                let part = ((share - below) / chance.max(1e-12)).clamp(0.0, 1.0);
                return more(begin + (end - begin) * part, self.so_far);
            }
            below += chance;
        }
        0.0
    }

    /// The chance of at least so many more.
    #[must_use]
    pub fn at_least(&self, n: f64) -> f64 {
        if n <= 0.0 { 1.0 } else { self.takes_off * self.at_least_if_it_takes_off(n) }
    }

    /// The chance of at least so many more, one or more, for a conversation that takes off.
    #[must_use]
    pub fn at_least_if_it_takes_off(&self, n: f64) -> f64 {
        // Half a reshare less: the growth of whole numbers lies between them.
        let growth = growth(n - 0.5, self.so_far);
        let mut above = 0.0;
        for (i, chance) in self.chances.iter().enumerate() {
            let (begin, end) = bin_ends(i);
            above += f64::from(*chance) * ((end - growth) / (end - begin)).clamp(0.0, 1.0);
        }
        above.min(1.0)
    }

    /// The forecast and its interval.
    #[must_use]
    pub fn interval(&self) -> Interval {
        Interval {
            low: self.quantile(INTERVAL.0),
            expected: self.quantile(POINT),
            high: self.quantile(INTERVAL.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_chances_are_one_distribution() {
        let mut chances = [0.0; BINS];
        (8..20).for_each(|i| chances[i] = 1.0 / 12.0);
        for (takes_off, so_far) in [(1.0, 100.0), (0.6, 100.0), (1.0, 3.0), (0.6, 30.0)] {
            let outlook = Outlook { so_far, takes_off, chances };
            for share in [0.5, 0.7, 0.9] {
                let n = outlook.quantile(share);
                assert!(n > 0.0 && (outlook.at_least(n + 0.5) - (1.0 - share)).abs() < 0.02, "{share}: {n}");
            }
            let Interval { low, expected, high } = outlook.interval();
            assert!(low <= expected && expected < high);
        }
        let idle = Outlook { so_far: 0.0, takes_off: 0.05, chances };
        assert_eq!(idle.interval().map(f64::round), Interval { low: 0.0, expected: 0.0, high: 0.0 });
        assert!(idle.at_least(1.0) < 0.05 && idle.at_least(0.0) == 1.0);
    }
}
