//! The spread of one conversation, summarised in constant memory.
//!
//! Each engagement is folded in with O(1) time, in any order. Platform counter snapshots and individual
//! events are merged: growth that a snapshot reported first is not counted again when its events arrive.

use firewatch_domain::{
    AccountKind, Counters, Duration, Engagement, EngagementCounts, EngagementKind, EventTime, Velocity,
};
use serde::{Deserialize, Serialize};

use crate::age_histogram::{AgeHistogram, GrowthCurve};
use crate::decay::{DecayFactors, DecayedSum, TIME_CONSTANTS};
use crate::recent_ids::RecentIds;
use crate::velocity::{Pace, weight};
use crate::{Audience, TYPICAL_FOLLOWERS};

/// Number of recent event ids kept to detect repeated events.
const RECENT_IDS: usize = 20;
/// Number of recent accounts kept, so that an account that reshares repeatedly counts once.
const RECENT_ACTORS: usize = 12;

/// The summary of a conversation's engagement.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cascade {
    #[serde(with = "WholeCounts")]
    counts: EngagementCounts,
    /// The part of `counts` that snapshots reported and no event has confirmed yet: reshares, replies,
    /// quotes, likes.
    snapshot_only: [u64; 4],
    pace: Pace,
    /// Reshares and quotes, decayed.
    reshare_sums: DecayedSum,
    /// Followers of the author and of everyone who reshared, decayed since they were exposed.
    exposure_sums: DecayedSum,
    reshare_ages: AgeHistogram,
    audience: Audience,
    author_followers: Option<u64>,
    recent_events: RecentIds<RECENT_IDS>,
    recent_actors: RecentIds<RECENT_ACTORS>,
    snapshot_at: Option<EventTime>,
    first: Option<EventTime>,
    last: Option<EventTime>,
    last_reshare_at: Option<EventTime>,
}

impl Cascade {
    /// Inserts an event id and returns whether it was new.
    pub fn insert_id(&mut self, id: &str) -> bool {
        self.recent_events.insert(id)
    }

    /// Returns the hash of the event id that the next new one displaces; `None` while there is room.
    #[must_use]
    pub fn next_displaced_id(&self) -> Option<u32> {
        self.recent_events.next_displaced()
    }

    /// Returns whether an event id is among those inserted last.
    #[must_use]
    pub fn has_id(&self, id: &str) -> bool {
        self.recent_events.contains(id)
    }

    /// Advances the summary to a time, without an engagement. Call it for the root post and before reading
    /// the summary at a later time.
    pub fn observe_time(&mut self, at: EventTime) {
        self.advance_to(at);
    }

    /// Records the author of the root post as its first carrier, at the time of the post.
    pub fn observe_author(&mut self, id: &str, followers: Option<u64>, at: EventTime) {
        let factors = self.advance_to(at);
        if self.recent_actors.insert(id) {
            self.author_followers = followers;
            self.add_carrier(followers, at, &factors);
        }
    }

    /// Folds in one engagement.
    pub fn observe_engagement(&mut self, engagement: &Engagement, at: EventTime) {
        let factors = self.advance_to(at);
        let already_counted = self.count_engagement(engagement.kind, at);
        if engagement.kind == EngagementKind::Like {
            return;
        }
        // Followers of bots and of the brand itself do not count as audience.
        let is_person = !matches!(engagement.account, Some(AccountKind::Bot | AccountKind::Brand));
        let carries = is_person && engagement.kind != EngagementKind::Reply;
        let new = !carries || engagement.actor.as_ref().is_none_or(|a| self.recent_actors.insert(a));
        if !already_counted {
            let weight = if new && is_person { weight(engagement.followers) } else { 0.0 };
            self.pace.add(1.0, weight, &factors);
        }
        if !carries || !new {
            return;
        }
        if already_counted {
            // The snapshot counted it as an account with unknown followers.
            self.audience.forget_unknown();
            self.exposure_sums.add(-(TYPICAL_FOLLOWERS as f64), &factors);
        } else {
            self.reshare_ages.add(self.age_at(at));
            self.reshare_sums.add(1.0, &factors);
            self.last_reshare_at = self.last_reshare_at.max(Some(at));
        }
        self.add_carrier(engagement.followers, at, &factors);
    }

