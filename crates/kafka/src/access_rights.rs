//! The rights that each command needs on the brokers, and no others.

use std::fmt;

use crate::{Guarantee, KafkaSettings, Topics};

/// What a right is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// A topic.
    Topic,
    /// A consumer group.
    Group,
    /// A transactional id.
    TransactionalId,
}

/// A right on resources of one name, or whose names begin with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRight {
    /// The command that needs it.
    pub command: &'static str,
    /// The kind of the resources.
    pub resource: Resource,
    /// Their names.
    pub names: Vec<String>,
    /// Whether the names are prefixes.
    pub is_prefix: bool,
    /// The operations, as Kafka's tool names them. Read and Write include Describe.
    pub operations: &'static [&'static str],
    /// What they are for.
    pub reason: &'static str,
}

/// The commands that connect to brokers, in the order in which a deployment uses them.
pub const COMMANDS_WITH_RIGHTS: [&str; 5] = ["topics", "collect", "ingest", "run", "console"];

/// The command that needs a right, and the kind of resource that it is on.
#[derive(Clone, Copy)]
struct Of {
    command: &'static str,
    resource: Resource,
}

impl AccessRight {
    fn on(
        of: Of,
        names: impl IntoIterator<Item = String>,
        operations: &'static [&'static str],
        reason: &'static str,
    ) -> Self {
        let Of { command, resource } = of;
        Self { command, resource, names: names.into_iter().collect(), is_prefix: false, operations, reason }
    }

    fn prefix(self) -> Self {
        Self { is_prefix: true, ..self }
    }
}

/// The arguments of `kafka-acls --add` without the principal.
impl fmt::Display for AccessRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for operation in self.operations {
            write!(f, "--operation {operation} ")?;
        }
        let option = match self.resource {
            Resource::Topic => "--topic",
            Resource::Group => "--group",
            Resource::TransactionalId => "--transactional-id",
        };
        for name in &self.names {
            write!(f, "{option} {name} ")?;
        }
        write!(f, "--resource-pattern-type {}", if self.is_prefix { "prefixed" } else { "literal" })
    }
}

/// Returns the rights of all commands. `teams` are those with an output topic; `sources` are the names and raw topics of
/// the payload sources.
#[must_use]
pub fn access_rights(
    settings: &KafkaSettings,
    topics: &Topics,
    teams: &[&str],
    sources: &[(&str, &str)],
) -> Vec<AccessRight> {
    let inputs = || [topics.events.clone(), topics.actions.clone()];
    let raw: Vec<String> = sources.iter().map(|(_, topic)| (*topic).to_owned()).collect();
    let mut all_topics = topics.all(teams);
    all_topics.extend(raw.iter().flat_map(|raw| [raw.clone(), topics.for_source(raw).state]));
    let of = |command| Of { command, resource: Resource::Topic };
    let mut rights = vec![
        AccessRight::on(
            of("topics"),
            all_topics,
            &["Create", "Describe"],
            "see which exist, and create the others",
        ),
        AccessRight::on(of("topics"), inputs(), &["Read"], "sample keys"),
    ];
    if !sources.is_empty() {
        rights.push(AccessRight::on(
            of("collect"),
            raw,
            &["Write", "Read"],
            "payloads, and where a stream continues",
        ));
        rights.extend(ingest_rights(settings, topics, sources));
    }
    rights.extend(run_rights(settings, topics, teams));
    let shown = [topics.scores.clone(), topics.signals.clone(), topics.events.clone()];
    let shown = shown.into_iter().chain(teams.iter().map(|team| topics.team_topic(team)));
    rights.push(AccessRight::on(of("console"), shown, &["Read"], "what it shows"));
    rights.push(AccessRight::on(
        of("console"),
        [topics.actions.clone()],
        &["Read", "Write"],
        "what people do",
    ));
    rights
}

