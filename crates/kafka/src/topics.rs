//! The topics as firewatch needs them: whether they fit, and making them.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::client::Reading;
use crate::{KafkaSettings, RunError, Topics, doing};

/// Longest wait for an answer about topics.
const ASK: Duration = Duration::from_secs(10);

/// The number of partitions that the topics of a task must share: it works on the same partition of each.
pub(crate) fn same_partitions(settings: &KafkaSettings, topics: &Topics) -> Result<u32, RunError> {
    let found = partitions(settings, topics.of_task().into_iter())?;
    let absent: Vec<&str> = found.iter().filter(|(_, n)| **n == 0).map(|(topic, _)| topic.as_str()).collect();
    if !absent.is_empty() {
        let problem = format!(
            "{} not there; make them with `firewatch topics create`, or name others under [topics]",
            match absent.as_slice() {
                [one] => format!("topic {one} is"),
                many => format!("topics {} are", many.join(", ")),
            }
        );
        return Err(RunError::Topics(problem));
    }
    let mut counts: Vec<u32> = found.values().copied().collect();
    counts.dedup();
    match counts.as_slice() {
        [one] => Ok(*one),
        _ => {
            let list: Vec<String> = found.iter().map(|(topic, n)| format!("{topic} has {n}")).collect();
            Err(RunError::Topics(format!(
                "topics must have the same number of partitions, but {}; make those that are too small anew",
                list.join(", ")
            )))
        }
    }
}

/// How many partitions each topic has; 0 when it is not there.
fn partitions<'a>(
    settings: &KafkaSettings,
    topics: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<String, u32>, RunError> {
    let brokers = &settings.brokers;
    let made = settings.reader_config().create_with_context(Reading::default());
    let consumer: BaseConsumer<Reading> = made.map_err(doing("make a client"))?;
    topics
        .map(|topic| {
            let metadata = consumer
                .fetch_metadata(Some(topic), ASK)
                .map_err(doing(format!("ask {brokers} about topic {topic}")))?;
            let known = metadata.topics().iter().find(|t| t.name() == topic && t.error().is_none());
            Ok((topic.to_owned(), known.map_or(0, |t| t.partitions().len() as u32)))
        })
        .collect()
}
