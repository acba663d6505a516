//! Learns a calibration of the risk from verdicts: a scale and a shift of its log-odds (Platt 1999).
//!
//! A prior pulls the scale to 1 and the shift to 0, so that few verdicts change little. The calibration is
//! fitted on the earlier verdicts and evaluated on the later ones, then fitted on all. Only alerts are
//! judged, so below the lowest alerted risk it is an extrapolation.

use std::fmt;

use firewatch_domain::EventTime;
use firewatch_scoring::Calibration;
use serde::Serialize;
use thiserror::Error;

use super::JudgedAlert;

/// Minimum number of verdicts, in total and of each kind.
const MIN_VERDICTS: usize = 30;
const MIN_VERDICTS_OF_EACH_KIND: usize = 5;
/// Share of the verdicts, the earlier ones, that the evaluated calibration is fitted on.
const TRAINING_SHARE: f64 = 0.7;
/// Standard deviations of the normal priors of the scale (around 1) and the shift (around 0).
const PRIOR_SDS: [f64; 2] = [0.5, 1.0];
/// Maximum number of Newton steps; about five are enough.
const MAX_STEPS: usize = 50;
/// Half of a tenth of a percent, the resolution of emitted risks; keeps the log-odds of 0 and 100 finite.
const RISK_MARGIN: f64 = 0.0005;

/// Why no calibration can be learned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecalibrateError {
    /// There are too few verdicts, in total or of one kind.
    #[error(
        "{verdicts} verdicts on alerts of {team} with a risk, {useful} of them useful: too few to learn \
         from; {MIN_VERDICTS} are needed, and {MIN_VERDICTS_OF_EACH_KIND} of each kind"
    )]
    TooFewVerdicts {
        /// The team whose alerts were judged.
        team: String,
        /// Number of verdicts.
        verdicts: usize,
        /// Number of them that say the alert was useful.
        useful: usize,
    },
}

/// A learned calibration with its evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LearnedCalibration {
    /// Team whose verdicts it is from.
    pub team: String,
    /// Number of verdicts, and of useful ones.
    pub verdicts: (usize, usize),
    /// Times of the first and the last judged alert.
    pub span: (EventTime, EventTime),
    /// Factor of the log-odds, combined with the calibration in force.
    pub scale: f64,
    /// Summand of the log-odds, combined with the calibration in force.
    pub shift: f64,
    /// Mean log loss on the later verdicts: with the emitted risk, and with the risk calibrated on the
    /// earlier verdicts.
    pub log_loss: (f64, f64),
    /// Mean probability on the later verdicts, emitted and calibrated, and the share that was useful; each 0
    /// to 1.
    pub later: (f64, f64, f64),
    /// Version of the calibration in force when the alerts were emitted.
    pub after: Option<String>,
    /// For each judged alert: emitted and calibrated probability, and whether it was useful.
    #[serde(skip)]
    pub(super) points: Vec<(f64, f64, bool)>,
}

/// Learns from the verdicts on a team's alerts, in the order of time. `current` was in force when they were
/// emitted.
///
/// # Errors
/// When there are too few verdicts, in total or of one kind.
pub fn recalibrate(
    alerts: &[JudgedAlert],
    team: &str,
    current: Option<&Calibration>,
) -> Result<LearnedCalibration, RecalibrateError> {
    let team_alerts = alerts.iter().filter(|judged| judged.alert.team == team);
    let judged: Vec<(EventTime, f64, bool)> = team_alerts
        .filter_map(|JudgedAlert { alert, useful }| Some((alert.at, alert.risk?.value(), (*useful)?)))
        .collect();
    let useful = judged.iter().filter(|(.., useful)| *useful).count();
    if judged.len() < MIN_VERDICTS || useful.min(judged.len() - useful) < MIN_VERDICTS_OF_EACH_KIND {
        let verdicts = judged.len();
        return Err(RecalibrateError::TooFewVerdicts { team: team.to_owned(), verdicts, useful });
    }
    let samples: Vec<(f64, bool)> =
        judged.iter().map(|(_, risk, useful)| (log_odds(*risk), *useful)).collect();
    let (past, later) = samples.split_at((TRAINING_SHARE * samples.len() as f64) as usize);
    let (from_past, all) = (fit(past), fit(&samples));
    let mean = |value_of: &dyn Fn(f64) -> f64| {
        later.iter().map(|(z, _)| value_of(*z)).sum::<f64>() / later.len() as f64
    };
    let hits = later.iter().filter(|(_, useful)| *useful).count() as f64 / later.len() as f64;
    let points = samples.iter().map(|(z, useful)| (chance(*z), chance(all[0] * z + all[1]), *useful));
    // The calibration in force is applied first, then the learned one.
    let (scale, shift) = current.map_or((1.0, 0.0), |c| (c.scale, c.shift));
    let (first, last) = (judged.first(), judged.last());
    Ok(LearnedCalibration {
        team: team.into(),
        verdicts: (judged.len(), useful),
        span: (
            first.map_or(EventTime::EARLIEST, |(at, ..)| *at),
            last.map_or(EventTime::EARLIEST, |(at, ..)| *at),
        ),
        scale: all[0] * scale,
        shift: all[0] * shift + all[1],
        log_loss: (log_loss(later, [1.0, 0.0]), log_loss(later, from_past)),
        later: (mean(&chance), mean(&|z| chance(from_past[0] * z + from_past[1])), hits),
        after: current.map(|c| c.version.clone()),
        points: points.collect(),
    })
}

