//! Early warning: who alerts on the conversations that become large, how many alerts it costs, and how early.
//!
//! A rule gives every conversation a score at each of some ages; it alerts at the first age at which the score is at or above
//! a threshold. The threshold is the lowest that keeps the alerted share of conversations within a budget.

use std::collections::BTreeMap;

use firewatch_domain::VIRAL_BAR;

use super::evaluate::EvaluatedForecast;
use super::sample::CascadeOfSet;

/// A conversation as a rule sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchedConversation {
    /// Reshares in the end.
    pub size: f64,
    /// Score and share of the reshares that had happened, age after age.
    pub snapshots: Vec<(f64, f64)>,
}

/// What a rule does with a budget.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CatchRate {
    /// Share of conversations alerted on.
    pub alerted: f64,
    /// Share of the large ones alerted on.
    pub caught: f64,
    /// Share of the large ones alerted on before a fifth of their reshares.
    pub early: f64,
    /// Median share of the reshares that had happened when a large one was alerted on.
    pub happened_share: f64,
}

/// Share of conversations that are called large.
const LARGE: f64 = 0.1;
/// An alert is early before this share of the reshares.
const EARLY: f64 = 0.2;

/// Finds what a rule catches within a budget, a share of all conversations.
#[must_use]
pub fn catch_rate(watched: &[WatchedConversation], budget: f64) -> CatchRate {
    let highest =
        |w: &WatchedConversation| w.snapshots.iter().fold(f64::NEG_INFINITY, |m, (score, _)| m.max(*score));
    let mut scores: Vec<f64> = watched.iter().map(highest).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    let max_alerts = (budget * watched.len() as f64).floor() as usize;
    // Those with the same score are alerted on together or not at all.
    let beyond = scores.get(max_alerts).copied().unwrap_or(f64::NEG_INFINITY);
    let mut sizes: Vec<f64> = watched.iter().map(|w| w.size).collect();
    sizes.sort_by(|a, b| b.total_cmp(a));
    let large = sizes.get((LARGE * sizes.len() as f64) as usize).copied().unwrap_or(f64::INFINITY);
    let (mut alerted, mut large_count, mut happened) = (0, 0, Vec::new());
    for w in watched {
        let alert = w.snapshots.iter().find(|(score, _)| *score > beyond);
        alerted += usize::from(alert.is_some());
        if w.size > large {
            large_count += 1;
            happened.extend(alert.map(|(_, happened)| *happened));
        }
    }
    happened.sort_by(f64::total_cmp);
    let share = |n: usize| n as f64 / large_count.max(1) as f64;
    CatchRate {
        alerted: alerted as f64 / watched.len().max(1) as f64,
        caught: share(happened.len()),
        early: share(happened.iter().filter(|h| **h < EARLY).count()),
        happened_share: happened.get(happened.len() / 2).copied().unwrap_or(f64::NAN),
    }
}

/// Minutes of the counting rules "so many reshares in so many minutes".
const COUNT_MINUTES: [f64; 6] = [1.0, 5.0, 10.0, 30.0, 60.0, 1440.0];

/// What our chance of crossing a bar catches within each budget, and what the best counting rule does, in a set watched
/// until an age in seconds. The best is the one that catches most.
#[must_use]
pub fn trade_off(
    forecasts: &[EvaluatedForecast],
    known: &[CascadeOfSet],
    watch: (usize, f64),
    budgets: &[f64],
) -> Vec<(f64, CatchRate, CatchRate)> {
    let ours = watch_conversations(forecasts, watch, p_viral);
    let count = |minutes: f64| {
        watch_conversations(forecasts, watch, |a: &EvaluatedForecast| reshares_within(minutes, a, known))
    };
    let counting = COUNT_MINUTES.map(count);
    let best = |budget: f64| {
        let all = counting.iter().map(|watched| catch_rate(watched, budget));
        all.max_by(|a, b| a.caught.total_cmp(&b.caught))
    };
    budgets.iter().filter_map(|b| Some((*b, catch_rate(&ours, *b), best(*b)?))).collect()
}

/// The chance of crossing the default bar within a day.
#[must_use]
pub fn p_viral(forecast: &EvaluatedForecast) -> f64 {
    forecast.forecast.crossing_probability(VIRAL_BAR as f64, forecast.seen)
}

/// Reshares of the last minutes.
fn reshares_within(minutes: f64, forecast: &EvaluatedForecast, known: &[CascadeOfSet]) -> f64 {
    let before = forecast.age - 60.0 * minutes;
    let earlier = if before > 0.0 { known[forecast.cascade].cascade.count_until(before) } else { 0 };
    forecast.seen - earlier as f64
}

/// Every conversation of a set as a rule sees it until an age in seconds.
fn watch_conversations(
    forecasts: &[EvaluatedForecast],
    (set, until): (usize, f64),
    rule: impl Fn(&EvaluatedForecast) -> f64,
) -> Vec<WatchedConversation> {
    let mut all: BTreeMap<usize, WatchedConversation> = BTreeMap::new();
    for a in forecasts.iter().filter(|a| a.set == set && a.age <= until) {
        let one = all
            .entry(a.cascade)
            .or_insert_with(|| WatchedConversation { size: a.size, snapshots: Vec::new() });
        one.snapshots.push((rule(a), a.seen / a.size.max(1.0)));
    }
    all.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_kept_and_the_first_alert_counts() {
        let watched: Vec<WatchedConversation> = (0..100)
            .map(|i| {
                let size = f64::from(i);
                WatchedConversation { size, snapshots: vec![(size, 0.1), (2.0 * size, 0.5)] }
            })
            .collect();
        let CatchRate { alerted, caught: found, early, happened_share: happened } = catch_rate(&watched, 0.1);
        assert!((alerted - 0.1).abs() < 1e-9 && (found - 1.0).abs() < 1e-9, "{alerted} {found}");
        assert!(early == 0.0 && happened == 0.5, "{early} {happened}");
        let all = catch_rate(&watched, 1.0);
        assert!(all.alerted == 1.0 && all.early == 1.0);
    }
}
