//! Seasonal profile: the usual number of complaints at each hour of the week, and the usual words.
//!
//! The mean of each hour of the week is shrunk towards its hour of the day, and that towards the mean of all
//! hours (Gamma priors), by how much data each has. A new brand starts with the expectation of its policy,
//! and learns its days after a few of them and its weeks after two or three. Older weeks weigh less. Hours
//! are in UTC.

use std::collections::BTreeMap;

use firewatch_domain::EventTime;
use serde::{Deserialize, Serialize};

const HOUR_MILLIS: i64 = 3_600_000;
/// 1970-01-01 was a Thursday; the week begins on Monday.
const MONDAY: i64 = 3 * 24 * HOUR_MILLIS;
/// Retention at each new observation, for hours of the week, hours of the day and all hours.
const RETENTION: [f32; 3] = [0.8, 0.87, 0.985];
/// Weight of the prior mean in hours, in the same order.
const PRIOR_HOURS: [f32; 3] = [0.7, 1.0, 4.0];
/// Maximum number of words; the rarest are dropped.
const MAX_WORDS: usize = 256;
/// Hourly retention of word counts: a half-life of two days.
const WORD_RETENTION: f32 = 0.986;
/// Prior of each word's share: occurrences, and complaints. It keeps new words from standing out before the
/// usual words are known.
const WORD_PRIOR: (f64, f64) = (5.0, 50.0);

/// Complaints and observed hours, exponentially decayed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct RateBin {
    posts: f32,
    hours: f32,
}

impl RateBin {
    fn observe(&mut self, posts: f32, hours: f32, retention: f32) {
        self.posts = self.posts * retention + posts;
        self.hours = self.hours * retention + hours;
    }

    fn mean(self, prior: f32, weight: f32) -> f32 {
        (self.posts + prior * weight) / (self.hours + weight)
    }
}

/// Usual volume and words of one brand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeasonalProfile {
    /// By hour of the week, from Monday midnight.
    week: Vec<RateBin>,
    /// By hour of the day.
    day: Vec<RateBin>,
    all: RateBin,
    /// Complaints per hour that the policy expects of a new brand.
    expected: f32,
    /// Complaints that contain each word, and all complaints, exponentially decayed.
    words: BTreeMap<String, f32>,
    posts: f32,
}

impl SeasonalProfile {
    pub fn new(expected_per_hour: f64) -> Self {
        let (week, day) = (vec![RateBin::default(); 168], vec![RateBin::default(); 24]);
        let expected = expected_per_hour as f32;
        Self { week, day, all: RateBin::default(), expected, words: BTreeMap::new(), posts: 0.0 }
    }

    /// Returns the usual complaints per hour at a time, interpolated between the middles of hours.
    pub fn rate(&self, at: EventTime) -> f64 {
        // Interpolate from the middle of one hour to the middle of the next.
        let middle = at.as_millis() - HOUR_MILLIS / 2;
        let part = middle.rem_euclid(HOUR_MILLIS) as f64 / HOUR_MILLIS as f64;
        let (before, after) = (hour_of_week(middle), hour_of_week(middle + HOUR_MILLIS));
        f64::from(self.mean(before)) * (1.0 - part) + f64::from(self.mean(after)) * part
    }

    fn mean(&self, hour: usize) -> f32 {
        let all = self.all.mean(self.expected, PRIOR_HOURS[2]);
        let day = self.day[hour % 24].mean(all, PRIOR_HOURS[1]);
        self.week[hour].mean(day, PRIOR_HOURS[0])
    }

    /// Returns the uncertainty of the rate as a standard deviation relative to it. It starts at 0.6 and falls
    /// as data for this hour of the week and of the day accumulate.
    pub fn relative_sd(&self, at: EventTime) -> f64 {
        let hour = hour_of_week(at.as_millis());
        let (day, week) = (f64::from(self.day[hour % 24].hours), f64::from(self.week[hour].hours));
        0.6 / (1.0 + 2.0 * day.min(2.0) + 8.0 * week).sqrt()
    }

