//! The text model: linear in features, so that every score can say which words made it.
//!
//! z_k = b_k + sum of w_kf over the post's features + sum of m_ki times its moods; negative, neutral and positive are
//! the softmax of theirs, complaint and arousal the logistic function of theirs. Calibration is folded into the
//! weights. Trained by `firewatch train sentiment`; see `models/sentiment.md` for data and figures.

use firewatch_domain::Sentiment;
use serde::{Deserialize, Serialize};

use crate::ModelError;
use crate::frame::Frame;
use crate::text::{
    COLUMNS, Flag, Flags, Kind, MOODS, Moods, Stems, Table, Token, Tokens, Weights, Words, negated_key,
    of_word, pair_key, token_key, word_key, words_of,
};

/// What is said of a post: negative, neutral, positive, complaint, arousal.
pub const HEADS: usize = 5;
/// The column of the table that holds a lexicon's mood.
const MOOD: usize = 5;
/// Strange words whose sums are remembered; a power of two.
const REMEMBERED: usize = 1 << 13;

const FRAME: Frame = Frame { magic: b"FWTEXT\r\n", version: 2, what: "a text model" };

/// All of the model that is no table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// b.
    pub bias: [f32; HEADS],
    /// m.
    pub moods: [[f32; MOODS]; HEADS],
    /// What is said of a post that cannot be read: the shares in the training data.
    pub prior: [f32; HEADS],
}

impl Head {
    fn check(&self) -> Result<(), ModelError> {
        let numbers = self.bias.iter().chain(self.moods.iter().flatten()).chain(&self.prior);
        if numbers.into_iter().all(|w| w.is_finite()) {
            return Ok(());
        }
        Err(ModelError::File("a text model with a weight that is no number".into()))
    }
}

/// The model.
pub struct SentimentModel {
    head: Head,
    table: Table,
    flags: Flags,
}

/// What the model says of a post.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Adds up to 1; for a stream in which the three are equally common.
    pub sentiment: Sentiment,
    /// P(complaint).
    pub complaint: f32,
    /// P(the writer is roused: anger, outrage).
    pub arousal: f32,
}

impl Said {
    /// From log-odds: negative, neutral and positive by softmax, complaint and arousal by the logistic function.
    #[must_use]
    pub fn of(z: &[f32; HEADS]) -> Self {
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
pub struct Part {
    /// Where it starts, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// Log-odds it adds to each of what is said.
    pub adds: [f32; HEADS],
    /// It stands under a negation.
    pub negated: bool,
    /// One word that the model knows.
    pub word: bool,
    /// What names it in pairs.
    pub(crate) key: u64,
}

/// What reading needs between posts. It never changes a result.
pub struct Scratch {
    tokens: Tokens,
    pub(crate) stems: Stems,
    pub(crate) lower: String,
    remembered: Box<[Remembered]>,
    words: Words,
    pub(crate) parts: Vec<Part>,
    pub(crate) flags: Vec<Flag>,
    pub(crate) count: Count,
}

/// How many words a post has and how many of them are known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Count {
    pub tokens: u32,
    pub words: u32,
    pub known: u32,
}

/// The sum over the features of a word that the table does not have, or of a tag.
#[derive(Debug, Clone, Copy, Default)]
struct Remembered {
    /// The word with how it stands; 0 for none.
    name: u64,
    sum: Weights,
}

impl Scratch {
    /// The flags of the last post, in order of place.
    #[must_use]
    pub fn flags(&self) -> &[Flag] {
        &self.flags
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            tokens: Tokens::default(),
            stems: Stems::default(),
            lower: String::new(),
            remembered: vec![Remembered::default(); REMEMBERED].into(),
            words: Words::default(),
            parts: Vec::new(),
            flags: Vec::new(),
            count: Count::default(),
        }
    }
}

impl SentimentModel {
    /// Whether bytes begin as a file of this kind.
    #[must_use]
    pub fn is_one(bytes: &[u8]) -> bool {
        FRAME.begins(bytes)
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// When the bytes are no such file, of another version, cut off, altered, or hold numbers that are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let ((head, steps), table): ((Head, Weights), &[u8]) = FRAME.read(bytes)?;
        head.check()?;
        Ok(Self { head, table: Table::read(table, steps)?, flags: Flags::shipped()? })
    }

    /// Writes a model file: at most 16 MiB. The weights of a word are the sum over its features, its stem and parts
    /// among them, so that one look finds them all.
    ///
    /// # Errors
    /// When it would be larger, or a weight is no number.
    pub fn to_bytes(head: &Head, features: &[(u64, Weights)]) -> Result<Vec<u8>, ModelError> {
        head.check()?;
        let (table, mut slots) = (Table::of(features), Vec::new());
        table.write(&mut slots);
        FRAME.write(&(head, table.steps()), &slots)
    }

