//! `[formats]` and `[registry]`: what records are written in, and who knows the schemas of those that are read.

use std::path::Path;

use firewatch_settings::Settings;
use firewatch_kafka::{Formats, RegistrySettings, registry_url};
use firewatch_wire::{Contract, Format};

/// The records one may choose for, by the names of their topics.
const TOPICS: [(&str, Contract); 5] = [
    ("events", Contract::Event),
    ("actions", Contract::Action),
    ("scores", Contract::Score),
    ("escalations", Contract::Escalation),
    ("dead_letters", Contract::DeadLetter),
];

/// Reads both sections; files are beside the settings file.
pub fn formats(s: &mut Settings, folder: &Path) -> Formats {
    let written = TOPICS.map(|(name, contract)| (contract, format(s, &format!("formats.{name}"))));
    let registry = registry(s, folder);
    if registry.is_none()
        && let Some(i) = written.iter().position(|(_, format)| *format != Format::Json)
    {
        let problem = format!("is missing, and formats.{} needs a registry", TOPICS[i].0);
        s.fault("registry.url", problem);
    }
    Formats::new(written.into(), registry)
}

fn format(s: &mut Settings, key: &str) -> Format {
    let chosen = s.choice(key, Format::Json.name(), &Format::ALL.map(Format::name));
    Format::named(&chosen).unwrap_or_default()
}

/// What is not written in JSON; none when all is.
pub fn in_words(formats: &Formats) -> Option<String> {
    let others = TOPICS.iter().map(|(name, contract)| (name, formats.of(*contract)));
    let others = others.filter(|(_, format)| *format != Format::Json);
    let words: Vec<String> = others.map(|(name, format)| format!("{name} in {}", format.name())).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn registry(s: &mut Settings, folder: &Path) -> Option<RegistrySettings> {
    let [url, user, password, token, ca] =
        ["url", "user", "password", "token", "ca"].map(|key| s.text(&format!("registry.{key}"), ""));
    let register = s.flag("registry.register", true);
    let is_told = |text: &String| !text.is_empty();
    let mut urls = Vec::new();
    for one in url.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        match registry_url(one, is_told(&password) || is_told(&token)) {
            Ok(url) => urls.push(url),
            Err(problem) => s.fault("registry.url", problem),
        }
    }
    if is_told(&user) && is_told(&token) {
        s.fault("registry.token", "is given beside registry.user; give one of them");
    }
    if is_told(&user) != is_told(&password) {
        s.fault("registry.user", "and registry.password go together; give both or neither");
    }
    let ca = is_told(&ca).then(|| std::fs::read(folder.join(&ca)));
    let ca = ca.transpose().unwrap_or_else(|e| {
        s.fault("registry.ca", format!("cannot be read: {e}; give a file of certificates in PEM"));
        None
    });
    let user = is_told(&user).then_some((user, password));
    let token = is_told(&token).then_some(token);
    is_told(&url).then_some(RegistrySettings { urls, user, token, ca, register })
}
