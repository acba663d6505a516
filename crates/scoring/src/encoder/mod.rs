//! The second sentiment model: a small transformer for posts whose prediction is worth several milliseconds.
//!
//! A BERT encoder (Devlin et al. 2019) with six layers, initialised from all-MiniLM-L6-v2 (Apache-2.0),
//! fine-tuned on labelled posts by `firewatch train encoder` and stored as 8-bit integers. It is also the
//! teacher of the linear text model.

mod file;
mod network;
mod wordpiece;

use crate::{ModelError, TextPrediction};

pub use network::{
    ATTENTION_HEADS, Dense, EncoderWeights, HIDDEN_SIZE, INTERMEDIATE_SIZE, LAYERS, LayerNorm, MAX_PIECES,
    MatrixShape, TransformerLayer,
};
pub use wordpiece::{Vocabulary, normalize};

/// A fine-tuned encoder: vocabulary and weights.
pub struct Encoder {
    vocabulary: Vocabulary,
    weights: EncoderWeights,
}

impl Encoder {
    /// Builds an encoder from a vocabulary and weights.
    ///
    /// # Errors
    /// If the shapes do not match or a weight is not finite.
    pub fn new(vocabulary: Vocabulary, weights: EncoderWeights) -> Result<Self, ModelError> {
        weights.check(vocabulary.len())?;
        Ok(Self { vocabulary, weights })
    }

    /// Returns the vocabulary and the weights.
    #[must_use]
    pub fn parts(&self) -> (&Vocabulary, &EncoderWeights) {
        (&self.vocabulary, &self.weights)
    }

    /// Reads an encoder file.
    ///
    /// # Errors
    /// If the bytes are not an encoder file of this version, or are truncated or altered.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let (vocabulary, weights) = file::read(bytes)?;
        Self::new(vocabulary, weights)
    }

    /// Writes an encoder file, with weights rounded to 8 bits.
    ///
    /// # Errors
    /// If the file would exceed 16 MiB.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        file::write(&self.vocabulary, &self.weights)
    }

    /// Predicts the sentiment of an English text from its first 96 word pieces.
    #[must_use]
    pub fn predict(&self, text: &str) -> TextPrediction {
        TextPrediction::from_log_odds(&self.weights.forward(&self.vocabulary.encode(text)))
    }
}
