//! The topics as firewatch needs them: whether they fit, and making them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use pollster::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;

use crate::backoff::{Stopwatch, pause};
use crate::client_context::{ReaderContext, create_consumer};
use crate::{Guarantee, KafkaSettings, RunError, Topics, client_error};

/// Longest wait for an answer about topics.
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for topics to be made.
const CREATE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for all brokers to know of topics that are there.
const METADATA_PROPAGATION_TIMEOUT: Duration = Duration::from_secs(5);
const DAY_MS: u64 = 24 * 3600 * 1000;

/// A topic as it should be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlan {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: u32,
    /// How many copies; the cluster's default when left out.
    pub replication: Option<u32>,
    /// Its settings.
    pub config: Vec<(&'static str, String)>,
    /// How many partitions it has already, when it is there.
    pub existing_partitions: Option<u32>,
}

impl fmt::Display for TopicPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<28} {:>3} partitions", self.name, self.existing_partitions.unwrap_or(self.partitions))?;
        if self.existing_partitions.is_some() {
            return f.write_str(", there already");
        }
        if let Some(copies) = self.replication {
            write!(f, ", {copies} copies")?;
        }
        self.config.iter().try_for_each(|(key, value)| write!(f, ", {key}={value}"))
    }
}

/// What `topics create` would make.
///
/// # Errors
/// When no broker answers, or topics that are there do not fit.
pub fn plan_topics(
    settings: &KafkaSettings,
    topics: &Topics,
    teams: &[&str],
    partitions: u32,
    replication: Option<u32>,
) -> Result<Vec<TopicPlan>, RunError> {
    let mut plans = plan(settings, topics, topics.all(teams), partitions)?;
    for plan in &mut plans {
        plan.replication = replication;
        if replication.is_some_and(|copies| copies >= 3) {
            plan.config.push(("min.insync.replicas", "2".into()));
        }
    }
    let task_topics = topics.task_topics();
    let misfit = plans
        .iter()
        .filter(|plan| task_topics.contains(&plan.name.as_str()))
        .find_map(|plan| Some((plan, plan.existing_partitions.filter(|n| *n != partitions)?)));
    match misfit {
        None => Ok(plans),
        Some((plan, n)) => Err(RunError::Topics(format!(
            "topic {} is there with {n} partitions, and {partitions} are asked for; nothing was made. \
             Ask for {n}, or name another topic under [topics]",
            plan.name
        ))),
    }
}

/// What `topics create` would make for sources of payloads: each raw topic, of one partition so that an answer comes after
/// what it answers, and the state that belongs to it.
///
/// # Errors
/// When no broker answers.
pub fn plan_sources(
    settings: &KafkaSettings,
    topics: &Topics,
    raw: &[&str],
    replication: Option<u32>,
) -> Result<Vec<TopicPlan>, RunError> {
    let mut plans = Vec::new();
    for raw in raw {
        let own = topics.for_source(raw);
        let source_plans = plan(settings, &own, vec![own.events.clone(), own.state.clone()], 1)?;
        // The state of a raw topic that is there already has as many partitions.
        let partitions = source_plans.iter().find_map(|plan| plan.existing_partitions).unwrap_or(1);
        plans.extend(source_plans.into_iter().map(|plan| TopicPlan { partitions, replication, ..plan }));
    }
    Ok(plans)
}

/// The outputs of a replay, none of which may be there yet.
pub(crate) fn plan_outputs(
    settings: &KafkaSettings,
    topics: &Topics,
    teams: &[&str],
    partitions: u32,
) -> Result<Vec<TopicPlan>, RunError> {
    let plans = plan(settings, topics, topics.outputs(teams), partitions)?;
    match plans.iter().find(|plan| plan.existing_partitions.is_some()) {
        None => Ok(plans),
        Some(TopicPlan { name, .. }) => Err(RunError::Topics(format!(
            "topic {name} is there already, and a replay would be mixed with what is in it; nothing was made. \
             Give another --prefix, or delete the topics of the replay before"
        ))),
    }
}

fn plan(
    settings: &KafkaSettings,
    topics: &Topics,
    names: Vec<String>,
    partitions: u32,
) -> Result<Vec<TopicPlan>, RunError> {
    let found = partition_counts(settings, names.iter().map(String::as_str))?;
    let plan = |name: String| {
        let found = found.get(&name).copied().filter(|n| *n > 0);
        TopicPlan {
            config: topic_config(topics, &name),
            name,
            partitions,
            replication: None,
            existing_partitions: found,
        }
    };
    Ok(names.into_iter().map(plan).collect())
}

/// Makes those of the planned topics that are not there.
///
/// # Errors
/// When one cannot be made; those before it may be there then.
pub fn create_topics(settings: &KafkaSettings, plans: &[TopicPlan]) -> Result<(), RunError> {
    let new: Vec<NewTopic<'_>> = plans
        .iter()
        .filter(|plan| plan.existing_partitions.is_none())
        .map(|plan| {
            let copies = plan.replication.map_or(-1, |n| n as i32);
            let topic = NewTopic::new(&plan.name, plan.partitions as i32, TopicReplication::Fixed(copies));
            plan.config.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
        })
        .collect();
    if new.is_empty() {
        return Ok(());
    }
    let options =
        AdminOptions::new().operation_timeout(Some(CREATE_TIMEOUT)).request_timeout(Some(CREATE_TIMEOUT));
    let made =
        block_on(admin(settings)?.create_topics(&new, &options)).map_err(client_error("make the topics"))?;
    for made in made {
        match made {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => return Err(RunError::Topics(format!("make topic {name}: {code}"))),
        }
    }
    Ok(())
}

