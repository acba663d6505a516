//! Finds personal data in a text, with its position: identifiers of a person, and statements about a person's
//! health.
//!
//! Numbers and addresses are recognised by their format or by the word before them, on a folded text. A condition,
//! treatment or medicine is personal if the words around it refer to a person. Public handles are not personal data.

mod address;
mod checks;
mod gates;
mod health;
mod misspelt;
mod spans;

use std::ops::Range;
use std::sync::LazyLock;

use firewatch_domain::Redaction;

use self::address::AddressParts;
use self::checks::Checks;
pub(in crate::text) use self::gates::digits;
use self::gates::{Gates, MIN_CODE_DIGITS, digit_groups, hides_numbers, is_code_like};
use self::health::HealthFinder;
pub use self::spans::{MAX_SCANNED_BYTES, PersonalKind, PersonalSpan, redacted};
use self::spans::{Spans, scanned_part};
use super::folded::Folded;
use super::patterns::{Pattern, PatternFile};
use super::sieve::Sieve;
use crate::ModelError;

/// The patterns by kind.
const PATTERNS: PatternFile = PatternFile(include_str!("identifiers.txt"));
/// Compiled patterns for personal data.
pub struct PersonalDataDetector {
    patterns: Vec<(Form, Pattern)>,
    sieve: Sieve,
    gates: Gates,
    any_number: Pattern,
    postal_code: Pattern,
    check: Checks,
    address_parts: AddressParts,
    public: Pattern,
    health: HealthFinder,
}

/// A way to write personal data: the heading of its patterns and its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Form {
    heading: &'static str,
    kind: PersonalKind,
}

const fn form(heading: &'static str, kind: PersonalKind) -> Form {
    Form { heading, kind }
}

