//! Training of the virality model, and its measurement beside the methods it has to beat.

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

/// Steps of the training.
const STEPS: usize = 10_000;

/// Trains on all cascades under `data` and writes `virality.fwm` under `out`. The text model says what kind of posts known
/// authors wrote.
///
/// # Errors
/// A file that cannot be read or written, or arithmetic that fails.
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

/// Trains on some of the cascades.
///
/// # Errors
/// A file that cannot be read, or arithmetic that fails.
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
    progress(format!("{} looks at {} cascades", snapshots.len(), all.len()));
    let network = fit::fit(&snapshots, STEPS, progress)?;
    ViralityModel::new(ViralityParts { network, takeoff, sizes })
        .map_err(|e| AnalysisError::Step(e.to_string()))
}
