//! Measures a policy on a part of the history with confidence intervals, and selects the best one within a
//! budget.

use std::fmt;

use serde::Serialize;

use super::{TriedPolicy, TuneGoal};
use crate::run::ConversationVerdict;
use firewatch_report::{random::mix, random::text_hash, random::unit};

/// Number of bootstrap resamples.
const RESAMPLES: usize = 1_000;

/// What a tuning maximises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Timely recall: share of the conversations worth an alert that were alerted before they crossed the
    /// bar.
    Recall,
    /// Precision: share of the alerted conversations that were worth it.
    Precision,
    /// Harmonic mean of precision and timely recall.
    F1,
    /// Mean minutes from the alert to half of the reach, over all conversations worth an alert; 0 for a later
    /// alert or none.
    Minutes,
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recall => "timely recall",
            Self::Precision => "precision",
            Self::F1 => "F1",
            Self::Minutes => "minutes gained",
        })
    }
}

/// A value with its 95% interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfidenceInterval {
    /// The value.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The value in each resample. Every policy has the same resamples, so differences can be taken pairwise.
    #[serde(skip)]
    resampled: Vec<f64>,
}

impl fmt::Display for ConfidenceInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ({:.3} to {:.3})", self.value, self.low, self.high)
    }
}

impl ConfidenceInterval {
    fn from_resamples(value: f64, resampled: Vec<f64>) -> Self {
        let mut ordered: Vec<f64> = resampled.iter().copied().filter(|v| v.is_finite()).collect();
        ordered.sort_by(f64::total_cmp);
        let at = |q: f64| crate::run::quantile(&ordered, q).unwrap_or(f64::NAN);
        Self { value, low: at(0.025), high: at(0.975), resampled }
    }
}

/// The results of a policy on a part of the history.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PeriodResult {
    /// Alerts a day, including storms and groups.
    pub alerts_per_day: f64,
    /// Conversations worth an alert.
    pub wanted: usize,
    /// Conversations alerted a day.
    #[serde(rename = "told_per_day")]
    pub alerted_per_day: ConfidenceInterval,
    /// Share of the alerted conversations that were worth it.
    pub precision: ConfidenceInterval,
    /// Share of the conversations worth an alert that were alerted before they crossed the bar.
    pub recall: ConfidenceInterval,
    /// Mean minutes from the alert to half of the reach, over the conversations worth an alert.
    pub minutes: ConfidenceInterval,
    /// F1: twice the timely alerts over the alerted plus the wanted conversations.
    pub f1: ConfidenceInterval,
}

impl fmt::Display for PeriodResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { alerts_per_day, precision, recall, minutes, .. } = self;
        write!(
            f,
            "{alerts_per_day:>10.1} {:>6.3} {:>7.3} {:>5.1}",
            precision.value, recall.value, minutes.value
        )
    }
}

/// Weighted sums over verdicts.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    alerted: f64,
    right: f64,
    in_time: f64,
    wanted: f64,
    minutes: f64,
}

impl Sums {
    fn add(&mut self, verdict: &ConversationVerdict, weight: f64) {
        let is_wanted = verdict.wanted == Some(true);
        self.wanted += if is_wanted { weight } else { 0.0 };
        let Some(alert) = verdict.alert.filter(|_| verdict.wanted.is_some()) else { return };
        self.alerted += weight;
        if is_wanted {
            self.right += weight;
            self.in_time += if alert.in_time { weight } else { 0.0 };
            self.minutes += weight * alert.lead_minutes.unwrap_or_default().max(0.0);
        }
    }

    fn precision(&self) -> f64 {
        self.right / self.alerted
    }

    fn recall(&self) -> f64 {
        self.in_time / self.wanted
    }

    fn f1(&self) -> f64 {
        2.0 * self.in_time / (self.alerted + self.wanted)
    }

    fn minutes(&self) -> f64 {
        self.minutes / self.wanted
    }
}

impl PeriodResult {
    /// Measures verdicts over `days` days with `alerts` alerts. Each part has its own `seed` for the
    /// resamples.
    pub(super) fn from_verdicts(
        verdicts: &[&ConversationVerdict],
        alerts: u64,
        days: f64,
        seed: u64,
    ) -> Self {
        let mut all = Sums::default();
        let mut resamples = vec![Sums::default(); RESAMPLES];
        for verdict in verdicts {
            all.add(verdict, 1.0);
            let own = mix(seed, text_hash(&verdict.conversation));
            for (i, resample) in resamples.iter_mut().enumerate() {
                let weight = poisson(unit(own, i as u64));
                if weight > 0.0 {
                    resample.add(verdict, weight);
                }
            }
        }
        let interval = |value: fn(&Sums) -> f64| {
            ConfidenceInterval::from_resamples(value(&all), resamples.iter().map(value).collect())
        };
        let a_day = |sums: &Sums| sums.alerted / days;
        Self {
            alerts_per_day: alerts as f64 / days,
            wanted: all.wanted as usize,
            alerted_per_day: ConfidenceInterval::from_resamples(
                a_day(&all),
                resamples.iter().map(a_day).collect(),
            ),
            precision: interval(Sums::precision),
            recall: interval(Sums::recall),
            minutes: interval(Sums::minutes),
            f1: interval(Sums::f1),
        }
    }