/// The forms, in order of precedence.
const FORMS: [Form; 13] = [
    form("link_value", PersonalKind::Number),
    form("email", PersonalKind::Email),
    form("bank", PersonalKind::Number),
    form("social_security", PersonalKind::SocialSecurity),
    form("card", PersonalKind::Card),
    form("birth", PersonalKind::Birth),
    form("postal_address", PersonalKind::Address),
    form("address", PersonalKind::Address),
    form("home_address", PersonalKind::Address),
    form("number", PersonalKind::Number),
    form("phone", PersonalKind::Phone),
    form("spoken_phone", PersonalKind::Phone),
    form("form", PersonalKind::Number),
];
/// Fewest digits of an identifier.
const MIN_DIGITS: usize = 2;

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
        let of_form =
            |form: Form| PATTERNS.each(form.heading).into_iter().map(move |pattern| (form, pattern));
        let patterns: Vec<_> = FORMS.into_iter().flat_map(of_form).collect();
        Ok(Self {
            sieve: Sieve::new(patterns.iter().map(|(_, pattern)| pattern), &[])?,
            gates: Gates::new(),
            patterns,
            any_number: PATTERNS.joined("any_number"),
            postal_code: PATTERNS.joined("postal_code"),
            check: Checks::new(PATTERNS),
            address_parts: AddressParts::new(PATTERNS),
            public: PATTERNS.joined("public"),
            health: HealthFinder::new()?,
        })
    }

    /// Returns all personal data in the first [`MAX_SCANNED_BYTES`] bytes of a text, in order of position and
    /// without overlaps.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<PersonalSpan> {
        self.find_at(text, Redaction::Balanced)
    }

    /// Returns what [`find`](Self::find) returns, at a level.
    #[must_use]
    pub fn find_at(&self, text: &str, level: Redaction) -> Vec<PersonalSpan> {
        let folded = Folded::new(scanned_part(text));
        let identifiers = self.identifiers_in(&folded, text, level);
        self.with_health(&folded, identifiers, level)
    }

    /// Returns what [`find`](Self::find) returns, without health data.
    #[must_use]
    pub fn identifiers(&self, text: &str) -> Vec<PersonalSpan> {
        self.identifiers_in(&Folded::new(scanned_part(text)), text, Redaction::Balanced)
    }

    /// Returns what [`find_at`](Self::find_at) returns. `identifiers` are those of the text if
    /// [`identifiers`](Self::identifiers) found them before.
    #[must_use]
    pub fn find_beside(
        &self,
        text: &str,
        identifiers: Option<Vec<PersonalSpan>>,
        level: Redaction,
    ) -> Vec<PersonalSpan> {
        match (identifiers, level) {
            (Some(identifiers), Redaction::Balanced) => {
                self.with_health(&Folded::new(scanned_part(text)), identifiers, level)
            }
            _ => self.find_at(text, level),
        }
    }

    fn with_health(
        &self,
        folded: &Folded,
        identifiers: Vec<PersonalSpan>,
        level: Redaction,
    ) -> Vec<PersonalSpan> {
        let mut found = Spans(identifiers);
        for statement in self.health.find(&folded.text, level) {
            found.add(folded.original(statement), PersonalKind::Health);
        }
        found.sorted()
    }

    fn identifiers_in(&self, folded: &Folded, text: &str, level: Redaction) -> Vec<PersonalSpan> {
        let mut found = Spans::default();
        self.find_identifiers(&folded.text, level, &mut found);
        if level == Redaction::Strict || hides_numbers(scanned_part(text)) {
            for group in digit_groups(&folded.text) {
                found.add(group, PersonalKind::Number);
            }
        }
        if !found.0.is_empty() {
            self.keep_public(&folded.text, &mut found);
        }
        for span in &mut found.0 {
            let Range { start, end } = folded.original(span.start..span.end);
            (span.start, span.end) = (start, end);
        }
        found.sorted()
    }

    /// Returns the health terms of a folded text, whomever they concern.
    pub(in crate::text) fn health_terms(&self, folded: &str) -> Vec<Range<usize>> {
        self.health.terms(folded)
    }

    fn find_identifiers(&self, text: &str, level: Redaction, found: &mut Spans) {
        // A cheap look first: few posts have digits outside links and handles, or a sign of an e-mail address.
        let digits = digits(text);
        let hints = self.gates.hints(text, digits);
        let is_numbered = digits >= MIN_DIGITS || text.contains('=') || hints.spelt_numbers || hints.seed;
        if !is_numbered && !hints.email {
            return;
        }
        let has_code = digits >= MIN_CODE_DIGITS || text.split_whitespace().any(is_code_like);
        let mut candidates = self.sieve.candidates(text, digits, |_, _| {});
        for ((form, _), is_candidate) in self.patterns.iter().zip(&mut candidates) {
            *is_candidate &= match (form.kind, form.heading) {
                (PersonalKind::Email, _) => hints.email,
                // Those that cost much look for their main part first.
                (_, "postal_address") => is_numbered && *is_candidate && self.postal_code.is_match(text),
                (_, "number") => has_code,
                (_, "spoken_phone") => hints.spelt_numbers,
                (_, "link_value") => text.contains('='),
                _ => is_numbered,
            };
        }
        self.sieve.retain_matching(text, &mut candidates);
        for ((form, pattern), is_candidate) in self.patterns.iter().zip(candidates) {
            if is_candidate && pattern.is_match(text) {
                self.find_pattern(text, *form, pattern, level, found);
            }
        }
        if !has_code {
            return;
        }
        for number in self.any_number.find_iter(text) {
            if self.check.is_code(text, &number.range()) {
                found.add(number.range(), PersonalKind::Number);
            }
        }
    }

    fn find_pattern(&self, text: &str, form: Form, pattern: &Pattern, level: Redaction, found: &mut Spans) {
        let mut from = 0;
        while let Some(groups) = pattern.captures_at(text, from) {
            let Some(whole) = groups.get(0) else { return };
            let mut it = groups.iter().skip(1).flatten().next().unwrap_or(whole).range();
            if let Some(card) =
                (form.kind == PersonalKind::Card).then(|| checks::card_in(text, &it)).flatten()
            {
                it = card;
            }
            let is_personal = self.check.is_personal(form, text, &it, level);
            // A rejected match may contain the start of a real one.
            from = if is_personal || form.kind == PersonalKind::Email {
                it.end.max(from + 1)
            } else {
                text.ceil_char_boundary(whole.start() + 1)
            };
            if is_personal {
                if form.kind == PersonalKind::Address {
                    it = self.address_parts.grown(text, it);
                    from = it.end.max(from);
                }
                found.add(it, form.kind);
            }
        }
    }

    /// Drops what lies in public handles, hashtags and links, but for values that a link leaks.
    fn keep_public(&self, text: &str, found: &mut Spans) {
        let public: Vec<_> = self.public.find_iter(text).map(|public| public.range()).collect();
        found.0.retain(|span| {
            let before = text.get(..span.start).unwrap_or_default();
            span.kind == PersonalKind::Email
                || before.ends_with('=')
                || !public.iter().any(|public| public.start <= span.start && span.end <= public.end)
        });
    }
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
    fn what_people_write_otherwise_is_found() {
        for (text, hidden) in [
            ("my social is 123 45 6789", "my social is [social security]"),
            ("my ssn is 123\u{2014}45\u{2014}6789", "my ssn is [social security]"),
            ("call 415\u{b7}555\u{b7}0132 or 415 \u{2013} 555 \u{2013} 0132", "call [phone] or [phone]"),
            ("call \u{ff14}\u{ff11}\u{ff15}-555-0132", "call [phone]"),
            ("415\u{200b}555\u{200b}0132", "[phone]"),
            ("Medicare MBI 1EG4 TE5 MK73", "Medicare [number]"),
            ("DOB: 12/04/'87", "DOB: [birth date]"),
            ("write jo.doe AT example DOT org", "write [e-mail]"),
            ("m\u{fc}ller@ex\u{e4}mple.de", "[e-mail]"),
            ("cvv 123", "cvv [card]"),
            ("Jane Doe has hep C", "Jane Doe has [health]"),
            ("Tom Baker's HIV meds are late", "Tom Baker's [health] are late"),
            ("my c@ncer meds", "my [health] meds"),
            ("I'm 14 weeks preggo", "I'm [health]"),
            ("fecha de nacimiento: 12/04/2015", "fecha de nacimiento: [birth date]"),
            ("mi hijo tiene c\u{e1}ncer", "mi hijo tiene [health]"),
            ("Hauptstra\u{df}e 12, 10115 Berlin", "[address]"),
            ("https://a.example/claim?member=W123456789&x=1", "https://a.example/claim?member=[number]&x=1"),
        ] {
            assert_eq!(redacted(text), hidden);
        }
    }

    #[test]
    fn strict_hides_what_may_be_nobodys() {
        let detector = PersonalDataDetector::shipped().unwrap();
        let strict = |text: &str| super::redacted(text, &detector.find_at(text, Redaction::Strict));
        assert_eq!(strict("model 48213, insulin costs too much"), "model [number], [health] costs too much");
        assert_eq!(strict("write to care@aldermere.example"), "write to [e-mail]");
        assert_eq!(redacted("\u{441}\u{447}\u{451}\u{442} 123456, \u{43d}\u{435} \u{440}\u{430}\u{431}\u{43e}\u{442}\u{430}\u{435}\u{442} \u{43f}\u{440}\u{438}\u{43b}\u{43e}\u{436}\u{435}\u{43d}\u{438}\u{435} 4821").matches("[number]").count(), 2);
    }

    #[test]
    fn a_first_look_lets_pass_what_has_few_digits_or_signs() {
        for (text, hidden) in [
            ("case #INC2047137, four agents", "case [number], four agents"),
            ("after update #ios1103 it crashes", "after update #ios1103 it crashes"),
            ("seat us together, ConF# ILC0HP", "seat us together, ConF# [number]"),
            ("so here: beth[at]example[.]com", "so here: [e-mail]"),
            ("look me up: margot_99@live . nl", "look me up: [e-mail]"),
            ("write to jo99@mail. com please", "write to [e-mail] please"),
            ("thanks @delta, comes late. Bye", "thanks @delta, comes late. Bye"),
        ] {
            assert_eq!(redacted(text), hidden);
        }
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
            "your portal is down again and I can't see my results, I can't hear you",
            "this queue gives me a stroke, your hold music is cancer, a stroke of luck that I'm not allergic to waiting",
            "Why does insulin cost $300 a month when it costs pennies to make? Does the plan cover it?",
            "ISBN 978-0-306-40615-7, FDA recall F-0412-2026, router 10.0.0.1, text HOME to 741741, flight UA 2417",
            "write to care@aldermere.example, or to the office at 500 Main Street",
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
