//! Training targets of each text, from labels and a teacher's predictions, and the fit to them.

use firewatch_scoring::{HEADS, TextPrediction};

use super::sparse_regression::{Linear, SparseRegression, SparseRows};
use crate::calibrate::{CalibrationSamples, TextCalibration};
use crate::posts::{DataSet, LabelledPost};
use firewatch_report::{AnalysisError, random::mix};

/// Weight of a label; the teacher's prediction gets the rest of 1.
const LABEL_WEIGHT: f32 = 0.1;
/// Weight of a text without a label.
const UNLABELLED_WEIGHT: f32 = 1.0;
/// L2 penalties with and without a teacher: labels are noisier than predictions.
const L2_PENALTIES: (f64, f64) = (6.0, 20.0);
/// Maximum number of optimiser steps.
const MAX_STEPS: u64 = 120;
/// Index of the complaint head.
const COMPLAINT_HEAD: usize = 3;
/// Number of folds of the cross-validation.
const FOLDS: u64 = 3;

/// The texts as feature rows; the labelled posts come first.
pub(super) struct Texts<'a> {
    pub posts: &'a [LabelledPost],
    pub rows: &'a SparseRows,
    /// Number of feature columns.
    pub columns: usize,
}

/// The training targets of each text.
pub(super) struct TrainingTargets<'a> {
    texts: &'a Texts<'a>,
    /// Weights of the classes, and of yes for complaint and anger.
    targets: Vec<[f32; HEADS]>,
    /// Weights of no for complaint and anger.
    against: Vec<[f32; HEADS]>,
    /// Shares of the classes among the labelled posts.
    shares: [f32; 3],
    l2: f64,
}

/// A model fitted on all texts, with out-of-fold predictions.
pub(super) struct FittedModel {
    pub linear: Linear<HEADS>,
    /// Log-odds of each text from a model that was fitted without it.
    pub out_of_fold: Vec<[f32; HEADS]>,
}

impl FittedModel {
    /// Averages the complaint head with another model's. There are few labelled complaints, and models
    /// learned from the encoder and from labels make different errors.
    pub fn average_complaints(mut self, other: &Self) -> Self {
        let mean = |a: &mut [f32; HEADS], b: &[f32; HEADS]| {
            a[COMPLAINT_HEAD] = f32::midpoint(a[COMPLAINT_HEAD], b[COMPLAINT_HEAD]);
        };
        self.linear.weights.iter_mut().zip(&other.linear.weights).for_each(|(a, b)| mean(a, b));
        self.out_of_fold.iter_mut().zip(&other.out_of_fold).for_each(|(a, b)| mean(a, b));
        mean(&mut self.linear.bias, &other.linear.bias);
        self
    }
}

impl<'a> TrainingTargets<'a> {
    /// Creates targets from the labels alone.
    pub fn from_labels(texts: &'a Texts<'a>) -> Self {
        let mut targets = Self::empty(texts, L2_PENALTIES.1);
        targets.add_labels(1.0);
        targets
    }

    /// Creates targets from a teacher's prediction of each text, and the labels.
    pub fn from_teacher(texts: &'a Texts<'a>, opinions: &[TextPrediction]) -> Self {
        let mut targets = Self::empty(texts, L2_PENALTIES.0);
        targets.add_labels(LABEL_WEIGHT);
        for (i, prediction) in opinions.iter().enumerate() {
            let labelled = texts.posts.get(i).is_some_and(|p| p.class.is_some());
            targets.add_prediction(
                i,
                prediction,
                if labelled { 1.0 - LABEL_WEIGHT } else { UNLABELLED_WEIGHT },
            );
        }
        targets
    }

