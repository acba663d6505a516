//! The labelled posts: where they are, how they are read, and which are held out.

use std::collections::HashSet;
use std::path::Path;

use crate::{LabError, read, text_hash};

/// The classes in the order of every model and table.
pub const CLASSES: [&str; 3] = ["negative", "neutral", "positive"];
/// The SemEval edition that is never trained on.
pub const HELD_OUT_EDITION: &str = "2016test";
/// One airline post in five is never trained on.
const HELD_OUT_SHARE: u64 = 5;
/// Airline labels that fewer raters than this share agreed on are not trained on.
const LEAST_CONFIDENCE: f64 = 0.6;

/// A post and its class.
#[derive(Debug, Clone)]
pub struct Labelled {
    /// What was written.
    pub text: String,
    /// Index in [`CLASSES`].
    pub class: usize,
}

/// The posts to train on and those held out.
#[derive(Debug, Default)]
pub struct Posts {
    /// To train on.
    pub train: Vec<Labelled>,
    /// SemEval's held-out edition.
    pub semeval: Vec<Labelled>,
    /// Held-out airline complaints.
    pub airline: Vec<Labelled>,
}

impl Posts {
    /// Reads every set under `data`; `airline` says whether the non-commercial airline posts are trained on.
    ///
    /// # Errors
    /// Names the file and the line.
    pub fn read(data: &Path, airline: bool) -> Result<Self, LabError> {
        let mut posts = Self::default();
        for [_, edition, label, text] in rows(&data.join("sentiment/semeval_2013_2016.tsv"))? {
            let to = if edition == HELD_OUT_EDITION { &mut posts.semeval } else { &mut posts.train };
            push(to, &label, text);
        }
        for [_, label, text] in rows(&data.join("sentiment/sanders.tsv"))? {
            push(&mut posts.train, &label, text);
        }
        for [_, label, confidence, _, _, text] in rows(&data.join("sentiment/airline_dev.tsv"))? {
            if text_hash(&text).is_multiple_of(HELD_OUT_SHARE) {
                push(&mut posts.airline, &label, text);
            } else if airline && confidence.parse::<f64>().unwrap_or(0.0) >= LEAST_CONFIDENCE {
                push(&mut posts.train, &label, text);
            }
        }
        let held: HashSet<String> =
            posts.semeval.iter().chain(&posts.airline).map(|p| folded(&p.text)).collect();
        let mut seen = held;
        posts.train.retain(|p| seen.insert(folded(&p.text)));
        Ok(posts)
    }
}

fn push(to: &mut Vec<Labelled>, label: &str, text: String) {
    if let Some(class) = CLASSES.iter().position(|c| *c == label) {
        to.push(Labelled { text, class });
    }
}

/// What makes two posts near-duplicates: the same words, whoever is mentioned and whatever is linked.
fn folded(text: &str) -> String {
    let words = text.split_whitespace().filter(|w| !w.starts_with('@') && !w.starts_with("http"));
    words.flat_map(str::chars).filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The rows of a tab-separated file after its header.
fn rows<const N: usize>(path: &Path) -> Result<Vec<[String; N]>, LabError> {
    let text = read(path)?;
    let lines = text.lines().enumerate().skip(1).filter(|(_, line)| !line.is_empty());
    lines
        .map(|(i, line)| {
            let fields: Vec<String> = line.splitn(N, '\t').map(str::to_owned).collect();
            let found = fields.len();
            let problem = || format!("{found} columns, not {N}");
            <[String; N]>::try_from(fields).map_err(|_| LabError::Line(path.into(), i + 1, problem()))
        })
        .collect()
}
