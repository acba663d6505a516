//! Many words that are looked for at the beginnings of a text's words, in one pass.
//!
//! An automaton over thousands of words does not fit the processor's caches. Small tables of their first bytes do,
//! and say of nearly all words of a text that none of these begins there.

use super::needs::is_word_byte;

/// For each byte whether it is of a word.
const IS_WORD_BYTE: [bool; 256] = {
    let (mut is, mut byte) = ([false; 256], 0);
    while byte < 256 {
        is[byte] = is_word_byte(byte as u8);
        byte += 1;
    }
    is
};

/// The words by their first bytes.
pub(in crate::text) struct WordTable {
    /// Words of two bytes, which are found only as whole words.
    two: Slots<2>,
    three: Slots<3>,
    longer: Slots<4>,
    endings: Endings,
}

/// What is seen of a text beside its words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::text) struct Seen {
    /// The longest row of digits.
    pub digits_in_a_row: usize,
    /// Whether a word may end with one of the endings.
    pub ending: bool,
}

/// A bit for each hash of an ending's last four letters, or three if it has no more.
struct Endings(Vec<bool>);

/// A word in lower case.
struct Word {
    /// Its first eight bytes, so that few words are compared whole.
    first: u64,
    /// The bits of `first` that count.
    mask: u64,
    number: u32,
    bytes: Box<[u8]>,
}

/// Words by a hash of their first `BYTES` bytes; those of one hash are neighbours.
struct Slots<const BYTES: usize> {
    /// For each hash where its words begin in `words`, and one end more.
    starts: Vec<u16>,
    words: Vec<Word>,
}

impl WordTable {
    /// Builds the table of words in lower case, each with a number, and of the ends of words.
    pub fn new<'a>(words: impl IntoIterator<Item = (&'a str, usize)>, endings: &[String]) -> Self {
        let (mut two, mut three, mut longer) = (vec![], vec![], vec![]);
        for (word, number) in words {
            let to = match word.len() {
                ..3 => &mut two,
                3 => &mut three,
                _ => &mut longer,
            };
            to.push((word.as_bytes(), number as u32));
        }
        Self {
            two: Slots::new(two),
            three: Slots::new(three),
            longer: Slots::new(longer),
            endings: Endings::new(endings),
        }
    }

    /// Calls `found` with the number, the start and the end of each word with which a word of the text begins, and
    /// returns what else is seen.
    pub fn visit(&self, text: &str, mut found: impl FnMut(usize, usize, usize)) -> Seen {
        let bytes = text.as_bytes();
        let (mut was_word, mut row, mut start, mut seen) = (false, 0, 0, Seen::default());
        for (at, byte) in bytes.iter().enumerate() {
            let is_word = IS_WORD_BYTE[usize::from(*byte)];
            row = if byte.is_ascii_digit() { row + 1 } else { 0 };
            seen.digits_in_a_row = seen.digits_in_a_row.max(row);
            if was_word && !is_word {
                seen.ending |= self.endings.has(bytes.get(start..at).unwrap_or_default());
            }
            let begins = (is_word && !was_word) || *byte >= 0xc0;
            if is_word && !was_word {
                start = at;
            }
            was_word = is_word;
            if !begins {
                continue;
            }
            let rest = bytes.get(at..).unwrap_or_default();
            let first = first_bytes(rest);
            let mut found = |number, length| found(number, at, at + length);
            if rest.get(2).is_none_or(|byte| !IS_WORD_BYTE[usize::from(*byte)]) {
                self.two.visit(first, rest, &mut found);
            }
            self.three.visit(first, rest, &mut found);
            self.longer.visit(first, rest, &mut found);
        }
        seen.ending |= was_word && self.endings.has(bytes.get(start..).unwrap_or_default());
        seen
    }
}

impl Endings {
    const HASH_BITS: u32 = 13;

    fn new(endings: &[String]) -> Self {
        let mut bits = vec![false; if endings.is_empty() { 0 } else { 1 << Self::HASH_BITS }];
        for ending in endings {
            let last = ending.as_bytes().last_chunk::<4>().map_or(ending.as_bytes(), |last| last.as_slice());
            if let Some(bit) = bits.get_mut(hash(first_bytes(last) & mask(last.len()), Self::HASH_BITS)) {
                *bit = true;
            }
        }
        Self(bits)
    }

