//! Kinds and spans of personal data, and the text without them.

use std::ops::Range;

/// Number of bytes of a text that are scanned. The rest of the text is never stored or shown.
pub const MAX_SCANNED_BYTES: usize = 4096;

/// The kind of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PersonalKind {
    /// An e-mail address.
    Email,
    /// A social security number, or its last digits.
    SocialSecurity,
    /// A payment card number.
    Card,
    /// A date of birth.
    Birth,
    /// A postal address.
    Address,
    /// A number that identifies a person to a company or an authority, such as a policy number.
    Number,
    /// A telephone number.
    Phone,
    /// A person's condition, treatment, test or medicine.
    Health,
}

impl PersonalKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Email,
        Self::SocialSecurity,
        Self::Card,
        Self::Birth,
        Self::Address,
        Self::Number,
        Self::Phone,
        Self::Health,
    ];

    /// Returns the text that replaces a span of this kind.
    #[must_use]
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Email => "[e-mail]",
            Self::SocialSecurity => "[social security]",
            Self::Card => "[card]",
            Self::Birth => "[birth date]",
            Self::Address => "[address]",
            Self::Number => "[number]",
            Self::Phone => "[phone]",
            Self::Health => "[health]",
        }
    }
}

/// A span of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PersonalSpan {
    /// Start in the text, in bytes.
    pub start: usize,
    /// End in the text, in bytes, exclusive.
    pub end: usize,
    /// The kind of data.
    pub kind: PersonalKind,
}

/// Found spans of one text, in no order and without overlaps.
#[derive(Default)]
pub(super) struct Spans(pub Vec<PersonalSpan>);

impl Spans {
    /// Adds a span. What overlaps one that was found before widens that one, so that no part of either is shown.
    pub fn add(&mut self, range: Range<usize>, kind: PersonalKind) {
        let mut span = PersonalSpan { start: range.start, end: range.end, kind };
        while let Some(at) = self.0.iter().position(|other| other.start < span.end && span.start < other.end)
        {
            let other = self.0.swap_remove(at);
            span = PersonalSpan {
                start: other.start.min(span.start),
                end: other.end.max(span.end),
                kind: other.kind,
            };
        }
        self.0.push(span);
    }

    pub fn sorted(mut self) -> Vec<PersonalSpan> {
        self.0.sort_unstable_by_key(|span| span.start);
        self.0
    }
}

/// Returns the part of a text that is looked at.
pub(super) fn scanned_part(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_SCANNED_BYTES)).unwrap_or_default()
}

/// Returns the scanned part of a text with the found spans replaced by their placeholders.
#[must_use]
pub fn redacted(text: &str, found: &[PersonalSpan]) -> String {
    let text = scanned_part(text);
    let (mut redacted, mut at) = (String::with_capacity(text.len()), 0);
    for PersonalSpan { start, end, kind } in found {
        redacted.push_str(text.get(at..*start).unwrap_or_default());
        redacted.push_str(kind.placeholder());
        at = *end;
    }
    redacted.push_str(text.get(at..).unwrap_or_default());
    redacted
}
