//! The drift report: compares scores and their features in a recent span with those of a former span.
//!
//! Both spans are records of the scores topic. Each conversation counts once, with its first score and its
//! last score within half an hour of that.

mod figures;
mod page;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use firewatch_domain::{Duration, EventTime, Score};
use serde::Deserialize;

pub use figures::{Drift, DriftError, DriftLevel, FeatureDrift, ForecastCalibration};
pub use page::{html, tables};

use crate::lines::each_line;
use firewatch_report::AnalysisError;

/// Time after the first score within which the second sample of a conversation is taken.
const RESCORE_AFTER: Duration = Duration::from_mins(30);
/// Horizon of the viral probability.
const FORECAST_HORIZON: Duration = Duration::from_mins(24 * 60);
/// Maximum number of faults listed.
const MAX_REPORTED_FAULTS: usize = 5;

/// Names of the compared features: first those of the first score, then those half an hour later.
pub(crate) const FEATURES: [&str; 12] = [
    "complaint",
    "arousal",
    "negative",
    "flagged",
    "first reach",
    "unknown audience",
    "risk",
    "viral",
    "reshares",
    "replies",
    "pace",
    "reach",
];
/// Number of features that are taken from the first score.
const FIRST_SCORE_FEATURES: usize = 6;

/// The features of a conversation; absent values are NaN.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    began: EventTime,
    values: [f32; FEATURES.len()],
    /// Whether it crossed the bar: within half an hour of the first score, and within a day.
    crossed: (bool, bool),
}

/// Collects score records by conversation.
#[derive(Debug, Default)]
pub struct Scores {
    samples: HashMap<String, Sample>,
    last: Option<EventTime>,
    /// Number of score records.
    pub records: u64,
    /// Descriptions of the first records that could not be read.
    pub faults: Vec<String>,
}

/// The field that distinguishes scores from other records that `firewatch score` writes.
#[derive(Deserialize)]
struct ScoreProbe {
    risk_low: Option<f64>,
}

impl Scores {
    /// Adds a record; records other than scores are skipped. `place` names the record in a fault.
    pub fn push(&mut self, place: impl fmt::Display, value: &[u8]) {
        let read = serde_json::from_slice::<ScoreProbe>(value)
            .and_then(|kind| kind.risk_low.map(|_| serde_json::from_slice::<Score>(value)).transpose());
        match read {
            Ok(None) => {}
            Ok(Some(score)) => self.score(score),
            Err(e) if self.faults.len() < MAX_REPORTED_FAULTS => self.faults.push(format!("{place}: {e}")),
            Err(_) => {}
        }
    }

    /// Reads a file of JSON lines, plain or compressed.
    ///
    /// # Errors
    /// When the file cannot be read to its end.
    pub fn read(path: &Path) -> Result<Self, AnalysisError> {
        let mut scores = Self::default();
        each_line(path, |line, value| scores.push(format_args!("{}, line {line}", path.display()), value))?;
        Ok(scores)
    }

    fn score(&mut self, score: Score) {
        self.records += 1;
        self.last = self.last.max(Some(score.at));
        let values = values(&score);
        let crossed = score.viral >= 1.0;
        let new = Sample { began: score.at, values, crossed: (crossed, crossed) };
        let sample = self.samples.entry(score.conversation).or_insert(new);
        if score.at < sample.began + RESCORE_AFTER {
            sample.values[FIRST_SCORE_FEATURES..].copy_from_slice(&values[FIRST_SCORE_FEATURES..]);
            sample.crossed.0 |= crossed;
        }
        sample.crossed.1 |= crossed && score.at < sample.began + FORECAST_HORIZON;
    }

    /// Splits the conversations into those that began before a time and those that began later.
    #[must_use]
    pub fn split(self, at: EventTime) -> [Self; 2] {
        let mut parts =
            [Self::default(), Self { records: self.records, faults: self.faults, ..Self::default() }];
        // The outcomes in both parts were observed until the last record.
        parts.iter_mut().for_each(|part| part.last = self.last);
        for (id, sample) in self.samples {
            parts[usize::from(sample.began >= at)].samples.insert(id, sample);
        }
        parts
    }

    /// Returns the number of conversations.
    #[must_use]
    pub fn conversations(&self) -> usize {
        self.samples.len()
    }

    /// Returns when the first and the last conversation began.
    fn span(&self) -> Option<(EventTime, EventTime)> {
        let began = || self.samples.values().map(|sample| sample.began);
        Some((began().min()?, began().max()?))
    }

    /// Returns the samples in the order of time, so that sums do not depend on the order of the map.
    fn ordered(&self) -> Vec<&Sample> {
        let mut all: Vec<(&String, &Sample)> = self.samples.iter().collect();
        all.sort_by_key(|(id, sample)| (sample.began, *id));
        all.into_iter().map(|(_, sample)| sample).collect()
    }
}

fn values(score: &Score) -> [f32; FEATURES.len()] {
    let counts = &score.engagements;
    [
        score.complaint,
        score.arousal.unwrap_or(f32::NAN),
        score.sentiment.map_or(f32::NAN, |sentiment| sentiment.negative),
        f32::from(u8::from(!score.flags.is_empty())),
        score.reach.estimate as f32,
        f32::from(u8::from(score.reach.unknown > 0)),
        score.risk.value() as f32,
        score.viral,
        (counts.reshares + counts.quotes) as f32,
        counts.replies as f32,
        score.velocity.per_minute_5,
        score.reach.estimate as f32,
    ]
}
