//! The encoder's forward pass, for one post at a time.
//!
//! x = LN(word + position + type); each layer: x = LN(x + O softmax(QK'/sqrt(d)) V), x = LN(x + W2 gelu(W1
//! x)). The output heads read the mean over the pieces. LN is the layer norm with epsilon 1e-12; gelu is the
//! tanh approximation.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

use crate::{HEADS, ModelError};

/// Width of the hidden states.
pub const HIDDEN_SIZE: usize = 384;
/// Width of the feed-forward part of a layer.
pub const INTERMEDIATE_SIZE: usize = 1536;
/// Number of layers.
pub const LAYERS: usize = 6;
/// Number of attention heads.
pub const ATTENTION_HEADS: usize = 12;
/// Maximum number of pieces of a text; the rest is ignored.
pub const MAX_PIECES: usize = 96;
/// Width of an attention head.
const HEAD_SIZE: usize = HIDDEN_SIZE / ATTENTION_HEADS;

/// Rows and columns of a matrix.
pub type MatrixShape = (usize, usize);

/// A linear layer y = W x + b. `weight` has one row for each output.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    /// W in row-major order, shape (outputs, inputs).
    pub weight: Vec<f32>,
    /// b, one value for each output.
    pub bias: Vec<f32>,
}

/// A layer norm over the hidden width.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNorm {
    /// The scale, one value for each hidden unit.
    pub weight: Vec<f32>,
    /// The offset, one value for each hidden unit.
    pub bias: Vec<f32>,
}

/// One transformer layer.
#[derive(Debug, Clone, PartialEq)]
pub struct TransformerLayer {
    /// Query, key and value projections, each (hidden, hidden).
    pub attention: [Dense; 3],
    /// The projection of the concatenated heads, (hidden, hidden).
    pub output: Dense,
    /// The norm after the attention.
    pub output_norm: LayerNorm,
    /// The first feed-forward layer, (intermediate, hidden).
    pub inner: Dense,
    /// The second feed-forward layer, (hidden, intermediate).
    pub outer: Dense,
    /// The norm after the feed-forward layers.
    pub outer_norm: LayerNorm,
}

/// All weights of the encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderWeights {
    /// The embeddings of the pieces, shape (pieces, hidden).
    pub piece_embeddings: Vec<f32>,
    /// The embeddings of the positions with the text type already added, shape (96, hidden).
    pub position_embeddings: Vec<f32>,
    /// The norm after the sum of both embeddings.
    pub norm: LayerNorm,
    /// The layers, [`LAYERS`] of them.
    pub layers: Vec<TransformerLayer>,
    /// The output heads, shape (heads, hidden).
    pub head: Dense,
}

impl EncoderWeights {
    /// Returns every matrix with its shape, in the order of the file. `pieces` is the size of the vocabulary.
    pub fn matrices(&self, pieces: usize) -> Vec<(&Vec<f32>, MatrixShape)> {
        let mut all = vec![
            (&self.piece_embeddings, (pieces, HIDDEN_SIZE)),
            (&self.position_embeddings, (MAX_PIECES, HIDDEN_SIZE)),
        ];
        for layer in &self.layers {
            all.extend(layer.attention.iter().map(|d| (&d.weight, (HIDDEN_SIZE, HIDDEN_SIZE))));
            all.push((&layer.output.weight, (HIDDEN_SIZE, HIDDEN_SIZE)));
            all.push((&layer.inner.weight, (INTERMEDIATE_SIZE, HIDDEN_SIZE)));
            all.push((&layer.outer.weight, (HIDDEN_SIZE, INTERMEDIATE_SIZE)));
        }
        all.push((&self.head.weight, (HEADS, HIDDEN_SIZE)));
        all
    }

