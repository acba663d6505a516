//! What could not be decoded: the raw bytes, the reason and where they came from, so that nothing is lost.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One record of the dead letters topic. A record too large for one is told in `parts`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "dead_letter")]
pub struct DeadLetter {
    /// Schema version; this build writes 1.
    pub v: u32,
    /// Source topic, partition, offset and part: the same for every redelivery.
    pub id: String,
    /// The class of the fault.
    pub code: RejectionCode,
    /// The place, the value and the remedy; holds no text of the post.
    pub detail: String,
    /// Where the record was read.
    pub origin: Origin,
    /// The raw bytes, base64.
    pub raw: String,
    /// Which part of the bytes this is, from 1.
    pub part: u32,
    /// How many parts there are.
    pub parts: u32,
}

/// Where a record was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The offset in the partition (in a file: the line, from 1).
    pub offset: i64,
}

/// Classes of faults in a record; the label of the metric that counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RejectionCode {
    /// No bytes at all.
    Empty,
    /// More bytes than a record may have.
    TooLarge,
    /// Not UTF-8.
    NotUtf8,
    /// No JSON object.
    MalformedJson,
    /// A field has the wrong type, a negative or a fractional count among them.
    WrongType,
    /// A field that must be there is not.
    MissingField,
    /// A schema version that this build does not read.
    UnknownVersion,
    /// An id that is empty or too long.
    BadId,
    /// A time before 2000 or more than a day after arrival.
    BadTime,
    /// A count beyond anything real.
    OutOfRange,
    /// None or several of post, engagement, counters, brand_reply, delete.
    NotOneBody,
    /// The record's key is not its conversation.
    KeyMismatch,
    /// A schema that the registry does not have, or that cannot be used.
    UnknownSchema,
    /// Bytes that are not what their schema says.
    SchemaMismatch,
    /// JSON, but nothing that the platform is known to send.
    UnknownPayload,
    /// A payload of the platform that tells of no post and no engagement: nothing is lost by leaving it out.
    NotRelevant,
}

impl RejectionCode {
    /// Whether it tells of something to mend; what only is of no interest is counted and not kept.
    #[must_use]
    pub fn is_fault(self) -> bool {
        self != Self::NotRelevant
    }

    /// The code as on the wire.
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
            Self::BadTime => "bad_time",
            Self::OutOfRange => "out_of_range",
            Self::NotOneBody => "not_one_body",
            Self::KeyMismatch => "key_mismatch",
            Self::UnknownSchema => "unknown_schema",
            Self::SchemaMismatch => "schema_mismatch",
            Self::UnknownPayload => "unknown_payload",
            Self::NotRelevant => "not_relevant",
        }
    }
}

impl fmt::Display for RejectionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
