//! Early warning: how many of the large conversations a rule catches within an alert budget, and how early.
//!
//! A rule scores every conversation at several ages and alerts at the first age with a score above a
//! threshold. The threshold is the lowest one that keeps the share of alerted conversations within the
//! budget.

use std::collections::BTreeMap;

use firewatch_domain::VIRAL_BAR;

use super::evaluate::EvaluatedForecast;
use super::sample::CascadeOfSet;

/// A conversation with a rule's scores.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchedConversation {
    /// Final number of reshares.
    pub size: f64,
    /// At each age: the score, and the share of the final reshares so far.
    pub snapshots: Vec<(f64, f64)>,
}

/// The results of a rule with a budget.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CatchRate {
    /// Share of conversations with an alert.
    pub alerted: f64,
    /// Share of large conversations with an alert.
    pub caught: f64,
    /// Share of large conversations with an alert before a fifth of their reshares.
    pub early: f64,
    /// Median share of reshares at the alert, over large conversations; NaN without alerts.
    pub happened_share: f64,
}

/// Share of conversations that count as large.
const LARGE: f64 = 0.1;
/// An alert before this share of the reshares is early.
const EARLY: f64 = 0.2;

/// Returns the results of a rule within a budget, which is a share of all conversations.
#[must_use]
pub fn catch_rate(watched: &[WatchedConversation], budget: f64) -> CatchRate {
    let highest =
        |w: &WatchedConversation| w.snapshots.iter().fold(f64::NEG_INFINITY, |m, (score, _)| m.max(*score));
    let mut scores: Vec<f64> = watched.iter().map(highest).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    let max_alerts = (budget * watched.len() as f64).floor() as usize;
    // Conversations with the same score are alerted together or not at all.
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

/// Minutes of the counting rules "n reshares within m minutes".
const COUNT_MINUTES: [f64; 6] = [1.0, 5.0, 10.0, 30.0, 60.0, 1440.0];

/// Compares the forecast with the best counting rule for each budget, in a set watched until an age in
/// seconds. The best rule is the one that catches most.
#[must_use]
pub fn trade_off(
    forecasts: &[EvaluatedForecast],
    known: &[CascadeOfSet],
    set: usize,
    until: f64,
    budgets: &[f64],
) -> Vec<(f64, CatchRate, CatchRate)> {
    let ours = watch_conversations(forecasts, set, until, p_viral);
    let count = |minutes: f64| {
        let rule = |a: &EvaluatedForecast| reshares_within(minutes, a, known);
        watch_conversations(forecasts, set, until, rule)
    };
    let counting = COUNT_MINUTES.map(count);
    let best = |budget: f64| {
        let all = counting.iter().map(|watched| catch_rate(watched, budget));
        all.max_by(|a, b| a.caught.total_cmp(&b.caught))
    };
    budgets.iter().filter_map(|b| Some((*b, catch_rate(&ours, *b), best(*b)?))).collect()
}

/// Returns the forecast probability of crossing the default bar within a day.
#[must_use]
pub fn p_viral(forecast: &EvaluatedForecast) -> f64 {
    forecast.forecast.crossing_probability(VIRAL_BAR as f64, forecast.seen)
}

/// Returns the number of reshares in the last minutes.
fn reshares_within(minutes: f64, forecast: &EvaluatedForecast, known: &[CascadeOfSet]) -> f64 {
    let before = forecast.age - 60.0 * minutes;
    let earlier = if before > 0.0 { known[forecast.cascade].cascade.count_until(before) } else { 0 };
    forecast.seen - earlier as f64
}

/// Scores every conversation of a set with a rule until an age in seconds.
fn watch_conversations(
    forecasts: &[EvaluatedForecast],
    set: usize,
    until: f64,
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
