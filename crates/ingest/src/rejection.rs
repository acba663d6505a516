//! Rejections: why a record or a part of a payload could not be decoded.

use std::fmt;

use firewatch_domain::RejectionCode;
use serde_json::error::Category;

/// A rejection: a code for metrics and dead letters, and a message for whoever fixes the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The class of the fault.
    pub code: RejectionCode,
    /// The rejected part of the payload as a JSON pointer (RFC 6901); empty for the whole.
    pub pointer: String,
    /// Place, value and remedy. It never repeats a person's text; only an invalid time is quoted, up to 40
    /// characters.
    pub detail: String,
}

impl Rejection {
    /// Adds a step in front of the pointer.
    pub(crate) fn within(self, step: impl fmt::Display) -> Self {
        Self { pointer: format!("/{step}{}", self.pointer), ..self }
    }

    /// Returns the pointer of the field of the wrong type, with which the detail begins.
    pub(crate) fn field(&self) -> Option<&str> {
        let is_about_type = self.code == RejectionCode::WrongType;
        self.detail.strip_prefix('`').filter(|_| is_about_type)?.split('`').next()
    }

    /// Prefixes what the detail is about.
    pub(crate) fn about(self, what: &str) -> Self {
        Self { detail: format!("{what}: {}", self.detail), ..self }
    }

    /// Builds a rejection from a code and a message.
    pub fn new(code: RejectionCode, detail: impl Into<String>) -> Self {
        Self { code, pointer: String::new(), detail: detail.into() }
    }

    /// Converts an error of the JSON parser. `path` is the path to the field.
    pub(crate) fn from_json(error: &serde_json::Error, path: &str, remedy: &str) -> Self {
        let message = masked(&error.to_string());
        match error.classify() {
            Category::Data => Self::new(RejectionCode::WrongType, format!("`{path}`: {message}; {remedy}")),
            _ if message.starts_with("recursion limit exceeded") => Self::new(
                RejectionCode::MalformedJson,
                "more than 127 levels of objects and lists within each other; ask the platform for a smaller part, such as \
                 fewer `depth` and `parentHeight` of a thread",
            ),
            _ => {
                Self::new(RejectionCode::MalformedJson, format!("{message}; give one JSON object per record"))
            }
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.code)?;
        if !self.pointer.is_empty() {
            write!(f, "{}: ", self.pointer)?;
        }
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Rejection {}

/// Removes quoted strings from a parser message, because they may be a person's text.
fn masked(message: &str) -> String {
    for (open, close) in [("string \"", "\", expected"), ("unknown variant `", "`, expected")] {
        let Some(start) = message.find(open) else { continue };
        let end = message.rfind(close).map_or(message.len(), |i| i + 1);
        let (head, tail) = (message.get(..start).unwrap_or_default(), message.get(end..).unwrap_or_default());
        return format!("{head}a string{tail}");
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
        assert!(rejection.detail.contains("a string, expected u64"), "{rejection}");
        let error = serde_json::from_str::<firewatch_domain::ActionKind>("\"my cancer\"").unwrap_err();
        let rejection = Rejection::from_json(&error, "kind", "");
        assert!(!rejection.detail.contains("cancer"), "{rejection}");
    }
}
