//! The analysts' product: policies tried on stories and on history, tuned, explained and reported on.
//!
//! A backtest runs the engine of production over a recording, so its alerts are those that `firewatch run` would emit. This
//! crate trains nothing and needs no training library.

pub mod cascades;
pub mod drift;
pub mod feedback;
pub mod labels;
pub mod lines;
pub mod live;
pub mod policy;
pub mod recordings;
pub mod response;
pub mod run;
pub mod tune;
