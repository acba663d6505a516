//! A histogram of reshares by age of the conversation, with bins that widen by a factor of 2^(1/4), about a
//! fifth.
//!
//! Growth looks similar in logarithmic time, so that few bins preserve its shape over a minute as well as
//! over a week. Counts do not depend on the order in which events arrive.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Number of bins for each doubling of the age.
const BINS_PER_DOUBLING: usize = 4;
/// Upper end of the first bin, in seconds.
const FIRST_BIN_END: f64 = 10.0;
/// Number of bins. The last begins at 6.4 days and is open.
pub(crate) const AGE_BINS: usize = 65;
/// Maximum count of a bin, three bytes when stored. Larger counts carry no more information.
const MAX_COUNT: u32 = (1 << 21) - 1;

/// Counts by age bin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct AgeHistogram([u32; AGE_BINS]);

impl Default for AgeHistogram {
    fn default() -> Self {
        Self([0; AGE_BINS])
    }
}

/// 2^(1/4), 2^(2/4) and 2^(3/4).
const FRACTIONAL_POWERS: [f64; BINS_PER_DOUBLING - 1] =
    [1.189_207_115_002_721, std::f64::consts::SQRT_2, 1.681_792_830_507_429];

/// Returns the bin of an age in seconds.
fn bin_index(age: f64) -> usize {
    let doublings = age / FIRST_BIN_END;
    if doublings < 1.0 || doublings.is_nan() {
        return 0;
    }
    // Reads exponent and mantissa from the bits, because a logarithm is ten times as slow.
    let bits = doublings.to_bits();
    let exponent = (bits >> 52) as usize - 1023;
    let mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    let step = FRACTIONAL_POWERS.iter().filter(|b| mantissa >= **b).count();
    (1 + exponent * BINS_PER_DOUBLING + step).min(AGE_BINS - 1)
}

/// Returns the upper end of a bin, in seconds.
fn bin_end(bin: usize) -> f64 {
    let between = [1.0, FRACTIONAL_POWERS[0], FRACTIONAL_POWERS[1], FRACTIONAL_POWERS[2]];
    FIRST_BIN_END * f64::from(1_u32 << (bin / BINS_PER_DOUBLING)) * between[bin % BINS_PER_DOUBLING]
}

impl AgeHistogram {
    /// Counts one reshare at an age in seconds.
    pub fn add(&mut self, age: f64) {
        self.add_many(1, bin_index(age));
    }

    fn add_many(&mut self, n: u64, bin: usize) {
        if let Some(count) = self.0.get_mut(bin) {
            *count = u64::from(*count).saturating_add(n).min(u64::from(MAX_COUNT)) as u32;
        }
    }

    /// Counts `n` reshares, spread evenly between two ages in seconds.
    pub fn add_evenly(&mut self, n: u64, from: f64, to: f64) {
        let (from, to) = (from.max(0.0), to.max(0.0));
        let span = to - from;
        if span <= 0.0 {
            return self.add_many(n, bin_index(to));
        }
        let (mut done, mut at) = (0, from);
        for bin in bin_index(from)..AGE_BINS {
            at = if bin + 1 < AGE_BINS { bin_end(bin).min(to) } else { to }.max(at);
            // Rounds the running total, so that the counts add up to `n`.
            let due = (n as f64 * ((at - from) / span)).round() as u64;
            self.add_many(due - done, bin);
            done = due;
            if at >= to {
                break;
            }
        }
    }

    /// Adds `secs` to every age, when the conversation turns out to have begun earlier.
    pub fn shift_by(&mut self, secs: f64) {
        let before = std::mem::take(self);
        for (i, count) in before.0.iter().enumerate().filter(|(_, count)| **count > 0) {
            let begin = if i == 0 { 0.0 } else { bin_end(i - 1) };
            self.add_evenly(u64::from(*count), begin + secs, bin_end(i) + secs);
        }
    }

    /// Returns the total count.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|n| u64::from(*n)).sum()
    }

    /// Returns the growth curve up to an age in seconds.
    pub fn curve(&self, age: f64) -> GrowthCurve {
        let mut curve = GrowthCurve { ends: [0.0; AGE_BINS + 1], counts: [0.0; AGE_BINS + 1], len: 1 };
        let mut sum = 0.0;
        for (i, count) in self.0.iter().enumerate() {
            sum += f64::from(*count);
            let end = if i + 1 < AGE_BINS { bin_end(i).min(age) } else { age };
            curve.ends[i + 1] = end;
            curve.counts[i + 1] = sum;
            curve.len = i + 2;
            if end >= age {
                break;
            }
        }
        curve
    }
}

/// The cumulative count by age, linear between the ends of bins.
#[derive(Debug, Clone)]
pub(crate) struct GrowthCurve {
    ends: [f64; AGE_BINS + 1],
    counts: [f64; AGE_BINS + 1],
    len: usize,
}

impl GrowthCurve {
    /// Returns the curve of `n` reshares at a constant pace over an age in seconds.
    pub fn linear(n: f64, age: f64) -> Self {
        let part = |i: usize| i as f64 / AGE_BINS as f64;
        let mut curve = Self { ends: [0.0; AGE_BINS + 1], counts: [0.0; AGE_BINS + 1], len: AGE_BINS + 1 };
        for i in 0..=AGE_BINS {
            curve.ends[i] = part(i) * age;
            curve.counts[i] = part(i) * n;
        }
        curve
    }

    fn points(&self) -> (&[f64], &[f64]) {
        (&self.ends[..self.len], &self.counts[..self.len])
    }