fn run_rights(settings: &KafkaSettings, topics: &Topics, teams: &[&str]) -> Vec<AccessRight> {
    let of = Of { command: "run", resource: Resource::Topic };
    let written = [topics.scores.clone(), topics.dead_letters.clone()];
    let written = written.into_iter().chain(teams.iter().map(|team| topics.team_topic(team)));
    let inputs = [topics.events.clone(), topics.actions.clone()];
    let signals = [topics.signals.clone()];
    let mut rights = vec![
        AccessRight::on(of, inputs, &["Read"], "input"),
        AccessRight::on(of, signals, &["Read", "Write"], "what conversations and brands send each other"),
        state_right("run", topics),
        AccessRight::on(of, written, &["Write"], "output"),
    ];
    rights.extend(member_rights("run", settings.guarantee, [settings.group.clone()]));
    rights
}

fn ingest_rights(settings: &KafkaSettings, topics: &Topics, sources: &[(&str, &str)]) -> Vec<AccessRight> {
    let of = Of { command: "ingest", resource: Resource::Topic };
    let raw = sources.iter().map(|(_, topic)| (*topic).to_owned());
    let mut rights = vec![AccessRight::on(of, raw, &["Read"], "payloads")];
    rights.extend(sources.iter().map(|(_, topic)| state_right("ingest", &topics.for_source(topic))));
    let written = [topics.events.clone(), topics.dead_letters.clone()];
    rights.push(AccessRight::on(of, written, &["Write"], "events and dead letters"));
    let groups = sources.iter().map(|(name, _)| format!("{}.ingest.{name}", settings.group));
    rights.extend(member_rights("ingest", settings.guarantee, groups));
    rights
}

fn state_right(command: &'static str, topics: &Topics) -> AccessRight {
    let operations = &["Read", "Write", "DescribeConfigs"];
    AccessRight::on(
        Of { command, resource: Resource::Topic },
        [topics.state.clone()],
        operations,
        "state, and whether it is compacted",
    )
}

fn member_rights(
    command: &'static str,
    guarantee: Guarantee,
    groups: impl IntoIterator<Item = String>,
) -> Vec<AccessRight> {
    let groups: Vec<String> = groups.into_iter().collect();
    let ids: Vec<String> = groups.iter().map(|group| format!("{group}-")).collect();
    let mut rights = vec![AccessRight::on(
        Of { command, resource: Resource::Group },
        groups,
        &["Read"],
        "share the partitions",
    )];
    if guarantee == Guarantee::ExactlyOnce {
        let of = Of { command, resource: Resource::TransactionalId };
        rights.push(AccessRight::on(of, ids, &["Write"], "one transaction a partition").prefix());
    }
    rights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_name_what_the_settings_name() {
        let settings = KafkaSettings::local("localhost:9092", "fw");
        let topics = Topics::default();
        let rights = access_rights(&settings, &topics, &["pr"], &[("x", "raw.x")]);
        let printed: Vec<String> = rights.iter().map(|right| format!("{} {right}", right.command)).collect();
        for expected in [
            "collect --operation Write --operation Read --topic raw.x --resource-pattern-type literal",
            "ingest --operation Write --topic firewatch.events --topic firewatch.dlq --resource-pattern-type literal",
            "ingest --operation Write --transactional-id fw.ingest.x- --resource-pattern-type prefixed",
            "run --operation Read --group fw --resource-pattern-type literal",
            "run --operation Write --topic firewatch.scores --topic firewatch.dlq --topic escalations.pr \
             --resource-pattern-type literal",
        ] {
            assert!(printed.iter().any(|line| line == expected), "{expected} is not in {printed:#?}");
        }
        let loose = KafkaSettings { guarantee: Guarantee::AtLeastOnce, ..settings };
        let rights = access_rights(&loose, &topics, &["pr"], &[]);
        assert!(rights.iter().all(|right| right.resource != Resource::TransactionalId));
        assert!(rights.iter().all(|right| COMMANDS_WITH_RIGHTS.contains(&right.command)));
    }
}
