//! Which of many patterns a text can match at all, found in one pass.
//!
//! Most patterns need some word to be in the text. The words are taken from the patterns themselves, so nobody has to
//! keep a list beside them. A pattern that needs none is always a candidate.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

use crate::ModelError;

/// Shortest word that is looked for.
const MIN_WORD_BYTES: usize = 2;

/// The words that patterns need.
pub(super) struct Sieve {
    words: AhoCorasick,
    /// For each word the patterns that need it, or others in its place.
    patterns: Vec<Vec<usize>>,
    /// Whether a pattern is always a candidate.
    always: Vec<bool>,
}

impl Sieve {
    /// Takes the words from patterns, which ignore case.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, ModelError> {
        let fault = |e: &dyn std::fmt::Display| ModelError::File(format!("words of patterns: {e}"));
        let (mut words, mut of_words, mut always) = (Vec::new(), Vec::<Vec<usize>>::new(), Vec::new());
        for (at, pattern) in patterns.into_iter().enumerate() {
            let hir = ParserBuilder::new().case_insensitive(true).utf8(false).build().parse(pattern);
            // Short words are in every text.
            let needed = needed_words(&hir.map_err(|e| fault(&e))?)
                .filter(|words| words.iter().all(|word| word.trim().len() >= MIN_WORD_BYTES));
            always.push(needed.is_none());
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
        let words = automaton.build(&words).map_err(|e| fault(&e))?;
        Ok(Self { words, patterns: of_words, always })
    }

    /// Returns for each pattern whether the text can match it.
    pub fn candidates(&self, text: &str) -> Vec<bool> {
        let mut candidates = self.always.clone();
        for word in self.words.find_overlapping_iter(text) {
            for pattern in self.patterns.get(word.pattern().as_usize()).into_iter().flatten() {
                if let Some(candidate) = candidates.get_mut(*pattern) {
                    *candidate = true;
                }
            }
        }
        candidates
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
        HirKind::Literal(literal) => {
            std::str::from_utf8(&literal.0).ok().filter(|text| text.is_ascii()).map(str::to_ascii_lowercase)
        }
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

    #[test]
    fn patterns_are_candidates_if_their_words_are_there() {
        let patterns = [
            r"\b(?:born|dob)\b[^\d]{0,9}\d+",
            r"\d{4}",
            r"(?:in|on) (?P<it>icu|coma)",
            r"my ?(?:cat)?s? dog\w*",
        ];
        let sieve = Sieve::new(patterns).unwrap();
        assert_eq!(sieve.candidates("nothing here 1999"), [false, true, false, false]);
        assert_eq!(sieve.candidates("BORN in 1962"), [true, true, false, false]);
        assert_eq!(sieve.candidates("my Dogs in a coma"), [false, true, true, true]);
        // Whatever a pattern matches is a candidate.
        for (pattern, text) in patterns.iter().zip(["dob: 7", "2026", "on icu", "mycats dogs"]) {
            let found =
                regex::RegexBuilder::new(pattern).case_insensitive(true).build().unwrap().is_match(text);
            assert!(found && Sieve::new([*pattern]).unwrap().candidates(text)[0], "{pattern}");
        }
    }
}
