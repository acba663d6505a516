//! The text model: linear in its features, so that every prediction can be attributed to words.
//!
//! z_k = b_k + sum of w_kf over the post's features f + sum of m_ki times its mood features i. Negative,
//! neutral and positive are the softmax of their z; complaint and arousal are the logistic function of
//! theirs. The calibration is part of the weights. Trained by `firewatch train sentiment`; see
//! `models/sentiment.md` for data and figures.

use firewatch_domain::Sentiment;
use serde::{Deserialize, Serialize};

use crate::ModelError;
use crate::model_format::ModelFormat;
use crate::text::{
    COLUMNS, CachedStemmer, ColumnWeights, FlagMatcher, FlagSpan, MOOD_FEATURES, MoodFeatures, PersonalSpan,
    Token, TokenKind, Tokenizer, WeightTable, WordLine, negated_key, pair_key, token_key, token_words,
    word_grams, word_key,
};

/// Number of outputs: negative, neutral, positive, complaint, arousal, in this order.
pub const HEADS: usize = 5;
/// The column of the weight table that holds the lexicon's mood of a word.
const MOOD_COLUMN: usize = 5;
/// Number of cached sums of unknown words, a power of two.
const CACHE_SIZE: usize = 1 << 13;

const FORMAT: ModelFormat = ModelFormat { magic: b"FWTEXT\r\n", version: 2, description: "a text model" };

/// The parameters of the model outside the weight table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadWeights {
    /// The bias b of each output, in log-odds.
    pub bias: [f32; HEADS],
    /// The weights m of the mood features, a row for each output.
    pub mood_weights: [[f32; MOOD_FEATURES]; HEADS],
    /// The prediction for a post that cannot be read: the shares in the training data, 0..1.
    pub prior: [f32; HEADS],
}

impl HeadWeights {
    fn check(&self) -> Result<(), ModelError> {
        let numbers = self.bias.iter().chain(self.mood_weights.iter().flatten()).chain(&self.prior);
        if numbers.into_iter().all(|w| w.is_finite()) {
            return Ok(());
        }
        Err(ModelError::File("a text model with a weight that is not finite".into()))
    }
}

/// The text model: output parameters, weight table and flag matcher. Shared between threads; see [`Scratch`].
pub struct SentimentModel {
    head: HeadWeights,
    table: WeightTable,
    flags: FlagMatcher,
}

/// The model's prediction for a post.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TextPrediction {
    /// Probabilities of negative, neutral and positive, which add up to 1. Calibrated for a stream in which
    /// the three are equally frequent.
    pub sentiment: Sentiment,
    /// P(complaint), 0..1.
    pub complaint: f32,
    /// P(the author is aroused: anger, outrage), 0..1.
    pub arousal: f32,
}

impl TextPrediction {
    /// Converts the outputs' log-odds: negative, neutral and positive by softmax, complaint and arousal by
    /// the logistic function.
    #[must_use]
    pub fn from_log_odds(z: &[f32; HEADS]) -> Self {
        let sigmoid = |z: f32| 1.0 / (1.0 + (-z).exp());
        let top = z[0].max(z[1]).max(z[2]);
        let e = [z[0], z[1], z[2]].map(|v| (v - top).exp());
        let sum = e[0] + e[1] + e[2];
        let sentiment = Sentiment { negative: e[0] / sum, neutral: e[1] / sum, positive: e[2] / sum };
        Self { sentiment, complaint: sigmoid(z[3]), arousal: sigmoid(z[4]) }
    }

    /// Returns the mean of two predictions.
    #[must_use]
    pub fn mean(&self, other: &Self) -> Self {
        let mean = |a: f32, b: f32| f32::midpoint(a, b);
        let (a, b) = (self.sentiment, other.sentiment);
        Self {
            sentiment: Sentiment {
                negative: mean(a.negative, b.negative),
                neutral: mean(a.neutral, b.neutral),
                positive: mean(a.positive, b.positive),
            },
            complaint: mean(self.complaint, other.complaint),
            arousal: mean(self.arousal, other.arousal),
        }
    }
}