    /// Whether a word may end with one of the endings.
    #[inline]
    fn has(&self, word: &[u8]) -> bool {
        let Some(last) = word.last_chunk::<4>().filter(|_| !self.0.is_empty()) else { return false };
        let four = first_bytes(last) & mask(4);
        let has = |letters: u64| self.0.get(hash(letters, Self::HASH_BITS)) == Some(&true);
        has(four) || has(four >> 8)
    }
}

impl<const BYTES: usize> Slots<BYTES> {
    const HASH_BITS: u32 = if BYTES > 3 { 13 } else { 10 };

    fn new(words: Vec<(&[u8], u32)>) -> Self {
        let word = |(bytes, number): (&[u8], u32)| Word {
            first: first_bytes(bytes) & mask(bytes.len()),
            mask: mask(bytes.len()),
            number,
            bytes: bytes.into(),
        };
        let mut words: Vec<Word> = words.into_iter().map(word).collect();
        words.sort_by_key(|word| Self::slot(word.first));
        let mut starts = vec![0; (1 << Self::HASH_BITS) + 1];
        for word in &words {
            if let Some(count) = starts.get_mut(Self::slot(word.first) + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        Self { starts, words }
    }

    /// Calls `found` with the number and the length of each word with which a text begins, whose first bytes are given.
    #[inline]
    fn visit(&self, first: u64, text: &[u8], found: &mut impl FnMut(usize, usize)) {
        let slot = Self::slot(first);
        let (Some(from), Some(to)) = (self.starts.get(slot), self.starts.get(slot + 1)) else { return };
        for word in self.words.get(usize::from(*from)..usize::from(*to)).unwrap_or_default() {
            if first & word.mask == word.first
                && text.get(..word.bytes.len()).is_some_and(|start| start.eq_ignore_ascii_case(&word.bytes))
            {
                found(word.number as usize, word.bytes.len());
            }
        }
    }

    #[inline]
    const fn slot(first: u64) -> usize {
        hash(first & mask(BYTES), Self::HASH_BITS)
    }
}

/// Returns a hash of so many bits: the highest ones of a product (Fibonacci hashing, Knuth).
#[inline]
const fn hash(key: u64, bits: u32) -> usize {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) as usize
}

/// Returns the first eight bytes of a text, the same for both cases of a letter. Letters differ in one bit by case
/// (0x20); other bytes that are then the same are distinguished when a word is compared whole.
#[inline]
fn first_bytes(text: &[u8]) -> u64 {
    let first = text.first_chunk().copied().unwrap_or_else(|| {
        let mut first = [0; 8];
        first.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
        first
    });
    u64::from_le_bytes(first) | 0x2020_2020_2020_2020
}

/// Returns the bits of the first bytes.
const fn mask(bytes: usize) -> u64 {
    if bytes < 8 { (1 << (8 * bytes)) - 1 } else { u64::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_where_words_begin() {
        let table = WordTable::new(
            ["my ", "icu", "coma", "caf\u{e9}", "\u{4eca}\u{65e5}", "born on", "ms"].into_iter().zip(0..),
            &["itis".into(), "mab".into()],
        );
        let found = |text: &str| {
            let mut found = Vec::new();
            let seen = table.visit(text, |number, start, end| found.push((number, start..end)));
            (found, seen.digits_in_a_row)
        };
        assert_eq!(found("My COMA, born\non it 12/1999"), (vec![(0, 0..3), (1 + 1, 3..7)], 4));
        assert_eq!(found("glaucoma circus icU"), (vec![(1, 16..19)], 0));
        assert_eq!(found("x\u{4eca}\u{65e5} caf\u{e9}s"), (vec![(4, 1..7), (3, 8..13)], 0));
        assert_eq!(found("my"), (vec![], 0));
        assert_eq!(found("MS, msec, xms ms"), (vec![(6, 0..2), (6, 14..16)], 0));
        let ends = |text: &str| table.visit(text, |_, _, _| ()).ending;
        assert!(ends("arthritis") && ends("a cabMAB, then") && !ends("itisnt mabel abs"));
    }
}
