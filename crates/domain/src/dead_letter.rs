//! Records that could not be decoded: the raw bytes, the reason and the origin, so that nothing is lost.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One record of the dead letter topic. A record too large for one message is split into `parts`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "dead_letter")]
pub struct DeadLetter {
    /// Schema version; this build writes 1.
    pub v: u32,
    /// Source topic, partition, offset and part: the same for every redelivery.
    pub id: String,
    /// The class of the error.
    pub code: RejectionCode,
    /// The place, the value and the remedy. It never contains text of the post.
    pub detail: String,
    /// Where the record was read.
    pub origin: Origin,
    /// The raw bytes in base64.
    pub raw: String,
    /// Number of this part, from 1.
    pub part: u32,
    /// Number of parts.
    pub parts: u32,
}

/// The position at which a record was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The offset in the partition. For a file: the line number, from 1.
    pub offset: i64,
}

/// Classes of errors in a record. They are the label values of the metric that counts rejections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RejectionCode {
    /// The record has no bytes.
    Empty,
    /// The record has more bytes than allowed.
    TooLarge,
    /// The record is not UTF-8.
    NotUtf8,
    /// The record is not a JSON object.
    MalformedJson,
    /// A field has the wrong type. Negative and fractional counts are wrong types too.
    WrongType,
    /// A required field is missing.
    MissingField,
    /// This build does not read the schema version.
    UnknownVersion,
    /// An id is empty or too long.
    BadId,
    /// An address is not an `http` or `https` one, or too long.
    BadUrl,
    /// A time is before 2000 or more than a day after arrival.
    BadTime,
    /// A count is implausibly large.
    OutOfRange,
    /// The record has none or several of `post`, `engagement`, `counters`, `brand_reply` and `delete`.
    NotOneBody,
    /// The key of the record differs from its conversation.
    KeyMismatch,
    /// The registry does not have the schema, or the schema cannot be used.
    UnknownSchema,
    /// The bytes do not match their schema.
    SchemaMismatch,
    /// The JSON is no payload that the platform is known to send.
    UnknownPayload,
    /// The payload contains neither a post nor an engagement, so nothing is lost by skipping it.
    NotRelevant,
    /// A private message, an internal note, a draft, a protected post, or one held for review. It is kept nowhere.
    NotPublic,
}

impl RejectionCode {
    /// Returns whether somebody has to fix something. Payloads that are merely irrelevant are counted but not
    /// kept.
    #[must_use]
    pub fn is_fault(self) -> bool {
        !matches!(self, Self::NotRelevant | Self::NotPublic)
    }

    /// Returns the code as spelled on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLarge => "too_large",
            Self::NotUtf8 => "not_utf8",
            Self::MalformedJson => "malformed_json",
            Self::WrongType => "wrong_type",
            Self::MissingField => "missing_field",
            Self::UnknownVersion => "unknown_version",
            Self::BadId => "bad_id",
            Self::BadUrl => "bad_url",
            Self::BadTime => "bad_time",
            Self::OutOfRange => "out_of_range",
            Self::NotOneBody => "not_one_body",
            Self::KeyMismatch => "key_mismatch",
            Self::UnknownSchema => "unknown_schema",
            Self::SchemaMismatch => "schema_mismatch",
            Self::UnknownPayload => "unknown_payload",
            Self::NotRelevant => "not_relevant",
            Self::NotPublic => "not_public",
        }
    }
}

impl fmt::Display for RejectionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
