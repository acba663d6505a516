//! Whether there are more complaints of late than usual, in all or about one thing, over five minutes, half an hour and
//! two hours: a spike shows in the first, a slow rise in the last.
//!
//! Counts are compared with the season's mean times today's level. They vary more than a Poisson variable would, by a
//! factor that is measured for each span. So an alarm is at m + k sqrt(f m + (d m)^2 + 1), where f is that factor and d
//! the season's doubt. What is learnt is clipped, so that a storm does not become the usual.

use std::collections::{BTreeMap, HashMap, VecDeque};

use firewatch_domain::{Duration, EventTime};
use serde::{Deserialize, Serialize};

use crate::Policy;
use crate::season::Season;

/// The shortest span, and how long a bucket is of which the others are made.
const BUCKET: Duration = Duration::from_mins(5);
/// How often the longer spans are looked at.
const LOOK: Duration = Duration::from_mins(1);
/// Buckets in each span.
const SPANS: [usize; 3] = [1, 6, 24];
/// Time after which what was seen of the level counts half: for the shortest span, and for the others, which would else
/// take a slow rise for the level.
const HALF_LIVES: [f64; 2] = [2.0 * 3600.0, 12.0 * 3600.0];
/// Complaints that the season counts for against what was seen of the level.
const LEVEL_PRIOR: f64 = 8.0;
/// How far the level may be from the season's.
const LEVELS: (f64, f64) = (0.4, 2.5);
/// What a bucket keeps of what was measured of the variance: half after three days.
const VARIANCE_KEEP: f64 = 0.9992;
/// Standard deviations at which what is learnt is clipped.
const CLIP: f64 = 2.0;
/// Without a complaint for as long as so many are usual, the feed is silent and not the people.
const SILENT: f64 = 8.0;
/// Deviations that complaints about one thing need on top, as there are many things.
const MORE_FOR_WORDS: f64 = 1.0;
/// Deviations that complaints about no one thing need on top: they are a busy time rather than a storm.
const MORE_WITHOUT_WORDS: f64 = 2.0;
/// A storm's word is in at least this share of its complaints...
const LEAST_SHARE: f64 = 0.3;
/// ...and so many times more frequent than usual.
const LEAST_LIFT: f64 = 3.0;
/// ...and so many standard deviations more than chance puts it into so many complaints.
const LEAST_BEYOND_CHANCE: f64 = 4.0;
/// Words that a storm is named by, at most.
const STORM_WORDS: usize = 3;
/// Words of a bucket that are kept, the most frequent.
const BUCKET_WORDS: usize = 32;

/// Complaints of a window or a bucket.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub posts: u32,
    pub words: BTreeMap<String, u32>,
}

/// A bucket, with what the season makes usual in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Bucket {
    counted: Window,
    usual: f64,
    /// How much of it was watched.
    watched: Duration,
}

/// The last two hours, and what they say of the level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lately {
    buckets: VecDeque<Bucket>,
    /// Complaints, and what the season made usual, older ones counted less; for each half-life.
    levels: [(f64, f64); 2],
    /// Variance over mean, for each span.
    factors: [f64; 3],
    /// The hour so far: complaints clipped, time watched, words.
    hour: (f64, Duration, BTreeMap<String, u32>),
    /// What was usual since the last complaint.
    silent: f64,
}

/// The last five minutes, window by window, and the bucket that is not over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recent {
    windows: VecDeque<(EventTime, Window)>,
    open: Bucket,
}

/// Too many complaints.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Alarm {
    /// How many, within how long, and how many are usual.
    pub posts: u32,
    pub span: Duration,
    pub usual: f64,
    /// How far beyond the usual, in standard deviations.
    pub deviations: f64,
    /// The words that set them apart, most frequent first.
    pub words: Vec<String>,
}

/// What was counted within a span, and how many the season makes usual in it.
#[derive(Default)]
struct Counted<'a> {
    posts: u32,
    words: HashMap<&'a str, u32>,
    usual: f64,
}

impl<'a> Counted<'a> {
    fn add(&mut self, window: &'a Window) {
        self.posts += window.posts;
        for (word, n) in &window.words {
            *self.words.entry(word).or_default() += n;
        }
    }

    /// The share of its complaints that so many are.
    fn share(&self, n: u32) -> f64 {
        f64::from(n) / f64::from(self.posts.max(1))
    }
}

/// What is known of a brand's volume.
pub(crate) struct Volume<'a> {
    pub season: &'a mut Season,
    pub lately: &'a mut Lately,
    pub recent: &'a mut Recent,
}

impl Window {
    /// Takes a complaint in.
    pub fn take(&mut self, words: &[String]) {
        self.posts += 1;
        for word in words {
            *self.words.entry(stem(word).to_owned()).or_default() += 1;
        }
    }

    fn add(&mut self, other: &Self) {
        self.posts += other.posts;
        for (word, n) in &other.words {
            *self.words.entry(word.clone()).or_default() += n;
        }
    }
}

