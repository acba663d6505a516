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

use firewatch_scoring::virality::Parts;
use firewatch_scoring::{SentimentModel, ViralityModel};

use firewatch_backtest::cascades::authors;
use firewatch_report::{AnalysisError, files::write};
use sample::{Known, known, looks};

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
    say: &mut dyn FnMut(String),
) -> Result<(), AnalysisError> {
    let all = known(data)?;
    let model = train_on(data, sentiment, &all.iter().collect::<Vec<_>>(), say)?;
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
    all: &[&Known],
    say: &mut dyn FnMut(String),
) -> Result<ViralityModel, AnalysisError> {
    let authors = authors(&data.join("authors/engagement_dev.csv"))?;
    let (takeoff, sizes) = (takeoff::fit(&authors, sentiment, all)?, takeoff::sizes(&authors, all));
    say(format!("{takeoff:?} {sizes:?}"));
    let looks = looks(all);
    say(format!("{} looks at {} cascades", looks.len(), all.len()));
    let network = fit::fit(&looks, STEPS, say)?;
    ViralityModel::new(Parts { network, takeoff, sizes }).map_err(|e| AnalysisError::Step(e.to_string()))
}
