//! Virality model: the distribution of further reshares until the end and within 1, 6 and 24 hours.
//!
//! Two logistic regressions predict whether a conversation takes off. For one that does, a small network
//! predicts the whole distribution of growth, so that the point forecast, its interval and the probability of
//! passing a bar are always consistent. Trained by `firewatch train virality`; see `models/virality.md` for
//! data and figures.

mod features;
mod growth_distribution;
mod network;
mod takeoff;

pub use features::{FEATURES, Features};
pub use growth_distribution::{GrowthDistribution, PredictionInterval, bin_ends, growth};
pub use network::{GROWTH_BINS, GrowthNetwork, HORIZON_COUNT, NetworkLayer, OUTPUTS, SHAPES, WIDTH};
pub use takeoff::{
    BASE_RATE, EVIDENCE_TERMS, OPENING_TERMS, Opening, SizePrior, TAKEOFF_RESHARES, Takeoff, evidence,
};

use firewatch_domain::ForecastInterval;
use serde::{Deserialize, Serialize};

use growth_distribution::weighted;

use crate::model_format::ModelFormat;
use crate::{Cascade, ModelError, TYPICAL_FOLLOWERS};

const FORMAT: ModelFormat = ModelFormat { magic: b"FWVIRA\r\n", version: 1, description: "a virality model" };

/// Forecast horizons in seconds. The first is the end of the conversation.
pub const FORECAST_HORIZONS: [f64; HORIZON_COUNT] = [f64::INFINITY, 3600.0, 21_600.0, 86_400.0];
/// Index of the horizon of the risk: 24 hours. A conversation that passes the bar later leaves time to react.
const DAY_INDEX: usize = 3;
/// Distance below 1 of the probability for a conversation that has just passed the bar.
const CROSSED_MARGIN: f64 = 1e-6;

/// The forecast of a conversation, one distribution for each of [`FORECAST_HORIZONS`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast(pub [GrowthDistribution; HORIZON_COUNT]);

impl Forecast {
    /// Returns the forecast until the end.
    #[must_use]
    pub fn end(&self) -> &GrowthDistribution {
        &self.0[0]
    }

    /// Returns the forecast for 24 hours.
    #[must_use]
    pub fn day(&self) -> &GrowthDistribution {
        &self.0[DAY_INDEX]
    }

    /// Returns the probability that a conversation with `reshares` reshares reaches `bar` within 24 hours.
    ///
    /// Conversations past the bar score between 1 - 1e-6 and 1, ordered by forecast final size, so that
    /// rankings stay strict.
    #[must_use]
    pub fn crossing_probability(&self, bar: f64, reshares: f64) -> f64 {
        if reshares < bar {
            return self.day().at_least(bar - reshares);
        }
        1.0 - CROSSED_MARGIN * bar / (reshares + self.end().interval().point)
    }

    /// Converts the forecast to the wire record: further reshares and additional reach, for 1, 6 and 24 hours
    /// and the end. A shorter horizon is capped at the values of the longer ones.
    #[must_use]
    pub fn to_record(&self, cascade: &Cascade) -> Vec<firewatch_domain::HorizonForecast> {
        let range = |i: PredictionInterval| {
            let whole = i.map(f64::round);
            ForecastInterval { low: whole.low as u64, point: whole.point as u64, high: whole.high as u64 }
        };
        let [end, ahead @ ..] = &self.0;
        let hours = FORECAST_HORIZONS.iter().skip(1).map(|secs| Some((secs / 3600.0) as u32));
        let mut later = end.interval();
        let mut all = Vec::with_capacity(HORIZON_COUNT);
        for (distribution, hours) in std::iter::once((end, None)).chain(ahead.iter().zip(hours).rev()) {
            let more = distribution.interval();
            later = PredictionInterval {
                low: more.low.min(later.low),
                point: more.point.min(later.point),
                high: more.high.min(later.high),
            };
            let reach = range(later.map(|n| cascade.reach_growth(n)));
            all.push(firewatch_domain::HorizonForecast { hours, reshares: range(later), reach });
        }
        all.reverse();
        all
    }
}

/// The trained virality model.
#[derive(Debug, Clone, PartialEq)]
pub struct ViralityModel {
    parts: ViralityParts,
    /// The weighted chances of a new post, which are the same for all posts and the most frequent query.
    fresh: [[f32; GROWTH_BINS]; HORIZON_COUNT],
}

/// The model as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ViralityParts {
    /// Predicts the growth of conversations that take off.
    pub network: GrowthNetwork,
    /// Predicts whether a conversation takes off.
    pub takeoff: Takeoff,
    /// The final sizes of conversations that take off.
    pub sizes: SizePrior,
}

/// Forecasts for 24 hours from partial knowledge, each step adding one kind. The differences between the
/// steps attribute the forecast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForecastSteps {
    /// A new, calm post of an ordinary account.
    pub fresh: GrowthDistribution,
    /// With the actual age and number of reshares, at a constant pace.
    pub size: GrowthDistribution,
    /// With the actual pace.
    pub velocity: GrowthDistribution,
}

/// A calm post of an ordinary account.
const ORDINARY: Opening = Opening { followers: TYPICAL_FOLLOWERS as f64, arousal: 0.0, complaint: 0.0 };

