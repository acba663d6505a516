//! `firewatch check`: reports every error in the settings, without connecting.

use std::path::Path;

use crate::common::{Failure, print_stdout};
use crate::config;
use crate::config::formats::describe_formats;

/// Checks a settings file and the policy it names, and prints a summary.
pub fn check(path: &Path) -> Result<(), Failure> {
    let config = config::load(path, std::env::vars())?;
    print_stdout(format_args!("{} is valid:\n", path.display()));
    print_stdout(format_args!("  brokers  {} as group {}\n", config.kafka.brokers, config.kafka.group));
    print_stdout(format_args!(
        "  policy   {} for {}\n",
        config.ruleset.policy.version,
        brands(&config.ruleset.policy)
    ));
    for policy in config.ruleset.shadow_policies() {
        print_stdout(format_args!("  shadow   {}\n", policy.version));
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
