//! A text as it sounds rather than as it is encoded: for rules that people evade by writing otherwise, knowingly or not.
//!
//! Compatibility forms (full-width letters, ligatures), accents, invisible code points, dashes, dots, spaces, quotes and
//! the digits of all scripts become ASCII. Each byte keeps its place in the original.

use std::borrow::Cow;
use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// A folded text with the way back.
pub(super) struct Folded<'a> {
    /// The folded text.
    pub text: Cow<'a, str>,
    /// For each byte of the folded text the start and the end, in the original, of the character that it comes from.
    /// Empty if nothing was folded.
    places: Vec<(u32, u32)>,
}

impl<'a> Folded<'a> {
    /// Folds a text. One in ASCII stays as it is.
    pub fn new(text: &'a str) -> Self {
        if text.is_ascii() {
            return Self { text: text.into(), places: vec![] };
        }
        Self::with(text, |c| c)
    }

    /// Folds a text of which `rewrite` replaces characters before.
    pub fn with(text: &'a str, rewrite: impl Fn(char) -> char) -> Self {
        let (mut folded, mut places) = (String::with_capacity(text.len()), Vec::with_capacity(text.len()));
        for (start, c) in text.char_indices() {
            fold(rewrite(c), &mut folded);
            let place = (start as u32, (start + c.len_utf8()) as u32);
            places.resize(folded.len(), place);
        }
        Self { text: folded.into(), places }
    }

    /// Returns the part of the original from which a part of the folded text comes.
    pub fn original(&self, part: Range<usize>) -> Range<usize> {
        if self.places.is_empty() {
            return part;
        }
        let end_of_all = self.places.last().map_or(0, |place| place.1 as usize);
        let start = self.places.get(part.start).map_or(end_of_all, |place| place.0 as usize);
        if part.is_empty() {
            return start..start;
        }
        let end = self.places.get(part.end - 1).map_or(end_of_all, |place| place.1 as usize);
        start..end
    }
}

/// Appends what a character folds to; nothing if it is invisible.
fn fold(c: char, out: &mut String) {
    match c {
        '\0'..='\u{7f}' => out.push(c),
        // Soft hyphens, joiners, direction marks, variation selectors and the like (Default_Ignorable_Code_Point).
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{e0000}'..='\u{e0fff}' => {}
        '\u{2010}'..='\u{2015}'
        | '\u{2043}'
        | '\u{2212}'
        | '\u{fe58}'
        | '\u{fe63}'
        | '\u{ff0d}'
        | '\u{30fc}' => {
            out.push('-');
        }
        '\u{b7}' | '\u{2022}' | '\u{2024}' | '\u{2027}' | '\u{2219}' | '\u{22c5}' | '\u{30fb}'
        | '\u{ff61}' => {
            out.push('.');
        }
        '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2032}' | '\u{b4}' | '\u{2bc}' => out.push('\''),
        '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{ab}' | '\u{bb}' => out.push('"'),
        '\u{2044}' | '\u{2215}' => out.push('/'),
        '\u{b0}' => out.push('o'),
        '\u{df}' => out.push_str("ss"),
        // Letters that are no compatibility forms, but are written as ASCII where a keyboard lacks them.
        '\u{e6}' => out.push_str("ae"),
        '\u{c6}' => out.push_str("Ae"),
        '\u{153}' => out.push_str("oe"),
        '\u{f8}' => out.push('o'),
        '\u{d8}' => out.push('O'),
        '\u{142}' => out.push('l'),
        '\u{141}' => out.push('L'),
        '\u{131}' => out.push('i'),
        '\u{111}' => out.push('d'),
        '\u{110}' => out.push('D'),
        // A fraction is a number of its own: "58 1/2".
        '\u{bc}' => out.push_str(" 1/4"),
        '\u{bd}' => out.push_str(" 1/2"),
        '\u{be}' => out.push_str(" 3/4"),
        '\u{2028}' | '\u{2029}' | '\u{85}' => out.push('\n'),
        _ if c.is_whitespace() => out.push(' '),
        _ => fold_compatible(c, out),
    }
}

fn fold_compatible(c: char, out: &mut String) {
    for part in std::iter::once(c).nfkd().filter(|part| !is_combining_mark(*part)) {
        match digit(part) {
            Some(digit) => out.push(digit),
            None => out.push(part),
        }
    }
}

/// Returns the ASCII digit for a decimal digit of another script. In each the ten digits follow each other (Unicode,
/// property `Nd`).
fn digit(c: char) -> Option<char> {
    const ZEROS: [u32; 36] = [
        0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50,
        0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40,
        0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0x104a0,
    ];
    let code = c as u32;
    let zero = ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&code))?;
    char::from_digit(code - zero, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_alike_is_alike_and_has_its_place() {
        for (text, folded) in [
            ("plain 1-2", "plain 1-2"),
            ("\u{ff14}\u{ff11}\u{ff15}\u{2011}\u{665}", "415-5"),
            ("415\u{200b}555\u{200b}0132", "4155550132"),
            ("m\u{fc}ller\u{ff20}ex\u{e4}mple.de", "muller@example.de"),
            ("415\u{b7}555 \u{2013} 0132\u{a0}x", "415.555 - 0132 x"),
            ("Hauptstra\u{df}e \u{2019}87", "Hauptstrasse '87"),
        ] {
            assert_eq!(Folded::new(text).text, folded);
        }
        let text = "a\u{200b}\u{df}b";
        let folded = Folded::new(text);
        assert_eq!((folded.text.as_ref(), folded.original(1..3)), ("assb", 4..6));
        assert_eq!(&text[folded.original(0..4)], text);
        assert_eq!((folded.original(2..2), folded.original(4..4)), (4..4, 7..7));
    }
}
