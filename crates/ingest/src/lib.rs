//! Decodes bytes into domain events or rejections: our own JSON records, and payloads of social platforms.
//!
//! All input is validated here, once, so that other crates can trust the types. Nothing is guessed or
//! dropped: unreadable input becomes a [`Rejection`] with place, value and remedy, which never repeats a
//! person's text.

mod app_store;
mod bad_items;
mod bad_parts;
mod bluesky;
mod check;
mod decode_output;
mod envelope;
mod feed;
mod frames;
mod freshdesk;
mod generic;
mod google_business;
mod google_play;
mod hook_auth;
mod html;
mod ingester;
mod intercom;
mod json;
mod json_values;
mod linkedin;
mod mastodon;
mod meta;
mod platform;
mod platform_time;
mod private_parts;
mod record;
mod reddit;
mod rejection;
mod reviews;
mod signals_record;
mod threads;
mod tiktok;
mod trustpilot;
mod x;
mod xml;
mod youtube;
mod zendesk;

pub use bad_items::rejected_parts;
pub use decode_output::{DecodedPayload, DeletedAccount, PostVersion, RestoredAccount, ShownPost};
pub use frames::{Frames, PayloadFrame};
pub use generic::{ExplainedField, ExplainedItem, Mapping};
pub use hook_auth::{ChallengeError, HookAuth, HookAuthError, Lookup};
pub use ingester::{Ingester, MemoryEntry};
pub use platform::{PayloadDecoder, Platform, UnknownPlatform};
pub use record::{decode_action, decode_event};
pub use rejection::Rejection;
pub use signals_record::{SignalsRecord, decode_signals_record};

type Result<T> = std::result::Result<T, Rejection>;

/// Maximum size of a record in bytes, 1 MiB: Kafka's default limit.
pub const MAX_RECORD_BYTES: usize = 1 << 20;
/// Maximum size of a platform payload in bytes, 16 MiB: a page of a thousand tickets.
pub const MAX_PAYLOAD_BYTES: usize = 16 << 20;
/// Maximum size of a post's text in bytes, 256 KiB: four times the longest post of any supported network.
pub const MAX_TEXT_BYTES: usize = 256 << 10;
/// Maximum length of an address in bytes.
pub const MAX_URL_BYTES: usize = 2048;
/// Maximum length of an id in bytes.
pub const MAX_ID_BYTES: usize = 256;
/// Maximum plausible follower count: slightly above the world's population.
pub const MAX_FOLLOWERS: u64 = 10_000_000_000;
/// Maximum plausible platform counter.
pub const MAX_COUNTER: u64 = 1_000_000_000_000;
