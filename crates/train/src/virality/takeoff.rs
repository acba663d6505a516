//! Two logistic regressions (linfa, L2) for the probability that a post takes off at all.
//!
//! The opening regression learns from posts of known authors what author and text predict. The evidence
//! regression learns what the reshares so far predict, from real cascades that took off against synthetic
//! ones that did not. A synthetic cascade has the size of a small post; half of them sample reshare times
//! from a real cascade, and half take its first reshares, because a small cascade can start like a large one.
//! The intercept is set to the base rate, as King and Zeng (2001) correct case-control samples; sizes are
//! weighted for the same reason.

use firewatch_scoring::virality::{
    BASE_RATE, EVIDENCE_TERMS, OPENING_TERMS, Opening, SizePrior, TAKEOFF_RESHARES, Takeoff, evidence,
};
use firewatch_scoring::{Scratch, SentimentModel};
use linfa::prelude::*;
use linfa_logistic::LogisticRegression;
use ndarray::{Array1, Array2};

use super::sample::CascadeOfSet;
use firewatch_backtest::cascades::AuthorPost;
use firewatch_report::{AnalysisError, random::mix};

/// Number of snapshots of a cascade, and the bounds of their log-uniform ages in seconds.
const SNAPSHOTS: u64 = 16;
const AGES: (f64, f64) = (20.0, 260_000.0);
/// Strength of the L2 penalty.
const ALPHA: f64 = 1.0;

/// Fits both regressions.
///
/// # Errors
/// When a fit fails.
pub fn fit(
    authors: &[AuthorPost],
    sentiment: &SentimentModel,
    known: &[&CascadeOfSet],
) -> Result<Takeoff, AnalysisError> {
    let mut scratch = Scratch::default();
    let openings: Vec<Opening> = authors.iter().map(|a| opening(a, sentiment, &mut scratch)).collect();
    let rows: Vec<_> =
        openings.iter().zip(authors).map(|(o, a)| (o.terms(), a.retweets >= TAKEOFF_RESHARES)).collect();
    let opening: [f64; OPENING_TERMS] = logistic(&rows)?;
    let small: Vec<u64> = authors.iter().map(|a| a.retweets).filter(|n| *n < TAKEOFF_RESHARES).collect();
    let evidence: [f64; EVIDENCE_TERMS] = logistic(&grown(known, &small))?;
    let bias = bias(&Takeoff { bias: 0.0, opening, evidence }, &openings);
    Ok(Takeoff { bias, opening, evidence })
}

/// Estimates the size distributions: log-normal for collections, and a power law for all posts that take off
/// (Hill's estimator, 1975).
#[must_use]
pub fn sizes(authors: &[AuthorPost], known: &[&CascadeOfSet]) -> SizePrior {
    let minimum = TAKEOFF_RESHARES as f64;
    let logs: Vec<f64> = known.iter().map(|k| (k.cascade.size() as f64).max(minimum).ln()).collect();
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    let square = logs.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / logs.len() as f64;
    let large: Vec<f64> = authors.iter().map(|a| a.retweets as f64).filter(|n| *n >= minimum).collect();
    // Sizes are whole numbers, so the threshold lies half below the minimum.
    let power = large.len() as f64 / large.iter().map(|n| (n / (minimum - 0.5)).ln()).sum::<f64>();
    SizePrior { mean: short(mean), deviation: short(square.sqrt()), power: short(power) }
}

fn opening(author: &AuthorPost, sentiment: &SentimentModel, scratch: &mut Scratch) -> Opening {
    let prediction = sentiment.read(scratch, &author.text, Some(&author.lang)).prediction.ok();
    Opening {
        followers: author.followers as f64,
        arousal: prediction.map_or(0.0, |s| f64::from(s.arousal)),
        complaint: prediction.map_or(0.0, |s| f64::from(s.complaint)),
    }
}

/// Returns snapshots of cascades that took off and of as many that did not. Snapshots with enough reshares to
/// count as taken off are left out, because their outcome is known.
fn grown(known: &[&CascadeOfSet], small: &[u64]) -> Vec<([f64; EVIDENCE_TERMS], bool)> {
    let mut rows = Vec::new();
    let large = known.iter().filter(|k| k.cascade.size() as u64 >= TAKEOFF_RESHARES);
    for (i, known) in large.enumerate() {
        let i = i as u64;
        let times: Vec<f64> = known.cascade.reshares.iter().map(|r| r.secs).collect();
        let size = small.get((mix(11, i) % small.len().max(1) as u64) as usize).copied().unwrap_or(0);
        let small_times: Vec<f64> = if i.is_multiple_of(2) {
            (0..size).map(|k| times[(mix(mix(12, i), k) % times.len() as u64) as usize]).collect()
        } else {
            times.iter().take(size as usize).copied().collect()
        };
        for snapshot in 0..SNAPSHOTS {
            let even = mix(mix(13, i), snapshot) as f64 / u64::MAX as f64;
            let age = (AGES.0.ln() + even * (AGES.1 / AGES.0).ln()).exp();
            for (times, takes_off) in [(&times, true), (&small_times, false)] {
                let seen = times.iter().filter(|t| **t <= age).count() as u64;
                if seen < TAKEOFF_RESHARES {
                    rows.push((evidence(seen as f64, age), takes_off));
                }
            }
        }
    }
    rows
}

fn logistic<const N: usize>(rows: &[([f64; N], bool)]) -> Result<[f64; N], AnalysisError> {
    let x: Vec<f64> = rows.iter().flat_map(|(x, _)| *x).collect();
    let x = Array2::from_shape_vec((rows.len(), N), x)
        .map_err(|e| AnalysisError::Step(format!("rows of unequal length: {e}")))?;
    let labels: Array1<bool> = rows.iter().map(|(_, label)| *label).collect();
    let fitted = LogisticRegression::default()
        .alpha(ALPHA)
        .max_iterations(500)
        .fit(&Dataset::new(x, labels))
        .map_err(|e| AnalysisError::Step(format!("the fit failed: {e}")))?;
    // linfa picks which class it calls positive; ours is `true`.
    let sign = if fitted.labels().pos.class { 1.0 } else { -1.0 };
    let mut weights = [0.0; N];
    weights.iter_mut().zip(fitted.params()).for_each(|(w, p)| *w = short(sign * p));
    Ok(weights)
}

/// Finds by bisection the bias with which new posts of all authors take off at the base rate on average.
fn bias(takeoff: &Takeoff, openings: &[Opening]) -> f64 {
    let mean = |bias: f64| {
        let takeoff = Takeoff { bias, ..*takeoff };
        openings.iter().map(|o| takeoff.chance(o, 0.0, 0.0)).sum::<f64>() / openings.len() as f64
    };
    let (mut low, mut high) = (-50.0, 50.0);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if mean(middle) < BASE_RATE { low = middle } else { high = middle }
    }
    short(low)
}

fn short(x: f64) -> f64 {
    (x * 1e4).round() / 1e4
}
