//! The stream of the fault suite: conversations about eight brands, with repeats, disorder, invalid records,
//! replies and actions of teams. The same seed gives the same stream.

use fastrand::Rng;
use firewatch_domain::{Duration, EventTime};
use firewatch_engine::Partitioner;
use serde_json::{Value, json};

/// The policy of the instances and the undisturbed run.
pub const POLICY: &str = "version = \"faults\"\nhorizon = \"10m\"\nviral_bar = 60\n\
    [windows]\nstep = \"30s\"\n[storms]\ngroup_interval = \"1m\"\nexpected_per_hour = 60\n\
    [brands.b0]\nhandles = [\"@b0\"]\n[brands.b1]\n[brands.b2]\n[brands.b3]\n[brands.b4]\n[brands.b5]\n[brands.b6]\n[brands.b7]\n";
/// Number of conversations that are active at once.
const ALIVE: usize = 300;
/// Event time of the first record: 2026-03-10T14:00:00Z.
const START: i64 = 1_773_151_200_000;

const ANGRY: [&str; 5] = [
    "This is terrible, the worst service ever, I am so angry and disgusted",
    "Your portal is down again and nobody answers the phone, what a shame",
    "Horrible. I was charged twice and support hung up on me, disgusting",
    "Useless app, crashes on every login, I hate this company",
    "Three hours on hold for nothing, awful, I am furious",
];
const CALM: [&str; 4] = [
    "Where do I find the form for next year?",
    "Thank you for the quick help today, great service",
    "Is the office open on Friday?",
    "I love the new app, well done",
];

/// A record to feed.
pub struct Line {
    pub key: String,
    pub value: Vec<u8>,
    pub is_action: bool,
}

/// Generates the stream, record by record.
pub struct Stream {
    rng: Rng,
    /// Event time in milliseconds.
    now: i64,
    made: u64,
    conversations: u64,
    alive: Vec<String>,
    recent: Vec<(String, Vec<u8>)>,
}

impl Stream {
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            now: START,
            made: 0,
            conversations: 0,
            alive: Vec::new(),
            recent: Vec::new(),
        }
    }

    /// Returns the event time so far.
    pub fn now(&self) -> EventTime {
        EventTime::from_millis(self.now)
    }

    /// Returns the next record and advances event time by `span`.
    pub fn next(&mut self, span: Duration) -> Line {
        self.now += span.as_millis();
        self.made += 1;
        if self.made.is_multiple_of(400) {
            return self.action();
        }
        let (key, value) = match self.rng.u32(0..1000) {
            0..4 => (format!("bad{}", self.made), format!("no record {}", self.made).into_bytes()),
            4..34 if !self.recent.is_empty() => {
                let repeat = self.rng.usize(0..self.recent.len());
                self.recent[repeat].clone()
            }
            _ => self.event(),
        };
        self.recent.push((key.clone(), value.clone()));
        if self.recent.len() > 50 {
            self.recent.remove(0);
        }
        Line { key, value, is_action: false }
    }

    fn event(&mut self) -> (String, Vec<u8>) {
        let begins = self.alive.len() < ALIVE / 10 || self.rng.u32(0..100) < 8;
        let (key, body) = if begins { self.begin() } else { self.go_on() };
        // Records come up to half a minute late, so they are out of order.
        let at = EventTime::from_millis(self.now - self.rng.i64(0..30_000));
        let mut event = json!({ "v": 1, "id": format!("e{}", self.made), "conversation": key, "at": at });
        if let (Some(event), Some(body)) = (event.as_object_mut(), body.as_object()) {
            event.extend(body.clone());
        }
        (key, event.to_string().into_bytes())
    }

    fn begin(&mut self) -> (String, Value) {
        self.conversations += 1;
        let id = format!("c{}", self.conversations);
        if self.alive.len() >= ALIVE {
            let gone = self.rng.usize(0..self.alive.len());
            self.alive.swap_remove(gone);
        }
        self.alive.push(id.clone());
        let angry = self.rng.u32(0..10) < 4;
        let text = if angry { self.rng.choice(ANGRY) } else { self.rng.choice(CALM) };
        let author = json!({ "id": format!("a{}", self.conversations), "followers": self.rng.u32(1..5000) });
        let post = json!({ "id": id, "author": author, "text": text, "lang": "en" });
        let brand = format!("b{}", self.rng.u32(0..9));
        (id, json!({ "brand": brand, "platform": "x", "post": post }))
    }

    fn go_on(&mut self) -> (String, Value) {
        // A cubed uniform rank prefers the oldest: some conversations take off, most do not.
        let rank = (self.rng.f64().powi(3) * self.alive.len() as f64) as usize;
        let id = self.alive[rank.min(self.alive.len() - 1)].clone();
        let actor = format!("u{}", self.rng.u32(0..100_000));
        let followers = (self.rng.u32(0..10) > 0).then(|| self.rng.u32(1..20_000));
        let engagement =
            |kind: &str| json!({ "engagement": { "kind": kind, "actor": actor, "followers": followers } });
        let body = match self.rng.u32(0..100) {
            0..55 => engagement("reshare"),
            55..80 => engagement("like"),
            80..90 => {
                let author = json!({ "id": actor, "followers": followers });
                let text = self.rng.choice(ANGRY).unwrap_or_default();
                json!({ "post": { "id": format!("p{}", self.made), "author": author, "text": text, "lang": "en", "in_reply_to": id } })
            }
            90..97 => {
                json!({ "counters": { "reshares": self.rng.u32(0..80), "likes": self.rng.u32(0..500) } })
            }
            _ => json!({ "brand_reply": { "account": "@b0", "text": "Please send us a direct message" } }),
        };
        (id, body)
    }

    fn action(&mut self) -> Line {
        let id = self.rng.choice(&self.alive).cloned().unwrap_or_else(|| "c1".into());
        let kind = self.rng.choice(["acknowledge", "reply", "hand_off", "resolve", "silence"]);
        let mut action = json!({
            "v": 1, "id": format!("x{}", self.made), "conversation": id, "at": self.now(), "by": "kim", "kind": kind,
        });
        if kind == Some("silence") {
            action["until"] = json!(EventTime::from_millis(self.now + 120_000));
        }
        Line { key: id, value: action.to_string().into_bytes(), is_action: true }
    }

    /// Returns a last record for a partition, so late that it ends everything before it.
    pub fn last(&self, partition: u32, partitions: u32) -> Line {
        // A key of the partition: a record of another one would be forwarded.
        let id = (0..).map(|n| format!("last{n}"));
        let mut own =
            id.filter(|id| Partitioner::default().partition(id.as_bytes(), partitions) == partition);
        let id = own.next().unwrap_or_default();
        let at = EventTime::from_millis(self.now + 6 * 3_600_000);
        let event = json!({
            "v": 1, "id": "last", "conversation": id, "at": at, "engagement": { "kind": "like", "actor": "nobody" },
        });
        Line { key: id, value: event.to_string().into_bytes(), is_action: false }
    }
}
