//! Which of many patterns a text can match at all, found in one pass.
//!
//! Most patterns need some word to be in the text. The words are taken from the patterns themselves, so nobody has to
//! keep a list beside them. A pattern that needs none is always a candidate.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

use super::patterns::{Pattern, PatternSet};
use crate::ModelError;

/// Shortest word that is looked for.
const MIN_WORD_BYTES: usize = 3;

/// The words and digits that patterns need.
pub(super) struct Sieve {
    /// The words that patterns need, then the terms.
    words: AhoCorasick,
    /// For each word the patterns that need it, or others in its place.
    patterns: Vec<Vec<usize>>,
    needs: Vec<Needs>,
    /// The patterns that need neither word nor digit, which are tried in one pass.
    wordless: PatternSet,
}

/// What a text must have to match a pattern.
#[derive(Clone, Copy)]
struct Needs {
    /// One of its words.
    words: bool,
    /// So many digits.
    digits: usize,
}

impl Sieve {
    /// Takes from patterns the words and digits that they need. The terms are words to find in the same pass.
    ///
    /// # Errors
    /// If a pattern is not a valid regular expression, or the words are too many, which are bugs.
    pub fn new<'a>(
        patterns: impl IntoIterator<Item = &'a Pattern>,
        terms: &[&str],
    ) -> Result<Self, ModelError> {
        let fault = |e: &dyn std::fmt::Display| ModelError::File(format!("words of patterns: {e}"));
        let (mut words, mut of_words, mut needs) = (Vec::new(), Vec::<Vec<usize>>::new(), Vec::new());
        let mut wordless = Vec::new();
        for (at, pattern) in patterns.into_iter().enumerate() {
            let mut parser = ParserBuilder::new().case_insensitive(true).utf8(false).build();
            let hir = parser.parse(&pattern.expression()).map_err(|e| fault(&e))?;
            // Short words are in every text.
            let needed = needed_words(&hir)
                .filter(|words| words.iter().all(|word| word.trim().len() >= MIN_WORD_BYTES));
            needs.push(Needs { words: needed.is_some(), digits: needed_digits(&hir) });
            if needed.is_none() && needed_digits(&hir) == 0 {
                wordless.push((at, pattern.expression()));
            }
            for word in needed.into_iter().flatten() {
                let index = words.iter().position(|known| *known == word).unwrap_or_else(|| {
                    words.push(word);
                    of_words.push(Vec::new());
                    words.len() - 1
                });
                if let Some(patterns) = of_words.get_mut(index) {
                    patterns.push(at);
                }
            }
        }
        let mut automaton = AhoCorasick::builder();
        automaton
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA));
        let all = words.iter().map(String::as_str).chain(terms.iter().copied());
        let words = automaton.build(all).map_err(|e| fault(&e))?;
        Ok(Self { words, patterns: of_words, needs, wordless: PatternSet::new(wordless) })
    }

    /// Returns for each pattern whether a text with so many digits can match it, and calls `term` with the index and the
    /// place of each term in it.
    pub fn candidates(
        &self,
        text: &str,
        digits: usize,
        mut term: impl FnMut(usize, Range<usize>),
    ) -> Vec<bool> {
        // A pattern that needs digits, but no word, is its own test.
        let of_digits = |needs: &Needs| !needs.words && needs.digits > 0 && needs.digits <= digits;
        let mut candidates: Vec<bool> = self.needs.iter().map(of_digits).collect();
        for word in self.words.find_overlapping_iter(text) {
            let at = word.pattern().as_usize();
            let Some(patterns) = self.patterns.get(at) else {
                term(at - self.patterns.len(), word.range());
                continue;
            };
            for pattern in patterns {
                if let (Some(candidate), Some(needs)) =
                    (candidates.get_mut(*pattern), self.needs.get(*pattern))
                {
                    *candidate = needs.digits <= digits;
                }
            }
        }
        for at in self.wordless.matches(text) {
            if let Some(candidate) = candidates.get_mut(at) {
                *candidate = true;
            }
        }
        candidates
    }
}

/// Returns the fewest digits of a match.
fn needed_digits(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(literal) => literal.0.iter().filter(|byte| byte.is_ascii_digit()).count(),
        HirKind::Class(class) => usize::from(has_only_digits(class)),
        HirKind::Repetition(repetition) => repetition.min as usize * needed_digits(&repetition.sub),
        HirKind::Capture(capture) => needed_digits(&capture.sub),
        HirKind::Alternation(branches) => branches.iter().map(needed_digits).min().unwrap_or(0),
        HirKind::Concat(parts) => parts.iter().map(needed_digits).sum(),
    }
}

