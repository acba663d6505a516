//! Detects an unusual volume of complaints, in total or about one topic, over 5 minutes, 30 minutes and 2
//! hours. A spike shows in the first span, a slow rise in the last.
//!
//! Counts are compared with the seasonal mean times today's level. They vary more than a Poisson variable, by
//! a dispersion that is measured for each span. The alarm threshold is m + k sqrt(f m + (d m)^2 + 1), where m
//! is the expected count, f the dispersion, d the relative standard deviation of the profile, and k the
//! deviations of the policy. Learned counts are clipped, so that a storm does not become the usual volume.

use std::collections::{BTreeMap, HashMap, VecDeque};

use firewatch_domain::{Duration, EventTime};
use serde::{Deserialize, Serialize};

use crate::Policy;
use crate::seasonal_profile::SeasonalProfile;

/// Shortest span, and length of the buckets that make up the longer spans.
const BUCKET: Duration = Duration::from_mins(5);
/// How often the longer spans are checked.
const LONG_SPAN_INTERVAL: Duration = Duration::from_mins(1);
/// Number of buckets in each span.
const SPAN_BUCKETS: [usize; 3] = [1, 6, 24];
/// Half-lives of the level in seconds: for the shortest span, and for the longer ones. The longer one is
/// slow, so that a slow rise is not learned as the level.
const HALF_LIVES: [f64; 2] = [2.0 * 3600.0, 12.0 * 3600.0];
/// Weight of the seasonal mean against observed counts in the level, in complaints.
const LEVEL_PRIOR: f64 = 8.0;
/// Minimum and maximum of the level, as a factor on the seasonal mean.
const LEVEL_BOUNDS: (f64, f64) = (0.4, 2.5);
/// Retention of the measured dispersion for each bucket: a half-life of three days.
const VARIANCE_RETENTION: f64 = 0.9992;
/// Standard deviations above the mean at which learned counts are clipped.
const CLIP_DEVIATIONS: f64 = 2.0;
/// Number of expected complaints without a single arrival at which the feed counts as silent. Nothing is
/// learned from a silent feed.
const SILENCE_EXPECTED_COUNT: f64 = 8.0;
/// Additional deviations that one topic needs, because there are many topics.
const TOPIC_PENALTY: f64 = 1.0;
/// Additional deviations that complaints without a common topic need: they are rather a busy hour than a
/// storm.
const NO_TOPIC_PENALTY: f64 = 2.0;
/// Minimum share of the complaints of a storm that contain a word that names it.
const MIN_SHARE: f64 = 0.3;
/// Minimum factor by which a word that names a storm is more frequent than usual.
const MIN_LIFT: f64 = 3.0;
/// Minimum standard deviations by which the count of a word that names a storm exceeds chance.
const MIN_DEVIATIONS_ABOVE_CHANCE: f64 = 4.0;
/// Maximum number of words that name a storm.
const MAX_STORM_WORDS: usize = 3;
/// Maximum number of words kept for each bucket, the most frequent ones.
const MAX_BUCKET_WORDS: usize = 32;

/// Number of complaints in a window or a bucket, in total and by word.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ComplaintCounts {
    pub posts: u32,
    pub words: BTreeMap<String, u32>,
}

/// A bucket of five minutes with its expected count.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Bucket {
    counted: ComplaintCounts,
    expected: f64,
    /// How much of the bucket was observed.
    observed: Duration,
}

/// Buckets of the last two hours, and the level learned from them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VolumeHistory {
    buckets: VecDeque<Bucket>,
    /// Observed and expected complaints, exponentially decayed, for each half-life.
    level_sums: [(f64, f64); 2],
    /// Variance over mean, for each span.
    dispersions: [f64; 3],
    /// Current hour: clipped complaints, observed time, words.
    current_hour: (f64, Duration, BTreeMap<String, u32>),
    /// Expected complaints since the last one arrived.
    expected_while_silent: f64,
}

/// Windows of the last five minutes, and the bucket in progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CurrentBucket {
    windows: VecDeque<(EventTime, ComplaintCounts)>,
    bucket: Bucket,
}

/// An unusual volume of complaints.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Alarm {
    /// Number of complaints, span in which they arrived, and usual number.
    pub posts: u32,
    /// At least this many of them contain one of the words.
    pub about: u32,
    pub span: Duration,
    pub expected: f64,
    /// Standard deviations above the usual number.
    pub deviations: f64,
    /// Stems that distinguish these complaints, most frequent first.
    pub words: Vec<String>,
}

