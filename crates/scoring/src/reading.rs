//! Reads a post with the text model: its prediction, or the reason why there is none, with language, flags
//! and, on request, evidence words, topics, SimHash and a redacted excerpt.
//!
//! Evidence and topics are words that the model knows, and the excerpt is redacted: a reading holds no
//! personal data and can be stored and shown.

use std::borrow::Cow;

use firewatch_domain::{FlagKind, Redaction, Sentiment, SimHash};
use serde::{Deserialize, Serialize};

use crate::sentiment::{HEADS, TokenContribution};
use crate::text::{
    FlagSpan, MAX_SCANNED_BYTES, PersonalDataDetector, detect_foreign, letters, redacted, sim_hash,
};
use crate::{Scratch, SentimentModel, TextPrediction};

/// Share of known words from which a post counts as English without language detection.
const ENGLISH_KNOWN_SHARE: f32 = 0.8;
/// Minimum length in letters of a post that is taken for another language although the platform calls it English.
const MIN_MISTAGGED_LETTERS: usize = 40;
/// Minimum number of words that show that a post is English although the platform says otherwise.
const MIN_ENGLISH_WORDS: usize = 4;
/// Minimum share of known words for a prediction.
const MIN_KNOWN_SHARE: f32 = 0.15;
/// Minimum P(complaint) for reasons to quote words of the post.
pub const MIN_COMPLAINT_TO_QUOTE: f32 = 0.5;
/// Maximum number of evidence words.
pub const MAX_EVIDENCE: usize = 3;
/// Minimum log-odds that a word must contribute to be evidence.
const MIN_CONTRIBUTION: f32 = 0.1;
/// Absolute difference of a word's negative and positive log-odds above which it expresses a mood.
const MOOD_THRESHOLD: f32 = 0.6;
/// Maximum number of topics of a post.
const MAX_TOPICS: usize = 12;
/// Minimum length of a topic, in letters.
const MIN_TOPIC_LETTERS: usize = 4;
/// Maximum length of an excerpt, in bytes.
const MAX_EXCERPT_BYTES: usize = 128;
/// Language tags that platforms use for "unknown" and "no language".
const UNDETERMINED_TAGS: [&str; 8] = ["", "und", "qam", "qct", "qht", "qme", "qst", "zxx"];

/// The result of reading one post.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The model's prediction, or why the post could not be read.
    pub prediction: Result<TextPrediction, Unread>,
    /// The language tag: the platform's, otherwise the detected one; `und` if unknown.
    pub lang: Cow<'static, str>,
    /// The words that contribute most to the complaint score, largest first; at most 3. Empty until
    /// [`keep_words`](Self::keep_words).
    pub evidence: Vec<String>,
    /// What the post is about: stems, each with the word as written if it differs (`stem|word`); at most 12.
    /// Empty until [`keep_words`](Self::keep_words).
    pub topics: Vec<String>,
    /// Detects near-copies. `None` if the words were not kept or are fewer than five.
    pub sim_hash: Option<SimHash>,
    /// The kinds of flags found, sorted, each once. Empty if the post could not be read.
    pub flags: Vec<FlagKind>,
    /// The beginning of the post with personal data replaced, at most 128 bytes. `None` until
    /// [`keep_words`](Self::keep_words).
    pub excerpt: Option<Box<str>>,
}

/// Why a post has no prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unread {
    /// The post has no words.
    NoText,
    /// The post is not in English.
    OtherLanguage,
    /// The model knows too few of the words.
    UnknownWords,
}

impl Reading {
    /// Fills in evidence, topics, SimHash and excerpt, without personal data. `text` must be the post that
    /// was last read with `scratch`.
    pub fn keep_words(&mut self, scratch: &mut Scratch, text: &str, level: Redaction) {
        let Ok(personal) = PersonalDataDetector::shipped() else { return };
        let identifiers = scratch.identifiers.take();
        let hidden = personal.find_beside(text, identifiers, level);
        let is_visible =
            |part: &TokenContribution| hidden.iter().all(|h| part.end <= h.start || h.end <= part.start);
        scratch.parts.retain(|part| part.end <= MAX_SCANNED_BYTES && is_visible(part));
        if self.prediction.is_ok() {
            self.evidence = evidence(scratch, text, complaint_contribution);
            self.topics = topics(scratch, text);
            self.sim_hash = words_sim_hash(scratch, text);
        }
        self.excerpt = Some(make_excerpt(&redacted(text, &hidden)).into());
    }
}

