//! The training loop of the encoder: AdamW on batches of posts of similar length.
//!
//! The loss of a post sums over its known labels: cross-entropy of the class, balanced within its set, and of
//! complaint and anger. Training is deterministic: order and initial weights come from fixed seeds, and the
//! gradients of a batch's two halves are summed in a fixed order.

use std::path::{Path, PathBuf};

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor};
use candle_nn::ops::{log_softmax, sigmoid};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use firewatch_scoring::HEADS;
use firewatch_scoring::encoder::{Dense, Encoder, HIDDEN_SIZE, Vocabulary};

use super::base;
use super::batch_predict::predict_all;
use super::net::{Batch, Net};
use crate::calibrate::{CalibrationSamples, TextCalibration};
use crate::posts::{DataSet, LabelledPost, LabelledPosts, PostSelection};
use crate::report::TextModelReport;
use firewatch_report::{AnalysisError, files::write, random::mix};

/// The options of the training.
#[derive(Debug, Clone)]
pub struct EncoderOptions {
    /// Folder of the base encoder's unpacked packages.
    pub base: PathBuf,
    /// Posts to train on.
    pub choice: PostSelection,
}

/// Passes over the posts.
const EPOCHS: usize = 2;
/// Posts per batch.
const BATCH: usize = 32;
/// Number of batches whose posts are sorted by length together.
const SORTED_BATCHES: usize = 50;
/// Peak learning rate; it rises linearly over the warm-up share of the steps and then falls to 0.
const MAX_LEARNING_RATE: f64 = 1e-4;
const WARM_UP_SHARE: f64 = 0.06;
/// Maximum number of word pieces kept, so that the file stays small.
const MAX_PIECES: usize = 14_500;
/// Weight of the complaint and anger losses relative to the class loss.
const OTHER_HEADS_WEIGHT: f32 = 0.5;
/// Steps between progress messages.
const PROGRESS_EVERY: usize = 50;

/// Trains on the data sets under `data`, writes `encoder.fwm` under `out`, and evaluates it on the held-out
/// posts.
///
/// # Errors
/// When a file cannot be read or written, or a tensor operation fails.
pub fn train(
    data: &Path,
    out: &Path,
    options: &EncoderOptions,
    progress: &mut dyn FnMut(String),
) -> Result<TextModelReport, AnalysisError> {
    let posts = LabelledPosts::read(data, options.choice)?;
    progress(format!("{} posts to train on", posts.train.len()));
    let (vocabulary, kept) = vocabulary(&options.base, &posts)?;
    let weights = base::weights(&options.base, &kept)?;
    let net = Net::new(&weights, kept.len()).map_err(step)?;
    let encoded: Vec<Vec<u32>> = posts.train.iter().map(|p| vocabulary.encode(&p.text)).collect();
    let tuning = Tuning { net: &net, posts: &posts.train, encoded: &encoded, shares: shares(&posts.train) };
    let calibration = tuning.run(progress)?;
    progress(format!("calibrated: {calibration:?}"));
    let mut weights = net.weights().map_err(step)?;
    calibrate(&mut weights.head, &calibration);
    let tuned = Encoder::new(vocabulary, weights).map_err(step)?;
    let bytes = tuned.to_bytes().map_err(step)?;
    write(&out.join("encoder.fwm"), &bytes)?;
    progress(format!("{} bytes; measuring on {} posts", bytes.len(), posts.held_out.len()));
    let encoder = Encoder::from_bytes(&bytes).map_err(step)?;
    let texts: Vec<&str> = posts.held_out.iter().map(|p| p.text.as_str()).collect();
    Ok(TextModelReport::measure(&posts.held_out, &predict_all(&encoder, &texts, progress)?))
}

fn vocabulary(folder: &Path, posts: &LabelledPosts) -> Result<(Vocabulary, Vec<usize>), AnalysisError> {
    let pieces = base::pieces(folder)?;
    let whole = base::vocabulary(&pieces, &(0..pieces.len()).collect::<Vec<_>>())?;
    let mut counts = vec![0_u32; pieces.len()];
    for text in posts.train.iter().map(|p| &p.text).chain(&posts.unlabelled) {
        whole.encode(text).into_iter().for_each(|piece| counts[piece as usize] += 1);
    }
    let kept = base::worth_keeping(&pieces, &counts, MAX_PIECES);
    Ok((base::vocabulary(&pieces, &kept)?, kept))
}

