//! Whether alerts were right, and in time: against labels, or against what crossed the viral bar later.

use std::collections::HashMap;

use firewatch_domain::EventTime;
use serde::Serialize;

use super::alert_tally::{Alert, AlertTally};
use super::conversation_track::ConversationTrack;
use crate::labels::Labels;

/// What a conversation turned out to be, for a team that was told of it or wanted to be.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationVerdict {
    /// The conversation.
    pub conversation: String,
    /// When it began.
    pub began: EventTime,
    /// Whether the team wants to be told of it; none when that is not known.
    pub wanted: Option<bool>,
    /// When it was told, if it was.
    pub alert: Option<AlertVerdict>,
    /// Minutes from the post to the brand's first answer.
    pub answered: Option<f64>,
}

/// How an alert came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlertVerdict {
    /// When.
    pub at: EventTime,
    /// Before the conversation crossed the bar, if it did.
    pub in_time: bool,
    /// Minutes from then to half of the reach; below 0 when half was reached before.
    pub lead_minutes: Option<f64>,
    /// The share of the reach that was still to come, where that is known.
    pub reach_to_come: Option<f64>,
}

/// How the alerts of one team did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TeamAccuracy {
    /// The team.
    pub team: String,
    /// Conversations that it was told of, as far as it is known what they were.
    #[serde(rename = "told")]
    pub alerted: u64,
    /// Those of them that were what it wants to be told of.
    pub right: u64,
    /// Right ones that were told before they crossed the bar, if they did.
    pub in_time: u64,
    /// Conversations that it would have wanted to be told of.
    pub wanted: u64,
    /// Minutes from the alert to half of the reach, for right ones; below 0 when half was reached before. In order.
    #[serde(rename = "gained")]
    pub lead_minutes: Vec<f64>,
    /// The share of the reach that was still to come at the alert, for right ones. In order.
    #[serde(rename = "to_come")]
    pub reach_to_come: Vec<f64>,
    /// Minutes from the post to the brand's first answer, for those it was told of that were answered. In order.
    pub answered: Vec<f64>,
}

/// What conversations turned out to be.
pub struct Truth<'a> {
    /// By conversation, in the order of time.
    pub tracks: HashMap<&'a str, Vec<&'a ConversationTrack>>,
    /// What people said of them, if they did.
    pub labels: Option<&'a Labels>,
    /// Bars in order, as tracks have them.
    pub bars: &'a [u64],
}

impl<'a> Truth<'a> {
    /// From what is over.
    pub fn new(
        over: &'a [(Box<str>, ConversationTrack)],
        labels: Option<&'a Labels>,
        bars: &'a [u64],
    ) -> Self {
        let mut tracks: HashMap<&str, Vec<&ConversationTrack>> = HashMap::new();
        for (id, track) in over.iter().filter(|(_, track)| !track.is_brands_own) {
            tracks.entry(id).or_default().push(track);
        }
        tracks
            .values_mut()
            .for_each(|tracks_of_conversation| tracks_of_conversation.sort_by_key(|track| track.began));
        Self { tracks, labels, bars }
    }

