//! The spread of one conversation, summed up in constant memory.
//!
//! Takes each engagement in O(1), in any order, and a repeat of a recent one not at all. What platforms
//! count themselves (snapshots) and what we see one by one are merged: the larger total is true.

use firewatch_domain::{
    Counters, Duration, Engagement, EngagementCounts, EngagementKind, EventTime, Velocity,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Audience, Pace};

/// Event ids remembered to recognise repeats.
const RECENT_IDS: usize = 24;
/// Accounts remembered so that one who reshares again and again counts once.
const RECENT_ACTORS: usize = 24;

/// A short memory of hashes: the last `N` distinct ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen<const N: usize> {
    hashes: [u32; N],
    next: u8,
}

impl<const N: usize> Default for Seen<N> {
    fn default() -> Self {
        Self { hashes: [0; N], next: 0 }
    }
}

impl<const N: usize> Seen<N> {
    /// Whether the id is new; it is remembered from now on. Two ids share a hash once in 4 thousand million.
    pub fn is_new(&mut self, id: &str) -> bool {
        let hash = fnv(id).max(1);
        if self.hashes.contains(&hash) {
            return false;
        }
        if let Some(slot) = self.hashes.get_mut(usize::from(self.next)) {
            *slot = hash;
        }
        self.next = (self.next + 1) % N as u8;
        true
    }
}

/// The slots in use and which comes next, each hash in four bytes: hashes do not shrink as other numbers do.
impl<const N: usize> Serialize for Seen<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let used: Vec<[u8; 4]> =
            self.hashes.iter().filter(|hash| **hash != 0).map(|hash| hash.to_le_bytes()).collect();
        (self.next, used).serialize(serializer)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Seen<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (next, used) = <(u8, Vec<[u8; 4]>)>::deserialize(deserializer)?;
        if used.len() > N || usize::from(next) >= N {
            return Err(D::Error::custom("more ids than are remembered"));
        }
        let mut seen = Self { hashes: [0; N], next };
        for (slot, hash) in seen.hashes.iter_mut().zip(used) {
            *slot = u32::from_le_bytes(hash);
        }
        Ok(seen)
    }
}

/// 64-bit FNV-1a folded to 32 bits: the same on every machine and in every version.
fn fnv(id: &str) -> u32 {
    let hash =
        id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    (hash ^ (hash >> 32)) as u32
}

/// A conversation's engagement, summed up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cascade {
    #[serde(with = "WholeCounts")]
    counts: EngagementCounts,
    #[serde(with = "WholeTotals")]
    totals: Counters,
    pace: Pace,
    audience: Audience,
    events: Seen<RECENT_IDS>,
    actors: Seen<RECENT_ACTORS>,
    snapshot_at: Option<EventTime>,
    first: Option<EventTime>,
    last: Option<EventTime>,
}

impl Cascade {
    /// Whether an event's id is new here; it is remembered from now on.
    pub fn is_new(&mut self, id: &str) -> bool {
        self.events.is_new(id)
    }

    /// The root post, or the first sign of the conversation.
    pub fn begin(&mut self, at: EventTime) {
        self.see(at);
        self.pace.advance(at);
    }

    /// The root's author.
    pub fn author(&mut self, id: &str, followers: Option<u64>) {
        if self.actors.is_new(id) {
            self.audience.add(followers);
        }
    }

    /// One reaction.
    pub fn engage(&mut self, engagement: &Engagement, at: EventTime) {
        self.see(at);
        let count = match engagement.kind {
            EngagementKind::Reshare => &mut self.counts.reshares,
            EngagementKind::Reply => &mut self.counts.replies,
            EngagementKind::Quote => &mut self.counts.quotes,
            EngagementKind::Like => {
                self.counts.likes += 1;
                self.pace.advance(at);
                return;
            }
        };
        *count += 1;
        self.pace.add(at);
        let carries = engagement.kind != EngagementKind::Reply;
        if carries && engagement.actor.as_ref().is_none_or(|a| self.actors.is_new(a)) {
            self.audience.add(engagement.followers);
        }
    }

    /// A snapshot of the platform's totals. Growth that was not seen one by one is spread over the time since the
    /// last snapshot, its carriers unknown.
    pub fn snapshot(&mut self, totals: &Counters, at: EventTime) {
        let before = self.counts();
        self.see(at);
        let larger = |a: Option<u64>, b: Option<u64>| a.max(b);
        self.totals = Counters {
            reshares: larger(self.totals.reshares, totals.reshares),
            replies: larger(self.totals.replies, totals.replies),
            quotes: larger(self.totals.quotes, totals.quotes),
            likes: larger(self.totals.likes, totals.likes),
            views: larger(self.totals.views, totals.views),
        };
        let after = self.counts();
        let carried = after.reshares + after.quotes - before.reshares - before.quotes;
        let grown = carried + after.replies - before.replies;
        let since = self.snapshot_at.or(self.first).unwrap_or(at).min(at);
        self.pace.add_spread(grown, at - since, at);
        self.audience.add_unknown(carried);
        self.snapshot_at = self.snapshot_at.max(Some(at));
    }

