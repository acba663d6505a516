//! Features of tokens, identified by 64-bit keys: words, negated words, stems, subwords and word pairs.
//!
//! Subwords of three to five letters let the model read words that it has not seen. A hashtag is split into
//! words. Keys are FNV-1a hashes (Fowler, Noll, Vo) passed through the MurmurHash3 finaliser, so that a model
//! file means the same on every machine.

use std::hash::Hasher;

use fnv::FnvHasher;

use super::{CachedStemmer, Token, TokenKind};

/// The value of a subword feature; whole words have the value 1.
pub const SUBWORD_WEIGHT: f32 = 0.3;
/// Minimum and maximum length of a subword, in letters.
const SUBWORD_LETTERS: (usize, usize) = (3, 5);
/// Maximum length of a hashtag that is split, in letters.
const MAX_TAG_LETTERS: usize = 30;

/// Kinds of features. The same letters have a different key in each kind.
#[derive(Debug, Clone, Copy)]
enum FeatureKind {
    Word = 1,
    Negated = 2,
    Stem = 3,
    Subword = 4,
    Pair = 5,
    Other = 6,
}

/// A feature of a token and its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gram {
    /// The feature's key in the weight table.
    pub key: u64,
    /// The factor of its weight: 1, or 0.3 for a subword.
    pub value: f32,
    /// Whether the feature is the whole word, which a lexicon may rate.
    pub word: bool,
}

/// Returns the key of a word.
#[must_use]
pub fn word_key(word: &str) -> u64 {
    key(FeatureKind::Word, word.as_bytes())
}

/// Returns the key of a token in pairs and caches: that of its word, or of its fixed name for other kinds.
#[must_use]
pub fn token_key(token: &Token<'_>) -> u64 {
    let sort = if token.kind == TokenKind::Word { FeatureKind::Word } else { FeatureKind::Other };
    key(sort, token.word.as_bytes())
}

/// Returns the key of two adjacent tokens. The order matters.
#[must_use]
pub fn pair_key(before: u64, after: u64) -> u64 {
    mix(before.rotate_left(23).wrapping_add(FeatureKind::Pair as u64) ^ after)
}

/// Returns the key of a negated word.
#[must_use]
pub fn negated_key(word: &str) -> u64 {
    key(FeatureKind::Negated, word.as_bytes())
}

/// Visits the features of one token, except pairs. `known` returns whether a hashtag may be split into the
/// word with a given key.
pub fn token_grams(
    token: &Token<'_>,
    stems: &mut CachedStemmer,
    known: &impl Fn(u64) -> bool,
    visit: &mut impl FnMut(Gram),
) {
    if token.kind != TokenKind::Word {
        return visit(Gram { key: token_key(token), value: 1.0, word: true });
    }
    token_words(token, known, &mut |word| {
        word_grams(word, stems, visit);
        if token.negated {
            visit(Gram { key: negated_key(word), value: 1.0, word: false });
        }
    });
}

/// Visits the features of a word: itself, its stem and its subwords.
pub fn word_grams(word: &str, stems: &mut CachedStemmer, visit: &mut impl FnMut(Gram)) {
    visit(Gram { key: word_key(word), value: 1.0, word: true });
    visit(Gram { key: key(FeatureKind::Stem, stems.stem(word).as_bytes()), value: 1.0, word: false });
    subwords(word, &mut |key| visit(Gram { key, value: SUBWORD_WEIGHT, word: false }));
}

/// Visits the keys of the word's subwords, with `<` and `>` marking its start and end.
fn subwords(word: &str, visit: &mut impl FnMut(u64)) {
    let mut buffer = [0_u8; 48];
    let length = word.len() + 2;
    let Some(framed) = buffer.get_mut(..length) else { return };
    framed.fill(b'<');
    if let Some(middle) = framed.get_mut(1..=word.len()) {
        middle.copy_from_slice(word.as_bytes());
    }
    if let Some(last) = framed.last_mut() {
        *last = b'>';
    }
    // Character boundaries are those of the word, shifted by one.
    let border = |at: usize| at == 0 || at == length || word.is_char_boundary(at - 1);
    for from in (0..length).filter(|at| border(*at)) {
        let mut hash = FnvHasher::default();
        let mut letters = 0;
        for (at, byte) in framed.iter().enumerate().skip(from) {
            hash.write_u8(*byte);
            if border(at + 1) {
                letters += 1;
                if letters >= SUBWORD_LETTERS.0 {
                    visit(mix(hash.finish() ^ salt(FeatureKind::Subword)));
                }
                if letters == SUBWORD_LETTERS.1 {
                    break;
                }
            }
        }
    }
}

