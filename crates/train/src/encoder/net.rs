//! The encoder in training: processes batches of posts and provides gradients. It computes the same function
//! as the scoring crate's encoder.

use candle_core::{D, Device, Result, Tensor, Var};
use candle_nn::ops::softmax;
use firewatch_scoring::HEADS;
use firewatch_scoring::encoder::{ATTENTION_HEADS, EncoderWeights, HIDDEN_SIZE, LAYERS};

use super::fused::{FusedLayerNorm, Gelu};

const HEAD_SIZE: usize = HIDDEN_SIZE / ATTENTION_HEADS;

/// The encoder being trained. Word and position embeddings are frozen, because there are too few posts to
/// train them.
pub(super) struct Net {
    words: Tensor,
    places: Tensor,
    pieces: usize,
    /// In the order of [`EncoderWeights::matrices`], without the embeddings.
    matrices: Vec<Var>,
    /// In the order of [`EncoderWeights::vectors`].
    vectors: Vec<Var>,
}

/// A batch of encoded posts, padded to the longest.
pub(super) struct Batch {
    ids: Tensor,
    mask: Tensor,
}

impl Batch {
    pub fn new(posts: &[&[u32]]) -> Result<Self> {
        let longest = posts.iter().map(|p| p.len()).max().unwrap_or(1);
        let (mut ids, mut mask) = (vec![0_u32; posts.len() * longest], vec![0_f32; posts.len() * longest]);
        for (row, post) in posts.iter().enumerate() {
            ids[row * longest..][..post.len()].copy_from_slice(post);
            mask[row * longest..][..post.len()].fill(1.0);
        }
        let n = posts.len() * longest;
        let ids = Tensor::from_vec(ids, n, &Device::Cpu)?;
        Ok(Self { ids, mask: Tensor::from_vec(mask, (posts.len(), longest), &Device::Cpu)? })
    }
}

impl Net {
    pub fn new(weights: &EncoderWeights, pieces: usize) -> Result<Self> {
        let device = &Device::Cpu;
        let mut matrices = weights.matrices(pieces).into_iter();
        let mut fixed = || matrices.next().map(|(m, shape)| Tensor::from_slice(m, shape, device)).transpose();
        let (words, places) = (fixed()?, fixed()?);
        let (Some(words), Some(places)) = (words, places) else {
            candle_core::bail!("the encoder has no embeddings")
        };
        Ok(Self {
            words,
            places,
            pieces,
            matrices: matrices.map(|(m, shape)| Var::from_slice(m, shape, device)).collect::<Result<_>>()?,
            vectors: weights
                .vectors()
                .into_iter()
                .map(|(v, n)| Var::from_slice(v, n, device))
                .collect::<Result<_>>()?,
        })
    }

    /// Returns all trained variables.
    pub fn variables(&self) -> Vec<Var> {
        self.matrices.iter().chain(&self.vectors).cloned().collect()
    }

    /// Returns the current weights.
    pub fn weights(&self) -> Result<EncoderWeights> {
        let values = |t: &Tensor| t.flatten_all()?.to_vec1::<f32>();
        let fixed = [&self.words, &self.places].into_iter();
        let matrices =
            fixed.chain(self.matrices.iter().map(|v| &**v)).map(values).collect::<Result<Vec<_>>>()?;
        let vectors = self.vectors.iter().map(|v| values(v)).collect::<Result<Vec<_>>>()?;
        let (mut matrices, mut vectors) = (matrices.into_iter(), vectors.into_iter());
        Ok(EncoderWeights::from_parts(
            |_| matrices.next().unwrap_or_default(),
            |_| vectors.next().unwrap_or_default(),
            self.pieces,
        ))
    }