    /// Learns an hour, or the observed part of it, with the words of its complaints.
    pub fn observe(&mut self, at: EventTime, posts: f64, hours: f64, words: &BTreeMap<String, u32>) {
        let hour = hour_of_week(at.as_millis());
        let (posts, hours) = (posts as f32, hours as f32);
        self.week[hour].observe(posts, hours, RETENTION[0]);
        self.day[hour % 24].observe(posts, hours, RETENTION[1]);
        self.all.observe(posts, hours, RETENTION[2]);
        self.posts = self.posts * WORD_RETENTION + posts;
        self.words.values_mut().for_each(|n| *n *= WORD_RETENTION);
        for (word, n) in words {
            *self.words.entry(word.clone()).or_default() += *n as f32;
        }
        while self.words.len() > MAX_WORDS {
            let rarest = self.words.iter().min_by(|a, b| a.1.total_cmp(b.1)).map(|(word, _)| word.clone());
            rarest.and_then(|word| self.words.remove(&word));
        }
    }

    /// Returns the usual share of complaints that contain a word. `occurrences` and `complaints` are those
    /// after the last learned hour.
    pub fn share(&self, word: &str, occurrences: f64, complaints: f64) -> f64 {
        let seen = f64::from(self.words.get(word).copied().unwrap_or_default());
        ((seen + occurrences + WORD_PRIOR.0) / (f64::from(self.posts) + complaints + WORD_PRIOR.1)).min(1.0)
    }
}

fn hour_of_week(millis: i64) -> usize {
    ((millis + MONDAY).div_euclid(HOUR_MILLIS).rem_euclid(168)) as usize
}

#[cfg(test)]
mod tests {
    use firewatch_domain::Duration;

    use super::*;

    const MONDAY_NOON: &str = "2026-03-09T12:30:00Z";

    fn at(text: &str) -> EventTime {
        EventTime::parse(text).unwrap()
    }

    #[test]
    fn a_new_brand_has_what_is_expected_and_learns_its_days_and_its_weeks() {
        let mut profile = SeasonalProfile::new(60.0);
        let start = at("2026-03-02T00:00:00Z");
        assert!((profile.rate(start) - 60.0).abs() < 1e-3);
        let relative_sd = profile.relative_sd(start);
        // Ten an hour, but a hundred on Mondays at noon.
        for hour in 0..3 * 168 {
            let posts = if hour % 168 == 12 { 100.0 } else { 10.0 };
            profile.observe(start + Duration::from_mins(60 * hour), posts, 1.0, &BTreeMap::new());
        }
        let rate = |text| profile.rate(at(text));
        assert!((8.0..14.0).contains(&rate("2026-03-24T03:30:00Z")), "{}", rate("2026-03-24T03:30:00Z"));
        assert!(rate("2026-03-23T12:30:00Z") > 70.0, "{}", rate("2026-03-23T12:30:00Z"));
        assert!(rate("2026-03-24T12:30:00Z") < 35.0, "{}", rate("2026-03-24T12:30:00Z"));
        assert!(profile.relative_sd(at(MONDAY_NOON)) < relative_sd / 3.0);
        let between = profile.rate(at("2026-03-23T12:00:00Z"));
        assert!(
            between > rate("2026-03-23T11:30:00Z") && between < rate("2026-03-23T12:30:00Z"),
            "{between}"
        );
    }

    #[test]
    fn words_are_known_by_their_share_and_the_rarest_are_forgotten() {
        let mut profile = SeasonalProfile::new(60.0);
        for i in 0..400 {
            let words = BTreeMap::from([("bill".to_owned(), 5), (format!("rare{i}"), 1)]);
            profile.observe(at(MONDAY_NOON) + Duration::from_mins(60 * i), 10.0, 1.0, &words);
        }
        assert!((profile.share("bill", 0.0, 0.0) - 0.5).abs() < 0.1, "{}", profile.share("bill", 0.0, 0.0));
        assert!(profile.share("never", 0.0, 0.0) < 0.05 && profile.words.len() <= MAX_WORDS);
    }
}
