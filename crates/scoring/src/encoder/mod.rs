//! The second tier: a small transformer, asked only about posts where a better opinion is worth milliseconds.
//!
//! A BERT encoder (Devlin et al. 2019) of six layers, started from all-MiniLM-L6-v2 (Apache-2.0), tuned on labelled
//! posts by `firewatch train encoder` and kept as 8-bit integers. It also teaches the fast tier when that is trained.

mod file;
mod network;
mod wordpiece;

use crate::{ModelError, TextPrediction};

pub use network::{
    ATTENTION_HEADS, Dense, EncoderWeights, HIDDEN_SIZE, INTERMEDIATE_SIZE, LAYERS, LayerNorm, MAX_PIECES,
    MatrixShape, TransformerLayer,
};
pub use wordpiece::{Vocabulary, normalize};

/// The encoder.
pub struct Encoder {
    vocabulary: Vocabulary,
    weights: EncoderWeights,
}

impl Encoder {
    /// Joins a vocabulary with weights.
    ///
    /// # Errors
    /// When the sizes do not fit each other or a weight is no number.
    pub fn new(vocabulary: Vocabulary, weights: EncoderWeights) -> Result<Self, ModelError> {
        weights.check(vocabulary.len())?;
        Ok(Self { vocabulary, weights })
    }

    /// Its vocabulary and weights.
    #[must_use]
    pub fn parts(&self) -> (&Vocabulary, &EncoderWeights) {
        (&self.vocabulary, &self.weights)
    }

    /// Reads an encoder file.
    ///
    /// # Errors
    /// When the bytes are no such file, of another version, cut off or altered.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let (vocabulary, weights) = file::read(bytes)?;
        Self::new(vocabulary, weights)
    }

    /// Writes an encoder file, weights rounded to 8 bits.
    ///
    /// # Errors
    /// When it would be larger than 16 MiB.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        file::write(&self.vocabulary, &self.weights)
    }

    /// Says what it thinks of an English text, of which it reads the first 96 pieces of words.
    #[must_use]
    pub fn predict(&self, text: &str) -> TextPrediction {
        TextPrediction::from_log_odds(&self.weights.forward(&self.vocabulary.encode(text)))
    }
}
