//! An accelerated failure time model with logistic errors, which relates waits to covariates.
//!
//! ln T = x b + s e with logistic e (Kalbfleisch and Prentice, *The Statistical Analysis of Failure Time
//! Data*, 2002, chapter 3): exp(b) is the ratio of waits for one more unit of x. Waits without a reply are
//! censored. Intervals use Huber's sandwich estimator (1967), which is valid when the errors are not exactly
//! logistic.

use linfa_linalg::cholesky::{InverseC, SolveC};
use ndarray::{Array1, Array2, Axis};

use super::survival::Wait;

/// Maximum number of Newton steps.
const MAX_STEPS: usize = 60;
/// The fit has converged when every component of the gradient, per wait, is below this.
const GRADIENT_TOLERANCE: f64 = 1e-8;
/// Half width of a 95% interval, in standard errors.
const INTERVAL_Z: f64 = 1.96;
/// Ridge added to the curvature's diagonal, per wait, so that a column without information keeps a
/// coefficient of 0.
const RIDGE: f64 = 1e-6;

/// A wait with its covariates.
#[derive(Debug, Clone)]
pub struct Observation {
    /// The wait.
    pub wait: Wait,
    /// The covariates, without the constant.
    pub x: Vec<f64>,
}

/// The ratio of waits for one more unit of a covariate.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct TimeRatio {
    /// The estimated ratio.
    pub times: f64,
    /// Lower end of the 95% interval.
    pub low: f64,
    /// Upper end of the 95% interval.
    pub high: f64,
}

/// A fitted accelerated failure time model.
#[derive(Debug, Clone, PartialEq)]
pub struct AftFit {
    /// The constant, then the coefficient of each covariate.
    pub coefficients: Vec<f64>,
    /// Scale s of the errors.
    pub scale: f64,
    errors: Vec<f64>,
}

impl AftFit {
    /// Fits the model by maximum likelihood; returns `None` with fewer than five answered waits per column,
    /// or if the fit fails.
    #[must_use]
    pub fn fit(cases: &[Observation]) -> Option<Self> {
        let columns = cases.first()?.x.len() + 1;
        if cases.iter().filter(|case| case.wait.answered).count() < 5 * columns {
            return None;
        }
        let mut at = start(cases, columns);
        let mut now = sums(cases, &at);
        for _ in 0..MAX_STEPS {
            if now.gradient.iter().all(|g| g.abs() < GRADIENT_TOLERANCE * cases.len() as f64) {
                break;
            }
            let column = now.gradient.view().insert_axis(Axis(1));
            let step = now.curvature.solvec(&column).ok()?.remove_axis(Axis(1));
            // A whole step can overshoot; halve it until the likelihood does not fall.
            let halves = (0..30).map(|i| 0.5_f64.powi(i));
            let (next, sums) = halves
                .map(|part| &at + &(&step * part))
                .map(|next| (next.clone(), sums(cases, &next)))
                .find(|(_, sums)| sums.likelihood > now.likelihood - 1e-9)?;
            (at, now) = (next, sums);
        }
        let bread = now.curvature.invc().ok()?;
        let covariance = bread.dot(&now.outer).dot(&bread);
        let scale = at[columns].exp();
        let errors = covariance.diag().iter().take(columns).map(|v| v.max(0.0).sqrt()).collect();
        Some(Self { coefficients: at.iter().take(columns).copied().collect(), scale, errors })
    }

    /// Returns the time ratio of a covariate, by its index from 0.
    #[must_use]
    pub fn effect(&self, column: usize) -> Option<TimeRatio> {
        let (b, error) = (self.coefficients.get(column + 1)?, self.errors.get(column + 1)?);
        let [times, low, high] = [*b, b - INTERVAL_Z * error, b + INTERVAL_Z * error].map(f64::exp);
        Some(TimeRatio { times, low, high })
    }
}

/// Returns the start of the fit: all coefficients 0, the constant and the scale from the waits' logarithms.
fn start(cases: &[Observation], columns: usize) -> Array1<f64> {
    let logs: Vec<f64> = cases.iter().map(|case| case.wait.minutes.ln()).collect();
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    let variance = logs.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / logs.len() as f64;
    let mut at = Array1::zeros(columns + 1);
    at[0] = mean;
    at[columns] = (variance.max(1e-4).sqrt() * 3.0_f64.sqrt() / std::f64::consts::PI).ln();
    at
}

