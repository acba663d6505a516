//! The engine: the state of one partition's conversations and the one function that takes a record to its effects.
//!
//! The same code runs in production behind Kafka, in `firewatch score` behind a pipe, in backtests and in
//! the demo. It does no I/O and holds no clock, so a recorded stream replays to the same bytes.

mod brain;
mod conversation;
mod effect;
mod in_force;
mod ledger;
mod pipe;
mod record;
mod routes;
mod state;
mod store;
mod task;
mod tells;
mod written;

pub use brain::{Brain, Models, TRIAL, UNLISTED};
pub use conversation::{Fold, Outcome, Seen};
pub use effect::{Effect, dead_letters};
pub use in_force::InForce;
pub use pipe::{Pipe, Tally};
pub use record::{Decoded, Handled, Input, Record, Stream};
pub use state::{Change, StateError};
pub use task::Task;