    /// Returns the log-odds of each post, shape (posts, heads).
    pub fn forward(&self, batch: &Batch) -> Result<Tensor> {
        let (posts, length) = batch.mask.dims2()?;
        let rows = posts * length;
        let words = self.words.index_select(&batch.ids, 0)?.reshape((posts, length, HIDDEN_SIZE))?;
        let x = words.broadcast_add(&self.places.narrow(0, 0, length)?)?.reshape((rows, HIDDEN_SIZE))?;
        let (mut matrices, mut vectors) = (self.matrices.iter(), self.vectors.iter());
        let mut part = Parts { matrices: &mut matrices, vectors: &mut vectors };
        let mut x = part.norm(&x)?;
        let hidden = ((&batch.mask - 1.0)? * 1e4)?.reshape((posts, 1, 1, length))?;
        for _ in 0..LAYERS {
            let heads = |y: Tensor| {
                y.reshape((posts, length, ATTENTION_HEADS, HEAD_SIZE))?.transpose(1, 2)?.contiguous()
            };
            let (q, k, v) = (heads(part.dense(&x)?)?, heads(part.dense(&x)?)?, heads(part.dense(&x)?)?);
            let odds = (q.matmul(&k.transpose(2, 3)?.contiguous()?)? * (1.0 / (HEAD_SIZE as f64).sqrt()))?;
            let mixed = softmax(&odds.broadcast_add(&hidden)?, D::Minus1)?.matmul(&v)?;
            let mixed = mixed.transpose(1, 2)?.contiguous()?.reshape((rows, HIDDEN_SIZE))?;
            let output = part.dense(&mixed)?;
            x = part.norm(&(output + x)?)?;
            let wide = part.dense(&x)?.apply_op1(Gelu)?;
            let outer = part.dense(&wide)?;
            x = part.norm(&(outer + x)?)?;
        }
        let mask = batch.mask.unsqueeze(2)?;
        let sum = x.reshape((posts, length, HIDDEN_SIZE))?.broadcast_mul(&mask)?.sum(1)?;
        part.dense(&sum.broadcast_div(&mask.sum(1)?)?)?.reshape((posts, HEADS))
    }
}

/// The remaining weights, in the order of use.
struct Parts<'a, 'v> {
    matrices: &'a mut std::slice::Iter<'v, Var>,
    vectors: &'a mut std::slice::Iter<'v, Var>,
}

impl Parts<'_, '_> {
    fn dense(&mut self, x: &Tensor) -> Result<Tensor> {
        let (Some(weight), Some(bias)) = (self.matrices.next(), self.vectors.next()) else {
            candle_core::bail!("the encoder has too few weights")
        };
        x.matmul(&weight.t()?)?.broadcast_add(bias)
    }

    fn norm(&mut self, x: &Tensor) -> Result<Tensor> {
        let (Some(weight), Some(bias)) = (self.vectors.next(), self.vectors.next()) else {
            candle_core::bail!("the encoder has too few weights")
        };
        x.contiguous()?.apply_op3(weight, bias, FusedLayerNorm)
    }
}

#[cfg(test)]
mod tests {
    use firewatch_scoring::encoder::EncoderWeights;

    use super::*;
    use firewatch_report::random::mix;

    #[test]
    fn it_predicts_what_the_scoring_crate_predicts() {
        let mut n = 0;
        let mut chance = |size: usize, spread: f32| -> Vec<f32> {
            n += 1;
            let at = |i: usize| (mix(n, i as u64) >> 40) as f32 / (1_u64 << 24) as f32 - 0.5;
            (0..size).map(|i| spread * at(i)).collect()
        };
        let pieces = 20;
        let mut matrices = vec![chance(pieces * HIDDEN_SIZE, 2.0)];
        let shapes = EncoderWeights::from_parts(|(r, c)| vec![0.0; r * c], |n| vec![0.0; n], pieces);
        matrices.extend(shapes.matrices(pieces).into_iter().skip(1).map(|(_, (r, c))| chance(r * c, 0.2)));
        let vectors: Vec<Vec<f32>> = shapes.vectors().into_iter().map(|(_, n)| chance(n, 1.0)).collect();
        let (mut matrices, mut vectors) = (matrices.into_iter(), vectors.into_iter());
        let weights =
            EncoderWeights::from_parts(|_| matrices.next().unwrap(), |_| vectors.next().unwrap(), pieces);

        let net = Net::new(&weights, pieces).unwrap();
        assert!(net.weights().unwrap() == weights);
        let posts: [&[u32]; 2] = [&[1, 5, 7, 3, 2], &[1, 19, 2]];
        let rows = net.forward(&Batch::new(&posts).unwrap()).unwrap().to_vec2::<f32>().unwrap();
        for (post, row) in posts.iter().zip(rows) {
            let z = weights.forward(post);
            assert!(row.iter().zip(z).all(|(a, b)| (a - b).abs() < 1e-3), "{row:?} {z:?}");
        }
    }
}
