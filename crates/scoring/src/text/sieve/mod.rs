//! Which of many patterns a text can match at all, found in one pass.
//!
//! Most patterns need some words to be in the text. The words are taken from the patterns themselves, so nobody has to
//! keep a list beside them. Patterns that need none are tried in one pass if the text has digits enough for one.

mod needs;
mod words;

use std::collections::HashMap;
use std::ops::Range;

use self::needs::Needs;
pub(super) use self::words::WordTable;
use super::patterns::{Pattern, PatternSet};
use crate::ModelError;

/// The words and digits that patterns need.
pub(super) struct Sieve {
    /// The words that patterns need, then the terms.
    words: WordTable,
    /// For each word the patterns that need it, or others in its place, with the bit of the group.
    patterns: Vec<Vec<(u16, u8)>>,
    conditions: Vec<Conditions>,
    /// The patterns that need digits but no words.
    wordless: PatternSet,
}

/// What a text must have to match a pattern.
#[derive(Clone, Copy)]
struct Conditions {
    /// A bit for each group of words.
    groups: u8,
    ending: bool,
    digits: usize,
    digits_in_a_row: usize,
}

impl Sieve {
    /// Takes from patterns the words and digits that they need. The terms are words to find in the same pass, in lower
    /// case; those of two bytes are found as whole words.
    ///
    /// # Errors
    /// If a pattern is not a valid regular expression, which is a bug.
    pub fn new<'a>(
        patterns: impl IntoIterator<Item = &'a Pattern>,
        terms: &[&str],
    ) -> Result<Self, ModelError> {
        let (mut words, mut of_words) = (HashMap::<String, usize>::new(), Vec::<Vec<(u16, u8)>>::new());
        let (mut conditions, mut wordless, mut endings) = (Vec::new(), Vec::new(), Vec::new());
        for (at, pattern) in patterns.into_iter().enumerate() {
            let needs = Needs::of(&pattern.expression())
                .map_err(|e| ModelError::File(format!("words of patterns: {e}")))?;
            let condition = Conditions {
                groups: needs.words.iter().enumerate().fold(0, |all, (group, _)| all | 1 << group),
                ending: !needs.endings.is_empty(),
                digits: needs.digits,
                digits_in_a_row: needs.digits_in_a_row,
            };
            endings.extend(needs.endings);
            if condition.groups == 0 && condition.digits > 0 {
                wordless.push((at, pattern.expression()));
            }
            conditions.push(condition);
            for (group, word) in needs
                .words
                .into_iter()
                .enumerate()
                .flat_map(|(group, words)| words.into_iter().map(move |word| (group, word)))
            {
                let next = words.len();
                let index = *words.entry(word).or_insert(next);
                of_words.resize_with(words.len(), Vec::new);
                if let Some(patterns) = of_words.get_mut(index) {
                    patterns.push((at as u16, 1 << group));
                }
            }
        }
        let terms = terms.iter().copied().zip(words.len()..);
        let words = WordTable::new(
            words.iter().map(|(word, number)| (word.as_str(), *number)).chain(terms),
            &endings,
        );
        Ok(Self { words, patterns: of_words, conditions, wordless: PatternSet::new(wordless) })
    }

    /// Returns for each pattern whether a text with so many digits can match it, and calls `term` with the index and the
    /// place of each term with which a word of the text begins.
    pub fn candidates(
        &self,
        text: &str,
        digits: usize,
        mut term: impl FnMut(usize, Range<usize>),
    ) -> Vec<bool> {
        let mut groups = vec![0_u8; self.conditions.len()];
        let seen = self.words.visit(text, |word, start, end| match self.patterns.get(word) {
            Some(patterns) => {
                for (pattern, group) in patterns {
                    if let Some(groups) = groups.get_mut(usize::from(*pattern)) {
                        *groups |= group;
                    }
                }
            }
            None => term(word - self.patterns.len(), start..end),
        });
        let of = |(conditions, groups): (&Conditions, &u8)| {
            *groups == conditions.groups
                && conditions.digits <= digits
                && conditions.digits_in_a_row <= seen.digits_in_a_row
                && (seen.ending || !conditions.ending)
        };
        self.conditions.iter().zip(&groups).map(of).collect()
    }

    /// Of the candidates that need no words, keeps those that match a text. They are tried in one pass.
    pub fn retain_matching(&self, text: &str, candidates: &mut [bool]) {
        self.wordless.retain_matching(text, candidates);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::patterns::PatternFile;

    #[test]
    fn patterns_are_candidates_if_their_words_and_digits_are_there() {
        let file = PatternFile(
            "[them]\n\\b(?:born|dob)\\b[^\\d]{0,9}\\d+\n\\d{4}\n(?:in|on) (?P<it>icu|coma)\n\\bmy ?(?:cat)?s? dog\\w*\n",
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
        assert_eq!(candidates("nothing here 1-9-9-9").0, [false; 4]);
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
