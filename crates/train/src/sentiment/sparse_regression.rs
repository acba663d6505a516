//! Logistic regression on sparse rows with soft targets; linfa supports only dense rows and hard labels.
//!
//! The loss is the sum over rows of -sum_k t_k ln p_k, plus L2/2 times the squared weights (not the biases),
//! minimised with argmin's L-BFGS. Rows are summed in two fixed halves, so the result is deterministic.

use std::cell::RefCell;

use argmin::core::{CostFunction, Error, Executor, Gradient, State};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;

use firewatch_report::AnalysisError;

/// Number of past steps that L-BFGS keeps.
const MEMORY: usize = 7;
/// Number of outputs under a softmax; each further output has a logistic function.
const SOFTMAX: usize = 3;

/// Sparse feature rows of (column, value) cells.
#[derive(Debug, Default, Clone)]
pub struct SparseRows {
    ends: Vec<usize>,
    cells: Vec<(u32, f32)>,
}

impl SparseRows {
    /// Appends a row.
    pub fn push(&mut self, row: &[(u32, f32)]) {
        self.cells.extend_from_slice(row);
        self.ends.push(self.cells.len());
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    fn row(&self, i: usize) -> &[(u32, f32)] {
        let from = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.cells[from..self.ends[i]]
    }
}

/// A regression problem with K outputs.
pub struct SparseRegression<'a, const K: usize> {
    /// The feature rows.
    pub rows: &'a SparseRows,
    /// Row indices with their targets: weights of the three classes, and of yes for each further output.
    pub targets: &'a [(usize, [f32; K])],
    /// Weights of no for the further outputs, in the order of `targets`.
    pub against: &'a [[f32; K]],
    /// Number of feature columns.
    pub columns: usize,
    /// Strength of the L2 penalty.
    pub l2: f64,
}

/// A fitted linear model with K outputs.
#[derive(Debug, Clone)]
pub struct Linear<const K: usize> {
    /// Weights of each feature column.
    pub weights: Vec<[f32; K]>,
    /// Bias of each output.
    pub bias: [f32; K],
}

impl<const K: usize> Linear<K> {
    /// Returns the log-odds of row `i`.
    #[must_use]
    pub fn log_odds(&self, rows: &SparseRows, i: usize) -> [f32; K] {
        let mut z = self.bias;
        for (column, value) in rows.row(i) {
            z.iter_mut().zip(&self.weights[*column as usize]).for_each(|(z, w)| *z += value * w);
        }
        z
    }
}

impl<const K: usize> SparseRegression<'_, K> {
    /// Fits the model in at most `steps` steps.
    ///
    /// # Errors
    /// When the optimiser fails.
    pub fn solve(&self, steps: u64) -> Result<Linear<K>, AnalysisError> {
        let failed = |e: Error| AnalysisError::Step(format!("the fit failed: {e}"));
        let solver = LBFGS::new(MoreThuenteLineSearch::new(), MEMORY)
            .with_tolerance_cost(1e-6)
            .map_err(failed)?
            .with_tolerance_grad(1e-3)
            .map_err(failed)?;
        let start = vec![0.0; (self.columns + 1) * K];
        let done = Executor::new(Problem { fit: self, last: RefCell::default() }, solver)
            .configure(|state| state.param(start).max_iters(steps))
            .run()
            .map_err(failed)?;
        let Some(params) = done.state.get_best_param() else {
            return Err(AnalysisError::Step("the fit returned no parameters".into()));
        };
        let mut rows = params.as_chunks::<K>().0.iter().map(|w| w.map(|v| v as f32));
        let weights: Vec<[f32; K]> = rows.by_ref().take(self.columns).collect();
        Ok(Linear { weights, bias: rows.next().unwrap_or([0.0; K]) })
    }

    /// Returns the loss of some rows and adds their gradient to `gradient`.
    fn accumulate(&self, range: std::ops::Range<usize>, params: &[f64], gradient: &mut [f64]) -> f64 {
        let (weights, slopes) = (params.as_chunks::<K>().0, gradient.as_chunks_mut::<K>().0);
        let mut loss = 0.0;
        for i in range {
            let ((row, targets), against) = (self.targets[i], self.against[i]);
            let cells = self.rows.row(row);
            let mut z = weights[self.columns];
            for (column, value) in cells {
                z.iter_mut().zip(&weights[*column as usize]).for_each(|(z, w)| *z += f64::from(*value) * w);
            }
            let mut slope = [0.0; K];
            loss += softmax(&z, &targets, &mut slope) + logistic(&z, &targets, &against, &mut slope);
            slopes[self.columns].iter_mut().zip(slope).for_each(|(g, s)| *g += s);
            for (column, value) in cells {
                let to = &mut slopes[*column as usize];
                to.iter_mut().zip(slope).for_each(|(g, s)| *g += f64::from(*value) * s);
            }
        }
        loss
    }

    fn loss_and_gradient(&self, params: &[f64]) -> (f64, Vec<f64>) {
        let (n, half) = (self.targets.len(), self.targets.len() / 2);
        let (mut gradient, mut second) = (vec![0.0; params.len()], vec![0.0; params.len()]);
        let mut loss = std::thread::scope(|scope| {
            let other = scope.spawn(|| self.accumulate(half..n, params, &mut second));
            let mine = self.accumulate(0..half, params, &mut gradient);
            mine + other.join().unwrap_or(f64::NAN)
        });
        let penalised = self.columns * K;
        for (i, (g, s)) in gradient.iter_mut().zip(second).enumerate() {
            *g += s;
            if i < penalised {
                loss += 0.5 * self.l2 * params[i] * params[i];
                *g += self.l2 * params[i];
            }
        }
        (loss, gradient)
    }
}