    /// Totals so far: what was seen, or the platform's larger count.
    #[must_use]
    pub fn counts(&self) -> EngagementCounts {
        EngagementCounts {
            reshares: self.counts.reshares.max(self.totals.reshares.unwrap_or(0)),
            replies: self.counts.replies.max(self.totals.replies.unwrap_or(0)),
            quotes: self.counts.quotes.max(self.totals.quotes.unwrap_or(0)),
            likes: self.counts.likes.max(self.totals.likes.unwrap_or(0)),
            views: self.totals.views,
        }
    }

    /// Reshares and quotes: how often it was passed on.
    #[must_use]
    pub fn spread(&self) -> u64 {
        let counts = self.counts();
        counts.reshares + counts.quotes
    }

    /// Who carries it.
    #[must_use]
    pub fn audience(&self) -> &Audience {
        &self.audience
    }

    /// Time from the first sign to the last.
    #[must_use]
    pub fn age(&self) -> Duration {
        match (self.first, self.last) {
            (Some(first), Some(last)) => last - first,
            _ => Duration::default(),
        }
    }

    /// The latest time seen.
    #[must_use]
    pub fn last(&self) -> Option<EventTime> {
        self.last
    }

    /// The pace at the latest time seen.
    #[must_use]
    pub fn velocity(&self) -> Velocity {
        self.pace.velocity(self.age())
    }

    fn see(&mut self, at: EventTime) {
        self.first = Some(self.first.map_or(at, |t| t.min(at)));
        self.last = self.last.max(Some(at));
    }
}

/// The wire's record leaves out what is absent, which a binary format cannot; state is written in full.
#[derive(Serialize, Deserialize)]
#[serde(remote = "EngagementCounts")]
struct WholeCounts {
    reshares: u64,
    replies: u64,
    quotes: u64,
    likes: u64,
    views: Option<u64>,
}

/// As [`WholeCounts`], for the platform's totals.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Counters")]
struct WholeTotals {
    reshares: Option<u64>,
    replies: Option<u64>,
    quotes: Option<u64>,
    likes: Option<u64>,
    views: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reshare(actor: &str, followers: u64) -> Engagement {
        Engagement { kind: EngagementKind::Reshare, actor: Some(actor.into()), followers: Some(followers) }
    }

    fn at(secs: i64) -> EventTime {
        EventTime::from_millis(secs * 1000)
    }

    #[test]
    fn an_account_that_reshares_again_is_heard_once() {
        let mut cascade = Cascade::default();
        cascade.begin(at(0));
        for i in 0..50 {
            cascade.engage(&reshare("loud", 1000), at(i));
        }
        assert_eq!(cascade.spread(), 50);
        assert_eq!(cascade.audience().reach().estimate, 1000);
    }

    #[test]
    fn snapshots_and_single_events_merge_to_the_larger() {
        let mut cascade = Cascade::default();
        cascade.begin(at(0));
        for i in 0..10 {
            cascade.engage(&reshare(&i.to_string(), 5), at(i));
        }
        cascade.snapshot(&Counters { reshares: Some(7), views: Some(900), ..Counters::default() }, at(60));
        assert_eq!(cascade.counts().reshares, 10);
        cascade.snapshot(&Counters { reshares: Some(25), ..Counters::default() }, at(120));
        assert_eq!(cascade.counts().reshares, 25);
        assert_eq!(cascade.counts().views, Some(900));
        assert_eq!(cascade.audience().reach().unknown, 15);
        cascade.snapshot(&Counters { reshares: Some(20), ..Counters::default() }, at(180));
        assert_eq!(cascade.counts().reshares, 25, "totals never shrink");
    }

    #[test]
    fn recent_ids_are_recognised_and_old_ones_forgotten() {
        let mut seen = Seen::<4>::default();
        assert!(["a", "b", "c", "d"].iter().all(|id| seen.is_new(id)));
        assert!(!seen.is_new("a"));
        assert!(seen.is_new("e"));
        assert!(seen.is_new("a"), "forgotten after four others");
    }

    #[test]
    fn memory_is_constant() {
        assert!(size_of::<Cascade>() <= 512, "{}", size_of::<Cascade>());
    }
}
