//! Finds statements about the health of somebody: a condition, treatment or medicine beside a person, and
//! statements that name none.
//!
//! A term alone is no personal data: "why does insulin cost that much?". The words of its clause decide whether it is
//! said of somebody, of nobody, or as a manner of speaking.

use std::collections::HashSet;
use std::ops::Range;

use firewatch_domain::Redaction;

use super::misspelt::Misspelt;
use crate::ModelError;
use crate::text::patterns::{Pattern, PatternFile};
use crate::text::sieve::Sieve;
use crate::text::terms::HealthTerms;

const WORDS: PatternFile = PatternFile(include_str!("health_words.txt"));
/// First names, of which each stands for a person if something is said of it.
const NAMES: &str = include_str!("names.txt");
/// Bytes before and after a term that are read as its clause.
const CLAUSE_BYTES: (usize, usize) = (140, 80);
/// Words before a term in which a person is looked for.
const PERSON_WORDS: usize = 9;

/// Bytes between two parts of one statement: "insulin for my diabetes".
const MAX_BETWEEN_BYTES: usize = 16;

/// Terms, statements and context words.
pub(super) struct HealthFinder {
    terms: HealthTerms,
    endings: Pattern,
    forms: Pattern,
    misspelt: Misspelt,
    medicine_context: Pattern,
    statements: Vec<Pattern>,
    no_conditions: Pattern,
    sieve: Sieve,
    context: Context,
}

/// The words around a term.
struct Context {
    person: Pattern,
    impersonal: Pattern,
    general: Pattern,
    weakly_general: Pattern,
    figurative_before: Pattern,
    figurative_after: Pattern,
    person_after: Pattern,
    patient_before: Pattern,
    patient_after: Pattern,
    stating_after: Pattern,
    professional: Pattern,
    injuries: Pattern,
    sayings: Pattern,
    named: Vec<Pattern>,
    names: HashSet<&'static str>,
}

impl HealthFinder {
    pub fn new() -> Result<Self, ModelError> {
        let terms = HealthTerms::new();
        let endings = WORDS.pattern(r"\b(?:{medicine_endings}|{condition_endings})\b".into());
        let forms = WORDS.pattern(r"\b(?:{term_forms})\b".into());
        let medicine_context = WORDS.joined("medicine_context");
        let statements = WORDS.each("statements");
        let word = |heading: &str| WORDS.pattern(format!(r"\b(?:{{{heading}}})\b"));
        Ok(Self {
            sieve: Sieve::new(
                [&endings, &forms, &medicine_context].into_iter().chain(&statements),
                &terms.words,
            )?,
            misspelt: Misspelt::new(&terms, WORDS.joined("not_misspelt")),
            medicine_context,
            terms,
            endings,
            forms,
            statements,
            no_conditions: WORDS.joined("not_conditions"),
            context: Context {
                person: word("person"),
                impersonal: word("impersonal"),
                general: word("general"),
                weakly_general: word("weakly_general"),
                figurative_before: WORDS.joined("figurative_before"),
                figurative_after: WORDS.joined("figurative_after"),
                person_after: WORDS.joined("person_after"),
                patient_before: WORDS.joined("patient_before"),
                patient_after: WORDS.joined("patient_after"),
                stating_after: WORDS.joined("stating_after"),
                professional: word("professional"),
                injuries: WORDS.joined("injuries"),
                sayings: WORDS.joined("sayings"),
                named: WORDS.each("named"),
                names: NAMES.split_whitespace().collect(),
            },
        })
    }

    /// Returns the statements about somebody's health in a folded text, in no order; they may overlap.
    pub fn find(&self, text: &str, level: Redaction) -> Vec<Range<usize>> {
        let (mut terms, candidates) = self.terms_and_candidates(text);
        let mut candidates = candidates.into_iter();
        if candidates.next() == Some(true) {
            let words = self.endings.find_iter(text);
            let words = words.filter(|word| !self.no_conditions.is_match(word.as_str()));
            terms.extend(words.map(|word| word.range()));
        }
        if candidates.next() == Some(true) {
            terms.extend(self.forms.find_iter(text).map(|form| form.range()));
        }
        if candidates.next() == Some(true) && self.medicine_context.is_match(text) {
            terms.extend(self.misspelt.find(text));
        }
        if let Some(respelled) = respelled(text) {
            terms.extend(self.terms(&respelled));
        }
        if level == Redaction::Balanced {
            terms.retain(|term| self.context.is_about_somebody(text, term));
        }
        let mut found = terms;
        let statements = self.statements.iter().zip(candidates).filter(|(_, is_candidate)| *is_candidate);
        for groups in statements.flat_map(|(statement, _)| statement.captures_iter(text)) {
            let Some(it) = groups.name("it") else { continue };
            if !self.context.is_figurative(text, &it.range()) {
                found.push(it.range());
            }
        }
        joined(text, found)
    }

    /// Returns the health terms of a folded text, whomever they concern, each a whole word or more.
    pub fn terms(&self, text: &str) -> Vec<Range<usize>> {
        self.terms_and_candidates(text).0
    }

    fn terms_and_candidates(&self, text: &str) -> (Vec<Range<usize>>, Vec<bool>) {
        let mut terms = Vec::new();
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        let candidates = self.sieve.candidates(text, digits, |term, at| {
            terms.extend(self.terms.words_at(term, at, text));
        });
        (terms, candidates)
    }
}

