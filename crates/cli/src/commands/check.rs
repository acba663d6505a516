//! `firewatch check`: everything that is wrong with the settings, without connecting.

use std::path::Path;

use crate::common::{Failure, print_stdout};
use crate::config;
use crate::config::formats::describe_formats;

/// Checks a settings file and the policy it names.
pub fn check(path: &Path) -> Result<(), Failure> {
    let config = config::load(path, std::env::vars())?;
    print_stdout(format_args!("{} is sound:\n", path.display()));
    print_stdout(format_args!("  brokers  {} as group {}\n", config.kafka.brokers, config.kafka.group));
    print_stdout(format_args!(
        "  policy   {} for {}\n",
        config.ruleset.policy.version,
        brands(&config.ruleset.policy)
    ));
    for policy in config.ruleset.shadow_policies() {
        print_stdout(format_args!("  on trial {}\n", policy.version));
    }
    print_stdout(format_args!(
        "  reads    {}\n",
        config.topics.inputs().map(|(name, _)| name.to_owned()).join(", ")
    ));
    if let Some(forms) = describe_formats(&config.kafka.formats) {
        print_stdout(format_args!("  writes   {forms}, the rest in json\n"));
    }
    print_stdout(format_args!("  metrics  http://{}/metrics\n", config.listen));
    Ok(())
}

fn brands(policy: &firewatch_escalation::Policy) -> String {
    policy.brands.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}
