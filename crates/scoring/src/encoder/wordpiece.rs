//! WordPiece tokenizer of the encoder, as in BERT: splits a text into pieces of its vocabulary.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::MAX_PIECES;
use crate::ModelError;

/// The pieces and their ids. A piece that continues a word begins with `##`.
pub struct Vocabulary {
    pieces: Vec<Box<str>>,
    // Looked up only, never iterated.
    ids: HashMap<Box<str>, u32>,
    unknown: u32,
    begin: u32,
    end: u32,
    /// Length of the longest piece, in characters.
    max_piece_chars: usize,
}

impl Vocabulary {
    /// Builds a vocabulary whose ids are the positions of the pieces.
    ///
    /// # Errors
    /// If `[UNK]`, `[CLS]` or `[SEP]` is missing.
    pub fn new(pieces: Vec<Box<str>>) -> Result<Self, ModelError> {
        let numbers: HashMap<Box<str>, u32> = pieces.iter().cloned().zip(0..).collect();
        let number = |piece: &str| {
            let missing = || ModelError::File(format!("an encoder whose vocabulary lacks {piece}"));
            numbers.get(piece).copied().ok_or_else(missing)
        };
        let (unknown, begin, end) = (number("[UNK]")?, number("[CLS]")?, number("[SEP]")?);
        let longest = pieces.iter().map(|p| p.chars().count()).max().unwrap_or(1);
        Ok(Self { pieces, ids: numbers, unknown, begin, end, max_piece_chars: longest })
    }

    /// Returns the number of pieces.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Returns whether the vocabulary is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Returns the pieces by id.
    #[must_use]
    pub fn pieces(&self) -> &[Box<str>] {
        &self.pieces
    }

    /// Returns the ids of a text's pieces between `[CLS]` and `[SEP]`; at most 96 in total.
    #[must_use]
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut numbers = vec![self.begin];
        let plain = normalize(text);
        for word in plain.split_whitespace() {
            if numbers.len() >= MAX_PIECES - 1 {
                break;
            }
            self.cut(word, &mut numbers);
        }
        numbers.truncate(MAX_PIECES - 1);
        numbers.push(self.end);
        numbers
    }

    /// Splits a word greedily into the longest pieces. A word that cannot be split becomes `[UNK]`.
    fn cut(&self, word: &str, numbers: &mut Vec<u32>) {
        let whole = numbers.len();
        let mut from = 0;
        let mut buffer = String::new();
        while from < word.len() {
            let rest = &word[from..];
            let longest = rest.char_indices().nth(self.max_piece_chars).map_or(rest.len(), |(i, _)| i);
            let mut ends = (1..=longest).rev().filter(|end| rest.is_char_boundary(*end));
            let piece = ends.find_map(|end| {
                buffer.clear();
                if from > 0 {
                    buffer.push_str("##");
                }
                buffer.push_str(&rest[..end]);
                self.ids.get(buffer.as_str()).map(|number| (*number, end))
            });
            let Some((number, end)) = piece else {
                numbers.truncate(whole);
                numbers.push(self.unknown);
                return;
            };
            numbers.push(number);
            from += end;
        }
    }
}

/// Returns a text as the encoder reads it: in lower case without accents, punctuation separated, links
/// replaced by `http` and mentions by `@ user`.
#[must_use]
pub fn normalize(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for word in text.split_whitespace() {
        let begins = |start: &str| word.get(..start.len()).is_some_and(|w| w.eq_ignore_ascii_case(start));
        if begins("http://") || begins("https://") || begins("www.") {
            out.push_str("http ");
        } else if word.len() > 1 && word.starts_with('@') {
            out.push_str("@ user ");
        } else {
            push_normalized(word, &mut out);
            out.push(' ');
        }
    }
    out
}

fn push_normalized(word: &str, out: &mut String) {
    for c in word.nfd().filter(|c| !is_combining_mark(*c) && !c.is_control()) {
        if is_mark(c) || is_ideograph(c) {
            out.push(' ');
            out.push(c);
            out.push(' ');
        } else {
            out.extend(c.to_lowercase());
        }
    }
}

/// Returns whether a character is punctuation as in BERT: all ASCII symbols and the punctuation of Unicode.
fn is_mark(c: char) -> bool {
    c.is_ascii_punctuation()
        || matches!(u32::from(c), 0xA1 | 0xA7 | 0xAB | 0xB6 | 0xB7 | 0xBB | 0xBF | 0x2010..=0x2027 | 0x2030..=0x205E | 0x3001..=0x3003 | 0x3008..=0x3011)
}

fn is_ideograph(c: char) -> bool {
    matches!(u32::from(c), 0x4E00..=0x9FFF | 0x3400..=0x4DBF | 0x20000..=0x2A6DF | 0xF900..=0xFAFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> Vocabulary {
        let pieces = ["[UNK]", "[CLS]", "[SEP]", "hold", "##ing", "on", "@", "user", "http", "!", "cafe"];
        Vocabulary::new(pieces.map(Into::into).into()).unwrap()
    }

    fn check(text: &str, expected: &str) {
        let vocabulary = vocabulary();
        let pieces: Vec<&str> =
            vocabulary.encode(text).into_iter().map(|n| &*vocabulary.pieces()[n as usize]).collect();
        assert_eq!(pieces.join(" "), format!("[CLS] {expected} [SEP]"), "{text}");
    }

    #[test]
    fn words_are_cut_into_the_longest_pieces() {
        check("Holding ON!", "hold ##ing on !");
        check("@AldermereHealth caf\u{e9} https://x.y", "@ user cafe http");
        check("zzz on", "[UNK] on");
    }

    #[test]
    fn long_texts_are_cut_off() {
        assert_eq!(vocabulary().encode(&"on ".repeat(1000)).len(), MAX_PIECES);
        assert_eq!(vocabulary().encode(&"x".repeat(100_000)), [1, 0, 2]);
    }

    #[test]
    fn a_vocabulary_needs_its_ends() {
        assert!(Vocabulary::new(vec!["on".into()]).is_err());
    }
}