    /// Adds a carrier: an account whose followers see the post.
    fn add_carrier(&mut self, followers: Option<u64>, at: EventTime, factors: &DecayFactors) {
        self.audience.add(followers, at);
        self.exposure_sums.add(followers.unwrap_or(TYPICAL_FOLLOWERS) as f64, factors);
    }

    /// Counts one engagement. Returns whether a snapshot had counted it already.
    fn count_engagement(&mut self, kind: EngagementKind, at: EventTime) -> bool {
        let (count, unseen) = match kind {
            EngagementKind::Reshare => (&mut self.counts.reshares, 0),
            EngagementKind::Reply => (&mut self.counts.replies, 1),
            EngagementKind::Quote => (&mut self.counts.quotes, 2),
            EngagementKind::Like => (&mut self.counts.likes, 3),
        };
        let unseen = &mut self.snapshot_only[unseen];
        let already_counted = *unseen > 0 && self.snapshot_at.is_some_and(|snapshot| at <= snapshot);
        if already_counted {
            *unseen -= 1;
        } else {
            *count += 1;
        }
        already_counted
    }

    /// Folds in a snapshot of the platform's totals. Growth without individual events is spread evenly over
    /// the time since the last snapshot, with carriers of unknown followers.
    pub fn observe_snapshot(&mut self, totals: &Counters, at: EventTime) {
        self.advance_to(at);
        let reported = [totals.reshares, totals.replies, totals.quotes, totals.likes];
        let counts = &mut self.counts;
        let counted = [&mut counts.reshares, &mut counts.replies, &mut counts.quotes, &mut counts.likes];
        let mut grown = [0; 4];
        for (i, (count, reported_total)) in counted.into_iter().zip(reported).enumerate() {
            grown[i] = reported_total.unwrap_or(0).saturating_sub(*count);
            *count += grown[i];
            self.snapshot_only[i] += grown[i];
        }
        counts.views = counts.views.max(totals.views);
        let [reshares, replies, quotes, _] = grown;
        let carried = reshares + quotes;
        let since = self.snapshot_at.or(self.first).unwrap_or(at).min(at);
        let factors = DecayFactors::mean_over((at - since).as_secs(), self.lateness_secs(at));
        self.pace.add((carried + replies) as f64, (carried + replies) as f64, &factors);
        if carried > 0 {
            self.reshare_ages.add_evenly(carried, self.age_at(since), self.age_at(at));
            self.reshare_sums.add(carried as f64, &factors);
            self.last_reshare_at = self.last_reshare_at.max(Some(at));
            self.exposure_sums.add((carried * TYPICAL_FOLLOWERS) as f64, &factors);
            self.audience.add_unknown(carried);
        }
        self.snapshot_at = self.snapshot_at.max(Some(at));
    }

    /// Returns the totals so far: for each kind the larger of the observed and the platform's count.
    #[must_use]
    pub fn counts(&self) -> EngagementCounts {
        self.counts
    }

    /// Returns the number of reshares and quotes.
    #[must_use]
    pub fn spread(&self) -> u64 {
        self.counts.reshares + self.counts.quotes
    }

    /// Returns the number of accounts that reshared or quoted. An account counts once while it is among the
    /// recent accounts.
    #[must_use]
    pub fn resharers(&self) -> u64 {
        self.reshare_ages.total()
    }

    /// Returns the summary of the carriers: the author and the accounts that reshared or quoted.
    #[must_use]
    pub fn audience(&self) -> &Audience {
        &self.audience
    }

    /// Returns the follower count of the root's author, if known.
    #[must_use]
    pub fn author_followers(&self) -> Option<u64> {
        self.author_followers
    }

    /// Returns the mean follower count of accounts that reshare. Unknown counts are taken as
    /// [`TYPICAL_FOLLOWERS`]. The author is excluded, because a famous author does not predict the size of
    /// resharers.
    #[must_use]
    pub fn mean_followers(&self) -> f64 {
        self.audience.mean(TYPICAL_FOLLOWERS, self.author_followers)
    }

    /// Returns how many accounts `carriers` further carriers would add to the reach.
    #[must_use]
    pub fn reach_growth(&self, carriers: f64) -> f64 {
        self.audience.reach_growth(carriers, self.mean_followers())
    }

    /// Returns the time from the earliest to the latest event.
    #[must_use]
    pub fn age(&self) -> Duration {
        match (self.first, self.last) {
            (Some(first), Some(last)) => last - first,
            _ => Duration::default(),
        }
    }

