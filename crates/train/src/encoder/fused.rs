//! Layer norm and gelu as single operations, forward and backward. As many small operations they took half of
//! the training time.

use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Tensor, bail};

const EPSILON: f32 = 1e-12;

/// GELU in its tanh approximation.
pub(super) struct Gelu;

/// Layer norm: (x - mean) / standard deviation * weight + bias for each row.
pub(super) struct FusedLayerNorm;

fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((from, to)) = layout.contiguous_offsets() else { bail!("tensor is not contiguous") };
    Ok(&storage.as_slice::<f32>()?[from..to])
}

fn all(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}

const ROOT: f32 = 0.797_884_6;
const CUBE: f32 = 0.044_715;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let gelu = |x: &f32| 0.5 * x * (1.0 + tanh(ROOT * (x + CUBE * x * x * x)));
        let y: Vec<f32> = values(storage, layout)?.iter().map(gelu).collect();
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (values, mut grads) = (all(x)?, all(grad)?);
        for (g, x) in grads.iter_mut().zip(values) {
            let t = tanh(ROOT * (x + CUBE * x * x * x));
            *g *= 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * ROOT * (1.0 + 3.0 * CUBE * x * x);
        }
        Ok(Some(Tensor::from_vec(grads, x.shape(), x.device())?))
    }
}

/// tanh with a single exponential, which vectorises unlike the library's.
fn tanh(x: f32) -> f32 {
    let e = (2.0 * x.clamp(-9.0, 9.0)).exp();
    (e - 1.0) / (e + 1.0)
}

/// Writes the standardised row to `out` and returns 1 over the standard deviation.
fn standardise(row: &[f32], out: &mut [f32]) -> f32 {
    let n = row.len() as f32;
    let mean = row.iter().sum::<f32>() / n;
    out.iter_mut().zip(row).for_each(|(o, x)| *o = x - mean);
    let scale = 1.0 / (out.iter().map(|v| v * v).sum::<f32>() / n + EPSILON).sqrt();
    out.iter_mut().for_each(|o| *o *= scale);
    scale
}

impl CustomOp3 for FusedLayerNorm {
    fn name(&self) -> &'static str {
        "layer norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight, bias) =
            (values(x, x_layout)?, values(weight, weight_layout)?, values(bias, bias_layout)?);
        let mut y = vec![0.0; x.len()];
        for (row, out) in x.chunks_exact(weight.len()).zip(y.chunks_exact_mut(weight.len())) {
            standardise(row, out);
            out.iter_mut().zip(weight).zip(bias).for_each(|((o, w), b)| *o = *o * w + b);
        }
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (values, weights, mut grads) = (all(x)?, all(weight)?, all(grad)?);
        let n = weights.len();
        let (mut of_weight, mut of_bias, mut flat) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        for (row, g) in values.chunks_exact(n).zip(grads.chunks_exact_mut(n)) {
            let scale = standardise(row, &mut flat);
            let (mut sum, mut product) = (0.0, 0.0);
            for i in 0..n {
                of_weight[i] += g[i] * flat[i];
                of_bias[i] += g[i];
                g[i] *= weights[i];
                sum += g[i];
                product += g[i] * flat[i];
            }
            let (sum, product) = (sum / n as f32, product / n as f32);
            g.iter_mut().zip(&flat).for_each(|(g, f)| *g = scale * (*g - sum - f * product));
        }
        let device = x.device();
        let tensor = |v: Vec<f32>, shape: &Shape| Tensor::from_vec(v, shape, device).map(Some);
        Ok((tensor(grads, x.shape())?, tensor(of_weight, weight.shape())?, tensor(of_bias, weight.shape())?))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    fn var(values: &[f32], shape: (usize, usize)) -> Var {
        Var::from_slice(values, shape, &Device::Cpu).unwrap()
    }

    /// Checks the gradient of a weighted sum of the outputs against finite differences.
    fn check(x: &Var, apply: impl Fn(&Tensor) -> Tensor) {
        let weigh = |y: Tensor| -> Tensor {
            let n = y.elem_count();
            let w: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).sin()).collect();
            (y.flatten_all().unwrap() * Tensor::from_vec(w, n, &Device::Cpu).unwrap())
                .unwrap()
                .sum_all()
                .unwrap()
        };
        let gradients = weigh(apply(x)).backward().unwrap();
        let gradient = all(gradients.get(x).unwrap()).unwrap();
        let values = all(x).unwrap();
        for (i, slope) in gradient.iter().enumerate() {
            let at = |d: f32| {
                let mut moved = values.clone();
                moved[i] += d;
                let moved = Tensor::from_vec(moved, x.shape(), &Device::Cpu).unwrap();
                weigh(apply(&moved)).to_scalar::<f32>().unwrap()
            };
            let found = (at(1e-2) - at(-1e-2)) / 2e-2;
            assert!((found - slope).abs() < 5e-3 * (1.0 + slope.abs()), "{i}: {found} {slope}");
        }
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let x = var(&[0.3, -1.2, 2.0, 0.1, -0.4, 0.9, 1.5, -2.2], (2, 4));
        let (weight, bias) = (var(&[1.1, 0.7, -0.5, 2.0], (1, 4)), var(&[0.1, 0.2, -0.3, 0.0], (1, 4)));
        check(&x, |x| x.apply_op1(Gelu).unwrap());
        check(&x, |x| x.apply_op3(&weight, &bias, FusedLayerNorm).unwrap());
        check(&weight, |w| x.apply_op3(w, &bias, FusedLayerNorm).unwrap());
        check(&bias, |b| x.apply_op3(&weight, b, FusedLayerNorm).unwrap());
    }
}
