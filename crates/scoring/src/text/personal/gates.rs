//! Cheap first looks at a text: whether it has the digits, words or signs without which no pattern can match.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use crate::ModelError;
use crate::text::detect_foreign;

/// Words that a text without digits or signs is searched for.
pub(super) struct Gates {
    /// The dots, the numbers and the beginnings, in this order.
    words: AhoCorasick,
}

/// What the words of a text allow to be in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hints {
    /// An e-mail address: it has an `@` within a word, or says "dot".
    pub email: bool,
    /// Numbers as words: at least three in a row.
    pub spelt_numbers: bool,
    /// A birth date or an address without two digits: it has a word of one.
    pub seed: bool,
}

impl Gates {
    pub fn new() -> Result<Self, ModelError> {
        let mut automaton = AhoCorasick::builder();
        automaton.ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA));
        let words = DOT_WORDS.into_iter().chain(NUMBER_WORDS).chain(SEED_WORDS).chain(STREET_WORDS);
        let words = automaton.build(words).map_err(|e| ModelError::File(format!("words of numbers: {e}")))?;
        Ok(Self { words })
    }

    /// Returns what a text with so many digits may hold.
    pub fn hints(&self, text: &str, digits: usize) -> Hints {
        let mut hints = Hints { email: has_at(text), ..Hints::default() };
        let mut numbers = 0;
        for word in self.words.find_overlapping_iter(text) {
            match word.pattern().as_usize() {
                dot if dot < DOT_WORDS.len() => hints.email = true,
                number if number < DOT_WORDS.len() + NUMBER_WORDS.len() => numbers += 1,
                seed if !hints.seed => {
                    let is_street = seed >= DOT_WORDS.len() + NUMBER_WORDS.len() + SEED_WORDS.len();
                    // Without a number it is a street only as a name.
                    let is_named = text.as_bytes().get(word.start() + 1).is_some_and(u8::is_ascii_uppercase);
                    let is_whole = !text[word.end()..].starts_with(|c: char| c.is_ascii_alphanumeric());
                    hints.seed = !is_street || (is_whole && (digits > 0 || is_named));
                }
                _ => {}
            }
        }
        hints.spelt_numbers = numbers >= 3 && spells_numbers(text);
        hints
    }
}

/// Whether a text has an `@` within a word.
fn has_at(text: &str) -> bool {
    let bytes = text.as_bytes();
    text.match_indices('@').any(|(at, _)| {
        let before = bytes.get(at.saturating_sub(2)..at).unwrap_or_default();
        let after = bytes.get(at + 1).copied().unwrap_or_default();
        before.iter().any(u8::is_ascii_alphanumeric) || b" )]}>".contains(&after)
    })
}

/// Whether a text has at least three numbers as words in a row.
fn spells_numbers(text: &str) -> bool {
    let is_number = |word: &str| NUMBER_WORDS.iter().any(|number| word.eq_ignore_ascii_case(number));
    let mut in_a_row = 0;
    text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty()).any(|word| {
        in_a_row = if is_number(word) { in_a_row + 1 } else { 0 };
        in_a_row >= 3
    })
}

/// Languages whose words for numbers and people the patterns know.
const KNOWN_LANGUAGES: [&str; 6] = ["es", "de", "fr", "pt", "it", "nl"];

/// Whether a text is in a language that is not known, of which all longer numbers are hidden.
pub(super) fn hides_numbers(text: &str) -> bool {
    !text.is_ascii()
        && digits(text) >= 4
        && detect_foreign(text).is_some_and(|language| !KNOWN_LANGUAGES.contains(&language))
}

/// Returns the groups of at least four digits of a text.
pub(super) fn digit_groups(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = text.get(at..)?;
            let start = at + rest.find(|c: char| c.is_ascii_digit())?;
            let length = text.get(start..)?.bytes().take_while(u8::is_ascii_digit).count();
            at = start + length;
            if length >= 4 {
                return Some(start..at);
            }
        }
    })
}

/// Digits of a text from which a number in groups may be an identifier.
pub(super) const MIN_CODE_DIGITS: usize = 6;

/// Whether a word has the form of an identifier: four digits that are no year, or capitals with a digit.
pub(super) fn is_code_like(word: &str) -> bool {
    let word = word.trim_matches(|c: char| c.is_ascii_punctuation() && c != '#');
    let count = |is: fn(&u8) -> bool| word.bytes().filter(is).count();
    let digits = count(u8::is_ascii_digit);
    if digits == 0 || word.starts_with("http") {
        return false;
    }
    let is_year = word.len() == 4 && (word.starts_with("19") || word.starts_with("20"));
    let is_capital = count(u8::is_ascii_lowercase) == 0 && count(u8::is_ascii_uppercase) > 0;
    (digits >= 4 && !is_year) || (is_capital && word.len() >= 4)
}

/// Counts the digits of a text outside handles, hashtags and links, whose digits identify nobody. Those of other scripts
/// count, and words for digits count as one.
pub(in crate::text) fn digits(text: &str) -> usize {
    let words = text.split_whitespace().filter(|word| !word.starts_with("http")).map(behind_tag);
    words.map(|word| word.chars().filter(|c| c.is_numeric()).count()).sum()
}

const NUMBER_WORDS: [&str; 28] = [
    "zero",
    "oh",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
];

/// What "dot" is in the languages that are known, with the space or bracket before it.
const DOT_WORDS: [&str; 19] = [
    " dot",
    "(dot",
    "[dot",
    " punto",
    " punkt",
    " point",
    " ponto",
    " at ",
    "[at",
    "(at",
    "{at",
    "arroba",
    "arobase",
    "chiocciola",
    "apenstaart",
    "(punto",
    "(punkt",
    "(point",
    "(ponto",
];

/// Words of births and homes, which are written without digits too.
const SEED_WORDS: [&str; 26] = [
    "delivered on",
    "arrived ",
    "born ",
    "birth",
    "bday",
    "turning ",
    "turns ",
    "turned ",
    "newborn",
    "geboren",
    "nacid",
    "nacio",
    "naciment",
    "nascid",
    "nato il",
    "nata il",
    "ne le ",
    "nee le ",
    "cumple",
    "anniversa",
    "lives on",
    "live on",
    "living on",
    "house on",
    "purok",
    "ssn",
];

/// Words of streets and houses, with the space before them.
const STREET_WORDS: [&str; 34] = [
    " street",
    " st",
    " road",
    " rd",
    " lane",
    " ln",
    " avenue",
    " ave",
    " court",
    " ct",
    " close",
    " drive",
    " dr",
    " terrace",
    " way",
    " place",
    " loop",
    " hill",
    " crescent",
    " gardens",
    " circle",
    " cir",
    " trail",
    " run",
    " row",
    " mews",
    " cottage",
    " square",
    " run",
    " apt",
    " flat",
    " unit",
    " lot",
    " strasse",
];

/// Returns what follows the handle or hashtag with which a word begins.
fn behind_tag(word: &str) -> &str {
    let is_number = |tag: &str| tag.chars().take(3).any(|c| c.is_ascii_digit());
    let tag = word.strip_prefix('@').or_else(|| word.strip_prefix('#').filter(|tag| !is_number(tag)));
    tag.map_or(word, |tag| tag.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'))
}