    /// Returns the total count.
    pub fn total(&self) -> f64 {
        self.counts[self.len - 1]
    }

    /// Returns the cumulative counts at ascending ages in seconds.
    pub fn counts_at<const N: usize>(&self, ages: [f64; N]) -> [f64; N] {
        let (ends, counts) = self.points();
        let mut i = 1;
        ages.map(|age| {
            while i + 1 < ends.len() && ends[i] < age {
                i += 1;
            }
            interpolate(ends, counts, i, age)
        })
    }

    /// Returns the ages in seconds at which the cumulative counts `many`, in ascending order, were reached.
    pub fn ages_at<const N: usize>(&self, many: [f64; N]) -> [f64; N] {
        let (ends, counts) = self.points();
        let mut i = 1;
        many.map(|n| {
            while i + 1 < counts.len() && counts[i] < n {
                i += 1;
            }
            interpolate(counts, ends, i, n)
        })
    }

    /// Returns the middle in seconds and the count of each non-empty bin.
    pub fn bins(&self) -> impl Iterator<Item = (f64, f64)> {
        let (ends, counts) = self.points();
        let middles = ends.windows(2).map(|e| (e[0] + e[1]) / 2.0);
        middles.zip(counts.windows(2).map(|c| c[1] - c[0])).filter(|(_, n)| *n > 0.0)
    }
}

/// Interpolates linearly between the points `i - 1` and `i`; constant beyond the last point.
fn interpolate(xs: &[f64], ys: &[f64], i: usize, x: f64) -> f64 {
    let (x0, x1, y0, y1) = (xs[i - 1], xs[i], ys[i - 1], ys[i]);
    if x >= x1 || x1 <= x0 { y1 } else { y0 + (y1 - y0) * ((x - x0) / (x1 - x0)).max(0.0) }
}

/// Writes only the range of non-empty bins, so that a young conversation takes a few bytes.
impl Serialize for AgeHistogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let used = |count: &u32| *count > 0;
        let first = self.0.iter().position(used).unwrap_or(0);
        let end = self.0.iter().rposition(used).map_or(first, |last| last + 1);
        (first as u8, &self.0[first..end]).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AgeHistogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (first, used) = <(u8, Vec<u32>)>::deserialize(deserializer)?;
        let mut ages = Self::default();
        let slots = ages.0.get_mut(usize::from(first)..).and_then(|rest| rest.get_mut(..used.len()));
        slots.ok_or_else(|| D::Error::custom("more age counts than bins"))?.copy_from_slice(&used);
        Ok(ages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_age_is_between_the_ends_of_its_bin() {
        for i in 0..4000 {
            let age = f64::from(i) * 0.013 * 1.003_f64.powi(i);
            let b = bin_index(age);
            assert!(b + 1 == AGE_BINS || age < bin_end(b), "{age} s in bin {b}");
            assert!(b == 0 || age >= bin_end(b - 1), "{age} s in bin {b}");
        }
        assert!((bin_end(AGE_BINS - 2) / 86_400.0 - 6.4).abs() < 0.05, "{}", bin_end(AGE_BINS - 2));
    }

    #[test]
    fn a_steady_stream_grows_in_a_line() {
        let mut ages = AgeHistogram::default();
        (0..3600).for_each(|s| ages.add(f64::from(s)));
        let curve = ages.curve(3600.0);
        assert!((curve.total() - 3600.0).abs() < 1e-9);
        for (by, age) in
            curve.counts_at([60.0, 900.0, 1800.0, 3600.0]).iter().zip([60.0, 900.0, 1800.0, 3600.0])
        {
            assert!((by - age).abs() < 2.0, "{by} by {age}");
        }
        for (age, many) in curve.ages_at([1.0, 500.0, 3000.0]).iter().zip([1.0, 500.0, 3000.0]) {
            assert!((age - many).abs() < 2.0, "{age} for {many}");
        }
    }

    #[test]
    fn what_is_spread_evenly_is_all_there() {
        for (from, to) in [(0.0, 0.0), (0.0, 5.0), (3.0, 4000.0), (1e5, 1e7)] {
            let mut ages = AgeHistogram::default();
            ages.add_evenly(1001, from, to);
            assert_eq!(ages.0.iter().sum::<u32>(), 1001, "{from} to {to}");
            assert!((ages.curve(to).total() - 1001.0).abs() < 1e-9);
        }
    }

    #[test]
    fn an_earlier_beginning_moves_all_ages() {
        let (mut known_late, mut known) = (AgeHistogram::default(), AgeHistogram::default());
        for s in 0..100 {
            known_late.add(f64::from(s));
            known.add(f64::from(s) + 300.0);
        }
        known_late.shift_by(300.0);
        let (a, b) = (known_late.curve(400.0), known.curve(400.0));
        for (a, b) in a.counts_at([320.0, 350.0, 380.0]).iter().zip(b.counts_at([320.0, 350.0, 380.0])) {
            assert!((a - b).abs() < 12.0, "{a} {b}");
        }
    }

    #[test]
    fn ages_survive_storage_in_at_most_three_bytes_a_bin() {
        let mut ages = AgeHistogram([u32::MAX; AGE_BINS]);
        assert!(postcard::to_allocvec(&AgeHistogram::default()).unwrap().len() <= 2);
        ages.0.iter_mut().for_each(|c| *c = MAX_COUNT);
        let bytes = postcard::to_allocvec(&ages).unwrap();
        assert!(bytes.len() <= 2 + 3 * AGE_BINS, "{}", bytes.len());
        assert_eq!(postcard::from_bytes::<AgeHistogram>(&bytes).unwrap(), ages);
    }
}
