//! How long complaints wait for an answer, and how much of a fast reply is owed to reach.

mod figures;
mod html;
mod input;
pub mod regression;
pub mod survival;

use std::collections::BTreeMap;

use firewatch_domain::{Duration, EventTime};

pub use figures::{Influences, ReachInfluence, ResponseFigures, WaitGroup};
pub use html::html;
pub use input::{InputFormat, read};
use survival::Wait;

use firewatch_report::Zone;
use firewatch_report::table::table;

/// What somebody asked of a brand in public, and how long it waited.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The brand.
    pub brand: String,
    /// The platform; empty when it is not known.
    pub platform: String,
    /// When it was posted.
    pub at: EventTime,
    /// What the clock on the wall showed then, as if it were UTC.
    pub wall_time: EventTime,
    /// The author's followers, where they are known.
    pub followers: Option<u64>,
    /// P(complaint).
    pub complaint: f32,
    /// P(angry).
    pub arousal: f32,
    /// Until the brand's first answer in public.
    pub answer: Wait,
    /// Until the brand asked to go on in private.
    pub hand_off: Wait,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Requests {
    /// Where from.
    pub input: String,
    /// Where hours of the day are.
    pub zone: Zone,
    /// Which ones they are, in words.
    pub description: String,
    /// All of them, in the order of time.
    pub all: Vec<Request>,
    /// Posts that were left out, as they could not be read.
    pub unread: usize,
    /// What was wrong with the input, the first of it.
    pub faults: Vec<String>,
    /// It could not be read to its end, and why.
    pub partial: Option<String>,
}

/// How grave a post is, by what was read in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// No complaint by its words.
    Question,
    /// A complaint.
    Complaint,
    /// An angry complaint.
    Angry,
}

impl Severity {
    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Question => "question",
            Self::Complaint => "complaint",
            Self::Angry => "angry complaint",
        }
    }
}

impl Requests {
    /// Puts numbers in place of the brands' names, the brand with the most posts first.
    pub fn hide_brands(&mut self) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for request in &self.all {
            *counts.entry(&request.brand).or_default() += 1;
        }
        let mut names: Vec<(&str, usize)> = counts.into_iter().collect();
        names.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        let number = |(i, (name, _)): (usize, (&str, usize))| (name.to_owned(), format!("brand {}", i + 1));
        let numbers: BTreeMap<String, String> = names.into_iter().enumerate().map(number).collect();
        for request in &mut self.all {
            request.brand = numbers.get(&request.brand).cloned().unwrap_or_default();
        }
    }
}

/// The requests as tidy CSV, a row each, without what anybody wrote.
#[must_use]
pub fn csv(requests: &Requests) -> String {
    let head = [
        "brand",
        "platform",
        "at",
        "followers",
        "complaint",
        "arousal",
        "severity",
        "minutes",
        "answered",
        "hand_off_minutes",
        "handed_off",
    ];
    let flag = |yes: bool| if yes { "1".to_owned() } else { "0".to_owned() };
    let rows = requests.all.iter().map(|r| {
        [
            r.brand.clone(),
            r.platform.clone(),
            r.at.to_string(),
            r.followers.map_or_else(String::new, |n| n.to_string()),
            format!("{:.4}", r.complaint),
            format!("{:.4}", r.arousal),
            r.severity().as_str().into(),
            format!("{:.4}", r.answer.minutes),
            flag(r.answer.answered),
            format!("{:.4}", r.hand_off.minutes),
            flag(r.hand_off.answered),
        ]
    });
    table(head, rows)
}

impl Request {
    /// How grave it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match (self.complaint >= 0.5, self.arousal >= 0.5) {
            (false, _) => Severity::Question,
            (true, false) => Severity::Complaint,
            (true, true) => Severity::Angry,
        }
    }

    /// Who hears it: a tier of followers.
    #[must_use]
    pub fn reach_tier(&self) -> &'static str {
        match self.followers {
            None => "unknown",
            Some(0..100) => "below 100",
            Some(100..1_000) => "100 to 999",
            Some(1_000..10_000) => "1,000 to 9,999",
            Some(10_000..100_000) => "10,000 to 99,999",
            Some(_) => "100,000 and more",
        }
    }

    /// The hour of the day on the wall.
    #[must_use]
    pub fn hour(&self) -> u32 {
        ((self.wall_time - self.wall_time.floor(Duration::from_mins(24 * 60))).as_secs() / 3600.0) as u32
    }
}
