//! The settings file of all commands: reads and checks it, the environment and the policy it names.

mod clear_text;
pub mod formats;
pub mod reference;
pub mod sources;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use firewatch_console::ConsoleSettings;
use firewatch_domain::Duration;
use firewatch_engine::Ruleset;
use firewatch_escalation::Policy;
use firewatch_kafka::{Guarantee, KafkaSettings, RawSource, Topics, check_properties};
use firewatch_settings::{Fault, Settings};
use firewatch_telemetry::{LogFormat, LogSettings};

use crate::common::{self, Failure};
use formats::formats;
use sources::{CollectSettings, StreamSource, collect_settings, sources};

/// Prefix of environment variables that override keys.
const PREFIX: &str = "FIREWATCH_";
/// Variables with the prefix that are no keys: they control tests and training.
const NON_SETTING_VARIABLES: [&str; 3] = ["FIREWATCH_DATA", "FIREWATCH_PICTURES", "FIREWATCH_REQUIRE_"];

/// The checked settings of a deployment.
pub struct Config {
    pub kafka: KafkaSettings,
    pub topics: Topics,
    pub ruleset: Ruleset,
    /// Path of the policy file.
    pub policy_file: PathBuf,
    pub listen: SocketAddr,
    pub console: ConsoleSettings,
    /// Raw topics that `firewatch ingest` reads.
    pub sources: Vec<RawSource>,
    /// Webhooks and streams of `firewatch collect`.
    pub collect: CollectSettings,
}

/// Reads and checks a settings file, the environment and the policy it names.
///
/// # Errors
/// All faults of all three.
pub fn load(path: &Path, variables: impl IntoIterator<Item = (String, String)>) -> Result<Config, Failure> {
    let name = path.display().to_string();
    let mut s = Settings::parse(&name, &common::read(path)?).map_err(Failure::Settings)?;
    s.override_from(
        PREFIX,
        variables
            .into_iter()
            .filter(|(name, _)| !NON_SETTING_VARIABLES.iter().any(|no| name.starts_with(no)))
            .filter(|(name, value)| !is_service_link(name, value)),
        |path| std::fs::read_to_string(path),
    );
    let mut ruleset = Err(Failure::Reported);
    let keys = read_keys(&mut s, path, |policies| {
        ruleset = load_ruleset(policies);
        let teams = ruleset.as_ref().map_or_else(|_| vec![], |ruleset| ruleset.policy.team_names());
        teams.into_iter().map(str::to_owned).collect()
    });
    let Keys { kafka, topics, listen, policies, console, sources, collect } = keys;
    match (s.finish(()), ruleset) {
        (Ok(()), Ok(ruleset)) => Ok(Config {
            kafka,
            topics,
            ruleset,
            policy_file: policies.policy,
            listen,
            console,
            sources,
            collect,
        }),
        (Err(mut faults), Err(Failure::Settings(of_policy))) => {
            faults.extend(of_policy);
            Err(Failure::Settings(faults))
        }
        (Err(faults), _) => Err(Failure::Settings(faults)),
        (Ok(()), Err(failure)) => Err(failure),
    }
}

/// Whether Kubernetes or Docker set a variable for a service whose name begins with firewatch, such as
/// `FIREWATCH_CONSOLE_SERVICE_HOST`.
fn is_service_link(name: &str, value: &str) -> bool {
    let is_address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let is_port = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.split_once("_PORT_").is_some_and(|(_, rest)| is_port(rest))
        || (name.ends_with("_PORT") && is_address)
}

/// What a settings file holds, the contents of the files it names aside.
struct Keys {
    kafka: KafkaSettings,
    topics: Topics,
    listen: SocketAddr,
    policies: PolicyFiles,
    console: ConsoleSettings,
    sources: Vec<RawSource>,
    collect: CollectSettings,
}

/// The policy, shadow policy and model files that a settings file names.
struct PolicyFiles {
    policy: PathBuf,
    shadow: Option<PathBuf>,
    models: Vec<PathBuf>,
}

