//! What analysis commands share: report pages, charts and tables, and the small helpers under them.
//!
//! `backtest` and `train` both write reports; this crate keeps either from depending on the other for a
//! chart.

pub mod chart;
mod error;
pub mod files;
pub mod page;
pub mod parallel;
pub mod random;
pub mod table;
mod zone;

pub use error::AnalysisError;
pub use zone::{UnknownZone, Zone};
