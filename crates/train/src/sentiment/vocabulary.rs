//! The feature vocabulary: features that occur in enough texts, each with a column.

use std::collections::{BTreeMap, HashMap};

use firewatch_scoring::HEADS;
use firewatch_scoring::text::{
    CachedStemmer, ColumnWeights, MOOD_FEATURES, MoodFeatures, TokenKind, Tokenizer, pair_key, token_grams,
    token_key, word_grams, word_key,
};

use super::lexicon::Lexicon;
use super::sparse_regression::SparseRows;

/// Minimum number of texts that a feature must occur in.
const MIN_TEXTS: u32 = 3;

/// The features and their columns, followed by the columns of the moods.
pub(super) struct FeatureVocabulary {
    /// Feature keys in the order of columns.
    pub keys: Vec<u64>,
    // Used for lookups only: the order of iteration must not reach the result.
    columns: HashMap<u64, u32>,
    /// The known words by key.
    words: BTreeMap<u64, Box<str>>,
    moods: BTreeMap<u64, f32>,
}

impl FeatureVocabulary {
    /// Selects the features of texts; every word of the lexicon is included.
    pub fn choose(texts: &[&str], lexicon: Lexicon) -> Self {
        let mut words: BTreeMap<u64, Box<str>> = BTreeMap::new();
        let counts = count(texts, |text, visit| {
            Tokenizer::default().visit(text, &mut |token| {
                if token.kind == TokenKind::Word && !token.tag {
                    let key = word_key(token.word);
                    words.entry(key).or_insert_with(|| token.word.into());
                    visit(key);
                }
            });
        });
        words.retain(|key, _| counts.get(key).is_some_and(|n| *n >= MIN_TEXTS));
        words.extend(lexicon.words.into_iter().map(|word| (word_key(&word), word)));
        let mut stems = CachedStemmer::default();
        let counts = count(texts, |text, visit| {
            features(text, &mut stems, &words, &mut |key, _| visit(key));
        });
        let chosen = counts.into_iter().filter(|(_, n)| *n >= MIN_TEXTS).map(|(key, _)| key);
        let moods = lexicon.moods;
        let mut keys: Vec<u64> = chosen.chain(words.keys().copied()).chain(moods.keys().copied()).collect();
        keys.sort_unstable();
        keys.dedup();
        let columns = keys.iter().copied().zip(0..).collect();
        Self { keys, columns, words, moods }
    }

    /// Returns the number of columns, features and moods.
    pub fn width(&self) -> usize {
        self.keys.len() + MOOD_FEATURES
    }

    fn mood(&self, key: u64) -> f32 {
        self.moods.get(&key).copied().unwrap_or(0.0)
    }

    /// Returns the model's table: weights and mood by feature key. A word's weights are the sum over its
    /// grams.
    pub fn table(&self, weights: &[[f32; HEADS]]) -> Vec<(u64, ColumnWeights)> {
        let mut stems = CachedStemmer::default();
        let weights_of =
            |key: &u64| self.columns.get(key).map_or([0.0; HEADS], |column| weights[*column as usize]);
        let each = self.keys.iter().map(|key| {
            let mut sum = weights_of(key);
            if let Some(word) = self.words.get(key) {
                sum = [0.0; HEADS];
                word_grams(word, &mut stems, &mut |gram| {
                    sum.iter_mut().zip(weights_of(&gram.key)).for_each(|(sum, w)| *sum += gram.value * w);
                });
            }
            let [a, b, c, d, e] = sum;
            (*key, [a, b, c, d, e, self.mood(*key)])
        });
        each.collect()
    }

    /// Returns a feature row for each text.
    pub fn rows(&self, texts: &[&str]) -> SparseRows {
        let (mut rows, mut stems) = (SparseRows::default(), CachedStemmer::default());
        for text in texts {
            let mut row: BTreeMap<u32, f32> = BTreeMap::new();
            features(text, &mut stems, &self.words, &mut |key, value| {
                if let Some(column) = self.columns.get(&key) {
                    *row.entry(*column).or_default() += value;
                }
            });
            let values = self.moods_of(text, &mut stems);
            let moods = values.into_iter().enumerate().map(|(i, v)| ((self.keys.len() + i) as u32, v));
            let row: Vec<(u32, f32)> = row.into_iter().chain(moods).collect();
            rows.push(&row);
        }
        rows
    }

    fn moods_of(&self, text: &str, stems: &mut CachedStemmer) -> [f32; MOOD_FEATURES] {
        let mut moods = MoodFeatures::default();
        Tokenizer::default().visit(text, &mut |token| {
            if !token.kind.weighs() {
                return;
            }
            let mut mood = 0.0;
            token_grams(&token, stems, &|key| self.words.contains_key(&key), &mut |gram| {
                if gram.word {
                    mood += self.mood(gram.key);
                }
            });
            moods.push(&token, mood);
        });
        moods.values()
    }
}

/// Counts in how many texts each key occurs.
fn count(texts: &[&str], mut each: impl FnMut(&str, &mut dyn FnMut(u64))) -> HashMap<u64, u32> {
    let mut counts: HashMap<u64, u32> = HashMap::new();
    let mut seen = Vec::new();
    for text in texts {
        seen.clear();
        each(text, &mut |key| seen.push(key));
        seen.sort_unstable();
        seen.dedup();
        seen.iter().for_each(|key| *counts.entry(*key).or_default() += 1);
    }
    counts
}

/// Visits the features of a text with their values, including pairs of adjacent tokens.
fn features(
    text: &str,
    stems: &mut CachedStemmer,
    words: &BTreeMap<u64, Box<str>>,
    visit: &mut impl FnMut(u64, f32),
) {
    let mut before = None;
    Tokenizer::default().visit(text, &mut |token| {
        if !token.kind.weighs() {
            return;
        }
        token_grams(&token, stems, &|key| words.contains_key(&key), &mut |gram| {
            // An unknown word is not a feature itself, because the model would treat it as a known one.
            if !gram.word || token.kind != TokenKind::Word || words.contains_key(&gram.key) {
                visit(gram.key, gram.value);
            }
        });
        let key = token_key(&token);
        if let Some(before) = before {
            visit(pair_key(before, key), 1.0);
        }
        before = Some(key);
    });
}
