//! Personal data in a text, with the place it stands at: what names a person, and what is said of somebody's health.
//!
//! Numbers and addresses are told by their form or by the word before them; a condition, a treatment or a medicine is
//! personal when a person is named in the same breath. Public handles are none.

use std::sync::LazyLock;

use regex::Regex;

use super::patterns::PatternFile;
use crate::ModelError;

/// The forms by kind.
const PATTERNS: PatternFile = PatternFile(include_str!("personal.txt"));
/// Bytes of a text that are looked at; what stands behind them is neither kept nor told.
pub const MAX_SCANNED_BYTES: usize = 4096;

/// What a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PersonalKind {
    /// An e-mail address.
    Email,
    /// A social security number, or the last digits of one.
    SocialSecurity,
    /// The number of a payment card.
    Card,
    /// When somebody was born.
    Birth,
    /// Where somebody lives.
    Address,
    /// A number that a company or an office knows somebody by.
    Number,
    /// A telephone number.
    Phone,
    /// Somebody's condition, treatment, test or medicine.
    Health,
}

impl PersonalKind {
    /// All kinds; of spans that overlap, the kind named first is kept.
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

    /// What is written in its place.
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

    /// The heading of its forms.
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

/// Personal data and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PersonalSpan {
    /// Where it starts, in bytes of the text.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// What it is.
    pub kind: PersonalKind,
}

/// Finds personal data.
pub struct PersonalDataDetector {
    patterns: Vec<(PersonalKind, Regex)>,
    any_number: Regex,
    impersonal: Regex,
    public: Regex,
    health: Regex,
}

impl PersonalDataDetector {
    /// What this build knows; it is made once, when it is first asked for.
    ///
    /// # Errors
    /// When a form is none, which is a fault of the build.
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

    /// All personal data in the first [`LOOKED_AT`] bytes of a text, in order of place, none overlapping.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<PersonalSpan> {
        self.find_kinds(text, |_| true)
    }

    /// What names a person, without what is said of health.
    #[must_use]
    pub fn identifiers(&self, text: &str) -> Vec<PersonalSpan> {
        self.find_kinds(text, |kind| kind != PersonalKind::Health)
    }

    fn find_kinds(&self, text: &str, wanted: impl Fn(PersonalKind) -> bool) -> Vec<PersonalSpan> {
        let text = scanned_part(text);
        // Most posts hold no digit but in links and handles, and no word of health.
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

/// Digits of a text, but for those of handles, hashtags and links, which are full of them and name nobody.
pub(super) fn digits(text: &str) -> usize {
    let is_tag =
        |word: &str| word.strip_prefix('#').is_some_and(|tag| !tag.starts_with(|c: char| c.is_ascii_digit()));
    let is_public = |word: &&str| word.starts_with('@') || is_tag(word) || word.starts_with("http");
    let words = text.split(' ').filter(|word| !is_public(word));
    words.map(|word| word.bytes().filter(u8::is_ascii_digit).count()).sum()
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
        // What is none may hold the beginning of one.
        from = if new { it.end() } else { text.ceil_char_boundary(whole.start() + 1) };
    }
}

/// A text, as far as it is looked at, with spans that were found in it replaced by what they are.
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

/// Adds a span if nothing else is there; whether it was added.
fn add_if_free(span: PersonalSpan, found: &mut Vec<PersonalSpan>) -> bool {
    let free = found.iter().all(|f| f.end <= span.start || span.end <= f.start);
    if free {
        found.push(span);
    }
    free
}

/// Whether a word is one that somebody is known by wherever it stands: of many digits, of letters and several digits, or of
/// the kind of bookings.
fn is_code(word: &str) -> bool {
    let count = |is: fn(&u8) -> bool| word.bytes().filter(is).count();
    let (digits, letters) = (count(u8::is_ascii_digit), count(u8::is_ascii_alphabetic));
    let booking = letters >= 2 && digits >= 2 && word.len() >= 6 && count(u8::is_ascii_lowercase) == 0;
    digits >= 6 || (digits >= 4 && (letters > 0 && word.len() >= 6 || word.starts_with('#'))) || booking
}

/// Whether what has the form of a kind is of it.
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

/// Lines that a company pays for are no person's.
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

/// The check of ISO/IEC 7812-1.
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