/// The log-likelihood and its derivatives by the coefficients and, as the last one, the logarithm of the
/// scale.
struct Sums {
    likelihood: f64,
    gradient: Array1<f64>,
    /// Negative second derivatives.
    curvature: Array2<f64>,
    /// Sum of the outer products of each wait's gradient.
    outer: Array2<f64>,
}

fn sums(cases: &[Observation], at: &Array1<f64>) -> Sums {
    let (size, scale) = (at.len(), at[at.len() - 1].exp());
    let mut sums = Sums {
        likelihood: 0.0,
        gradient: Array1::zeros(size),
        curvature: Array2::eye(size) * (RIDGE * cases.len() as f64),
        outer: Array2::zeros((size, size)),
    };
    let mut x = Array1::ones(size);
    let mut own = Array1::<f64>::zeros(size);
    for Observation { wait, x: columns } in cases {
        x.iter_mut().skip(1).zip(columns).for_each(|(to, x)| *to = *x);
        let predicted: f64 = x.iter().take(size - 1).zip(at).map(|(x, b)| x * b).sum();
        let z = (wait.minutes.ln() - predicted) / scale;
        let p = 1.0 / (1.0 + (-z).exp());
        // ln(1 + exp(z)) without overflow.
        let softplus = z.max(0.0) + (-z.abs()).exp().ln_1p();
        let times = if wait.answered { 2.0 } else { 1.0 };
        sums.likelihood -= times * softplus;
        if wait.answered {
            sums.likelihood += z - scale.ln();
        }
        let (first, second) = (f64::from(u8::from(wait.answered)) - times * p, -times * p * (1.0 - p));
        for i in 0..size - 1 {
            own[i] = -first / scale * x[i];
        }
        own[size - 1] = -f64::from(u8::from(wait.answered)) - z * first;
        sums.gradient += &own;
        for i in 0..size {
            for j in 0..size {
                sums.outer[[i, j]] += own[i] * own[j];
                sums.curvature[[i, j]] -= match (i == size - 1, j == size - 1) {
                    (false, false) => second / (scale * scale) * x[i] * x[j],
                    (false, true) => (z * second + first) / scale * x[i],
                    (true, false) => (z * second + first) / scale * x[j],
                    (true, true) => z * first + z * z * second,
                };
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use firewatch_report::random::mix;

    /// Returns a uniform number between 0 and 1.
    fn chance(seed: u64, i: u64) -> f64 {
        ((mix(seed, i) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Simulates waits that halve for each unit of the first covariate, observed for six hours, with normal
    /// errors.
    fn simulated(seed: u64, n: u64) -> Vec<Observation> {
        let case = |i: u64| {
            let [a, b, c, d] = [0, 1, 2, 3].map(|k| chance(seed, 4 * i + k));
            let (followers, angry) = (1.0 + 4.0 * a, f64::from(u8::from(b < 0.3)));
            let normal = (-2.0 * c.ln()).sqrt() * (std::f64::consts::TAU * d).cos();
            let minutes = (5.0 - 0.5_f64.ln().abs() * followers + 0.4 * angry + 1.2 * normal).exp();
            let wait = Wait { minutes: minutes.min(360.0), answered: minutes < 360.0 };
            Observation { wait, x: vec![followers, angry] }
        };
        (0..n).map(case).collect()
    }

    #[test]
    fn the_interval_holds_an_effect_that_is_known() {
        let fits: Vec<AftFit> = (0..200).map(|seed| AftFit::fit(&simulated(seed, 400)).unwrap()).collect();
        for (column, truth) in [(0, 0.5), (1, 0.4_f64.exp())] {
            let effects = fits.iter().filter_map(|fit| fit.effect(column));
            let held = effects.filter(|effect| (effect.low..effect.high).contains(&truth)).count();
            println!("column {column}: {held} of 200 intervals hold the truth");
            assert!((184..=199).contains(&held), "column {column}: {held} of 200");
        }
        let mean = fits.iter().filter_map(|fit| fit.effect(0)).map(|e| e.times.ln()).sum::<f64>() / 200.0;
        assert!((mean - 0.5_f64.ln()).abs() < 0.02, "{mean}");
    }

    #[test]
    fn too_few_waits_and_collinear_columns_give_no_fit() {
        assert!(AftFit::fit(&simulated(1, 10)).is_none());
        assert!(AftFit::fit(&[]).is_none());
        let mut same = simulated(1, 400);
        same.iter_mut().for_each(|case| case.x[1] = 0.0);
        let effect = AftFit::fit(&same).unwrap().effect(1).unwrap();
        assert!((effect.times - 1.0).abs() < 1e-6, "a covariate that is always 0 has no effect");
    }
}
