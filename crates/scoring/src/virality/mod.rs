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
pub use network::{BINS, Layer, Network, OUTLOOKS, OUTPUTS, SHAPES, WIDTH};
pub use outlook::{Interval, Outlook, bin_ends, growth};
pub use takeoff::{BASE_RATE, EVIDENCE, OPENING, Opening, Sizes, TAKEN_OFF, Takeoff, evidence};

use firewatch_domain::Range;
use serde::{Deserialize, Serialize};

use crate::frame::Frame;
use crate::{Cascade, ModelError, TYPICAL_FOLLOWERS};

const FRAME: Frame = Frame { magic: b"FWVIRA\r\n", version: 1, what: "a virality model" };

/// The seconds ahead of the outlooks; the first is the end.
pub const AHEAD: [f64; OUTLOOKS] = [f64::INFINITY, 3600.0, 21_600.0, 86_400.0];
/// The outlook that the risk is about, a day: who crosses the bar later leaves time to see it come.
const DAY: usize = 3;
/// What a chance is told below 1 by when the bar has just been crossed.
const CROSSED: f64 = 1e-6;

/// What is forecast of a conversation: until the end, in an hour, six hours and a day, as in [`AHEAD`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast(pub [Outlook; OUTLOOKS]);

impl Forecast {
    /// Until the end.
    #[must_use]
    pub fn end(&self) -> &Outlook {
        &self.0[0]
    }

    /// Within a day.
    #[must_use]
    pub fn day(&self) -> &Outlook {
        &self.0[DAY]
    }

    /// The chance that a conversation seen so often crosses a bar within a day. Of those that have crossed it, 1 less a
    /// millionth for the one that just did, and less of a millionth the larger it is expected to become: they still sort.
    #[must_use]
    pub fn crosses(&self, bar: f64, seen: f64) -> f64 {
        if seen < bar {
            return self.day().at_least(bar - seen);
        }
        1.0 - CROSSED * bar / (seen + self.end().interval().expected)
    }

    /// As it is told: further reshares, and what they add to the reach; what comes first first, and no more of it than
    /// of what comes later.
    #[must_use]
    pub fn told(&self, cascade: &Cascade) -> Vec<firewatch_domain::Outlook> {
        let range = |i: Interval| {
            let whole = i.map(f64::round);
            Range { low: whole.low as u64, expected: whole.expected as u64, high: whole.high as u64 }
        };
        let [end, ahead @ ..] = &self.0;
        let hours = AHEAD.iter().skip(1).map(|secs| Some((secs / 3600.0) as u32));
        let mut later = end.interval();
        let mut all = Vec::with_capacity(OUTLOOKS);
        for (outlook, hours) in std::iter::once((end, None)).chain(ahead.iter().zip(hours).rev()) {
            let more = outlook.interval();
            later = Interval {
                low: more.low.min(later.low),
                expected: more.expected.min(later.expected),
                high: more.high.min(later.high),
            };
            let reach = range(later.map(|n| cascade.reach_grows_by(n)));
            all.push(firewatch_domain::Outlook { hours, reshares: range(later), reach });
        }
        all.reverse();
        all
    }
}

/// The trained model.
#[derive(Debug, Clone, PartialEq)]
pub struct ViralityModel {
    parts: Parts,
    /// What the network says of a post that was just written: the same of all, and most of what is asked.
    fresh: [[f32; BINS]; OUTLOOKS],
}

/// The model as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parts {
    /// How it grows.
    pub network: Network,
    /// Whether it takes off.
    pub takeoff: Takeoff,
    /// How large those become that do.
    pub sizes: Sizes,
}

/// What a conversation's outlook would be if less were known of it: the way from a fresh post to what is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steps {
    /// An ordinary account has just written it.
    pub fresh: Outlook,
    /// And it was passed on so often in that time, at a steady pace.
    pub size: Outlook,
    /// At the pace that it was.
    pub velocity: Outlook,
}

/// A calm post of an ordinary account.
const ORDINARY: Opening = Opening { followers: TYPICAL_FOLLOWERS as f64, arousal: 0.0, complaint: 0.0 };

