//! Reads a settings file into typed values and reports every fault in one pass.
//!
//! A reader asks for each key by name, with its default and its range. Keys that nobody asked for are unknown
//! keys. Every fault names the key, the value and the remedy, so that a file with several faults needs only
//! one correction.

mod duration;
mod schema;
mod secret;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::ops::RangeInclusive;

use serde_json::json;
use toml::{Table, Value};

pub use duration::parse_duration;
pub use schema::{Descriptions, json_schema};

/// Maximum number of unknown keys for which the closest known key is looked up.
const MAX_HINTS: usize = 20;

/// Reads a file as text.
pub type ReadFile = fn(&str) -> std::io::Result<String>;

/// One fault in a settings file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The dotted key, or the name of the file.
    pub key: String,
    /// The value, what is wrong with it, and the remedy.
    pub problem: String,
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)
    }
}

/// A key that was asked for, with a JSON Schema fragment of its allowed values.
#[derive(Debug, Clone, PartialEq)]
pub struct KeySchema {
    /// The dotted key.
    pub key: String,
    /// JSON Schema fragment: type, range and default.
    pub schema: serde_json::Value,
}

/// Reads keys from a TOML table and collects faults.
#[derive(Debug)]
pub struct Settings {
    table: Table,
    key_schemas: Vec<KeySchema>,
    known_keys: BTreeSet<String>,
    prefix: String,
    variables: BTreeMap<String, String>,
    read_file: ReadFile,
    faults: Vec<Fault>,
}

impl Settings {
    /// Parses TOML text. `name` stands for the file in faults.
    ///
    /// # Errors
    /// When the text is not TOML: a single fault with line and column.
    pub fn parse(name: &str, text: &str) -> Result<Self, Vec<Fault>> {
        match text.parse::<Table>() {
            Ok(table) => Ok(Self {
                table,
                key_schemas: Vec::new(),
                known_keys: BTreeSet::new(),
                prefix: String::new(),
                variables: BTreeMap::new(),
                read_file: |_| Err(std::io::ErrorKind::Unsupported.into()),
                faults: Vec::new(),
            }),
            Err(e) => Err(vec![Fault { key: name.into(), problem: place(text, &e) }]),
        }
    }

    /// Overrides keys of the file by environment variables: `<prefix>KAFKA_GROUP_ID` overrides
    /// `kafka.group_id`.
    ///
    /// A value that parses as TOML (number, boolean, list) gets that type; any other value is a string.
    /// `read_file` returns the text of a file that a variable names for a secret.
    pub fn override_from(
        &mut self,
        prefix: &str,
        variables: impl IntoIterator<Item = (String, String)>,
        read_file: ReadFile,
    ) {
        self.prefix = prefix.into();
        self.read_file = read_file;
        self.variables = variables
            .into_iter()
            .filter_map(|(k, v)| Some((k.strip_prefix(prefix)?.to_owned(), v)))
            .collect();
    }

    /// Returns a string of 1 to 1,000 bytes.
    pub fn text(&mut self, key: &str, default: &str) -> String {
        self.record_key(key, json!({ "type": "string", "maxLength": 1000, "default": default }));
        match self.read_value(key) {
            None => default.into(),
            Some(Value::String(s)) if !s.trim().is_empty() && s.len() <= 1000 => s,
            Some(other) => self.reject(key, &other, "text of 1 to 1,000 bytes", default.into()),
        }
    }

    /// Returns one of `choices`.
    pub fn choice(&mut self, key: &str, default: &str, choices: &[&str]) -> String {
        self.record_key(key, json!({ "enum": choices, "default": default }));
        match self.read_value(key) {
            None => default.into(),
            Some(Value::String(s)) if choices.contains(&s.as_str()) => s,
            Some(other) => {
                self.reject(key, &other, &format!("one of {}", choices.join(", ")), default.into())
            }
        }
    }

    /// Returns a whole number within a range.
    pub fn integer(&mut self, key: &str, default: i64, range: RangeInclusive<i64>) -> i64 {
        let number = self.optional_integer(key, range);
        if let Some(schema) =
            self.key_schemas.last_mut().and_then(|key_schema| key_schema.schema.as_object_mut())
        {
            schema.insert("default".into(), default.into());
        }
        number.unwrap_or(default)
    }

