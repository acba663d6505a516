//! Trains the fast text model from posts and the encoder's predictions, and writes its file.

use std::path::{Path, PathBuf};

use firewatch_scoring::encoder::Encoder;
use firewatch_scoring::text::MOOD_FEATURES;
use firewatch_scoring::{HEADS, HeadWeights, Scratch, SentimentModel, TextPrediction};

use super::lexicon;
use super::sparse_regression::Linear;
use super::targets::{Texts, TrainingTargets};
use super::vocabulary::FeatureVocabulary;
use crate::calibrate::TextCalibration;
use crate::encoder::predict_all;
use crate::posts::{LabelledPost, LabelledPosts, PostSelection};
use crate::report::TextModelReport;
use firewatch_report::{AnalysisError, files::write};

/// The options of the training.
#[derive(Debug, Clone)]
pub struct SentimentOptions {
    /// File of the encoder to distil from; `None` to learn from labels only.
    pub teacher: Option<PathBuf>,
    /// Posts to train on.
    pub choice: PostSelection,
}

/// Trains on the data sets under `data`, writes `sentiment.fwm` under `out`, and evaluates it on the held-out
/// posts.
///
/// # Errors
/// When a file cannot be read or written, or a fit fails.
pub fn train(
    data: &Path,
    out: &Path,
    options: &SentimentOptions,
    progress: &mut dyn FnMut(String),
) -> Result<TextModelReport, AnalysisError> {
    let posts = LabelledPosts::read(data, options.choice)?;
    let teacher = options.teacher.as_deref().map(read_encoder).transpose()?;
    let labelled = posts.train.iter().map(|p| p.text.as_str());
    let texts: Vec<&str> = labelled.chain(posts.unlabelled.iter().map(String::as_str)).collect();
    progress(format!("{} posts with labels and {} without", posts.train.len(), posts.unlabelled.len()));
    let vocabulary = FeatureVocabulary::choose(&texts, lexicon::read_lexicon(data)?);
    progress(format!("{} features", vocabulary.keys.len()));
    let rows = vocabulary.rows(&texts);
    let rows = Texts { posts: &posts.train, rows: &rows, columns: vocabulary.width() };

    let own = TrainingTargets::from_labels(&rows);
    let mut fitted = own.fit_all(progress)?;
    if let Some(encoder) = &teacher {
        let teacher_fit = TrainingTargets::from_teacher(&rows, &predict_all(encoder, &texts, progress)?)
            .fit_all(progress)?;
        fitted = teacher_fit.average_complaints(&fitted);
    }
    let calibration = own.calibration(&fitted.out_of_fold)?;
    progress(format!("calibrated: {calibration:?}"));
    let bytes = encode_model_file(&vocabulary, &fitted.linear, &calibration, own.prior())?;
    write(&out.join("sentiment.fwm"), &bytes)?;
    progress(format!("{} bytes; measuring on {} posts", bytes.len(), posts.held_out.len()));
    let model = SentimentModel::from_bytes(&bytes).map_err(|e| AnalysisError::Step(e.to_string()))?;
    Ok(evaluate(&model, &posts.held_out))
}

/// Evaluates a model on held-out posts.
#[must_use]
pub fn evaluate(model: &SentimentModel, posts: &[LabelledPost]) -> TextModelReport {
    let mut scratch = Scratch::default();
    let predictions: Vec<TextPrediction> =
        posts.iter().map(|p| model.predict(&mut scratch, &p.text)).collect();
    TextModelReport::measure(posts, &predictions)
}

fn read_encoder(path: &Path) -> Result<Encoder, AnalysisError> {
    let bytes = std::fs::read(path).map_err(|e| AnalysisError::File(path.into(), e))?;
    Encoder::from_bytes(&bytes).map_err(|e| AnalysisError::Step(format!("{}: {e}", path.display())))
}

/// Folds the calibration into the weights and encodes the model file.
fn encode_model_file(
    vocabulary: &FeatureVocabulary,
    linear: &Linear<HEADS>,
    calibration: &TextCalibration,
    prior: [f32; HEADS],
) -> Result<Vec<u8>, AnalysisError> {
    let scaled = |w: &[f32; HEADS]| -> [f32; HEADS] { std::array::from_fn(|k| w[k] * calibration.scale[k]) };
    let weights: Vec<[f32; HEADS]> = linear.weights.iter().map(scaled).collect();
    let (features, mood_weights) = weights.split_at(vocabulary.keys.len());
    let bias = scaled(&linear.bias);
    let head = HeadWeights {
        bias: std::array::from_fn(|k| bias[k] + calibration.shift[k]),
        mood_weights: std::array::from_fn(|k| {
            std::array::from_fn::<_, MOOD_FEATURES, _>(|i| mood_weights[i][k])
        }),
        prior,
    };
    SentimentModel::to_bytes(&head, &vocabulary.table(features))
        .map_err(|e| AnalysisError::Step(e.to_string()))
}
