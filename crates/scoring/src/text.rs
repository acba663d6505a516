//! From a post to its features: stems, pairs of stems, emoji and emoticons.
//!
//! Links and mentions say nothing about mood and are left out; hashtags are read as words; a stem under a
//! negation (`not`, `never`, `n't`) up to the next punctuation is another feature than the stem alone.
//! Scope of negation: Das and Chen 2001, as in Pang, Lee and Vaithyanathan 2002.

use std::collections::HashMap;

use rust_stemmers::{Algorithm, Stemmer};

/// Most distinct words whose stems are remembered.
const CACHE_LIMIT: usize = 1 << 16;
/// Longest word that is stemmed, in bytes; what is longer is no word.
const LONGEST_WORD: usize = 40;

/// The English stemmer (Porter 2) with a bounded memory of words it has seen. The memory never changes a result.
pub struct Stems {
    stemmer: Stemmer,
    // Looked up only, never iterated: its random order cannot reach a result.
    cache: HashMap<Box<str>, Box<str>>,
}

impl Default for Stems {
    fn default() -> Self {
        Self { stemmer: Stemmer::create(Algorithm::English), cache: HashMap::new() }
    }
}

impl Stems {
    fn push(&mut self, word: &str, out: &mut String) {
        if let Some(stem) = self.cache.get(word) {
            out.push_str(stem);
            return;
        }
        let stem = self.stemmer.stem(word);
        out.push_str(&stem);
        if self.cache.len() >= CACHE_LIMIT {
            self.cache.clear();
        }
        self.cache.insert(word.into(), stem.into());
    }
}

/// One feature as it stands in the text.
#[derive(Debug, Clone, Copy)]
pub struct Hit<'a> {
    /// The feature: a stem, `not_` and a stem, two stems with a blank between, a mark or an emoji.
    pub feature: &'a str,
    /// The word as written, in lower case.
    pub word: &'a str,
    /// The word before it, when the feature is a pair.
    pub before: Option<&'a str>,
}

impl<'a> Hit<'a> {
    fn mark(mark: &'a str) -> Self {
        Self { feature: mark, word: mark, before: None }
    }

    /// The feature in the words of the text.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self.before {
            Some(before) => format!("{before} {}", self.word),
            None if self.feature.starts_with("not_") => format!("not {}", self.word),
            None => self.word.to_owned(),
        }
    }
}

/// Walks a post and hands each feature to a visitor. Cost grows linearly with the text.
pub struct Features<'a> {
    stems: &'a mut Stems,
    word: String,
    stem: String,
    previous: String,
    previous_word: String,
    joined: String,
    negated: bool,
}

impl<'a> Features<'a> {
    /// A walker that uses this stemmer.
    pub fn new(stems: &'a mut Stems) -> Self {
        let empty = String::new;
        Self {
            stems,
            word: empty(),
            stem: empty(),
            previous: empty(),
            previous_word: empty(),
            joined: empty(),
            negated: false,
        }
    }

