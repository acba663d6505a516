//! What is usual at an hour of the week, and which words are.
//!
//! Each hour of the week has a mean of its own, drawn to that of the hour of the day, and that to the mean of all hours,
//! by how much of each was seen (shrinkage with Gamma priors): a new brand begins with what its policy expects, knows its
//! days after some of them, and its weeks after two or three. Older weeks count less. Hours are those of UTC.

use std::collections::BTreeMap;

use firewatch_domain::EventTime;
use serde::{Deserialize, Serialize};

const HOUR: i64 = 3_600_000;
/// 1970-01-01 was a Thursday; the week begins on Monday.
const MONDAY: i64 = 3 * 24 * HOUR;
/// What a week, a day and an hour keep of the weight of the one before.
const KEEP: [f32; 3] = [0.8, 0.87, 0.985];
/// Hours that the mean a level above counts for, in the same order.
const PRIOR: [f32; 3] = [0.7, 1.0, 4.0];
/// Words remembered at most; the rarest leave first.
const WORDS: usize = 256;
/// What an hour keeps of the words before: half after two days.
const WORDS_KEEP: f32 = 0.986;
/// Each word is taken to have been in so many of so many complaints before any was seen: until words are known, none
/// stands out.
const UNSEEN: (f64, f64) = (5.0, 50.0);

/// Complaints seen in so many hours, older ones counted less.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Slot {
    posts: f32,
    hours: f32,
}

impl Slot {
    fn learn(&mut self, posts: f32, hours: f32, keep: f32) {
        self.posts = self.posts * keep + posts;
        self.hours = self.hours * keep + hours;
    }

    fn mean(self, prior: f32, weight: f32) -> f32 {
        (self.posts + prior * weight) / (self.hours + weight)
    }
}

/// What is usual.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Season {
    /// By hour of the week, Monday midnight first.
    week: Vec<Slot>,
    /// By hour of the day.
    day: Vec<Slot>,
    all: Slot,
    /// Complaints an hour that a new brand is taken to have.
    expected: f32,
    /// Complaints that have each word, and all complaints, older ones counted less.
    words: BTreeMap<String, f32>,
    posts: f32,
}

impl Season {
    pub fn new(expected_per_hour: f64) -> Self {
        let (week, day) = (vec![Slot::default(); 168], vec![Slot::default(); 24]);
        let expected = expected_per_hour as f32;
        Self { week, day, all: Slot::default(), expected, words: BTreeMap::new(), posts: 0.0 }
    }

    /// Complaints an hour that are usual then.
    pub fn rate(&self, at: EventTime) -> f64 {
        // From the middle of one hour to that of the next.
        let middle = at.as_millis() - HOUR / 2;
        let part = middle.rem_euclid(HOUR) as f64 / HOUR as f64;
        let (before, after) = (hour_of_week(middle), hour_of_week(middle + HOUR));
        f64::from(self.mean(before)) * (1.0 - part) + f64::from(self.mean(after)) * part
    }

    fn mean(&self, hour: usize) -> f32 {
        let all = self.all.mean(self.expected, PRIOR[2]);
        let day = self.day[hour % 24].mean(all, PRIOR[1]);
        self.week[hour].mean(day, PRIOR[0])
    }

    /// How unsure that is: a standard deviation, as a share of it.
    pub fn doubt(&self, at: EventTime) -> f64 {
        let hour = hour_of_week(at.as_millis());
        let (day, week) = (f64::from(self.day[hour % 24].hours), f64::from(self.week[hour].hours));
        0.6 / (1.0 + 2.0 * day.min(2.0) + 8.0 * week).sqrt()
    }

    /// Learns an hour, or the part of it that was watched, and the words of its complaints.
    pub fn learn(&mut self, at: EventTime, posts: f64, hours: f64, words: &BTreeMap<String, u32>) {
        let hour = hour_of_week(at.as_millis());
        let (posts, hours) = (posts as f32, hours as f32);
        self.week[hour].learn(posts, hours, KEEP[0]);
        self.day[hour % 24].learn(posts, hours, KEEP[1]);
        self.all.learn(posts, hours, KEEP[2]);
        self.posts = self.posts * WORDS_KEEP + posts;
        self.words.values_mut().for_each(|n| *n *= WORDS_KEEP);
        for (word, n) in words {
            *self.words.entry(word.clone()).or_default() += *n as f32;
        }
        while self.words.len() > WORDS {
            let rarest = self.words.iter().min_by(|a, b| a.1.total_cmp(b.1)).map(|(word, _)| word.clone());
            rarest.and_then(|word| self.words.remove(&word));
        }
    }

    /// The share of complaints that usually have a word, when so many of so many had it since the last hour was learnt.
    pub fn share(&self, word: &str, since: (f64, f64)) -> f64 {
        let seen = f64::from(self.words.get(word).copied().unwrap_or_default());
        ((seen + since.0 + UNSEEN.0) / (f64::from(self.posts) + since.1 + UNSEEN.1)).min(1.0)
    }
}

fn hour_of_week(millis: i64) -> usize {
    ((millis + MONDAY).div_euclid(HOUR).rem_euclid(168)) as usize
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
        let mut season = Season::new(60.0);
        let start = at("2026-03-02T00:00:00Z");
        assert!((season.rate(start) - 60.0).abs() < 1e-3);
        let doubt = season.doubt(start);
        // Ten an hour, a hundred on Mondays at noon.
        for hour in 0..3 * 168 {
            let posts = if hour % 168 == 12 { 100.0 } else { 10.0 };
            season.learn(start + Duration::from_mins(60 * hour), posts, 1.0, &BTreeMap::new());
        }
        let rate = |text| season.rate(at(text));
        assert!((8.0..14.0).contains(&rate("2026-03-24T03:30:00Z")), "{}", rate("2026-03-24T03:30:00Z"));
        assert!(rate("2026-03-23T12:30:00Z") > 70.0, "{}", rate("2026-03-23T12:30:00Z"));
        assert!(rate("2026-03-24T12:30:00Z") < 35.0, "{}", rate("2026-03-24T12:30:00Z"));
        assert!(season.doubt(at(MONDAY_NOON)) < doubt / 3.0);
        let gone = season.rate(at("2026-03-23T12:00:00Z"));
        assert!(gone > rate("2026-03-23T11:30:00Z") && gone < rate("2026-03-23T12:30:00Z"), "{gone}");
    }

    #[test]
    fn words_are_known_by_their_share_and_the_rarest_are_forgotten() {
        let mut season = Season::new(60.0);
        for i in 0..400 {
            let words = BTreeMap::from([("bill".to_owned(), 5), (format!("rare{i}"), 1)]);
            season.learn(at(MONDAY_NOON) + Duration::from_mins(60 * i), 10.0, 1.0, &words);
        }
        assert!((season.share("bill", (0.0, 0.0)) - 0.5).abs() < 0.1, "{}", season.share("bill", (0.0, 0.0)));
        assert!(season.share("never", (0.0, 0.0)) < 0.05 && season.words.len() <= WORDS);
    }
}