/// Visits the words of a token. A hashtag is split at minimum cost, where known words are cheap and other
/// pieces cost more than any known word.
pub fn token_words(token: &Token<'_>, known: &impl Fn(u64) -> bool, visit: &mut impl FnMut(&str)) {
    let tag = token.word;
    if !token.tag || !tag.is_ascii() || tag.len() > MAX_TAG_LETTERS || tag.len() < 4 {
        return visit(tag);
    }
    // best[end]: the minimum cost of the letters before `end`, and the start of the last piece.
    let mut best = [(u32::MAX, 0_usize); MAX_TAG_LETTERS + 1];
    best[0] = (0, 0);
    for end in 1..=tag.len() {
        for from in end.saturating_sub(16)..end {
            let piece = &tag[from..end];
            let price = match piece.len() {
                1 if !matches!(piece, "i" | "a") => 30,
                n if known(word_key(piece)) => {
                    if n < 3 {
                        12
                    } else {
                        8
                    }
                }
                n => 20 + 10 * n as u32,
            };
            let cost = best[from].0.saturating_add(price);
            if cost < best[end].0 {
                best[end] = (cost, from);
            }
        }
    }
    let (mut end, mut pieces, mut n) = (tag.len(), [0_usize; MAX_TAG_LETTERS], 0);
    while end > 0 {
        pieces[n] = end;
        n += 1;
        end = best[end].1;
    }
    let mut from = 0;
    for end in pieces[..n].iter().rev() {
        visit(&tag[from..*end]);
        from = *end;
    }
}

fn key(sort: FeatureKind, bytes: &[u8]) -> u64 {
    let mut hash = FnvHasher::default();
    hash.write(bytes);
    mix(hash.finish() ^ salt(sort))
}

fn salt(sort: FeatureKind) -> u64 {
    (sort as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The finaliser of MurmurHash3.
fn mix(mut h: u64) -> u64 {
    h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ (h >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Tokenizer;

    fn keys(text: &str, known: &[&str]) -> Vec<u64> {
        let known: Vec<u64> = known.iter().map(|w| word_key(w)).collect();
        let (mut stems, mut keys) = (CachedStemmer::default(), Vec::new());
        Tokenizer::default().visit(text, &mut |token| {
            token_grams(&token, &mut stems, &|key| known.contains(&key), &mut |gram| keys.push(gram.key));
        });
        keys
    }

    #[test]
    fn a_negated_word_has_a_feature_more() {
        let (plain, negated) = (keys("good", &[]), keys("not good", &[]));
        assert!(plain.iter().all(|k| negated.contains(k)));
        assert!(negated.contains(&key(FeatureKind::Negated, b"good")));
        assert!(!plain.contains(&key(FeatureKind::Negated, b"good")));
    }

    #[test]
    fn parts_have_three_to_five_letters_between_borders() {
        // "<ab>" has the subwords "<ab", "<ab>" and "ab>". Three letters have six, regardless of their bytes.
        let count = |word| {
            let mut n = 0;
            subwords(word, &mut |_| n += 1);
            n
        };
        assert_eq!((count("a"), count("ab"), count("\u{e9}t\u{e9}"), count(&"x".repeat(60))), (1, 3, 6, 0));
    }

    #[test]
    fn tags_are_split_into_known_words_however_they_are_written() {
        let known = ["worst", "service", "ever", "a", "not", "good"];
        let tag = keys("#WorstServiceEver", &known);
        assert!(known[..3].iter().all(|w| tag.contains(&word_key(w))));
        assert_eq!(tag, keys("#worstserviceever", &known));
        assert!(!keys("worstserviceever", &known).contains(&word_key("service")));
        assert!(!keys("#zzqservice", &[]).contains(&word_key("service")));
        assert_eq!(keys("#zzqservice", &[]), keys("zzqservice", &[]));
    }

    #[test]
    fn pairs_know_their_order() {
        let (a, b) = (word_key("not"), word_key("good"));
        assert_ne!(pair_key(a, b), pair_key(b, a));
    }
}
