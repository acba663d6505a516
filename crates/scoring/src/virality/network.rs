//! The growth network: maps features to a distribution over growth bins, for each horizon.
//!
//! Three layers x = silu(W x + b) with silu(x) = x / (1 + exp(-x)), then for each horizon a softmax over
//! growth bins.

use serde::{Deserialize, Serialize};

use super::features::{FEATURES, Features};

/// Width of the hidden layers.
pub const WIDTH: usize = 64;
/// Number of hidden layers.
const LAYERS: usize = 3;
/// Number of forecast horizons: the end, 1, 6 and 24 hours.
pub const HORIZON_COUNT: usize = 4;
/// Number of growth bins.
pub const GROWTH_BINS: usize = 40;
/// Number of outputs of the last layer.
pub const OUTPUTS: usize = HORIZON_COUNT * GROWTH_BINS;

/// One layer. `weight` has one row for each input, so that a row is one contiguous multiply-add.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkLayer {
    /// W transposed, in row-major order, shape (inputs, outputs).
    pub weight: Vec<f32>,
    /// b, one value for each output.
    pub bias: Vec<f32>,
}

/// All weights of the growth network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GrowthNetwork {
    /// The mean that is subtracted from each feature.
    pub mean: Vec<f32>,
    /// The factor of each feature after that.
    pub scale: Vec<f32>,
    /// The layers. The last has [`OUTPUTS`] outputs.
    pub layers: Vec<NetworkLayer>,
}

/// The shapes of the layers: (inputs, outputs).
pub const SHAPES: [(usize, usize); LAYERS + 1] =
    [(FEATURES, WIDTH), (WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, OUTPUTS)];

impl GrowthNetwork {
    /// Returns whether all shapes are right and all numbers finite.
    pub(super) fn is_sound(&self) -> bool {
        let sizes = self.layers.iter().map(|l| (l.weight.len(), l.bias.len()));
        let numbers = self.layers.iter().flat_map(|l| l.weight.iter().chain(&l.bias));
        self.mean.len() == FEATURES
            && self.scale.len() == FEATURES
            && sizes.eq(SHAPES.iter().map(|(inputs, outputs)| (inputs * outputs, *outputs)))
            && numbers.chain(&self.mean).chain(&self.scale).all(|x| x.is_finite())
    }

    /// Returns for each horizon the probabilities of the growth bins, which add up to 1.
    pub(super) fn chances(&self, features: &Features) -> [[f32; GROWTH_BINS]; HORIZON_COUNT] {
        let hidden = self.hidden(features);
        std::array::from_fn(|horizon| self.horizon_output(&hidden, horizon))
    }

    /// Returns the probabilities of the growth bins for one horizon.
    pub(super) fn horizon_chances(&self, horizon: usize, features: &Features) -> [f32; GROWTH_BINS] {
        self.horizon_output(&self.hidden(features), horizon)
    }

    /// Returns the input of the last layer.
    fn hidden(&self, features: &Features) -> [f32; WIDTH] {
        let mut x = [0.0_f32; FEATURES];
        for ((x, f), (mean, scale)) in x.iter_mut().zip(features.0).zip(self.mean.iter().zip(&self.scale)) {
            *x = (f - mean) * scale;
        }
        let [first, middle @ .., _] = self.layers.as_slice() else {
            return [0.0; WIDTH];
        };
        let mut h: [f32; WIDTH] = first.apply(&x);
        silu(&mut h);
        for layer in middle {
            h = layer.apply(&h);
            silu(&mut h);
        }
        h
    }

    fn horizon_output(&self, hidden: &[f32; WIDTH], horizon: usize) -> [f32; GROWTH_BINS] {
        self.layers
            .last()
            .map_or([1.0 / GROWTH_BINS as f32; GROWTH_BINS], |last| softmax(last.apply_part(hidden, horizon)))
    }
}

fn softmax(mut x: [f32; GROWTH_BINS]) -> [f32; GROWTH_BINS] {
    let peak = x.iter().fold(f32::MIN, |m, x| m.max(*x));
    x.iter_mut().for_each(|x| *x = (*x - peak).exp());
    let sum: f32 = x.iter().sum();
    x.map(|x| x / sum)
}

impl NetworkLayer {
    fn apply<const IN: usize, const OUT: usize>(&self, x: &[f32; IN]) -> [f32; OUT] {
        self.apply_part(x, 0)
    }

    /// Returns `OUT` outputs of the layer, starting with output `OUT * part`.
    fn apply_part<const IN: usize, const OUT: usize>(&self, x: &[f32; IN], part: usize) -> [f32; OUT] {
        let from = part * OUT;
        let mut y = [0.0_f32; OUT];
        y.iter_mut().zip(self.bias.iter().skip(from)).for_each(|(y, b)| *y = *b);
        for (x, row) in x.iter().zip(self.weight.chunks_exact(self.bias.len().max(1))) {
            for (y, w) in y.iter_mut().zip(row.get(from..).unwrap_or_default()) {
                *y += x * w;
            }
        }
        y
    }
}

fn silu(x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x /= 1.0 + (-*x).exp());
}
