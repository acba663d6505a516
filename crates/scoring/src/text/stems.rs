//! The English stemmer (Porter 2) with a bounded memory of words it has seen. The memory never changes a result.

use std::collections::HashMap;

use rust_stemmers::{Algorithm, Stemmer};

/// Most distinct words whose stems are remembered.
const LIMIT: usize = 1 << 14;

/// The stemmer and its memory.
pub struct Stems {
    stemmer: Stemmer,
    // Looked up only, never iterated: its random order cannot reach a result.
    seen: HashMap<Box<str>, Box<str>>,
}

impl Default for Stems {
    fn default() -> Self {
        Self { stemmer: Stemmer::create(Algorithm::English), seen: HashMap::new() }
    }
}

impl Stems {
    /// The stem of a word in lower case.
    pub fn stem(&mut self, word: &str) -> &str {
        if !self.seen.contains_key(word) {
            if self.seen.len() >= LIMIT {
                self.seen.clear();
            }
            let stem = self.stemmer.stem(word);
            self.seen.insert(word.into(), stem.into());
        }
        self.seen.get(word).map_or("", |stem| stem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_memory_changes_nothing() {
        let mut stems = Stems::default();
        for i in 0..LIMIT + 10 {
            stems.stem(&format!("word{i}ing"));
        }
        assert!(stems.seen.len() <= LIMIT);
        assert_eq!(stems.stem("waiting"), "wait");
    }
}