/// Reads every key of a settings file. Notifications name teams, so `teams` loads the policy in between.
fn read_keys(s: &mut Settings, path: &Path, teams: impl FnOnce(&PolicyFiles) -> Vec<String>) -> Keys {
    let folder = path.parent().unwrap_or(Path::new(""));
    let kafka = kafka(s, folder);
    let topics = topics(s);
    log(s);
    let listen = listen(s);
    let policy = path.with_file_name(s.text("policy.file", "policy.toml"));
    let shadow = s.text("policy.trial", "");
    let shadow = (!shadow.is_empty()).then(|| path.with_file_name(shadow));
    let models = s.texts("models.files").iter().map(|file| path.with_file_name(file)).collect();
    let policies = PolicyFiles { policy, shadow, models };
    let teams = teams(&policies);
    let console = ConsoleSettings::read(s, folder, &teams);
    let sources = sources(s);
    let collect = collect_settings(s, &sources, folder);
    let streams: Vec<_> = collect.streams.iter().map(StreamSource::address).collect();
    clear_text::check(s, &kafka, &console.database, &streams);
    Keys { kafka, topics, listen, policies, console, sources, collect }
}

/// Loads the policies and models that a settings file names.
fn load_ruleset(files: &PolicyFiles) -> Result<Ruleset, Failure> {
    let ruleset = common::load_ruleset(Some(&files.policy))
        .map_err(|failure| name_policy_file(failure, &files.policy))?;
    let ruleset = common::with_models(ruleset, &files.models)?;
    with_shadow_policy(ruleset, files.shadow.as_deref())
}

/// Returns the log settings of a file, or the defaults where they cannot be read: the log starts before
/// everything else, and [`load`] reports the errors.
pub fn log_settings(path: &Path, variables: impl IntoIterator<Item = (String, String)>) -> LogSettings {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let Ok(mut s) = Settings::parse("settings", &text) else { return LogSettings::default() };
    s.override_from(PREFIX, variables, |path| std::fs::read_to_string(path));
    log(&mut s)
}

fn log(s: &mut Settings) -> LogSettings {
    let format = s.choice("log.format", "text", &["text", "json"]);
    let level = s.choice("log.level", "info", &["error", "warn", "info", "debug", "trace"]);
    LogSettings {
        format: if format == "json" { LogFormat::Json } else { LogFormat::Text },
        level: level.parse().unwrap_or(LogSettings::default().level),
    }
}

/// Adds the shadow policy of a file, if there is one.
fn with_shadow_policy(ruleset: Ruleset, shadow_policy: Option<&Path>) -> Result<Ruleset, Failure> {
    let Some(path) = shadow_policy else { return Ok(ruleset) };
    let text = common::read(path)?;
    let policy = Policy::parse(&path.display().to_string(), &text).map_err(Failure::Settings);
    let policy = policy.map_err(|failure| name_policy_file(failure, path))?;
    let faults = |(_, faults)| name_policy_file(Failure::Settings(faults), path);
    ruleset.with_shadow_policies(vec![policy]).map_err(faults)
}

fn kafka(s: &mut Settings, folder: &Path) -> KafkaSettings {
    let commit = s.duration("engine.commit_interval", Duration::from_millis(100), 0.005..=5.0);
    let idle = s.duration("engine.idle_after", Duration::from_secs(1), 1.0..=86_400.0);
    let retry_timeout = s.duration("engine.patience", Duration::from_mins(10), 10.0..=86_400.0);
    let guarantee = s.choice("engine.guarantee", "exactly_once", &["exactly_once", "at_least_once"]);
    let settings = KafkaSettings {
        brokers: s.text("kafka.brokers", "localhost:9092"),
        group: s.text("kafka.group", "firewatch"),
        common: s.free_section("kafka.common"),
        consumer: s.free_section("kafka.consumer"),
        producer: s.free_section("kafka.producer"),
        commit_interval_ms: commit.as_millis() as u64,
        commit_records: s.integer("engine.commit_records", 10_000, 1..=1_000_000) as usize,
        guarantee: match guarantee.as_str() {
            "exactly_once" => Guarantee::ExactlyOnce,
            _ => Guarantee::AtLeastOnce,
        },
        idle_after_ms: idle.as_millis() as u64,
        retry_timeout_ms: retry_timeout.as_millis() as u64,
        max_conversations: s.integer("engine.conversations_per_partition", 1_000_000, 1000..=100_000_000)
            as usize,
        formats: formats(s, folder),
    };
    let sections =
        [("common", &settings.common), ("consumer", &settings.consumer), ("producer", &settings.producer)];
    for (section, properties) in sections {
        for (key, problem) in check_properties(properties) {
            s.add_fault(&format!("kafka.{section}.{key}"), problem);
        }
    }
    settings
}

