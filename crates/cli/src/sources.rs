//! The sources of payloads that a settings file names: a raw topic each, and how what is in it is read.

use firewatch_domain::settings::Settings;
use firewatch_ingest::{Mapping, Platform, Reader};
use firewatch_kafka::RawSource;

/// Reads every `[sources.NAME]` section.
pub fn sources(s: &mut Settings) -> Vec<RawSource> {
    let names = s.sections("sources");
    let sources: Vec<RawSource> = names.iter().map(|name| source(s, name)).collect();
    let mut topics: Vec<&str> = sources.iter().map(|source| source.topic.as_str()).collect();
    topics.sort_unstable();
    if let Some([twice, _]) = topics.windows(2).find(|pair| pair.first() == pair.last()) {
        let problem = format!("`{twice}` is the topic of two sources; each needs one of its own");
        s.fault("sources", problem);
    }
    sources
}

fn source(s: &mut Settings, name: &str) -> RawSource {
    let key = |key: &str| format!("sources.{name}.{key}");
    let is_plain =
        name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
    if !is_plain {
        s.fault(
            &format!("sources.{name}"),
            "is not allowed; give a name of a-z, 0-9, `_` and `-`, as it is a part of a group's",
        );
    }
    let all: Vec<&str> = Platform::ALL.iter().map(|platform| platform.as_str()).collect();
    let of_name = Platform::ALL.iter().find(|platform| platform.as_str() == name);
    let platform = s.choice(&key("platform"), of_name.map_or("", |platform| platform.as_str()), &all);
    let reader = match platform.parse() {
        Ok(Platform::Generic) => Reader::by(Mapping::from_settings(s, &key("mapping."))),
        Ok(platform) => Reader::new(platform),
        Err(problem) => {
            if !s.has(&key("platform")) {
                s.fault(&key("platform"), format!("is missing; {problem}"));
            }
            Reader::new(Platform::X)
        }
    };
    let account = s.text(&key("account"), "");
    let topic = s.text(&key("topic"), &format!("raw.{name}"));
    let reader = reader.of((!account.is_empty()).then_some(account));
    RawSource { name: name.to_owned(), topic, reader }
}