/// A token of the last post and its contribution. The weight of a pair is split evenly between its two
/// tokens.
#[derive(Debug, Clone, Copy)]
pub struct TokenContribution {
    /// Start in the text, in bytes.
    pub start: usize,
    /// End in the text, in bytes, exclusive.
    pub end: usize,
    /// Log-odds that the token adds to each output.
    pub contributions: [f32; HEADS],
    /// Whether a negation affects the token.
    pub negated: bool,
    /// Whether the token is a word, emoji or emoticon in the weight table.
    pub is_known_word: bool,
    /// The token's key in pairs.
    pub(crate) key: u64,
}

/// Buffers and caches of one thread, reused between posts of one model, whose weights they cache. They also
/// hold the tokens and flags of the last post.
pub struct Scratch {
    tokenizer: Tokenizer,
    pub(crate) stemmer: CachedStemmer,
    pub(crate) lower: String,
    cache: Box<[CachedWeights]>,
    words: WordLine,
    pub(crate) parts: Vec<TokenContribution>,
    pub(crate) flags: Vec<FlagSpan>,
    /// The identifiers of persons in the last post, if it was searched for them.
    pub(crate) identifiers: Option<Vec<PersonalSpan>>,
    pub(crate) count: WordCounts,
}

/// Numbers of tokens, of words, and of words that the model knows, in a post.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WordCounts {
    pub tokens: u32,
    pub words: u32,
    pub known: u32,
}

/// A cached weight sum of a hashtag or of a word that is not in the table.
#[derive(Debug, Clone, Copy, Default)]
struct CachedWeights {
    /// The key of the word and its context (negated, hashtag); 0 for an unused entry.
    cache_key: u64,
    sum: ColumnWeights,
}

impl Scratch {
    /// Returns the flags of the last post, in order of position.
    #[must_use]
    pub fn flags(&self) -> &[FlagSpan] {
        &self.flags
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            tokenizer: Tokenizer::default(),
            stemmer: CachedStemmer::default(),
            lower: String::new(),
            cache: vec![CachedWeights::default(); CACHE_SIZE].into(),
            words: WordLine::default(),
            parts: Vec::new(),
            flags: Vec::new(),
            identifiers: None,
            count: WordCounts::default(),
        }
    }
}

impl SentimentModel {
    /// Returns whether the bytes begin with the magic of a text model file.
    #[must_use]
    pub fn has_magic(bytes: &[u8]) -> bool {
        FORMAT.has_magic(bytes)
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// If the bytes are not a text model file of this version, are truncated or altered, or hold a number
    /// that is not finite.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let ((head, steps), table): ((HeadWeights, ColumnWeights), &[u8]) = FORMAT.read(bytes)?;
        head.check()?;
        Ok(Self { head, table: WeightTable::read(table, steps)?, flags: FlagMatcher::shipped()? })
    }

    /// Writes a model file. The weights of a word must be the sum over its features, including stem and
    /// subwords, so that one lookup finds them all.
    ///
    /// # Errors
    /// If the file would exceed 16 MiB or a weight is not finite.
    pub fn to_bytes(head: &HeadWeights, features: &[(u64, ColumnWeights)]) -> Result<Vec<u8>, ModelError> {
        head.check()?;
        let (table, mut slots) = (WeightTable::from_features(features), Vec::new());
        table.write(&mut slots);
        FORMAT.write(&(head, table.steps()), &slots)
    }

    /// Returns P(complaint) of a post without a prediction.
    #[must_use]
    pub fn prior_complaint(&self) -> f32 {
        self.head.prior[3]
    }

    /// Returns the prediction for a post that cannot be read.
    #[must_use]
    pub fn prior(&self) -> TextPrediction {
        let [negative, neutral, positive, complaint, arousal] = self.head.prior;
        TextPrediction { sentiment: Sentiment { negative, neutral, positive }, complaint, arousal }
    }

