//! The English stemmer (Porter 2) with a bounded memory of words it has seen. The memory never changes a result.

use std::hash::Hasher;

use fnv::FnvHasher;
use rust_stemmers::{Algorithm, Stemmer};

/// Places for words whose stems are remembered, one for all words of a hash; a power of two.
const PLACES: usize = 1 << 12;

/// The stemmer and its memory.
pub struct Stems {
    stemmer: Stemmer,
    seen: Box<[Seen]>,
}

#[derive(Clone, Default)]
struct Seen {
    word: Box<str>,
    stem: Box<str>,
}

impl Default for Stems {
    fn default() -> Self {
        Self { stemmer: Stemmer::create(Algorithm::English), seen: vec![Seen::default(); PLACES].into() }
    }
}

impl Stems {
    /// The stem of a word in lower case.
    pub fn stem(&mut self, word: &str) -> &str {
        let mut hash = FnvHasher::default();
        hash.write(word.as_bytes());
        let seen = &mut self.seen[hash.finish() as usize & (PLACES - 1)];
        if *seen.word != *word {
            *seen = Seen { word: word.into(), stem: self.stemmer.stem(word).into() };
        }
        &seen.stem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_memory_changes_nothing() {
        let mut stems = Stems::default();
        for i in 0..4 * PLACES {
            assert_eq!(stems.stem(&format!("q{i}waiting")), format!("q{i}wait"));
        }
        assert_eq!(stems.stem("waiting"), "wait");
        assert_eq!(stems.stem(""), "");
    }
}
