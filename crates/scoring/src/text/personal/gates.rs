//! Cheap first looks at a text: whether it has the digits, words or signs without which no pattern can match.

use std::ops::Range;

use crate::text::detect_foreign;
use crate::text::sieve::WordTable;

/// Words that a text without digits or signs is searched for.
pub(super) struct Gates {
    words: WordTable,
    /// For each word what it is a sign of.
    signs: Vec<Sign>,
}

/// What a word can be a sign of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Dot,
    At,
    Number,
    Seed,
    Street,
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
    pub fn new() -> Self {
        let words =
            || WORDS.into_iter().flat_map(|(sign, words)| words.iter().map(move |word| (sign, *word)));
        Self {
            words: WordTable::new(words().map(|(_, word)| word).zip(0..), &[]),
            signs: words().map(|(sign, _)| sign).collect(),
        }
    }

    /// Returns what a text with so many digits may hold.
    pub fn hints(&self, text: &str, digits: usize) -> Hints {
        let mut hints = Hints { email: has_at(text), ..Hints::default() };
        let (mut numbers, mut says_at) = (0, false);
        self.words.visit(text, |word, start, end| match self.signs.get(word) {
            Some(Sign::Dot) => hints.email = true,
            Some(Sign::At) => says_at = true,
            Some(Sign::Number) => numbers += 1,
            Some(Sign::Seed) => hints.seed = true,
            Some(Sign::Street) => hints.seed |= is_street(text, start..end, digits),
            None => {}
        });
        hints.email |= says_at && has_dot(text);
        hints.spelt_numbers = numbers >= 3 && spells_numbers(text);
        hints
    }
}

/// Whether a word for a street is one. Without a number in the text it is one only as a name.
fn is_street(text: &str, word: Range<usize>, digits: usize) -> bool {
    let (before, rest) =
        (text.get(..word.start).unwrap_or_default(), text.get(word.end..).unwrap_or_default());
    let is_named = text.as_bytes().get(word.start).is_some_and(u8::is_ascii_uppercase);
    before.ends_with(' ')
        && !rest.starts_with(|c: char| c.is_ascii_alphanumeric())
        && (digits > 0 || is_named)
}

/// Whether a text has a dot within a word.
fn has_dot(text: &str) -> bool {
    let goes_on = |byte: u8| byte.is_ascii_alphanumeric() || b")]}>".contains(&byte);
    text.as_bytes().windows(2).any(|pair| pair[0] == b'.' && goes_on(pair[1]))
}

/// Whether a text has an `@` behind a word and before a host with a dot, or one in brackets.
fn has_at(text: &str) -> bool {
    let bytes = text.as_bytes();
    text.match_indices('@').any(|(at, _)| {
        let before = bytes.get(at.saturating_sub(2)..at).unwrap_or_default();
        let after = bytes.get(at + 1..).unwrap_or_default();
        let is_in_brackets = after.first().is_some_and(|byte| b" )]}>".contains(byte));
        let after = after.strip_prefix(b" ").unwrap_or(after);
        let host = after.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
        let has_dot = match after.get(host..) {
            Some([b'.' | b',', next, ..]) if next.is_ascii_alphanumeric() => true,
            // "jo@mail . com" and "jo@mail. com", not "@mail, come".
            Some([b' ', b'.', ..]) => true,
            Some([b'.' | b',', b' ', rest @ ..]) => {
                ["com", "org", "net"].iter().any(|end| rest.starts_with(end.as_bytes()))
            }
            _ => false,
        };
        (before.iter().any(u8::is_ascii_alphanumeric) && has_dot) || is_in_brackets
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
    if text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    let words = text.split_whitespace().filter(|word| !word.starts_with("http")).map(behind_tag);
    words.map(|word| word.chars().filter(|c| c.is_numeric()).count()).sum()
}

/// The words that are looked for.
const WORDS: [(Sign, &[&str]); 5] = [
    (Sign::Dot, &DOT_WORDS),
    (Sign::At, &AT_WORDS),
    (Sign::Number, &NUMBER_WORDS),
    (Sign::Seed, &SEED_WORDS),
    (Sign::Street, &STREET_WORDS),
];

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

/// What "dot" is in the languages that are known, and what "at" is where it says nothing else.
const DOT_WORDS: [&str; 9] =
    ["dot", "punto", "punkt", "point", "ponto", "arroba", "arobase", "chiocciola", "apenstaart"];
/// What "at" is where it says other things too.
const AT_WORDS: [&str; 1] = ["at"];

/// Words of births and homes, which are written without digits too.
const SEED_WORDS: [&str; 29] = [
    "conf",
    "pnr",
    "locator",
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

/// Words of streets and houses, which follow a space.
const STREET_WORDS: [&str; 33] = [
    "street", "st", "road", "rd", "lane", "ln", "avenue", "ave", "court", "ct", "close", "drive", "dr",
    "terrace", "way", "place", "loop", "hill", "crescent", "gardens", "circle", "cir", "trail", "row",
    "mews", "cottage", "square", "run", "apt", "flat", "unit", "lot", "strasse",
];

/// Fewest digits of a hashtag that is a number: "#INC2047137".
const MIN_TAG_DIGITS: usize = 5;

/// Returns what follows the handle or hashtag with which a word begins.
fn behind_tag(word: &str) -> &str {
    let is_digit = |c: &char| c.is_ascii_digit();
    let is_number = |tag: &str| {
        tag.chars().take(3).any(|c| is_digit(&c)) || tag.chars().filter(is_digit).count() >= MIN_TAG_DIGITS
    };
    let tag = word.strip_prefix('@').or_else(|| word.strip_prefix('#').filter(|tag| !is_number(tag)));
    tag.map_or(word, |tag| tag.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'))
}
