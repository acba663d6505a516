//! Records in Avro and Protobuf.
//!
//! A record has one contract, its JSON; what is written in another form is turned into that JSON where it is read, so
//! that there is one set of checks and of messages, and made of it where it is written. Schemas and bytes are arguments:
//! who asks a registry is the shell's affair.

mod avro;
mod contract;
mod frame;
mod protobuf;
mod scalar;
mod schema;

pub use contract::{Contract, Format};
pub use frame::{split_frame, write_frame};
pub use schema::{Language, Schema, WireError};
