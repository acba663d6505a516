//! The English stemmer (Porter 2) with a bounded cache. The cache never changes a result.

use std::hash::Hasher;

use fnv::FnvHasher;
use rust_stemmers::{Algorithm, Stemmer};

/// Number of cache entries, a power of two. Words with the same hash share an entry.
const CACHE_SIZE: usize = 1 << 12;

/// The stemmer with a direct-mapped cache.
pub struct CachedStemmer {
    stemmer: Stemmer,
    cache: Box<[CachedStem]>,
}

#[derive(Clone, Default)]
struct CachedStem {
    word: Box<str>,
    stem: Box<str>,
}

impl Default for CachedStemmer {
    fn default() -> Self {
        Self {
            stemmer: Stemmer::create(Algorithm::English),
            cache: vec![CachedStem::default(); CACHE_SIZE].into(),
        }
    }
}

impl CachedStemmer {
    /// Returns the stem of a lower-case word.
    pub fn stem(&mut self, word: &str) -> &str {
        let mut hash = FnvHasher::default();
        hash.write(word.as_bytes());
        let entry = &mut self.cache[hash.finish() as usize & (CACHE_SIZE - 1)];
        if *entry.word != *word {
            *entry = CachedStem { word: word.into(), stem: self.stemmer.stem(word).into() };
        }
        &entry.stem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_memory_changes_nothing() {
        let mut stems = CachedStemmer::default();
        for i in 0..4 * CACHE_SIZE {
            assert_eq!(stems.stem(&format!("q{i}waiting")), format!("q{i}wait"));
        }
        assert_eq!(stems.stem("waiting"), "wait");
        assert_eq!(stems.stem(""), "");
    }
}
