//! What the forecast looks at: size, age, pace at seven horizons, the shape of the growth so far, and followers.
//!
//! Nearly all are ratios, so that a cascade ten times as large looks alike, and logarithms, as growth is multiplicative
//! (Szabo and Huberman 2010; Cheng et al. 2014 on shape and pace).

use crate::Cascade;
use crate::ages::Curve;
use crate::fade::HORIZONS;

/// Shares of the age at which the growth so far is told.
const PARTS: [f64; 12] = [0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
/// Reshares that are added before shares of them are compared: of a few, shares are noise.
const FEW: f64 = 2.0;
/// Shares of the reshares of which it is told by what part of the age they had come.
const SHARES: [f64; 5] = [0.1, 0.25, 0.5, 0.75, 0.9];
/// Reshares of which it is told when they came.
const FIRST: [f64; 8] = [1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0];
/// Horizons of the exposure told, among all: 20 minutes and 4 hours.
const EXPOSED: [usize; 2] = [3, 5];

/// How many features there are.
pub const FEATURES: usize = 2 + HORIZONS.len() + 2 * PARTS.len() + SHARES.len() + FIRST.len() + 4 + 8;

/// The features, each a plain number of moderate size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Features(pub [f32; FEATURES]);

/// Fills features one after another.
struct Row {
    values: [f32; FEATURES],
    next: usize,
}

impl Row {
    fn of(age: f64, n: f64) -> Self {
        let mut row = Self { values: [0.0; FEATURES], next: 0 };
        row.put(minutes(age));
        row.put(n.ln_1p());
        row
    }

    /// What was not told is nought.
    fn done(self) -> Features {
        debug_assert!(self.next <= FEATURES);
        Features(self.values)
    }

    fn put(&mut self, value: f64) {
        if let Some(slot) = self.values.get_mut(self.next) {
            *slot = value as f32;
        }
        self.next += 1;
    }
}

impl Features {
    /// Of a cascade now.
    #[must_use]
    pub fn of(cascade: &Cascade) -> Self {
        let mut row = growth(cascade);
        followers(&mut row, cascade);
        row.done()
    }

    /// Of a cascade now if no account's followers were known.
    #[must_use]
    pub fn of_unknown(cascade: &Cascade) -> Self {
        growth(cascade).done()
    }

    /// Of a cascade that was passed on so often within an age in seconds, at a steady pace, by accounts of unknown
    /// followers.
    #[must_use]
    pub(crate) fn steady(n: f64, age: f64) -> Self {
        let age = age.max(YOUNGEST);
        let mut row = Row::of(age, n);
        HORIZONS.iter().for_each(|_| row.put(0.0));
        shape(&mut row, &Curve::steady(n, age), age);
        row.put(minutes(age / (n + 1.0)));
        row.done()
    }
}

/// Seconds that a younger conversation is taken to be old.
const YOUNGEST: f64 = 1.0;

/// All but the followers.
fn growth(cascade: &Cascade) -> Row {
    let age = cascade.age().as_secs().max(YOUNGEST);
    let curve = cascade.curve();
    let mut row = Row::of(age, curve.total());
    pace(&mut row, cascade, age, curve.total());
    shape(&mut row, &curve, age);
    row.put(minutes(cascade.quiet().as_secs()));
    row
}

fn minutes(secs: f64) -> f64 {
    (secs / 60.0).max(0.0).ln_1p()
}

/// At each horizon the pace against the mean pace since the beginning.
fn pace(row: &mut Row, cascade: &Cascade, age: f64, n: f64) {
    for (faded, horizon) in cascade.passed_on().into_iter().zip(HORIZONS) {
        let steady = n * horizon * (1.0 - (-age / horizon).exp()) / age;
        row.put(((faded.max(0.0) + 0.3) / (steady + 0.3)).ln());
    }
}

fn shape(row: &mut Row, curve: &Curve, age: f64) {
    let n = curve.total();
    let by = curve.by(PARTS.map(|part| part * age));
    by.iter().for_each(|by| row.put(((by + FEW) / (n + FEW)).ln()));
    by.iter().for_each(|by| row.put(by.ln_1p()));
    for reached in curve.reached(SHARES.map(|share| share * n)) {
        row.put(if n > 0.0 { reached / age } else { 1.0 });
    }
    for (many, reached) in FIRST.into_iter().zip(curve.reached(FIRST)) {
        row.put(if n >= many { minutes(reached) } else { minutes(age) + 0.5 });
    }
    let (mut sum, mut squares, mut logs) = (0.0, 0.0, 0.0);
    for (middle, count) in curve.bins() {
        let part = middle / age;
        sum += count * part;
        squares += count * part * part;
        logs += count * minutes(middle);
    }
    let some = n.max(1.0);
    let mean = if n > 0.0 { sum / some } else { 1.0 };
    row.put(mean);
    row.put((squares / some - mean * mean).max(0.0).sqrt());
    row.put(if n > 0.0 { logs / some - minutes(age) } else { 0.0 });
}

/// Who carries it; all nought when no account's followers are known.
fn followers(row: &mut Row, cascade: &Cascade) {
    let audience = cascade.audience();
    let (known, unknown) = audience.known();
    let author = cascade.author_followers();
    row.put(f64::from(u8::from(author.is_some())));
    row.put((author.unwrap_or(0) as f64).ln_1p());
    row.put(known as f64 / (known + unknown).max(1) as f64);
    if known == 0 {
        return;
    }
    row.put(audience.known_mean().ln_1p());
    row.put(audience.loudest().next().map_or(0.0, |v| v.followers as f64).ln_1p());
    row.put(audience.unheard().unwrap_or(0.0));
    let exposed = cascade.exposed();
    EXPOSED.iter().for_each(|i| row.put(exposed[*i].max(0.0).ln_1p()));
}

#[cfg(test)]
mod tests {
    use firewatch_domain::{Engagement, EngagementKind, EventTime};

    use super::*;

    #[test]
    fn a_root_that_comes_late_changes_little() {
        let at = |secs: i64| EventTime::from_millis(secs * 1000);
        let build = |order: &[i64]| {
            let mut cascade = Cascade::default();
            for t in order {
                if *t == 0 {
                    cascade.author("a", Some(900), at(0));
                } else {
                    let e = Engagement::new(EngagementKind::Reshare, None, Some(400));
                    cascade.engage(&e, at(*t));
                }
            }
            cascade
        };
        let mut times: Vec<i64> = std::iter::once(0).chain(5..305).collect();
        let ordered = Features::of(&build(&times));
        times.chunks_exact_mut(9).for_each(<[i64]>::reverse);
        let late = Features::of(&build(&times));
        for (i, (a, b)) in ordered.0.iter().zip(late.0).enumerate() {
            assert!((a - b).abs() < 0.4, "feature {i}: {a} {b}");
        }
    }
}
