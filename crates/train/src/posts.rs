//! Reads the labelled posts and splits them into training and held-out sets.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;

use firewatch_report::{AnalysisError, files::read, random::text_hash};

/// The sentiment classes, in the order of every model and table.
pub const CLASSES: [&str; 3] = ["negative", "neutral", "positive"];
/// The edition of SemEval that models are evaluated on.
pub const MEASURED_EDITION: &str = "2016test";
/// One in this many posts of the evaluated sets is held out and never trained on.
const HELD_OUT_SHARE: u64 = 5;
/// Minimum share of raters who agree on an airline label for training.
const MIN_CONFIDENCE: f64 = 0.6;
/// Mean VADER ratings closer to 0 than this are neutral.
const NEUTRAL_BAND: f64 = 0.6;

/// The data set of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataSet {
    /// SemEval 2013-2016: the edition that models are evaluated on.
    SemevalMeasured,
    /// SemEval 2013-2016: the other editions.
    Semeval,
    /// Posts to airlines, labelled by sentiment.
    Airline,
    /// Posts about four companies (Sanders).
    Sanders,
    /// Posts rated for VADER.
    Vader,
    /// Complaints and other posts from nine domains.
    Complaints,
    /// Posts labelled anger, joy, optimism or sadness.
    Emotion,
}

/// A post with its labels; an absent label is `None`.
#[derive(Debug, Clone)]
pub struct LabelledPost {
    /// Text of the post.
    pub text: String,
    /// Data set of the post.
    pub set: DataSet,
    /// Index of its sentiment in [`CLASSES`].
    pub class: Option<usize>,
    /// Whether it is a complaint.
    pub complaint: Option<bool>,
    /// Whether it is angry.
    pub angry: Option<bool>,
}

impl LabelledPost {
    /// Returns the weight of its complaint label, which for airline posts is only derived from the sentiment.
    #[must_use]
    pub fn weight_as_complaint(&self) -> f32 {
        if self.set == DataSet::Airline { 0.25 } else { 1.0 }
    }
}

/// Which posts to train on.
#[derive(Debug, Clone, Copy)]
pub struct PostSelection {
    /// Include the airline posts, whose licence is non-commercial.
    pub airline: bool,
    /// Hold out the whole evaluated edition of SemEval instead of a fifth, to evaluate on an unseen year.
    pub whole_edition: bool,
    /// Use every n-th post only.
    pub every: usize,
}

impl Default for PostSelection {
    fn default() -> Self {
        Self { airline: true, whole_edition: false, every: 1 }
    }
}

/// The posts, split into training, held-out and unlabelled ones without near-duplicates between them.
#[derive(Debug, Default)]
pub struct LabelledPosts {
    /// Posts to train on.
    pub train: Vec<LabelledPost>,
    /// Posts to evaluate on.
    pub held_out: Vec<LabelledPost>,
    /// Texts without labels, for distillation.
    pub unlabelled: Vec<String>,
}

impl LabelledPosts {
    /// Reads every data set under `data`.
    ///
    /// # Errors
    /// When a file cannot be read or a row is not valid; names the file and the line.
    pub fn read(data: &Path, choice: PostSelection) -> Result<Self, AnalysisError> {
        let mut posts = Self::default();
        for post in labelled(data)? {
            let fifth = text_hash(&post.text).is_multiple_of(HELD_OUT_SHARE);
            let out = match post.set {
                DataSet::SemevalMeasured => fifth || choice.whole_edition,
                DataSet::Airline | DataSet::Complaints | DataSet::Emotion => fifth,
                DataSet::Semeval | DataSet::Sanders | DataSet::Vader => false,
            };
            if out {
                posts.held_out.push(post);
            } else if choice.airline || post.set != DataSet::Airline {
                posts.train.push(post);
            }
        }
        posts.unlabelled = unlabelled(data)?;
        let mut seen: HashSet<String> = posts.held_out.iter().map(|p| folded(&p.text)).collect();
        posts.train.retain(|p| seen.insert(folded(&p.text)));
        posts.unlabelled.retain(|t| seen.insert(folded(t)));
        let mut n = 0;
        posts.train.retain(|_| {
            n += 1;
            n % choice.every.max(1) == 0
        });
        posts.unlabelled.truncate(posts.unlabelled.len() / choice.every.max(1));
        Ok(posts)
    }
}

