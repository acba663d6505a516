//! Tracks what became of each conversation: its reach over time, when it crossed the viral bars and when it
//! was answered. Alerts are evaluated against these tracks.

use std::collections::{HashMap, HashSet};

use firewatch_domain::{Body, Duration, EventTime};
use firewatch_engine::{ConversationView, Fold, Outcome, Record};

use super::partitions::ProcessedRecord;

/// Factor by which the reach must grow before it is recorded again.
const MIN_REACH_GROWTH: f64 = 1.05;

/// The history of a conversation so far.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationTrack {
    /// The brand, once known.
    pub brand: Option<Box<str>>,
    /// Time of its root post; of its first event if the post was not seen.
    pub began: EventTime,
    /// Time of its latest event.
    pub last: EventTime,
    /// When it crossed each bar so far, the lowest bar first.
    pub crossed: Vec<EventTime>,
    /// When the brand first answered.
    pub answered: Option<EventTime>,
    /// Whether the brand started the conversation.
    pub is_brands_own: bool,
    /// Reach over time, recorded at each growth by 5%.
    reach: Vec<(EventTime, u64)>,
    /// Largest reach so far.
    pub max_reach: u64,
}

impl ConversationTrack {
    fn new(at: EventTime) -> Self {
        Self {
            brand: None,
            began: at,
            last: at,
            crossed: vec![],
            answered: None,
            is_brands_own: false,
            reach: vec![],
            max_reach: 0,
        }
    }

    fn update(&mut self, conversation: &ConversationView<'_>, at: EventTime, bars: &[u64]) {
        if self.brand.is_none() {
            self.brand = conversation.brand.map(Into::into);
        }
        self.is_brands_own |= conversation.by_brand;
        while bars.get(self.crossed.len()).is_some_and(|bar| conversation.reshares >= *bar) {
            self.crossed.push(at);
        }
        // A later record can lower the estimated reach.
        self.max_reach = self.max_reach.max(conversation.reach);
        let noted = self.reach.last().map_or(0.0, |(_, reach)| *reach as f64 * MIN_REACH_GROWTH);
        if conversation.reach > 0 && conversation.reach as f64 >= noted {
            self.reach.push((at, conversation.reach));
        }
    }

    /// Returns the share of its final reach that was still to come at a time, 0 to 1.
    pub fn to_come(&self, at: EventTime) -> f64 {
        let by_then = self.reach.partition_point(|(noted, _)| *noted <= at);
        let reach = by_then.checked_sub(1).and_then(|i| self.reach.get(i)).map_or(0, |(_, reach)| *reach);
        1.0 - reach as f64 / self.max_reach.max(1) as f64
    }

    /// Returns when it had half of its final reach.
    pub fn half(&self) -> Option<EventTime> {
        self.reach.iter().find(|(_, reach)| 2 * reach >= self.max_reach).map(|(at, _)| *at)
    }
}

/// The tracks of the conversations in a partition.
pub struct Tracks<'a> {
    bars: &'a [u64],
    horizon: Duration,
    /// Conversations whose track is always kept.
    labelled: &'a HashSet<String>,
    open: HashMap<Box<str>, ConversationTrack>,
    /// Ended conversations that matter: those with an alert, a crossed bar or a label.
    pub finished: Vec<(Box<str>, ConversationTrack)>,
    alerted: HashSet<Box<str>>,
    swept: Option<EventTime>,
    /// Total number of conversations.
    pub started: u64,
}

impl<'a> Tracks<'a> {
    /// Creates an empty set of tracks; `bars` are in ascending order.
    pub fn new(bars: &'a [u64], horizon: Duration, labelled: &'a HashSet<String>) -> Self {
        let (open, finished, alerted) = (HashMap::new(), vec![], HashSet::new());
        Self { bars, horizon, labelled, open, finished, alerted, swept: None, started: 0 }
    }