    /// Returns every vector with its length, in the order of the file.
    pub fn vectors(&self) -> Vec<(&Vec<f32>, usize)> {
        let mut all = vec![(&self.norm.weight, HIDDEN_SIZE), (&self.norm.bias, HIDDEN_SIZE)];
        for layer in &self.layers {
            all.extend(layer.attention.iter().map(|d| (&d.bias, HIDDEN_SIZE)));
            all.push((&layer.output.bias, HIDDEN_SIZE));
            all.extend([(&layer.output_norm.weight, HIDDEN_SIZE), (&layer.output_norm.bias, HIDDEN_SIZE)]);
            all.extend([(&layer.inner.bias, INTERMEDIATE_SIZE), (&layer.outer.bias, HIDDEN_SIZE)]);
            all.extend([(&layer.outer_norm.weight, HIDDEN_SIZE), (&layer.outer_norm.bias, HIDDEN_SIZE)]);
        }
        all.push((&self.head.bias, HEADS));
        all
    }

    /// Builds weights from matrices and vectors in the order of the file.
    pub fn from_parts(
        mut matrix: impl FnMut(MatrixShape) -> Vec<f32>,
        mut vector: impl FnMut(usize) -> Vec<f32>,
        pieces: usize,
    ) -> Self {
        let piece_embeddings = matrix((pieces, HIDDEN_SIZE));
        let position_embeddings = matrix((MAX_PIECES, HIDDEN_SIZE));
        let norm = LayerNorm { weight: vector(HIDDEN_SIZE), bias: vector(HIDDEN_SIZE) };
        let mut layers = Vec::with_capacity(LAYERS);
        for _ in 0..LAYERS {
            let mut dense = |shape: MatrixShape| Dense { weight: matrix(shape), bias: vector(shape.0) };
            let attention = [(); 3].map(|()| dense((HIDDEN_SIZE, HIDDEN_SIZE)));
            let output = dense((HIDDEN_SIZE, HIDDEN_SIZE));
            let output_norm = LayerNorm { weight: vector(HIDDEN_SIZE), bias: vector(HIDDEN_SIZE) };
            let mut dense = |shape: MatrixShape| Dense { weight: matrix(shape), bias: vector(shape.0) };
            let (inner, outer) =
                (dense((INTERMEDIATE_SIZE, HIDDEN_SIZE)), dense((HIDDEN_SIZE, INTERMEDIATE_SIZE)));
            let outer_norm = LayerNorm { weight: vector(HIDDEN_SIZE), bias: vector(HIDDEN_SIZE) };
            layers.push(TransformerLayer { attention, output, output_norm, inner, outer, outer_norm });
        }
        let head = Dense { weight: matrix((HEADS, HIDDEN_SIZE)), bias: vector(HEADS) };
        Self { piece_embeddings, position_embeddings, norm, layers, head }
    }

    /// Checks that all shapes are right and all weights finite.
    pub(super) fn check(&self, pieces: usize) -> Result<(), ModelError> {
        let matrices = self.matrices(pieces).into_iter().map(|(m, (rows, columns))| (m, rows * columns));
        for (values, length) in matrices.chain(self.vectors()) {
            if values.len() != length {
                return Err(ModelError::File(format!(
                    "an encoder with {} weights instead of {length}",
                    values.len()
                )));
            }
            if values.iter().any(|w| !w.is_finite()) {
                return Err(ModelError::File("an encoder with a weight that is not finite".into()));
            }
        }
        Ok(())
    }

    /// Returns the log-odds of the output heads for the pieces of a text. Pieces outside the vocabulary or
    /// after the 96th are ignored.
    #[must_use]
    pub fn forward(&self, pieces: &[u32]) -> [f32; HEADS] {
        let rows = pieces
            .iter()
            .take(MAX_PIECES)
            .filter_map(|p| self.piece_embeddings.chunks_exact(HIDDEN_SIZE).nth(*p as usize));
        let mut x: Vec<f32> = Vec::with_capacity(pieces.len() * HIDDEN_SIZE);
        for (row, place) in rows.zip(self.position_embeddings.chunks_exact(HIDDEN_SIZE)) {
            x.extend(row.iter().zip(place).map(|(a, b)| a + b));
        }
        self.norm.apply(&mut x);
        for layer in &self.layers {
            layer.apply(&mut x);
        }
        let n = (x.len() / HIDDEN_SIZE).max(1) as f32;
        let mut mean = vec![0.0_f32; HIDDEN_SIZE];
        for row in x.chunks_exact(HIDDEN_SIZE) {
            mean.iter_mut().zip(row).for_each(|(m, v)| *m += v / n);
        }
        let mut z = [0.0; HEADS];
        z.copy_from_slice(&self.head.apply(&mean, HIDDEN_SIZE));
        z
    }
}

