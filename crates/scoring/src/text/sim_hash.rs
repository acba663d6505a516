//! A SimHash of a post's words, which detects near-copies.
//!
//! Charikar, *Similarity estimation techniques from rounding algorithms*, STOC 2002. The features are words
//! and pairs of adjacent words, so that the same words in another order are a different text.

use firewatch_domain::SimHash;

use super::pair_key;

/// Minimum number of distinct words. Shorter texts are similar by chance.
const MIN_WORDS: usize = 5;
/// Maximum number of words that are hashed, from the start of the text.
const MAX_WORDS: usize = 60;

/// Returns the SimHash of a text, given the keys of its words in order. `None` for fewer than five distinct
/// words.
pub fn sim_hash(keys: impl Iterator<Item = u64>) -> Option<SimHash> {
    let mut counts = [0_i8; 64];
    let mut add = |feature: u64| {
        for (bit, count) in counts.iter_mut().enumerate() {
            *count += 2 * ((feature >> bit) & 1) as i8 - 1;
        }
    };
    let (mut words, mut before) = (Vec::with_capacity(MAX_WORDS), None);
    for key in keys.take(MAX_WORDS) {
        // Counts a word once, so that a frequent one does not outweigh the others.
        if !words.contains(&key) {
            words.push(key);
            add(key);
        }
        if let Some(before) = before.replace(key) {
            add(pair_key(before, key));
        }
    }
    let bits = counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(bit, _)| 1 << bit);
    (words.len() >= MIN_WORDS).then(|| SimHash(bits.fold(0, |hash: u64, bit: u64| hash | bit)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::word_key;

    fn hash(text: &str) -> Option<SimHash> {
        sim_hash(text.split(' ').map(word_key))
    }

    #[test]
    fn near_copies_are_near_and_other_texts_are_not() {
        let text = "the portal is down again and nobody at the company answers any of my calls or letters";
        let post = hash(text).unwrap();
        let near = |other: &str| post.is_near(hash(other).unwrap());
        assert!(near(text));
        assert!(near(&text.replace("again ", "")));
        assert!(near(&text.replace("letters", "mails")));
        assert!(!near("they denied my claim for the third time and charged me twice for it last month"));
        let mut backwards: Vec<&str> = text.split(' ').collect();
        backwards.reverse();
        assert!(!near(&backwards.join(" ")));
    }

    #[test]
    fn a_text_of_few_words_has_none_and_one_of_many_does_not_overflow() {
        assert_eq!(hash("this is so so bad"), None);
        assert!(hash("this is so very bad").is_some());
        let many = "this bad thing never ends ".repeat(1000);
        assert_eq!(hash(&many), hash(many.trim_end()));
    }
}