fn softmax<const K: usize>(z: &[f64; K], targets: &[f32; K], slope: &mut [f64; K]) -> f64 {
    let top = z[..SOFTMAX].iter().copied().fold(f64::MIN, f64::max);
    let sum: f64 = z[..SOFTMAX].iter().map(|v| (v - top).exp()).sum();
    let all: f64 = targets[..SOFTMAX].iter().map(|t| f64::from(*t)).sum();
    let mut loss = 0.0;
    for k in 0..SOFTMAX {
        let log_p = z[k] - top - sum.ln();
        loss -= f64::from(targets[k]) * log_p;
        slope[k] = all * log_p.exp() - f64::from(targets[k]);
    }
    loss
}

fn logistic<const K: usize>(z: &[f64; K], yes: &[f32; K], no: &[f32; K], slope: &mut [f64; K]) -> f64 {
    let mut loss = 0.0;
    for k in SOFTMAX..K {
        let (yes, no) = (f64::from(yes[k]), f64::from(no[k]));
        // ln(1 + e^z) without overflow.
        let softplus = z[k].max(0.0) + (-z[k].abs()).exp().ln_1p();
        loss += yes * (softplus - z[k]) + no * softplus;
        slope[k] = (yes + no) / (1.0 + (-z[k]).exp()) - yes;
    }
    loss
}

/// Caches the gradient of the last loss, because the optimiser asks for both at the same point.
struct Problem<'a, const K: usize> {
    fit: &'a SparseRegression<'a, K>,
    last: RefCell<(Vec<f64>, Vec<f64>)>,
}

impl<const K: usize> CostFunction for Problem<'_, K> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, params: &Self::Param) -> Result<f64, Error> {
        let (loss, gradient) = self.fit.loss_and_gradient(params);
        *self.last.borrow_mut() = (params.clone(), gradient);
        Ok(loss)
    }
}

impl<const K: usize> Gradient for Problem<'_, K> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, params: &Self::Param) -> Result<Vec<f64>, Error> {
        let last = self.last.borrow();
        if last.0 == *params {
            return Ok(last.1.clone());
        }
        Ok(self.fit.loss_and_gradient(params).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let mut rows = SparseRows::default();
        [vec![(0, 1.0), (2, 0.3)], vec![(1, 1.0)], vec![(0, 0.5), (1, 2.0)]]
            .iter()
            .for_each(|r| rows.push(r));
        let targets = [(0, [0.7, 0.2, 0.4, 1.0]), (1, [0.0, 1.5, 0.0, 0.0]), (2, [0.1, 0.1, 0.8, 0.25])];
        let against = [[0.0; 4], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.5]];
        let fit = SparseRegression { rows: &rows, targets: &targets, against: &against, columns: 3, l2: 0.5 };
        let params: Vec<f64> = (0..16).map(|i| f64::from(i % 5) * 0.3 - 0.5).collect();
        let (_, gradient) = fit.loss_and_gradient(&params);
        for i in 0..params.len() {
            let at = |d: f64| {
                let mut moved = params.clone();
                moved[i] += d;
                fit.loss_and_gradient(&moved).0
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((slope - gradient[i]).abs() < 1e-6, "{i}: {slope} {}", gradient[i]);
        }
    }

    #[test]
    fn it_learns_the_targets_of_the_rows() {
        let (mut rows, mut targets) = (SparseRows::default(), Vec::new());
        for i in 0..60_usize {
            rows.push(&[((i % 3) as u32, 1.0)]);
            let mut target = [0.0; 4];
            target[i % 3] = 1.0;
            target[3] = f32::from(u8::from(i % 3 == 0));
            targets.push((i, target));
        }
        let against: Vec<[f32; 4]> = targets.iter().map(|(_, t)| [0.0, 0.0, 0.0, 1.0 - t[3]]).collect();
        let fit = SparseRegression { rows: &rows, targets: &targets, against: &against, columns: 3, l2: 0.1 };
        let linear = fit.solve(50).unwrap();
        for i in 0..3 {
            let z = linear.log_odds(&rows, i);
            assert!(z[i] > z[(i + 1) % 3] + 2.0 && (z[3] > 1.0) == (i == 0), "{z:?}");
        }
    }
}
