//! A schema as a registry has it, made ready to read and write with.

use std::fmt;

use serde_json::Value;

use crate::avro::AvroSchema;
use crate::protobuf::ProtobufSchema;

/// Why a schema cannot be used, or bytes cannot be read by one. It never repeats what is in the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireError(String);

impl WireError {
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }

    /// The same at a place within a record.
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

/// Languages that schemas of a registry are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Apache Avro 1.12.
    Avro,
    /// Protocol Buffers, proto2 or proto3.
    Protobuf,
    /// JSON Schema: what is framed is JSON.
    Json,
}

impl Language {
    /// The language that a registry calls so; Avro is what it does not name.
    #[must_use]
    pub fn from_name(name: Option<&str>) -> Option<Self> {
        match name {
            None | Some("AVRO") => Some(Self::Avro),
            Some("PROTOBUF") => Some(Self::Protobuf),
            Some("JSON") => Some(Self::Json),
            Some(_) => None,
        }
    }

    /// What a registry calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Avro => "AVRO",
            Self::Protobuf => "PROTOBUF",
            Self::Json => "JSON",
        }
    }
}

/// A schema to read or write records by.
pub enum Schema {
    /// In Avro.
    Avro(AvroSchema),
    /// In Protobuf.
    Protobuf(ProtobufSchema),
    /// In JSON Schema. The record's own checks are stricter, so the schema is not looked at.
    Json,
}

impl Schema {
    /// Makes a schema ready. `references` are the schemas it refers to, by the names it knows them under.
    ///
    /// # Errors
    /// When it is not one, or is not to be read safely.
    pub fn parse(language: Language, text: &str, references: &[(String, String)]) -> Result<Self, WireError> {
        Ok(match language {
            Language::Avro => Self::Avro(AvroSchema::parse(text, references)?),
            Language::Protobuf => Self::Protobuf(ProtobufSchema::parse(text, references)?),
            Language::Json => Self::Json,
        })
    }

    /// The JSON of a record, from the bytes that follow the schema's id. Times are RFC 3339, bytes base64; what has no value is
    /// left out.
    ///
    /// # Errors
    /// When the bytes are not what the schema says.
    pub fn to_json(&self, payload: &[u8]) -> Result<Vec<u8>, WireError> {
        match self {
            Self::Avro(avro) => avro.to_json(payload),
            Self::Protobuf(protobuf) => protobuf.to_json(payload),
            Self::Json => Ok(payload.to_vec()),
        }
    }

    /// Puts a record, given as its JSON, behind what is in `out`. A field that the schema lacks is a fault, as it would be lost.
    ///
    /// # Errors
    /// When the record does not fit the schema.
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