fn topics(s: &mut Settings) -> Topics {
    let names = Topics::default();
    let topics = Topics {
        events: topic(s, "events", &names.events),
        actions: topic(s, "actions", &names.actions),
        signals: topic(s, "signals", &names.signals),
        scores: topic(s, "scores", &names.scores),
        dead_letters: topic(s, "dead_letters", &names.dead_letters),
        dead_letter_bytes: s.choice("dead_letters.bytes", "kept", &["kept", "left_out"]) == "kept",
        state: topic(s, "state", &names.state),
        escalations: topic(s, "escalations_prefix", &names.escalations),
    };
    let mut all = topics.all(&[]);
    all.sort();
    if let Some([twice, _]) = all.windows(2).find(|w| w.first() == w.last()) {
        s.add_fault("topics", format_args!("`{twice}` is used twice; each topic needs a name of its own"));
    }
    topics
}

fn topic(s: &mut Settings, key: &str, default: &str) -> String {
    let key = format!("topics.{key}");
    let name = s.text(&key, default);
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.len() > 249 || !name.chars().all(legal) {
        s.add_fault(
            &key,
            format_args!("`{name}` is not allowed; give 1 to 249 letters, digits, `.`, `_` or `-`"),
        );
    }
    name
}

fn listen(s: &mut Settings) -> SocketAddr {
    let fallback = SocketAddr::from(([127, 0, 0, 1], 9464));
    let text = s.text("http.listen", &fallback.to_string());
    let exposed = s.choice("http.expose", "no", &["no", "yes"]) == "yes";
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() || exposed => address,
        Ok(address) => {
            let problem = format!(
                "{address} can be reached from other machines; give a loopback address, \
                 or set http.expose = \"yes\""
            );
            s.add_fault("http.listen", problem);
            fallback
        }
        Err(_) => {
            s.add_fault(
                "http.listen",
                format_args!("`{text}` is not allowed; give an address and port such as {fallback}"),
            );
            fallback
        }
    }
}

