//! Generates the demo recording: one hour with invented texts and the timing of real cascades.
//!
//! Reshare times and follower counts come from real cascades (the SEISMIC and Twitter15/16 sets); texts,
//! names and the brand are invented. The same data and seed give the same bytes.

mod texts;

use std::path::Path;

use firewatch_domain::{
    Author, Body, BrandReply, Counters, Duration, Engagement, EngagementKind, Event, EventTime, Post,
    SCHEMA_VERSION,
};

use firewatch_backtest::cascades::{ReshareHistory, cascades};
use firewatch_report::{AnalysisError, files::write, random::mix, random::unit};
use texts::PostTemplate;

/// The brand of the recording.
const BRAND: &str = "aldermere";
/// 2026-03-10T14:00:00Z, a Tuesday.
const START: EventTime = EventTime::from_millis(1_773_151_200_000);
/// Length of the recording in seconds.
const HOUR: f64 = 3600.0;
/// Number of ordinary posts by kind.
const ORDINARY: [(&PostTemplate, u32); 5] = [
    (&texts::QUESTIONS, 950),
    (&texts::PRAISE, 600),
    (&texts::NEWS, 650),
    (&texts::COMPLAINTS, 150),
    (&texts::SPANISH, 30),
];
/// The wave of complaints: number of posts, start and end in seconds.
const WAVE: (u32, f64, f64) = (420, 1860.0, 2940.0);
/// The two named complaints: time in seconds, and followers of the author.
const QUIET: (f64, u64) = (372.0, 235);
const TAKES_OFF: (f64, u64) = (528.0, 1_840);
/// Target number of reshares within the hour for the complaint that takes off.
const WANTED_RESHARES: usize = 1_500;

/// The recording in progress: lines with their arrival times, and the data that posts are drawn from.
struct Script {
    dice: SeededRng,
    lines: Vec<(f64, String)>,
    followers: Vec<u64>,
    small: Vec<ReshareHistory>,
    posts: u32,
    events: u32,
}

/// Generates the recording from the cascades under `data`, writes it to `out`, and returns the number of
/// lines.
///
/// # Errors
/// When a file cannot be read or written.
pub fn generate(data: &Path, out: &Path, seed: u64) -> Result<usize, AnalysisError> {
    let large = cascades(&data.join("cascades/seismic100_dev.csv"))?;
    let small = cascades(&data.join("cascades/twitter1516_dev.csv"))?;
    let mut followers: Vec<u64> =
        large.iter().flat_map(|c| &c.reshares).filter_map(|r| r.followers).collect();
    followers.retain(|f| *f >= 12);
    let mut script = Script {
        dice: SeededRng { seed, drawn: 0 },
        lines: Vec::new(),
        followers,
        small,
        posts: 0,
        events: 0,
    };
    script.ordinary();
    script.wave();
    script.quiet();
    script.takes_off(&large)?;
    script.disorder();
    script.lines.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
    let mut bytes = Vec::new();
    for (_, line) in &script.lines {
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
    }
    write(out, &bytes)?;
    Ok(script.lines.len())
}

impl Script {
    fn ordinary(&mut self) {
        for (kind, n) in ORDINARY {
            for _ in 0..n {
                let secs = self.dice.unit() * HOUR;
                let root = self.post(kind, secs);
                self.small_spread(&root, secs, 0.08);
                if std::ptr::eq(kind, &texts::COMPLAINTS) && self.dice.chance(0.4) {
                    let after = 120.0 + 900.0 * self.dice.unit();
                    self.brand_reply(&root, secs + after);
                }
            }
        }
    }

    /// Adds the wave, which rises for a third of its time and falls for the rest.
    fn wave(&mut self) {
        let (n, begin, end) = WAVE;
        for _ in 0..n {
            let (a, b) = (self.dice.unit(), self.dice.unit());
            let place =
                if self.dice.chance(0.35) { a.max(b) / 3.0 } else { 1.0 / 3.0 + a.min(b) * 2.0 / 3.0 };
            let secs = begin + place * (end - begin);
            let root = self.post(&texts::OUTAGE, secs);
            self.small_spread(&root, secs, 0.12);
        }
    }