/// What the stars of a review say without words: negative, neutral, positive, and P(complaint). By convention: the
/// classes of reviews by stars that sentiment corpora use, with the middle left open.
const STARS: [(f32, f32, f32, f32); 5] = [
    (0.90, 0.07, 0.03, 0.90),
    (0.70, 0.20, 0.10, 0.70),
    (0.30, 0.50, 0.20, 0.40),
    (0.10, 0.30, 0.60, 0.10),
    (0.03, 0.07, 0.90, 0.05),
];

impl Reading {
    /// Adds the stars of a review, 1 to 5. One or two stars are a complaint whatever the words; without words that
    /// can be read, the stars alone count.
    pub fn rate(&mut self, stars: u8) {
        let Some((negative, neutral, positive, complaint)) = STARS.get(usize::from(stars).wrapping_sub(1))
        else {
            return;
        };
        let sentiment = Sentiment { negative: *negative, neutral: *neutral, positive: *positive };
        let of_stars = TextPrediction { sentiment, complaint: *complaint, arousal: 0.0 };
        let rated = match &self.prediction {
            Err(_) => of_stars,
            Ok(words) if stars <= 2 => TextPrediction {
                sentiment: if words.sentiment.negative < *negative { sentiment } else { words.sentiment },
                complaint: words.complaint.max(*complaint),
                arousal: words.arousal,
            },
            Ok(words) => *words,
        };
        self.prediction = Ok(rated);
    }
}

impl SentimentModel {
    /// Reads a post. `lang` is the platform's language tag (BCP 47); without one the language is detected.
    /// The tokens stay in `scratch` for [`Reading::keep_words`].
    #[must_use]
    pub fn read(&self, scratch: &mut Scratch, text: &str, lang: Option<&str>) -> Reading {
        let prediction = self.predict(scratch, text);
        let (prediction, lang) = match self.language(scratch, text, lang) {
            Ok(lang) => (Ok(prediction), lang),
            Err((why, lang)) => (Err(why), lang),
        };
        let flags = if prediction.is_ok() { flag_kinds(&scratch.flags) } else { vec![] };
        Reading { prediction, lang, evidence: vec![], topics: vec![], sim_hash: None, flags, excerpt: None }
    }

    /// Returns the language of the text last predicted with `scratch`, or why it is not read together with
    /// its language.
    fn language(
        &self,
        scratch: &Scratch,
        text: &str,
        declared: Option<&str>,
    ) -> Result<Cow<'static, str>, (Unread, Cow<'static, str>)> {
        let declared = declared.filter(|l| !UNDETERMINED_TAGS.contains(l));
        let count = scratch.count;
        let known = |share: f32| count.known as f32 >= share * count.words as f32;
        // A platform's tag is a hint, often a default of the author's program. The words decide.
        if let Some(lang) = declared.filter(|l| !is_english(l)) {
            let has_english_words = count.words as usize >= MIN_ENGLISH_WORDS && known(ENGLISH_KNOWN_SHARE);
            return if has_english_words && detect_foreign(text).is_none() {
                Ok("en".into())
            } else {
                Err((Unread::OtherLanguage, lang.to_owned().into()))
            };
        }
        let declared_or =
            |other: &'static str| declared.map_or(Cow::from(other), |lang| lang.to_owned().into());
        if count.tokens == 0 || (count.words == 0 && !scratch.parts.iter().any(|p| p.is_known_word)) {
            return Err((Unread::NoText, declared_or("und")));
        }
        let may_be_foreign = declared.is_none() || letters(text) >= MIN_MISTAGGED_LETTERS;
        if !known(ENGLISH_KNOWN_SHARE)
            && may_be_foreign
            && let Some(lang) = detect_foreign(text)
        {
            return Err((Unread::OtherLanguage, lang.into()));
        }
        if !known(MIN_KNOWN_SHARE) {
            return Err((Unread::UnknownWords, declared_or("und")));
        }
        Ok(declared_or("en"))
    }
}

