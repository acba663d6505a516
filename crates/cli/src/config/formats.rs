//! `[formats]` and `[registry]`: the formats that records are written in, and the schema registry.

use std::path::Path;

use firewatch_kafka::{Formats, RegistrySettings, registry_url};
use firewatch_settings::Settings;
use firewatch_wire::{Contract, Format};

/// Contracts with a configurable format, by the settings key of their topic.
const CONTRACTS_BY_TOPIC: [(&str, Contract); 5] = [
    ("events", Contract::Event),
    ("actions", Contract::Action),
    ("scores", Contract::Score),
    ("escalations", Contract::Escalation),
    ("dead_letters", Contract::DeadLetter),
];

/// Reads both sections. Relative paths start at `folder`, which holds the settings file.
pub fn formats(s: &mut Settings, folder: &Path) -> Formats {
    let written =
        CONTRACTS_BY_TOPIC.map(|(name, contract)| (contract, format(s, &format!("formats.{name}"))));
    let registry = registry(s, folder);
    if registry.is_none()
        && let Some(i) = written.iter().position(|(_, format)| *format != Format::Json)
    {
        let problem = format!("is missing; formats.{} needs a schema registry", CONTRACTS_BY_TOPIC[i].0);
        s.add_fault("registry.url", problem);
    }
    Formats::new(written.into(), registry)
}

fn format(s: &mut Settings, key: &str) -> Format {
    let chosen = s.choice(key, Format::Json.name(), &Format::ALL.map(Format::name));
    Format::from_name(&chosen).unwrap_or_default()
}

/// Lists the records that are not written as JSON; `None` when all are.
pub fn describe_formats(formats: &Formats) -> Option<String> {
    let others = CONTRACTS_BY_TOPIC.iter().map(|(name, contract)| (name, formats.format_for(*contract)));
    let others = others.filter(|(_, format)| *format != Format::Json);
    let words: Vec<String> = others.map(|(name, format)| format!("{name} in {}", format.name())).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn registry(s: &mut Settings, folder: &Path) -> Option<RegistrySettings> {
    let [url, user, ca] = ["url", "user", "ca"].map(|key| s.text(&format!("registry.{key}"), ""));
    let [password, token] =
        ["password", "token"].map(|key| s.secret(&format!("registry.{key}")).unwrap_or_default());
    let register = s.flag("registry.register", true);
    let is_given = |text: &String| !text.is_empty();
    let mut urls = Vec::new();
    for one in url.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        match registry_url(one, is_given(&password) || is_given(&token)) {
            Ok(url) => urls.push(url),
            Err(problem) => s.add_fault("registry.url", problem),
        }
    }
    if is_given(&user) && is_given(&token) {
        s.add_fault("registry.token", "conflicts with registry.user; give only one of them");
    }
    if is_given(&user) != is_given(&password) {
        s.add_fault("registry.user", "needs registry.password, and the reverse; give both or neither");
    }
    let ca = is_given(&ca).then(|| std::fs::read(folder.join(&ca)));
    let ca = ca.transpose().unwrap_or_else(|e| {
        s.add_fault("registry.ca", format!("cannot be read: {e}; give a PEM file of certificates"));
        None
    });
    let user = is_given(&user).then_some((user, password));
    let token = is_given(&token).then_some(token);
    is_given(&url).then_some(RegistrySettings { urls, user, token, ca, register })
}
