//! From posts and the encoder's opinions to the model file.

use std::path::{Path, PathBuf};

use firewatch_scoring::encoder::Encoder;
use firewatch_scoring::text::MOODS;
use firewatch_scoring::{HEADS, Head, Said, Scratch, SentimentModel};

use super::calibrate::{Calibration, platt, temperature};
use super::lexicon;
use super::sparse::{Fit, Linear, Rows};
use super::vocabulary::Vocabulary;
use crate::figures::{Figures, measure};
use crate::posts::{Choice, Post, Posts, Set};
use crate::{LabError, in_parallel, mix, write};

/// How to train.
#[derive(Debug, Clone)]
pub struct Options {
    /// The encoder that teaches; without one the labels are all there is.
    pub teacher: Option<PathBuf>,
    /// Which posts.
    pub choice: Choice,
}

/// What a label counts, next to the teacher's opinion, which counts the rest of 1.
const LABEL: f32 = 0.25;
/// What a post without a label counts.
const UNLABELLED: f32 = 0.8;
/// Strength of the penalty with a teacher, and without: labels are noisier than opinions.
const L2: (f64, f64) = (2.0, 20.0);
/// Steps of the optimiser at most.
const STEPS: u64 = 120;
/// Parts of the posts of which each is left out in turn, to calibrate on.
const FOLDS: u64 = 3;

/// Trains on the sets under `data` and writes `sentiment.fwm` under `out`.
///
/// # Errors
/// A file that cannot be read or written, or a fit that fails.
pub fn train(
    data: &Path,
    out: &Path,
    options: &Options,
    say: &mut dyn FnMut(String),
) -> Result<Vec<Figures>, LabError> {
    let posts = Posts::read(data, options.choice)?;
    let labelled = posts.train.iter().map(|p| p.text.as_str());
    let texts: Vec<&str> = labelled.chain(posts.unlabelled.iter().map(String::as_str)).collect();
    say(format!("{} posts with labels and {} without", posts.train.len(), posts.unlabelled.len()));
    let opinions = opinions(options.teacher.as_deref(), &texts, say)?;
    let vocabulary = Vocabulary::choose(&texts, lexicon::moods(data)?);
    say(format!("{} features", vocabulary.keys.len()));
    let rows = vocabulary.rows(&texts);
    let lesson = Lesson::new(&posts.train, opinions.as_deref(), texts.len());
    let calibration = lesson.calibrate(&rows, vocabulary.width(), say)?;
    say(format!("calibrated: {calibration:?}; fitting on all"));
    let all: Vec<usize> = (0..texts.len()).collect();
    let linear = lesson.fit(&rows, vocabulary.width(), &all)?;
    let bytes = file(&vocabulary, &linear, &calibration, lesson.prior())?;
    write(&out.join("sentiment.fwm"), &bytes)?;
    say(format!("{} bytes; measuring on {} posts", bytes.len(), posts.held_out.len()));
    let model = SentimentModel::from_bytes(&bytes).map_err(|e| LabError::Step(e.to_string()))?;
    Ok(evaluate(&model, &posts.held_out))
}

/// Measures a model on held-out posts.
#[must_use]
pub fn evaluate(model: &SentimentModel, posts: &[Post]) -> Vec<Figures> {
    let mut scratch = Scratch::default();
    let said: Vec<Said> = posts.iter().map(|p| model.say(&mut scratch, &p.text)).collect();
    measure(posts, &said)
}

/// What the teacher says of every text.
fn opinions(
    teacher: Option<&Path>,
    texts: &[&str],
    say: &mut dyn FnMut(String),
) -> Result<Option<Vec<Said>>, LabError> {
    let Some(path) = teacher else {
        say("no encoder to teach: labels only".into());
        return Ok(None);
    };
    let bytes = std::fs::read(path).map_err(|e| LabError::File(path.into(), e))?;
    let encoder =
        Encoder::from_bytes(&bytes).map_err(|e| LabError::Step(format!("{}: {e}", path.display())))?;
    let mut said = Vec::with_capacity(texts.len());
    for chunk in texts.chunks(5_000) {
        said.extend(in_parallel(chunk, |text| encoder.say(text)));
        say(format!("the encoder has read {} of {}", said.len(), texts.len()));
    }
    Ok(Some(said))
}

/// What is to be learnt of each text.
struct Lesson<'a> {
    posts: &'a [Post],
    /// Weights of the classes and of yes.
    targets: Vec<[f32; HEADS]>,
    /// Weights of no.
    against: Vec<[f32; HEADS]>,
    /// Shares of the classes.
    shares: [f32; 3],
    l2: f64,
}

