//! How many complaints a brand usually gets, about what, and when there are too many.
//!
//! Counts per window feed an exponentially weighted mean (half-life one hour). Counts of rare events vary like a
//! Poisson variable, so k standard deviations above an expectation m is m + k sqrt(m). Storm windows are not
//! learnt from: a storm must not become the usual.

use std::collections::{BTreeMap, VecDeque};

use firewatch_domain::Duration;
use serde::{Deserialize, Serialize};

use crate::Policy;

/// The span whose complaints are compared with the usual.
const SPAN: Duration = Duration::from_mins(5);
/// Time after which the past counts half.
const HALF_LIFE: Duration = Duration::from_mins(60);
/// Topics remembered at most; the rarest leave first.
const TOPICS: usize = 256;
/// A storm's topic is in at least this share of its complaints...
const LEAST_SHARE: f64 = 0.3;
/// ...and so many times more frequent than usual.
const LEAST_LIFT: f64 = 3.0;
/// Topics that a storm is named by, at most.
const STORM_TOPICS: usize = 3;

/// One window's complaints.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub posts: u32,
    pub topics: BTreeMap<String, u32>,
}

/// What is usual for a brand, and what happened of late.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Baseline {
    /// Complaints per window.
    usual: f64,
    /// Mentions of a topic per window.
    topics: BTreeMap<String, f64>,
    recent: VecDeque<Window>,
}

impl Window {
    /// Takes a complaint in.
    pub fn take(&mut self, topics: &[String]) {
        self.posts += 1;
        for topic in topics {
            *self.topics.entry(topic.clone()).or_default() += 1;
        }
    }
}

impl Baseline {
    pub fn new(policy: &Policy) -> Self {
        let windows_per_hour = HALF_LIFE.as_secs() / policy.windows.step.as_secs();
        let usual = policy.storms.expected_per_hour / windows_per_hour;
        Self { usual, topics: BTreeMap::new(), recent: VecDeque::new() }
    }

    /// Takes the next window in.
    pub fn push(&mut self, window: Window, policy: &Policy) {
        self.recent.push_back(window);
        while self.recent.len() > span_windows(policy) {
            self.recent.pop_front();
        }
    }

    /// Learns the newest window as usual; not to be called while a storm is on.
    pub fn learn(&mut self, policy: &Policy) {
        let Some(window) = self.recent.back() else { return };
        let keep = 0.5_f64.powf(policy.windows.step.as_secs() / HALF_LIFE.as_secs());
        self.usual = keep * self.usual + (1.0 - keep) * f64::from(window.posts);
        for mean in self.topics.values_mut() {
            *mean *= keep;
        }
        for (topic, n) in &window.topics {
            *self.topics.entry(topic.clone()).or_default() += (1.0 - keep) * f64::from(*n);
        }
        while self.topics.len() > TOPICS {
            let rarest = self.topics.iter().min_by(|a, b| a.1.total_cmp(b.1)).map(|(t, _)| t.clone());
            rarest.and_then(|t| self.topics.remove(&t));
        }
    }

    /// Complaints in the span just past.
    pub fn recent_posts(&self) -> u32 {
        self.recent.iter().map(|w| w.posts).sum()
    }

    /// Complaints usual in such a span.
    pub fn expected(&self, policy: &Policy) -> f64 {
        self.usual * span_windows(policy) as f64
    }

    /// Complaints from which the span is a storm.
    pub fn alarm(&self, policy: &Policy) -> f64 {
        let expected = self.expected(policy);
        (expected + policy.storms.deviations * expected.max(1.0).sqrt())
            .max(f64::from(policy.storms.least_posts))
    }

    /// Complaints about one thing in such a span at which its storm is over.
    pub fn calm(&self, policy: &Policy) -> f64 {
        self.expected(policy).sqrt().max(f64::from(policy.storms.least_posts) / 5.0)
    }

    /// Forgets what happened of late, as a storm accounts for it.
    pub fn accounted_for(&mut self) {
        self.recent.clear();
    }

    /// What sets the recent complaints apart from the usual ones, most frequent first.
    pub fn standing_out(&self) -> Vec<String> {
        let posts = f64::from(self.recent_posts().max(1));
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for (topic, n) in self.recent.iter().flat_map(|w| &w.topics) {
            *counts.entry(topic).or_default() += n;
        }
        let usual = self.usual.max(1e-3);
        let mut topics: Vec<(u32, &str)> = counts
            .into_iter()
            .filter(|(topic, n)| {
                let share = f64::from(*n) / posts;
                let usual_share = self.topics.get(*topic).copied().unwrap_or(0.0) / usual;
                share >= LEAST_SHARE && share >= LEAST_LIFT * usual_share
            })
            .map(|(topic, n)| (n, topic))
            .collect();
        topics.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        topics.into_iter().take(STORM_TOPICS).map(|(_, t)| t.to_owned()).collect()
    }
}

/// Windows in the span that is compared with the usual.
pub(crate) fn span_windows(policy: &Policy) -> usize {
    (SPAN.as_millis() / policy.windows.step.as_millis()).max(1) as usize
}