/// The number of partitions that the topics of a task must share: it works on the same partition of each. The state's
/// topic must be compacted, or state would be lost with age.
pub(crate) fn task_partition_count(settings: &KafkaSettings, topics: &Topics) -> Result<u32, RunError> {
    partition_count_with_state(settings, &topics.task_topics(), &topics.state)
}

/// The same for topics of which one is that of a state.
pub(crate) fn partition_count_with_state(
    settings: &KafkaSettings,
    topics: &[&str],
    state: &str,
) -> Result<u32, RunError> {
    let partitions = common_partition_count(settings, topics)?;
    if settings.guarantee == Guarantee::AtLeastOnce {
        // Brokers without transactions, such as the embedded one, do not tell; the question would only time out.
        return Ok(partitions);
    }
    match block_on(cleanup_policy(settings, state)) {
        Some(policy) if policy != "compact" => Err(RunError::Topics(format!(
            "topic {state} has cleanup.policy={policy}, so state would be lost with age; set it to compact"
        ))),
        _ => Ok(partitions),
    }
}

/// The number of partitions that the topics share which others write to.
pub(crate) fn input_partition_count(settings: &KafkaSettings, topics: &Topics) -> Result<u32, RunError> {
    common_partition_count(settings, &[&topics.events, &topics.actions])
}

fn common_partition_count(settings: &KafkaSettings, topics: &[&str]) -> Result<u32, RunError> {
    let start = Stopwatch::start();
    let mut found = partition_counts(settings, topics.iter().copied())?;
    // Brokers hear of topics that were just made one after the other.
    while found.values().any(|n| *n == 0) && start.elapsed() < METADATA_PROPAGATION_TIMEOUT {
        pause(METADATA_PROPAGATION_TIMEOUT / 20);
        found = partition_counts(settings, topics.iter().copied())?;
    }
    let absent: Vec<&str> = found.iter().filter(|(_, n)| **n == 0).map(|(topic, _)| topic.as_str()).collect();
    if !absent.is_empty() {
        let are = if absent.len() == 1 { "is" } else { "are" };
        return Err(RunError::Topics(format!(
            "{} {are} not there; `firewatch topics create` makes what is missing, or name others under [topics]",
            absent.join(", "),
        )));
    }
    let mut counts: Vec<u32> = found.values().copied().collect();
    counts.sort_unstable();
    counts.dedup();
    let [partitions] = counts.as_slice() else {
        let list: Vec<String> = found.iter().map(|(topic, n)| format!("{topic} has {n}")).collect();
        return Err(RunError::Topics(format!(
            "topics must have the same number of partitions, but {}",
            list.join(", ")
        )));
    };
    Ok(*partitions)
}

/// A topic's cleanup policy; none when the broker does not say.
async fn cleanup_policy(settings: &KafkaSettings, topic: &str) -> Option<String> {
    let options = AdminOptions::new().request_timeout(Some(METADATA_TIMEOUT));
    let resources = [ResourceSpecifier::Topic(topic)];
    let configs = admin(settings).ok()?.describe_configs(&resources, &options).await.ok()?;
    configs.first()?.as_ref().ok()?.get("cleanup.policy")?.value.clone()
}

fn admin(settings: &KafkaSettings) -> Result<AdminClient<ReaderContext>, RunError> {
    settings
        .admin_config()
        .create_with_context(ReaderContext::default())
        .map_err(client_error("make an admin client"))
}

/// How long each topic keeps what.
fn topic_config(topics: &Topics, name: &str) -> Vec<(&'static str, String)> {
    if name == topics.state {
        return vec![
            ("cleanup.policy", "compact".into()),
            // A restart reads what compaction has not reached yet, so it is kept short.
            ("segment.bytes", (64 << 20).to_string()),
            ("segment.ms", (DAY_MS / 4).to_string()),
            ("min.cleanable.dirty.ratio", "0.2".into()),
        ];
    }
    let days = match name {
        _ if name == topics.events || name == topics.scores => 7,
        _ if name == topics.signals => 2,
        _ => 30,
    };
    vec![("cleanup.policy", "delete".into()), ("retention.ms", (days * DAY_MS).to_string())]
}

/// How many partitions each topic has; 0 when it is not there.
fn partition_counts<'a>(
    settings: &KafkaSettings,
    topics: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<String, u32>, RunError> {
    let brokers = &settings.brokers;
    let consumer = create_consumer(settings)?;
    topics
        .map(|topic| {
            let metadata = consumer
                .fetch_metadata(Some(topic), METADATA_TIMEOUT)
                .map_err(client_error(format!("ask {brokers} about topic {topic}")))?;
            let known = metadata.topics().iter().find(|t| t.name() == topic && t.error().is_none());
            Ok((topic.to_owned(), known.map_or(0, |t| t.partitions().len() as u32)))
        })
        .collect()
}