fn calibrate(head: &mut Dense, calibration: &TextCalibration) {
    let TextCalibration { scale, shift } = calibration;
    for (row, scale) in head.weight.chunks_exact_mut(HIDDEN_SIZE).zip(scale) {
        row.iter_mut().for_each(|w| *w *= scale);
    }
    head.bias.iter_mut().zip(scale.iter().zip(shift)).for_each(|(b, (scale, shift))| *b = *b * scale + shift);
}

/// Returns the share of each class among all other posts and among airline posts; classes are balanced within
/// each.
fn shares(posts: &[LabelledPost]) -> [[f32; 3]; 2] {
    let mut counts = [[1.0_f32; 3]; 2];
    for post in posts {
        if let Some(class) = post.class {
            counts[usize::from(post.set == DataSet::Airline)][class] += 1.0;
        }
    }
    counts.map(|c| c.map(|n| n / c.iter().sum::<f32>()))
}

/// The results of half a batch.
struct Half {
    loss: f32,
    /// Log-odds of each post before the step.
    log_odds: Vec<Vec<f32>>,
    gradients: GradStore,
}

struct Tuning<'a> {
    net: &'a Net,
    posts: &'a [LabelledPost],
    encoded: &'a [Vec<u32>],
    shares: [[f32; 3]; 2],
}

