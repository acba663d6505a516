//! How far it will go: until the end and in one, six and twenty-four hours, the chances of so many more reshares.
//!
//! A small network says the whole distribution of the growth, so that the forecast, its interval and the chance of
//! crossing a bar are one statement and cannot contradict each other; and before it, whether the conversation takes off
//! at all. Trained by `firewatch train virality`; see `models/virality.md` for data and figures.

mod features;
mod network;
mod outlook;
mod takeoff;

pub use features::{FEATURES, Features};
pub use network::{BINS, LAYERS, Layer, Network, OUTLOOKS, OUTPUTS, SHAPES, WIDTH};
pub use outlook::{Interval, Outlook, bin_ends, growth};
pub use takeoff::{BASE_RATE, EVIDENCE, OPENING, Opening, TAKEN_OFF, Takeoff, evidence};

use firewatch_domain::Range;
use serde::{Deserialize, Serialize};

use crate::frame::Frame;
use crate::{Cascade, ModelError, TYPICAL_FOLLOWERS};

const FRAME: Frame = Frame { magic: b"FWVIRA\r\n", version: 1, what: "a virality model" };

/// The seconds ahead of the outlooks; the first is the end.
pub const AHEAD: [f64; OUTLOOKS] = [f64::INFINITY, 3600.0, 21_600.0, 86_400.0];

/// What is forecast of a conversation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Until the end, in an hour, six hours and a day, as in [`AHEAD`].
    pub outlooks: [Outlook; OUTLOOKS],
}

impl Forecast {
    /// Until the end.
    #[must_use]
    pub fn end(&self) -> &Outlook {
        &self.outlooks[0]
    }

    /// The chance that it takes off.
    #[must_use]
    pub fn takes_off(&self) -> f64 {
        self.end().takes_off
    }

    /// The same among conversations of which a share takes off: [`BASE_RATE`] is that of complaints, 1 that of a
    /// collection of cascades that did.
    #[must_use]
    pub fn among(mut self, share: f64) -> Self {
        for outlook in &mut self.outlooks {
            outlook.takes_off = takeoff::among(outlook.takes_off, share);
        }
        self
    }

    /// As it is told: further reshares, and what they add to the reach; what comes first first.
    #[must_use]
    pub fn told(&self, cascade: &Cascade) -> Vec<firewatch_domain::Outlook> {
        let range = |i: Interval| {
            let whole = i.map(f64::round);
            Range { low: whole.low as u64, expected: whole.expected as u64, high: whole.high as u64 }
        };
        let [end, ahead @ ..] = &self.outlooks;
        let hours = AHEAD.iter().skip(1).map(|secs| Some((secs / 3600.0) as u32));
        let all = ahead.iter().zip(hours).chain([(end, None)]);
        all.map(|(outlook, hours)| {
            let more = outlook.interval();
            let reach = range(more.map(|n| cascade.reach_grows_by(n)));
            firewatch_domain::Outlook { hours, reshares: range(more), reach }
        })
        .collect()
    }
}

/// The trained model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ViralityModel {
    network: Network,
    takeoff: Takeoff,
}

/// What a conversation's forecast would be if less were known of it: the way from a fresh post to what is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steps {
    /// An ordinary account has just written it.
    pub fresh: Outlook,
    /// And it was passed on so often in that time, at a steady pace.
    pub size: Outlook,
    /// At the pace that it was.
    pub velocity: Outlook,
    /// By those who did, and written by whoever did.
    pub reach: Outlook,
}

impl ViralityModel {
    /// A model of its parts.
    ///
    /// # Errors
    /// When sizes are wrong or a number is none.
    pub fn new(network: Network, takeoff: Takeoff) -> Result<Self, ModelError> {
        Self { network, takeoff }.checked()
    }

    fn checked(self) -> Result<Self, ModelError> {
        if self.network.is_sound() && self.takeoff.is_sound() {
            return Ok(self);
        }
        Err(ModelError("a virality model with other features than this build computes".into()))
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// When the bytes are no such file, or one of another build.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        FRAME.read::<Self>(bytes)?.0.checked()
    }

    /// Writes the model file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        FRAME.write(self, &[])
    }

    /// Forecasts a conversation from what it is now.
    #[must_use]
    pub fn forecast(&self, cascade: &Cascade, opening: &Opening) -> Forecast {
        let so_far = cascade.passers() as f64;
        let takes_off = self.takeoff.chance(opening, so_far, cascade.age().as_secs());
        let chances = self.network.chances(&Features::of(cascade));
        Forecast { outlooks: chances.map(|chances| Outlook { so_far, takes_off, chances }) }
    }

    /// The chance that a conversation takes off, whatever became of it since.
    #[must_use]
    pub fn takes_off(&self, cascade: &Cascade, opening: &Opening) -> f64 {
        self.takeoff.chance(opening, cascade.passers() as f64, cascade.age().as_secs())
    }

    /// The way to a forecast, one kind of knowledge after another.
    #[must_use]
    pub fn steps(&self, cascade: &Cascade, forecast: &Forecast) -> Steps {
        let ordinary = Opening { followers: TYPICAL_FOLLOWERS as f64, arousal: 0.0, complaint: 0.0 };
        let (n, age) = (cascade.passers() as f64, cascade.age().as_secs());
        let end = |so_far: f64, age: f64, features: &Features| {
            let takes_off = self.takeoff.chance(&ordinary, so_far, age);
            let [chances, ..] = self.network.chances(features);
            Outlook { so_far, takes_off, chances }
        };
        Steps {
            fresh: end(0.0, 0.0, &Features::steady(0.0, 0.0)),
            size: end(n, age, &Features::steady(n, age)),
            velocity: end(n, age, &Features::of_unknown(cascade)),
            reach: *forecast.end(),
        }
    }
}
