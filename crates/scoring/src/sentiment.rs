//! The text model: linear in features, so that every score can say which words made it.
//!
//! z_k = b_k + sum of w_kf over the post's features + sum of m_ki times its moods; negative, neutral and positive are
//! the softmax of theirs, complaint and arousal the logistic function of theirs. Calibration is folded into the
//! weights. Trained by `firewatch train sentiment`; see `models/sentiment.md` for data and figures.

use firewatch_domain::Sentiment;
use serde::{Deserialize, Serialize};

use crate::ModelError;
use crate::model_format::ModelFormat;
use crate::text::{
    COLUMNS, CachedStemmer, ColumnWeights, FlagMatcher, FlagSpan, MOOD_FEATURES, MoodFeatures, Token,
    TokenKind, Tokenizer, WeightTable, WordLine, negated_key, pair_key, token_key, token_words, word_grams,
    word_key,
};

/// What is said of a post: negative, neutral, positive, complaint, arousal.
pub const HEADS: usize = 5;
/// The column of the table that holds a lexicon's mood.
const MOOD_COLUMN: usize = 5;
/// Strange words whose sums are remembered; a power of two.
const CACHE_SIZE: usize = 1 << 13;

const FORMAT: ModelFormat = ModelFormat { magic: b"FWTEXT\r\n", version: 2, description: "a text model" };

/// All of the model that is no table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadWeights {
    /// b.
    pub bias: [f32; HEADS],
    /// m.
    pub mood_weights: [[f32; MOOD_FEATURES]; HEADS],
    /// What is said of a post that cannot be read: the shares in the training data.
    pub prior: [f32; HEADS],
}

impl HeadWeights {
    fn check(&self) -> Result<(), ModelError> {
        let numbers = self.bias.iter().chain(self.mood_weights.iter().flatten()).chain(&self.prior);
        if numbers.into_iter().all(|w| w.is_finite()) {
            return Ok(());
        }
        Err(ModelError::File("a text model with a weight that is no number".into()))
    }
}

/// The model.
pub struct SentimentModel {
    head: HeadWeights,
    table: WeightTable,
    flags: FlagMatcher,
}

/// What the model says of a post.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TextPrediction {
    /// Adds up to 1; for a stream in which the three are equally common.
    pub sentiment: Sentiment,
    /// P(complaint).
    pub complaint: f32,
    /// P(the writer is roused: anger, outrage).
    pub arousal: f32,
}

impl TextPrediction {
    /// From log-odds: negative, neutral and positive by softmax, complaint and arousal by the logistic function.
    #[must_use]
    pub fn from_log_odds(z: &[f32; HEADS]) -> Self {
        let sigmoid = |z: f32| 1.0 / (1.0 + (-z).exp());
        let top = z[0].max(z[1]).max(z[2]);
        let e = [z[0], z[1], z[2]].map(|v| (v - top).exp());
        let sum = e[0] + e[1] + e[2];
        let sentiment = Sentiment { negative: e[0] / sum, neutral: e[1] / sum, positive: e[2] / sum };
        Self { sentiment, complaint: sigmoid(z[3]), arousal: sigmoid(z[4]) }
    }

    /// The mean of two opinions.
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

/// A token of the last post and what it adds; pairs add half to either of their words.
#[derive(Debug, Clone, Copy)]
pub struct TokenContribution {
    /// Where it starts, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// Log-odds it adds to each of what is said.
    pub contributions: [f32; HEADS],
    /// It stands under a negation.
    pub negated: bool,
    /// One word that the model knows.
    pub is_known_word: bool,
    /// What names it in pairs.
    pub(crate) key: u64,
}

/// What reading needs between posts. It never changes a result.
pub struct Scratch {
    tokenizer: Tokenizer,
    pub(crate) stemmer: CachedStemmer,
    pub(crate) lower: String,
    cache: Box<[CachedWeights]>,
    words: WordLine,
    pub(crate) parts: Vec<TokenContribution>,
    pub(crate) flags: Vec<FlagSpan>,
    pub(crate) count: WordCounts,
}

/// How many words a post has and how many of them are known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WordCounts {
    pub tokens: u32,
    pub words: u32,
    pub known: u32,
}

/// The sum over the features of a word that the table does not have, or of a tag.
#[derive(Debug, Clone, Copy, Default)]
struct CachedWeights {
    /// The word with how it stands; 0 for none.
    cache_key: u64,
    sum: ColumnWeights,
}

impl Scratch {
    /// The flags of the last post, in order of place.
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
            count: WordCounts::default(),
        }
    }
}

impl SentimentModel {
    /// Whether bytes begin as a file of this kind.
    #[must_use]
    pub fn has_magic(bytes: &[u8]) -> bool {
        FORMAT.has_magic(bytes)
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// When the bytes are no such file, of another version, cut off, altered, or hold numbers that are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let ((head, steps), table): ((HeadWeights, ColumnWeights), &[u8]) = FORMAT.read(bytes)?;
        head.check()?;
        Ok(Self { head, table: WeightTable::read(table, steps)?, flags: FlagMatcher::shipped()? })
    }

    /// Writes a model file: at most 16 MiB. The weights of a word are the sum over its features, its stem and parts
    /// among them, so that one look finds them all.
    ///
    /// # Errors
    /// When it would be larger, or a weight is no number.
    pub fn to_bytes(head: &HeadWeights, features: &[(u64, ColumnWeights)]) -> Result<Vec<u8>, ModelError> {
        head.check()?;
        let (table, mut slots) = (WeightTable::from_features(features), Vec::new());
        table.write(&mut slots);
        FORMAT.write(&(head, table.steps()), &slots)
    }

    /// P(complaint) of a post nothing is known of.
    #[must_use]
    pub fn prior_complaint(&self) -> f32 {
        self.head.prior[3]
    }

    /// What is said of a post that cannot be read.
    #[must_use]
    pub fn prior(&self) -> TextPrediction {
        let [negative, neutral, positive, complaint, arousal] = self.head.prior;
        TextPrediction { sentiment: Sentiment { negative, neutral, positive }, complaint, arousal }
    }

    /// Says what it thinks of an English text; the words that made it and the flags stay in `scratch`.
    pub fn predict(&self, scratch: &mut Scratch, text: &str) -> TextPrediction {
        let Scratch {
            tokenizer: tokens, stemmer: stems, cache: remembered, words, parts, flags, count, ..
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
        self.flags.find(text, words, flags);
        TextPrediction::from_log_odds(&z)
    }

    /// Adds what pairs weigh, half of it to either of their words. Looked up in a row of their own, as each look is a
    /// miss of the cache that the processor need not wait for.
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

    /// What a known word weighs where it stands.
    fn weights_in_context(&self, mut own: ColumnWeights, token: &Token<'_>) -> ColumnWeights {
        if token.negated
            && let Some(weights) = self.table.get(negated_key(token.word))
        {
            own.iter_mut().zip(weights).take(MOOD_COLUMN).for_each(|(sum, w)| *sum += w);
        }
        own
    }

    /// What a word that the table does not have, or a tag, weighs.
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
