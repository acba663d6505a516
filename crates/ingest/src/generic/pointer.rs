//! Pointers of a mapping: JSON pointers (RFC 6901), from an item or from its payload, and paths of lists.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::json_values::{Count, Id, known_count};
use crate::platform_time::PlatformTime;
use crate::{Rejection, Result};

/// The place of a field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Pointer {
    /// The JSON pointer.
    pub path: String,
    /// It starts at the payload and not at the item.
    from_payload: bool,
    /// The opposite of the boolean there.
    is_negated: bool,
}

/// The place of the items: a pointer for each list on the way, each but the first from an item of the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ItemPath(pub Vec<String>);

/// An item with the payload that holds it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    pub item: &'a Value,
    pub payload: &'a Value,
}

impl Pointer {
    /// Parses `/a/b`, `^/a/b` from the payload, and either with `!` in front.
    pub fn parse(text: &str) -> Option<Self> {
        let (is_negated, text) = text.strip_prefix('!').map_or((false, text), |text| (true, text));
        let (from_payload, path) = text.strip_prefix('^').map_or((false, text), |path| (true, path));
        path.starts_with('/').then(|| Self { path: path.to_owned(), from_payload, is_negated })
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let negated = if self.is_negated { "!" } else { "" };
        let origin = if self.from_payload { "^" } else { "" };
        write!(f, "{negated}{origin}{}", self.path)
    }
}

impl ItemPath {
    /// Parses `/a/b`, and `/a/*/b` for the lists `b` in the items of the list `a`.
    pub fn parse(text: &str) -> Option<Self> {
        let steps: Vec<String> = text.split("/*").map(str::to_owned).collect();
        steps.iter().all(|step| step.starts_with('/')).then_some(Self(steps))
    }
}

impl<'a> Item<'a> {
    /// Returns the value at a pointer. A JSON null counts as absent.
    pub fn get<T: Deserialize<'a>>(self, pointer: Option<&Pointer>) -> Result<Option<T>> {
        let Some(pointer) = pointer else { return Ok(None) };
        match self.value(pointer) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => T::deserialize(value)
                .map(Some)
                .map_err(|e| Rejection::from_json(&e, &pointer.path, "point to a value of the field's type")),
        }
    }

    /// Returns a text or number as text; a blank text counts as absent.
    pub fn text(self, pointer: Option<&Pointer>) -> Result<Option<String>> {
        let id: Option<Id> = self.get(pointer)?;
        Ok(id.map(|id| id.0).filter(|id| !id.trim().is_empty()))
    }

    /// Returns a time. Platforms write `false` for "never".
    pub fn time(self, pointer: Option<&Pointer>) -> Result<Option<PlatformTime>> {
        let is_never = pointer.is_some_and(|pointer| self.value(pointer) == Some(&Value::Bool(false)));
        if is_never { Ok(None) } else { self.get(pointer) }
    }

    /// Returns a text, number or boolean as text.
    pub fn word(self, pointer: &Pointer) -> Result<Option<String>> {
        match self.value(pointer) {
            Some(Value::Bool(value)) => Ok(Some((*value != pointer.is_negated).to_string())),
            _ => self.text(Some(pointer)),
        }
    }

    /// Returns a boolean; `None` when there is none.
    pub fn flag(self, pointer: Option<&Pointer>) -> Result<Option<bool>> {
        let flag: Option<bool> = self.get(pointer)?;
        Ok(flag.map(|flag| flag != pointer.is_some_and(|pointer| pointer.is_negated)))
    }

    /// Returns whether an item may be private by the boolean at a pointer, which databases write as a number or a text
    /// as well. Only what clearly says that it is public is: with `!`, a missing value does not.
    pub fn may_be_private(self, pointer: &Pointer) -> bool {
        let is_true = match self.value(pointer) {
            None | Some(Value::Null) => Some(false),
            Some(Value::Bool(value)) => Some(*value),
            Some(Value::Number(number)) if number.as_f64() == Some(0.0) => Some(false),
            Some(Value::Number(number)) if number.as_f64() == Some(1.0) => Some(true),
            Some(Value::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
                "false" | "0" | "no" | "n" | "f" | "" => Some(false),
                "true" | "1" | "yes" | "y" | "t" => Some(true),
                _ => None,
            },
            Some(_) => None,
        };
        is_true.is_none_or(|is_true| is_true != pointer.is_negated)
    }

    /// Returns a count; a negative one counts as unknown.
    pub fn count(self, pointer: Option<&Pointer>) -> Result<Option<u64>> {
        self.get::<Count>(pointer).map(known_count)
    }

    pub fn value(self, pointer: &Pointer) -> Option<&'a Value> {
        let from = if pointer.from_payload { self.payload } else { self.item };
        from.pointer(&pointer.path)
    }
}
