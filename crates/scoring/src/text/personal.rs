//! Finds personal data in a text, with its position: identifiers of a person, and statements about a person's
//! health.
//!
//! Numbers and addresses are recognised by their format or by the word before them. A condition, treatment or
//! medicine is personal if the words around it refer to a person. Public handles are not personal data.

use std::sync::LazyLock;

use regex::Regex;

use super::patterns::PatternFile;
use crate::ModelError;

/// The patterns by kind.
const PATTERNS: PatternFile = PatternFile(include_str!("personal.txt"));
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
    /// All kinds, in order of precedence: of overlapping spans the first kind is kept.
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

    /// Returns the heading of this kind's patterns in `personal.txt`.
    fn heading(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::SocialSecurity => "social_security",
            Self::Card => "card",
            Self::Birth => "birth",
            Self::Address => "address",
            Self::Number => "number",
            Self::Phone => "phone",
            Self::Health => "health",
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

/// Compiled patterns for personal data.
pub struct PersonalDataDetector {
    patterns: Vec<(PersonalKind, Regex)>,
    any_number: Regex,
    impersonal: Regex,
    public: Regex,
    health: Regex,
}

impl PersonalDataDetector {
    /// Returns the detector of this build. It is compiled once, on first use.
    ///
    /// # Errors
    /// If a pattern is not a valid regular expression, which is a bug.
    pub fn shipped() -> Result<&'static Self, ModelError> {
        static SHIPPED: LazyLock<Result<PersonalDataDetector, ModelError>> =
            LazyLock::new(PersonalDataDetector::new);
        SHIPPED.as_ref().map_err(Clone::clone)
    }

    fn new() -> Result<Self, ModelError> {
        let mut forms = Vec::new();
        for kind in PersonalKind::ALL {
            forms.extend(PATTERNS.compile_each(kind.heading())?.into_iter().map(|form| (kind, form)));
        }
        Ok(Self {
            patterns: forms,
            any_number: PATTERNS.compile_joined("any_number")?,
            impersonal: PATTERNS.compile_joined("nobodys")?,
            public: PATTERNS.compile_joined("public")?,
            health: PATTERNS.compile_joined("of_health")?,
        })
    }

    /// Returns all personal data in the first [`MAX_SCANNED_BYTES`] bytes of a text, in order of position and
    /// without overlaps.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<PersonalSpan> {
        self.find_kinds(text, |_| true)
    }

    /// Returns what [`find`](Self::find) returns, without health data.
    #[must_use]
    pub fn identifiers(&self, text: &str) -> Vec<PersonalSpan> {
        self.find_kinds(text, |kind| kind != PersonalKind::Health)
    }

    fn find_kinds(&self, text: &str, wanted: impl Fn(PersonalKind) -> bool) -> Vec<PersonalSpan> {
        let text = scanned_part(text);
        // A cheap test first: most posts have no digits outside links and handles, and no health terms.
        let (numbered, of_health) = (digits(text) > 0, self.health.is_match(text));
        let may_be = |kind: PersonalKind| match kind {
            PersonalKind::Email => true,
            PersonalKind::Health => of_health,
            _ => numbered,
        };
        let mut found: Vec<PersonalSpan> = Vec::new();
        for (kind, form) in self.patterns.iter().filter(|(kind, _)| wanted(*kind) && may_be(*kind)) {
            find_pattern(text, *kind, form, &mut found);
        }
        for found_number in self.any_number.find_iter(text) {
            let kind = PersonalKind::Number;
            let before = text.get(..found_number.start()).unwrap_or_default();
            let is_identifier =
                is_code(found_number.as_str()) && !self.impersonal.is_match(found_number.as_str());
            if is_identifier && is_personal(kind, found_number.as_str(), before) {
                add_if_free(
                    PersonalSpan { start: found_number.start(), end: found_number.end(), kind },
                    &mut found,
                );
            }
        }
        let public: Vec<_> = self.public.find_iter(text).map(|p| p.range()).collect();
        found.retain(|f| {
            f.kind == PersonalKind::Email || public.iter().all(|p| f.end <= p.start || p.end <= f.start)
        });
        found.sort_unstable_by_key(|f| f.start);
        found
    }
}

/// Counts the digits of a text outside handles, hashtags and links, whose digits identify nobody.
pub(super) fn digits(text: &str) -> usize {
    let words = text.split_whitespace().filter(|word| !word.starts_with("http")).map(behind_tag);
    words.map(|word| word.bytes().filter(u8::is_ascii_digit).count()).sum()
}

/// Returns what follows the handle or hashtag with which a word begins.
fn behind_tag(word: &str) -> &str {
    let is_number = |tag: &str| tag.starts_with(|c: char| c.is_ascii_digit());
    let tag = word.strip_prefix('@').or_else(|| word.strip_prefix('#').filter(|tag| !is_number(tag)));
    tag.map_or(word, |tag| tag.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'))
}

fn scanned_part(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_SCANNED_BYTES)).unwrap_or_default()
}

