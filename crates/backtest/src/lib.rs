//! Tools for analysts: policy tests, backtests, tuning, explanations, and reports on feedback, drift and
//! reply times.
//!
//! A backtest runs the production engine over a recording, so its alerts are those that `firewatch run` would
//! emit. This crate trains no models and depends on no training library.

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
