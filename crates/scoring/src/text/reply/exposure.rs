//! Finds personal data of the author in a public reply. A brand may give its own addresses and numbers, and may
//! write about illness in general.

use std::ops::Range;

use super::folded::{FoldedText, mark_terms};
use crate::ModelError;
use crate::text::patterns::{Pattern, PatternFile};
use crate::text::{PersonalDataDetector, PersonalKind, PersonalSpan};

const PATTERNS: PatternFile = PatternFile(include_str!("exposure.txt"));

/// Bytes of the text before a span that can show whose it is.
const MAX_CONTEXT_BYTES: usize = 160;

/// Compiled patterns for personal data in replies.
pub(super) struct Exposure {
    brand_contact: Pattern,
    author_contact: Pattern,
    author_contact_after: Pattern,
    toll_free: Pattern,
    person_email: Pattern,
    brand_place: Pattern,
    role: Pattern,
    form_name: Pattern,
    about_author: Pattern,
    own_condition: Vec<Pattern>,
    requested: Pattern,
    general_care: Pattern,
    spelt: Vec<Pattern>,
    /// What finds personal data of any kind.
    pub personal: &'static PersonalDataDetector,
}

/// Personal data of the author.
pub(super) struct Exposed {
    /// The place in the original text.
    pub range: Range<usize>,
    /// It names care in general, such as "surgery".
    pub general: bool,
}

impl Exposure {
    /// Compiles the patterns.
    pub fn new() -> Result<Self, ModelError> {
        Ok(Self {
            brand_contact: PATTERNS.joined("brand_contact"),
            author_contact: PATTERNS.joined("author_contact"),
            author_contact_after: PATTERNS.joined("author_contact_after"),
            toll_free: PATTERNS.joined("toll_free"),
            person_email: PATTERNS.joined("person_email"),
            brand_place: PATTERNS.joined("brand_place"),
            role: PATTERNS.joined("role"),
            form_name: PATTERNS.joined("form_name"),
            about_author: PATTERNS.joined("about_author"),
            own_condition: PATTERNS.each("own_condition"),
            requested: PATTERNS.joined("requested"),
            general_care: PATTERNS.joined("general_care"),
            spelt: PATTERNS.each("spelt"),
            personal: PersonalDataDetector::shipped()?,
        })
    }

    /// Returns the personal data of the author. `asserted` is the folded text without conditions and
    /// intentions.
    pub fn find(&self, original: &str, folded: &FoldedText, asserted: &str) -> Vec<Exposed> {
        let spans = self.personal.find(original).into_iter();
        let mut found: Vec<Range<usize>> =
            spans.filter(|span| self.is_authors(original, *span)).map(|span| span.start..span.end).collect();
        let marked = mark_terms(asserted, 0, &folded.terms);
        let conditions = self.own_condition.iter().map(|form| (form, marked.as_str()));
        let identifiers = self.spelt.iter().map(|form| (form, folded.text.as_str()));
        for (form, text) in conditions.chain(identifiers) {
            let objects =
                form.captures_iter(text).filter_map(|groups| groups.name("it")).map(|it| it.range());
            let objects = objects
                .filter(|it| !self.general_care.is_match(folded.text.get(it.clone()).unwrap_or_default()));
            for range in objects.map(|it| folded.origin(&it)) {
                if found.iter().all(|f| f.end <= range.start || range.end <= f.start) {
                    found.push(range);
                }
            }
        }
        let is_general = |range: &Range<usize>| {
            let words = original.get(range.clone()).unwrap_or_default();
            self.general_care.is_match(&FoldedText::new(words).text)
        };
        found.into_iter().map(|range| Exposed { general: is_general(&range), range }).collect()
    }

    /// Returns whether a text gives an e-mail address or a telephone number of the brand's.
    pub fn gives_contact(&self, original: &str) -> bool {
        let contact = |span: &PersonalSpan| matches!(span.kind, PersonalKind::Email | PersonalKind::Phone);
        let spans = self.personal.find(original).into_iter();
        spans.filter(contact).any(|span| !self.is_authors(original, span))
    }

    fn is_authors(&self, original: &str, span: PersonalSpan) -> bool {
        let from = original.ceil_char_boundary(span.start.saturating_sub(MAX_CONTEXT_BYTES));
        let before = FoldedText::new(original.get(from..span.start).unwrap_or_default()).text;
        let it = FoldedText::new(original.get(span.start..span.end).unwrap_or_default()).text;
        match span.kind {
            PersonalKind::Email if self.role.is_match(&it) => false,
            PersonalKind::Phone | PersonalKind::Number | PersonalKind::SocialSecurity
                if self.toll_free.is_match(&it) =>
            {
                false
            }
            PersonalKind::Email | PersonalKind::Phone => {
                let to = original.floor_char_boundary(span.end.saturating_add(MAX_CONTEXT_BYTES));
                let after = FoldedText::new(original.get(span.end..to).unwrap_or_default()).text;
                let names_person = span.kind == PersonalKind::Phone || self.person_email.is_match(&it);
                self.author_contact.is_match(&before)
                    || self.author_contact_after.is_match(&after)
                    || (names_person && !self.brand_contact.is_match(&before))
            }
            PersonalKind::Address => !self.brand_place.is_match(&before),
            PersonalKind::Number => !self.form_name.is_match(&it),
            PersonalKind::Health => self.about_author.is_match(&before) && !self.requested.is_match(&before),
            _ => true,
        }
    }
}
