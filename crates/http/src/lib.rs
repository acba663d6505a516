//! The small server parts that the console, the collector and the metrics port share: listener, TLS, limits, probes.
//!
//! Nothing here knows what is served.

mod listen;
mod probes;
mod tls;

pub use listen::{ListenError, Listening, listen};
pub use probes::{Check, Probes, Scrape, serve_probes};
pub use tls::install_tls_provider;
