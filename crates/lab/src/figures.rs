//! What a model of texts is worth on posts it has not seen.

use firewatch_scoring::Said;

use crate::metrics::{AveragePrecision, Confusion};
use crate::posts::{MEASURED_EDITION, Post, Set};

/// Figures on one held-out set; what a set has no labels for is left out.
#[derive(Debug, Clone)]
pub struct Figures {
    /// The set's name.
    pub set: String,
    /// Posts in it.
    pub posts: usize,
    /// Macro-averaged recall and F1 of negative, neutral and positive, and average precision for negative.
    pub sentiment: Option<(f64, f64, f64)>,
    /// Macro-averaged F1 of complaint and none, and average precision.
    pub complaint: Option<(f64, f64)>,
    /// Average precision for anger.
    pub anger: Option<f64>,
    /// Expected calibration error of the most likely class, of a complaint and of anger, in ten bins.
    pub calibration: [Option<f64>; 3],
}

/// The sets that are measured on.
#[must_use]
pub fn measured() -> [(String, Set); 4] {
    [
        (format!("SemEval {MEASURED_EDITION}"), Set::SemevalMeasured),
        ("airline".into(), Set::Airline),
        ("complaints".into(), Set::Complaints),
        ("emotion".into(), Set::Emotion),
    ]
}

/// Measures what is said of held-out posts, set by set.
pub fn measure(posts: &[Post], said: &[Said]) -> Vec<Figures> {
    let of_set = |set: Set| posts.iter().zip(said).filter(move |(p, _)| p.set == set);
    measured().into_iter().map(|(name, set)| of_one(name, &of_set(set).collect::<Vec<_>>())).collect()
}

fn of_one(set: String, posts: &[(&Post, &Said)]) -> Figures {
    let (mut three, mut negative) = (Confusion::default(), AveragePrecision::default());
    let (mut two, mut complaint) = (Confusion::default(), AveragePrecision::default());
    let mut anger = AveragePrecision::default();
    let mut bins = [Bins::default(), Bins::default(), Bins::default()];
    let mut any = [false; 3];
    for (post, said) in posts {
        let (class, p) = most_likely(said);
        if let Some(truth) = post.class {
            any[0] = true;
            three.add(truth, class);
            negative.add(f64::from(said.sentiment.negative), truth == 0);
            bins[0].add(p, truth == class);
        }
        if let Some(truth) = post.complaint.filter(|_| post.set == Set::Complaints) {
            any[1] = true;
            two.add(usize::from(truth), usize::from(said.complaint >= 0.5));
            complaint.add(f64::from(said.complaint), truth);
            bins[1].add(said.complaint, truth);
        }
        if let Some(truth) = post.angry {
            any[2] = true;
            anger.add(f64::from(said.arousal), truth);
            bins[2].add(said.arousal, truth);
        }
    }
    Figures {
        set,
        posts: posts.len(),
        sentiment: any[0].then(|| (three.macro_recall(), three.macro_f1(), negative.value())),
        // Of the three rows of the table only two are used.
        complaint: any[1].then(|| (1.5 * two.macro_f1(), complaint.value())),
        anger: any[2].then(|| anger.value()),
        calibration: [0, 1, 2].map(|i| any[i].then(|| bins[i].error())),
    }
}

/// The most likely class and its probability.
#[must_use]
pub fn most_likely(said: &Said) -> (usize, f32) {
    let s = said.sentiment;
    if s.negative >= s.neutral && s.negative >= s.positive {
        (0, s.negative)
    } else if s.positive > s.neutral {
        (2, s.positive)
    } else {
        (1, s.neutral)
    }
}

/// What was said against what was so, in ten bins of equal width (Naeini et al. 2015).
#[derive(Debug, Default)]
struct Bins([(f64, f64, f64); 10]);

impl Bins {
    fn add(&mut self, said: f32, so: bool) {
        if let Some((n, sum, hits)) = self.0.get_mut(((said * 10.0) as usize).min(9)) {
            *n += 1.0;
            *sum += f64::from(said);
            *hits += f64::from(u8::from(so));
        }
    }

    fn error(&self) -> f64 {
        let all: f64 = self.0.iter().map(|(n, ..)| n).sum();
        self.0.iter().map(|(_, sum, hits)| (sum - hits).abs()).sum::<f64>() / all.max(1.0)
    }
}
