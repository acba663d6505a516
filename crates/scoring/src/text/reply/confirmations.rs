//! Finds statements that confirm that the author is a customer or patient, or anything about the author's care
//! or account.
//!
//! Conditions ("if you have a claim"), intentions ("so we can look into your account") and what belongs to the
//! conversation ("your feedback") are blanked out first. Then any statement of a state of something of the
//! author's, of something done for the author, or of a relationship is one.

use std::ops::Range;

use super::folded::{blank_out, blank_out_ranges, clauses};
use crate::text::patterns::{Pattern, PatternFile};

const PATTERNS: PatternFile = PatternFile(include_str!("confirmations.txt"));

/// Compiled patterns for confirmations.
pub(super) struct Confirmations {
    hypothetical: Pattern,
    harmless: Pattern,
    subject_state: Vec<Pattern>,
    no_subject: Pattern,
    confirms: Vec<Pattern>,
    presupposed: Vec<Pattern>,
    owns: Pattern,
    harmless_you: Pattern,
    harmless_condition: Pattern,
    not_stated: Pattern,
    breaks: Pattern,
    general: Pattern,
    names_author: Pattern,
}

impl Confirmations {
    /// Reads the patterns.
    pub fn new() -> Self {
        let own = PATTERNS.each("confirms");
        Self {
            hypothetical: PATTERNS.joined("hypothetical"),
            harmless: PATTERNS.joined("harmless"),
            subject_state: PATTERNS.each("subject_state"),
            no_subject: PATTERNS.joined("no_subject"),
            confirms: own.into_iter().chain(PATTERNS.each("foreign")).collect(),
            presupposed: PATTERNS.each("presupposed"),
            owns: PATTERNS.joined("owns"),
            harmless_you: PATTERNS.joined("harmless_you"),
            harmless_condition: PATTERNS.joined("harmless_condition"),
            not_stated: PATTERNS.joined("not_stated"),
            breaks: PATTERNS.joined("breaks"),
            general: PATTERNS.joined("general"),
            names_author: PATTERNS.joined("names_author"),
        }
    }

    /// Returns the part of a folded sentence that asserts something: without conditions, intentions and what
    /// is said to everybody.
    pub fn asserted(&self, sentence: &str) -> String {
        blank_out(&blank_out(sentence, &self.hypothetical), &self.harmless)
    }

    /// Returns the first confirmation in a folded sentence. `asserted` is its asserted part, and `marked` is that with
    /// health terms marked.
    pub fn find(&self, sentence: &str, asserted: &str, marked: &str) -> Option<Range<usize>> {
        let kept = blank_out(sentence, &self.harmless);
        let general = self.general.is_match(sentence);
        let names_author = |range: &Range<usize>| {
            sentence.get(range.clone()).is_some_and(|words| self.names_author.is_match(words))
        };
        let granted = self.presupposed.iter().filter_map(|form| form.find(&kept).map(|it| it.range()));
        let stated = self.confirms.iter().filter_map(|form| form.find(asserted).map(|it| it.range()));
        let states = self.subject_state.iter().filter_map(|form| self.find_state(form, asserted));
        stated
            .chain(granted)
            .chain(states)
            .chain(self.find_owned(asserted, marked))
            .filter(|range| !general || names_author(range))
            .min_by_key(|range| range.start)
    }

    /// Returns the first thing that only a customer or patient has, in a clause that states something.
    fn find_owned(&self, asserted: &str, marked: &str) -> Option<Range<usize>> {
        let question = asserted.trim_end().ends_with('?');
        let conditions = self.harmless_condition.find_iter(marked).map(|found| found.range());
        let asserted = &blank_out(&blank_out_ranges(asserted, conditions), &self.harmless_you);
        clauses(asserted, &(0..asserted.len()), &self.breaks).into_iter().filter(|_| !question).find_map(
            |clause| {
                let words = asserted.get(clause.clone())?;
                let it = self.owns.find(words).filter(|_| !self.not_stated.is_match(words))?;
                Some(clause.start + it.start()..clause.start + it.end())
            },
        )
    }

    /// Returns the first state of something of the author's, such as "your claim was".
    fn find_state(&self, form: &Pattern, asserted: &str) -> Option<Range<usize>> {
        let mut from = 0;
        while let Some(groups) = form.captures_at(asserted, from) {
            let (whole, what) = (groups.get(0)?, groups.name("what")?);
            if !self.no_subject.is_match(what.as_str()) {
                return Some(whole.range());
            }
            // A rejected match may contain the start of a real one.
            from = asserted.ceil_char_boundary(whole.start() + 1);
        }
        None
    }
}
