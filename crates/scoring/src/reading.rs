//! What was read in a post: the model's opinion where it has one, and why there is none where it has not.

use std::borrow::Cow;

use firewatch_domain::{FlagKind, SimHash};
use serde::{Deserialize, Serialize};

use crate::sentiment::{HEADS, TokenContribution};
use crate::text::{FlagSpan, MAX_SCANNED_BYTES, PersonalDataDetector, detect_foreign, redacted, sim_hash};
use crate::{Scratch, SentimentModel, TextPrediction};

/// Share of a post's words that must be known for it to be taken for English without asking further.
const ENGLISH_KNOWN_SHARE: f32 = 0.8;
/// Least share of a post's words that must be known for the model to have an opinion.
const MIN_KNOWN_SHARE: f32 = 0.15;
/// P(complaint) from which a post is told to be one in its own words.
pub const MIN_COMPLAINT_TO_QUOTE: f32 = 0.5;
/// Most words named as evidence.
const MAX_EVIDENCE: usize = 3;
/// Log-odds that a word must add to be named as evidence.
const MIN_CONTRIBUTION: f32 = 0.1;
/// Difference of log-odds between negative and positive from which a word carries a mood.
const MOOD_THRESHOLD: f32 = 0.6;
/// Most stems handed on as topics.
const MAX_TOPICS: usize = 12;
/// Letters of the shortest topic.
const MIN_TOPIC_LETTERS: usize = 4;
/// Bytes of an excerpt at most.
const MAX_EXCERPT_BYTES: usize = 128;
/// Tags by which platforms say that they do not know the language, or that there is none.
const UNDETERMINED_TAGS: [&str; 8] = ["", "und", "qam", "qct", "qht", "qme", "qst", "zxx"];

/// What was read in a post.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// What the model says, or why it says nothing.
    pub prediction: Result<TextPrediction, Unread>,
    /// The language: as told by the platform, else as detected; `und` when it cannot be told.
    pub lang: Cow<'static, str>,
    /// The words that speak most for a complaint, heaviest first, if they were kept; at most 3.
    pub evidence: Vec<String>,
    /// Stems that say what it is about, if they were kept; at most 12.
    pub topics: Vec<String>,
    /// By which near-copies are known, if its words were kept and are five or more.
    pub sim_hash: Option<SimHash>,
    /// What was flagged, each kind once.
    pub flags: Vec<FlagKind>,
    /// How the post begins, with what is personal replaced, if its words were kept; at most 128 bytes.
    pub excerpt: Option<Box<str>>,
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

impl Reading {
    /// Keeps words of the post, the last that was read with `scratch`, as evidence, topics and excerpt; none that are
    /// personal.
    pub fn keep_words(&mut self, scratch: &mut Scratch, text: &str) {
        let Ok(personal) = PersonalDataDetector::shipped() else { return };
        let hidden = personal.find(text);
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

impl SentimentModel {
    /// Reads a post. `lang` is the platform's tag (BCP 47); without one the language is detected.
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

    /// The language of the text last said something of, or why it is not read and what it is then.
    fn language(
        &self,
        scratch: &Scratch,
        text: &str,
        declared: Option<&str>,
    ) -> Result<Cow<'static, str>, (Unread, Cow<'static, str>)> {
        let declared = declared.filter(|l| !UNDETERMINED_TAGS.contains(l));
        if let Some(lang) = declared.filter(|l| !is_english(l)) {
            return Err((Unread::OtherLanguage, lang.to_owned().into()));
        }
        let declared_or =
            |other: &'static str| declared.map_or(Cow::from(other), |lang| lang.to_owned().into());
        let count = scratch.count;
        if count.tokens == 0 || (count.words == 0 && !scratch.parts.iter().any(|p| p.is_known_word)) {
            return Err((Unread::NoText, declared_or("und")));
        }
        let known = |share: f32| count.known as f32 >= share * count.words as f32;
        if !known(ENGLISH_KNOWN_SHARE)
            && declared.is_none()
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

/// What a part adds to a complaint, and to the post being negative.
#[must_use]
pub fn complaint_contribution(contributions: &[f32; HEADS]) -> f32 {
    contributions[3] + contributions[0] - contributions[1].max(contributions[2])
}

/// The words of the post last read that pull most, heaviest first; at most 3.
///
/// Only words that the model knows are named, so that no name, number or address can be among them.
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

/// The beginning of a text on one line, cut after a word.
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

/// The SimHash of its words; numbers, signs, names and links left out.
fn words_sim_hash(scratch: &Scratch, text: &str) -> Option<SimHash> {
    let is_word = |part: &&TokenContribution| {
        text.get(part.start..).is_some_and(|rest| rest.starts_with(char::is_alphabetic))
    };
    sim_hash(scratch.parts.iter().filter(is_word).map(|part| part.key))
}

/// Stems that carry a mood say how somebody feels, not what about.
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
