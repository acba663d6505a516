//! A month of a brand's complaints, simulated: daily and weekly rhythm, drift, noise, a gap, and six storms of different
//! shapes. The same seed makes the same month.

use firewatch_domain::{Duration, EventTime};

use firewatch_report::random::unit;

/// Weeks simulated.
pub const WEEKS: i64 = 4;
/// Complaints an hour on average in the first week, storms aside.
const MEAN_PER_HOUR: f64 = 40.0;
/// How much more there are at the end than at the beginning.
const DRIFT: f64 = 0.8;
/// Spread of the level from one quarter of an hour to the next: standard deviation over mean.
const NOISE: f64 = 0.25;
/// Share of an average hour's complaints by hour of the day, midnight first.
const DAILY_PROFILE: [f64; 24] = [
    0.45, 0.35, 0.28, 0.22, 0.22, 0.30, 0.50, 0.80, 1.15, 1.40, 1.50, 1.50, 1.45, 1.40, 1.35, 1.35, 1.40,
    1.45, 1.50, 1.55, 1.50, 1.25, 0.95, 0.65,
];
/// Share of an average day's complaints by day of the week, Monday first.
const WEEKLY_PROFILE: [f64; 7] = [1.30, 1.10, 1.05, 1.00, 1.00, 0.75, 0.65];
/// Monday from nine to eleven: what gathered over the weekend.
const MONDAY_FACTOR: f64 = 1.6;
/// The feed is silent from this hour on, so long.
const FEED_GAP_HOURS: (i64, i64) = (16 * 24 + 10, 6);
/// Words of everyday complaints; the first are the most frequent.
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

/// A storm as it is simulated.
#[derive(Debug, Clone, Copy)]
pub struct StormShape {
    /// What it is like.
    pub name: &'static str,
    /// When it begins, hours from the start.
    hour: f64,
    /// How long it lasts, hours.
    pub hours: f64,
    /// The words that its posts share.
    words: [&'static str; 2],
    /// Posts an hour at a share of its time, 0..1.
    rate: fn(f64) -> f64,
}

/// The six.
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

/// One complaint.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatedPost {
    /// When.
    pub at: EventTime,
    /// The words that a storm's topic is read from.
    pub words: Vec<String>,
}

/// A storm of a month: what it is like, when it begins and ends.
#[derive(Debug, Clone, Copy)]
pub struct SimulatedStorm {
    /// What it is like.
    pub shape: StormShape,
    /// Its first moment.
    pub from: EventTime,
    /// Its last.
    pub to: EventTime,
}

/// A month.
pub struct SimulatedMonth {
    /// Its complaints, by time.
    pub posts: Vec<SimulatedPost>,
    /// Its storms.
    pub storms: Vec<SimulatedStorm>,
}

/// Chance, drawn from a seed.
struct SeededRng(u64, u64);

impl SeededRng {
    fn next(&mut self) -> f64 {
        self.1 += 1;
        unit(self.0, self.1)
    }

    /// A Poisson number (Knuth 1969; means here are small).
    fn poisson(&mut self, mean: f64) -> u32 {
        let (limit, mut product, mut n) = ((-mean).exp(), self.next(), 0);
        while product > limit {
            product *= self.next();
            n += 1;
        }
        n
    }

    /// About a standard normal number: twelve uniform ones (Irwin-Hall).
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
            // Up to an hour later than planned.
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

/// Complaints an hour that are usual at a minute of the month.
fn expected_per_hour(minute: i64) -> f64 {
    let (hour, day) = (minute / 60, minute / 1440);
    if (FEED_GAP_HOURS.0..FEED_GAP_HOURS.0 + FEED_GAP_HOURS.1).contains(&hour) {
        return 0.0;
    }
    // From the middle of one hour to that of the next.
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
    // Four of five posts of a storm name what it is about.
    words.extend(shared.iter().filter(|_| chance.next() < 0.8).map(|word| (*word).to_owned()));
    for _ in 0..3 {
        // The square makes the first ones frequent.
        let word = WORDS[(chance.next().powi(2) * WORDS.len() as f64) as usize].to_owned();
        if !words.contains(&word) {
            words.push(word);
        }
    }
    SimulatedPost { at, words }
}
