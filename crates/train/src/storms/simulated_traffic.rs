//! Simulates a month of a brand's complaints: daily and weekly seasonality, drift, noise, a gap in the feed,
//! and six storms of different shapes. The same seed gives the same month.

use firewatch_domain::{Duration, EventTime};

use firewatch_report::random::unit;

/// Length of the simulation in weeks.
pub const WEEKS: i64 = 4;
/// Mean complaints an hour at the start, without storms.
const MEAN_PER_HOUR: f64 = 40.0;
/// Relative increase from the start to the end.
const DRIFT: f64 = 0.8;
/// Standard deviation of the log of the level, which changes every 15 minutes.
const NOISE: f64 = 0.25;
/// Complaints by hour of the day relative to an average hour, midnight first.
const DAILY_PROFILE: [f64; 24] = [
    0.45, 0.35, 0.28, 0.22, 0.22, 0.30, 0.50, 0.80, 1.15, 1.40, 1.50, 1.50, 1.45, 1.40, 1.35, 1.35, 1.40,
    1.45, 1.50, 1.55, 1.50, 1.25, 0.95, 0.65,
];
/// Complaints by day of the week relative to an average day, Monday first.
const WEEKLY_PROFILE: [f64; 7] = [1.30, 1.10, 1.05, 1.00, 1.00, 0.75, 0.65];
/// Factor on Mondays from 9 to 11, for the backlog of the weekend.
const MONDAY_FACTOR: f64 = 1.6;
/// Gap in the feed: first hour, and length in hours.
const FEED_GAP_HOURS: (i64, i64) = (16 * 24 + 10, 6);
/// Words of ordinary complaints, the most frequent first.
const WORDS: [&str; 24] = [
    "bill",
    "claim",
    "hold",
    "phone",
    "wait",
    "premium",
    "doctor",
    "network",
    "card",
    "refund",
    "letter",
    "form",
    "app",
    "agent",
    "coverage",
    "denied",
    "price",
    "account",
    "email",
    "renewal",
    "pharmacy",
    "referral",
    "deductible",
    "rude",
];
/// 2026-02-02, a Monday.
pub const START: EventTime = EventTime::from_millis(1_769_990_400_000);

/// The shape of a simulated storm.
#[derive(Debug, Clone, Copy)]
pub struct StormShape {
    /// Name of the shape.
    pub name: &'static str,
    /// Planned start, in hours from the start of the month.
    hour: f64,
    /// Duration in hours.
    pub hours: f64,
    /// Words that its posts share.
    words: [&'static str; 2],
    /// Posts an hour at a fraction of its duration, 0 to 1.
    rate: fn(f64) -> f64,
}

/// The six storms of a month.
pub const SHAPES: [StormShape; 6] = [
    StormShape {
        name: "spike at noon",
        hour: 7.0 * 24.0 + 36.2,
        hours: 1.0,
        words: ["outage", "login"],
        rate: |t| 900.0 * (-5.0 * t).exp(),
    },
    StormShape {
        name: "slow ramp over six hours",
        hour: 10.0 * 24.0 + 9.5,
        hours: 6.0,
        words: ["increase", "letter2027"],
        rate: |t| 70.0 * t,
    },
    StormShape {
        name: "forty posts at night",
        hour: 13.0 * 24.0 + 3.1,
        hours: 0.5,
        words: ["hacked", "data"],
        rate: |_| 80.0,
    },
    StormShape {
        name: "plateau of four hours",
        hour: 18.0 * 24.0 + 14.3,
        hours: 4.0,
        words: ["hospital", "contract"],
        rate: |_| 100.0,
    },
    StormShape {
        name: "five pulses in two hours",
        hour: 22.0 * 24.0 + 16.0,
        hours: 2.1,
        words: ["video", "manager"],
        rate: |t| if (t * 2.1 * 60.0) % 30.0 < 5.0 { 300.0 } else { 0.0 },
    },
    StormShape {
        name: "low and long, a Sunday",
        hour: 27.0 * 24.0 + 11.0,
        hours: 8.0,
        words: ["boycott", "ceo"],
        rate: |_| 25.0,
    },
];

/// A simulated complaint.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatedPost {
    /// When it was posted.
    pub at: EventTime,
    /// Its words, from which topics are derived.
    pub words: Vec<String>,
}