    fn quiet(&mut self) {
        let (secs, followers) = QUIET;
        let root = self.root("quiet", secs, Some(followers), texts::QUIET);
        for (i, after) in [140.0, 700.0, 1900.0].into_iter().enumerate() {
            self.engage(&root, secs + after, EngagementKind::Reshare, Some([48, 130, 77][i]));
        }
        for after in [60.0, 75.0, 320.0, 1200.0] {
            self.engage(&root, secs + after, EngagementKind::Like, Some(150));
        }
        // A reply after nine minutes, as in the user story.
        self.brand_reply(&root, secs + 540.0);
    }

    /// Adds the complaint that takes off, with the real cascade whose first fifty minutes come closest to the
    /// target.
    fn takes_off(&mut self, large: &[ReshareHistory]) -> Result<(), AnalysisError> {
        let (secs, followers) = TAKES_OFF;
        let within = |c: &ReshareHistory| c.reshares.iter().filter(|r| secs + r.secs < HOUR).count();
        let cascade = large.iter().min_by_key(|c| within(c).abs_diff(WANTED_RESHARES));
        let cascade = cascade.ok_or_else(|| AnalysisError::Step("the data has no large cascade".into()))?;
        let root = self.root("takes-off", secs, Some(followers), texts::TAKES_OFF);
        for (i, reshare) in cascade.reshares.iter().filter(|r| secs + r.secs < HOUR).enumerate() {
            self.engage(&root, secs + reshare.secs, EngagementKind::Reshare, reshare.followers);
            if i % 9 == 0 {
                self.engage(&root, secs + reshare.secs + 4.0, EngagementKind::Reply, reshare.followers);
            }
        }
        Ok(())
    }

    /// Adds delivery faults: repeated lines, lines that cannot be decoded, and a wrong clock.
    fn disorder(&mut self) {
        for i in 0..40 {
            let (secs, line) = self.lines[self.dice.below(self.lines.len())].clone();
            self.lines.push((secs + 1.0 + f64::from(i % 7), line));
        }
        let broken = [
            "{\"v\":1,\"id\":\"e-cut\",\"conversation\":\"c-9\",\"at\":\"2026-03-10T14:0",
            "not json at all",
            "{\"v\":1,\"id\":\"e-neg\",\"conversation\":\"c-9\",\"at\":\"2026-03-10T14:10:00Z\",\"engagement\":{\"kind\":\"like\",\"followers\":-5}}",
            "{\"v\":1,\"id\":\"e-old\",\"conversation\":\"c-9\",\"at\":\"1970-01-01T00:00:00Z\",\"engagement\":{\"kind\":\"like\"}}",
            "{\"v\":1,\"id\":\"e-two\",\"conversation\":\"c-9\",\"at\":\"2026-03-10T14:10:00Z\"}",
            "{\"v\":7,\"id\":\"e-new\",\"conversation\":\"c-9\",\"at\":\"2026-03-10T14:10:00Z\",\"engagement\":{\"kind\":\"like\"}}",
        ];
        for (i, line) in broken.into_iter().enumerate() {
            self.lines.push((500.0 * (i as f64 + 1.0), line.to_owned()));
        }
    }

    fn post(&mut self, kind: &PostTemplate, secs: f64) -> String {
        let sentence = kind.sentences[self.dice.below(kind.sentences.len())];
        let text = sentence.replace("{}", kind.words[self.dice.below(kind.words.len())]);
        let knows_followers = self.dice.chance(0.7);
        let followers = knows_followers.then(|| self.followers[self.dice.below(self.followers.len())]);
        self.posts += 1;
        let id = format!("c-{}", self.posts);
        self.root(&id, secs, followers, &text)
    }

