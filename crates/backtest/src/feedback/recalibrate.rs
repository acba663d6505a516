//! A calibration of the risk from verdicts: a scale and a shift of its log-odds (Platt 1999), drawn to 1 and 0 so that few
//! verdicts change little, learned on the earlier verdicts and judged on the later ones before all of them are used.
//!
//! Only alerts are judged, so below the least risk that was told the calibration is an extrapolation.

use std::fmt;

use firewatch_domain::EventTime;
use firewatch_scoring::Calibration;
use serde::Serialize;

use super::JudgedAlert;

/// Verdicts below which nothing is learned, and how many there must be of either kind.
const MIN_VERDICTS: usize = 30;
const MIN_VERDICTS_OF_EACH_KIND: usize = 5;
/// The share of the verdicts that the calibration is judged without.
const TRAINING_SHARE: f64 = 0.7;
/// How far the scale strays from 1 and the shift from 0 before it takes evidence (standard deviations).
const PRIOR_SDS: [f64; 2] = [0.5, 1.0];
/// Newton's steps; it takes five or so.
const MAX_STEPS: usize = 50;
/// Risks are told to a tenth, so 0 and 100 are this far from their ends at most.
const RISK_MARGIN: f64 = 0.0005;

/// A calibration that was learned.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LearnedCalibration {
    /// The team whose verdicts it is from.
    pub team: String,
    /// Verdicts, and those that were useful.
    pub verdicts: (usize, usize),
    /// The first and the last alert.
    pub span: (EventTime, EventTime),
    /// What the log-odds are multiplied with, the calibration in force included.
    pub scale: f64,
    /// What is added.
    pub shift: f64,
    /// Mean log loss of the risk on the later verdicts, as it was and as it would have been.
    pub log_loss: (f64, f64),
    /// The mean risk of the later verdicts as it was and as it would have been, and the share of them that were useful.
    pub later: (f64, f64, f64),
    /// The version of the calibration in force when the alerts were told.
    pub after: Option<String>,
    /// Alerts with a risk and a verdict: risk as it was and as it would have been, and whether useful.
    #[serde(skip)]
    pub(super) points: Vec<(f64, f64, bool)>,
}

/// Learns from the verdicts on a team's alerts, in the order of time; `current` was in force when they were told.
///
/// # Errors
/// When there are too few verdicts, or of one kind only.
pub fn recalibrate(
    alerts: &[JudgedAlert],
    team: &str,
    current: Option<&Calibration>,
) -> Result<LearnedCalibration, String> {
    let team_alerts = alerts.iter().filter(|judged| judged.alert.team == team);
    let judged: Vec<(EventTime, f64, bool)> = team_alerts
        .filter_map(|JudgedAlert { alert, useful }| Some((alert.at, alert.risk?.value(), (*useful)?)))
        .collect();
    let useful = judged.iter().filter(|(.., useful)| *useful).count();
    if judged.len() < MIN_VERDICTS || useful.min(judged.len() - useful) < MIN_VERDICTS_OF_EACH_KIND {
        return Err(format!(
            "{} verdicts on alerts of {team} with a risk, {useful} of them useful, are too few to learn from: it takes {MIN_VERDICTS}, and {MIN_VERDICTS_OF_EACH_KIND} of either kind",
            judged.len()
        ));
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
    // What is in force now comes first, and then what was learned.
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
    /// The file of the calibration, under a name.
    #[must_use]
    pub fn file(&self, version: &str) -> String {
        let (n, useful) = self.verdicts;
        let after = self.after.as_ref().map_or(String::new(), |after| {
            format!("# They were told under the calibration {after:?}, which this one contains.\n")
        });
        format!(
            "# A calibration of the risk, learned from {n} verdicts on alerts of {}, {useful} of them useful,\n\
             # told {} to {}.\n{after}\
             # On the last of them, which it had not seen: log loss {:.3} before, {:.3} after.\n\
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

    /// Whether it was better on what it had not seen.
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
            "  on the last {:.0}% of them, learned without: log loss {was:.3} before, {is:.3} after;",
            100.0 * (1.0 - TRAINING_SHARE)
        )?;
        writeln!(
            f,
            "  the mean risk {:.1} before, {:.1} after, and {:.1}% were useful.",
            100.0 * before,
            100.0 * after,
            100.0 * hits
        )?;
        if !self.is_better() {
            writeln!(f, "warning: it is no better on what it had not seen; keep what you have")?;
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

/// The scale and shift that are likeliest after what was seen, by Newton's method.
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
        // The way down is right, though a whole step may be too far.
        let tries = (0..20).map(|half| 0.5_f64.powi(half));
        let next = tries
            .map(|part| [at[0] - part * step[0], at[1] - part * step[1]])
            .find(|next| loss(*next) < loss(at));
        match next {
            Some(next) => at = next,
            None => break,
        }
    }
    // A scale near 0 or below would turn the order around.
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
        let problem = recalibrate(&alerts(29, 1.0, 0.0), "pr", None).unwrap_err();
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
