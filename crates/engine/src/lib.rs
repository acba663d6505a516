//! The engine: the state of one partition's conversations and the one function that takes a record to its effects.
//!
//! The same code runs in production behind Kafka, in `firewatch score` behind a pipe, in backtests and in
//! the demo. It does no I/O and holds no clock, so a recorded stream replays to the same bytes.

mod active_ruleset;
mod changelog;
mod conversation;
mod conversation_store;
mod effect;
mod entry_store;
mod local_topology;
mod posts;
mod record;
mod routes;
mod ruleset;
mod signals;
mod task;

pub use active_ruleset::ActiveRuleset;
pub use changelog::{ChangelogEntry, StateError};
pub use conversation::{ConversationView, Fold, Outcome};
pub use effect::{Effect, dead_letters};
pub use local_topology::{LocalTopology, Tally};
pub use record::{DecodeResult, Handled, Input, Record, Stream};
pub use ruleset::{ModelFiles, Ruleset, SHADOW_TEAM, UNLISTED_BRAND};
pub use task::Task;
