//! Calibrates a text model on out-of-sample predictions: temperature scaling of the three classes (Guo et al.
//! 2017), and Platt scaling of complaint and anger (1999, with linfa's logistic regression).

use firewatch_scoring::HEADS;
use linfa::prelude::*;
use linfa_logistic::LogisticRegression;
use ndarray::{Array1, Array2};

use crate::posts::{DataSet, LabelledPost};
use firewatch_report::AnalysisError;

/// Factor and summand of the log-odds of each head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextCalibration {
    pub scale: [f32; HEADS],
    pub shift: [f32; HEADS],
}

/// Predicted log-odds of labelled posts.
#[derive(Debug, Default)]
pub(crate) struct CalibrationSamples {
    classes: Vec<([f32; HEADS], usize, f32)>,
    complaints: Vec<(f32, bool)>,
    anger: Vec<(f32, bool)>,
}

impl CalibrationSamples {
    /// Adds the log-odds of a post. `shares` are the frequencies of the classes, by which they are balanced.
    pub fn observe(&mut self, post: &LabelledPost, z: [f32; HEADS], shares: &[f32; 3]) {
        self.classes.extend(post.class.map(|class| (z, class, 1.0 / shares[class])));
        let labelled_so = post.complaint.filter(|_| post.set == DataSet::Complaints);
        self.complaints.extend(labelled_so.map(|yes| (z[3], yes)));
        self.anger.extend(post.angry.map(|yes| (z[4], yes)));
    }

    /// Returns the calibration with the highest likelihood of the labels.
    ///
    /// # Errors
    /// When complaint or anger labels are all of one kind.
    pub fn calibration(&self) -> Result<TextCalibration, AnalysisError> {
        let t = temperature(&self.classes);
        let (complaint, anger) = (platt(&self.complaints)?, platt(&self.anger)?);
        Ok(TextCalibration {
            scale: [t, t, t, complaint.0, anger.0],
            shift: [0.0, 0.0, 0.0, complaint.1, anger.1],
        })
    }
}

/// Returns the scale with the highest likelihood of the classes. Samples are log-odds, class and weight.
fn temperature(seen: &[([f32; HEADS], usize, f32)]) -> f32 {
    let loss = |scale: f32| -> f64 {
        let each = seen.iter().map(|(z, class, weight)| {
            let z = [z[0], z[1], z[2]].map(|v| v * scale);
            let top = z[0].max(z[1]).max(z[2]);
            let log_sum = top + z.iter().map(|v| (v - top).exp()).sum::<f32>().ln();
            f64::from(weight * (log_sum - z[*class]))
        });
        each.sum()
    };
    // Ternary search: the loss has a single minimum, and each step drops a third of the interval.
    let (mut low, mut high) = (0.2_f32, 5.0_f32);
    for _ in 0..40 {
        let (a, b) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
        if loss(a) < loss(b) { high = b } else { low = a }
    }
    f32::midpoint(low, high)
}

/// Returns the scale and shift with the highest likelihood of the labels.
fn platt(seen: &[(f32, bool)]) -> Result<(f32, f32), AnalysisError> {
    let x = Array2::from_shape_fn((seen.len(), 1), |(i, _)| f64::from(seen[i].0));
    let y: Array1<bool> = seen.iter().map(|(_, yes)| *yes).collect();
    let model = LogisticRegression::default()
        .alpha(1e-3)
        .fit(&Dataset::new(x, y))
        .map_err(|e| AnalysisError::Step(format!("the calibration failed: {e}")))?;
    // linfa chooses which class is positive; ours is `true`.
    let sign = if model.labels().pos.class { 1.0 } else { -1.0 };
    Ok(((sign * model.params()[0]) as f32, (sign * model.intercept()) as f32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overconfident_predictions_are_scaled_down() {
        // Predicted with near certainty, but right in only three of four cases.
        let seen: Vec<_> =
            (0..400).map(|i| ([8.0, 0.0, 0.0, 0.0, 0.0], usize::from(i % 4 == 0), 1.0)).collect();
        let scale = temperature(&seen);
        let p = (8.0 * scale).exp() / ((8.0 * scale).exp() + 2.0);
        assert!((p - 0.75).abs() < 0.05, "{p}");
    }

    #[test]
    fn scale_and_shift_are_found() {
        let seen: Vec<(f32, bool)> = (0..4000)
            .map(|i| {
                let z = (i % 40) as f32 / 5.0 - 4.0;
                let p = 1.0 / (1.0 + (-(0.5 * z - 1.0)).exp());
                (z, ((i / 40) as f32 + 0.5) / 100.0 < p)
            })
            .collect();
        let (scale, shift) = platt(&seen).unwrap();
        assert!((scale - 0.5).abs() < 0.05 && (shift + 1.0).abs() < 0.1, "{scale} {shift}");
    }
}
