//! Whether alerts were right, and in time: against labels, or against what crossed the viral bar later.

use std::collections::HashMap;

use firewatch_domain::EventTime;
use serde::Serialize;

use super::account::{Account, Alert};
use super::track::Track;
use crate::labels::Labels;

/// What a conversation turned out to be, for a team that was told of it or wanted to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The conversation.
    pub conversation: String,
    /// When it began.
    pub began: EventTime,
    /// Whether the team wants to be told of it; none when that is not known.
    pub wanted: Option<bool>,
    /// When it was told, if it was.
    pub told: Option<TellVerdict>,
    /// Minutes from the post to the brand's first answer.
    pub answered: Option<f64>,
}

/// How an alert came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TellVerdict {
    /// When.
    pub at: EventTime,
    /// Before the conversation crossed the bar, if it did.
    pub in_time: bool,
    /// Minutes from then to half of the reach; below 0 when half was reached before.
    pub gained: Option<f64>,
    /// The share of the reach that was still to come, where that is known.
    pub to_come: Option<f64>,
}

/// How the alerts of one team did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// The team.
    pub team: String,
    /// Conversations that it was told of, as far as it is known what they were.
    pub told: u64,
    /// Those of them that were what it wants to be told of.
    pub right: u64,
    /// Right ones that were told before they crossed the bar, if they did.
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
    pub fn of(&self, id: &str, bar_of: &impl Fn(Option<&str>) -> u64) -> (Option<u64>, Option<bool>) {
        let track = self.tracks.get(id).and_then(|all| all.first());
        track.map_or((None, None), |track| (Some(track.reached), self.is_wanted(id, track, bar_of)))
    }

    /// The verdicts on what a team was told of, and on what it was not told of but wanted to be; in the order of time.
    pub fn verdicts(
        &self,
        team: &str,
        account: &Account,
        bar_of: &impl Fn(Option<&str>) -> u64,
    ) -> Vec<Verdict> {
        let mut told: HashMap<*const Track, TellVerdict> = HashMap::new();
        for alert in account.first.values().filter(|alert| alert.team == team) {
            let Some(track) = self.track(alert) else { continue };
            let late = self.crossed(track, bar_of).is_some_and(|at| at < alert.at);
            told.insert(
                track,
                TellVerdict {
                    at: alert.at,
                    in_time: !late,
                    gained: track.half().map(|half| (half - alert.at).as_secs() / 60.0),
                    to_come: Some(track.to_come(alert.at)),
                },
            );
        }
        let all = self.tracks.iter().flat_map(|(id, all)| all.iter().map(move |track| (*id, *track)));
        let mut verdicts: Vec<Verdict> = all
            .map(|(id, track)| Verdict {
                conversation: id.to_owned(),
                began: track.began,
                wanted: self.is_wanted(id, track, bar_of),
                told: told.get(&std::ptr::from_ref(track)).copied(),
                answered: track.answered.map(|at| (at - track.began).as_secs() / 60.0),
            })
            .filter(|verdict| verdict.told.is_some() || verdict.wanted == Some(true))
            .collect();
        verdicts.sort_by(|a, b| (a.began, &a.conversation).cmp(&(b.began, &b.conversation)));
        verdicts
    }
}

impl Judged {
    /// Sums verdicts up.
    #[must_use]
    pub fn of<'v>(team: &str, verdicts: impl IntoIterator<Item = &'v Verdict>) -> Self {
        let (told, right, in_time, wanted) = (0, 0, 0, 0);
        let (gained, to_come, answered) = (vec![], vec![], vec![]);
        let mut all = Self { team: team.into(), told, right, in_time, wanted, gained, to_come, answered };
        for verdict in verdicts {
            all.wanted += u64::from(verdict.wanted == Some(true));
            let Some(told) = verdict.told else { continue };
            all.answered.extend(verdict.answered);
            all.told += u64::from(verdict.wanted.is_some());
            if verdict.wanted == Some(true) {
                all.right += 1;
                all.in_time += u64::from(told.in_time);
                all.to_come.extend(told.to_come);
                all.gained.extend(told.gained);
            }
        }
        for values in [&mut all.gained, &mut all.to_come, &mut all.answered] {
            values.sort_by(f64::total_cmp);
        }
        all
    }

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