    /// Returns the time since the last reshare or quote, or the age if there was none.
    pub(crate) fn since_last_reshare(&self) -> Duration {
        match (self.last_reshare_at, self.last) {
            (Some(at), Some(last)) => last - at,
            _ => self.age(),
        }
    }

    /// Returns the earliest event time.
    #[must_use]
    pub fn first_seen(&self) -> Option<EventTime> {
        self.first
    }

    /// Returns the latest event time.
    #[must_use]
    pub fn last_seen(&self) -> Option<EventTime> {
        self.last
    }

    /// Returns the pace at the latest event time.
    #[must_use]
    pub fn velocity(&self) -> Velocity {
        self.pace.velocity(self.age())
    }

    /// Returns the growth curve of [`resharers`](Self::resharers) over age.
    pub(crate) fn growth_curve(&self) -> GrowthCurve {
        self.reshare_ages.curve(self.age().as_secs())
    }

    /// Returns the decayed number of reshares, for each of [`TIME_CONSTANTS`].
    pub(crate) fn reshare_sums(&self) -> [f64; TIME_CONSTANTS.len()] {
        self.reshare_sums.sums()
    }

    /// Returns the decayed number of exposed followers, for each of [`TIME_CONSTANTS`]. Unknown follower
    /// counts are taken as [`TYPICAL_FOLLOWERS`].
    pub(crate) fn exposure_sums(&self) -> [f64; TIME_CONSTANTS.len()] {
        self.exposure_sums.sums()
    }

    /// Advances to `at` and returns the decay factors of an event at that time. They are below 1 for a late
    /// event.
    fn advance_to(&mut self, at: EventTime) -> DecayFactors {
        match self.first {
            Some(first) if first <= at => {}
            Some(first) => {
                self.reshare_ages.shift_by((first - at).as_secs());
                self.first = Some(at);
            }
            None => self.first = Some(at),
        }
        if let Some(last) = self.last.filter(|last| *last < at) {
            let factors = DecayFactors::after((at - last).as_secs());
            self.pace.decay(&factors);
            self.reshare_sums.decay(&factors);
            self.exposure_sums.decay(&factors);
        }
        self.last = self.last.max(Some(at));
        DecayFactors::after(self.lateness_secs(at))
    }

    fn lateness_secs(&self, at: EventTime) -> f64 {
        self.last.map_or(0.0, |last| (last - at).as_secs())
    }

    fn age_at(&self, at: EventTime) -> f64 {
        self.first.map_or(0.0, |first| (at - first).as_secs())
    }
}

/// The stored form of [`EngagementCounts`]. The wire record omits absent fields, which a binary format
/// cannot.
#[derive(Serialize, Deserialize)]
#[serde(remote = "EngagementCounts")]
struct WholeCounts {
    reshares: u64,
    replies: u64,
    quotes: u64,
    likes: u64,
    views: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reshare(actor: &str, followers: u64) -> Engagement {
        Engagement::new(EngagementKind::Reshare, Some(actor.into()), Some(followers))
    }

    fn at(secs: i64) -> EventTime {
        EventTime::from_millis(secs * 1000)
    }

    fn totals(reshares: u64) -> Counters {
        Counters { reshares: Some(reshares), ..Counters::default() }
    }

    #[test]
    fn an_account_that_reshares_again_counts_once() {
        let mut cascade = Cascade::default();
        cascade.observe_time(at(0));
        for i in 0..50 {
            cascade.observe_engagement(&reshare("loud", 1000), at(2 * i));
            cascade.observe_engagement(&reshare(&i.to_string(), 1), at(2 * i + 1));
        }
        assert_eq!(cascade.spread(), 100);
        assert_eq!(cascade.audience().reach().estimate, 1050);
        assert_eq!(cascade.resharers(), 51);
    }

    #[test]
    fn who_follows_a_bot_or_the_brand_is_no_audience_of_the_posts() {
        let mut cascade = Cascade::default();
        cascade.observe_time(at(0));
        for (i, account) in
            [AccountKind::Person, AccountKind::Bot, AccountKind::Brand].into_iter().enumerate()
        {
            let by = Engagement { account: Some(account), ..reshare(&i.to_string(), 500) };
            cascade.observe_engagement(&by, at(i as i64));
        }
        assert_eq!((cascade.spread(), cascade.audience().reach().estimate, cascade.resharers()), (3, 500, 1));
    }