/// Complaints counted within a span, with the seasonal mean for it.
#[derive(Default)]
struct SpanCounts<'a> {
    posts: u32,
    words: HashMap<&'a str, u32>,
    expected: f64,
}

impl<'a> SpanCounts<'a> {
    fn add(&mut self, window: &'a ComplaintCounts) {
        self.posts += window.posts;
        for (word, n) in &window.words {
            *self.words.entry(word).or_default() += n;
        }
    }

    /// Returns `n` as a share of the complaints in the span.
    fn share(&self, n: u32) -> f64 {
        f64::from(n) / f64::from(self.posts.max(1))
    }
}

/// Volume of one brand: the profile, the history and the current bucket.
pub(crate) struct VolumeMonitor<'a> {
    pub profile: &'a mut SeasonalProfile,
    pub history: &'a mut VolumeHistory,
    pub current: &'a mut CurrentBucket,
}

impl ComplaintCounts {
    /// Counts a complaint with its topic words.
    pub fn record(&mut self, words: &[String]) {
        self.posts += 1;
        for word in words {
            *self.words.entry(stem(word).to_owned()).or_default() += 1;
        }
    }

    /// Adds the counts of another window.
    pub fn add(&mut self, other: &Self) {
        self.posts += other.posts;
        for (word, n) in &other.words {
            *self.words.entry(word.clone()).or_default() += n;
        }
    }
}

impl VolumeHistory {
    /// Creates an empty history with typical dispersions.
    pub fn new() -> Self {
        Self {
            buckets: VecDeque::new(),
            level_sums: [(0.0, 0.0); 2],
            dispersions: [1.5, 2.0, 3.0],
            current_hour: (0.0, Duration::ZERO, BTreeMap::new()),
            expected_while_silent: 0.0,
        }
    }

    /// Returns today's level for a span, as a factor on the seasonal mean.
    fn level(&self, span: usize) -> f64 {
        let (observed, expected) = self.level_sums[span.min(1)];
        ((LEVEL_PRIOR + observed) / (LEVEL_PRIOR + expected)).clamp(LEVEL_BOUNDS.0, LEVEL_BOUNDS.1)
    }
}

impl CurrentBucket {
    pub fn new() -> Self {
        Self { windows: VecDeque::new(), bucket: Bucket::default() }
    }
}

/// State that changed when a window was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rolled {
    pub bucket: bool,
    pub hour: bool,
}

