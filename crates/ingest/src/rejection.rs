//! Why a record cannot be taken.

use std::fmt;

use firewatch_domain::RejectionCode;
use serde_json::error::Category;

/// A record that cannot be taken: the class of the fault for counting, and words for the person who mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The class.
    pub code: RejectionCode,
    /// Place, value and remedy; never a text from the record.
    pub detail: String,
}

impl Rejection {
    /// The same of a part of a payload, told with its place.
    pub(crate) fn within(self, place: &str) -> Self {
        Self { detail: format!("{place}: {}", self.detail), ..self }
    }

    /// A rejection in words.
    pub fn new(code: RejectionCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// What the JSON parser says, with the path to the field.
    pub(crate) fn from_json(error: &serde_json::Error, path: &str, remedy: &str) -> Self {
        let message = masked(&error.to_string());
        match error.classify() {
            Category::Data => Self::new(RejectionCode::WrongType, format!("`{path}`: {message}; {remedy}")),
            _ => {
                Self::new(RejectionCode::MalformedJson, format!("{message}; give one JSON object per record"))
            }
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Rejection {}

/// The parser quotes the value it stumbled on. A text may be what a person wrote, so it is left out.
fn masked(message: &str) -> String {
    for (open, close) in [("string \"", "\", expected"), ("unknown variant `", "`, expected")] {
        let Some(start) = message.find(open) else { continue };
        let end = message.rfind(close).map_or(message.len(), |i| i + 1);
        let (head, tail) = (message.get(..start).unwrap_or_default(), message.get(end..).unwrap_or_default());
        return format!("{head}a text{tail}");
    }
    message.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_wrote_is_not_repeated() {
        let error = serde_json::from_str::<u64>("\"I have \\\" cancer\"").unwrap_err();
        let rejection = Rejection::from_json(&error, "post", "");
        assert!(!rejection.detail.contains("cancer"), "{rejection}");
        assert!(rejection.detail.contains("a text, expected u64"), "{rejection}");
        let error = serde_json::from_str::<firewatch_domain::ActionKind>("\"my cancer\"").unwrap_err();
        let rejection = Rejection::from_json(&error, "kind", "");
        assert!(!rejection.detail.contains("cancer"), "{rejection}");
    }
}
