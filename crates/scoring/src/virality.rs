//! Will it cross the bar? A logistic model over the summary of a cascade.
//!
//! Features are logarithms, as growth is multiplicative: log-linear popularity models (Szabo and Huberman 2010)
//! predict log(final) from log(so far), and early pace and followers add to it (Cheng et al. 2014). Trained
//! on real cascades by `firewatch train virality`; see `models/virality.md` for data and figures.

use serde::{Deserialize, Serialize};

use crate::{Cascade, ModelError, TYPICAL_FOLLOWERS};

/// What the file is.
const FORMAT: &str = "firewatch-virality-1";
/// Minutes in which the author's audience loses half its say.
const PRIOR_FADES_MIN: f64 = 10.0;

/// One feature: its name in the file, and the part of the risk it is told under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// Name in the model file.
    pub name: &'static str,
    /// `base`, `size`, `velocity`, `trend` or `reach`.
    pub part: &'static str,
}

/// The features in the order of [`features`].
pub const FEATURES: [Feature; 5] = [
    Feature { name: "log_bar", part: "base" },
    Feature { name: "log_way_to_bar", part: "size" },
    Feature { name: "log_mean_pace", part: "velocity" },
    Feature { name: "trend", part: "trend" },
    Feature { name: "log_audience", part: "reach" },
];

/// Number of features.
pub(crate) const N: usize = FEATURES.len();

/// The features of a cascade against a bar of reshares. `audience` is the mean number of followers of an account that
/// carries it: unlike the whole reach it does not say the size a second time. It is a prior, told against an
/// ordinary account's, and fades as the cascade ages and speaks for itself.
#[must_use]
pub fn features(cascade: &Cascade, bar: u64, audience: f64) -> [f64; N] {
    let age = cascade.age().as_mins();
    let (spread, bar) = (cascade.spread() as f64, bar as f64);
    let audience = audience.max(0.0).ln_1p() - (TYPICAL_FOLLOWERS as f64).ln_1p();
    [
        bar.ln(),
        bar.ln_1p() - (bar - spread).max(0.0).ln_1p(),
        spread.ln_1p() - age.ln_1p(),
        f64::from(cascade.velocity().trend),
        audience / (1.0 + age / PRIOR_FADES_MIN),
    ]
}

/// The trained model: log-odds = bias + sum of weight times feature.
#[derive(Debug, Clone, PartialEq)]
pub struct ViralityModel {
    bias: f64,
    weights: [f64; N],
}

#[derive(Serialize, Deserialize)]
struct File {
    format: String,
    bias: f64,
    weights: Vec<(String, f64)>,
}

impl ViralityModel {
    /// A model from its numbers, weights in the order of [`FEATURES`].
    #[must_use]
    pub fn new(bias: f64, weights: [f64; N]) -> Self {
        Self { bias, weights }
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// When the bytes are no such file, name other features or hold numbers that are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let file: File =
            serde_json::from_slice(bytes).map_err(|e| ModelError(format!("no virality model: {e}")))?;
        if file.format != FORMAT {
            return Err(ModelError(format!("virality model of format {:?}, not {FORMAT:?}", file.format)));
        }
        let named = file.weights.iter().map(|(n, _)| n.as_str()).eq(FEATURES.iter().map(|f| f.name));
        let numbers: Vec<f64> = file.weights.iter().map(|(_, w)| *w).collect();
        match <[f64; N]>::try_from(numbers) {
            Ok(weights) if named && file.bias.is_finite() && weights.iter().all(|w| w.is_finite()) => {
                Ok(Self { bias: file.bias, weights })
            }
            _ => Err(ModelError("virality model with other features than this build computes".into())),
        }
    }

    /// Writes the model file.
    ///
    /// # Errors
    /// When a number cannot be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        let weights = FEATURES.iter().zip(self.weights).map(|(f, w)| (f.name.to_owned(), w)).collect();
        let file = File { format: FORMAT.into(), bias: self.bias, weights };
        serde_json::to_vec_pretty(&file).map_err(|e| ModelError(e.to_string()))
    }

    /// Log-odds of crossing the bar.
    #[must_use]
    pub fn log_odds(&self, x: &[f64; N]) -> f64 {
        self.bias + self.parts(x).iter().sum::<f64>()
    }

    /// What each feature adds to the log-odds.
    pub(crate) fn parts(&self, x: &[f64; N]) -> [f64; N] {
        let mut parts = [0.0; N];
        for ((part, w), x) in parts.iter_mut().zip(self.weights).zip(x) {
            *part = w * x;
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_features_are_refused() {
        let model = ViralityModel::new(-1.0, [0.5; N]);
        let bytes = model.to_bytes().unwrap();
        assert_eq!(ViralityModel::from_bytes(&bytes).unwrap(), model);
        let other = String::from_utf8(bytes).unwrap().replace("log_way_to_bar", "log_way_to_tar");
        assert!(ViralityModel::from_bytes(other.as_bytes()).is_err());
    }
}
