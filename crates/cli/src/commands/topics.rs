//! `firewatch topics`: creates the topics that the settings name, shows where their keys lie, and prints the access
//! rights that the commands need.

use std::path::Path;

use firewatch_engine::Partitioner;
use firewatch_kafka::{
    KeyPlacement, access_rights, create_topics, plan_sources, plan_topics, sample_key_placement,
};

use crate::args::CreateTopicsOptions;
use crate::common::{Failure, count, print_stdout};
use crate::config;

/// Creates the missing topics, or prints what would be created.
pub fn create(options: &CreateTopicsOptions) -> Result<(), Failure> {
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

/// Samples the keys of events and actions, and prints by which partitioner they were placed.
pub fn check(config: &Path, sample: u32) -> Result<(), Failure> {
    let config = config::load(config, std::env::vars())?;
    let topics = [config.topics.events.clone(), config.topics.actions.clone()];
    let placements = sample_key_placement(&config.kafka, &topics, sample);
    let placements = placements.map_err(|e| Failure::Running(e.to_string()))?;
    let expected = config.kafka.partitioner();
    print_stdout(format_args!("expected partitioner: {}\n", expected.property()));
    let mut all_fit = true;
    for (topic, placement) in &placements {
        all_fit &= print_placement(topic, placement, expected);
    }
    if all_fit { Ok(()) } else { Err(Failure::Reported) }
}

/// Prints the access rights of `commands`, or of all if it is empty.
pub fn acls(config: &Path, principal: &str, commands: &[String]) -> Result<(), Failure> {
    let config = config::load(config, std::env::vars())?;
    let sources: Vec<(&str, &str)> =
        config.sources.iter().map(|source| (source.name.as_str(), source.topic.as_str())).collect();
    let rights = access_rights(&config.kafka, &config.topics, &config.ruleset.output_teams(), &sources);
    for right in
        rights.iter().filter(|right| commands.is_empty() || commands.iter().any(|one| one == right.command))
    {
        print_stdout(format_args!(
            "# {}: {}\nkafka-acls --bootstrap-server {} --add --allow-principal {principal} {right}\n",
            right.command, right.reason, config.kafka.brokers
        ));
    }
    Ok(())
}

/// Prints where the sampled keys of a topic lie. Returns whether all are where firewatch expects them.
fn print_placement(topic: &str, placement: &KeyPlacement, expected: Partitioner) -> bool {
    let KeyPlacement { partitions, sampled, without_key, placed_by } = placement;
    let keys = sampled - without_key;
    print_stdout(format_args!(
        "\n{topic}: {sampled} records of {partitions} partitions, {without_key} without a key\n"
    ));
    for (partitioner, placed) in Partitioner::ALL.iter().zip(placed_by) {
        print_stdout(format_args!(
            "  {:<18} places {placed} of {keys} keys where they are\n",
            partitioner.property()
        ));
    }
    let misplaced = placement.misplaced(expected);
    if misplaced + without_key == 0 {
        return true;
    }
    let remedy = match placement.partitioner() {
        Some(other) if other != expected => format!(
            "set `\"partitioner\" = \"{}\"` under [kafka.producer], or `partitioner={}` in the producers",
            other.property(),
            expected.property()
        ),
        _ => format!(
            "give every record its conversation as the key, and set `partitioner={}` in all producers",
            expected.property()
        ),
    };
    let elsewhere = misplaced + without_key;
    print_stdout(format_args!(
        "  {elsewhere} are not where firewatch expects them. They are forwarded, which costs time and traffic: {remedy}\n"
    ));
    false
}
