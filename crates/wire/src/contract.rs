//! The records with published schemas.
//!
//! The schemas are generated from the types and kept as files, so that a review shows every change.
//! `tests/schemas` verifies that types and files agree.

/// A record with a published schema and a configurable format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Contract {
    /// Records of the events topic.
    Event,
    /// Records of the actions topic.
    Action,
    /// Records of the scores topic.
    Score,
    /// Records of the teams' topics.
    Escalation,
    /// Records of the dead letters topic.
    DeadLetter,
}

/// The format of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// JSON, without a frame.
    #[default]
    Json,
    /// Avro, framed with the id of its schema.
    Avro,
    /// Protobuf, framed with the id of its schema.
    Protobuf,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 3] = [Self::Json, Self::Avro, Self::Protobuf];

    /// Returns the name used in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Avro => "avro",
            Self::Protobuf => "protobuf",
        }
    }

    /// Returns the format with a given name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Returns the media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Avro => "application/avro",
            Self::Protobuf => "application/protobuf",
        }
    }
}

impl Contract {
    /// All contracts.
    pub const ALL: [Self; 5] = [Self::Event, Self::Action, Self::Score, Self::Escalation, Self::DeadLetter];

    /// Returns the name used in `firewatch schema`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Action => "action",
            Self::Score => "score",
            Self::Escalation => "escalation",
            Self::DeadLetter => "dead_letter",
        }
    }

    /// Returns the published Avro schema.
    #[must_use]
    pub fn avro(self) -> &'static str {
        match self {
            Self::Event => include_str!("../schemas/event.avsc"),
            Self::Action => include_str!("../schemas/action.avsc"),
            Self::Score => include_str!("../schemas/score.avsc"),
            Self::Escalation => include_str!("../schemas/escalation.avsc"),
            Self::DeadLetter => include_str!("../schemas/dead_letter.avsc"),
        }
    }

    /// Returns the published Protobuf schema. The record is its first message.
    #[must_use]
    pub fn protobuf(self) -> &'static str {
        match self {
            Self::Event => include_str!("../schemas/event.proto"),
            Self::Action => include_str!("../schemas/action.proto"),
            Self::Score => include_str!("../schemas/score.proto"),
            Self::Escalation => include_str!("../schemas/escalation.proto"),
            Self::DeadLetter => include_str!("../schemas/dead_letter.proto"),
        }
    }
}
