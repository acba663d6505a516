//! Runs the encoder on many texts in batches, which is several times faster than one by one.

use firewatch_scoring::encoder::Encoder;
use firewatch_scoring::{HEADS, TextPrediction};

use super::net::{Batch, Net};
use firewatch_report::{AnalysisError, parallel::in_parallel};

/// Texts per batch.
const BATCH: usize = 64;
/// Texts between progress messages.
const PROGRESS_EVERY: usize = 8_192;

/// Predicts each text; returns the predictions in the order of the texts.
///
/// # Errors
/// When a tensor operation fails.
pub fn predict_all(
    encoder: &Encoder,
    texts: &[&str],
    progress: &mut dyn FnMut(String),
) -> Result<Vec<TextPrediction>, AnalysisError> {
    let (vocabulary, weights) = encoder.parts();
    let net = Net::new(weights, vocabulary.len()).map_err(|e| AnalysisError::Step(e.to_string()))?;
    let encoded: Vec<Vec<u32>> = texts.iter().map(|text| vocabulary.encode(text)).collect();
    // Batch texts of similar length, to keep padding small.
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|i| (encoded[*i].len(), *i));
    let batches: Vec<&[usize]> = order.chunks(BATCH).collect();
    let mut predictions = vec![None; texts.len()];
    for some in batches.chunks(PROGRESS_EVERY / BATCH) {
        let rows = in_parallel(some, |batch| predict_batch(&net, &encoded, batch));
        for (batch, rows) in some.iter().zip(rows) {
            for (i, z) in batch.iter().zip(rows.map_err(|e| AnalysisError::Step(e.to_string()))?) {
                predictions[*i] = Some(TextPrediction::from_log_odds(&z));
            }
        }
        progress(format!("encoder: {} of {} texts", predictions.iter().flatten().count(), texts.len()));
    }
    predictions
        .into_iter()
        .collect::<Option<_>>()
        .ok_or_else(|| AnalysisError::Step("a text has no prediction".into()))
}

fn predict_batch(net: &Net, encoded: &[Vec<u32>], batch: &[usize]) -> candle_core::Result<Vec<[f32; HEADS]>> {
    let posts: Vec<&[u32]> = batch.iter().map(|i| encoded[*i].as_slice()).collect();
    let rows = net.forward(&Batch::new(&posts)?)?.to_vec2::<f32>()?;
    let whole =
        |row: Vec<f32>| row.try_into().map_err(|_| candle_core::Error::Msg("wrong row length".into()));
    rows.into_iter().map(whole).collect()
}
