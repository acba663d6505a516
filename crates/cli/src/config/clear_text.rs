//! Refuses settings that send a secret in the clear to another machine, or connect to one that proves nothing.
//!
//! On this machine, and where `network.clear_text` allows it, such as within a private network, they pass.

use std::net::IpAddr;

use firewatch_kafka::KafkaSettings;
use firewatch_settings::Settings;

/// The setting that allows secrets in the clear.
const SETTING: &str = "network.clear_text";
/// SASL mechanisms that the built-in client supports.
const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// Checks the security settings of Kafka, and where secrets would travel in the clear.
pub fn check(s: &mut Settings, kafka: &KafkaSettings, database: &str, streams: &[(String, String)]) {
    let is_allowed = s.flag(SETTING, false);
    let mut faults = kafka_faults(kafka);
    faults.extend(database_fault(database).map(|problem| ("console.database".to_owned(), problem)));
    for (key, url) in streams {
        let is_clear = url.starts_with("http://") || url.starts_with("ws://");
        if is_clear && !is_near(host_of(url)) {
            let problem = format!(
                "{url} is not encrypted, so that anybody on the way can read its token and forge posts; use https or wss"
            );
            faults.push((key.clone(), problem));
        }
    }
    for (key, problem) in faults {
        let is_about_clear_text = !problem.starts_with("SASL");
        if !(is_allowed && is_about_clear_text) {
            let hint = if is_about_clear_text { format!(", or set {SETTING} = true") } else { String::new() };
            s.add_fault(&key, format!("{problem}{hint}"));
        }
    }
}

fn kafka_faults(kafka: &KafkaSettings) -> Vec<(String, String)> {
    let property = |names: &[&str]| {
        let all = kafka.common.iter().chain(&kafka.consumer).chain(&kafka.producer);
        all.rev().find(|(key, _)| names.contains(&key.as_str())).map(|(_, value)| value.as_str())
    };
    let protocol = property(&["security.protocol"]).unwrap_or("plaintext").to_ascii_lowercase();
    let fault = |key: &str, problem: String| vec![(format!("kafka.common.{key}"), problem)];
    if !protocol.starts_with("sasl") {
        return Vec::new();
    }
    let mechanism = property(&["sasl.mechanisms", "sasl.mechanism"]).unwrap_or("GSSAPI").to_ascii_uppercase();
    if !MECHANISMS.contains(&mechanism.as_str()) {
        let problem = format!(
            "SASL mechanism {mechanism} is not in this build; use {}, or client certificates with security.protocol = \
             \"SSL\"",
            MECHANISMS.join(", ")
        );
        return fault("sasl.mechanisms", problem);
    }
    for key in ["sasl.username", "sasl.password"] {
        if property(&[key]).is_none() {
            return fault(
                key,
                format!("SASL needs it; set it, a password by FIREWATCH_KAFKA_COMMON_{}_FILE", variable(key)),
            );
        }
    }
    let far = kafka.brokers.split(',').map(str::trim).find(|broker| !is_near(host_of(broker)));
    match far {
        Some(far) if protocol == "sasl_plaintext" => {
            let problem = format!("the password would go to {far} in the clear; use \"SASL_SSL\"");
            fault("security.protocol", problem)
        }
        _ => Vec::new(),
    }
}

fn variable(key: &str) -> String {
    key.to_ascii_uppercase().replace('.', "_")
}

/// Returns what is wrong with the URL of a database on another machine, without the URL: it holds a password.
fn database_fault(url: &str) -> Option<String> {
    let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"))?;
    let is_verified = rest.contains("sslmode=verify-full");
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    // Without a host, or with a path for it, it is a socket of this machine.
    let is_socket = host.is_empty() || host.starts_with("%2F") || host.starts_with("%2f");
    if is_verified || is_socket || is_near(host_of(host)) {
        return None;
    }
    Some("the database's certificate would not be checked; add `?sslmode=verify-full` to the URL".into())
}

/// Returns the host of a URL or of `host:port`.
fn host_of(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let rest = rest.split(['/', '?']).next().unwrap_or_default();
    match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => rest.rsplit_once(':').map_or(rest, |(host, _)| host),
    }
}

/// Whether a host is this machine.
fn is_near(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(brokers: &str, common: &[(&str, &str)]) -> Vec<(String, String)> {
        let common = common.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        kafka_faults(&KafkaSettings { common, ..KafkaSettings::local(brokers, "g") })
    }

    #[test]
    fn a_password_goes_to_no_other_machine_in_the_clear() {
        let user = [("sasl.username", "fw"), ("sasl.password", "hunter2secret")];
        let with = |protocol, mechanism| {
            let mut all = vec![("security.protocol", protocol), ("sasl.mechanism", mechanism)];
            all.extend(user);
            all
        };
        for brokers in ["localhost:9092", "127.0.0.1:9092,[::1]:9093"] {
            assert_eq!(faults(brokers, &with("SASL_PLAINTEXT", "PLAIN")), []);
        }
        let far = faults("localhost:9092,kafka.example.org:9092", &with("sasl_plaintext", "SCRAM-SHA-512"));
        assert!(far[0].1.contains("kafka.example.org:9092 in the clear") && !far[0].1.contains("hunter2"));
        assert_eq!(faults("kafka.example.org:9092", &with("SASL_SSL", "PLAIN")), []);
        assert_eq!(faults("kafka.example.org:9092", &[]), []);
        for mechanism in ["GSSAPI", "OAUTHBEARER"] {
            assert_eq!(faults("b:1", &with("SASL_SSL", mechanism))[0].0, "kafka.common.sasl.mechanisms");
        }
        let nameless = faults("b:1", &[("security.protocol", "SASL_SSL"), ("sasl.mechanisms", "PLAIN")]);
        assert_eq!(nameless[0].0, "kafka.common.sasl.username");
    }

    #[test]
    fn a_database_elsewhere_is_verified() {
        for near in [
            "sqlite://console.db",
            "postgres://u:p@localhost/fw",
            "postgres://u:p@127.0.0.1:5432/fw?sslmode=disable",
            "postgres://%2Fvar%2Frun/fw",
            "postgresql://u:p@db.example.org/fw?sslmode=verify-full",
        ] {
            assert_eq!(database_fault(near), None, "{near}");
        }
        for far in ["postgres://u:p@db.example.org/fw", "postgresql://u:p@10.0.0.5/fw?sslmode=require"] {
            assert!(database_fault(far).unwrap().contains("verify-full"), "{far}");
        }
    }
}
