//! How far it will go: until the end and in one, six and twenty-four hours, the chances of so many more reshares.
//!
//! A small network says the whole distribution of the growth, so that the forecast, its interval and the chance of
//! crossing a bar are one statement and cannot contradict each other; and before it, whether the conversation takes off
//! at all. Trained by `firewatch train virality`; see `models/virality.md` for data and figures.

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

use crate::model_format::ModelFormat;
use crate::{Cascade, ModelError, TYPICAL_FOLLOWERS};

const FORMAT: ModelFormat = ModelFormat { magic: b"FWVIRA\r\n", version: 1, description: "a virality model" };

/// The seconds ahead of the outlooks; the first is the end.
pub const FORECAST_HORIZONS: [f64; HORIZON_COUNT] = [f64::INFINITY, 3600.0, 21_600.0, 86_400.0];
/// The outlook that the risk is about, a day: who crosses the bar later leaves time to see it come.
const DAY_INDEX: usize = 3;
/// What a chance is told below 1 by when the bar has just been crossed.
const CROSSED_MARGIN: f64 = 1e-6;

/// What is forecast of a conversation: until the end, in an hour, six hours and a day, as in [`AHEAD`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast(pub [GrowthDistribution; HORIZON_COUNT]);

impl Forecast {
    /// Until the end.
    #[must_use]
    pub fn end(&self) -> &GrowthDistribution {
        &self.0[0]
    }

    /// Within a day.
    #[must_use]
    pub fn day(&self) -> &GrowthDistribution {
        &self.0[DAY_INDEX]
    }

    /// The chance that a conversation seen so often crosses a bar within a day. Of those that have crossed it, 1 less a
    /// millionth for the one that just did, and less of a millionth the larger it is expected to become: they still sort.
    #[must_use]
    pub fn crossing_probability(&self, bar: f64, reshares: f64) -> f64 {
        if reshares < bar {
            return self.day().at_least(bar - reshares);
        }
        1.0 - CROSSED_MARGIN * bar / (reshares + self.end().interval().point)
    }

    /// As it is told: further reshares, and what they add to the reach; what comes first first, and no more of it than
    /// of what comes later.
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

/// The trained model.
#[derive(Debug, Clone, PartialEq)]
pub struct ViralityModel {
    parts: ViralityParts,
    /// What the network says of a post that was just written: the same of all, and most of what is asked.
    fresh: [[f32; GROWTH_BINS]; HORIZON_COUNT],
}

/// The model as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ViralityParts {
    /// How it grows.
    pub network: GrowthNetwork,
    /// Whether it takes off.
    pub takeoff: Takeoff,
    /// How large those become that do.
    pub sizes: SizePrior,
}

/// What a conversation's outlook would be if less were known of it: the way from a fresh post to what is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForecastSteps {
    /// An ordinary account has just written it.
    pub fresh: GrowthDistribution,
    /// And it was passed on so often in that time, at a steady pace.
    pub size: GrowthDistribution,
    /// At the pace that it was.
    pub velocity: GrowthDistribution,
}

/// A calm post of an ordinary account.
const ORDINARY: Opening = Opening { followers: TYPICAL_FOLLOWERS as f64, arousal: 0.0, complaint: 0.0 };

impl ViralityModel {
    /// A model of its parts.
    ///
    /// # Errors
    /// When sizes are wrong or a number is none.
    pub fn new(parts: ViralityParts) -> Result<Self, ModelError> {
        if !(parts.network.is_sound() && parts.takeoff.is_sound() && parts.sizes.is_sound()) {
            return Err(ModelError::File(
                "a virality model with other features than this build computes".into(),
            ));
        }
        let fresh = parts.network.chances(&Features::without_followers(&Cascade::default()));
        Ok(Self { parts, fresh })
    }

    /// Whether bytes begin as a file of this kind.
    #[must_use]
    pub fn has_magic(bytes: &[u8]) -> bool {
        FORMAT.has_magic(bytes)
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// When the bytes are no such file, or one of another build.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        Self::new(FORMAT.read(bytes)?.0)
    }

    /// Writes the model file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        FORMAT.write(&self.parts, &[])
    }

    /// Forecasts a conversation's next day from what it is now, followers by way of its opening alone: of the cascades that
    /// were learnt from only the largest tell their followers, so that to know some would seem to make any conversation
    /// large. Sizes are weighed as they are among all posts.
    #[must_use]
    pub fn forecast_day(&self, cascade: &Cascade, opening: &Opening) -> GrowthDistribution {
        let chances = if is_fresh(cascade) {
            self.fresh[DAY_INDEX]
        } else {
            self.parts.network.horizon_chances(DAY_INDEX, &Features::without_followers(cascade))
        };
        self.parts.reweighted(cascade.resharers() as f64, self.takeoff_probability(cascade, opening), chances)
    }

    /// All outlooks of a conversation whose next day was forecast.
    #[must_use]
    pub fn forecast(&self, cascade: &Cascade, day: &GrowthDistribution) -> Forecast {
        let all = if is_fresh(cascade) {
            self.fresh
        } else {
            self.parts.network.chances(&Features::without_followers(cascade))
        };
        Forecast(all.map(|chances| self.parts.reweighted(day.so_far, day.takeoff_probability, chances)))
    }

    /// Forecasts a cascade of a collection like those that were learnt from, of which a share takes off: 1 where all did,
    /// [`BASE_RATE`] for posts as they come.
    #[must_use]
    pub fn forecast_collected(&self, cascade: &Cascade, opening: &Opening, share: f64) -> Forecast {
        let takeoff_probability = takeoff::with_base_rate(self.takeoff_probability(cascade, opening), share);
        let so_far = cascade.resharers() as f64;
        let all = self.parts.network.chances(&Features::from_cascade(cascade));
        Forecast(all.map(|chances| GrowthDistribution { so_far, takeoff_probability, chances }))
    }

    /// The chance that a conversation takes off, whatever became of it since.
    #[must_use]
    pub fn takeoff_probability(&self, cascade: &Cascade, opening: &Opening) -> f64 {
        self.parts.takeoff.chance(opening, cascade.resharers() as f64, cascade.age().as_secs())
    }

    /// The way to the outlook of the next day, one kind of knowledge after another.
    #[must_use]
    pub fn forecast_steps(&self, cascade: &Cascade, day: &GrowthDistribution) -> ForecastSteps {
        let takeoff_probability = self.takeoff_probability(cascade, &ORDINARY);
        let velocity = GrowthDistribution { takeoff_probability, ..*day };
        let fresh =
            self.parts.reweighted(0.0, self.parts.takeoff.chance(&ORDINARY, 0.0, 0.0), self.fresh[DAY_INDEX]);
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
    /// Passed on so often within an age in seconds by ordinary accounts, at a steady pace.
    fn steady(&self, n: f64, age: f64) -> GrowthDistribution {
        let chances = self.network.horizon_chances(DAY_INDEX, &Features::steady(n, age));
        self.reweighted(n, self.takeoff.chance(&ORDINARY, n, age), chances)
    }

    fn reweighted(
        &self,
        so_far: f64,
        takeoff_probability: f64,
        chances: [f32; GROWTH_BINS],
    ) -> GrowthDistribution {
        GrowthDistribution { so_far, takeoff_probability, chances }.reweighted(&self.sizes)
    }
}
