//! Text in the form that the reply patterns expect, and its parts.

use std::ops::Range;

use regex::Regex;

use crate::text::PersonalDataDetector;
use crate::text::folded::Folded;

/// Replaces what a pattern must not see. It is no letter, no space and no punctuation, so that no pattern
/// matches across it.
const BLANK: char = '~';
/// Stands for each byte of a health term, so that patterns need not list the terms.
const MARK: char = '\u{1}';

/// A folded text in lower case, in which a dash between parts of a sentence is a semicolon.
pub(super) struct FoldedText<'a> {
    /// The folded text.
    pub text: String,
    /// The places of the health terms in it.
    pub terms: Vec<Range<usize>>,
    folded: Folded<'a>,
}

impl<'a> FoldedText<'a> {
    /// Folds a text.
    pub fn new(original: &'a str) -> Self {
        let rewrite = |c| match c {
            '\u{2014}' => ';',
            BLANK => '-',
            MARK => ' ',
            other => other,
        };
        let folded = Folded::with(original, rewrite);
        Self { text: folded.text.to_ascii_lowercase(), terms: vec![], folded }
    }

    /// Folds a text and finds the health terms in it.
    pub fn with_terms(original: &'a str, personal: &PersonalDataDetector) -> Self {
        let mut folded = Self::new(original);
        folded.terms = personal.health_terms(&folded.folded.text);
        folded.terms.sort_by_key(|term| term.start);
        folded
    }

    /// Returns the place in the original of a range of the folded text.
    pub fn origin(&self, range: &Range<usize>) -> Range<usize> {
        self.folded.original(range.clone())
    }
}

/// Returns a part of a folded text with the health terms marked that are not blanked out in it, with unchanged positions.
/// `start` is the place of the part in the whole.
pub(super) fn mark_terms(part: &str, start: usize, terms: &[Range<usize>]) -> String {
    let mut marked = part.to_owned();
    for term in terms.iter().filter(|term| start <= term.start && term.end <= start + part.len()) {
        let place = term.start - start..term.end - start;
        if marked.get(place.clone()).is_some_and(|words| !words.contains(BLANK)) {
            let marks: String = std::iter::repeat_n(MARK, place.len()).collect();
            marked.replace_range(place, &marks);
        }
    }
    marked
}

/// Returns the text with all matches blanked out, with unchanged positions.
pub(super) fn blank_out(text: &str, form: &Regex) -> String {
    blank_out_ranges(text, form.find_iter(text).map(|found| found.range()))
}

/// Returns the text with some ranges, in order, blanked out, with unchanged positions.
pub(super) fn blank_out_ranges(text: &str, ranges: impl Iterator<Item = Range<usize>>) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut at = 0;
    for range in ranges {
        kept.push_str(text.get(at..range.start).unwrap_or_default());
        kept.extend(std::iter::repeat_n(BLANK, range.len()));
        at = range.end;
    }
    kept.push_str(text.get(at..).unwrap_or_default());
    kept
}

/// Returns the sentences of a folded text. A full stop inside an address or a number, or after an abbreviation, ends
/// none.
pub(super) fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        let rest = text.get(end..).unwrap_or_default();
        let before_space = rest.chars().next().is_none_or(|next| !next.is_alphanumeric() && next != '/');
        let abbreviated = || match last_word(text, start, at) {
            "mr" | "mrs" | "ms" | "dr" => true,
            // "No." alone is a sentence; after another word it is a number.
            "no" => text.get(start..at).is_some_and(|s| s.trim().contains(' ')),
            _ => false,
        };
        let ends = match c {
            '\n' | '!' => true,
            '?' => before_space,
            '.' => before_space && !abbreviated(),
            _ => false,
        };
        if ends {
            found.push(start..end);
            start = end;
        }
    }
    found.push(start..text.len());
    found.retain(|range| text.get(range.clone()).is_some_and(|s| s.contains(char::is_alphanumeric)));
    found
}

fn last_word(text: &str, start: usize, end: usize) -> &str {
    let sentence = text.get(start..end).unwrap_or_default();
    sentence.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default()
}

/// Returns the clauses of a range of a text, which begin at the groups `at` of a pattern.
pub(super) fn clauses(text: &str, range: &Range<usize>, breaks: &Regex) -> Vec<Range<usize>> {
    let sentence = text.get(range.clone()).unwrap_or_default();
    let mut starts = vec![range.start];
    let splits = breaks.captures_iter(sentence).filter_map(|groups| groups.name("at"));
    starts.extend(splits.map(|split| range.start + split.start()));
    let ends = starts.iter().skip(1).copied().chain([range.end]);
    starts.iter().zip(ends).map(|(start, end)| *start..end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_folded_and_remembers_its_places() {
        let original = "N\u{FA}mero\u{200B} \u{FF11}\u{2019}s";
        let folded = FoldedText::new(original);
        assert_eq!(folded.text, "numero 1's");
        assert_eq!(&original[folded.origin(&(1..2))], "\u{FA}");
        assert_eq!(&original[folded.origin(&(7..10))], "\u{FF11}\u{2019}s");
    }

    #[test]
    fn sentences_end_at_full_stops_but_not_inside_addresses() {
        let text = "mail care@a.example. really?! dr. wu: 9.30, www.a.example/x.\nok 1/2";
        let parts: Vec<&str> = sentences(text).into_iter().map(|range| text[range].trim()).collect();
        assert_eq!(parts, ["mail care@a.example.", "really?", "dr. wu: 9.30, www.a.example/x.", "ok 1/2"]);
    }

    #[test]
    fn matches_are_blanked_out_in_place() {
        let form = Regex::new("b+").unwrap();
        assert_eq!(blank_out("abba b", &form), "a~~a ~");
    }
}