    /// Returns the value of an objective.
    pub(super) fn objective_value(&self, objective: Objective) -> &ConfidenceInterval {
        match objective {
            Objective::Recall => &self.recall,
            Objective::Precision => &self.precision,
            Objective::F1 => &self.f1,
            Objective::Minutes => &self.minutes,
        }
    }
}

/// Returns a Poisson number with mean 1 (at most 12) from a uniform number in 0..1: the weight of a
/// conversation in a resample.
fn poisson(chance: f64) -> f64 {
    let (mut n, mut term, mut below) = (0.0, (-1.0_f64).exp(), (-1.0_f64).exp());
    while chance >= below && n < 12.0 {
        n += 1.0;
        term /= n;
        below += term;
    }
    n
}

/// Returns the index of the best policy on the past within the budget. Ties go to the one with fewer alerts,
/// then to the one with fewer changed lines.
pub(super) fn best(tried: &[TriedPolicy], goal: &TuneGoal, changes: &[usize]) -> Option<usize> {
    let value = |i: usize| tried[i].past.objective_value(goal.objective).value;
    let fits = |i: &usize| tried[*i].past.alerts_per_day <= goal.budget && !value(*i).is_nan();
    (0..tried.len()).filter(fits).max_by(|a, b| {
        let quieter = tried[*b].past.alerts_per_day.total_cmp(&tried[*a].past.alerts_per_day);
        let fewer = changes.get(*b).cmp(&changes.get(*a));
        value(*a).total_cmp(&value(*b)).then(quieter).then(fewer).then(b.cmp(a))
    })
}

/// Returns the difference of an objective between two policies on the same part, with a paired interval.
pub(super) fn gain(
    chosen: &PeriodResult,
    current: &PeriodResult,
    objective: Objective,
) -> ConfidenceInterval {
    let (chosen, current) = (chosen.objective_value(objective), current.objective_value(objective));
    let resampled = chosen.resampled.iter().zip(&current.resampled).map(|(a, b)| a - b).collect();
    ConfidenceInterval::from_resamples(chosen.value - current.value, resampled)
}

#[cfg(test)]
mod tests {
    use firewatch_domain::EventTime;

    use super::*;
    use crate::run::AlertVerdict;

    fn verdict(i: usize, wanted: bool, is_alerted: bool) -> ConversationVerdict {
        let alert = is_alerted.then_some(AlertVerdict {
            at: EventTime::EARLIEST,
            in_time: true,
            lead_minutes: Some(10.0),
            reach_to_come: Some(0.5),
        });
        let (conversation, began) = (format!("c{i}"), EventTime::EARLIEST);
        ConversationVerdict { conversation, began, wanted: Some(wanted), alert, answered: None }
    }

    fn part(verdicts: &[ConversationVerdict]) -> PeriodResult {
        PeriodResult::from_verdicts(&verdicts.iter().collect::<Vec<_>>(), 10, 2.0, 7)
    }

    #[test]
    fn poisson_weights_have_mean_and_variance_one() {
        let weights: Vec<f64> = (0..100_000).map(|i| poisson(unit(3, i))).collect();
        let mean = weights.iter().sum::<f64>() / 1e5;
        let variance = weights.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / 1e5;
        assert!((mean - 1.0).abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    }

    #[test]
    fn the_interval_of_a_share_is_as_wide_as_the_binomial_says() {
        // 60 of 100 are right: 1.96 standard errors are 0.096.
        let verdicts: Vec<ConversationVerdict> = (0..100).map(|i| verdict(i, i < 60, true)).collect();
        let ConfidenceInterval { value, low, high, .. } = part(&verdicts).precision;
        assert!((value - 0.6).abs() < 1e-9);
        assert!((high - low - 0.192).abs() < 0.03, "{low} to {high}");
    }

    #[test]
    fn a_difference_is_surer_than_its_parts_where_policies_mostly_agree() {
        let all = |is_alerted: fn(usize) -> bool| -> Vec<ConversationVerdict> {
            (0..100).map(|i| verdict(i, true, is_alerted(i))).collect()
        };
        let (few, more) = (part(&all(|i| i < 50)), part(&all(|i| i < 60)));
        let gain = gain(&more, &few, Objective::Recall);
        assert!((gain.value - 0.1).abs() < 1e-9 && gain.low > 0.03 && gain.high < 0.18, "{gain}");
        assert!(few.recall.high > more.recall.low, "the intervals of the two overlap");
    }
}