    fn empty(texts: &'a Texts<'a>, l2: f64) -> Self {
        let mut counts = [1.0_f32; 3];
        texts.posts.iter().filter_map(|p| p.class).for_each(|class| counts[class] += 1.0);
        let shares = counts.map(|n| n / counts.iter().sum::<f32>());
        let nothing = vec![[0.0; HEADS]; texts.rows.len()];
        Self { texts, targets: nothing.clone(), against: nothing, shares, l2 }
    }

    fn add_labels(&mut self, weight: f32) {
        for (post, (yes, no)) in self.texts.posts.iter().zip(self.targets.iter_mut().zip(&mut self.against)) {
            if let Some(class) = post.class {
                yes[class] += weight / (3.0 * self.shares[class]);
            }
            for (k, truth, times) in [(3, post.complaint, post.weight_as_complaint()), (4, post.angry, 1.0)] {
                match truth {
                    Some(true) => yes[k] += weight * times,
                    Some(false) => no[k] += weight * times,
                    None => {}
                }
            }
        }
    }

    fn add_prediction(&mut self, i: usize, prediction: &TextPrediction, weight: f32) {
        let s = prediction.sentiment;
        let p = [s.negative, s.neutral, s.positive, prediction.complaint, prediction.arousal];
        self.targets[i].iter_mut().zip(p).for_each(|(yes, p)| *yes += weight * p);
        self.against[i][3] += weight * (1.0 - prediction.complaint);
        self.against[i][4] += weight * (1.0 - prediction.arousal);
    }

    /// Fits a model on all texts, and one without each fold for out-of-fold predictions.
    pub fn fit_all(&self, progress: &mut dyn FnMut(String)) -> Result<FittedModel, AnalysisError> {
        let rows = self.texts.rows;
        let mut left_out = vec![[0.0; HEADS]; rows.len()];
        for fold in 0..FOLDS {
            progress(format!("fitting without fold {} of {FOLDS}", fold + 1));
            let is_out = |i: usize| mix(3, i as u64) % FOLDS == fold;
            let linear = self.fit(|i| !is_out(i))?;
            let z = left_out.iter_mut().enumerate().filter(|(i, _)| is_out(*i));
            z.for_each(|(i, z)| *z = linear.log_odds(rows, i));
        }
        progress("fitting on all texts".into());
        Ok(FittedModel { linear: self.fit(|_| true)?, out_of_fold: left_out })
    }

    fn fit(&self, chosen: impl Fn(usize) -> bool) -> Result<Linear<HEADS>, AnalysisError> {
        let chosen: Vec<usize> = (0..self.targets.len()).filter(|i| chosen(*i)).collect();
        let targets: Vec<(usize, [f32; HEADS])> = chosen.iter().map(|i| (*i, self.targets[*i])).collect();
        let against: Vec<[f32; HEADS]> = chosen.iter().map(|i| self.against[*i]).collect();
        let Texts { rows, columns, .. } = *self.texts;
        SparseRegression { rows, targets: &targets, against: &against, columns, l2: self.l2 }.solve(MAX_STEPS)
    }

    /// Calibrates the log-odds of the texts against their labels.
    pub fn calibration(&self, log_odds: &[[f32; HEADS]]) -> Result<TextCalibration, AnalysisError> {
        let mut samples = CalibrationSamples::default();
        self.texts.posts.iter().zip(log_odds).for_each(|(post, z)| samples.observe(post, *z, &self.shares));
        samples.calibration()
    }

    /// Returns the priors: equal shares of the classes, and the labelled shares of complaint and anger.
    pub fn prior(&self) -> [f32; HEADS] {
        let share = |label_of: &dyn Fn(&LabelledPost) -> Option<bool>| {
            let known: Vec<bool> = self.texts.posts.iter().filter_map(label_of).collect();
            known.iter().filter(|yes| **yes).count() as f32 / known.len().max(1) as f32
        };
        let third = 1.0 / 3.0;
        let complaint = share(&|p| p.complaint.filter(|_| p.set == DataSet::Complaints));
        [third, third, third, complaint, share(&|p| p.angry)]
    }
}