/// A storm of a simulated month.
#[derive(Debug, Clone, Copy)]
pub struct SimulatedStorm {
    /// Its shape.
    pub shape: StormShape,
    /// When it starts.
    pub from: EventTime,
    /// When it ends.
    pub to: EventTime,
}

/// A simulated month.
pub struct SimulatedMonth {
    /// Complaints in the order of time.
    pub posts: Vec<SimulatedPost>,
    /// The storms among them.
    pub storms: Vec<SimulatedStorm>,
}

/// A seeded random number generator: the seed and the number of draws.
struct SeededRng(u64, u64);

impl SeededRng {
    fn next(&mut self) -> f64 {
        self.1 += 1;
        unit(self.0, self.1)
    }

    /// Returns a Poisson number (Knuth 1969, which is fast for small means).
    fn poisson(&mut self, mean: f64) -> u32 {
        let (limit, mut product, mut n) = ((-mean).exp(), self.next(), 0);
        while product > limit {
            product *= self.next();
            n += 1;
        }
        n
    }

    /// Returns an approximately standard normal number: the sum of twelve uniform ones (Irwin-Hall).
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

/// Simulates a month.
#[must_use]
pub fn simulate_month(seed: u64) -> SimulatedMonth {
    let mut chance = SeededRng(seed, 0);
    let hours = |h: f64| Duration::from_millis((h * 3_600_000.0) as i64);
    let storms: Vec<SimulatedStorm> = SHAPES
        .into_iter()
        .map(|shape| {
            // Each storm starts up to an hour later than planned.
            let from = START + hours(shape.hour + chance.next());
            SimulatedStorm { shape, from, to: from + hours(shape.hours) }
        })
        .collect();
    let mut posts = Vec::new();
    let mut level = 1.0;
    for minute in 0..WEEKS * 7 * 24 * 60 {
        if minute % 15 == 0 {
            level = (NOISE * chance.normal()).exp();
        }
        let at = START + Duration::from_mins(minute);
        let n = chance.poisson(expected_per_hour(minute) * level / 60.0);
        posts.extend((0..n).map(|_| post(at, &[], &mut chance)));
        for storm in storms.iter().filter(|storm| storm.from <= at && at < storm.to) {
            let share = (at - storm.from).as_secs() / (storm.to - storm.from).as_secs();
            let n = chance.poisson((storm.shape.rate)(share) / 60.0);
            posts.extend((0..n).map(|_| post(at, &storm.shape.words, &mut chance)));
        }
    }
    posts.sort_by_key(|post| post.at);
    SimulatedMonth { posts, storms }
}

/// Returns the expected complaints an hour at a minute of the month, without noise and storms.
fn expected_per_hour(minute: i64) -> f64 {
    let (hour, day) = (minute / 60, minute / 1440);
    if (FEED_GAP_HOURS.0..FEED_GAP_HOURS.0 + FEED_GAP_HOURS.1).contains(&hour) {
        return 0.0;
    }
    // Interpolate between the middles of adjacent hours.
    let hour_of_day = (minute % 1440) as f64 / 60.0 - 0.5;
    let (before, part) = (hour_of_day.floor(), hour_of_day - hour_of_day.floor());
    let at = |hour: f64| DAILY_PROFILE[hour.rem_euclid(24.0) as usize];
    let rhythm = at(before) * (1.0 - part) + at(before + 1.0) * part;
    let monday = if day % 7 == 0 && (9..11).contains(&(hour % 24)) { MONDAY_FACTOR } else { 1.0 };
    let drift = 1.0 + DRIFT * minute as f64 / (WEEKS * 7 * 1440) as f64;
    MEAN_PER_HOUR * rhythm * WEEKLY_PROFILE[(day % 7) as usize] * monday * drift
}

fn post(minute: EventTime, shared: &[&str], chance: &mut SeededRng) -> SimulatedPost {
    let at = minute + Duration::from_millis((chance.next() * 60_000.0) as i64);
    let mut words: Vec<String> = Vec::new();
    // Each shared word is in 80% of the storm's posts.
    words.extend(shared.iter().filter(|_| chance.next() < 0.8).map(|word| (*word).to_owned()));
    for _ in 0..3 {
        // Squaring makes the first words more frequent.
        let word = WORDS[(chance.next().powi(2) * WORDS.len() as f64) as usize].to_owned();
        if !words.contains(&word) {
            words.push(word);
        }
    }
    SimulatedPost { at, words }
}
