//! Whether alerts were right, and in time: against labels, or against what crossed the viral bar later.

use std::collections::HashMap;

use firewatch_domain::EventTime;
use serde::Serialize;

use super::account::{Account, Alert};
use super::track::Track;
use crate::labels::Labels;

/// How the alerts of one team did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// The team.
    pub team: String,
    /// Conversations that it was told of, as far as it is known what they were.
    pub told: u64,
    /// Those of them that were what it wants to be told of.
    pub right: u64,
    /// Right ones that were told before they crossed the bar; with labels, all of them.
    pub in_time: u64,
    /// Conversations that it would have wanted to be told of.
    pub wanted: u64,
    /// Minutes from the alert to half of the reach, for right ones; below 0 when half was reached before. In order.
    pub gained: Vec<f64>,
    /// The share of the reach that was still to come at the alert, for right ones. In order.
    pub to_come: Vec<f64>,
    /// Minutes from the post to the brand's first answer, for those it was told of that were answered. In order.
    pub answered: Vec<f64>,
}

/// What conversations turned out to be.
pub struct Truth<'a> {
    /// By conversation, in the order of time.
    pub tracks: HashMap<&'a str, Vec<&'a Track>>,
    /// What people said of them, if they did.
    pub labels: Option<&'a Labels>,
    /// Bars in order, as tracks have them.
    pub bars: &'a [u64],
}

impl<'a> Truth<'a> {
    /// From what is over.
    pub fn new(over: &'a [(Box<str>, Track)], labels: Option<&'a Labels>, bars: &'a [u64]) -> Self {
        let mut tracks: HashMap<&str, Vec<&Track>> = HashMap::new();
        for (id, track) in over.iter().filter(|(_, track)| !track.own) {
            tracks.entry(id).or_default().push(track);
        }
        tracks.values_mut().for_each(|of| of.sort_by_key(|track| track.began));
        Self { tracks, labels, bars }
    }

    /// The conversation that an alert was about.
    fn track(&self, alert: &Alert) -> Option<&'a Track> {
        let all = self.tracks.get(alert.conversation.as_str())?;
        all.iter().rev().find(|track| track.began <= alert.at).or(all.first()).copied()
    }

    /// When a conversation crossed the bar of its brand.
    fn crossed(&self, track: &Track, bar_of: &impl Fn(Option<&str>) -> u64) -> Option<EventTime> {
        let bar = bar_of(track.brand.as_deref());
        let i = self.bars.iter().position(|of| *of == bar)?;
        track.crossed.get(i).copied()
    }

    /// Whether a team wants to be told of a conversation; none when that is not known.
    fn is_wanted(&self, id: &str, track: &Track, bar_of: &impl Fn(Option<&str>) -> u64) -> Option<bool> {
        match self.labels {
            Some(labels) => labels.of(id),
            None => Some(self.crossed(track, bar_of).is_some()),
        }
    }

    /// The reach of a conversation in the end, and whether anybody wants to be told of it.
    pub fn of(&self, id: &str, bar_of: &impl Fn(Option<&str>) -> u64) -> (u64, Option<bool>) {
        let track = self.tracks.get(id).and_then(|all| all.first());
        track.map_or((0, None), |track| (track.reached, self.is_wanted(id, track, bar_of)))
    }

    /// Judges the alerts of a team.
    pub fn judge(&self, team: &str, account: &Account, bar_of: &impl Fn(Option<&str>) -> u64) -> Judged {
        let wanted = self.tracks.iter().flat_map(|(id, all)| all.iter().map(move |track| (*id, *track)));
        let wanted = wanted.filter(|(id, track)| self.is_wanted(id, track, bar_of) == Some(true)).count();
        let mut judged = Judged {
            team: team.into(),
            told: 0,
            right: 0,
            in_time: 0,
            wanted: wanted as u64,
            gained: vec![],
            to_come: vec![],
            answered: vec![],
        };
        for alert in account.first.values().filter(|alert| alert.team == team) {
            let Some(track) = self.track(alert) else { continue };
            judged.answered.extend(track.answered.map(|at| (at - track.began).as_secs() / 60.0));
            let Some(is_right) = self.is_wanted(&alert.conversation, track, bar_of) else { continue };
            judged.told += 1;
            if !is_right {
                continue;
            }
            judged.right += 1;
            let late = self.labels.is_none() && self.crossed(track, bar_of).is_some_and(|at| at < alert.at);
            judged.in_time += u64::from(!late);
            judged.to_come.push(track.to_come(alert.at));
            judged.gained.extend(track.half().map(|half| (half - alert.at).as_secs() / 60.0));
        }
        for values in [&mut judged.gained, &mut judged.to_come, &mut judged.answered] {
            values.sort_by(f64::total_cmp);
        }
        judged
    }
}

impl Judged {
    /// The share of what it was told that was right.
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        (self.told > 0).then(|| self.right as f64 / self.told as f64)
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