/// Returns what a token contributes to "negative complaint", in log-odds: complaint plus negative minus the
/// larger of neutral and positive.
#[must_use]
pub fn complaint_contribution(contributions: &[f32; HEADS]) -> f32 {
    contributions[3] + contributions[0] - contributions[1].max(contributions[2])
}

/// Returns the words of the last post read with `scratch` that contribute most, largest first; at most 3.
///
/// Only words that the model knows are returned, so that no name, number or address can be among them. A
/// negated word is returned as `not WORD`.
#[must_use]
pub fn evidence(scratch: &Scratch, text: &str, contribution: impl Fn(&[f32; HEADS]) -> f32) -> Vec<String> {
    let mut chosen: Vec<(&TokenContribution, f32)> = Vec::with_capacity(MAX_EVIDENCE + 1);
    for part in scratch.parts.iter().filter(|p| p.is_known_word) {
        let value = contribution(&part.contributions);
        if value > MIN_CONTRIBUTION {
            let at = chosen.partition_point(|(_, other)| *other >= value);
            chosen.insert(at, (part, value));
            chosen.truncate(MAX_EVIDENCE);
        }
    }
    let mut named: Vec<String> = Vec::with_capacity(MAX_EVIDENCE);
    for (part, _) in chosen {
        let word = text.get(part.start..part.end).unwrap_or_default().to_lowercase();
        let word = if part.negated { format!("not {word}") } else { word };
        if !named.contains(&word) {
            named.push(word);
        }
    }
    named
}

/// Returns the beginning of a text on one line, cut after a word and marked with an ellipsis.
fn make_excerpt(text: &str) -> String {
    let mut line = String::with_capacity(MAX_EXCERPT_BYTES);
    for word in text.split_whitespace() {
        if line.len() + word.len() + 1 > MAX_EXCERPT_BYTES - '\u{2026}'.len_utf8() {
            line.push('\u{2026}');
            return line;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// Returns the SimHash of a text's words, without numbers, punctuation, mentions and links.
fn words_sim_hash(scratch: &Scratch, text: &str) -> Option<SimHash> {
    let is_word = |part: &&TokenContribution| {
        text.get(part.start..).is_some_and(|rest| rest.starts_with(char::is_alphabetic))
    };
    sim_hash(scratch.parts.iter().filter(is_word).map(|part| part.key))
}

/// Returns the topics of the text: stems of known words that express no mood. Words with a mood say how the
/// author feels, not what the post is about.
fn topics(scratch: &mut Scratch, text: &str) -> Vec<String> {
    let Scratch { stemmer: stems, parts, lower, .. } = scratch;
    let mut topics: Vec<String> = Vec::new();
    for part in parts
        .iter()
        .filter(|p| p.is_known_word && (p.contributions[0] - p.contributions[2]).abs() <= MOOD_THRESHOLD)
    {
        let word = text.get(part.start..part.end).unwrap_or_default().trim_start_matches('#');
        if !word.is_ascii() || word.len() < MIN_TOPIC_LETTERS {
            continue;
        }
        lower.clear();
        lower.push_str(word);
        lower.make_ascii_lowercase();
        let stem = stems.stem(lower);
        let is_there = |topic: &String| topic.split('|').next() == Some(stem);
        if stem.len() >= MIN_TOPIC_LETTERS && !is_common(stem) && !topics.iter().any(is_there) {
            let word = lower.as_str();
            topics.push(if stem == word { stem.to_owned() } else { format!("{stem}|{word}") });
            if topics.len() == MAX_TOPICS {
                break;
            }
        }
    }
    topics
}

fn flag_kinds(flags: &[FlagSpan]) -> Vec<FlagKind> {
    let mut kinds: Vec<FlagKind> = flags.iter().map(|f| f.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn is_english(tag: &str) -> bool {
    let language = tag.split(['-', '_']).next().unwrap_or_default();
    language.eq_ignore_ascii_case("en")
}

/// Returns whether a stem is too common in complaints to be a topic.
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