impl Lately {
    pub fn new() -> Self {
        Self {
            buckets: VecDeque::new(),
            levels: [(0.0, 0.0); 2],
            factors: [1.5, 2.0, 3.0],
            hour: (0.0, Duration::ZERO, BTreeMap::new()),
            silent: 0.0,
        }
    }

    fn level(&self, span: usize) -> f64 {
        let (seen, usual) = self.levels[span.min(1)];
        ((LEVEL_PRIOR + seen) / (LEVEL_PRIOR + usual)).clamp(LEVELS.0, LEVELS.1)
    }
}

impl Recent {
    pub fn new() -> Self {
        Self { windows: VecDeque::new(), open: Bucket::default() }
    }
}

/// What changed when a window was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Closed {
    pub bucket: bool,
    pub hour: bool,
}

impl Volume<'_> {
    /// Takes the window from `start` to `end` in; `learns` when what is in it can be usual.
    pub fn push(&mut self, window: Window, (start, end): (EventTime, EventTime), learns: bool) -> Closed {
        let open = &mut self.recent.open;
        open.usual += self.season.rate(start) * (end - start).as_secs() / 3600.0;
        open.watched = open.watched + (end - start);
        open.counted.add(&window);
        self.recent.windows.push_back((start, window));
        while self.recent.windows.front().is_some_and(|(at, _)| end - *at > BUCKET) {
            self.recent.windows.pop_front();
        }
        let mut closed = Closed::default();
        if start.floor(BUCKET) != end.floor(BUCKET) {
            closed.bucket = true;
            self.close_bucket(start, learns);
            let hour = Duration::from_mins(60);
            if start.floor(hour) != end.floor(hour) {
                closed.hour = true;
                let (posts, watched, words) = std::mem::take(&mut self.lately.hour);
                if watched > Duration::ZERO {
                    self.season.learn(start, posts, watched.as_secs() / 3600.0, &words);
                }
            }
        }
        closed
    }

    fn close_bucket(&mut self, at: EventTime, learns: bool) {
        let mut bucket = std::mem::take(&mut self.recent.open);
        keep_most_frequent(&mut bucket.counted.words);
        let lately = &mut *self.lately;
        let seen = f64::from(bucket.counted.posts);
        lately.silent =
            if bucket.counted.posts == 0 { lately.silent + bucket.usual * lately.level(0) } else { 0.0 };
        let (usual, watched) = (bucket.usual, bucket.watched);
        let words = bucket.counted.words.clone();
        lately.buckets.push_back(bucket);
        while lately.buckets.len() > SPANS[2] {
            lately.buckets.pop_front();
        }
        if !learns || lately.silent >= SILENT {
            return;
        }
        let doubt = self.season.doubt(at);
        for (i, buckets) in SPANS.into_iter().enumerate() {
            let last = lately.buckets.iter().rev().take(buckets);
            let (seen, usual) =
                last.fold((0.0, 0.0), |(n, m), b| (n + f64::from(b.counted.posts), m + b.usual));
            let m = (usual * lately.level(i)).max(0.5);
            let off = ((seen - m).powi(2) / (m + (doubt * m).powi(2) / lately.factors[i]))
                .min(9.0 * lately.factors[i]);
            lately.factors[i] = (VARIANCE_KEEP * lately.factors[i] + (1.0 - VARIANCE_KEEP) * off).max(1.0);
        }
        let m = usual * lately.level(0);
        let most = m + CLIP * deviation(m, lately.factors[0], doubt);
        let clipped = seen.min(most);
        for (level, half_life) in lately.levels.iter_mut().zip(HALF_LIVES) {
            let keep = 0.5_f64.powf(watched.as_secs() / half_life);
            *level = (level.0 * keep + clipped, level.1 * keep + usual);
        }
        lately.hour.0 += clipped;
        lately.hour.1 = lately.hour.1 + watched;
        for (word, n) in words {
            *lately.hour.2.entry(word).or_default() += n;
        }
    }

    /// Whether there are too many complaints, over the span in which that shows most.
    pub fn alarm(&self, now: EventTime, policy: &Policy) -> Option<Alarm> {
        // What shows over longer spans only can wait for the full minute.
        let spans = if now.floor(LOOK) > now - policy.windows.step { SPANS.len() } else { 1 };
        let alarms = (0..spans).filter_map(|span| self.alarm_over(span, now, policy));
        alarms.max_by(|a, b| a.deviations.total_cmp(&b.deviations))
    }

    /// What was counted within a span, if it is so many complaints at least: words are looked at for no fewer.
    fn within(&self, span: usize, now: EventTime, least: u32) -> Option<Counted<'_>> {
        let buckets = || {
            let closed = self.lately.buckets.iter().rev().take(SPANS[span] - 1);
            closed.chain([&self.recent.open]).filter(|_| span > 0)
        };
        let recent = || self.recent.windows.iter().map(|(_, window)| window).filter(|_| span == 0);
        let windows = || recent().chain(buckets().map(|bucket| &bucket.counted));
        if windows().map(|window| window.posts).sum::<u32>() < least {
            return None;
        }
        let mut counted = Counted::default();
        windows().for_each(|window| counted.add(window));
        let from = self.recent.windows.front().map_or(now, |(at, _)| *at);
        counted.usual = match span {
            0 => self.season.rate(now) * (now - from).as_secs() / 3600.0,
            _ => buckets().map(|bucket| bucket.usual).sum(),
        };
        Some(counted)
    }

    fn alarm_over(&self, span: usize, now: EventTime, policy: &Policy) -> Option<Alarm> {
        let (k, least) = (policy.storms.deviations, policy.storms.least_posts);
        let counted = self.within(span, now, least)?;
        let (m, d) = (counted.usual * self.lately.level(span), self.season.doubt(now));
        let beyond = |n: u32, m: f64| (f64::from(n) - m) / deviation(m, self.lately.factors[span], d);
        let words = self.standing_out(&counted);
        let span = Duration::from_millis(BUCKET.as_millis() * SPANS[span] as i64);
        let all = beyond(counted.posts, m) - if words.is_empty() { MORE_WITHOUT_WORDS } else { 0.0 };
        let candidates = counted.words.iter().filter(|(_, n)| **n >= least);
        let one_thing = candidates
            .map(|(word, n)| (*word, *n, self.share(word)))
            .filter(|(_, n, usual)| counted.share(*n) >= LEAST_LIFT * usual)
            .map(|(word, n, usual)| (word, n, m * usual, beyond(n, m * usual) - MORE_FOR_WORDS))
            .max_by(|a, b| a.3.total_cmp(&b.3).then_with(|| b.0.cmp(a.0)));
        match one_thing {
            Some((word, posts, usual, deviations)) if deviations >= k && deviations >= all => {
                let words = if words.iter().any(|w| w == word) { words } else { vec![word.to_owned()] };
                Some(Alarm { posts, span, usual, deviations, words })
            }
            _ => (all >= k).then_some(Alarm { posts: counted.posts, span, usual: m, deviations: all, words }),
        }
    }

    /// The share of complaints that usually have a word.
    fn share(&self, word: &str) -> f64 {
        let (posts, _, words) = &self.lately.hour;
        self.season.share(word, (f64::from(words.get(word).copied().unwrap_or_default()), *posts))
    }

    /// What sets complaints apart from the usual ones, most frequent first.
    fn standing_out(&self, counted: &Counted<'_>) -> Vec<String> {
        let posts = f64::from(counted.posts.max(1));
        let stands_out = |(word, n): &(&&str, &u32)| {
            let usual = self.share(word);
            let by_chance = usual * posts + LEAST_BEYOND_CHANCE * (usual * posts + 1.0).sqrt();
            counted.share(**n) >= LEAST_LIFT * usual && f64::from(**n) >= by_chance
        };
        // Few words are so frequent, and what is usual of a word is looked up.
        let frequent = counted.words.iter().filter(|(_, n)| counted.share(**n) >= LEAST_SHARE);
        let mut words: Vec<_> = frequent.filter(stands_out).collect();
        words.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        words.into_iter().take(STORM_WORDS).map(|(word, _)| (*word).to_owned()).collect()
    }

    /// Takes out what a storm about these words accounts for, so that it is not seen twice.
    pub fn account_for(&mut self, words: &[String]) {
        self.recent.windows.clear();
        let level = self.lately.level(1);
        for bucket in self.lately.buckets.iter_mut().chain([&mut self.recent.open]) {
            bucket.counted.posts = bucket.counted.posts.min((bucket.usual * level).ceil() as u32);
            bucket.counted.words.retain(|word, _| !words.contains(word));
        }
        self.lately.hour.2.retain(|word, _| !words.contains(word));
    }

    /// Complaints about one thing in five minutes at which its storm is over.
    pub fn calm(&self, now: EventTime, policy: &Policy) -> f64 {
        let usual = self.season.rate(now) * self.lately.level(0) * BUCKET.as_secs() / 3600.0;
        usual.sqrt().max(f64::from(policy.storms.least_posts) / 5.0)
    }
}

/// The stem of a word as conversations tell it, `stem|word` or a word that is its own stem.
pub(crate) fn stem(told: &str) -> &str {
    told.split_once('|').map_or(told, |(stem, _)| stem)
}

/// The standard deviation of a count with this mean.
fn deviation(mean: f64, factor: f64, doubt: f64) -> f64 {
    (factor * mean + (doubt * mean).powi(2) + 1.0).sqrt()
}

fn keep_most_frequent(words: &mut BTreeMap<String, u32>) {
    if words.len() > BUCKET_WORDS {
        let mut counts: Vec<u32> = words.values().copied().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let least = counts[BUCKET_WORDS - 1];
        words.retain(|_, n| *n > least);
    }
}

/// Windows in the shortest span.
pub(crate) fn span_windows(policy: &Policy) -> usize {
    (BUCKET.as_millis() / policy.windows.step.as_millis()).max(1) as usize
}