    #[test]
    fn accounts_that_nobody_follows_are_raw_velocity_and_no_discounted_one() {
        let mut cascade = Cascade::default();
        cascade.observe_time(at(0));
        (0..100).for_each(|i| cascade.observe_engagement(&reshare(&i.to_string(), 0), at(i)));
        let bots = cascade.velocity();
        (0..100).for_each(|i| cascade.observe_engagement(&reshare(&format!("p{i}"), 200), at(i)));
        let both = cascade.velocity();
        assert!(bots.per_minute_5 > 30.0 && bots.discounted_5 == 0.0, "{bots:?}");
        assert!((both.per_minute_5 - 2.0 * bots.per_minute_5).abs() < 0.01);
        assert!((both.discounted_5 - bots.per_minute_5).abs() < 0.01);
    }

    #[test]
    fn snapshots_and_single_events_merge_to_the_larger() {
        let mut cascade = Cascade::default();
        cascade.observe_time(at(0));
        for i in 0..10 {
            cascade.observe_engagement(&reshare(&i.to_string(), 5), at(i));
        }
        cascade.observe_snapshot(
            &Counters { reshares: Some(7), views: Some(900), ..Counters::default() },
            at(60),
        );
        assert_eq!(cascade.counts().reshares, 10);
        cascade.observe_snapshot(&totals(25), at(120));
        assert_eq!(cascade.counts().reshares, 25);
        assert_eq!(cascade.counts().views, Some(900));
        assert_eq!(cascade.audience().reach().unknown, 15);
        cascade.observe_snapshot(&totals(20), at(180));
        assert_eq!(cascade.counts().reshares, 25, "totals never shrink");
    }

    #[test]
    fn what_a_snapshot_counted_is_not_counted_again_when_its_events_come() {
        let mut cascade = Cascade::default();
        cascade.observe_time(at(0));
        cascade.observe_snapshot(&totals(10), at(600));
        let before = cascade.clone();
        for i in 0..10 {
            cascade.observe_engagement(&reshare(&i.to_string(), 700), at(60 * i));
        }
        assert_eq!(cascade.spread(), 10);
        assert_eq!(cascade.velocity(), before.velocity());
        assert_eq!(cascade.growth_curve().total().round() as u64, 10);
        assert_eq!(cascade.audience().reach().unknown, 0);
        assert_eq!(cascade.audience().reach().estimate, 7000);
        cascade.observe_engagement(&reshare("later", 700), at(601));
        assert_eq!(cascade.spread(), 11, "what comes after the snapshot is new");
    }

    #[test]
    fn a_cascade_is_summed_up_alike_in_any_order() {
        let mut times: Vec<i64> = (0..400).map(|i| i * i / 40).collect();
        let build = |times: &[i64]| {
            let mut cascade = Cascade::default();
            cascade.observe_author("a", Some(50), at(0));
            for (i, t) in times.iter().enumerate() {
                cascade.observe_engagement(&Engagement { actor: None, ..reshare("", i as u64 % 7) }, at(*t));
            }
            cascade.observe_time(at(5000));
            cascade
        };
        let ordered = build(&times);
        times.reverse();
        let reversed = build(&times);
        assert_eq!(ordered.reshare_ages, reversed.reshare_ages);
        assert_eq!(ordered.since_last_reshare(), reversed.since_last_reshare());
        for (a, b) in ordered.reshare_sums().iter().zip(reversed.reshare_sums()) {
            assert!((a - b).abs() <= 1e-3 * a, "{a} {b}");
        }
    }

    #[test]
    fn the_summary_is_small_in_the_store_whatever_the_size() {
        let mut cascade = Cascade::default();
        cascade.observe_author("a", Some(u64::MAX), at(1_800_000_000));
        for i in 0..200_000_i64 {
            let followers = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 36;
            cascade
                .observe_engagement(&reshare(&i.to_string(), followers), at(1_800_000_000 + i * i / 20_000));
            cascade.insert_id(&format!("event {i}"));
        }
        cascade.observe_snapshot(&totals(100_000_000), at(1_803_000_000));
        let bytes = postcard::to_allocvec(&cascade).unwrap().len();
        assert!(bytes <= 512, "{bytes}");
    }
}
