//! `firewatch topics create`: creates the topics that the settings name.

use firewatch_kafka::{create_topics, plan_sources, plan_topics};

use crate::args::TopicsOptions;
use crate::common::{Failure, count, print_stdout};
use crate::config;

/// Creates the missing topics, or prints what would be created.
pub fn create(options: &TopicsOptions) -> Result<(), Failure> {
    let config = config::load(&options.config, std::env::vars())?;
    let teams = config.ruleset.output_teams();
    let copies = options.replication_factor;
    let plans = plan_topics(&config.kafka, &config.topics, &teams, options.partitions, copies)
        .map_err(|e| Failure::Running(e.to_string()))?;
    let raw: Vec<&str> = config.sources.iter().map(|source| source.topic.as_str()).collect();
    let source_plans = plan_sources(&config.kafka, &config.topics, &raw, copies);
    let plans = [plans, source_plans.map_err(|e| Failure::Running(e.to_string()))?].concat();
    plans.iter().for_each(|plan| print_stdout(format_args!("{plan}\n")));
    let missing = plans.iter().filter(|plan| plan.existing_partitions.is_none()).count();
    if options.dry_run {
        print_stdout(format_args!("dry run: {} would be created\n", count(missing, "topic")));
        return Ok(());
    }
    create_topics(&config.kafka, &plans).map_err(|e| Failure::Running(e.to_string()))?;
    print_stdout(format_args!("{} created\n", count(missing, "topic")));
    Ok(())
}
