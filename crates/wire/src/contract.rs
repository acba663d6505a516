//! The records whose schemas are published. They are generated from the types, kept as files so that a change is seen when
//! it is reviewed, and held to both by `tests/schemas`.

/// A record that is written in a form of one's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Contract {
    /// Of the events topic.
    Event,
    /// Of the actions topic.
    Action,
    /// Of the scores topic.
    Score,
    /// Of the teams' topics.
    Escalation,
    /// Of the dead letters topic.
    DeadLetter,
}

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// JSON, without a frame.
    #[default]
    Json,
    /// Avro behind the id of its schema.
    Avro,
    /// Protobuf behind the id of its schema.
    Protobuf,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Json, Self::Avro, Self::Protobuf];

    /// Its name, as in the settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Avro => "avro",
            Self::Protobuf => "protobuf",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Its media type.
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
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Event, Self::Action, Self::Score, Self::Escalation, Self::DeadLetter];

    /// Its name, as in `firewatch schema`.
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

    /// The published schema in Avro.
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

    /// The published schema in Protobuf. The record is its first message.
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
