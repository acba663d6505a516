//! How a conversation went, kept beside the engine: when it reached how many, when it crossed the bar, when it was
//! answered. What alerts are judged by.

use std::collections::{HashMap, HashSet};

use firewatch_domain::{Body, Duration, EventTime};
use firewatch_engine::{ConversationView, Fold, Outcome, Record};

use super::partitions::ProcessedRecord;

/// Growth of the reach from which it is noted again.
const MIN_REACH_GROWTH: f64 = 1.05;

/// A conversation, so far.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationTrack {
    /// The brand, once it is known.
    pub brand: Option<Box<str>>,
    /// When its post was written; when it was first heard of, if the post was not seen.
    pub began: EventTime,
    /// When it was last heard of.
    pub last: EventTime,
    /// When it crossed each of the bars, mildest first, as far as it has.
    pub crossed: Vec<EventTime>,
    /// When the brand answered first.
    pub answered: Option<EventTime>,
    /// The brand began it itself.
    pub is_brands_own: bool,
    /// Reach at times, noted when it has grown by a twentieth.
    reach: Vec<(EventTime, u64)>,
    /// The reach by now.
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
        // A later record can say that fewer are reached than was thought.
        self.max_reach = self.max_reach.max(conversation.reach);
        let noted = self.reach.last().map_or(0.0, |(_, reach)| *reach as f64 * MIN_REACH_GROWTH);
        if conversation.reach > 0 && conversation.reach as f64 >= noted {
            self.reach.push((at, conversation.reach));
        }
    }

    /// The share of its reach that was still to come at a time.
    pub fn to_come(&self, at: EventTime) -> f64 {
        let by_then = self.reach.partition_point(|(noted, _)| *noted <= at);
        let reach = by_then.checked_sub(1).and_then(|i| self.reach.get(i)).map_or(0, |(_, reach)| *reach);
        1.0 - reach as f64 / self.max_reach.max(1) as f64
    }

    /// When half of its reach was reached.
    pub fn half(&self) -> Option<EventTime> {
        self.reach.iter().find(|(_, reach)| 2 * reach >= self.max_reach).map(|(at, _)| *at)
    }
}

/// The conversations of a partition.
pub struct Tracks<'a> {
    bars: &'a [u64],
    horizon: Duration,
    /// Conversations whose end is kept, whatever became of them.
    labelled: &'a HashSet<String>,
    open: HashMap<Box<str>, ConversationTrack>,
    /// Those that are over and matter: the ones that somebody was told of, that crossed a bar, or that have a label.
    pub finished: Vec<(Box<str>, ConversationTrack)>,
    alerted: HashSet<Box<str>>,
    swept: Option<EventTime>,
    /// Of conversations in all.
    pub started: u64,
}

impl<'a> Tracks<'a> {
    /// None yet; bars are in order, mildest first.
    pub fn new(bars: &'a [u64], horizon: Duration, labelled: &'a HashSet<String>) -> Self {
        let (open, finished, alerted) = (HashMap::new(), vec![], HashSet::new());
        Self { bars, horizon, labelled, open, finished, alerted, swept: None, started: 0 }
    }

    /// Sees a record that was taken.
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
                // One of the same name that is over: whether it matters is not known before the chunk ends.
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

    /// Somebody was told of a conversation.
    pub fn mark_alerted(&mut self, conversation: &str) {
        if !self.alerted.contains(conversation) {
            self.alerted.insert(conversation.into());
        }
    }

    /// Lets go of those that are over by a time.
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

    /// Ends all that are open.
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
        assert_eq!(track.reach.len(), 3, "growth of less than a twentieth is not noted");
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