    /// Returns a whole number within a range, or `None` when the key is absent or rejected.
    pub fn optional_integer(&mut self, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        self.record_key(key, json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() }));
        match self.read_value(key)? {
            Value::Integer(i) if range.contains(&i) => Some(i),
            other => {
                let wanted = format!("a whole number from {} to {}", range.start(), range.end());
                self.reject(key, &other, &wanted, None)
            }
        }
    }

    /// Returns a number within a range. Whole numbers are accepted too.
    pub fn number(&mut self, key: &str, default: f64, range: RangeInclusive<f64>) -> f64 {
        self.record_key(
            key,
            json!({ "type": "number", "minimum": range.start(), "maximum": range.end(), "default": default }),
        );
        let value = self.read_value(key);
        let read = match &value {
            None => return default,
            Some(Value::Integer(i)) => Some(*i as f64),
            Some(Value::Float(f)) => Some(*f),
            Some(_) => None,
        };
        match (read, value) {
            (Some(n), _) if range.contains(&n) => n,
            (_, Some(other)) => self.reject(
                key,
                &other,
                &format!("a number from {} to {}", range.start(), range.end()),
                default,
            ),
            (_, None) => default,
        }
    }

    /// Returns a boolean.
    pub fn flag(&mut self, key: &str, default: bool) -> bool {
        self.record_key(key, json!({ "type": "boolean", "default": default }));
        match self.read_value(key) {
            None => default,
            Some(Value::Boolean(is)) => is,
            Some(other) => self.reject(key, &other, "true or false", default),
        }
    }

    /// Returns a list of strings; empty when the key is absent.
    pub fn texts(&mut self, key: &str) -> Vec<String> {
        self.record_key(key, json!({ "type": "array", "items": { "type": "string" } }));
        match self.read_value(key) {
            None => Vec::new(),
            Some(Value::Array(items)) if items.iter().all(Value::is_str) => {
                items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            Some(other) => self.reject(key, &other, "a list of strings", Vec::new()),
        }
    }

    /// Returns every key under a section with its value as a string, for settings that are passed through.
    ///
    /// In environment variables, dots in the key become underscores. A variable that ends with `_FILE` names a file that
    /// holds the value.
    pub fn free_section(&mut self, key: &str) -> Vec<(String, String)> {
        self.record_key(key, json!({ "type": "object" }));
        let mut found = match self.read_value(key) {
            None => BTreeMap::new(),
            Some(Value::Table(table)) => flatten(&table),
            Some(other) => self.reject(key, &other, "a section with keys", BTreeMap::new()),
        };
        let section = variable_name(key) + "_";
        let (own, others) =
            std::mem::take(&mut self.variables).into_iter().partition(|(k, _)| k.starts_with(&section));
        self.variables = others;
        let own: BTreeMap<String, String> = own;
        for (name, value) in own {
            let dotted = |name: &str| name[section.len()..].to_lowercase().replace('_', ".");
            match name.strip_suffix(secret::FILE_VARIABLE).filter(|name| name.len() > section.len()) {
                None => drop(found.insert(dotted(&name), value)),
                Some(of) => match self.read_secret_file(&name, &value) {
                    Ok(secret) => drop(found.insert(dotted(of), secret)),
                    Err(problem) => self.add_fault(key, problem),
                },
            }
        }
        found.into_iter().collect()
    }

    /// Returns every key that was asked for so far, with its schema.
    #[must_use]
    pub fn key_schemas(&self) -> &[KeySchema] {
        &self.key_schemas
    }

    fn record_key(&mut self, key: &str, schema: serde_json::Value) {
        self.key_schemas.push(KeySchema { key: key.into(), schema });
    }

    /// Returns whether the file contains the key. Environment variables are not considered.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        get(&self.table, key).is_some()
    }

    /// Returns the names of the sections under a section, in alphabetical order.
    pub fn sections(&mut self, key: &str) -> Vec<String> {
        match get(&self.table, key) {
            Some(Value::Table(table)) => {
                table.iter().filter(|(_, v)| v.is_table()).map(|(k, _)| k.clone()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Adds a fault that only the caller can detect, such as two keys that contradict each other.
    pub fn add_fault(&mut self, key: &str, problem: impl Display) {
        self.faults.push(Fault { key: key.into(), problem: problem.to_string() });
    }

    /// Returns `value` if there are no faults. Unknown keys and unmatched environment variables are faults
    /// too.
    ///
    /// # Errors
    /// Every fault found.
    pub fn finish<T>(mut self, value: T) -> Result<T, Vec<Fault>> {
        let mut unknown = Vec::new();
        collect_leaf_keys(&self.table, "", &mut unknown);
        unknown.retain(|key| !self.is_known(key));
        for (i, key) in unknown.into_iter().enumerate() {
            let by_closeness = |a: &&String, b: &&String| closeness(a, &key).total_cmp(&closeness(b, &key));
            // A hint compares the key with all others, so only the first faults have one.
            let closest = (i < MAX_HINTS).then(|| self.known_keys.iter().max_by(by_closeness)).flatten();
            let hint = match closest.filter(|k| closeness(k, &key) > 0.8) {
                Some(k) => format!("unknown key; did you mean `{k}`?"),
                None => "unknown key; remove it".into(),
            };
            self.faults.push(Fault { key, problem: hint });
        }
        for name in self.variables.into_keys() {
            let problem =
                "no key matches this variable; write the key in capitals, with underscores for dots";
            self.faults.push(Fault { key: format!("{}{name}", self.prefix), problem: problem.into() });
        }
        if self.faults.is_empty() { Ok(value) } else { Err(self.faults) }
    }

    /// Returns whether a key, a section that it is in, or a key within it was asked for.
    fn is_known(&self, key: &str) -> bool {
        let sections = key.match_indices('.').map(|(i, _)| &key[..i]);
        let within = format!("{key}.");
        self.known_keys.contains(key)
            || sections.into_iter().any(|section| self.known_keys.contains(section))
            || self.known_keys.range(within.clone()..).next().is_some_and(|next| next.starts_with(&within))
    }

    fn read_value(&mut self, key: &str) -> Option<Value> {
        self.known_keys.insert(key.into());
        match self.variables.remove(&variable_name(key)) {
            Some(text) => Some(parse_override(text)),
            None => get(&self.table, key).cloned(),
        }
    }

    fn reject<T>(&mut self, key: &str, value: &Value, wanted: &str, fallback: T) -> T {
        let shown: String = value.to_string().chars().take(80).collect();
        self.add_fault(key, format_args!("{shown} is not allowed; give {wanted}"));
        fallback
    }
}

/// Returns what is wrong with a text that is not TOML, with line and column. The line itself may hold a secret.
fn place(text: &str, error: &toml::de::Error) -> String {
    let Some(span) = error.span() else { return error.message().to_owned() };
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}: {}", error.message())
}

fn closeness(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(a, b)
}

/// Returns the value of a dotted key. The name of a section may contain dots itself.
fn get<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let within = |i: usize| get(table.get(&key[..i])?.as_table()?, &key[i + 1..]);
    table.get(key).or_else(|| key.match_indices('.').find_map(|(i, _)| within(i)))
}

/// Returns the environment variable that overrides a key, without its prefix.
fn variable_name(key: &str) -> String {
    key.to_uppercase().replace('.', "_")
}

fn parse_override(text: String) -> Value {
    match format!("x = {text}").parse::<Table>() {
        Ok(mut table) if table.len() == 1 => table.remove("x").unwrap_or(Value::String(text)),
        _ => Value::String(text),
    }
}

fn collect_leaf_keys(table: &Table, prefix: &str, out: &mut Vec<String>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) if !inner.is_empty() => collect_leaf_keys(inner, &path, out),
            _ => out.push(path),
        }
    }
}

