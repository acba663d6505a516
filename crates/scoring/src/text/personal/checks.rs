//! Checks of what a pattern found: check digits, numbers of companies, and words before and after it.

use std::ops::Range;

use firewatch_domain::Redaction;

use super::{Form, PersonalKind};
use crate::text::patterns::{Pattern, PatternFile};

/// Compiled patterns of what is not personal.
pub(super) struct Checks {
    shared_inbox: Pattern,
    no_name: Pattern,
    impersonal_label: Pattern,
    nobodys: Pattern,
    counted: Pattern,
    digit_word: Pattern,
    personal_label: Pattern,
    not_address: Pattern,
    company_word: Pattern,
    own_word: Pattern,
    numbered_street: Pattern,
    not_birth_before: Pattern,
    not_birth_after: Pattern,
    sample: Pattern,
}

impl Checks {
    pub fn new(patterns: PatternFile) -> Self {
        Self {
            shared_inbox: patterns.joined("shared_inbox"),
            no_name: patterns.joined("no_name"),
            impersonal_label: patterns.joined("impersonal_label"),
            nobodys: patterns.joined("nobodys"),
            counted: patterns.joined("counted"),
            digit_word: patterns.joined("digit_word"),
            personal_label: patterns.joined("personal_label"),
            not_address: patterns.joined("not_address"),
            company_word: patterns.joined("company_word"),
            own_word: patterns.joined("own_word"),
            numbered_street: patterns.joined("numbered_street"),
            not_birth_before: patterns.joined("not_birth_before"),
            not_birth_after: patterns.joined("not_birth_after"),
            sample: patterns.joined("sample"),
        }
    }

    /// Returns whether a match of a pattern is personal.
    pub fn is_personal(&self, form: Form, text: &str, it: &Range<usize>, level: Redaction) -> bool {
        let (before, it, after) = around(text, it);
        match form.kind {
            PersonalKind::Email => {
                let name = local_part(it);
                (it.contains('@') || !self.no_name.is_match(name))
                    && (level == Redaction::Strict || !self.shared_inbox.is_match(name))
            }
            PersonalKind::Card => self.is_card(before, &digits(it)),
            PersonalKind::Phone => self.is_phone(form, before, it),
            PersonalKind::Number => {
                ["link_value", "bank"].contains(&form.heading) || self.is_identifier(form, before, it, after)
            }
            PersonalKind::Birth => {
                let goes_on =
                    |text: &str| text.starts_with(['.', '-', '/']) && text[1..].starts_with(is_digit);
                let is_part =
                    before.strip_suffix(['.', '/', '-']).is_some_and(|rest| rest.ends_with(is_digit));
                !goes_on(after)
                    && !is_part
                    && !self.not_birth_after.is_match(after)
                    && !self.not_birth_before.is_match(last_bytes(before, 40))
            }
            PersonalKind::Address => self.is_address(form, before, it, level),
            PersonalKind::SocialSecurity => {
                !self.is_labelled_impersonal(before)
                    && !before.ends_with(['.', '$'])
                    && !self.sample.is_match(after)
            }
            PersonalKind::Health => true,
        }
    }

    fn is_card(&self, before: &str, digits: &[u8]) -> bool {
        let is_whole =
            (13..=19).contains(&digits.len()) && luhn(digits) && digits.iter().any(|digit| *digit > 0);
        // Fewer are its code or its last digits, which the words around say.
        digits.len() <= 4
            || (is_whole && !self.is_labelled_impersonal(before) && !before.ends_with(['-', '.']))
    }

