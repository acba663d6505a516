//! Finds statements that confirm that the author is a customer or patient, or anything about the author's care
//! or account.
//!
//! Conditions ("if you have a claim"), intentions ("so we can look into your account") and what belongs to the
//! conversation ("your feedback") are blanked out first. Then any statement of a state of something of the
//! author's, of something done for the author, or of a relationship is one.

use std::ops::Range;

use regex::Regex;

use super::folded::{blank_out, clauses};
use crate::ModelError;
use crate::text::patterns::PatternFile;

const PATTERNS: PatternFile = PatternFile(include_str!("confirmations.txt"));

/// Compiled patterns for confirmations.
pub(super) struct Confirmations {
    hypothetical: Regex,
    harmless: Regex,
    subject_state: Vec<Regex>,
    no_subject: Regex,
    confirms: Vec<Regex>,
    presupposed: Vec<Regex>,
    owns: Regex,
    harmless_you: Regex,
    not_stated: Regex,
    breaks: Regex,
}

impl Confirmations {
    /// Compiles the patterns.
    pub fn new() -> Result<Self, ModelError> {
        let own = PATTERNS.compile_each("confirms")?;
        Ok(Self {
            hypothetical: PATTERNS.compile_joined("hypothetical")?,
            harmless: PATTERNS.compile_joined("harmless")?,
            subject_state: PATTERNS.compile_each("subject_state")?,
            no_subject: PATTERNS.compile_joined("no_subject")?,
            confirms: own.into_iter().chain(PATTERNS.compile_each("foreign")?).collect(),
            presupposed: PATTERNS.compile_each("presupposed")?,
            owns: PATTERNS.compile_joined("owns")?,
            harmless_you: PATTERNS.compile_joined("harmless_you")?,
            not_stated: PATTERNS.compile_joined("not_stated")?,
            breaks: PATTERNS.compile_joined("breaks")?,
        })
    }

    /// Returns the part of a folded sentence that asserts something: without conditions, intentions and what
    /// is said to everybody.
    pub fn asserted(&self, sentence: &str) -> String {
        blank_out(&blank_out(sentence, &self.hypothetical), &self.harmless)
    }

    /// Returns the first confirmation in a folded sentence. `asserted` is its asserted part.
    pub fn find(&self, sentence: &str, asserted: &str) -> Option<Range<usize>> {
        let kept = blank_out(sentence, &self.harmless);
        let granted = self.presupposed.iter().filter_map(|form| form.find(&kept).map(|it| it.range()));
        let stated = self.confirms.iter().filter_map(|form| form.find(asserted).map(|it| it.range()));
        let states = self.subject_state.iter().filter_map(|form| self.find_state(form, asserted));
        stated.chain(granted).chain(states).chain(self.find_owned(asserted)).min_by_key(|range| range.start)
    }

    /// Returns the first thing that only a customer or patient has, in a clause that states something.
    fn find_owned(&self, asserted: &str) -> Option<Range<usize>> {
        let question = asserted.trim_end().ends_with('?');
        let asserted = &blank_out(asserted, &self.harmless_you);
        clauses(asserted, &(0..asserted.len()), &self.breaks).into_iter().filter(|_| !question).find_map(
            |clause| {
                let words = asserted.get(clause.clone())?;
                let it = self.owns.find(words).filter(|_| !self.not_stated.is_match(words))?;
                Some(clause.start + it.start()..clause.start + it.end())
            },
        )
    }

    /// Returns the first state of something of the author's, such as "your claim was".
    fn find_state(&self, form: &Regex, asserted: &str) -> Option<Range<usize>> {
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
