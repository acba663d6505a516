//! The training loop of the forecast's network: cross-entropy against smoothed outcomes, AdamW and dropout.
//!
//! Training is deterministic: initial weights, batches and dropout come from fixed seeds.

use candle_core::{D, Device, Tensor, Var};
use candle_nn::ops::{log_softmax, silu};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use firewatch_scoring::virality::{
    FEATURES, GROWTH_BINS, GrowthNetwork, HORIZON_COUNT, NetworkLayer, OUTPUTS, SHAPES,
};

use super::sample::{Snapshot, scales};
use firewatch_report::{AnalysisError, random::mix};

/// Snapshots per step.
const BATCH: usize = 512;
/// Initial learning rate; it falls to 0 along a cosine.
const MAX_LEARNING_RATE: f64 = 2e-3;
/// Weight decay of AdamW.
const WEIGHT_DECAY: f64 = 1e-3;
/// Dropout probability in 256ths.
const DROPOUT_OF_256: u8 = 51;
/// Steps between progress messages.
const PROGRESS_EVERY: usize = 500;

struct Net {
    layers: Vec<(Var, Var)>,
}

/// Trains the network on snapshots.
///
/// # Errors
/// When a tensor operation fails.
pub fn fit(
    snapshots: &[Snapshot],
    steps: usize,
    progress: &mut dyn FnMut(String),
) -> Result<GrowthNetwork, AnalysisError> {
    let (mean, scale) = scales(snapshots);
    let net = Net::new().map_err(failed)?;
    let vars = net.layers.iter().flat_map(|(w, b)| [w.clone(), b.clone()]).collect();
    let params = ParamsAdamW { lr: MAX_LEARNING_RATE, weight_decay: WEIGHT_DECAY, ..ParamsAdamW::default() };
    let mut descent = AdamW::new(vars, params).map_err(failed)?;
    for step in 0..steps {
        let way = step as f64 / steps as f64;
        descent.set_learning_rate(MAX_LEARNING_RATE * 0.5 * (1.0 + (std::f64::consts::PI * way).cos()));
        let batch = Batch::draw(snapshots, &mean, &scale, step as u64).map_err(failed)?;
        let loss = net.loss(&batch, step as u64).map_err(failed)?;
        descent.backward_step(&loss).map_err(failed)?;
        if step.is_multiple_of(PROGRESS_EVERY) {
            let loss = loss.to_scalar::<f32>().map_err(failed)?;
            progress(format!("step {step} of {steps}: loss {loss:.4}"));
        }
    }
    let layers = net.weights().map_err(failed)?;
    Ok(GrowthNetwork { mean, scale, layers })
}

struct Batch {
    features: Tensor,
    outcomes: Tensor,
    weights: Tensor,
}

impl Batch {
    fn draw(snapshots: &[Snapshot], mean: &[f32], scale: &[f32], step: u64) -> candle_core::Result<Self> {
        let (mut features, mut outcomes, mut weights) = (Vec::<f32>::new(), Vec::<f32>::new(), Vec::new());
        for i in 0..BATCH as u64 {
            let at = mix(1, step * BATCH as u64 + i) % snapshots.len().max(1) as u64;
            let Some(snapshot) = snapshots.get(at as usize) else { break };
            let scaled = snapshot.features.0.iter().zip(mean.iter().zip(scale));
            features.extend(scaled.map(|(x, (mean, scale))| (x - mean) * scale));
            outcomes.extend(snapshot.outcome.as_flattened());
            weights.push(snapshot.weight);
        }
        let n = weights.len();
        Ok(Self {
            features: Tensor::from_vec(features, (n, FEATURES), &Device::Cpu)?,
            outcomes: Tensor::from_vec(outcomes, (n, HORIZON_COUNT, GROWTH_BINS), &Device::Cpu)?,
            weights: Tensor::from_vec(weights, n, &Device::Cpu)?,
        })
    }
}

impl Net {
    fn new() -> candle_core::Result<Self> {
        let mut layers = Vec::new();
        for (i, (inputs, outputs)) in SHAPES.into_iter().enumerate() {
            // He et al. 2015; the last layer starts near a uniform distribution.
            let spread = if outputs == OUTPUTS { 0.01 } else { (2.0 / inputs as f64).sqrt() };
            let weight =
                (0..(inputs * outputs) as u64).map(|k| (spread * normal(i as u64, k)) as f32).collect();
            layers.push((
                Var::from_tensor(&Tensor::from_vec::<_, f32>(weight, (inputs, outputs), &Device::Cpu)?)?,
                Var::zeros(outputs, candle_core::DType::F32, &Device::Cpu)?,
            ));
        }
        Ok(Self { layers })
    }

    fn loss(&self, batch: &Batch, step: u64) -> candle_core::Result<Tensor> {
        let mut x = batch.features.clone();
        for (i, (weight, bias)) in self.layers.iter().enumerate() {
            x = x.matmul(weight)?.broadcast_add(bias)?;
            if i + 1 < self.layers.len() {
                let kept = kept(x.dims(), mix(2 + i as u64, step))?;
                x = (silu(&x)? * kept)?;
            }
        }
        let log_probabilities = log_softmax(&x.reshape(((), HORIZON_COUNT, GROWTH_BINS))?, D::Minus1)?;
        let each = (log_probabilities * &batch.outcomes)?.sum(D::Minus1)?.mean(D::Minus1)?;
        (each * &batch.weights)?.mean_all()?.neg()
    }

    fn weights(&self) -> candle_core::Result<Vec<NetworkLayer>> {
        let layer = |(weight, bias): &(Var, Var)| {
            Ok(NetworkLayer { weight: weight.flatten_all()?.to_vec1()?, bias: bias.to_vec1()? })
        };
        self.layers.iter().map(layer).collect()
    }
}

/// Returns the dropout mask of a step, scaled to keep the expected sum.
fn kept(shape: &[usize], seed: u64) -> candle_core::Result<Tensor> {
    let n: usize = shape.iter().product();
    let scale = 1.0 / (1.0 - f32::from(DROPOUT_OF_256) / 256.0);
    let bytes = (0..n.div_ceil(8) as u64).flat_map(|i| mix(seed, i).to_le_bytes()).take(n);
    Tensor::from_vec(
        bytes.map(|b| if b < DROPOUT_OF_256 { 0.0 } else { scale }).collect(),
        shape,
        &Device::Cpu,
    )
}

/// Returns a standard normal number (Box and Muller 1958).
fn normal(seed: u64, index: u64) -> f64 {
    let even = |i: u64| (mix(seed, i) as f64 + 1.0) / (u64::MAX as f64 + 2.0);
    (-2.0 * even(2 * index).ln()).sqrt() * (std::f64::consts::TAU * even(2 * index + 1)).cos()
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(e: candle_core::Error) -> AnalysisError {
    AnalysisError::Step(e.to_string())
}