    /// The conversation that an alert was about.
    fn track(&self, alert: &Alert) -> Option<&'a ConversationTrack> {
        let all = self.tracks.get(alert.conversation.as_str())?;
        all.iter().rev().find(|track| track.began <= alert.at).or(all.first()).copied()
    }

    /// When a conversation crossed the bar of its brand.
    fn crossed(&self, track: &ConversationTrack, bar_of: &impl Fn(Option<&str>) -> u64) -> Option<EventTime> {
        let bar = bar_of(track.brand.as_deref());
        let i = self.bars.iter().position(|other| *other == bar)?;
        track.crossed.get(i).copied()
    }

    /// Whether a team wants to be told of a conversation; none when that is not known.
    fn is_wanted(
        &self,
        id: &str,
        track: &ConversationTrack,
        bar_of: &impl Fn(Option<&str>) -> u64,
    ) -> Option<bool> {
        match self.labels {
            Some(labels) => labels.label_of(id),
            None => Some(self.crossed(track, bar_of).is_some()),
        }
    }

    /// The reach of a conversation in the end, and whether anybody wants to be told of it.
    pub fn reach_and_label(
        &self,
        id: &str,
        bar_of: &impl Fn(Option<&str>) -> u64,
    ) -> (Option<u64>, Option<bool>) {
        let track = self.tracks.get(id).and_then(|all| all.first());
        track.map_or((None, None), |track| (Some(track.max_reach), self.is_wanted(id, track, bar_of)))
    }

    /// The verdicts on what a team was told of, and on what it was not told of but wanted to be; in the order of time.
    pub fn verdicts(
        &self,
        team: &str,
        account: &AlertTally,
        bar_of: &impl Fn(Option<&str>) -> u64,
    ) -> Vec<ConversationVerdict> {
        let mut alerts: HashMap<*const ConversationTrack, AlertVerdict> = HashMap::new();
        for alert in account.first_alerts.values().filter(|alert| alert.team == team) {
            let Some(track) = self.track(alert) else { continue };
            let late = self.crossed(track, bar_of).is_some_and(|at| at < alert.at);
            alerts.insert(
                track,
                AlertVerdict {
                    at: alert.at,
                    in_time: !late,
                    lead_minutes: track.half().map(|half| (half - alert.at).as_secs() / 60.0),
                    reach_to_come: Some(track.to_come(alert.at)),
                },
            );
        }
        let all = self.tracks.iter().flat_map(|(id, all)| all.iter().map(move |track| (*id, *track)));
        let mut verdicts: Vec<ConversationVerdict> = all
            .map(|(id, track)| ConversationVerdict {
                conversation: id.to_owned(),
                began: track.began,
                wanted: self.is_wanted(id, track, bar_of),
                alert: alerts.get(&std::ptr::from_ref(track)).copied(),
                answered: track.answered.map(|at| (at - track.began).as_secs() / 60.0),
            })
            .filter(|verdict| verdict.alert.is_some() || verdict.wanted == Some(true))
            .collect();
        verdicts.sort_by(|a, b| (a.began, &a.conversation).cmp(&(b.began, &b.conversation)));
        verdicts
    }
}

impl TeamAccuracy {
    /// Sums verdicts up.
    #[must_use]
    pub fn from_verdicts<'v>(
        team: &str,
        verdicts: impl IntoIterator<Item = &'v ConversationVerdict>,
    ) -> Self {
        let (alerted, right, in_time, wanted) = (0, 0, 0, 0);
        let (gained, to_come, answered) = (vec![], vec![], vec![]);
        let mut all = Self {
            team: team.into(),
            alerted,
            right,
            in_time,
            wanted,
            lead_minutes: gained,
            reach_to_come: to_come,
            answered,
        };
        for verdict in verdicts {
            all.wanted += u64::from(verdict.wanted == Some(true));
            let Some(alert) = verdict.alert else { continue };
            all.answered.extend(verdict.answered);
            all.alerted += u64::from(verdict.wanted.is_some());
            if verdict.wanted == Some(true) {
                all.right += 1;
                all.in_time += u64::from(alert.in_time);
                all.reach_to_come.extend(alert.reach_to_come);
                all.lead_minutes.extend(alert.lead_minutes);
            }
        }
        for values in [&mut all.lead_minutes, &mut all.reach_to_come, &mut all.answered] {
            values.sort_by(f64::total_cmp);
        }
        all
    }

    /// The share of what it was told that was right.
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        (self.alerted > 0).then(|| self.right as f64 / self.alerted as f64)
    }

    /// The share of what it wants to know that it was told in time.
    #[must_use]
    pub fn recall(&self) -> Option<f64> {
        (self.wanted > 0).then(|| self.in_time as f64 / self.wanted as f64)
    }
}

/// A quantile of values in order, the nearest one.
#[must_use]
pub fn quantile(ordered: &[f64], q: f64) -> Option<f64> {
    let last = ordered.len().checked_sub(1)?;
    ordered.get((q * last as f64).round() as usize).copied()
}
