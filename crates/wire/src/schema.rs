//! A parsed registry schema, which decodes and encodes records.

use std::fmt;

use serde_json::Value;

use crate::avro::AvroSchema;
use crate::protobuf::ProtobufSchema;

/// Why a schema is unusable or a record does not match one. The message never repeats the record's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireError(String);

impl WireError {
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }

    /// Prefixes the field in which the error occurred.
    pub(crate) fn within(self, name: &str) -> Self {
        match self.0.strip_prefix('`') {
            Some(rest) => Self(format!("`{name}.{rest}")),
            None => Self(format!("`{name}`: {}", self.0)),
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WireError {}

/// The language of a registry schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Apache Avro 1.12.
    Avro,
    /// Protocol Buffers, proto2 or proto3.
    Protobuf,
    /// JSON Schema; the payload is JSON.
    Json,
}

impl Language {
    /// Returns the language with the registry's name. No name means Avro.
    #[must_use]
    pub fn from_name(name: Option<&str>) -> Option<Self> {
        match name {
            None | Some("AVRO") => Some(Self::Avro),
            Some("PROTOBUF") => Some(Self::Protobuf),
            Some("JSON") => Some(Self::Json),
            Some(_) => None,
        }
    }

    /// Returns the registry's name of the language.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Avro => "AVRO",
            Self::Protobuf => "PROTOBUF",
            Self::Json => "JSON",
        }
    }
}

/// A schema that decodes and encodes records.
pub enum Schema {
    /// An Avro schema.
    Avro(AvroSchema),
    /// A Protobuf schema.
    Protobuf(ProtobufSchema),
    /// A JSON Schema. It is not evaluated, because the validation of records is stricter.
    Json,
}

impl Schema {
    /// Parses a schema. `references` are the schemas it refers to: name and text of each.
    ///
    /// # Errors
    /// If the schema is invalid, recursive or too large.
    pub fn parse(language: Language, text: &str, references: &[(String, String)]) -> Result<Self, WireError> {
        Ok(match language {
            Language::Avro => Self::Avro(AvroSchema::parse(text, references)?),
            Language::Protobuf => Self::Protobuf(ProtobufSchema::parse(text, references)?),
            Language::Json => Self::Json,
        })
    }

    /// Decodes a payload, without its frame, to JSON. Times become RFC 3339, bytes base64; fields without a
    /// value are omitted.
    ///
    /// # Errors
    /// If the payload does not match the schema.
    pub fn to_json(&self, payload: &[u8]) -> Result<Vec<u8>, WireError> {
        match self {
            Self::Avro(avro) => avro.to_json(payload),
            Self::Protobuf(protobuf) => protobuf.to_json(payload),
            Self::Json => Ok(payload.to_vec()),
        }
    }

    /// Encodes a record, given as JSON, and appends it to `out`.
    ///
    /// # Errors
    /// If the record does not fit the schema. A field that the schema lacks is an error, because it would be
    /// lost.
    pub fn encode(&self, record: &Value, out: &mut Vec<u8>) -> Result<(), WireError> {
        match self {
            Self::Avro(avro) => avro.encode(record, out),
            Self::Protobuf(protobuf) => protobuf.encode(record, out),
            Self::Json => {
                out.extend(record.to_string().into_bytes());
                Ok(())
            }
        }
    }
}