impl LearnedCalibration {
    /// Returns the text of the calibration's TOML file with the given version.
    #[must_use]
    pub fn file(&self, version: &str) -> String {
        let (n, useful) = self.verdicts;
        let after = self.after.as_ref().map_or(String::new(), |after| {
            format!("# They were emitted under the calibration {after:?}, which this one includes.\n")
        });
        format!(
            "# A calibration of the risk, learned from {n} verdicts on alerts of {}, {useful} of them useful,\n\
             # emitted {} to {}.\n{after}\
             # On the last of them, which were held out: log loss {:.3} before, {:.3} after.\n\
             # Try it with `firewatch backtest --model`, use it with [models] files in the settings.\n\n\
             {}\nversion = {version:?}\nscale = {:.4}\nshift = {:.4}\n",
            self.team,
            self.span.0,
            self.span.1,
            self.log_loss.0,
            self.log_loss.1,
            Calibration::SECTION,
            self.scale,
            self.shift,
        )
    }

    /// Returns whether the log loss on the held-out verdicts is lower with the calibration.
    #[must_use]
    pub fn is_better(&self) -> bool {
        self.log_loss.1 < self.log_loss.0
    }
}

impl fmt::Display for LearnedCalibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, useful) = self.verdicts;
        writeln!(f, "calibration from {n} verdicts on alerts of {}, {useful} of them useful:", self.team)?;
        writeln!(f, "  log-odds of the risk times {:.3}, plus {:.3}.", self.scale, self.shift)?;
        let (before, after, hits) = self.later;
        let (was, is) = self.log_loss;
        writeln!(
            f,
            "  on the last {:.0}% of them, held out: log loss {was:.3} before, {is:.3} after;",
            100.0 * (1.0 - TRAINING_SHARE)
        )?;
        writeln!(
            f,
            "  mean risk {:.1} before, {:.1} after; {:.1}% were useful.",
            100.0 * before,
            100.0 * after,
            100.0 * hits
        )?;
        if !self.is_better() {
            writeln!(f, "warning: not better on the held-out verdicts; keep the current calibration")?;
        }
        Ok(())
    }
}

fn log_odds(risk: f64) -> f64 {
    let p = (risk / 100.0).clamp(RISK_MARGIN, 1.0 - RISK_MARGIN);
    (p / (1.0 - p)).ln()
}

