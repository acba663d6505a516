//! The encoder file: matrices as 8-bit integers with one step size a row, vectors as 32-bit floats.

use serde::{Deserialize, Serialize};

use super::{EncoderWeights, Vocabulary};
use crate::ModelError;
use crate::model_format::ModelFormat;

const FORMAT: ModelFormat = ModelFormat { magic: b"FWENCO\r\n", version: 1, description: "an encoder" };

#[derive(Serialize, Deserialize)]
struct FileHeader {
    pieces: Vec<Box<str>>,
    /// The step size of each matrix row, matrix by matrix.
    steps: Vec<f32>,
    vectors: Vec<f32>,
}

pub(super) fn write(vocabulary: &Vocabulary, weights: &EncoderWeights) -> Result<Vec<u8>, ModelError> {
    let (mut steps, mut body) = (Vec::new(), Vec::new());
    for (matrix, (_, columns)) in weights.matrices(vocabulary.len()) {
        for row in matrix.chunks_exact(columns) {
            let step = row.iter().fold(0.0_f32, |m, w| m.max(w.abs())) / f32::from(i8::MAX);
            steps.push(step);
            body.extend(row.iter().map(|w| if step > 0.0 { (w / step).round() as i8 as u8 } else { 0 }));
        }
    }
    let vectors = weights.vectors().into_iter().flat_map(|(v, _)| v).copied().collect();
    FORMAT.write(&FileHeader { pieces: vocabulary.pieces().to_vec(), steps, vectors }, &body)
}

pub(super) fn read(bytes: &[u8]) -> Result<(Vocabulary, EncoderWeights), ModelError> {
    let (head, body): (FileHeader, &[u8]) = FORMAT.read(bytes)?;
    let pieces = head.pieces.len();
    let (mut steps, mut vectors) = (head.steps.into_iter(), head.vectors.into_iter());
    let mut rest = body;
    let matrix = |(rows, columns): (usize, usize)| {
        let (here, after) = rest.split_at(rest.len().min(rows * columns));
        rest = after;
        let rows = here.chunks_exact(columns).zip(steps.by_ref());
        rows.flat_map(|(row, step)| row.iter().map(move |b| step * f32::from(*b as i8))).collect()
    };
    let weights = EncoderWeights::from_parts(matrix, |n| vectors.by_ref().take(n).collect(), pieces);
    Ok((Vocabulary::new(head.pieces)?, weights))
}