impl<'a> Lesson<'a> {
    fn new(posts: &'a [Post], opinions: Option<&[Said]>, texts: usize) -> Self {
        let mut counts = [1.0_f32; 3];
        posts.iter().filter_map(|p| p.class).for_each(|class| counts[class] += 1.0);
        let shares = counts.map(|n| n / counts.iter().sum::<f32>());
        let l2 = if opinions.is_some() { L2.0 } else { L2.1 };
        let mut lesson = Self { posts, targets: vec![], against: vec![], shares, l2 };
        for i in 0..texts {
            let (mut yes, mut no) = ([0.0; HEADS], [0.0; HEADS]);
            let label = if opinions.is_some() { LABEL } else { 1.0 };
            if let Some(said) = opinions.map(|o| &o[i]) {
                let weight =
                    if posts.get(i).is_some_and(|p| p.class.is_some()) { 1.0 - LABEL } else { UNLABELLED };
                opinion(said, weight, &mut yes, &mut no);
            }
            if let Some(post) = posts.get(i) {
                lesson.label(post, label, &mut yes, &mut no);
            }
            lesson.targets.push(yes);
            lesson.against.push(no);
        }
        lesson
    }

    fn label(&self, post: &Post, weight: f32, yes: &mut [f32; HEADS], no: &mut [f32; HEADS]) {
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

    fn fit(&self, rows: &Rows, columns: usize, chosen: &[usize]) -> Result<Linear<HEADS>, LabError> {
        let targets: Vec<(usize, [f32; HEADS])> = chosen.iter().map(|i| (*i, self.targets[*i])).collect();
        let against: Vec<[f32; HEADS]> = chosen.iter().map(|i| self.against[*i]).collect();
        Fit { rows, targets: &targets, against: &against, columns, l2: self.l2 }.solve(STEPS)
    }

    /// Fits without a part of the posts and looks at what is said of that part, for each part.
    fn calibrate(
        &self,
        rows: &Rows,
        columns: usize,
        say: &mut dyn FnMut(String),
    ) -> Result<Calibration, LabError> {
        let (mut classes, mut complaints, mut anger) = (Vec::new(), Vec::new(), Vec::new());
        for fold in 0..FOLDS {
            say(format!("fitting without part {} of {FOLDS}", fold + 1));
            let left_out = |i: usize| mix(3, i as u64) % FOLDS == fold;
            let chosen: Vec<usize> = (0..rows.len()).filter(|i| !left_out(*i)).collect();
            let linear = self.fit(rows, columns, &chosen)?;
            for (i, post) in self.posts.iter().enumerate().filter(|(i, _)| left_out(*i)) {
                let z = linear.log_odds(rows, i);
                classes.extend(post.class.map(|c| (z, c, 1.0 / self.shares[c])));
                complaints
                    .extend(post.complaint.filter(|_| post.set == Set::Complaints).map(|yes| (z[3], yes)));
                anger.extend(post.angry.map(|yes| (z[4], yes)));
            }
        }
        let t = temperature(&classes);
        let (complaint, anger) = (platt(&complaints)?, platt(&anger)?);
        Ok(Calibration {
            scale: [t, t, t, complaint.0, anger.0],
            shift: [0.0, 0.0, 0.0, complaint.1, anger.1],
        })
    }

    /// Equal shares of the classes, and those of complaint and anger where they were labelled.
    fn prior(&self) -> [f32; HEADS] {
        let share = |of: &dyn Fn(&Post) -> Option<bool>| {
            let known: Vec<bool> = self.posts.iter().filter_map(of).collect();
            known.iter().filter(|yes| **yes).count() as f32 / known.len().max(1) as f32
        };
        let third = 1.0 / 3.0;
        let complaint = share(&|p| p.complaint.filter(|_| p.set == Set::Complaints));
        [third, third, third, complaint, share(&|p| p.angry)]
    }
}

fn opinion(said: &Said, weight: f32, yes: &mut [f32; HEADS], no: &mut [f32; HEADS]) {
    let s = said.sentiment;
    let p = [s.negative, s.neutral, s.positive, said.complaint, said.arousal];
    yes.iter_mut().zip(p).for_each(|(yes, p)| *yes += weight * p);
    no[3] += weight * (1.0 - said.complaint);
    no[4] += weight * (1.0 - said.arousal);
}

/// Folds the calibration into the weights and writes the file.
fn file(
    vocabulary: &Vocabulary,
    linear: &Linear<HEADS>,
    calibration: &Calibration,
    prior: [f32; HEADS],
) -> Result<Vec<u8>, LabError> {
    let scaled = |w: &[f32; HEADS]| -> [f32; HEADS] { std::array::from_fn(|k| w[k] * calibration.scale[k]) };
    let n = vocabulary.keys.len();
    let features: Vec<_> = vocabulary
        .keys
        .iter()
        .zip(&linear.weights)
        .map(|(key, w)| {
            let [a, b, c, d, e] = scaled(w);
            (*key, [a, b, c, d, e, vocabulary.mood(*key)])
        })
        .collect();
    let of_moods: Vec<[f32; HEADS]> = linear.weights[n..].iter().map(scaled).collect();
    let bias = scaled(&linear.bias);
    let head = Head {
        bias: std::array::from_fn(|k| bias[k] + calibration.shift[k]),
        moods: std::array::from_fn(|k| std::array::from_fn::<_, MOODS, _>(|i| of_moods[i][k])),
        prior,
    };
    SentimentModel::to_bytes(&head, &features).map_err(|e| LabError::Step(e.to_string()))
}
