//! Trains the virality model, and evaluates it against the methods it has to beat.

mod charts;
pub mod early;
pub mod evaluate;
mod fit;
pub mod report;
pub mod sample;
pub mod seismic;
mod takeoff;

use std::path::Path;

use firewatch_scoring::virality::ViralityParts;
use firewatch_scoring::{SentimentModel, ViralityModel};

use firewatch_backtest::cascades::author_posts;
use firewatch_report::{AnalysisError, files::write};
use sample::{CascadeOfSet, read_cascade_sets, snapshots};

/// Number of training steps.
const STEPS: usize = 10_000;

/// Trains on all cascades under `data` and writes `virality.fwm` under `out`. The text model reads the posts
/// of known authors.
///
/// # Errors
/// When a file cannot be read or written, or training fails.
pub fn train(
    data: &Path,
    out: &Path,
    sentiment: &SentimentModel,
    progress: &mut dyn FnMut(String),
) -> Result<(), AnalysisError> {
    let all = read_cascade_sets(data)?;
    let model = train_on(data, sentiment, &all.iter().collect::<Vec<_>>(), progress)?;
    let bytes = model.to_bytes().map_err(|e| AnalysisError::Step(e.to_string()))?;
    write(&out.join("virality.fwm"), &bytes)
}

/// Trains a model on the given cascades.
///
/// # Errors
/// When a file cannot be read, or training fails.
pub fn train_on(
    data: &Path,
    sentiment: &SentimentModel,
    all: &[&CascadeOfSet],
    progress: &mut dyn FnMut(String),
) -> Result<ViralityModel, AnalysisError> {
    let authors = author_posts(&data.join("authors/engagement_dev.csv"))?;
    let (takeoff, sizes) = (takeoff::fit(&authors, sentiment, all)?, takeoff::sizes(&authors, all));
    progress(format!("{takeoff:?} {sizes:?}"));
    let snapshots = snapshots(all);
    progress(format!("{} snapshots of {} cascades", snapshots.len(), all.len()));
    let network = fit::fit(&snapshots, STEPS, progress)?;
    ViralityModel::new(ViralityParts { network, takeoff, sizes })
        .map_err(|e| AnalysisError::Step(e.to_string()))
}