    /// P(complaint) of a post nothing is known of.
    #[must_use]
    pub fn prior_complaint(&self) -> f32 {
        self.head.prior[3]
    }

    /// What is said of a post that cannot be read.
    #[must_use]
    pub fn prior(&self) -> Said {
        let [negative, neutral, positive, complaint, arousal] = self.head.prior;
        Said { sentiment: Sentiment { negative, neutral, positive }, complaint, arousal }
    }

    /// Says what it thinks of an English text; the words that made it and the flags stay in `scratch`.
    pub fn say(&self, scratch: &mut Scratch, text: &str) -> Said {
        let Scratch { tokens, stems, remembered, words, parts, flags, count, .. } = scratch;
        words.clear();
        parts.clear();
        *count = Count::default();
        let (mut z, mut moods) = (self.head.bias, Moods::default());
        tokens.visit(text, &mut |token| {
            words.take(&token);
            count.tokens += 1;
            if !token.kind.weighs() {
                return;
            }
            let key = token_key(&token);
            let own = self.table.get(key);
            let sum = match own {
                Some(own) if !token.tag => self.stands(own, &token),
                _ if token.kind == Kind::Word => self.strange(key, &token, stems, remembered),
                _ => Weights::default(),
            };
            moods.take(&token, sum[MOOD]);
            if token.kind == Kind::Word && !token.tag {
                count.words += 1;
                count.known += u32::from(own.is_some());
            }
            let word = own.is_some() && matches!(token.kind, Kind::Word | Kind::Emoji | Kind::Emoticon);
            let (start, end, negated) = (token.start, token.end, token.negated);
            parts.push(Part { start, end, adds: adds(&sum), negated, word, key });
            add(&mut z, &sum, 1.0);
        });
        self.add_pairs(parts, &mut z);
        let values = moods.values();
        for (z, weights) in z.iter_mut().zip(&self.head.moods) {
            *z += weights.iter().zip(&values).map(|(w, v)| w * v).sum::<f32>();
        }
        self.flags.find(text, words, flags);
        Said::of(&z)
    }

    /// Adds what pairs weigh, half of it to either of their words. Looked up in a row of their own, as each look is a
    /// miss of the cache that the processor need not wait for.
    fn add_pairs(&self, parts: &mut [Part], z: &mut [f32; HEADS]) {
        for i in 1..parts.len() {
            let [before, after] = &mut parts[i - 1..=i] else { return };
            if let Some(weights) = self.table.get(pair_key(before.key, after.key)) {
                add(z, &weights, 1.0);
                add(&mut before.adds, &weights, 0.5);
                add(&mut after.adds, &weights, 0.5);
            }
        }
    }

    /// What a known word weighs where it stands.
    fn stands(&self, mut own: Weights, token: &Token<'_>) -> Weights {
        if token.negated
            && let Some(weights) = self.table.get(negated_key(token.word))
        {
            own.iter_mut().zip(weights).take(MOOD).for_each(|(sum, w)| *sum += w);
        }
        own
    }

    /// What a word that the table does not have, or a tag, weighs.
    fn strange(
        &self,
        key: u64,
        token: &Token<'_>,
        stems: &mut Stems,
        remembered: &mut [Remembered],
    ) -> Weights {
        let stands = u64::from(token.negated) << 1 | u64::from(token.tag);
        let name = (key.rotate_left(7) ^ stands.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1;
        let entry = &mut remembered[name as usize >> 1 & (REMEMBERED - 1)];
        if entry.name != name {
            *entry = Remembered { name, sum: self.sum(token, stems) };
        }
        entry.sum
    }

    fn sum(&self, token: &Token<'_>, stems: &mut Stems) -> Weights {
        let mut sum = Weights::default();
        let known = |key| self.table.get(key).is_some();
        words_of(token, &known, &mut |word| {
            if let Some(own) = self.table.get(word_key(word)) {
                let own = self.stands(own, &Token { word, ..*token });
                return sum.iter_mut().zip(own).for_each(|(sum, w)| *sum += w);
            }
            of_word(word, stems, &mut |gram| {
                if let Some(weights) = self.table.get(gram.key) {
                    sum.iter_mut().zip(weights).take(MOOD).for_each(|(sum, w)| *sum += gram.value * w);
                }
            });
        });
        sum
    }
}

fn add(z: &mut [f32; HEADS], weights: &Weights, times: f32) {
    z.iter_mut().zip(weights).for_each(|(z, w)| *z += times * w);
}

fn adds(weights: &Weights) -> [f32; HEADS] {
    let [negative, neutral, positive, complaint, arousal, _] = *weights;
    [negative, neutral, positive, complaint, arousal]
}

const _: () = assert!(COLUMNS == HEADS + 1 && MOOD == HEADS);