fn has_only_digits(class: &Class) -> bool {
    let is_digit = |c: char| c.is_ascii_digit();
    match class {
        Class::Unicode(class) => class.iter().all(|range| is_digit(range.start()) && is_digit(range.end())),
        Class::Bytes(class) => class.iter().all(|range| range.start() >= b'0' && range.end() <= b'9'),
    }
}

/// Returns words of which a match has at least one, in lower case; `None` if no such words are known.
fn needed_words(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => None,
        HirKind::Literal(_) | HirKind::Class(_) => letter_or_word(hir).map(|word| vec![word]),
        HirKind::Repetition(repetition) if repetition.min == 0 => None,
        HirKind::Repetition(repetition) => needed_words(&repetition.sub),
        HirKind::Capture(capture) => needed_words(&capture.sub),
        HirKind::Alternation(branches) => {
            let all: Option<Vec<Vec<String>>> = branches.iter().map(needed_words).collect();
            all.map(|all| all.concat())
        }
        HirKind::Concat(parts) => {
            let (mut best, mut run) = (None, String::new());
            for part in parts {
                match letter_or_word(part) {
                    Some(word) => run.push_str(&word),
                    None => {
                        best = longer(best, Some(vec![std::mem::take(&mut run)]));
                        best = longer(best, needed_words(part));
                    }
                }
            }
            longer(best, Some(vec![run]))
        }
    }
}

/// Returns the words of which the shortest has more letters, the later ones if both have as many: objects are rarer than
/// verbs. Empty words say nothing.
fn longer(one: Option<Vec<String>>, other: Option<Vec<String>>) -> Option<Vec<String>> {
    let letters = |word: &String| word.chars().filter(|c| !c.is_whitespace()).count();
    let shortest = |words: &Option<Vec<String>>| {
        words.as_ref().map_or(0, |words| words.iter().map(letters).min().unwrap_or(0))
    };
    let chosen = if shortest(&other) >= shortest(&one) { other } else { one };
    chosen.filter(|words| words.iter().all(|word| letters(word) > 0))
}

/// Returns the literal of a pattern, or the one letter of a class that has it in both cases.
fn letter_or_word(hir: &Hir) -> Option<String> {
    match hir.kind() {
        HirKind::Literal(literal) => std::str::from_utf8(&literal.0).ok().map(str::to_ascii_lowercase),
        HirKind::Class(class) => one_letter(class).map(String::from),
        _ => None,
    }
}

fn one_letter(class: &Class) -> Option<char> {
    let Class::Unicode(class) = class else { return None };
    let mut letter = None;
    for range in class.ranges() {
        // Other scripts have letters that fold to an ASCII one; folded texts have none of them.
        if range.end() as u32 - range.start() as u32 > 1 {
            return None;
        }
        for c in range.start()..=range.end() {
            let c = c.to_ascii_lowercase();
            if c.is_ascii() && letter.is_some_and(|letter| letter != c) {
                return None;
            }
            letter = if c.is_ascii() { Some(c) } else { letter };
        }
    }
    letter.filter(char::is_ascii_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::patterns::PatternFile;

    #[test]
    fn patterns_are_candidates_if_their_words_and_digits_are_there() {
        let file = PatternFile(
            "[them]\n\\b(?:born|dob)\\b[^\\d]{0,9}\\d+\n\\d{4}\n(?:in|on) (?P<it>icu|coma)\nmy ?(?:cat)?s? dog\\w*\n",
        );
        let patterns = file.each("them");
        let sieve = Sieve::new(&patterns, &["ill"]).unwrap();
        let candidates = |text: &str| {
            let mut terms = Vec::new();
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            (sieve.candidates(text, digits, |term, at| terms.push((term, at))), terms)
        };
        assert_eq!(candidates("nothing here 1999").0, [false, true, false, false]);
        assert_eq!(candidates("nothing here 199").0, [false; 4]);
        assert_eq!(candidates("BORN in 1962").0, [true, true, false, false]);
        assert_eq!(candidates("born in June").0, [false; 4]);
        assert_eq!(candidates("my Dogs ill in a coma"), (vec![false, false, true, true], vec![(0, 8..11)]));
        // Whatever a pattern matches is a candidate.
        for (at, (pattern, text)) in
            patterns.iter().zip(["dob: 7", "2026", "on icu", "mycats dogs"]).enumerate()
        {
            assert!(pattern.is_match(text) && candidates(text).0[at], "{text}");
        }
    }
}
