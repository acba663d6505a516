//! The health terms: conditions, treatments and medicines in several languages, and which words of a text are such.

use std::ops::Range;

/// The terms, one a line, where a trailing "*" matches any ending.
const TERMS: &str = include_str!("personal/conditions.txt");
/// Terms that are other words in lower case.
const ACRONYMS: [&str; 9] = ["tia", "als", "ms", "aids", "pots", "std", "sti", "uti", "ocd"];

/// Rules for what a term stands for in a text.
pub(super) struct HealthTerms {
    /// The terms in lower case, without their asterisk.
    pub words: Vec<&'static str>,
    /// Whether the term stands for all words that begin with it.
    are_stems: Vec<bool>,
}

impl HealthTerms {
    pub fn new() -> Self {
        let terms = || TERMS.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with(['#', '[']));
        Self {
            words: terms().map(|term| term.trim_end_matches('*')).collect(),
            are_stems: terms().map(|term| term.ends_with('*')).collect(),
        }
    }

    /// Returns the names of one word that have so many letters at least.
    pub fn names(&self, letters: usize) -> impl Iterator<Item = &'static str> {
        let is_name = move |word: &str| word.len() >= letters && word.bytes().all(|b| b.is_ascii_lowercase());
        self.words.iter().copied().filter(move |word| is_name(word))
    }

    /// Returns the word or words of a text that begin where a term was found, if the term stands for them.
    pub fn words_at(&self, term: usize, found: Range<usize>, text: &str) -> Option<Range<usize>> {
        let (before, rest) = (text.get(..found.start)?, text.get(found.end..)?);
        let tail = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let is_stem = self.are_stems.get(term) == Some(&true);
        let is_whole = tail == 0 || is_stem || (tail == 1 && rest.starts_with('s'));
        let is_start = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let goes_on = rest.get(tail..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if !is_whole || !is_start || goes_on {
            return None;
        }
        let word = text.get(found.clone())?;
        let is_acronym = ACRONYMS.iter().any(|acronym| acronym.eq_ignore_ascii_case(word));
        if is_acronym && word.bytes().any(|byte| byte.is_ascii_lowercase()) {
            // In lower case only after a verb or preposition that a condition follows.
            let verbs = ["have ", "has ", "had ", "with ", "got "];
            verbs.iter().find(|verb| before.ends_with(**verb))?;
        }
        Some(found.start..found.end + tail)
    }
}