fn labelled(data: &Path) -> Result<Vec<LabelledPost>, AnalysisError> {
    let mut posts = Vec::new();
    let sentiment = data.join("sentiment");
    let mut push = |set, text, class: Option<usize>, complaint: Option<bool>, angry: Option<bool>| {
        if class.is_some() || complaint.is_some() || angry.is_some() {
            posts.push(LabelledPost { text, set, class, complaint, angry });
        }
    };
    for [_, edition, label, text] in rows(&sentiment.join("semeval_2013_2016.tsv"))? {
        let set = if edition == MEASURED_EDITION { DataSet::SemevalMeasured } else { DataSet::Semeval };
        push(set, text, class(&label), None, None);
    }
    for [_, label, confidence, _, _, text] in rows(&sentiment.join("airline_dev.tsv"))? {
        let sure = confidence.parse::<f64>().unwrap_or(0.0) >= MIN_CONFIDENCE;
        let held_out = text_hash(&text).is_multiple_of(HELD_OUT_SHARE);
        if sure || held_out {
            // A neutral post may be a polite complaint or a question, so it gets no complaint label.
            let complaint = class(&label).filter(|c| *c != 1).map(|c| c == 0);
            push(DataSet::Airline, text, class(&label), complaint, None);
        }
    }
    for [_, label, text] in rows(&sentiment.join("sanders.tsv"))? {
        push(DataSet::Sanders, text, class(&label), None, None);
    }
    for [valence, text] in rows(&sentiment.join("vader_tweets.tsv"))? {
        let class = valence
            .parse::<f64>()
            .ok()
            .map(|v| 1 + usize::from(v > NEUTRAL_BAND) - usize::from(v < -NEUTRAL_BAND));
        push(DataSet::Vader, text, class, None, None);
    }
    for [_, complaint, _, label, emotion, _, text] in rows(&data.join("complaints/complaints_dev.tsv"))? {
        push(DataSet::Complaints, text, class(&label), Some(complaint == "1"), Some(emotion == "anger"));
    }
    for [_, label, text] in rows(&sentiment.join("tweeteval_emotion_dev.tsv"))? {
        push(DataSet::Emotion, text, None, None, Some(label == "anger"));
    }
    Ok(posts)
}

/// Reads English posts without labels, or with labels for other tasks.
fn unlabelled(data: &Path) -> Result<Vec<String>, AnalysisError> {
    let mut texts = Vec::new();
    for name in ["offensive", "irony"] {
        for [_, _, text] in rows(&data.join(format!("sentiment/tweeteval_{name}_dev.tsv")))? {
            texts.push(text);
        }
    }
    let care = data.join("care/conversations_dev.json");
    let conversations: Value =
        serde_json::from_str(&read(&care)?).map_err(|e| AnalysisError::Step(e.to_string()))?;
    let turns = conversations.as_array().into_iter().flatten().filter_map(|c| c["dialogContent"].as_array());
    texts.extend(turns.flatten().filter_map(|turn| turn["message"].as_str()).map(str::to_owned));
    for line in read(&data.join("threads/rumoureval_threads.jsonl"))?.lines() {
        let thread: Value = serde_json::from_str(line).map_err(|e| AnalysisError::Step(e.to_string()))?;
        let replies = thread["replies"].as_array().into_iter().flatten();
        texts
            .extend(replies.chain([&thread["source"]]).filter_map(|p| p["text"].as_str()).map(str::to_owned));
    }
    texts.extend(column(&data.join("care/twcs_5000.csv"), "text", None)?);
    texts.extend(column(&data.join("authors/engagement_dev.csv"), "text", Some(("lang", "en")))?);
    for text in &mut texts {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    texts.retain(|t| t.len() >= 12);
    Ok(texts)
}

/// Reads a column of a CSV file, optionally only of rows in which another column has a given value. Bad rows
/// are skipped.
fn column(path: &Path, name: &str, only: Option<(&str, &str)>) -> Result<Vec<String>, AnalysisError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(path).map_err(|e| odd(path, &e))?;
    let headers = reader.headers().map_err(|e| odd(path, &e))?.clone();
    let place = |name: &str| {
        let missing = || AnalysisError::Line(path.into(), 1, format!("no column `{name}`"));
        headers.iter().position(|h| h == name).ok_or_else(missing)
    };
    let (wanted, only) = (place(name)?, only.map(|(n, v)| place(n).map(|p| (p, v))).transpose()?);
    let rows = reader.records().filter_map(Result::ok);
    let rows = rows.filter(|row| only.is_none_or(|(place, value)| row.get(place) == Some(value)));
    Ok(rows.filter_map(|row| row.get(wanted).map(str::to_owned)).collect())
}

fn odd(path: &Path, e: &csv::Error) -> AnalysisError {
    AnalysisError::Step(format!("{}: {e}", path.display()))
}

fn class(label: &str) -> Option<usize> {
    CLASSES.iter().position(|c| *c == label)
}

/// Folds a text for the detection of near-duplicates: lower-case letters and digits without mentions and
/// links.
fn folded(text: &str) -> String {
    let words = text.split_whitespace().filter(|w| !w.starts_with('@') && !w.starts_with("http"));
    words.flat_map(str::chars).filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Reads the rows of a tab-separated file after its header.
fn rows<const N: usize>(path: &Path) -> Result<Vec<[String; N]>, AnalysisError> {
    let text = read(path)?;
    let lines = text.lines().enumerate().skip(1).filter(|(_, line)| !line.is_empty());
    lines
        .map(|(i, line)| {
            let fields: Vec<String> = line.splitn(N, '\t').map(str::to_owned).collect();
            let found = fields.len();
            let problem = || format!("{found} columns, expected {N}");
            <[String; N]>::try_from(fields).map_err(|_| AnalysisError::Line(path.into(), i + 1, problem()))
        })
        .collect()
}
