//! Bytes in, domain event or reasoned rejection out.
//!
//! This is the edge where input is checked, once: behind it the types are trusted. Nothing is guessed and
//! nothing is dropped; what cannot be read becomes a [`Rejection`] that names the place, the value and the
//! remedy without repeating what a person wrote.

mod bluesky;
mod check;
mod decode_output;
mod frames;
mod generic;
mod hook_auth;
mod html;
mod ingester;
mod json;
mod json_values;
mod mastodon;
mod meta;
mod platform;
mod platform_time;
mod record;
mod reddit;
mod rejection;
mod reviews;
mod x;
mod youtube;
mod zendesk;

pub use decode_output::{DecodedPayload, DeletedAccount};
pub use frames::{Frames, PayloadFrame};
pub use generic::Mapping;
pub use hook_auth::{HookAuth, Lookup};
pub use ingester::{Ingester, MemoryEntry};
pub use platform::{PayloadDecoder, Platform};
pub use record::{decode_action, decode_event, decode_signal};
pub use rejection::Rejection;

type Result<T> = std::result::Result<T, Rejection>;

/// Largest record in bytes, 1 MiB: Kafka's own default limit.
pub const MAX_RECORD_BYTES: usize = 1 << 20;
/// Largest payload of a platform in bytes, 16 MiB: a page of a thousand tickets.
pub const MAX_PAYLOAD_BYTES: usize = 16 << 20;
/// Largest text of one post in bytes, 256 KiB: four times the longest post of any network read.
pub const MAX_TEXT_BYTES: usize = 256 << 10;
/// Longest id in bytes.
pub const MAX_ID_BYTES: usize = 256;
/// Most followers believed: a little more than there are people.
pub const MAX_FOLLOWERS: u64 = 10_000_000_000;
/// Highest platform counter believed.
pub const MAX_COUNTER: u64 = 1_000_000_000_000;
