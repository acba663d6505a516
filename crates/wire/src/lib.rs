//! Encodes and decodes records in Avro and Protobuf.
//!
//! The contract of a record is its JSON. Other formats are converted to that JSON on reading and from it on
//! writing, so that validation and messages exist once. Schemas and bytes are arguments; the shell talks to
//! the registry.

mod avro;
mod contract;
mod frame;
mod protobuf;
mod scalar;
mod schema;

pub use contract::{Contract, Format};
pub use frame::{split_frame, write_frame};
pub use schema::{Language, Schema, WireError};