    fn root(&mut self, id: &str, secs: f64, followers: Option<u64>, text: &str) -> String {
        // Facebook and Instagram do not provide follower counts.
        let platform = match followers {
            Some(_) => "x",
            None if self.dice.chance(0.6) => "facebook",
            None => "instagram",
        };
        let lang = if text.contains("nadie") || text.contains("ayuda") { "es" } else { "en" };
        let author = Author { id: format!("a-{id}"), followers, ..Author::default() };
        let lang = (platform == "x").then(|| lang.to_owned());
        let post = Post { id: id.into(), author: Some(author), text: text.into(), lang, ..Post::default() };
        self.event(id, secs, Some(platform), Body::Post(Box::new(post)));
        id.to_owned()
    }

    /// Adds a few reshares at real times, likes and counter snapshots, each at random.
    fn small_spread(&mut self, root: &str, secs: f64, share: f64) {
        if self.dice.chance(share) {
            let cascade = self.dice.below(self.small.len());
            let n = 1 + self.dice.below(5);
            let times: Vec<f64> = self.small[cascade].reshares.iter().take(n).map(|r| r.secs).collect();
            for after in times.into_iter().filter(|after| secs + after < HOUR) {
                let followers = self.followers[self.dice.below(self.followers.len())];
                self.engage(root, secs + after, EngagementKind::Reshare, Some(followers));
            }
        }
        if self.dice.chance(0.3) {
            let after = 30.0 + 600.0 * self.dice.unit();
            self.engage(root, secs + after, EngagementKind::Like, None);
        }
        if self.dice.chance(0.05) {
            let likes = Some(self.dice.below(40) as u64);
            let totals =
                Counters { likes, views: Some(200 + self.dice.below(3000) as u64), ..Counters::default() };
            self.event(root, secs + 300.0, None, Body::Counters(totals));
        }
    }

    fn engage(&mut self, root: &str, secs: f64, kind: EngagementKind, followers: Option<u64>) {
        let actor = Some(format!("a-{:x}", self.dice.next() >> 40));
        self.event(root, secs, None, Body::Engagement(Engagement::new(kind, actor, followers)));
    }

    fn brand_reply(&mut self, root: &str, secs: f64) {
        let text = texts::REPLIES[self.dice.below(texts::REPLIES.len())].into();
        self.event(root, secs, None, Body::BrandReply(BrandReply { account: "@AldermereCare".into(), text }));
    }

    /// Writes an event with a short arrival delay; events after the hour are dropped.
    fn event(&mut self, conversation: &str, secs: f64, platform: Option<&str>, body: Body) {
        if secs >= HOUR {
            return;
        }
        self.events += 1;
        let root = matches!(body, Body::Post(_));
        let event = Event {
            v: SCHEMA_VERSION,
            id: format!("e-{}", self.events),
            conversation: conversation.into(),
            at: START + Duration::from_millis((secs * 1000.0) as i64),
            brand: root.then(|| BRAND.to_owned()),
            platform: platform.map(Into::into),
            body,
        };
        // A root arrives at once; other events arrive up to eight seconds late and out of order.
        let delay = if root { 0.0 } else { -2.0 * (1.0 - self.dice.unit()).ln() };
        // Serialising plain texts and numbers cannot fail.
        if let Ok(line) = serde_json::to_string(&event) {
            self.lines.push((secs + delay.min(8.0), line));
        }
    }
}

/// A seeded random number generator.
struct SeededRng {
    seed: u64,
    drawn: u64,
}

impl SeededRng {
    fn next(&mut self) -> u64 {
        self.drawn += 1;
        mix(self.seed, self.drawn)
    }

    fn unit(&mut self) -> f64 {
        self.drawn += 1;
        unit(self.seed, self.drawn)
    }

    fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}