impl ViralityModel {
    /// A model of its parts.
    ///
    /// # Errors
    /// When sizes are wrong or a number is none.
    pub fn new(parts: Parts) -> Result<Self, ModelError> {
        if !(parts.network.is_sound() && parts.takeoff.is_sound() && parts.sizes.is_sound()) {
            return Err(ModelError::File(
                "a virality model with other features than this build computes".into(),
            ));
        }
        let fresh = parts.network.chances(&Features::of_unknown(&Cascade::default()));
        Ok(Self { parts, fresh })
    }

    /// Whether bytes begin as a file of this kind.
    #[must_use]
    pub fn is_one(bytes: &[u8]) -> bool {
        FRAME.begins(bytes)
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// When the bytes are no such file, or one of another build.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        Self::new(FRAME.read(bytes)?.0)
    }

    /// Writes the model file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        FRAME.write(&self.parts, &[])
    }

    /// Forecasts a conversation's next day from what it is now, followers by way of its opening alone: of the cascades that
    /// were learnt from only the largest tell their followers, so that to know some would seem to make any conversation
    /// large. Sizes are weighed as they are among all posts.
    #[must_use]
    pub fn day(&self, cascade: &Cascade, opening: &Opening) -> Outlook {
        let chances = if is_fresh(cascade) {
            self.fresh[DAY]
        } else {
            self.parts.network.chances_of(DAY, &Features::of_unknown(cascade))
        };
        self.parts.among_all(cascade.passers() as f64, self.takes_off(cascade, opening), chances)
    }

    /// All outlooks of a conversation whose next day was forecast.
    #[must_use]
    pub fn forecast(&self, cascade: &Cascade, day: &Outlook) -> Forecast {
        let all = if is_fresh(cascade) {
            self.fresh
        } else {
            self.parts.network.chances(&Features::of_unknown(cascade))
        };
        Forecast(all.map(|chances| self.parts.among_all(day.so_far, day.takes_off, chances)))
    }

    /// Forecasts a cascade of a collection like those that were learnt from, of which a share takes off: 1 where all did,
    /// [`BASE_RATE`] for posts as they come.
    #[must_use]
    pub fn forecast_collected(&self, cascade: &Cascade, opening: &Opening, share: f64) -> Forecast {
        let takes_off = takeoff::among(self.takes_off(cascade, opening), share);
        let so_far = cascade.passers() as f64;
        let all = self.parts.network.chances(&Features::of(cascade));
        Forecast(all.map(|chances| Outlook { so_far, takes_off, chances }))
    }

    /// The chance that a conversation takes off, whatever became of it since.
    #[must_use]
    pub fn takes_off(&self, cascade: &Cascade, opening: &Opening) -> f64 {
        self.parts.takeoff.chance(opening, cascade.passers() as f64, cascade.age().as_secs())
    }

    /// The way to the outlook of the next day, one kind of knowledge after another.
    #[must_use]
    pub fn steps(&self, cascade: &Cascade, day: &Outlook) -> Steps {
        let takes_off = self.takes_off(cascade, &ORDINARY);
        let velocity = Outlook { takes_off, ..*day };
        let fresh =
            self.parts.among_all(0.0, self.parts.takeoff.chance(&ORDINARY, 0.0, 0.0), self.fresh[DAY]);
        if is_fresh(cascade) {
            return Steps { fresh, size: velocity, velocity };
        }
        Steps { fresh, size: self.parts.steady(day.so_far, cascade.age().as_secs()), velocity }
    }
}

fn is_fresh(cascade: &Cascade) -> bool {
    cascade.passers() == 0 && cascade.age().as_secs() < 1.0
}

impl Parts {
    /// Passed on so often within an age in seconds by ordinary accounts, at a steady pace.
    fn steady(&self, n: f64, age: f64) -> Outlook {
        let chances = self.network.chances_of(DAY, &Features::steady(n, age));
        self.among_all(n, self.takeoff.chance(&ORDINARY, n, age), chances)
    }

    fn among_all(&self, so_far: f64, takes_off: f64, chances: [f32; BINS]) -> Outlook {
        Outlook { so_far, takes_off, chances }.weighed(&self.sizes)
    }
}