impl Context {
    fn is_about_somebody(&self, text: &str, term: &Range<usize>) -> bool {
        if self.is_figurative(text, term) {
            return false;
        }
        let (before, after) = clause(text, term);
        let window = last_words(before, PERSON_WORDS);
        if self.professional.is_match(before) || self.professional.is_match(after) {
            return false;
        }
        let last = |pattern: &Pattern| pattern.find_iter(window).last().map(|word| word.start());
        let (person, nobody) = (last(&self.person), last(&self.impersonal));
        if person.is_some() && person >= nobody {
            return true;
        }
        if self.person_after.is_match(after) || self.is_named(before) {
            return true;
        }
        // Who complains, and says so, or begins with an illness, speaks of themself.
        let is_of_somebody = self.person.is_match(text);
        let has_either = |pattern: &Pattern| pattern.is_match(before) || pattern.is_match(after);
        let is_general = self.general.is_match(before) || self.impersonal.is_match(first_words(after, 4));
        let is_stated = !is_of_somebody && (self.stating_after.is_match(after) || is_question(text, term));
        let begins = before.split_whitespace().count() <= 2;
        let for_somebody = usize::from(is_of_somebody)
            + usize::from(begins)
            + usize::from(begins && after.starts_with([',', '+']))
            + 2 * usize::from(self.patient_before.is_match(before))
            + usize::from(self.patient_after.is_match(after));
        let for_nobody = 2 * usize::from(is_general)
            + usize::from(has_either(&self.weakly_general))
            + 2 * usize::from(is_stated);
        for_somebody > for_nobody
    }

    fn is_figurative(&self, text: &str, term: &Range<usize>) -> bool {
        let (before, after) = clause(text, term);
        let it = text.get(term.clone()).unwrap_or_default();
        let is_saying = self.figurative_before.is_match(before) || self.figurative_after.is_match(after);
        (is_saying && !self.injuries.is_match(it)) || self.sayings.is_match(it)
    }

    /// Whether the words before a term name a person.
    fn is_named(&self, before: &str) -> bool {
        self.named.iter().any(|named| {
            let mut from = 0;
            while let Some(name) = named.find_at(before, from) {
                let first =
                    name.as_str().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
                if self.names.contains(first.to_ascii_lowercase().as_str()) {
                    return true;
                }
                from = name.start() + first.len().max(1);
            }
            false
        })
    }
}

/// Returns statements of which those with few bytes between them in a sentence are one.
fn joined(text: &str, mut found: Vec<Range<usize>>) -> Vec<Range<usize>> {
    found.sort_unstable_by_key(|it| it.start);
    let mut joined: Vec<Range<usize>> = Vec::new();
    for it in found {
        let last = joined.last_mut().filter(|last| {
            let between = text.get(last.end..it.start).unwrap_or_default();
            it.start <= last.end
                || (between.len() <= MAX_BETWEEN_BYTES && !between.contains(['.', '!', '?', ';', '\n']))
        });
        match last {
            Some(last) => last.end = last.end.max(it.end),
            None => joined.push(it),
        }
    }
    joined
}

/// Whether the sentence of a term is a question.
fn is_question(text: &str, term: &Range<usize>) -> bool {
    let rest = text.get(term.end..).unwrap_or_default();
    rest.find(['.', '!', '?', '\n'])
        .is_some_and(|end| rest.get(end..).is_some_and(|rest| rest.starts_with('?')))
}

/// Returns the parts of a term's clause before and after it.
fn clause<'a>(text: &'a str, term: &Range<usize>) -> (&'a str, &'a str) {
    let from = text.floor_char_boundary(term.start.saturating_sub(CLAUSE_BYTES.0));
    let to = text.floor_char_boundary((term.end + CLAUSE_BYTES.1).min(text.len()));
    let before = text.get(from..term.start).unwrap_or_default();
    let after = text.get(term.end..to).unwrap_or_default();
    let ends = |(at, c): (usize, char), text: &str| {
        let next = text.get(at + 1..).and_then(|rest| rest.chars().next());
        matches!(c, '.' | '!' | '?' | ';') && next.is_none_or(char::is_whitespace) || c == '\n'
    };
    let start = before.char_indices().rfind(|at| ends(*at, before)).map_or(0, |(at, _)| at + 1);
    let end = after.char_indices().find(|at| ends(*at, after)).map_or(after.len(), |(at, _)| at);
    (before.get(start..).unwrap_or_default(), after.get(..end).unwrap_or_default())
}

fn first_words(text: &str, words: usize) -> &str {
    let end = text.trim_start().match_indices(' ').nth(words).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or(text)
}

fn last_words(text: &str, words: usize) -> &str {
    let start = text.trim_end().rmatch_indices(' ').nth(words - 1).map_or(0, |(at, _)| at);
    text.get(start..).unwrap_or_default()
}

/// Returns the text with letters for the digits and signs that people write in their place (`c@ncer`, `ch3mo`), byte for
/// byte; `None` if there are none.
fn respelled(text: &str) -> Option<String> {
    let is_letter =
        |at: Option<usize>| at.and_then(|at| text.as_bytes().get(at)).is_some_and(u8::is_ascii_alphabetic);
    let mut respelled: Option<Vec<u8>> = None;
    for (at, byte) in text.bytes().enumerate() {
        let letter = match byte {
            b'@' | b'4' => b'a',
            b'3' => b'e',
            b'1' | b'!' | b'|' => b'i',
            b'0' => b'o',
            b'$' | b'5' => b's',
            b'7' => b't',
            _ => continue,
        };
        if is_letter(at.checked_sub(1))
            && is_letter(Some(at + 1))
            && let Some(byte) = respelled.get_or_insert_with(|| text.as_bytes().to_vec()).get_mut(at)
        {
            *byte = letter;
        }
    }
    respelled.and_then(|bytes| String::from_utf8(bytes).ok())
}