impl ViralityModel {
    /// Builds a model from its parts.
    ///
    /// # Errors
    /// If a shape is wrong or a number is not finite.
    pub fn new(parts: ViralityParts) -> Result<Self, ModelError> {
        if !(parts.network.is_sound() && parts.takeoff.is_sound() && parts.sizes.is_sound()) {
            return Err(ModelError::File(
                "a virality model whose features differ from those of this build".into(),
            ));
        }
        let fresh = parts.weighted_chances(&Cascade::default());
        Ok(Self { parts, fresh })
    }

    /// Returns whether the bytes begin with the magic of a virality model file.
    #[must_use]
    pub fn has_magic(bytes: &[u8]) -> bool {
        FORMAT.has_magic(bytes)
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// If the bytes are not a virality model file of this build.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        Self::new(FORMAT.read(bytes)?.0)
    }

    /// Writes a model file.
    ///
    /// # Errors
    /// If the model cannot be serialised or the file would exceed 16 MiB.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        FORMAT.write(&self.parts, &[])
    }

    /// Forecasts the next 24 hours of a conversation. Final sizes are weighted as among all posts.
    ///
    /// Followers enter only through `opening`. In the training data only the largest cascades have follower
    /// counts, so that the network would take known followers as a sign of size.
    #[must_use]
    pub fn forecast_day(&self, cascade: &Cascade, opening: &Opening) -> GrowthDistribution {
        let so_far = cascade.resharers() as f64;
        let chances = if is_fresh(cascade) {
            self.fresh[DAY_INDEX]
        } else {
            self.parts.weighted_day_chances(so_far, &Features::without_followers(cascade))
        };
        GrowthDistribution {
            so_far,
            takeoff_probability: self.takeoff_probability(cascade, opening),
            chances,
        }
    }

    /// Extends a 24-hour forecast of a conversation to all horizons.
    #[must_use]
    pub fn forecast(&self, cascade: &Cascade, day: &GrowthDistribution) -> Forecast {
        let all = if is_fresh(cascade) { self.fresh } else { self.parts.weighted_chances(cascade) };
        Forecast(all.map(|chances| GrowthDistribution { chances, ..*day }))
    }

    /// Forecasts a cascade from a collection like the training data, where `share` of the cascades take off:
    /// 1 if all did, [`BASE_RATE`] for an unselected stream.
    #[must_use]
    pub fn forecast_collected(&self, cascade: &Cascade, opening: &Opening, share: f64) -> Forecast {
        let takeoff_probability = takeoff::with_base_rate(self.takeoff_probability(cascade, opening), share);
        let so_far = cascade.resharers() as f64;
        let all = self.parts.network.chances(&Features::from_cascade(cascade));
        Forecast(all.map(|chances| GrowthDistribution { so_far, takeoff_probability, chances }))
    }

    /// Returns the probability that a conversation takes off, 0..1.
    #[must_use]
    pub fn takeoff_probability(&self, cascade: &Cascade, opening: &Opening) -> f64 {
        self.parts.takeoff.chance(opening, cascade.resharers() as f64, cascade.age().as_secs())
    }

    /// Returns the forecasts from partial knowledge that lead to the 24-hour forecast `day`.
    #[must_use]
    pub fn forecast_steps(&self, cascade: &Cascade, day: &GrowthDistribution) -> ForecastSteps {
        let takeoff_probability = self.takeoff_probability(cascade, &ORDINARY);
        let velocity = GrowthDistribution { takeoff_probability, ..*day };
        let fresh = GrowthDistribution {
            so_far: 0.0,
            takeoff_probability: self.parts.takeoff.chance(&ORDINARY, 0.0, 0.0),
            chances: self.fresh[DAY_INDEX],
        };
        if is_fresh(cascade) {
            return ForecastSteps { fresh, size: velocity, velocity };
        }
        ForecastSteps { fresh, size: self.parts.steady(day.so_far, cascade.age().as_secs()), velocity }
    }
}

fn is_fresh(cascade: &Cascade) -> bool {
    cascade.resharers() == 0 && cascade.age().as_secs() < 1.0
}

impl ViralityParts {
    /// Forecasts a conversation with `n` reshares at a constant pace over `age` seconds, by ordinary
    /// accounts.
    fn steady(&self, n: f64, age: f64) -> GrowthDistribution {
        GrowthDistribution {
            so_far: n,
            takeoff_probability: self.takeoff.chance(&ORDINARY, n, age),
            chances: self.weighted_day_chances(n, &Features::steady(n, age)),
        }
    }

    /// Returns the weighted chances of all horizons.
    fn weighted_chances(&self, cascade: &Cascade) -> [[f32; GROWTH_BINS]; HORIZON_COUNT] {
        let weights = self.sizes.growth_weights(cascade.resharers() as f64);
        let all = self.network.chances(&Features::without_followers(cascade));
        all.map(|chances| weighted(chances, &weights))
    }

    /// Returns the weighted chances of 24 hours.
    fn weighted_day_chances(&self, so_far: f64, features: &Features) -> [f32; GROWTH_BINS] {
        weighted(self.network.horizon_chances(DAY_INDEX, features), &self.sizes.growth_weights(so_far))
    }
}
