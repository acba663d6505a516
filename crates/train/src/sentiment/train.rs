//! From posts and the encoder's opinions to the model file.

use std::path::{Path, PathBuf};

use firewatch_scoring::encoder::Encoder;
use firewatch_scoring::text::MOODS;
use firewatch_scoring::{HEADS, Head, Said, Scratch, SentimentModel};

use super::lesson::{Lesson, Texts};
use super::lexicon;
use super::sparse::Linear;
use super::vocabulary::Vocabulary;
use crate::calibrate::Calibration;
use crate::encoder::say_all;
use crate::posts::{Choice, Post, Posts};
use crate::report::Report;
use firewatch_report::{AnalysisError, files::write};

/// How to train.
#[derive(Debug, Clone)]
pub struct Options {
    /// The encoder that teaches; without one the labels are all there is.
    pub teacher: Option<PathBuf>,
    /// Which posts.
    pub choice: Choice,
}

/// Trains on the sets under `data` and writes `sentiment.fwm` under `out`.
///
/// # Errors
/// A file that cannot be read or written, or a fit that fails.
pub fn train(
    data: &Path,
    out: &Path,
    options: &Options,
    say: &mut dyn FnMut(String),
) -> Result<Report, AnalysisError> {
    let posts = Posts::read(data, options.choice)?;
    let teacher = options.teacher.as_deref().map(read_encoder).transpose()?;
    let labelled = posts.train.iter().map(|p| p.text.as_str());
    let texts: Vec<&str> = labelled.chain(posts.unlabelled.iter().map(String::as_str)).collect();
    say(format!("{} posts with labels and {} without", posts.train.len(), posts.unlabelled.len()));
    let vocabulary = Vocabulary::choose(&texts, lexicon::read_lexicon(data)?);
    say(format!("{} features", vocabulary.keys.len()));
    let rows = vocabulary.rows(&texts);
    let rows = Texts { posts: &posts.train, rows: &rows, columns: vocabulary.width() };

    let own = Lesson::of_labels(&rows);
    let mut learnt = own.learn(say)?;
    if let Some(encoder) = &teacher {
        let taught = Lesson::taught(&rows, &say_all(encoder, &texts, say)?).learn(say)?;
        learnt = taught.with_complaints_of(&learnt);
    }
    let calibration = own.calibration(&learnt.left_out)?;
    say(format!("calibrated: {calibration:?}"));
    let bytes = file(&vocabulary, &learnt.linear, &calibration, own.prior())?;
    write(&out.join("sentiment.fwm"), &bytes)?;
    say(format!("{} bytes; measuring on {} posts", bytes.len(), posts.held_out.len()));
    let model = SentimentModel::from_bytes(&bytes).map_err(|e| AnalysisError::Step(e.to_string()))?;
    Ok(evaluate(&model, &posts.held_out))
}

/// Measures a model on held-out posts.
#[must_use]
pub fn evaluate(model: &SentimentModel, posts: &[Post]) -> Report {
    let mut scratch = Scratch::default();
    let said: Vec<Said> = posts.iter().map(|p| model.say(&mut scratch, &p.text)).collect();
    Report::of(posts, &said)
}

fn read_encoder(path: &Path) -> Result<Encoder, AnalysisError> {
    let bytes = std::fs::read(path).map_err(|e| AnalysisError::File(path.into(), e))?;
    Encoder::from_bytes(&bytes).map_err(|e| AnalysisError::Step(format!("{}: {e}", path.display())))
}

/// Folds the calibration into the weights and writes the file.
fn file(
    vocabulary: &Vocabulary,
    linear: &Linear<HEADS>,
    calibration: &Calibration,
    prior: [f32; HEADS],
) -> Result<Vec<u8>, AnalysisError> {
    let scaled = |w: &[f32; HEADS]| -> [f32; HEADS] { std::array::from_fn(|k| w[k] * calibration.scale[k]) };
    let weights: Vec<[f32; HEADS]> = linear.weights.iter().map(scaled).collect();
    let (features, of_moods) = weights.split_at(vocabulary.keys.len());
    let bias = scaled(&linear.bias);
    let head = Head {
        bias: std::array::from_fn(|k| bias[k] + calibration.shift[k]),
        moods: std::array::from_fn(|k| std::array::from_fn::<_, MOODS, _>(|i| of_moods[i][k])),
        prior,
    };
    SentimentModel::to_bytes(&head, &vocabulary.table(features)).map_err(|e| AnalysisError::Step(e.to_string()))
}