impl TransformerLayer {
    fn apply(&self, x: &mut [f32]) {
        let [q, k, v] = [0, 1, 2].map(|i| self.attention[i].apply(x, HIDDEN_SIZE));
        let mixed = attend(&q, &k, &v);
        self.output_norm.add(x, &self.output.apply(&mixed, HIDDEN_SIZE));
        let mut wide = self.inner.apply(x, HIDDEN_SIZE);
        wide.iter_mut().for_each(|v| *v = gelu(*v));
        self.outer_norm.add(x, &self.outer.apply(&wide, INTERMEDIATE_SIZE));
    }
}

/// Returns the attention output softmax(QK'/sqrt(d)) V, head by head.
fn attend(q: &[f32], k: &[f32], v: &[f32]) -> Vec<f32> {
    let n = q.len() / HIDDEN_SIZE;
    let scale = 1.0 / (HEAD_SIZE as f32).sqrt();
    let mut out = vec![0.0; q.len()];
    let mut odds = vec![0.0_f32; n];
    let part = |m: &[f32], row: usize, head: usize| {
        row * HIDDEN_SIZE + head * HEAD_SIZE..m.len().min(row * HIDDEN_SIZE + (head + 1) * HEAD_SIZE)
    };
    for head in 0..ATTENTION_HEADS {
        for row in 0..n {
            let query = &q[part(q, row, head)];
            for (other, odds) in odds.iter_mut().enumerate() {
                let key = &k[part(k, other, head)];
                *odds = scale * query.iter().zip(key).map(|(a, b)| a * b).sum::<f32>();
            }
            let top = odds.iter().fold(f32::MIN, |a, b| a.max(*b));
            odds.iter_mut().for_each(|o| *o = (*o - top).exp());
            let sum: f32 = odds.iter().sum();
            let range = part(&out, row, head);
            for (other, odds) in odds.iter().enumerate() {
                let value = &v[part(v, other, head)];
                out[range.clone()].iter_mut().zip(value).for_each(|(o, v)| *o += odds / sum * v);
            }
        }
    }
    out
}

impl Dense {
    /// Applies the layer to every row of `x`, each of `width` values.
    fn apply(&self, x: &[f32], width: usize) -> Vec<f32> {
        let (rows, outputs) = (x.len() / width, self.bias.len());
        let mut y: Vec<f32> = Vec::with_capacity(rows * outputs);
        (0..rows).for_each(|_| y.extend(&self.bias));
        let x = ArrayView2::from_shape((rows, width), x);
        let weight = ArrayView2::from_shape((outputs, width), &self.weight);
        let to = ArrayViewMut2::from_shape((rows, outputs), &mut y);
        // All three views exist, because the shapes were checked when the weights were read.
        if let (Ok(x), Ok(weight), Ok(mut to)) = (x, weight, to) {
            general_mat_mul(1.0, &x, &weight.t(), 1.0, &mut to);
        }
        y
    }
}

impl LayerNorm {
    /// x = LN(x + y).
    fn add(&self, x: &mut [f32], y: &[f32]) {
        x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
        self.apply(x);
    }

    fn apply(&self, x: &mut [f32]) {
        for row in x.chunks_exact_mut(HIDDEN_SIZE) {
            let mean = row.iter().sum::<f32>() / HIDDEN_SIZE as f32;
            let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / HIDDEN_SIZE as f32;
            let scale = 1.0 / (variance + 1e-12).sqrt();
            for ((v, w), b) in row.iter_mut().zip(&self.weight).zip(&self.bias) {
                *v = (*v - mean) * scale * w + b;
            }
        }
    }
}

fn gelu(x: f32) -> f32 {
    const ROOT: f32 = 0.797_884_6;
    0.5 * x * (1.0 + tanh(ROOT * (x + 0.044_715 * x * x * x)))
}

/// The hyperbolic tangent by one exponential. The standard library's takes a seventh of the encoder's time.
fn tanh(x: f32) -> f32 {
    let e = (2.0 * x.clamp(-9.0, 9.0)).exp();
    (e - 1.0) / (e + 1.0)
}
