//! The settings file's JSON Schema, from the very readers that `load` uses.

use std::collections::BTreeMap;
use std::path::Path;

use firewatch_settings::{Descriptions, KeySchema, Settings, json_schema};
use serde_json::Value;

/// Files that make the readers ask for every key between them; `NAME` stands for names that the owner chooses. The kind of a
/// channel, a source's platform and the proof of a webhook decide which keys are asked for.
const SPECIMENS: [&str; 8] = [
    "[console]\nsign_in = \"oidc\"\n[console.tls]\n[console.oidc]\n[collect.tls]\n",
    "[sources.NAME]\nplatform = \"generic\"\n[sources.NAME.mapping]\nkind = \"/k\"\n[sources.NAME.mapping.author]\n[sources.NAME.mapping.counters]\n",
    "[sources.NAME]\nplatform = \"facebook\"\n[sources.NAME.webhook]\nsigned = \"meta\"\n",
    "[sources.NAME]\nplatform = \"reddit\"\n[sources.NAME.webhook]\nsigned = \"header\"\n",
    "[sources.NAME]\nplatform = \"bluesky\"\n[sources.NAME.stream]\n",
    "[sources.NAME]\nplatform = \"mastodon\"\n[sources.NAME.stream]\n",
    "[notifications.NAME]\nkind = \"email\"\nquiet = {}\n[notifications.OTHER]\n",
    "[notifications.NAME]\nkind = \"webhook\"\nurl = \"https://h\"\nquiet = {}\n",
];
/// Kinds of channels with keys of their own.
const CHANNEL_KINDS: [&str; 3] = ["slack", "teams", "pagerduty"];

/// Returns a description of every key, with `NAME` for names that the owner chooses.
pub fn descriptions() -> Descriptions {
    Descriptions::parse(include_str!("descriptions.tsv"))
}

/// Returns the schema (draft 2020-12) of a settings file as the JSON equivalent of its TOML.
pub fn settings_schema() -> Value {
    let keys: Vec<KeySchema> = key_schemas().into_values().collect();
    json_schema("settings", &keys, &descriptions())
}

/// Every key that some reader asks for.
fn key_schemas() -> BTreeMap<String, KeySchema> {
    let channels = CHANNEL_KINDS.map(|kind| {
        format!("[notifications.NAME]\nkind = \"{kind}\"\nurl = \"https://h\"\n[notifications.NAME.quiet]\n")
    });
    let mut all = BTreeMap::new();
    for specimen in SPECIMENS.into_iter().chain(channels.iter().map(String::as_str)) {
        let Ok(mut s) = Settings::parse("specimen", specimen) else { continue };
        super::read_keys(&mut s, Path::new("firewatch.toml"), |_| vec![]);
        for key in s.key_schemas().iter().filter(|key| !key.key.contains("OTHER")) {
            all.entry(key.key.clone()).or_insert_with(|| key.clone());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_has_a_description_and_every_description_a_key() {
        let (keys, descriptions) = (key_schemas(), descriptions());
        let undescribed: Vec<&String> = keys.keys().filter(|key| descriptions.get(key).is_none()).collect();
        assert!(undescribed.is_empty(), "{undescribed:?}");
        let known: BTreeSet<String> =
            keys.keys().flat_map(|key| [key.clone(), format!("{key}.NAME")]).collect();
        let stale: Vec<&str> = descriptions.keys().filter(|key| !known.contains(*key)).collect();
        assert!(stale.is_empty(), "{stale:?}");
    }
}