fn find_pattern(text: &str, kind: PersonalKind, form: &Regex, found: &mut Vec<PersonalSpan>) {
    let mut from = 0;
    while let Some(groups) = form.captures_at(text, from) {
        let (Some(whole), it) = (groups.get(0), groups.name("it")) else { return };
        let it = it.unwrap_or(whole);
        let before = text.get(..it.start()).unwrap_or_default();
        let new = is_personal(kind, it.as_str(), before)
            && add_if_free(PersonalSpan { start: it.start(), end: it.end(), kind }, found);
        // A rejected match may contain the start of a real one.
        from = if new { it.end() } else { text.ceil_char_boundary(whole.start() + 1) };
    }
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

/// Adds a span unless it overlaps one that was found before. Returns whether it was added.
fn add_if_free(span: PersonalSpan, found: &mut Vec<PersonalSpan>) -> bool {
    let free = found.iter().all(|f| f.end <= span.start || span.end <= f.start);
    if free {
        found.push(span);
    }
    free
}

/// Returns whether a word identifies a person in any context: it has six digits, or four digits with letters
/// or a leading `#`, or the format of a booking reference.
fn is_code(word: &str) -> bool {
    let count = |is: fn(&u8) -> bool| word.bytes().filter(is).count();
    let (digits, letters) = (count(u8::is_ascii_digit), count(u8::is_ascii_alphabetic));
    let booking = letters >= 2 && digits >= 2 && word.len() >= 6 && count(u8::is_ascii_lowercase) == 0;
    digits >= 6 || (digits >= 4 && (letters > 0 && word.len() >= 6 || word.starts_with('#'))) || booking
}

/// Returns whether a match of a kind's pattern passes the kind's further checks. `before` is the text before
/// it.
fn is_personal(kind: PersonalKind, it: &str, before: &str) -> bool {
    let digits: Vec<u8> = it.bytes().filter(u8::is_ascii_digit).map(|b| b - b'0').collect();
    match kind {
        PersonalKind::Card => (13..=19).contains(&digits.len()) && luhn(&digits),
        PersonalKind::Phone => {
            let local = digits.strip_prefix(&[1]).filter(|_| digits.len() == 11).unwrap_or(&digits);
            !is_toll_free(local) && !before.ends_with(['$', '€', '£', '-', '/', '.', ','])
        }
        PersonalKind::Number => {
            let year = digits.len() == 4 && it.len() == 4 && (it.starts_with("19") || it.starts_with("20"));
            let letters = it.bytes().filter(u8::is_ascii_alphabetic).count();
            let money = before.trim_end().ends_with(['$', '€', '£']);
            let long = digits.len() >= 4 || (digits.len() >= 2 && digits.len() + letters >= 6);
            long && !year && !money && !is_toll_free(digits.strip_prefix(&[1]).unwrap_or(&digits))
        }
        PersonalKind::Birth => !before.trim_end().ends_with("since"),
        _ => true,
    }
}

/// Returns whether a phone number is toll-free. Such numbers belong to companies, not to persons.
fn is_toll_free(digits: &[u8]) -> bool {
    let starts = |areas: &[[u8; 3]]| areas.iter().any(|area| digits.starts_with(area));
    match digits.len() {
        10 => {
            starts(&[[8, 0, 0], [8, 3, 3], [8, 4, 4], [8, 5, 5], [8, 6, 6], [8, 7, 7], [8, 8, 8]])
                || starts(&[[0, 8, 0], [0, 9, 0]])
        }
        9 | 11 => starts(&[[0, 8, 0], [0, 9, 0]]),
        _ => false,
    }
}

/// Returns whether a card number has a valid check digit (Luhn, ISO/IEC 7812-1).
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, d)| {
            let d = u32::from(*d) * if i % 2 == 1 { 2 } else { 1 };
            if d > 9 { d - 9 } else { d }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> String {
        super::redacted(text, &PersonalDataDetector::shipped().unwrap().find(text))
    }

    #[test]
    fn what_is_personal_is_replaced_by_what_it_is() {
        assert_eq!(
            redacted("dob 04/12/1987, policy no. 8834521907, call 415-555-0132 or mail jo@mail.example.org"),
            "dob [birth date], policy no. [number], call [phone] or mail [e-mail]"
        );
        assert_eq!(
            redacted("my wife's chemo is late, 2 hours on hold"),
            "my wife's [health] is late, 2 hours on hold"
        );
        assert_eq!(
            redacted("ssn 123-45-6789, card 4111 1111 1111 1111"),
            "ssn [social security], card [card]"
        );
    }

    #[test]
    fn digits_behind_a_mention_are_found() {
        for (text, hidden) in [
            ("@AldermereCare\n123-45-6789", "@AldermereCare\n[social security]"),
            ("@AldermereCare\nSSN:123-45-6789", "@AldermereCare\nSSN:[social security]"),
            ("@AldermereCare\n04/12/1987", "@AldermereCare\n[birth date]"),
            ("@AldermereCare,123-45-6789", "@AldermereCare,[social security]"),
            ("#claim:123-45-6789", "#claim:[social security]"),
            ("#fail\tcall 415-555-0132", "#fail\tcall [phone]"),
            ("https://t.co/a1b2\n123-45-6789", "https://t.co/a1b2\n[social security]"),
        ] {
            assert_eq!(redacted(text), hidden);
        }
    }

    #[test]
    fn what_is_nobodys_stays() {
        for text in [
            "",
            "Call 1-800-555-0132 or 0800 555 0132, open 24/7",
            "parcel of $18,442.17 since 2019, 2023-2024, 12/24",
            "cancer patients deserve better than 45 minutes of music",
            "@someone1234567 @115897 see https://t.co/a1b2c3d4e5f6 hi \u{1f62d}\u{1f62d}",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    #[test]
    fn all_spans_of_a_long_text_are_hidden_and_what_is_not_looked_at_is_left_out() {
        let text = format!("ssn 123-45-6789, {}", "mail jo\u{e9} jo@mail.example.org, ".repeat(1000));
        let hidden = redacted(&text);
        assert!(
            hidden.starts_with("ssn [social security], mail") && !hidden.contains("mail.example"),
            "{hidden}"
        );
        assert!(hidden.len() < MAX_SCANNED_BYTES + 64);
        let found = PersonalDataDetector::shipped().unwrap().find(&text);
        assert!(found.len() > 100 && found.windows(2).all(|pair| pair[0].end <= pair[1].start));
    }
}
