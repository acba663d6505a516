//! What is to be learnt of each text, and learning it: labels, and the opinion of a teacher where there is one.

use firewatch_scoring::{HEADS, Said};

use super::sparse::{Fit, Linear, Rows};
use crate::calibrate::{Calibration, Seen};
use crate::posts::{Post, Set};
use firewatch_report::{AnalysisError, random::mix};

/// What a label counts next to the teacher's opinion, which counts the rest of 1.
const LABEL: f32 = 0.1;
/// What a post without a label counts.
const UNLABELLED: f32 = 1.0;
/// Strength of the penalty with a teacher, and without: labels are noisier than opinions.
const L2: (f64, f64) = (6.0, 20.0);
/// Steps of the optimiser at most.
const STEPS: u64 = 120;
/// Where a complaint stands among what is said.
const COMPLAINT: usize = 3;
/// Parts of the texts of which each is left out in turn.
const FOLDS: u64 = 3;

/// Texts as rows; the first of them are the labelled posts.
pub(super) struct Texts<'a> {
    pub posts: &'a [Post],
    pub rows: &'a Rows,
    /// Columns of a row.
    pub columns: usize,
}

/// What is to be learnt of each text.
pub(super) struct Lesson<'a> {
    texts: &'a Texts<'a>,
    /// Weights of the classes and of yes.
    targets: Vec<[f32; HEADS]>,
    /// Weights of no.
    against: Vec<[f32; HEADS]>,
    /// Shares of the classes.
    shares: [f32; 3],
    l2: f64,
}

/// What was learnt.
pub(super) struct Learnt {
    pub linear: Linear<HEADS>,
    /// What is said of each text by one that was fitted without it.
    pub left_out: Vec<[f32; HEADS]>,
}

impl Learnt {
    /// With the mean of what both say of complaints. The labelled complaints are few, and what the encoder and the
    /// labels teach of them errs in different places.
    pub fn with_complaints_of(mut self, other: &Self) -> Self {
        let mean =
            |a: &mut [f32; HEADS], b: &[f32; HEADS]| a[COMPLAINT] = f32::midpoint(a[COMPLAINT], b[COMPLAINT]);
        self.linear.weights.iter_mut().zip(&other.linear.weights).for_each(|(a, b)| mean(a, b));
        self.left_out.iter_mut().zip(&other.left_out).for_each(|(a, b)| mean(a, b));
        mean(&mut self.linear.bias, &other.linear.bias);
        self
    }
}

impl<'a> Lesson<'a> {
    /// The labels alone.
    pub fn of_labels(texts: &'a Texts<'a>) -> Self {
        let mut lesson = Self::empty(texts, L2.1);
        lesson.take_labels(1.0);
        lesson
    }

    /// A teacher's opinion of each text, and the labels.
    pub fn taught(texts: &'a Texts<'a>, opinions: &[Said]) -> Self {
        let mut lesson = Self::empty(texts, L2.0);
        lesson.take_labels(LABEL);
        for (i, said) in opinions.iter().enumerate() {
            let labelled = texts.posts.get(i).is_some_and(|p| p.class.is_some());
            lesson.take_opinion(i, said, if labelled { 1.0 - LABEL } else { UNLABELLED });
        }
        lesson
    }

    fn empty(texts: &'a Texts<'a>, l2: f64) -> Self {
        let mut counts = [1.0_f32; 3];
        texts.posts.iter().filter_map(|p| p.class).for_each(|class| counts[class] += 1.0);
        let shares = counts.map(|n| n / counts.iter().sum::<f32>());
        let nothing = vec![[0.0; HEADS]; texts.rows.len()];
        Self { texts, targets: nothing.clone(), against: nothing, shares, l2 }
    }

    fn take_labels(&mut self, weight: f32) {
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

    fn take_opinion(&mut self, i: usize, said: &Said, weight: f32) {
        let s = said.sentiment;
        let p = [s.negative, s.neutral, s.positive, said.complaint, said.arousal];
        self.targets[i].iter_mut().zip(p).for_each(|(yes, p)| *yes += weight * p);
        self.against[i][3] += weight * (1.0 - said.complaint);
        self.against[i][4] += weight * (1.0 - said.arousal);
    }

    /// Learns it: from all texts, and without each part in turn.
    pub fn learn(&self, say: &mut dyn FnMut(String)) -> Result<Learnt, AnalysisError> {
        let rows = self.texts.rows;
        let mut left_out = vec![[0.0; HEADS]; rows.len()];
        for fold in 0..FOLDS {
            say(format!("fitting without part {} of {FOLDS}", fold + 1));
            let is_out = |i: usize| mix(3, i as u64) % FOLDS == fold;
            let linear = self.fit(|i| !is_out(i))?;
            let z = left_out.iter_mut().enumerate().filter(|(i, _)| is_out(*i));
            z.for_each(|(i, z)| *z = linear.log_odds(rows, i));
        }
        say("fitting on all".into());
        Ok(Learnt { linear: self.fit(|_| true)?, left_out })
    }

    fn fit(&self, chosen: impl Fn(usize) -> bool) -> Result<Linear<HEADS>, AnalysisError> {
        let chosen: Vec<usize> = (0..self.targets.len()).filter(|i| chosen(*i)).collect();
        let targets: Vec<(usize, [f32; HEADS])> = chosen.iter().map(|i| (*i, self.targets[*i])).collect();
        let against: Vec<[f32; HEADS]> = chosen.iter().map(|i| self.against[*i]).collect();
        let Texts { rows, columns, .. } = *self.texts;
        Fit { rows, targets: &targets, against: &against, columns, l2: self.l2 }.solve(STEPS)
    }

    /// The calibration of log-odds, one for each text.
    pub fn calibration(&self, log_odds: &[[f32; HEADS]]) -> Result<Calibration, AnalysisError> {
        let mut seen = Seen::default();
        self.texts.posts.iter().zip(log_odds).for_each(|(post, z)| seen.take(post, *z, &self.shares));
        seen.calibration()
    }

    /// Equal shares of the classes, and those of complaint and anger where they were labelled.
    pub fn prior(&self) -> [f32; HEADS] {
        let share = |of: &dyn Fn(&Post) -> Option<bool>| {
            let known: Vec<bool> = self.texts.posts.iter().filter_map(of).collect();
            known.iter().filter(|yes| **yes).count() as f32 / known.len().max(1) as f32
        };
        let third = 1.0 / 3.0;
        let complaint = share(&|p| p.complaint.filter(|_| p.set == Set::Complaints));
        [third, third, third, complaint, share(&|p| p.angry)]
    }
}