impl VolumeMonitor<'_> {
    /// Adds the window from `start` to `end`. `learns` says whether its counts may become usual.
    pub fn push(
        &mut self,
        window: ComplaintCounts,
        start: EventTime,
        end: EventTime,
        learns: bool,
    ) -> Rolled {
        let bucket = &mut self.current.bucket;
        bucket.expected += self.profile.rate(start) * (end - start).as_secs() / 3600.0;
        bucket.observed = bucket.observed + (end - start);
        bucket.counted.add(&window);
        self.current.windows.push_back((start, window));
        while self.current.windows.front().is_some_and(|(at, _)| end - *at > BUCKET) {
            self.current.windows.pop_front();
        }
        let mut rolled = Rolled::default();
        if start.floor(BUCKET) != end.floor(BUCKET) {
            rolled.bucket = true;
            self.close_bucket(start, learns);
            let hour = Duration::from_mins(60);
            if start.floor(hour) != end.floor(hour) {
                rolled.hour = true;
                let (posts, observed, words) = std::mem::take(&mut self.history.current_hour);
                if observed > Duration::ZERO {
                    self.profile.observe(start, posts, observed.as_secs() / 3600.0, &words);
                }
            }
        }
        rolled
    }

    fn close_bucket(&mut self, at: EventTime, learns: bool) {
        let mut bucket = std::mem::take(&mut self.current.bucket);
        keep_top_words(&mut bucket.counted.words);
        let history = &mut *self.history;
        let count = f64::from(bucket.counted.posts);
        history.expected_while_silent = if bucket.counted.posts == 0 {
            history.expected_while_silent + bucket.expected * history.level(0)
        } else {
            0.0
        };
        let (expected, observed) = (bucket.expected, bucket.observed);
        let words = bucket.counted.words.clone();
        history.buckets.push_back(bucket);
        while history.buckets.len() > SPAN_BUCKETS[2] {
            history.buckets.pop_front();
        }
        if !learns || history.expected_while_silent >= SILENCE_EXPECTED_COUNT {
            return;
        }
        let relative_sd = self.profile.relative_sd(at);
        for (i, buckets) in SPAN_BUCKETS.into_iter().enumerate() {
            let last = history.buckets.iter().rev().take(buckets);
            let (count, expected) =
                last.fold((0.0, 0.0), |(n, m), b| (n + f64::from(b.counted.posts), m + b.expected));
            let m = (expected * history.level(i)).max(0.5);
            let off = ((count - m).powi(2) / (m + (relative_sd * m).powi(2) / history.dispersions[i]))
                .min(9.0 * history.dispersions[i]);
            history.dispersions[i] =
                (VARIANCE_RETENTION * history.dispersions[i] + (1.0 - VARIANCE_RETENTION) * off).max(1.0);
        }
        let m = expected * history.level(0);
        let cap = m + CLIP_DEVIATIONS * deviation(m, history.dispersions[0], relative_sd);
        let clipped = count.min(cap);
        for (level, half_life) in history.level_sums.iter_mut().zip(HALF_LIVES) {
            let keep = 0.5_f64.powf(observed.as_secs() / half_life);
            *level = (level.0 * keep + clipped, level.1 * keep + expected);
        }
        history.current_hour.0 += clipped;
        history.current_hour.1 = history.current_hour.1 + observed;
        for (word, n) in words {
            *history.current_hour.2.entry(word).or_default() += n;
        }
    }

    /// Returns an alarm if there are too many complaints, with those of the window from `start` to `now`. Of
    /// several spans, the one with the largest deviation decides.
    pub fn alarm(&self, start: EventTime, now: EventTime, policy: &Policy) -> Option<Alarm> {
        // The longer spans are checked once a minute only.
        let spans = if now.floor(LONG_SPAN_INTERVAL) > start { SPAN_BUCKETS.len() } else { 1 };
        let alarms = (0..spans).filter_map(|span| self.alarm_over(span, now, policy));
        alarms.max_by(|a, b| a.deviations.total_cmp(&b.deviations))
    }

    /// Returns the counts within a span, or `None` below `min_posts`. This saves adding up words in vain.
    fn counts_within(&self, span: usize, now: EventTime, min_posts: u32) -> Option<SpanCounts<'_>> {
        let buckets = || {
            let closed = self.history.buckets.iter().rev().take(SPAN_BUCKETS[span] - 1);
            closed.chain([&self.current.bucket]).filter(|_| span > 0)
        };
        let current = || self.current.windows.iter().map(|(_, window)| window).filter(|_| span == 0);
        let windows = || current().chain(buckets().map(|bucket| &bucket.counted));
        if windows().map(|window| window.posts).sum::<u32>() < min_posts {
            return None;
        }
        let mut counted = SpanCounts::default();
        windows().for_each(|window| counted.add(window));
        let from = self.current.windows.front().map_or(now, |(at, _)| *at);
        counted.expected = match span {
            0 => self.profile.rate(now) * (now - from).as_secs() / 3600.0,
            _ => buckets().map(|bucket| bucket.expected).sum(),
        };
        Some(counted)
    }

    fn alarm_over(&self, span: usize, now: EventTime, policy: &Policy) -> Option<Alarm> {
        let (k, min_posts) = (policy.storms.deviations, policy.storms.min_posts);
        let counted = self.counts_within(span, now, min_posts)?;
        let (m, d) = (counted.expected * self.history.level(span), self.profile.relative_sd(now));
        let beyond = |n: u32, m: f64| (f64::from(n) - m) / deviation(m, self.history.dispersions[span], d);
        let words = self.distinctive_words(&counted);
        let span = Duration::from_millis(BUCKET.as_millis() * SPAN_BUCKETS[span] as i64);
        let all = beyond(counted.posts, m) - if words.is_empty() { NO_TOPIC_PENALTY } else { 0.0 };
        let candidates = counted.words.iter().filter(|(_, n)| **n >= min_posts);
        let one_thing = candidates
            .map(|(word, n)| (*word, *n, self.usual_share(word)))
            .filter(|(_, n, usual)| counted.share(*n) >= MIN_LIFT * usual)
            .map(|(word, n, usual)| (word, n, m * usual, beyond(n, m * usual) - TOPIC_PENALTY))
            .max_by(|a, b| a.3.total_cmp(&b.3).then_with(|| b.0.cmp(a.0)));
        match one_thing {
            Some((word, posts, usual, deviations)) if deviations >= k && deviations >= all => {
                let words = if words.iter().any(|w| w == word) { words } else { vec![word.to_owned()] };
                Some(Alarm { posts, about: posts, span, expected: usual, deviations, words })
            }
            _ => (all >= k).then(|| Alarm {
                posts: counted.posts,
                about: words.iter().filter_map(|word| counted.words.get(&**word).copied()).max().unwrap_or(0),
                span,
                expected: m,
                deviations: all,
                words,
            }),
        }
    }

    /// Returns how far this many complaints in the shortest span, all of a storm about these words, are above the
    /// usual number, and that number.
    pub fn deviations_of_storm(&self, posts: u32, words: &[String], now: EventTime) -> (f64, f64) {
        let all = self.profile.rate(now) * BUCKET.as_secs() / 3600.0 * self.history.level(0);
        let share = words.iter().map(|word| self.usual_share(word)).reduce(f64::max);
        let usual = all * share.unwrap_or(1.0);
        let penalty = if words.is_empty() { NO_TOPIC_PENALTY } else { TOPIC_PENALTY };
        let sd = deviation(usual, self.history.dispersions[0], self.profile.relative_sd(now));
        ((f64::from(posts) - usual) / sd - penalty, usual)
    }

    /// Returns the usual share of complaints that contain a word.
    fn usual_share(&self, word: &str) -> f64 {
        let (posts, _, words) = &self.history.current_hour;
        self.profile.share(word, f64::from(words.get(word).copied().unwrap_or_default()), *posts)
    }

    /// Returns the words that distinguish these complaints from the usual ones, most frequent first.
    fn distinctive_words(&self, counted: &SpanCounts<'_>) -> Vec<String> {
        let posts = f64::from(counted.posts.max(1));
        let stands_out = |(word, n): &(&&str, &u32)| {
            let usual_share = self.usual_share(word);
            let by_chance =
                usual_share * posts + MIN_DEVIATIONS_ABOVE_CHANCE * (usual_share * posts + 1.0).sqrt();
            counted.share(**n) >= MIN_LIFT * usual_share && f64::from(**n) >= by_chance
        };
        // Few words are this frequent, so the usual share is looked up for few.
        let frequent = counted.words.iter().filter(|(_, n)| counted.share(**n) >= MIN_SHARE);
        let mut words: Vec<_> = frequent.filter(stands_out).collect();
        words.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        words.into_iter().take(MAX_STORM_WORDS).map(|(word, _)| (*word).to_owned()).collect()
    }

    /// Removes what a storm about these words accounts for, so that it raises no second alarm.
    pub fn subtract_storm(&mut self, words: &[String]) {
        self.current.windows.clear();
        let level = self.history.level(1);
        for bucket in self.history.buckets.iter_mut().chain([&mut self.current.bucket]) {
            bucket.counted.posts = bucket.counted.posts.min((bucket.expected * level).ceil() as u32);
            bucket.counted.words.retain(|word, _| !words.contains(word));
        }
        self.history.current_hour.2.retain(|word, _| !words.contains(word));
    }

    /// Returns the number of complaints in five minutes at or below which a storm is over.
    pub fn calm_threshold(&self, now: EventTime, policy: &Policy) -> f64 {
        let expected = self.profile.rate(now) * self.history.level(0) * BUCKET.as_secs() / 3600.0;
        expected.sqrt().max(f64::from(policy.storms.min_posts) / 5.0)
    }
}

/// Returns the stem of a topic: `stem|word`, or a word that is its own stem.
pub(crate) fn stem(topic: &str) -> &str {
    topic.split_once('|').map_or(topic, |(stem, _)| stem)
}

/// Returns the standard deviation of a count with this mean and dispersion.
fn deviation(mean: f64, factor: f64, relative_sd: f64) -> f64 {
    (factor * mean + (relative_sd * mean).powi(2) + 1.0).sqrt()
}

/// Drops the rarest words of a bucket.
fn keep_top_words(words: &mut BTreeMap<String, u32>) {
    if words.len() > MAX_BUCKET_WORDS {
        let mut counts: Vec<u32> = words.values().copied().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let cutoff = counts[MAX_BUCKET_WORDS - 1];
        words.retain(|_, n| *n > cutoff);
    }
}