    /// Visits every feature of the text in order; the same feature may come more than once. Pairs hold a blank,
    /// negated stems start with `not_`.
    pub fn visit(&mut self, text: &str, visit: &mut impl FnMut(&Hit<'_>)) {
        self.previous.clear();
        self.negated = false;
        for chunk in text.split_whitespace() {
            self.chunk(chunk, visit);
        }
    }

    fn chunk(&mut self, chunk: &str, visit: &mut impl FnMut(&Hit<'_>)) {
        if chunk.starts_with("http://") || chunk.starts_with("https://") || chunk.starts_with("www.") {
            return;
        }
        if chunk.starts_with('@') || chunk == "RT" {
            return;
        }
        if let Some(mood) = emoticon(chunk) {
            visit(&Hit::mark(mood));
            return;
        }
        let mut before = ' ';
        let mut rest = chunk;
        while let Some(c) = rest.chars().next() {
            if let Some((plain, tail)) = entity(rest) {
                self.mark(plain, visit);
                rest = tail;
                continue;
            }
            rest = &rest[c.len_utf8()..];
            if c.is_alphanumeric() || (is_apostrophe(c) && !self.word.is_empty()) {
                if c.is_uppercase() && before.is_lowercase() && chunk.starts_with('#') {
                    self.end_word(visit);
                }
                self.extend_word(c);
            } else {
                self.mark(c, visit);
            }
            before = c;
        }
        self.end_word(visit);
    }

    fn extend_word(&mut self, c: char) {
        if is_apostrophe(c) {
            self.word.push('\'');
            return;
        }
        for lower in c.to_lowercase() {
            // "soooo" and "sooo" are one word: a letter three times or more counts twice.
            if !self.word.ends_with([lower].as_slice()) || !ends_twice(&self.word, lower) {
                self.word.push(lower);
            }
        }
    }

    /// A character that is no part of a word.
    fn mark(&mut self, c: char, visit: &mut impl FnMut(&Hit<'_>)) {
        self.end_word(visit);
        match c {
            '.' | ',' | ';' | ':' => self.negated = false,
            '!' | '?' => {
                self.negated = false;
                visit(&Hit::mark(if c == '!' { "!" } else { "?" }));
            }
            _ if is_pictograph(c) => visit(&Hit::mark(c.encode_utf8(&mut [0; 4]))),
            _ => {}
        }
    }

    fn end_word(&mut self, visit: &mut impl FnMut(&Hit<'_>)) {
        let word = self.word.trim_end_matches('\'');
        if word.is_empty() || word.len() > LONGEST_WORD {
            self.word.clear();
            return;
        }
        self.stem.clear();
        if word.bytes().all(|b| b.is_ascii_digit()) {
            self.stem.push('0');
        } else {
            self.stems.push(word, &mut self.stem);
        }
        let negates = is_negation(word);
        let mut feature = self.stem.as_str();
        if self.negated && !negates {
            self.joined.clear();
            self.joined.push_str("not_");
            self.joined.push_str(&self.stem);
            feature = &self.joined;
        }
        visit(&Hit { feature, word, before: None });
        if !self.previous.is_empty() {
            self.previous.push(' ');
            self.previous.push_str(&self.stem);
            visit(&Hit { feature: &self.previous, word, before: Some(&self.previous_word) });
        }
        self.previous_word.clear();
        self.previous_word.push_str(word);
        self.word.clear();
        std::mem::swap(&mut self.previous, &mut self.stem);
        self.negated |= negates;
    }
}

fn ends_twice(word: &str, c: char) -> bool {
    let mut back = word.chars().rev();
    back.next() == Some(c) && back.next() == Some(c)
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}')
}

fn is_negation(word: &str) -> bool {
    word.ends_with("n't")
        || matches!(
            word,
            "not" | "no" | "never" | "cannot" | "cant" | "dont" | "wont" | "without" | "nothing" | "nobody"
        )
}

/// Emoji and symbols; variation selectors, joiners and skin tones are skipped, so that variants read alike.
fn is_pictograph(c: char) -> bool {
    matches!(u32::from(c), 0x2190..=0x2BFF | 0x1F000..=0x1FAFF) && !matches!(u32::from(c), 0x1F3FB..=0x1F3FF)
}

fn entity(text: &str) -> Option<(char, &str)> {
    if !text.starts_with('&') {
        return None;
    }
    [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>'), ("&quot;", '"'), ("&#39;", '\'')]
        .into_iter()
        .find_map(|(name, plain)| text.strip_prefix(name).map(|tail| (plain, tail)))
}

fn emoticon(chunk: &str) -> Option<&'static str> {
    match chunk {
        ":)" | ":-)" | ":D" | ":-D" | "=)" | ";)" | ";-)" | "(:" | "<3" | "&lt;3" | "^^" | "xD" | "XD" => {
            Some(":)")
        }
        ":(" | ":-(" | ":'(" | "):" | "=(" | ":/" | ":-/" | "D:" | ":|" | ">:(" | "-_-" => Some(":("),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let mut stems = Stems::default();
        let mut got = Vec::new();
        Features::new(&mut stems).visit(text, &mut |hit| {
            if hit.before.is_none() {
                got.push(hit.feature.to_owned());
            }
        });
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn words_are_stemmed_and_noise_is_left_out() {
        check("RT @aldermere Waiting 45 minutes https://x.y/z", &["wait", "0", "minut"]);
        check("SOOOOO slow!!", &["soo", "slow", "!", "!"]);
        check("caf\u{e9} &amp; it\u{2019}s", &["café", "it"]);
    }

    #[test]
    fn negation_reaches_to_the_next_punctuation() {
        check("not happy at all. happy", &["not", "not_happi", "not_at", "not_all", "happi"]);
        check("don't work, works", &["don't", "not_work", "work"]);
    }

    #[test]
    fn hashtags_emoji_and_emoticons() {
        check("#PortalDown :-( \u{1F621}\u{FE0F}", &["portal", "down", ":(", "\u{1F621}"]);
        check("\u{1F44D}\u{1F3FD}", &["\u{1F44D}"]);
    }

    #[test]
    fn pairs_follow_the_words() {
        let mut stems = Stems::default();
        let mut pairs = Vec::new();
        Features::new(&mut stems).visit("still holding on", &mut |hit| {
            if hit.before.is_some() {
                pairs.push((hit.feature.to_owned(), hit.in_words()));
            }
        });
        let pair = |f: &str, w: &str| (f.to_owned(), w.to_owned());
        assert_eq!(pairs, [pair("still hold", "still holding"), pair("hold on", "holding on")]);
    }

    #[test]
    fn a_full_memory_changes_nothing() {
        let mut stems = Stems::default();
        for i in 0..CACHE_LIMIT + 10 {
            stems.push(&format!("word{i}ing"), &mut String::new());
        }
        assert!(stems.cache.len() <= CACHE_LIMIT);
        let mut out = String::new();
        stems.push("waiting", &mut out);
        assert_eq!(out, "wait");
    }
}