fn chance(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

fn log_loss(seen: &[(f64, bool)], [scale, shift]: [f64; 2]) -> f64 {
    let loss = |(z, useful): &(f64, bool)| {
        let p = chance(scale * z + shift).clamp(1e-12, 1.0 - 1e-12);
        if *useful { -p.ln() } else { -(1.0 - p).ln() }
    };
    seen.iter().map(loss).sum::<f64>() / seen.len() as f64
}

/// Returns the most probable scale and shift given the verdicts, by Newton's method.
fn fit(seen: &[(f64, bool)]) -> [f64; 2] {
    let prior = PRIOR_SDS.map(|sd| 1.0 / (sd * sd));
    let loss = |at: [f64; 2]| {
        let stray = [at[0] - 1.0, at[1]];
        seen.len() as f64 * log_loss(seen, at)
            + 0.5 * (prior[0] * stray[0].powi(2) + prior[1] * stray[1].powi(2))
    };
    let mut at = [1.0, 0.0];
    for _ in 0..MAX_STEPS {
        let mut slope = [prior[0] * (at[0] - 1.0), prior[1] * at[1]];
        let [mut zz, mut z1, mut ones] = [prior[0], 0.0, prior[1]];
        for (z, useful) in seen {
            let p = chance(at[0] * z + at[1]);
            let (off, weight) = (p - f64::from(u8::from(*useful)), p * (1.0 - p));
            slope = [slope[0] + off * z, slope[1] + off];
            (zz, z1, ones) = (zz + weight * z * z, z1 + weight * z, ones + weight);
        }
        let det = zz * ones - z1 * z1;
        let step = [(ones * slope[0] - z1 * slope[1]) / det, (zz * slope[1] - z1 * slope[0]) / det];
        // The direction descends, but a whole step may overshoot; halve it until the loss falls.
        let tries = (0..20).map(|half| 0.5_f64.powi(half));
        let next = tries
            .map(|part| [at[0] - part * step[0], at[1] - part * step[1]])
            .find(|next| loss(*next) < loss(at));
        match next {
            Some(next) => at = next,
            None => break,
        }
    }
    // A negative scale would reverse the order of risks.
    [at[0].max(0.05), at[1]]
}

#[cfg(test)]
mod tests {
    use firewatch_domain::{Level, Tenths};

    use super::*;
    use crate::run::Alert;
    use firewatch_report::random::unit;

    fn alerts(n: u64, scale: f64, shift: f64) -> Vec<JudgedAlert> {
        let judged = |i: u64| {
            let risk = (15.0 + 80.0 * unit(1, i)).round();
            let alert = Alert {
                conversation: i.to_string(),
                team: "pr".into(),
                at: EventTime::from_millis(1_772_000_000_000 + i as i64 * 60_000),
                level: Level::Medium,
                reason: String::new(),
                route: None,
                risk: Some(Tenths::round(risk)),
            };
            JudgedAlert { alert, useful: Some(unit(2, i) < chance(scale * log_odds(risk) + shift)) }
        };
        (0..n).map(judged).collect()
    }

    #[test]
    fn a_known_calibration_is_found_and_better_on_what_was_not_seen() {
        let learned = recalibrate(&alerts(4000, 0.6, -1.0), "pr", None).unwrap();
        assert!((learned.scale - 0.6).abs() < 0.1 && (learned.shift + 1.0).abs() < 0.1, "{learned:?}");
        assert!(learned.is_better());
        let (before, after, hits) = learned.later;
        assert!((after - hits).abs() < 0.04 && before - hits > 0.1, "{learned}");
        let text = learned.file("calibration-2");
        let read = Calibration::parse("c", &text).unwrap();
        assert!(read.version == "calibration-2" && (read.scale - learned.scale).abs() < 1e-4);
    }

    #[test]
    fn few_verdicts_change_little_and_fewer_nothing() {
        let learned = recalibrate(&alerts(30, 1.0, 0.0), "pr", None).unwrap();
        assert!((learned.scale - 1.0).abs() < 0.6 && learned.shift.abs() < 1.0, "{learned:?}");
        let problem = recalibrate(&alerts(29, 1.0, 0.0), "pr", None).unwrap_err().to_string();
        assert!(problem.starts_with("29 verdicts on alerts of pr"), "{problem}");
        assert!(recalibrate(&alerts(400, 1.0, 90.0), "pr", None).is_err(), "all of one kind");
        assert!(recalibrate(&alerts(400, 1.0, 0.0), "support", None).is_err());
    }

    #[test]
    fn what_is_in_force_is_contained() {
        let current = Calibration { version: "1".into(), scale: 2.0, shift: 0.5 };
        let alone = recalibrate(&alerts(400, 0.8, -0.5), "pr", None).unwrap();
        let both = recalibrate(&alerts(400, 0.8, -0.5), "pr", Some(&current)).unwrap();
        assert!((both.scale - 2.0 * alone.scale).abs() < 1e-9);
        assert!((both.shift - (0.5 * alone.scale + alone.shift)).abs() < 1e-9);
        assert!(both.file("2").contains("under the calibration \"1\""));
    }
}
