//! Trains the sentiment model and measures it on posts it has not seen.
//!
//! Features are chosen by chi-square against the classes, then linfa fits a multinomial logistic regression with
//! L2 penalty on their presence. Deterministic: the same data give the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use firewatch_scoring::{Features, SentimentModel, Stems};
use linfa::prelude::*;
use linfa_logistic::MultiLogisticRegression;
use ndarray::{Array1, Array2};

use crate::metrics::{AveragePrecision, Confusion};
use crate::posts::{HELD_OUT_EDITION, Labelled, Posts};
use crate::{LabError, write};

/// How to train.
#[derive(Debug, Clone)]
pub struct Options {
    /// Train on the airline posts, whose licence is non-commercial.
    pub airline: bool,
    /// Features kept.
    pub vocabulary: usize,
    /// Use only every n-th post: a smoke test, not a model to ship.
    pub every: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { airline: true, vocabulary: 4000, every: 1 }
    }
}

/// Strength of the L2 penalty.
const ALPHA: f32 = 3.0;
/// Steps of the optimiser at most.
const ITERATIONS: u64 = 80;
/// A feature in fewer posts than this is noise.
const LEAST_POSTS: u32 = 5;

/// Figures on one held-out set.
#[derive(Debug, Clone)]
pub struct Figures {
    /// The set's name.
    pub set: String,
    /// Posts in it.
    pub posts: u32,
    /// Macro-averaged recall.
    pub macro_recall: f64,
    /// Macro-averaged F1.
    pub macro_f1: f64,
    /// Average precision for the negative class.
    pub negative_ap: f64,
}

/// Trains on the sets under `data` and writes `sentiment.json` under `out`.
///
/// # Errors
/// A file that cannot be read or written, or a fit that fails.
pub fn train(
    data: &Path,
    out: &Path,
    options: &Options,
    say: &mut dyn FnMut(String),
) -> Result<Vec<Figures>, LabError> {
    let posts = Posts::read(data, options.airline)?;
    let train: Vec<&Labelled> = posts.train.iter().step_by(options.every.max(1)).collect();
    say(format!("{} posts to train on", train.len()));
    let bytes = fit(&train, options.vocabulary, say)?;
    write(&out.join("sentiment.json"), &bytes)?;
    let model = SentimentModel::from_bytes(&bytes).map_err(|e| LabError::Step(e.to_string()))?;
    Ok(evaluate(&model, &posts))
}

/// Measures a model on the held-out posts.
#[must_use]
pub fn evaluate(model: &SentimentModel, posts: &Posts) -> Vec<Figures> {
    let semeval = format!("SemEval {HELD_OUT_EDITION}");
    [(semeval, &posts.semeval), ("airline, held-out fifth".to_owned(), &posts.airline)]
        .map(|(name, set)| figures(name, model, set))
        .into()
}

fn figures(set: String, model: &SentimentModel, posts: &[Labelled]) -> Figures {
    let (mut stems, mut confusion, mut ap) =
        (Stems::default(), Confusion::default(), AveragePrecision::default());
    for post in posts {
        let (said, negative) = match model.read(&mut stems, &post.text, Some("en")).sentiment {
            Ok(s) if s.negative >= s.neutral && s.negative >= s.positive => (0, s.negative),
            Ok(s) if s.positive > s.neutral => (2, s.negative),
            Ok(s) => (1, s.negative),
            Err(_) => (1, model.prior_negative()),
        };
        confusion.add(post.class, said);
        ap.add(f64::from(negative), post.class == 0);
    }
    Figures {
        set,
        posts: confusion.posts(),
        macro_recall: confusion.macro_recall(),
        macro_f1: confusion.macro_f1(),
        negative_ap: ap.value(),
    }
}

fn fit(posts: &[&Labelled], vocabulary: usize, say: &mut dyn FnMut(String)) -> Result<Vec<u8>, LabError> {
    let mut stems = Stems::default();
    let read: Vec<BTreeSet<String>> = posts.iter().map(|p| feature_set(&mut stems, &p.text)).collect();
    let names = choose(&read, posts, vocabulary);
    say(format!("{} features chosen", names.len()));
    let index: BTreeMap<&str, usize> = names.iter().enumerate().map(|(i, n)| (n.as_str(), i)).collect();

    let mut x = Array2::<f32>::zeros((posts.len(), names.len()));
    for (row, features) in read.iter().enumerate() {
        for column in features.iter().filter_map(|f| index.get(f.as_str())) {
            x[[row, *column]] = 1.0;
        }
    }
    let y: Array1<usize> = posts.iter().map(|p| p.class).collect();
    say(format!("fitting {} weights", 3 * names.len()));
    let model = MultiLogisticRegression::default()
        .alpha(ALPHA)
        .max_iterations(ITERATIONS)
        .fit(&Dataset::new(x, y.clone()))
        .map_err(|e| LabError::Step(format!("the fit failed: {e}")))?;
    if model.classes() != [0, 1, 2] {
        return Err(LabError::Step("the posts do not hold all three classes".into()));
    }

    let share = |k: usize| y.iter().filter(|c| **c == k).count() as f32 / y.len() as f32;
    let bias = [0, 1, 2].map(|k| short(model.intercept()[k]));
    let weights = names
        .iter()
        .enumerate()
        .map(|(f, name)| (name.clone(), [0, 1, 2].map(|k| short(model.params()[[f, k]]))))
        .collect();
    SentimentModel::to_bytes([0, 1, 2].map(|k| short(share(k))), bias, weights)
        .map_err(|e| LabError::Step(e.to_string()))
}

fn feature_set(stems: &mut Stems, text: &str) -> BTreeSet<String> {
    let mut features = BTreeSet::new();
    Features::new(stems).visit(text, &mut |hit| {
        features.insert(hit.feature.to_owned());
    });
    features
}

/// The features most dependent on the class: chi-square of presence, the largest over the classes.
fn choose(read: &[BTreeSet<String>], posts: &[&Labelled], vocabulary: usize) -> Vec<String> {
    let mut counts: BTreeMap<&str, [u32; 3]> = BTreeMap::new();
    let mut totals = [0_u32; 3];
    for (features, post) in read.iter().zip(posts) {
        totals[post.class] += 1;
        for feature in features {
            counts.entry(feature).or_default()[post.class] += 1;
        }
    }
    let mut ranked: Vec<(f64, &str)> = counts
        .iter()
        .filter(|(_, c)| c.iter().sum::<u32>() >= LEAST_POSTS)
        .map(|(f, c)| ((0..3).map(|k| chi_square(c, &totals, k)).fold(0.0, f64::max), *f))
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    let mut names: Vec<String> = ranked.into_iter().take(vocabulary).map(|(_, f)| f.to_owned()).collect();
    names.sort();
    names
}

fn chi_square(with: &[u32; 3], totals: &[u32; 3], class: usize) -> f64 {
    let n = f64::from(totals.iter().sum::<u32>());
    let (f, k) = (f64::from(with.iter().sum::<u32>()), f64::from(totals[class]));
    let (both, f_only, k_only) =
        (f64::from(with[class]), f - f64::from(with[class]), k - f64::from(with[class]));
    let neither = n - both - f_only - k_only;
    let cross = both * neither - f_only * k_only;
    n * cross * cross / (f * (n - f) * k * (n - k)).max(1e-9)
}

/// Four decimals are more than the data know, and keep the file small.
fn short(x: f32) -> f32 {
    (x * 1e4).round() / 1e4
}
