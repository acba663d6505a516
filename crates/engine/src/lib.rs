//! Turns input records into effects: scores, signals, escalations and dead letters.
//!
//! [`Task`] holds the state of one partition. The same code runs behind Kafka, in `firewatch score`, in
//! backtests and in the demo. It does no I/O and has no clock, so a recorded stream replays to the same
//! bytes.

mod active_ruleset;
mod assess;
mod changelog;
mod conversation;
mod conversation_store;
mod decide;
mod effect;
mod entry_store;
mod known_brands;
mod local_topology;
mod observe;
mod partitioner;
mod record;
mod routes;
mod ruleset;
mod score_record;
mod signaled;
mod signals;
mod task;

pub use active_ruleset::ActiveRuleset;
pub use changelog::{ChangelogEntry, StateError};
pub use conversation::{ConversationView, Fold, Outcome};
pub use effect::{Effect, dead_letters};
pub use local_topology::{LineSource, LocalTopology, Tally};
pub use partitioner::Partitioner;
pub use record::{DecodeResult, Handled, Input, Record, RecordMeta, Stream};
pub use ruleset::{ModelFiles, Ruleset, SHADOW_TEAM};
pub use task::Task;
