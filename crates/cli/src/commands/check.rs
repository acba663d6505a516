//! `firewatch check`: everything that is wrong with the settings, without connecting.

use std::path::Path;

use crate::config;
use crate::config::formats::in_words;
use crate::shell::{Failure, say};

/// Checks a settings file and the policy it names.
pub fn check(path: &Path) -> Result<(), Failure> {
    let config = config::load(path, std::env::vars())?;
    say(format_args!("{} is sound:\n", path.display()));
    say(format_args!("  brokers  {} as group {}\n", config.kafka.brokers, config.kafka.group));
    say(format_args!("  policy   {} for {}\n", config.brain.policy.version, brands(&config.brain.policy)));
    for policy in config.brain.trials() {
        say(format_args!("  on trial {}\n", policy.version));
    }
    say(format_args!("  reads    {}\n", config.topics.read().map(|(name, _)| name.to_owned()).join(", ")));
    if let Some(forms) = in_words(&config.kafka.formats) {
        say(format_args!("  writes   {forms}, the rest in json\n"));
    }
    say(format_args!("  metrics  http://{}/metrics\n", config.listen));
    Ok(())
}

fn brands(policy: &firewatch_escalation::Policy) -> String {
    policy.brands.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}
