//! The JSON Schema of policy files, generated from what the reader asks for, so that the two cannot differ.

use firewatch_settings::{Descriptions, Settings, json_schema};
use serde_json::{Value, json};

use super::Policy;
use crate::{PR, SUPPORT};

/// A policy with one of every named section. `NAME` stands for the names.
const SPECIMEN: &str = "[brands.NAME]\n[brands.NAME.hours]\n[brands.NAME.on.NAME]\n[hours]\n[teams.NAME.quiet]\n[routes.NAME]\n\
                        [silences.NAME]\n[advice.NAME]\n";

/// Returns a description of every key, with `NAME` for names that the owner chooses.
#[must_use]
pub fn policy_descriptions() -> Descriptions {
    Descriptions::parse(include_str!("descriptions.tsv"))
}

/// Returns the schema (draft 2020-12) of a policy as the JSON equivalent of its TOML.
#[must_use]
pub fn policy_schema() -> Value {
    let Ok(mut s) = Settings::parse("specimen", SPECIMEN) else { return Value::Null };
    let _ = Policy::read(&mut s, SPECIMEN);
    // The teams that always exist are like any other.
    let always = [PR, SUPPORT].map(|team| format!("teams.{team}."));
    let keys = s.key_schemas().iter().filter(|key| !always.iter().any(|team| key.key.starts_with(team)));
    let mut schema = json_schema("policy", keys, &policy_descriptions());
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("required".into(), json!(["brands"]));
    }
    schema
}
