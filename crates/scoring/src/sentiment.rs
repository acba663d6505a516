//! Sentiment of a post: a linear model over stems, so that every score can say which words made it.
//!
//! Multinomial logistic regression on the presence of features: P(k) = exp(b_k + sum w_kf) / sum over k of the
//! same. Trained by `firewatch train sentiment`; see `models/sentiment.md` for data and figures.

use std::collections::HashMap;

use firewatch_domain::Sentiment;
use serde::{Deserialize, Serialize};

use crate::{Features, Hit, ModelError, Stems};

/// What the file is.
const FORMAT: &str = "firewatch-sentiment-1";
/// Least share of a post's words that must be known for the model to have an opinion.
const LEAST_COVERAGE: f32 = 0.15;
/// Most words named as evidence.
const EVIDENCE: usize = 3;
/// Log-odds that a word must add to be named as evidence.
const LEAST_PULL: f32 = 0.1;
/// Difference of log-odds between negative and positive from which a stem carries a mood.
const MOODY: f32 = 0.6;
/// Most stems handed on as topics.
const TOPICS: usize = 12;

/// The sentiment model.
pub struct SentimentModel {
    prior: [f32; 3],
    bias: [f32; 3],
    // Looked up only, never iterated.
    weights: HashMap<Box<str>, [f32; 3]>,
}

/// The file: features and their weights for negative, neutral and positive.
#[derive(Serialize, Deserialize)]
struct File {
    format: String,
    /// Shares of the classes in the training data.
    prior: [f32; 3],
    bias: [f32; 3],
    features: Vec<(String, [f32; 3])>,
}

/// What was read in a post.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The sentiment, or why there is none.
    pub sentiment: Result<Sentiment, Unread>,
    /// Whether the language was told; if not, the post was read as English.
    pub language_told: bool,
    /// The words that speak most for a complaint, heaviest first; at most 3.
    pub evidence: Vec<String>,
    /// Stems that say what it is about; at most 12.
    pub topics: Vec<String>,
}

/// Why a post could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unread {
    /// There is no text.
    NoText,
    /// The text is in a language the model does not speak.
    OtherLanguage,
    /// Too few of its words are known.
    UnknownWords,
}

impl SentimentModel {
    /// Reads a model file.
    ///
    /// # Errors
    /// When the bytes are no such file or hold numbers that are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let file: File =
            serde_json::from_slice(bytes).map_err(|e| ModelError(format!("no sentiment model: {e}")))?;
        if file.format != FORMAT {
            return Err(ModelError(format!("sentiment model of format {:?}, not {FORMAT:?}", file.format)));
        }
        let numbers = file.prior.iter().chain(&file.bias).chain(file.features.iter().flat_map(|(_, w)| w));
        if numbers.into_iter().any(|w| !w.is_finite()) {
            return Err(ModelError("sentiment model with a weight that is no number".into()));
        }
        let weights = file.features.into_iter().map(|(f, w)| (f.into_boxed_str(), w)).collect();
        Ok(Self { prior: file.prior, bias: file.bias, weights })
    }

    /// Writes a model file from class shares, biases and `(feature, weights)`, classes in the order negative,
    /// neutral, positive.
    ///
    /// # Errors
    /// When a weight is no number.
    pub fn to_bytes(
        prior: [f32; 3],
        bias: [f32; 3],
        features: Vec<(String, [f32; 3])>,
    ) -> Result<Vec<u8>, ModelError> {
        serde_json::to_vec(&File { format: FORMAT.into(), prior, bias, features })
            .map_err(|e| ModelError(e.to_string()))
    }

    /// Share of negative posts in the training data: what is said of a post that cannot be read.
    #[must_use]
    pub fn prior_negative(&self) -> f32 {
        self.prior[0]
    }

    /// Reads a post. `lang` is the platform's tag; none is read as English and said so.
    #[must_use]
    pub fn read(&self, stems: &mut Stems, text: &str, lang: Option<&str>) -> Reading {
        let mut reading = Reading {
            sentiment: Err(Unread::NoText),
            language_told: lang.is_some(),
            evidence: vec![],
            topics: vec![],
        };
        if lang.is_some_and(|l| !is_english(l)) {
            reading.sentiment = Err(Unread::OtherLanguage);
            return reading;
        }
        let mut found = Found::default();
        Features::new(stems).visit(text, &mut |hit| found.take(hit, &self.weights));
        reading.topics = std::mem::take(&mut found.topics);
        reading.sentiment = if found.words == 0 && found.hits.is_empty() {
            Err(Unread::NoText)
        } else if (found.known as f32) < LEAST_COVERAGE * found.words as f32 {
            Err(Unread::UnknownWords)
        } else {
            Ok(softmax(found.logits(self.bias)))
        };
        reading.evidence = found.evidence();
        reading
    }
}

/// The features of one post that the model knows.
#[derive(Default)]
struct Found {
    words: u32,
    known: u32,
    hits: Vec<Known>,
    topics: Vec<String>,
}

struct Known {
    feature: Box<str>,
    in_words: String,
    weight: [f32; 3],
}

