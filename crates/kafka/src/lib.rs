//! The Kafka side of the engine: group membership, workers with their transactions and changelogs, record
//! headers, and the embedded broker.
//!
//! Nothing outside this crate names rdkafka. Effects, state and positions are committed together. The new
//! owner of a partition fences the previous one and restores what it committed.

mod access_rights;
mod acked_producer;
mod backoff;
mod client_context;
mod embedded;
mod end_offsets;
mod engine_processor;
mod error;
mod formats;
mod group_member;
mod headers;
mod ingest;
mod kafka_log;
mod key_placement;
mod log;
mod merge;
mod metadata;
mod metering;
mod partition_reader;
mod positions;
mod processor;
mod progress;
mod record_io;
mod replay;
mod restore;
mod runner;
mod schema_registry;
mod settings;
#[cfg(test)]
mod simulated_log;
#[cfg(test)]
mod simulation;
mod span;
mod span_reader;
mod task_reader;
mod task_writer;
mod topic_admin;
mod topic_scan;
mod transactional_producer;
mod worker;
mod worker_context;
mod workers;

pub use access_rights::{AccessRight, COMMANDS_WITH_RIGHTS, Resource, access_rights};
pub use acked_producer::{AckedProducer, last_header};
pub use embedded::EmbeddedBroker;
pub use error::RunError;
pub use formats::Formats;
pub use ingest::{IngestRunner, RawSource};
pub use key_placement::{KeyPlacement, sample_key_placement};
pub use record_io::{ReceivedRecord, RecordProducer, TopicTail};
pub use replay::Replay;
pub use runner::{Health, Runner, WallClock};
pub use schema_registry::{RegistrySettings, RegistryUrlError, registry_url};
pub use settings::{Guarantee, KafkaSettings, Topics, check_properties};
pub use span::{Span, SpanBound, SpanBounds};
pub use span_reader::{SpanReader, SpanRecord};
pub use topic_admin::{TopicPlan, create_topics, plan_sources, plan_topics};
pub use topic_scan::{TimeRange, fetch_end_offsets, find_by_key, scan_topics};
pub use workers::NotReady;

pub(crate) use error::client_error;