/// Flattens a table to strings, with dots between nested keys. A quoted key may contain dots itself.
fn flatten(table: &Table) -> BTreeMap<String, String> {
    let mut flat = BTreeMap::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                flat.extend(flatten(inner).into_iter().map(|(k, v)| (format!("{key}.{k}"), v)));
            }
            Value::String(text) => drop(flat.insert(key.clone(), text.clone())),
            other => drop(flat.insert(key.clone(), other.to_string())),
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use firewatch_domain::Duration;

    use super::*;

    #[test]
    fn all_faults_come_at_once_with_key_value_and_remedy() {
        let text = "a = 7\nb = \"wide\"\nwait = \"3 days\"\ntypo = 1\n[s]\nhihg = 2\n";
        let mut s = Settings::parse("f.toml", text).unwrap();
        s.integer("a", 1, 0..=5);
        s.choice("b", "x", &["x", "y"]);
        s.duration("wait", Duration::from_secs(1), 0.0..=60.0);
        s.integer("s.high", 1, 0..=9);
        let faults: Vec<String> = s.finish(()).unwrap_err().iter().map(Fault::to_string).collect();
        assert_eq!(
            faults,
            [
                "a: 7 is not allowed; give a whole number from 0 to 5",
                "b: \"wide\" is not allowed; give one of x, y",
                "wait: \"3 days\" is not allowed; give a duration such as \"30s\" or \"5m\", from 0 to 60 seconds",
                "s.hihg: unknown key; did you mean `s.high`?",
                "typo: unknown key; remove it",
            ]
        );
    }

    #[test]
    fn variables_override_the_file_and_are_typed() {
        let mut s = Settings::parse("f.toml", "[a]\nn = 1\n").unwrap();
        let vars =
            [("FW_A_N", "5"), ("FW_A_HOST", "h:9092"), ("OTHER", "x"), ("FW_TYPO", "1"), ("FW_K_X_Y", "z")];
        let no_files = |_: &str| Err(std::io::ErrorKind::NotFound.into());
        s.override_from("FW_", vars.map(|(k, v)| (k.to_owned(), v.to_owned())), no_files);
        assert_eq!(s.integer("a.n", 0, 0..=9), 5);
        assert_eq!(s.text("a.host", ""), "h:9092");
        assert_eq!(s.free_section("k"), [("x.y".to_owned(), "z".to_owned())]);
        let faults = s.finish(()).unwrap_err();
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].key, "FW_TYPO");
    }

    #[test]
    fn passed_through_sections_keep_dotted_keys() {
        let mut s = Settings::parse("f.toml", "[k]\n\"a.b\" = 1\nc.d = true\n").unwrap();
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        assert_eq!(s.free_section("k"), [pair("a.b", "1"), pair("c.d", "true")]);
        s.finish(()).unwrap();
    }
}
