//! The Kafka side of the engine: group membership, workers with their transactions and changelogs, headers, and the
//! embedded broker.
//!
//! Nothing outside this crate names rdkafka. Effects, state and positions are committed together; whoever takes a
//! partition over shuts out the one before and reads what it committed.

mod acked;
mod client;
mod contents;
mod crew;
mod desk;
mod embedded;
mod ends;
mod error;
mod feed;
mod formats;
mod headers;
mod intake;
mod lane;
mod member;
mod merge;
mod metering;
mod positions;
mod reader;
mod recording;
mod registry;
mod replay;
mod restore;
mod runner;
mod settings;
mod span;
mod topics;
mod wait;
mod worker;
mod writer;

pub use acked::{Acked, last_header};
pub use contents::{Between, ends_of, find, read_topics};
pub use embedded::Embedded;
pub use error::RunError;
pub use feed::{Feed, Received, Tail};
pub use formats::Formats;
pub use intake::{Intakes, RawSource};
pub use recording::{Recording, Taken};
pub use registry::{RegistrySettings, registry_url};
pub use replay::Replay;
pub use runner::{Clock, Health, Runner};
pub use settings::{Guarantee, KafkaSettings, Topics, check_properties};
pub use span::{Edge, Edges, Span};
pub use topics::{Plan, create_topics, plan_sources, plan_topics};

pub(crate) use error::doing;
