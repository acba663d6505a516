//! The labelled posts: where they are, how they are read, and which are held out.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;

use firewatch_report::{AnalysisError, files::read, random::text_hash};

/// The classes in the order of every model and table.
pub const CLASSES: [&str; 3] = ["negative", "neutral", "positive"];
/// The SemEval edition that is measured on.
pub const MEASURED_EDITION: &str = "2016test";
/// One post in five of the sets that are measured on is never trained on.
const HELD_OUT_SHARE: u64 = 5;
/// Airline labels that fewer raters than this share agreed on are not trained on.
const MIN_CONFIDENCE: f64 = 0.6;
/// Mean ratings nearer to 0 than this are neutral.
const NEUTRAL_BAND: f64 = 0.6;

/// A data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataSet {
    /// SemEval 2013-2016, the edition measured on.
    SemevalMeasured,
    /// The other editions.
    Semeval,
    /// Complaints to airlines.
    Airline,
    /// Posts about four companies.
    Sanders,
    /// Those that VADER was rated on.
    Vader,
    /// Complaints and others, nine domains.
    Complaints,
    /// Anger, joy, optimism, sadness.
    Emotion,
}

/// A post and what is known of it.
#[derive(Debug, Clone)]
pub struct LabelledPost {
    /// What was written.
    pub text: String,
    /// Where it is from.
    pub set: DataSet,
    /// Index in [`CLASSES`].
    pub class: Option<usize>,
    /// Whether it is a complaint.
    pub complaint: Option<bool>,
    /// Whether it is angry.
    pub angry: Option<bool>,
}

impl LabelledPost {
    /// What its label as a complaint counts: an airline post was labelled for something else.
    #[must_use]
    pub fn weight_as_complaint(&self) -> f32 {
        if self.set == DataSet::Airline { 0.25 } else { 1.0 }
    }
}

/// Which posts to use.
#[derive(Debug, Clone, Copy)]
pub struct PostSelection {
    /// Train on the airline posts, whose licence is non-commercial.
    pub airline: bool,
    /// Hold out the whole measured edition of SemEval instead of a fifth: what the recipe does on a year it has not seen.
    pub whole_edition: bool,
    /// Train on every n-th post only.
    pub every: usize,
}

impl Default for PostSelection {
    fn default() -> Self {
        Self { airline: true, whole_edition: false, every: 1 }
    }
}

/// The posts to train on and those held out.
#[derive(Debug, Default)]
pub struct LabelledPosts {
    /// To train on.
    pub train: Vec<LabelledPost>,
    /// Never trained on.
    pub held_out: Vec<LabelledPost>,
    /// Without labels.
    pub unlabelled: Vec<String>,
}

impl LabelledPosts {
    /// Reads every set under `data`.
    ///
    /// # Errors
    /// Names the file and the line.
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
            // What is neutral may be a polite complaint or a question.
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

/// Posts whose labels are for other tasks, or that have none; English only.
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

/// A column of a comma-separated file, of the rows in which another has the value given. Broken rows are skipped.
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

/// What makes two posts near-duplicates: the same words, whoever is mentioned and whatever is linked.
fn folded(text: &str) -> String {
    let words = text.split_whitespace().filter(|w| !w.starts_with('@') && !w.starts_with("http"));
    words.flat_map(str::chars).filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The rows of a tab-separated file after its header.
fn rows<const N: usize>(path: &Path) -> Result<Vec<[String; N]>, AnalysisError> {
    let text = read(path)?;
    let lines = text.lines().enumerate().skip(1).filter(|(_, line)| !line.is_empty());
    lines
        .map(|(i, line)| {
            let fields: Vec<String> = line.splitn(N, '\t').map(str::to_owned).collect();
            let found = fields.len();
            let problem = || format!("{found} columns, not {N}");
            <[String; N]>::try_from(fields).map_err(|_| AnalysisError::Line(path.into(), i + 1, problem()))
        })
        .collect()
}
