//! HTTP server parts shared by the console, the collector and the metrics port: listener, TLS, limits,
//! probes.
//!
//! The crate is independent of the routes that are served.

mod connections;
mod listen;
mod probes;
mod tls;

pub use connections::{MAX_CONNECTIONS, Trust};
pub use listen::{ListenError, Listening, listen};
pub use probes::{Check, ProbeError, Probes, Scrape, serve_probes};
pub use tls::install_tls_provider;
