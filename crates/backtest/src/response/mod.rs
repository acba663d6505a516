//! The response report: how long complaints wait for a public reply, and the effect of the author's reach on
//! it.

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

/// A public post to a brand, and its waits for a reply and a hand-off.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The brand.
    pub brand: String,
    /// The platform; empty if unknown.
    pub platform: String,
    /// When it was posted.
    pub at: EventTime,
    /// The local time of the post in the report's zone, as if it were UTC.
    pub wall_time: EventTime,
    /// Followers of the author, if known.
    pub followers: Option<u64>,
    /// Probability of a complaint, 0 to 1.
    pub complaint: f32,
    /// Probability of anger, 0 to 1.
    pub arousal: f32,
    /// Wait for the brand's first public reply.
    pub answer: Wait,
    /// Wait for the brand's request to continue in private.
    pub hand_off: Wait,
}

/// The requests of an input.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Requests {
    /// Name of the input.
    pub input: String,
    /// Time zone of the hours of the day.
    pub zone: Zone,
    /// Description of the requests.
    pub description: String,
    /// The requests, in the order of time.
    pub all: Vec<Request>,
    /// Number of posts left out because the text model could not read them.
    pub unread: usize,
    /// Descriptions of the first faults of the input.
    pub faults: Vec<String>,
    /// Why the input was read only in part, if so.
    pub partial: Option<String>,
}

/// The severity of a post, by its complaint and anger probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Complaint probability below 50%.
    Question,
    /// Complaint and not angry.
    Complaint,
    /// Complaint with an anger probability of at least 50%.
    Angry,
}

impl Severity {
    /// Returns the name in reports and tables.
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
    /// Replaces the brands' names by numbers; `brand 1` has the most posts.
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

/// Returns the requests as tidy CSV, one row each, without any text of a post.
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
    /// Returns the severity.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match (self.complaint >= 0.5, self.arousal >= 0.5) {
            (false, _) => Severity::Question,
            (true, false) => Severity::Complaint,
            (true, true) => Severity::Angry,
        }
    }

    /// Returns the tier of the author's followers.
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

    /// Returns the local hour of the day, 0 to 23.
    #[must_use]
    pub fn hour(&self) -> u32 {
        ((self.wall_time - self.wall_time.floor(Duration::from_mins(24 * 60))).as_secs() / 3600.0) as u32
    }
}