/// Puts the policy's file name before the keys of its faults.
fn name_policy_file(failure: Failure, policy: &Path) -> Failure {
    let file: PathBuf = policy.into();
    match failure {
        Failure::Settings(faults) => Failure::Settings(
            faults
                .into_iter()
                .map(|f| {
                    let own = f.key == file.display().to_string();
                    let key = if own { f.key } else { format!("{}: {}", file.display(), f.key) };
                    Fault { key, problem: f.problem }
                })
                .collect(),
        ),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(config: &str, policy: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("firewatch.toml");
        std::fs::write(&path, config).unwrap();
        std::fs::write(folder.path().join("policy.toml"), policy).unwrap();
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        match load(&path, variables) {
            Ok(_) => Vec::new(),
            Err(Failure::Settings(faults)) => {
                let folder = format!("{}/", folder.path().display());
                faults.iter().map(|f| f.to_string().replace(&folder, "")).collect()
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_shipped_sample_is_sound() {
        let (config, policy) =
            (include_str!("../../../../firewatch.toml"), include_str!("../../../../demo/policy.toml"));
        let config = config.replace("demo/policy.toml", "policy.toml");
        assert_eq!(faults(&config, policy, &[]), Vec::<String>::new());
    }

    #[test]
    fn models_come_in_the_place_of_the_shipped_ones() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        write("policy.toml", "[brands.aldermere]\n");
        write("c.toml", "[calibration]\nversion = \"c\"\nscale = 1\nshift = -1\n");
        let config = write("firewatch.toml", "[models]\nfiles = [\"c.toml\"]\n");
        let loaded = load(&config, []).unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(loaded.ruleset.calibration.as_ref().map(|c| c.shift), Some(-1.0));
        write("c.toml", "[calibration]\nversion = \"c\"\nscale = 1\n");
        let Err(Failure::Settings(faults)) = load(&config, []) else { panic!("it is accepted") };
        assert!(faults[0].to_string().contains("c.toml: calibration.shift: is missing"), "{faults:?}");
    }

    #[test]
    fn formats_need_a_registry_that_can_be_reached_safely() {
        let policy = "[brands.aldermere]\n";
        let check = |config: &str, variables: &[(&str, &str)], wanted: &[&str]| {
            let got = faults(config, policy, variables);
            assert_eq!(got.len(), wanted.len(), "{got:#?}");
            for (fault, start) in got.iter().zip(wanted) {
                assert!(fault.starts_with(start), "{fault}\n{start}");
            }
        };
        let registry = |text: &str| format!("[formats]\nscores = \"avro\"\n[registry]\n{text}\n");
        let secret = [("FIREWATCH_REGISTRY_PASSWORD", "hush")];
        check(&registry("url = \"http://registry:8081, https://other\""), &[], &[]);
        check(&registry("url = \"https://registry\"\nuser = \"f\""), &secret, &[]);
        check(&registry("url = \"http://127.0.0.1:1/api\"\nuser = \"f\""), &secret, &[]);
        check(&registry(""), &[], &["registry.url: is missing; formats.scores needs a schema registry"]);
        check(
            "[formats]\nscores = \"xml\"\n",
            &[],
            &["formats.scores: \"xml\" is not allowed; give one of json, avro, protobuf"],
        );
        check(
            &registry("url = \"http://registry\"\nuser = \"f\""),
            &secret,
            &["registry.url: would send a password or token unencrypted; give an https:// address"],
        );
        let faulty = "url = \"https://f:hush@registry, ftp://registry, registry, https://good\"\nuser = \"f\"\ntoken = \"t\"\nca = \"no.pem\"";
        check(
            &registry(faulty),
            &[],
            &[
                "registry.url: contains a user name or password; set registry.user and registry.password",
                "registry.url: `ftp` is not allowed; give one such as https://",
                "registry.url: is not a URL: relative URL without a base; give one such as",
                "registry.token: conflicts with registry.user; give only one of them",
                "registry.user: needs registry.password, and the reverse; give both or neither",
                "registry.ca: cannot be read: No such file or directory",
            ],
        );
    }

    #[test]
    fn every_fault_in_file_environment_properties_and_policy_comes_at_once() {
        let config = "[kafka]\nbroker = \"x\"\n[kafka.common]\n\"no.such\" = 1\n[kafka.consumer]\n\"session.timeout.ms\" = \"soon\"\n[kafka.producer]\n\"transactional.id\" = \"mine\"\n[http]\nlisten = \"0.0.0.0:80\"\n[engine]\ncommit_records = 0\n[topics]\nevents = \"a b\"\nscores = \"firewatch.dlq\"\n";
        let got = faults(
            config,
            "[storms]\ndeviations = 200\n",
            &[("FIREWATCH_KAFKA_GROUPE", "g"), ("FIREWATCH_SERVICE_HOST", "10.0.0.1")],
        );
        let starts = [
            "engine.commit_records: 0 is not allowed; give a whole number from 1 to 1000000",
            "kafka.common.no.such: ",
            "kafka.consumer.session.timeout.ms: ",
            "kafka.producer.transactional.id: is set by firewatch; remove it",
            "topics.events: `a b` is not allowed",
            "topics: `firewatch.dlq` is used twice",
            "http.listen: 0.0.0.0:80 can be reached from other machines",
            "kafka.broker: unknown key; did you mean `kafka.brokers`?",
            "FIREWATCH_KAFKA_GROUPE: no key matches this variable",
            "policy.toml: storms.deviations: 200 is not allowed; give a number from 1 to 20",
            "policy.toml: brands: no brand is listed",
        ];
        assert_eq!(got.len(), starts.len(), "{got:#?}");
        for (fault, start) in got.iter().zip(starts) {
            assert!(fault.starts_with(start), "{fault}\n{start}");
        }
    }
}