    /// Updates the track of a processed record's conversation.
    pub fn observe(&mut self, processed: &ProcessedRecord<'_>) {
        let (Record::Event(event), Some(conversation)) = (processed.record, processed.conversation) else {
            return;
        };
        let begun = &mut self.started;
        let track = match self.open.get_mut(event.conversation.as_str()) {
            Some(track) if event.at < track.last + self.horizon => track,
            _ => {
                *begun += 1;
                let new = ConversationTrack::new(event.at);
                // An ended conversation of the same id: keep it, because its alerts may still be undecided.
                let before = self.open.insert(event.conversation.as_str().into(), new);
                self.finished.extend(before.map(|before| (event.conversation.as_str().into(), before)));
                let Some(track) = self.open.get_mut(event.conversation.as_str()) else { return };
                track
            }
        };
        track.last = track.last.max(event.at);
        if matches!(&event.body, Body::Post(post) if post.in_reply_to.is_none()) {
            track.began = event.at;
        }
        if processed.outcome == Outcome::Folded(Fold::BrandSpoke) && conversation.answered {
            track.answered.get_or_insert(event.at);
        }
        track.update(conversation, event.at, self.bars);
    }

    /// Records that a team was alerted on a conversation.
    pub fn mark_alerted(&mut self, conversation: &str) {
        if !self.alerted.contains(conversation) {
            self.alerted.insert(conversation.into());
        }
    }

    /// Removes the conversations that have ended by a time, and keeps the tracks that matter.
    pub fn sweep(&mut self, now: EventTime) {
        let quarter = Duration::from_millis(self.horizon.as_millis() / 4);
        if self.swept.is_some_and(|swept| now < swept + quarter) {
            return;
        }
        self.swept = Some(now);
        let Self { open, finished, alerted, labelled, horizon, .. } = self;
        for (id, track) in open.extract_if(|_, track| track.last + *horizon + quarter <= now) {
            if matters(&track, alerted.contains(&id) || labelled.contains(&*id)) {
                finished.push((id, track));
            }
        }
    }

    /// Ends all open conversations.
    pub fn finish(&mut self) {
        let Self { open, finished, alerted, labelled, .. } = self;
        finished.extend(
            open.drain()
                .filter(|(id, track)| matters(track, alerted.contains(id) || labelled.contains(&**id))),
        );
    }
}

fn matters(track: &ConversationTrack, is_alerted: bool) -> bool {
    is_alerted || !track.crossed.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> EventTime {
        EventTime::from_millis(1_800_000_000_000) + Duration::from_secs(secs)
    }

    fn conversation_view(reshares: u64, reach: u64) -> ConversationView<'static> {
        ConversationView { brand: Some("acme"), reshares, reach, answered: false, by_brand: false }
    }

    #[test]
    fn a_track_knows_when_bars_were_crossed_and_what_was_still_to_come() {
        let mut track = ConversationTrack::new(at(0));
        for (secs, reshares, reach) in
            [(0, 0, 100), (10, 4, 102), (20, 12, 400), (30, 60, 390), (40, 61, 1000)]
        {
            track.update(&conversation_view(reshares, reach), at(secs), &[10, 50, 500]);
        }
        assert_eq!(track.crossed, [at(20), at(30)]);
        assert_eq!((track.half(), track.max_reach), (Some(at(40)), 1000));
        assert!((track.to_come(at(25)) - 0.6).abs() < 1e-9);
        assert!((track.to_come(at(-1)) - 1.0).abs() < 1e-9 && track.to_come(at(99)).abs() < 1e-9);
        assert_eq!(track.reach.len(), 3, "growth below 5% is not recorded");
    }

    #[test]
    fn only_what_matters_is_kept_once_it_is_over() {
        let labelled = HashSet::from(["labelled".to_owned()]);
        let mut tracks = Tracks::new(&[10], Duration::from_secs(600), &labelled);
        for id in ["told", "labelled", "nothing", "crossed", "open"] {
            let mut track = ConversationTrack::new(if id == "open" { at(1000) } else { at(0) });
            track.update(&conversation_view(if id == "crossed" { 11 } else { 1 }, 5), track.began, &[10]);
            tracks.open.insert(id.into(), track);
        }
        tracks.mark_alerted("told");
        tracks.sweep(at(700));
        assert_eq!(tracks.finished.len(), 0, "an alert may still come");
        tracks.sweep(at(1500));
        let mut over: Vec<&str> = tracks.finished.iter().map(|(id, _)| &**id).collect();
        over.sort_unstable();
        assert_eq!((over, tracks.open.len()), (vec!["crossed", "labelled", "told"], 1));
    }
}