    /// Predicts the sentiment of an English text. Its tokens with their contributions and its flags stay in
    /// `scratch`.
    pub fn predict(&self, scratch: &mut Scratch, text: &str) -> TextPrediction {
        let Scratch {
            tokenizer: tokens,
            stemmer: stems,
            cache: remembered,
            words,
            parts,
            flags,
            identifiers,
            count,
            ..
        } = scratch;
        words.clear();
        parts.clear();
        *count = WordCounts::default();
        let (mut z, mut moods) = (self.head.bias, MoodFeatures::default());
        tokens.visit(text, &mut |token| {
            words.push(&token);
            count.tokens += 1;
            if !token.kind.weighs() {
                return;
            }
            let key = token_key(&token);
            let own = self.table.get(key);
            let sum = match own {
                Some(own) if !token.tag => self.weights_in_context(own, &token),
                _ if token.kind == TokenKind::Word => {
                    self.unknown_word_weights(key, &token, stems, remembered)
                }
                _ => ColumnWeights::default(),
            };
            moods.push(&token, sum[MOOD_COLUMN]);
            if token.kind == TokenKind::Word && !token.tag {
                count.words += 1;
                count.known += u32::from(own.is_some());
            }
            let word = own.is_some()
                && matches!(token.kind, TokenKind::Word | TokenKind::Emoji | TokenKind::Emoticon);
            let (start, end, negated) = (token.start, token.end, token.negated);
            parts.push(TokenContribution {
                start,
                end,
                contributions: head_columns(&sum),
                negated,
                is_known_word: word,
                key,
            });
            add(&mut z, &sum, 1.0);
        });
        self.add_pairs(parts, &mut z);
        let values = moods.values();
        for (z, weights) in z.iter_mut().zip(&self.head.mood_weights) {
            *z += weights.iter().zip(&values).map(|(w, v)| w * v).sum::<f32>();
        }
        *identifiers = self.flags.find(text, words, flags);
        TextPrediction::from_log_odds(&z)
    }

    /// Adds the weights of pairs, half to each of their tokens. The lookups run in a loop of their own, so
    /// that the processor can overlap their cache misses.
    fn add_pairs(&self, parts: &mut [TokenContribution], z: &mut [f32; HEADS]) {
        for i in 1..parts.len() {
            let [before, after] = &mut parts[i - 1..=i] else { return };
            if let Some(weights) = self.table.get(pair_key(before.key, after.key)) {
                add(z, &weights, 1.0);
                add(&mut before.contributions, &weights, 0.5);
                add(&mut after.contributions, &weights, 0.5);
            }
        }
    }

    /// Returns the weights of a known word in its context: with those of its negated form if it is negated.
    fn weights_in_context(&self, mut own: ColumnWeights, token: &Token<'_>) -> ColumnWeights {
        if token.negated
            && let Some(weights) = self.table.get(negated_key(token.word))
        {
            own.iter_mut().zip(weights).take(MOOD_COLUMN).for_each(|(sum, w)| *sum += w);
        }
        own
    }

    /// Returns the weights of a hashtag or of a word that is not in the table, from the cache or by its
    /// subwords.
    fn unknown_word_weights(
        &self,
        key: u64,
        token: &Token<'_>,
        stems: &mut CachedStemmer,
        cache: &mut [CachedWeights],
    ) -> ColumnWeights {
        let context_bits = u64::from(token.negated) << 1 | u64::from(token.tag);
        let cache_key = (key.rotate_left(7) ^ context_bits.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1;
        let entry = &mut cache[cache_key as usize >> 1 & (CACHE_SIZE - 1)];
        if entry.cache_key != cache_key {
            *entry = CachedWeights { cache_key, sum: self.subword_sum(token, stems) };
        }
        entry.sum
    }

    fn subword_sum(&self, token: &Token<'_>, stems: &mut CachedStemmer) -> ColumnWeights {
        let mut sum = ColumnWeights::default();
        let known = |key| self.table.get(key).is_some();
        token_words(token, &known, &mut |word| {
            if let Some(own) = self.table.get(word_key(word)) {
                let own = self.weights_in_context(own, &Token { word, ..*token });
                return sum.iter_mut().zip(own).for_each(|(sum, w)| *sum += w);
            }
            word_grams(word, stems, &mut |gram| {
                if let Some(weights) = self.table.get(gram.key) {
                    sum.iter_mut().zip(weights).take(MOOD_COLUMN).for_each(|(sum, w)| *sum += gram.value * w);
                }
            });
        });
        sum
    }
}

fn add(z: &mut [f32; HEADS], weights: &ColumnWeights, times: f32) {
    z.iter_mut().zip(weights).for_each(|(z, w)| *z += times * w);
}

fn head_columns(weights: &ColumnWeights) -> [f32; HEADS] {
    let [negative, neutral, positive, complaint, arousal, _] = *weights;
    [negative, neutral, positive, complaint, arousal]
}

const _: () = assert!(COLUMNS == HEADS + 1 && MOOD_COLUMN == HEADS);