impl Tuning<'_> {
    /// Trains, and calibrates on the predictions of the last pass, each made just before its post was learned
    /// again.
    fn run(&self, progress: &mut dyn FnMut(String)) -> Result<TextCalibration, AnalysisError> {
        let variables = self.net.variables();
        let params = ParamsAdamW { lr: MAX_LEARNING_RATE, weight_decay: 0.01, ..ParamsAdamW::default() };
        let mut optimizer = AdamW::new(variables.clone(), params).map_err(step)?;
        let batches: Vec<(usize, Vec<usize>)> =
            (0..EPOCHS).flat_map(|epoch| self.batches(epoch).into_iter().map(move |b| (epoch, b))).collect();
        let (all, rise) = (batches.len() as f64, (batches.len() as f64 * WARM_UP_SHARE).max(1.0));
        let (mut sum, mut samples) = (0.0, CalibrationSamples::default());
        for (i, (epoch, batch)) in batches.iter().enumerate() {
            let at = i as f64;
            optimizer.set_learning_rate(
                MAX_LEARNING_RATE * ((at + 1.0) / rise).min((all - at) / (all - rise).max(1.0)),
            );
            let [mut mine, other] = self.halves(batch)?;
            for variable in &variables {
                if let (Some(a), Some(b)) = (mine.gradients.get(variable), other.gradients.get(variable)) {
                    let both = (a + b).map_err(step)?;
                    mine.gradients.insert(variable, both);
                }
            }
            optimizer.step(&mine.gradients).map_err(step)?;
            if epoch + 1 == EPOCHS {
                self.observe(batch, mine.log_odds.iter().chain(&other.log_odds), &mut samples);
            }
            sum += mine.loss + other.loss;
            if (i + 1).is_multiple_of(PROGRESS_EVERY) {
                progress(format!(
                    "step {} of {}: loss {:.4}",
                    i + 1,
                    batches.len(),
                    sum / PROGRESS_EVERY as f32
                ));
                sum = 0.0;
            }
        }
        samples.calibration()
    }

    fn observe<'z>(
        &self,
        batch: &[usize],
        log_odds: impl Iterator<Item = &'z Vec<f32>>,
        samples: &mut CalibrationSamples,
    ) {
        for (post, z) in batch.iter().map(|i| &self.posts[*i]).zip(log_odds) {
            if let Ok(z) = z.as_slice().try_into() {
                samples.observe(post, z, &self.shares[usize::from(post.set == DataSet::Airline)]);
            }
        }
    }

    /// Computes the two halves of a batch, each on its own thread.
    fn halves(&self, batch: &[usize]) -> Result<[Half; 2], AnalysisError> {
        let (first, second) = batch.split_at(batch.len().div_ceil(2));
        std::thread::scope(|scope| {
            let other = scope.spawn(|| self.half(second, batch.len()));
            let mine = self.half(first, batch.len());
            let other = other.join().map_err(|_| AnalysisError::Step("a training thread panicked".into()))?;
            Ok([mine?, other?])
        })
    }

    /// Returns the batches of an epoch in random order, each with posts of similar length to keep padding
    /// small.
    fn batches(&self, epoch: usize) -> Vec<Vec<usize>> {
        let epoch = epoch as u64;
        let mut order: Vec<usize> = (0..self.posts.len()).collect();
        order.sort_by_key(|i| mix(7 + epoch, *i as u64));
        let mut batches = Vec::new();
        for chunk in order.chunks_mut(BATCH * SORTED_BATCHES) {
            chunk.sort_by_key(|i| (self.encoded[*i].len(), *i));
            // A batch of one post cannot be halved; another epoch will include that post.
            batches.extend(chunk.chunks(BATCH).filter(|b| b.len() > 1).map(<[usize]>::to_vec));
        }
        let mut shuffled: Vec<(u64, Vec<usize>)> =
            batches.into_iter().enumerate().map(|(i, b)| (mix(70 + epoch, i as u64), b)).collect();
        shuffled.sort();
        shuffled.into_iter().map(|(_, batch)| batch).collect()
    }

    /// Computes loss and gradients of some posts of a batch with `all` posts.
    fn half(&self, chosen: &[usize], all: usize) -> Result<Half, AnalysisError> {
        let encoded: Vec<&[u32]> = chosen.iter().map(|i| self.encoded[*i].as_slice()).collect();
        let z = Batch::new(&encoded).and_then(|batch| self.net.forward(&batch)).map_err(step)?;
        let loss = self.loss(&z, chosen, all).map_err(step)?;
        Ok(Half {
            loss: loss.to_scalar().map_err(step)?,
            log_odds: z.to_vec2().map_err(step)?,
            gradients: loss.backward().map_err(step)?,
        })
    }

    fn loss(&self, z: &Tensor, chosen: &[usize], all: usize) -> candle_core::Result<Tensor> {
        // Weights of the log-likelihoods: of the three classes, and of yes and no for complaint and anger.
        let (mut classes, mut yes, mut no) = (Vec::new(), Vec::new(), Vec::new());
        for post in chosen.iter().map(|i| &self.posts[*i]) {
            let shares = self.shares[usize::from(post.set == DataSet::Airline)];
            classes.extend((0..3).map(|k| if post.class == Some(k) { 1.0 / (3.0 * shares[k]) } else { 0.0 }));
            for (truth, weight) in [(post.complaint, post.weight_as_complaint()), (post.angry, 1.0)] {
                yes.push(if truth == Some(true) { OTHER_HEADS_WEIGHT * weight } else { 0.0 });
                no.push(if truth == Some(false) { OTHER_HEADS_WEIGHT * weight } else { 0.0 });
            }
        }
        let n = chosen.len();
        let tensor = |v: Vec<f32>, width: usize| Tensor::from_vec(v, (n, width), &Device::Cpu);
        let classes = (log_softmax(&z.narrow(1, 0, 3)?, 1)? * tensor(classes, 3)?)?.sum_all()?;
        let others = z.narrow(1, 3, HEADS - 3)?;
        let likely = |z: &Tensor| sigmoid(z)?.clamp(1e-6, 1.0)?.log();
        let yes = (likely(&others)? * tensor(yes, HEADS - 3)?)?.sum_all()?;
        let no = (likely(&others.neg()?)? * tensor(no, HEADS - 3)?)?.sum_all()?;
        ((classes + yes)? + no)? * (-1.0 / all as f64)
    }
}

fn step(e: impl std::fmt::Display) -> AnalysisError {
    AnalysisError::Step(e.to_string())
}
