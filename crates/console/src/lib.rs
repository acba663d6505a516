//! The console: what PR and support teams look at, and how they are told.
//!
//! It keeps a projection of the topics in a database, which can be built again from them at any time; what people do goes to
//! the actions topic and nowhere else, so the log stays the one truth. Kafka is somebody else's: records come in, actions
//! go out through a function.

pub mod notify;
mod outbound_client;
pub mod people;
mod percent_encoding;
mod settings;
pub mod store;
pub mod web;

pub use settings::{ConsoleSettings, SignIn, tls};
