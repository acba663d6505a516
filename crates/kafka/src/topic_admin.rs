//! Checks that the topics fit firewatch's needs, and creates those that are missing.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use pollster::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::backoff::{Stopwatch, pause};
use crate::client_context::{ReaderContext, create_consumer};
use crate::metadata::fetch_topic_metadata;
use crate::{Guarantee, KafkaSettings, RunError, Topics, client_error};

/// Longest wait for an answer about topics.
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for topics to be created.
const CREATE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait until all brokers know of existing topics.
const METADATA_PROPAGATION_TIMEOUT: Duration = Duration::from_secs(5);
const DAY_MS: u64 = 24 * 3600 * 1000;

/// A topic as it should be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlan {
    /// Name of the topic.
    pub name: String,
    /// Number of partitions.
    pub partitions: u32,
    /// Number of replicas; the cluster's default when absent.
    pub replication: Option<u32>,
    /// Settings of the topic.
    pub config: Vec<(&'static str, String)>,
    /// Number of partitions of the existing topic; `None` if the topic does not exist.
    pub existing_partitions: Option<u32>,
}

impl fmt::Display for TopicPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<28} {:>3} partitions", self.name, self.existing_partitions.unwrap_or(self.partitions))?;
        if self.existing_partitions.is_some() {
            return f.write_str(", already exists");
        }
        if let Some(copies) = self.replication {
            write!(f, ", {copies} replicas")?;
        }
        self.config.iter().try_for_each(|(key, value)| write!(f, ", {key}={value}"))
    }
}

/// Returns the topics that `topics create` needs, both existing and missing.
///
/// # Errors
/// When no broker answers, or an existing topic does not fit.
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
            "topic {} exists with {n} partitions, not {partitions}; nothing was created. \
             Use --partitions {n}, or name another topic under [topics]",
            plan.name
        ))),
    }
}

/// Returns the topics that `topics create` needs for payload sources: each raw topic, with one partition so
/// that an answer comes after what it answers, and its state topic.
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
        // The state topic of an existing raw topic gets the same number of partitions.
        let partitions = source_plans.iter().find_map(|plan| plan.existing_partitions).unwrap_or(1);
        plans.extend(source_plans.into_iter().map(|plan| TopicPlan { partitions, replication, ..plan }));
    }
    Ok(plans)
}

/// Plans the output topics of a replay, none of which may exist.
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
            "topic {name} already exists, so the replay would mix with its records; nothing was created. \
             Give another --prefix, or delete the topics of the earlier replay"
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

/// Creates the planned topics that do not exist.
///
/// # Errors
/// When a topic cannot be created; others of the plan may exist then.
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
    let made = block_on(admin(settings)?.create_topics(&new, &options))
        .map_err(client_error("create the topics"))?;
    for made in made {
        match made {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => return Err(RunError::Topics(format!("create topic {name}: {code}"))),
        }
    }
    Ok(())
}

/// Returns the number of partitions that the topics of a task share; a task works on the same partition of
/// each. The state topic must be compacted, because retention would delete state.
pub(crate) fn task_partition_count(settings: &KafkaSettings, topics: &Topics) -> Result<u32, RunError> {
    partition_count_with_state(settings, &topics.task_topics(), &topics.state)
}

/// Returns the number of partitions that `topics` share, and checks that the topic `state` is compacted.
pub(crate) fn partition_count_with_state(
    settings: &KafkaSettings,
    topics: &[&str],
    state: &str,
) -> Result<u32, RunError> {
    let partitions = common_partition_count(settings, topics)?;
    if settings.guarantee == Guarantee::AtLeastOnce {
        // Brokers without transactions, such as the embedded one, do not report topic settings; the request
        // would time out.
        return Ok(partitions);
    }
    match block_on(cleanup_policy(settings, state)) {
        Some(policy) if policy != "compact" => Err(RunError::Topics(format!(
            "topic {state} has cleanup.policy={policy}, which deletes old state; set it to compact"
        ))),
        _ => Ok(partitions),
    }
}

/// Returns the number of partitions that the events and actions topics share.
pub(crate) fn input_partition_count(settings: &KafkaSettings, topics: &Topics) -> Result<u32, RunError> {
    common_partition_count(settings, &[&topics.events, &topics.actions])
}

fn common_partition_count(settings: &KafkaSettings, topics: &[&str]) -> Result<u32, RunError> {
    let start = Stopwatch::start();
    let mut found = partition_counts(settings, topics.iter().copied())?;
    // Brokers learn of new topics one after another.
    while found.values().any(|n| *n == 0) && start.elapsed() < METADATA_PROPAGATION_TIMEOUT {
        pause(METADATA_PROPAGATION_TIMEOUT / 20);
        found = partition_counts(settings, topics.iter().copied())?;
    }
    let absent: Vec<&str> = found.iter().filter(|(_, n)| **n == 0).map(|(topic, _)| topic.as_str()).collect();
    if !absent.is_empty() {
        let are = if absent.len() == 1 { "is" } else { "are" };
        return Err(RunError::Topics(format!(
            "{} {are} missing; run `firewatch topics create`, or name existing topics under [topics]",
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

/// Returns a topic's cleanup policy; `None` when the broker does not report it.
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
        .map_err(client_error("create the admin client"))
}

/// Returns the settings of a new topic: how long it keeps records, or how it is compacted.
fn topic_config(topics: &Topics, name: &str) -> Vec<(&'static str, String)> {
    if name == topics.state {
        return vec![
            ("cleanup.policy", "compact".into()),
            // A restart reads everything not yet compacted, so compaction runs early.
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

/// Returns the number of partitions of each topic; 0 if it does not exist.
fn partition_counts<'a>(
    settings: &KafkaSettings,
    topics: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<String, u32>, RunError> {
    let consumer = create_consumer(settings).map_err(refused_setting)?;
    topics
        .map(|topic| {
            let metadata = fetch_topic_metadata(&consumer, topic, METADATA_TIMEOUT)?;
            let found = metadata.topics().iter().find(|t| t.name() == topic);
            if found.and_then(|t| t.error()).map(RDKafkaErrorCode::from)
                == Some(RDKafkaErrorCode::TopicAuthorizationFailed)
            {
                return Err(not_authorized(topic));
            }
            let known = found.filter(|t| t.error().is_none());
            Ok((topic.to_owned(), known.map_or(0, |t| t.partitions().len() as u32)))
        })
        .collect()
}

/// Names what is missing where a broker hides a topic.
pub(crate) fn not_authorized(topic: &str) -> RunError {
    RunError::Topics(format!(
        "topic {topic}: not authorized, so it is not known whether it exists; grant DESCRIBE on it to this \
         principal"
    ))
}

/// Marks an error as permanent when the client does not accept its settings, such as a file that it cannot read.
fn refused_setting(e: RunError) -> RunError {
    match e {
        RunError::Client(_, KafkaError::ClientCreation(why)) => {
            RunError::Refused(format!("{why}; check kafka.common"))
        }
        other => other,
    }
}
