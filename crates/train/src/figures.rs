//! Figures of a text model on held-out posts.

use std::fmt;

use firewatch_scoring::TextPrediction;

use crate::classification::{AveragePrecision, Confusion};
use crate::posts::{DataSet, LabelledPost, MEASURED_EDITION};

/// Figures on one held-out set; a figure without labels in the set is `None`.
#[derive(Debug, Clone)]
pub struct ClassifierFigures {
    /// Name of the set.
    pub set: String,
    /// Number of posts.
    pub posts: usize,
    /// Macro-averaged recall and F1 over negative, neutral and positive, and average precision for negative;
    /// 0 to 1.
    pub sentiment: Option<(f64, f64, f64)>,
    /// Macro-averaged F1 over complaint and other, and average precision; 0 to 1.
    pub complaint: Option<(f64, f64)>,
    /// Average precision for anger, 0 to 1.
    pub anger: Option<f64>,
    /// Reliability of the most likely class, of complaint and of anger. Classes are weighted to be equally
    /// frequent, as the probabilities assume.
    pub reliability: [Option<Reliability>; 3],
}

/// Formats a row of a model card's table.
impl fmt::Display for ClassifierFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |v: Option<f64>| v.map_or_else(String::new, |v| format!("{:.1}", 100.0 * v));
        let share = |v: Option<f64>| v.map_or_else(String::new, |v| format!("{v:.3}"));
        let errors: Vec<String> =
            self.reliability.iter().flatten().map(|r| format!("{:.3}", r.error())).collect();
        let cells = [
            self.set.clone(),
            self.posts.to_string(),
            percent(self.sentiment.map(|s| s.0)),
            percent(self.sentiment.map(|s| s.1)),
            share(self.sentiment.map(|s| s.2)),
            percent(self.complaint.map(|c| c.0)),
            share(self.complaint.map(|c| c.1)),
            share(self.anger),
            errors.join(", "),
        ];
        write!(f, "| {} |", cells.join(" | "))
    }
}

/// Returns the evaluated sets with their names.
#[must_use]
pub fn measured_sets() -> [(String, DataSet); 4] {
    [
        (format!("SemEval {MEASURED_EDITION}"), DataSet::SemevalMeasured),
        ("airline".into(), DataSet::Airline),
        ("complaints".into(), DataSet::Complaints),
        ("emotion".into(), DataSet::Emotion),
    ]
}

/// Measures predictions of held-out posts by set.
pub fn measure(posts: &[LabelledPost], predictions: &[TextPrediction]) -> Vec<ClassifierFigures> {
    let in_set = |set: DataSet| posts.iter().zip(predictions).filter(move |(p, _)| p.set == set);
    measured_sets()
        .into_iter()
        .map(|(name, set)| measure_set(name, &in_set(set).collect::<Vec<_>>()))
        .collect()
}

fn measure_set(set: String, posts: &[(&LabelledPost, &TextPrediction)]) -> ClassifierFigures {
    let (mut three, mut negative) = (Confusion::default(), AveragePrecision::default());
    let (mut two, mut complaint) = (Confusion::default(), AveragePrecision::default());
    let mut anger = AveragePrecision::default();
    let mut bins = [Reliability::default(); 3];
    let mut any = [false; 3];
    let mut counts = [0.0; 3];
    posts.iter().filter_map(|(post, _)| post.class).for_each(|class| counts[class] += 1.0);
    for (post, prediction) in posts {
        let (class, p) = likeliest_class(prediction);
        if let Some(truth) = post.class {
            any[0] = true;
            three.add(truth, class);
            negative.add(f64::from(prediction.sentiment.negative), truth == 0);
            bins[0].add(p, truth == class, counts.iter().sum::<f64>() / (3.0 * counts[truth]));
        }
        if let Some(truth) = post.complaint.filter(|_| post.set == DataSet::Complaints) {
            any[1] = true;
            two.add(usize::from(truth), usize::from(prediction.complaint >= 0.5));
            complaint.add(f64::from(prediction.complaint), truth);
            bins[1].add(prediction.complaint, truth, 1.0);
        }
        if let Some(truth) = post.angry {
            any[2] = true;
            anger.add(f64::from(prediction.arousal), truth);
            bins[2].add(prediction.arousal, truth, 1.0);
        }
    }
    ClassifierFigures {
        set,
        posts: posts.len(),
        sentiment: any[0].then(|| (three.macro_recall(), three.macro_f1(), negative.value())),
        // The table has three classes, of which only two are used: scale the mean from three to two.
        complaint: any[1].then(|| (1.5 * two.macro_f1(), complaint.value())),
        anger: any[2].then(|| anger.value()),
        reliability: [0, 1, 2].map(|i| any[i].then_some(bins[i])),
    }
}

/// Returns the most likely class and its probability.
#[must_use]
pub fn likeliest_class(prediction: &TextPrediction) -> (usize, f32) {
    let s = prediction.sentiment;
    if s.negative >= s.neutral && s.negative >= s.positive {
        (0, s.negative)
    } else if s.positive > s.neutral {
        (2, s.positive)
    } else {
        (1, s.neutral)
    }
}

/// Predicted against observed frequencies in ten bins of equal width (Naeini et al. 2015).
#[derive(Debug, Default, Clone, Copy)]
pub struct Reliability([Bin; 10]);

#[derive(Debug, Default, Clone, Copy)]
struct Bin {
    posts: usize,
    weight: f64,
    predicted: f64,
    observed: f64,
}

impl Reliability {
    fn add(&mut self, predicted: f32, so: bool, weight: f64) {
        if let Some(bin) = self.0.get_mut(((predicted * 10.0) as usize).min(9)) {
            bin.posts += 1;
            bin.weight += weight;
            bin.predicted += weight * f64::from(predicted);
            bin.observed += weight * f64::from(u8::from(so));
        }
    }

    /// Returns the expected calibration error.
    #[must_use]
    pub fn error(&self) -> f64 {
        let all: f64 = self.0.iter().map(|bin| bin.weight).sum();
        self.0.iter().map(|bin| (bin.predicted - bin.observed).abs()).sum::<f64>()
            / all.max(f64::MIN_POSITIVE)
    }

    /// Returns the mean prediction, the observed share and the number of posts of each bin.
    pub fn curve(&self) -> impl Iterator<Item = (f64, f64, usize)> {
        self.0.iter().map(|bin| {
            let n = bin.weight.max(f64::MIN_POSITIVE);
            (bin.predicted / n, bin.observed / n, bin.posts)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overconfidence_shows_in_the_calibration_error() {
        let mut reliability = Reliability::default();
        (0..100).for_each(|i| reliability.add(0.85, i % 10 < 6, 1.0));
        (0..100).for_each(|i| reliability.add(1.0, i > 0, 1.0));
        let curve: Vec<(f64, f64, usize)> = reliability.curve().collect();
        assert!((curve[8].0 - 0.85).abs() < 1e-6 && (curve[8].1 - 0.6).abs() < 1e-6 && curve[8].2 == 100);
        assert!((curve[9].1 - 0.99).abs() < 1e-6 && curve[0].2 == 0);
        assert!((reliability.error() - 0.13).abs() < 1e-6);
    }
}
