//! Cheap first looks at a text: whether it has the digits, words or signs without which no pattern can match.

use std::ops::Range;

use aho_corasick::AhoCorasick;

use crate::ModelError;
use crate::text::detect_foreign;

/// Words that a text without digits or signs is searched for.
pub(super) struct Gates {
    /// Words and brackets that stand for the signs of an e-mail address.
    spelt_emails: AhoCorasick,
    number_words: AhoCorasick,
}

impl Gates {
    pub fn new() -> Result<Self, ModelError> {
        let words = |words: &[&str]| {
            let mut automaton = AhoCorasick::builder();
            let built = automaton.ascii_case_insensitive(true).build(words);
            built.map_err(|e| ModelError::File(format!("words of numbers: {e}")))
        };
        Ok(Self { spelt_emails: words(&DOT_WORDS)?, number_words: words(&NUMBER_WORDS)? })
    }

    /// Whether a text may hold an e-mail address: it has an `@` within a word, or says "dot".
    pub fn may_hold_email(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        let has_at = text.match_indices('@').any(|(at, _)| {
            let before = bytes.get(at.saturating_sub(2)..at).unwrap_or_default();
            let after = bytes.get(at + 1).copied().unwrap_or_default();
            before.iter().any(u8::is_ascii_alphanumeric) || b" )]}>".contains(&after)
        });
        has_at || self.spelt_emails.is_match(text)
    }

    /// Whether a text has at least three numbers as words in a row.
    pub fn spells_numbers(&self, text: &str) -> bool {
        if self.number_words.find_iter(text).take(3).count() < 3 {
            return false;
        }
        let is_number = |word: &str| NUMBER_WORDS.iter().any(|number| word.eq_ignore_ascii_case(number));
        let mut in_a_row = 0;
        text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty()).any(|word| {
            in_a_row = if is_number(word) { in_a_row + 1 } else { 0 };
            in_a_row >= 3
        })
    }
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
const DOT_WORDS: [&str; 11] =
    [" dot", "(dot", "[dot", " punto", " punkt", " point", " ponto", " at ", "[at", "(at", "{at"];

/// Returns what follows the handle or hashtag with which a word begins.
fn behind_tag(word: &str) -> &str {
    let is_number = |tag: &str| tag.chars().take(3).any(|c| c.is_ascii_digit());
    let tag = word.strip_prefix('@').or_else(|| word.strip_prefix('#').filter(|tag| !is_number(tag)));
    tag.map_or(word, |tag| tag.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'))
}