impl Found {
    fn take(&mut self, hit: &Hit<'_>, weights: &HashMap<Box<str>, [f32; 3]>) {
        let weight = weights.get(hit.feature);
        if hit.before.is_none() {
            self.words += 1;
            self.known += u32::from(weight.is_some());
            self.topic(hit.feature, weight);
        }
        if let Some(weight) = weight
            && !self.hits.iter().any(|k| *k.feature == *hit.feature)
        {
            self.hits.push(Known { feature: hit.feature.into(), in_words: hit.in_words(), weight: *weight });
        }
    }

    /// Stems that carry a mood say how somebody feels, not what about.
    fn topic(&mut self, feature: &str, weight: Option<&[f32; 3]>) {
        let topic = feature.strip_prefix("not_").unwrap_or(feature);
        let moody = weight.is_some_and(|w| (w[0] - w[2]).abs() > MOODY);
        let wanted = topic.len() >= 4 && topic.is_ascii() && !moody && !is_common(topic);
        if wanted && self.topics.len() < TOPICS && !self.topics.iter().any(|t| t == topic) {
            self.topics.push(topic.to_owned());
        }
    }

    fn logits(&self, bias: [f32; 3]) -> [f32; 3] {
        self.hits.iter().fold(bias, |z, k| [z[0] + k.weight[0], z[1] + k.weight[1], z[2] + k.weight[2]])
    }

    fn evidence(self) -> Vec<String> {
        let pull = |k: &Known| k.weight[0] - k.weight[1].max(k.weight[2]);
        let mut hits = self.hits;
        hits.retain(|k| pull(k) > LEAST_PULL);
        hits.sort_by(|a, b| pull(b).total_cmp(&pull(a)).then_with(|| a.feature.cmp(&b.feature)));
        hits.into_iter().take(EVIDENCE).map(|k| k.in_words).collect()
    }
}

fn softmax(z: [f32; 3]) -> Sentiment {
    let top = z[0].max(z[1]).max(z[2]);
    let e = z.map(|v| (v - top).exp());
    let sum = e[0] + e[1] + e[2];
    Sentiment { negative: e[0] / sum, neutral: e[1] / sum, positive: e[2] / sum }
}

fn is_english(tag: &str) -> bool {
    let language = tag.split(['-', '_']).next().unwrap_or_default();
    language.eq_ignore_ascii_case("en")
}

/// Stems of words that any complaint holds and that name no topic.
fn is_common(stem: &str) -> bool {
    matches!(
        stem,
        "that"
            | "this"
            | "with"
            | "have"
            | "been"
            | "were"
            | "they"
            | "them"
            | "your"
            | "you'r"
            | "what"
            | "when"
            | "from"
            | "will"
            | "would"
            | "could"
            | "should"
            | "just"
            | "still"
            | "about"
            | "there"
            | "their"
            | "here"
            | "becaus"
            | "than"
            | "then"
            | "some"
            | "more"
            | "most"
            | "much"
            | "veri"
            | "realli"
            | "even"
            | "into"
            | "over"
            | "after"
            | "befor"
            | "again"
            | "onli"
            | "also"
            | "it"
            | "don't"
            | "can't"
            | "won't"
            | "didn't"
            | "doesn't"
            | "isn't"
            | "cannot"
            | "pleas"
            | "thank"
            | "anyon"
            | "everi"
            | "like"
            | "want"
            | "need"
            | "tell"
            | "make"
            | "know"
            | "time"
            | "today"
            | "hour"
            | "minut"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> SentimentModel {
        let features = vec![
            ("terribl".into(), [2.0, 0.0, -1.0]),
            ("not_good".into(), [1.0, 0.0, 0.0]),
            ("good".into(), [-1.0, 0.0, 2.0]),
        ];
        let bytes = SentimentModel::to_bytes([0.3, 0.4, 0.3], [0.0; 3], features).unwrap();
        SentimentModel::from_bytes(&bytes).unwrap()
    }

    #[test]
    fn words_move_the_sentiment_and_are_named() {
        let mut stems = Stems::default();
        let bad = model().read(&mut stems, "terrible, not good", Some("en-GB"));
        assert!(bad.sentiment.unwrap().negative > 0.9);
        assert_eq!(bad.evidence, ["terrible", "not good"]);
        let good = model().read(&mut stems, "good", None);
        assert!(good.sentiment.unwrap().positive > 0.8);
        assert!(!good.language_told);
    }

    #[test]
    fn what_cannot_be_read_is_said_to_be_unknown() {
        let mut stems = Stems::default();
        let mut read = |text, lang| model().read(&mut stems, text, lang).sentiment;
        assert_eq!(read("", None), Err(Unread::NoText));
        assert_eq!(read("@you https://a.b", None), Err(Unread::NoText));
        assert_eq!(read("terrible", Some("es")), Err(Unread::OtherLanguage));
        assert_eq!(
            read("completamente inaceptable servicio nunca contestan", None),
            Err(Unread::UnknownWords)
        );
    }

    #[test]
    fn other_bytes_are_refused() {
        assert!(SentimentModel::from_bytes(b"{}").is_err());
        let newer = r#"{"format":"firewatch-sentiment-9","prior":[0,0,0],"bias":[0,0,0],"features":[]}"#;
        assert!(SentimentModel::from_bytes(newer.as_bytes()).err().unwrap().to_string().contains("-9"));
    }
}