    fn is_phone(&self, form: Form, before: &str, it: &str) -> bool {
        let digits = digits(it);
        let local = digits.strip_prefix(&[1]).filter(|_| digits.len() == 11).unwrap_or(&digits);
        let is_spoken = form.heading == "spoken_phone";
        let words = if is_spoken { self.digit_word.find_iter(it).count() } else { 0 };
        let is_long = digits.len() + words >= 7 && (!is_spoken || words >= 2);
        let is_tail = digits.len() == 7 && before.trim_end_matches([')', ' ', '-', '.']).ends_with(is_digit);
        let is_part = before.ends_with(['$', '\u{20ac}', '\u{a3}', '-', '/', '.', ',']);
        let is_nobodys =
            is_toll_free(local) || self.is_labelled_impersonal(before) || self.nobodys.is_match(it);
        is_long && !is_tail && !is_part && !is_nobodys
    }

    fn is_identifier(&self, form: Form, before: &str, it: &str, after: &str) -> bool {
        let (digits, is_announced) = (digits(it), form.heading == "number");
        let letters = it.bytes().filter(u8::is_ascii_alphabetic).count();
        let is_locator = is_announced && it.len() == 6 && !it.contains(|c: char| c.is_ascii_lowercase());
        let is_long = digits.len() >= 4
            || (digits.len() >= 2 && digits.len() + letters >= 6)
            || (is_locator && !digits.is_empty());
        let is_ending = ["ending", "ending in", "ends in"].iter().any(|end| before.trim_end().ends_with(end));
        let is_year = it.len() == 4 && digits.len() == 4 && (it.starts_with("19") || it.starts_with("20"));
        let is_year = is_year && !is_ending;
        let is_amount = is_year || is_money(before, after) || is_date(it) || self.counted.is_match(after);
        let is_as_phone = !is_announced || it.contains(['-', '(', ' ']);
        let is_price = it.len() >= 4
            && it.as_bytes().get(it.len() - 3) == Some(&b'.')
            && digits.len() <= 5
            && letters == 0;
        let area = last_bytes(before, 6);
        let whole: Vec<u8> = self::digits(area).into_iter().chain(digits.iter().copied()).collect();
        let is_tail = area.ends_with([')', '-', ' ']) && digits.len() == 7 && is_toll_free(&whole);
        let is_toll_free =
            is_tail || is_as_phone && is_toll_free(digits.strip_prefix(&[1]).unwrap_or(&digits));
        let is_nobodys = (self.nobodys.is_match(it) && !(is_announced && is_sort_code(it)))
            || self.is_labelled_impersonal(before)
            || is_toll_free;
        is_long && !is_amount && !is_price && !is_nobodys
    }

    fn is_address(&self, form: Form, before: &str, it: &str, level: Redaction) -> bool {
        if self.not_address.is_match(it) {
            return false;
        }
        if form.heading == "home_address" {
            let is_named = it.contains(|c: char| c.is_ascii_uppercase()) || self.numbered_street.is_match(it);
            return is_named && it.len() > 4;
        }
        let near = last_bytes(before, 60);
        let is_company = self.company_word.is_match(near) || self.company_word.is_match(it);
        level == Redaction::Strict || !is_company || self.own_word.is_match(near)
    }

    /// Returns whether a word identifies a person in any context: it has six digits, or four digits with a leading `#`,
    /// or the format of a booking reference.
    pub fn is_code(&self, text: &str, word: &Range<usize>) -> bool {
        let (before, word, after) = around(text, word);
        let count = |is: fn(&u8) -> bool| word.bytes().filter(is).count();
        let (digits, letters) = (count(u8::is_ascii_digit), count(u8::is_ascii_alphabetic));
        let is_booking = letters >= 2
            && digits >= 2
            && word.len() == 6
            && letters + digits == 6
            && count(u8::is_ascii_lowercase) == 0;
        let is_code = digits >= 6 || (digits >= 4 && word.starts_with('#')) || is_booking;
        is_code
            && self.is_personal(
                Form { heading: "any_number", kind: PersonalKind::Number },
                text,
                &(before.len()..before.len() + word.len()),
                Redaction::Balanced,
            )
            && !after.starts_with(['=', '%'])
    }

    fn is_labelled_impersonal(&self, before: &str) -> bool {
        let before = last_bytes(before, 90);
        self.impersonal_label.is_match(before) && !self.personal_label.is_match(before)
    }
}

