//! What was read in a post: the model's opinion where it has one, and why there is none where it has not.

use std::borrow::Cow;

use firewatch_domain::{FlagKind, SimHash};
use serde::{Deserialize, Serialize};

use crate::sentiment::{HEADS, Part};
use crate::text::{Flag, LOOKED_AT, PersonalData, foreign, redacted, sim_hash};
use crate::{Said, Scratch, SentimentModel};

/// Share of a post's words that must be known for it to be taken for English without asking further.
const SURELY_ENGLISH: f32 = 0.8;
/// Least share of a post's words that must be known for the model to have an opinion.
const LEAST_KNOWN: f32 = 0.15;
/// P(complaint) from which a post is told to be one in its own words.
pub const TOLD_IN_WORDS: f32 = 0.5;
/// Most words named as evidence.
const EVIDENCE: usize = 3;
/// Log-odds that a word must add to be named as evidence.
const LEAST_PULL: f32 = 0.1;
/// Difference of log-odds between negative and positive from which a word carries a mood.
const MOODY: f32 = 0.6;
/// Most stems handed on as topics.
const TOPICS: usize = 12;
/// Letters of the shortest topic.
const SHORTEST_TOPIC: usize = 4;
/// Bytes of an excerpt at most.
const EXCERPT: usize = 128;
/// Tags by which platforms say that they do not know the language, or that there is none.
const UNTOLD: [&str; 8] = ["", "und", "qam", "qct", "qht", "qme", "qst", "zxx"];

/// What was read in a post.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// What the model says, or why it says nothing.
    pub said: Result<Said, Unread>,
    /// The language: as told by the platform, else as detected; `und` when it cannot be told.
    pub lang: Cow<'static, str>,
    /// The words that speak most for a complaint, heaviest first, if they were kept; at most 3.
    pub evidence: Vec<String>,
    /// Stems that say what it is about, if they were kept; at most 12.
    pub topics: Vec<String>,
    /// By which near-copies are known, if its words were kept and are five or more.
    pub near: Option<SimHash>,
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
        let Ok(personal) = PersonalData::shipped() else { return };
        let hidden = personal.find(text);
        let is_open = |part: &Part| hidden.iter().all(|h| part.end <= h.start || h.end <= part.start);
        scratch.parts.retain(|part| part.end <= LOOKED_AT && is_open(part));
        if self.said.is_ok() {
            self.evidence = evidence(scratch, text, pull_to_complaint);
            self.topics = topics(scratch, text);
            self.near = near(scratch, text);
        }
        self.excerpt = Some(beginning(&redacted(text, &hidden)).into());
    }
}

impl SentimentModel {
    /// Reads a post. `lang` is the platform's tag (BCP 47); without one the language is detected.
    #[must_use]
    pub fn read(&self, scratch: &mut Scratch, text: &str, lang: Option<&str>) -> Reading {
        let said = self.say(scratch, text);
        let (said, lang) = match self.language(scratch, text, lang) {
            Ok(lang) => (Ok(said), lang),
            Err((why, lang)) => (Err(why), lang),
        };
        let flags = if said.is_ok() { kinds(&scratch.flags) } else { vec![] };
        Reading { said, lang, evidence: vec![], topics: vec![], near: None, flags, excerpt: None }
    }

    /// The language of the text last said something of, or why it is not read and what it is then.
    fn language(
        &self,
        scratch: &Scratch,
        text: &str,
        told: Option<&str>,
    ) -> Result<Cow<'static, str>, (Unread, Cow<'static, str>)> {
        let told = told.filter(|l| !UNTOLD.contains(l));
        if let Some(lang) = told.filter(|l| !is_english(l)) {
            return Err((Unread::OtherLanguage, lang.to_owned().into()));
        }
        let told_or = |other: &'static str| told.map_or(Cow::from(other), |lang| lang.to_owned().into());
        let count = scratch.count;
        if count.tokens == 0 || (count.words == 0 && !scratch.parts.iter().any(|p| p.word)) {
            return Err((Unread::NoText, told_or("und")));
        }
        let known = |share: f32| count.known as f32 >= share * count.words as f32;
        if !known(SURELY_ENGLISH)
            && told.is_none()
            && let Some(lang) = foreign(text)
        {
            return Err((Unread::OtherLanguage, lang.into()));
        }
        if !known(LEAST_KNOWN) {
            return Err((Unread::UnknownWords, told_or("und")));
        }
        Ok(told_or("en"))
    }
}

/// What a part adds to a complaint, and to the post being negative.
#[must_use]
pub fn pull_to_complaint(adds: &[f32; HEADS]) -> f32 {
    adds[3] + adds[0] - adds[1].max(adds[2])
}

/// The words of the post last read that pull most, heaviest first; at most 3.
///
/// Only words that the model knows are named, so that no name, number or address can be among them.
#[must_use]
pub fn evidence(scratch: &Scratch, text: &str, pull: impl Fn(&[f32; HEADS]) -> f32) -> Vec<String> {
    let mut chosen: Vec<(&Part, f32)> = Vec::with_capacity(EVIDENCE + 1);
    for part in scratch.parts.iter().filter(|p| p.word) {
        let pull = pull(&part.adds);
        if pull > LEAST_PULL {
            let at = chosen.partition_point(|(_, other)| *other >= pull);
            chosen.insert(at, (part, pull));
            chosen.truncate(EVIDENCE);
        }
    }
    let mut named: Vec<String> = Vec::with_capacity(EVIDENCE);
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
fn beginning(text: &str) -> String {
    let mut line = String::with_capacity(EXCERPT);
    for word in text.split_whitespace() {
        if line.len() + word.len() + 1 > EXCERPT - '\u{2026}'.len_utf8() {
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
fn near(scratch: &Scratch, text: &str) -> Option<SimHash> {
    let is_word =
        |part: &&Part| text.get(part.start..).is_some_and(|rest| rest.starts_with(char::is_alphabetic));
    sim_hash(scratch.parts.iter().filter(is_word).map(|part| part.key))
}

/// Stems that carry a mood say how somebody feels, not what about.
fn topics(scratch: &mut Scratch, text: &str) -> Vec<String> {
    let Scratch { stems, parts, lower, .. } = scratch;
    let mut topics: Vec<String> = Vec::new();
    for part in parts.iter().filter(|p| p.word && (p.adds[0] - p.adds[2]).abs() <= MOODY) {
        let word = text.get(part.start..part.end).unwrap_or_default().trim_start_matches('#');
        if !word.is_ascii() || word.len() < SHORTEST_TOPIC {
            continue;
        }
        lower.clear();
        lower.push_str(word);
        lower.make_ascii_lowercase();
        let stem = stems.stem(lower);
        let is_there = |topic: &String| topic.split('|').next() == Some(stem);
        if stem.len() >= SHORTEST_TOPIC && !is_common(stem) && !topics.iter().any(is_there) {
            let word = lower.as_str();
            topics.push(if stem == word { stem.to_owned() } else { format!("{stem}|{word}") });
            if topics.len() == TOPICS {
                break;
            }
        }
    }
    topics
}

fn kinds(flags: &[Flag]) -> Vec<FlagKind> {
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
