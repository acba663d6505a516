//! Evaluates alerts, whether they were right and in time, against labels or against crossings of the viral
//! bar.

use std::collections::HashMap;

use firewatch_domain::EventTime;
use serde::Serialize;

use super::alert_tally::{Alert, AlertTally};
use super::conversation_track::ConversationTrack;
use crate::labels::Labels;

/// The evaluation of a conversation for a team that was alerted on it or should have been.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationVerdict {
    /// Id of the conversation.
    pub conversation: String,
    /// When it began.
    pub began: EventTime,
    /// Whether it was worth an alert; `None` if unknown.
    pub wanted: Option<bool>,
    /// The team's alert, if there was one.
    pub alert: Option<AlertVerdict>,
    /// Minutes from the post to the brand's first answer.
    pub answered: Option<f64>,
}

/// The timing of an alert.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlertVerdict {
    /// When it was opened.
    pub at: EventTime,
    /// Whether it came before the conversation crossed the bar, or the conversation never crossed it.
    pub in_time: bool,
    /// Minutes from the alert to half of the final reach; negative if half was reached before.
    pub lead_minutes: Option<f64>,
    /// Share of the final reach still to come, if known.
    pub reach_to_come: Option<f64>,
}

/// The accuracy of a team's alerts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TeamAccuracy {
    /// Name of the team.
    pub team: String,
    /// Alerted conversations with a known outcome.
    #[serde(rename = "told")]
    pub alerted: u64,
    /// Alerted conversations that were worth it.
    pub right: u64,
    /// Right alerts that came before the conversation crossed the bar.
    pub in_time: u64,
    /// Conversations worth an alert, alerted or not.
    pub wanted: u64,
    /// Minutes from each right alert to half of the reach, ascending; negative if half was reached before.
    #[serde(rename = "gained")]
    pub lead_minutes: Vec<f64>,
    /// Share of the reach still to come at each right alert, ascending.
    #[serde(rename = "to_come")]
    pub reach_to_come: Vec<f64>,
    /// Minutes from the post to the brand's first answer, for alerted and answered conversations, ascending.
    pub answered: Vec<f64>,
}

/// The outcomes that alerts are evaluated against.
pub struct Truth<'a> {
    /// Tracks by conversation id, in the order of time.
    pub tracks: HashMap<&'a str, Vec<&'a ConversationTrack>>,
    /// Labels, if there are any.
    pub labels: Option<&'a Labels>,
    /// The bars of the tracks, in ascending order.
    pub bars: &'a [u64],
}

impl<'a> Truth<'a> {
    /// Creates the outcomes from ended conversations; those that the brand started are left out.
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

    /// Returns the track of the conversation that an alert is about.
    fn track(&self, alert: &Alert) -> Option<&'a ConversationTrack> {
        let all = self.tracks.get(alert.conversation.as_str())?;
        all.iter().rev().find(|track| track.began <= alert.at).or(all.first()).copied()
    }

    /// Returns when a conversation crossed the bar of its brand.
    fn crossed(&self, track: &ConversationTrack, bar_of: &impl Fn(Option<&str>) -> u64) -> Option<EventTime> {
        let bar = bar_of(track.brand.as_deref());
        let i = self.bars.iter().position(|other| *other == bar)?;
        track.crossed.get(i).copied()
    }

    /// Returns whether a conversation is worth an alert: by its label, or without labels by crossing the bar.
    /// `None` if it has no label.
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

    /// Returns the final reach of a conversation, and whether it is worth an alert.
    pub fn reach_and_label(
        &self,
        id: &str,
        bar_of: &impl Fn(Option<&str>) -> u64,
    ) -> (Option<u64>, Option<bool>) {
        let track = self.tracks.get(id).and_then(|all| all.first());
        track.map_or((None, None), |track| (Some(track.max_reach), self.is_wanted(id, track, bar_of)))
    }

    /// Returns the verdicts on a team's alerts and on the conversations it missed, in the order of time.
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
    /// Summarises verdicts.
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

    /// Returns the share of the alerted conversations that were worth it; `None` without alerts.
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        (self.alerted > 0).then(|| self.right as f64 / self.alerted as f64)
    }

    /// Returns the share of the conversations worth an alert that were alerted in time; `None` if there are
    /// none.
    #[must_use]
    pub fn recall(&self) -> Option<f64> {
        (self.wanted > 0).then(|| self.in_time as f64 / self.wanted as f64)
    }
}

/// Returns the value nearest to a quantile (0 to 1) of ascending values; `None` without values.
#[must_use]
pub fn quantile(ordered: &[f64], q: f64) -> Option<f64> {
    let last = ordered.len().checked_sub(1)?;
    ordered.get((q * last as f64).round() as usize).copied()
}