fn around<'a>(text: &'a str, it: &Range<usize>) -> (&'a str, &'a str, &'a str) {
    let part = |range: Range<usize>| text.get(range).unwrap_or_default();
    (part(0..it.start), part(it.clone()), part(it.end..text.len()))
}

fn last_bytes(text: &str, bytes: usize) -> &str {
    text.get(text.floor_char_boundary(text.len().saturating_sub(bytes))..).unwrap_or_default()
}

fn digits(text: &str) -> Vec<u8> {
    text.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect()
}

/// Returns what stands before the `@` of an address, however it is written.
fn local_part(address: &str) -> &str {
    let end = address.find(['@', ' ', '(', '[', '{', '<']).unwrap_or(address.len());
    address.get(..end).unwrap_or_default()
}

fn is_money(before: &str, after: &str) -> bool {
    let is_part = before.strip_suffix([',', '.']).is_some_and(|rest| rest.ends_with(is_digit));
    before.trim_end().ends_with(['$', '\u{20ac}', '\u{a3}'])
        || is_part
        || after.starts_with(['\u{20ac}', '\u{a3}', '$'])
        || after.strip_prefix(',').is_some_and(|rest| rest.starts_with(is_digit))
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

/// Whether an announced number is a bank's sort code, which looks like a date.
fn is_sort_code(it: &str) -> bool {
    it.len() == 8 && it.split('-').all(|part| part.len() == 2)
}

/// Whether a word is a date of today's years, written in digits.
fn is_date(it: &str) -> bool {
    let parts: Vec<&str> = it.split(['/', '-', '.']).collect();
    parts.len() >= 2
        && parts.len() <= 3
        && it.bytes().all(|byte| byte.is_ascii_digit() || b"/-.".contains(&byte))
        && parts.iter().all(|part| (1..=4).contains(&part.len()))
        && parts.iter().filter(|part| part.len() > 2).all(|part| part.starts_with("20"))
        && parts.len() == 3
        && (it.contains('/') || parts.iter().any(|part| part.len() == 4))
}

/// Returns whether a phone number is toll-free. Such numbers belong to companies, not to persons.
fn is_toll_free(digits: &[u8]) -> bool {
    let starts = |areas: &[[u8; 3]]| areas.iter().any(|area| digits.starts_with(area));
    match digits.len() {
        10 => {
            starts(&[[8, 0, 0], [8, 3, 3], [8, 4, 4], [8, 5, 5], [8, 6, 6], [8, 7, 7], [8, 8, 8], [9, 0, 0]])
                || starts(&[[0, 8, 0], [0, 9, 0]])
        }
        9 => starts(&[[0, 8, 0], [0, 9, 0]]),
        11 => starts(&[[0, 8, 0], [0, 9, 0]]),
        12 => digits.starts_with(&[0, 1, 8, 0, 0]),
        _ => false,
    }
}

/// Returns the longest beginning of some digits that is a card number and ends with a group of them.
pub(super) fn card_in(text: &str, range: &Range<usize>) -> Option<Range<usize>> {
    let it = text.get(range.clone())?;
    let ends = (1..=it.len()).rev().filter(|end| {
        it.is_char_boundary(*end) && it[..*end].ends_with(is_digit) && !it[*end..].starts_with(is_digit)
    });
    ends.map(|end| range.start..range.start + end).find(|range| {
        let digits = digits(&text[range.clone()]);
        (13..=19).contains(&digits.len()) && luhn(&digits)
    })
}

/// Returns whether a card number has a valid check digit (Luhn, ISO/IEC 7812-1).
fn luhn(digits: &[u8]) -> bool {
    let doubled = |(at, digit): (usize, &u8)| {
        let digit = u32::from(*digit) * if at % 2 == 1 { 2 } else { 1 };
        if digit > 9 { digit - 9 } else { digit }
    };
    digits.iter().rev().enumerate().map(doubled).sum::<u32>().is_multiple_of(10)
}
