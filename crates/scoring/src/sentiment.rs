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
    COLUMNS, Flag, Flags, Kind, MOODS, Moods, Stems, Table, Token, Tokens, Weights, Words, of_token,
    pair_key, token_key,
};

/// What is said of a post: negative, neutral, positive, complaint, arousal.
pub const HEADS: usize = 5;
/// The column of the table that holds a lexicon's mood.
const MOOD: usize = 5;
/// Words whose sums are remembered; a power of two.
const REMEMBERED: usize = 1 << 16;

const FRAME: Frame = Frame { magic: b"FWTEXT\r\n", version: 1, what: "a text model" };

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
        Err(ModelError("a text model with a weight that is no number".into()))
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
}

/// What reading needs between posts. It never changes a result.
pub struct Scratch {
    tokens: Tokens,
    pub(crate) stems: Stems,
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

/// The sum over a token's features.
#[derive(Debug, Clone, Copy, Default)]
struct Remembered {
    /// The token with how it stands; 0 for none.
    key: u64,
    sum: Weights,
    known: bool,
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
            remembered: vec![Remembered::default(); REMEMBERED].into(),
            words: Words::default(),
            parts: Vec::new(),
            flags: Vec::new(),
            count: Count::default(),
        }
    }
}

impl SentimentModel {
    /// Reads a model file.
    ///
    /// # Errors
    /// When the bytes are no such file, of another version, cut off, altered, or hold numbers that are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let ((head, steps), table): ((Head, Weights), &[u8]) = FRAME.read(bytes)?;
        head.check()?;
        Ok(Self { head, table: Table::read(table, steps)?, flags: Flags::shipped()? })
    }

    /// Writes a model file: at most 16 MiB.
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
        let Scratch { tokens, stems, remembered, words, parts, flags, count } = scratch;
        words.clear();
        parts.clear();
        *count = Count::default();
        let (mut z, mut moods) = (self.head.bias, Moods::default());
        let mut before = None;
        tokens.visit(text, &mut |token| {
            words.take(&token);
            count.tokens += 1;
            if !token.kind.weighs() {
                return;
            }
            let key = token_key(&token);
            let found = self.remember(key, &token, stems, remembered);
            moods.take(&token, found.sum[MOOD]);
            if token.kind == Kind::Word && !token.tag {
                count.words += 1;
                count.known += u32::from(found.known);
            }
            let word = found.known && matches!(token.kind, Kind::Word | Kind::Emoji | Kind::Emoticon);
            let (start, end, negated) = (token.start, token.end, token.negated);
            parts.push(Part { start, end, adds: adds(&found.sum), negated, word });
            add(&mut z, &found.sum, 1.0);
            if let Some(weights) = before.and_then(|before| self.table.get(pair_key(before, key))) {
                add(&mut z, &weights, 1.0);
                parts.iter_mut().rev().take(2).for_each(|part| add(&mut part.adds, &weights, 0.5));
            }
            before = Some(key);
        });
        let values = moods.values();
        for (z, weights) in z.iter_mut().zip(&self.head.moods) {
            *z += weights.iter().zip(&values).map(|(w, v)| w * v).sum::<f32>();
        }
        self.flags.find(text, words, flags);
        Said::of(&z)
    }

    fn remember<'r>(
        &self,
        key: u64,
        token: &Token<'_>,
        stems: &mut Stems,
        remembered: &'r mut [Remembered],
    ) -> &'r Remembered {
        let stands = u64::from(token.negated) << 1 | u64::from(token.tag);
        let name = (key.rotate_left(7) ^ stands.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1;
        let entry = &mut remembered[name as usize >> 1 & (REMEMBERED - 1)];
        if entry.key != name {
            *entry = self.sum(name, token, stems);
        }
        entry
    }

    fn sum(&self, name: u64, token: &Token<'_>, stems: &mut Stems) -> Remembered {
        let mut entry = Remembered { key: name, ..Remembered::default() };
        let known = |key| self.table.get(key).is_some();
        entry.known = self.table.get(token_key(token)).is_some();
        of_token(token, stems, &known, &mut |gram| {
            if let Some(weights) = self.table.get(gram.key) {
                for (sum, w) in entry.sum.iter_mut().zip(weights).take(MOOD) {
                    *sum += gram.value * w;
                }
                if gram.word {
                    entry.sum[MOOD] += weights[MOOD];
                }
            }
        });
        entry
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
