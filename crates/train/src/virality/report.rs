//! The evaluation of the forecast, as the tables and charts of its model card.

use std::fmt;
use std::path::Path;

use firewatch_domain::VIRAL_BAR;
use firewatch_scoring::SentimentModel;

use super::early::{CatchRate, p_viral, trade_off};
use super::evaluate::{AGES, EvaluatedForecast, ForecastFigures, figures, forecast_all};
use super::sample::{CascadeOfSet, SETS, read_cascade_sets};
use firewatch_report::AnalysisError;

/// Ages of the table, in seconds.
const TABLE_AGES: [f64; 3] = [600.0, 1800.0, 3600.0];
/// Alert budgets, as shares of the conversations.
const BUDGETS: [f64; 6] = [0.03, 0.05, 0.1, 0.15, 0.2, 0.3];
/// Sets of the trade-off with the age in seconds until which they are watched. The third set is left out,
/// because it has large cascades only.
pub(super) const WATCHES: [(usize, f64); 4] = [(0, 3600.0), (0, 86_400.0), (1, 3600.0), (1, 86_400.0)];
/// The set that was collected only up to a size below the default bar.
const CUT_OFF: usize = 1;
/// Levels at which the forecast distribution is checked.
const LEVELS: [f64; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/// The results of the evaluation.
#[derive(Debug, Clone)]
pub struct ViralityReport {
    /// Figures by set, at the ages of the table.
    pub figures: Vec<ForecastFigures>,
    /// Figures by set, at every age.
    pub by_age: Vec<ForecastFigures>,
    /// For each watch: the budget, the catch rate of the forecast, and that of the best counting rule.
    pub early: [Vec<(f64, CatchRate, CatchRate)>; 4],
    /// For each level, the share of final sizes below the forecast quantile.
    pub reliability: Vec<(f64, f64)>,
    /// For bins of the probability of crossing the default bar within a day: mean forecast, observed share,
    /// and number of cascades. Without the set that was cut off.
    pub calibration: Vec<(f64, f64, usize)>,
}

impl ViralityReport {
    /// Cross-validates: trains five models and evaluates each on its unseen cascades. Takes minutes.
    ///
    /// # Errors
    /// When a file cannot be read, or training fails.
    pub fn cross_validate(
        data: &Path,
        text: &SentimentModel,
        progress: &mut dyn FnMut(String),
    ) -> Result<Self, AnalysisError> {
        Ok(Self::measure(&forecast_all(data, text, progress)?, &read_cascade_sets(data)?))
    }

    fn measure(forecasts: &[EvaluatedForecast], known: &[CascadeOfSet]) -> Self {
        Self {
            figures: figures(forecasts, &TABLE_AGES),
            by_age: figures(forecasts, &AGES),
            early: WATCHES.map(|(set, until)| trade_off(forecasts, known, set, until, &BUDGETS)),
            reliability: reliability(forecasts),
            calibration: calibration(forecasts, known),
        }
    }
}

fn reliability(forecasts: &[EvaluatedForecast]) -> Vec<(f64, f64)> {
    let forecasts: Vec<&EvaluatedForecast> =
        forecasts.iter().filter(|a| TABLE_AGES.contains(&a.age) && a.seen >= 10.0).collect();
    let below = |level: f64| {
        let is = |a: &&&EvaluatedForecast| a.size <= (a.seen + a.forecast.end().quantile(level)).round();
        forecasts.iter().filter(is).count() as f64 / forecasts.len().max(1) as f64
    };
    LEVELS.map(|level| (level, below(level))).to_vec()
}

fn calibration(forecasts: &[EvaluatedForecast], known: &[CascadeOfSet]) -> Vec<(f64, f64, usize)> {
    let mut bins = vec![(0.0, 0.0, 0_usize); 10];
    let open =
        |a: &&EvaluatedForecast| TABLE_AGES.contains(&a.age) && a.seen < VIRAL_BAR as f64 && a.set != CUT_OFF;
    for a in forecasts.iter().filter(open) {
        let predicted = p_viral(a);
        let bin = &mut bins[((predicted * 10.0) as usize).min(9)];
        bin.0 += predicted;
        let within_a_day = known[a.cascade].cascade.count_until(a.age + 86_400.0) as u64;
        bin.1 += f64::from(u8::from(within_a_day >= VIRAL_BAR));
        bin.2 += 1;
    }
    let mean = |(predicted, so, n): (f64, f64, usize)| (predicted / n.max(1) as f64, so / n.max(1) as f64, n);
    bins.into_iter().map(mean).filter(|(_, _, n)| *n > 0).collect()
}

impl fmt::Display for ViralityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| set, minutes | cascades | error | SEISMIC | log-linear | tau | SEISMIC | log-linear | covered |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|")?;
        for ForecastFigures { set, minutes, cascades, error, tau, covered } in &self.figures {
            let cells: Vec<String> = error.iter().chain(tau).map(|x| format!("{x:.3}")).collect();
            writeln!(f, "| {set}, {minutes} | {cascades} | {} | {covered:.2} |", cells.join(" | "))?;
        }
        for ((set, until), rows) in WATCHES.iter().zip(&self.early) {
            let (name, _) = SETS[*set];
            writeln!(f, "\n{name} watched for {} h, forecast and best counting rule:\n", until / 3600.0)?;
            writeln!(f, "| budget | caught | early | happened | caught | early | happened |")?;
            writeln!(f, "|---|---|---|---|---|---|---|")?;
            for (budget, ours, counting) in rows {
                write!(f, "| {:.0}% |", 100.0 * budget)?;
                for CatchRate { caught, early, happened_share: happened, .. } in [ours, counting] {
                    let happened =
                        if happened.is_nan() { String::new() } else { format!("{:.0}%", 100.0 * happened) };
                    write!(f, " {:.0}% | {:.0}% | {happened} |", 100.0 * caught, 100.0 * early)?;
                }
                writeln!(f)?;
            }
        }
        let row = |pairs: &mut dyn Iterator<Item = String>| pairs.collect::<Vec<_>>().join(" | ");
        writeln!(f, "\n| level | {} |", row(&mut self.reliability.iter().map(|(l, _)| format!("{l:.1}"))))?;
        writeln!(f, "|---{}|", "|---".repeat(self.reliability.len()))?;
        writeln!(f, "| below | {} |", row(&mut self.reliability.iter().map(|(_, b)| format!("{b:.2}"))))?;
        writeln!(f, "\n| predicted | observed | cascades |\n|---|---|---|")?;
        self.calibration
            .iter()
            .try_for_each(|(predicted, so, n)| writeln!(f, "| {predicted:.2} | {so:.2} | {n} |"))
    }
}
