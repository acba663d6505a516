//! The console for PR and support teams: web pages, the HTTP API behind them, accounts and notifications.
//!
//! Keeps a projection of the topics in a database, which can be rebuilt from the topics at any time. What
//! people do goes only to the actions topic, so the topics stay the single source of truth. No text of a post
//! is stored, except redacted beginnings and the words that reasons and topics quote. This crate contains no
//! Kafka client: records come in through [`store::Store::apply`], and actions go out through a function in
//! [`web::Tools`].

mod error;
pub mod notify;
mod outbound_client;
pub mod people;
mod percent_encoding;
mod settings;
pub mod store;
pub mod web;

pub use outbound_client::{HttpClientError, RequestError};
pub use settings::{ConsoleSettings, SecondFactorPolicy, SignIn, UnsafeConsole, tls};
