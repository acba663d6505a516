//! Generates the reference pages, each from the part of the code that it describes.

use std::collections::BTreeMap;
use std::fmt::Write;

use firewatch_domain::FlagKind;
use firewatch_escalation::fact_names;
use firewatch_ingest::Platform;
use firewatch_telemetry::Metrics;
use firewatch_tests::{firewatch, root};
use serde_json::Value;

const NOTE: &str =
    "<!-- Generated from the code by tests/reference; FIREWATCH_BLESS=1 writes it again. -->\n\n";

/// Returns every page with its file name.
pub fn all() -> Vec<(&'static str, String)> {
    vec![
        ("settings.md", settings()),
        ("policy.md", policy()),
        ("conditions.md", conditions()),
        ("metrics.md", metrics()),
        ("dead-letters.md", dead_letters()),
        ("commands.md", commands()),
        ("records.md", records()),
        ("payloads.md", payloads()),
    ]
}

fn output(args: &[&str]) -> String {
    let out = firewatch().args(args).output().unwrap();
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// Returns a JSON Schema that `firewatch schema` prints.
pub fn schema(name: &str) -> Value {
    serde_json::from_str(&output(&["schema", name])).unwrap()
}

/// One key of a file and its description.
pub struct Row {
    pub key: String,
    pub values: String,
    pub default: String,
    pub description: String,
}

/// Returns every key of a schema, including those in sections.
pub fn rows_of(schema: &Value) -> Vec<Row> {
    let mut rows = Vec::new();
    collect(schema, "", &mut rows);
    rows
}

fn collect(schema: &Value, prefix: &str, to: &mut Vec<Row>) {
    let below = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
    let properties = schema["properties"].as_object();
    let others = Some(&schema["additionalProperties"]).filter(|others| others.is_object());
    if properties.is_none() && others.is_none() {
        // The owner chooses the keys of such a section.
        let is_free = schema["type"] == "object";
        to.push(Row {
            key: if is_free { below("NAME") } else { prefix.to_owned() },
            values: values(schema),
            default: schema.get("default").map_or_else(String::new, code),
            description: schema["description"].as_str().unwrap_or_default().to_owned(),
        });
        return;
    }
    for (name, schema) in properties.into_iter().flatten() {
        collect(schema, &below(name), to);
    }
    if let Some(others) = others {
        collect(others, &below("NAME"), to);
    }
}

fn code(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

fn values(schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        let words = words.iter().filter(|word| **word != "").map(code);
        return words.collect::<Vec<_>>().join(", ");
    }
    let range = match (&schema["minimum"], &schema["maximum"], schema["x-range"].as_str()) {
        (_, _, Some(range)) => format!(", {range}"),
        (Value::Null, ..) | (_, Value::Null, _) => String::new(),
        (from, to, _) => format!(", {from} to {to}"),
    };
    let kind = match schema["type"].as_str() {
        Some("string") if schema.get("x-range").is_some() => "duration",
        Some("string") => "text",
        Some("integer") => "whole number",
        Some("boolean") => "`true` or `false`",
        Some("array") => "list of text",
        Some("object") => "text",
        Some(other) => other,
        None => "any",
    };
    format!("{kind}{range}")
}

fn table_of(rows: &[Row]) -> String {
    let mut page = String::from("| key | values | default | what it does |\n|---|---|---|---|\n");
    for Row { key, values, default, description } in rows {
        writeln!(page, "| `{key}` | {values} | {default} | {description} |").unwrap();
    }
    page
}

/// Writes one table for each first part of the keys.
fn sections_of(rows: Vec<Row>) -> String {
    let mut page = String::new();
    let mut sections: Vec<(String, Vec<Row>)> = Vec::new();
    for row in rows {
        let section = row.key.split_once('.').map_or("file", |(section, _)| section).to_owned();
        match sections.iter_mut().find(|(name, _)| *name == section) {
            Some((_, rows)) => rows.push(row),
            None => sections.push((section, vec![row])),
        }
    }
    for (name, rows) in sections {
        let title = if name == "file" { "Top of the file".to_owned() } else { name };
        writeln!(page, "## {title}\n\n{}", table_of(&rows)).unwrap();
    }
    page
}

fn settings() -> String {
    format!(
        "# Settings\n\n{NOTE}`firewatch check --config firewatch.toml` reports every error in a settings file without connecting. \
         `NAME` stands for a name that you choose. An environment variable overrides a key: `FIREWATCH_KAFKA_BROKERS` \
         overrides `kafka.brokers`. Of secrets and of what is passed to the Kafka client, a variable with `_FILE` behind its \
         name gives the path of a file with the value: `FIREWATCH_REGISTRY_PASSWORD_FILE`, \
         `FIREWATCH_KAFKA_COMMON_SASL_PASSWORD_FILE`. `firewatch schema settings` prints the JSON Schema for editors.\n\n{}",
        sections_of(rows_of(&schema("settings")))
    )
}

fn policy() -> String {
    format!(
        "# The policy file\n\n{NOTE}`firewatch policy check policy.toml` reports every error in a policy. `NAME` stands for a name \
         that you choose. [Write a policy](../guides/analysts/write-policy.md) explains the parts, \
         [Conditions](conditions.md) lists what conditions can ask. `firewatch schema policy` prints the JSON Schema for \
         editors.\n\n{}",
        sections_of(rows_of(&schema("policy")))
    )
}

fn conditions() -> String {
    let mut page = format!(
        "# Conditions\n\n{NOTE}Conditions are CEL expressions over these names. `firewatch policy names` prints the same list.\n\n\
         ## Names\n\n| name | type | meaning |\n|---|---|---|\n"
    );
    for (name, kind, about) in fact_names() {
        writeln!(page, "| `{name}` | {} | {about} |", kind.name()).unwrap();
    }
    page += "\n## Values of `flags`\n\n| value | a post that has it |\n|---|---|\n";
    for flag in FlagKind::ALL {
        writeln!(page, "| `{}` | {} |", flag.name(), flag.describe()).unwrap();
    }
    page += "\n## Values of `platform`\n\n";
    let platforms: Vec<String> =
        Platform::ALL.iter().map(|platform| format!("`{}`", platform.as_str())).collect();
    writeln!(page, "{}; records of your own producers may have others.", platforms.join(", ")).unwrap();
    page
}

fn metrics() -> String {
    let mut page = format!(
        "# Metrics\n\n{NOTE}`firewatch run`, `collect` and `ingest` serve their metrics at `/metrics` of `http.listen`. A metric \
         with labels appears once it has a value.\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n"
    );
    for metric in Metrics::catalogue() {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let kind = metric.metric_type.as_str();
        writeln!(page, "| `{}` | {kind} | {} | {} |", metric.name, labels.join(", "), metric.help).unwrap();
    }
    page
}

fn dead_letters() -> String {
    let schema = schema("dead_letter");
    let mut page = format!(
        "# Dead-letter codes\n\n{NOTE}A record that cannot be read goes to `topics.dead_letters` with one of these codes; the field \
         `detail` names the place, the value and the remedy. The metrics `firewatch_rejected_total` and \
         `firewatch_payload_rejected_total` count them as `reason`. `not_relevant` and `not_public` are counted only.\n\n\
         | code | meaning |\n|---|---|\n"
    );
    let codes = schema["$defs"]["RejectionCode"]["oneOf"].as_array().unwrap();
    assert!(codes.len() > 10, "{codes:?}");
    for code in codes {
        let (code, meaning) = (code["const"].as_str().unwrap(), code["description"].as_str().unwrap());
        writeln!(page, "| `{code}` | {} |", meaning.replace('\n', " ")).unwrap();
    }
    page
}

/// Returns the table of payload kinds by platform, made of the cases that the decoders are tested with.
fn payloads() -> String {
    let mut page = format!(
        "# Payload kinds by platform\n\n{NOTE}What `firewatch ingest` makes of each kind of payload. Every row is a case in \
         `tests/platforms`; [what each platform provides](platforms.md) says which fields are read. `not_relevant` and `not_public` are \
         counted only; any other code is a dead letter.\n"
    );
    for platform in Platform::ALL {
        write!(page, "\n## `{platform}`\n\n| payload | events | rejected |\n|---|---|---|\n").unwrap();
        let path = root().join(format!("tests/platforms/{platform}.json"));
        let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for case in cases {
            let kinds = case["events"].as_array().unwrap().iter().map(event_kind);
            let codes = case["rejected"].as_array().into_iter().flatten();
            let codes = codes.map(|reason| reason.as_str().unwrap().split(':').next().unwrap_or_default());
            let what = case["it"].as_str().unwrap();
            writeln!(page, "| {what} | {} | {} |", counted(kinds, ""), counted(codes, "`")).unwrap();
        }
    }
    page
}

fn event_kind(event: &Value) -> &str {
    ["post", "engagement", "counters", "brand_reply", "delete"]
        .into_iter()
        .find(|kind| event.get(kind).is_some())
        .unwrap_or_default()
}

/// Returns each word with the number of times that it occurs, if more than once.
fn counted<'a>(words: impl Iterator<Item = &'a str>, quote: &str) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    words.for_each(|word| *counts.entry(word).or_default() += 1);
    let each = counts.into_iter().map(|(word, n)| {
        let word = format!("{quote}{word}{quote}");
        if n == 1 { word } else { format!("{n} {word}") }
    });
    each.collect::<Vec<_>>().join(", ")
}

fn commands() -> String {
    let mut page = format!(
        "# Commands\n\n{NOTE}Exit code 0 is success, 1 a failure at run time, 2 an error in arguments or settings. A build with \
         the cargo feature `train` adds `train` and `evaluate`.\n\n"
    );
    add_command(&[], &mut page);
    page
}

/// Writes the help of a command and of its subcommands.
fn add_command(path: &[&str], to: &mut String) {
    let help = output(&[path, &["--help"]].concat());
    let title = ["firewatch"].iter().chain(path).copied().collect::<Vec<_>>().join(" ");
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    writeln!(to, "## {title}\n\n```text\n{}\n```\n", help.join("\n")).unwrap();
    let listed = help.iter().skip_while(|line| **line != "Commands:").skip(1);
    let names = listed.take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("   "));
    for name in names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        add_command(&[path, &[name]].concat(), to);
    }
}

fn records() -> String {
    let all: Value = serde_json::from_str(&output(&["schema"])).unwrap();
    let mut page = format!(
        "# Records\n\n{NOTE}Fields of the records in JSON, all of schema version 1. `firewatch schema NAME` prints the JSON Schema, \
         with `--format avro` or `--format protobuf` those forms; [Formats](formats.md) explains them.\n\n"
    );
    for name in ["event", "action", "score", "escalation", "signal", "dead_letter"] {
        let schema = &all[name];
        writeln!(page, "## {name}\n\n{}\n", one_line(&schema["description"])).unwrap();
        page += &fields(schema);
        for (part, schema) in schema["$defs"].as_object().into_iter().flatten() {
            if schema["properties"].is_object() {
                writeln!(page, "### {name}: {part}\n\n{}\n", one_line(&schema["description"])).unwrap();
                page += &fields(schema);
            } else if let Some(words) = schema["oneOf"].as_array() {
                writeln!(page, "### {name}: {part}\n\n{}\n", one_line(&schema["description"])).unwrap();
                page += &choices(words);
            }
        }
    }
    page
}

fn one_line(text: &Value) -> String {
    text.as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|")
}

fn fields(schema: &Value) -> String {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut page = String::from("| field | type | always | meaning |\n|---|---|---|---|\n");
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let always = if required.contains(&name.as_str()) { "yes" } else { "" };
        let meaning = one_line(&field["description"]);
        writeln!(page, "| `{name}` | {} | {always} | {meaning} |", type_of(field)).unwrap();
    }
    page + "\n"
}

fn choices(words: &[Value]) -> String {
    let mut page = String::from("| value | meaning |\n|---|---|\n");
    for word in words {
        let names: Vec<String> = match (&word["const"], word["enum"].as_array(), word["required"].as_array())
        {
            (Value::String(name), ..) => vec![name.clone()],
            (_, Some(names), _) | (_, _, Some(names)) => {
                names.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => continue,
        };
        let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        writeln!(page, "| {names} | {} |", one_line(&word["description"])).unwrap();
    }
    page + "\n"
}

fn type_of(field: &Value) -> String {
    if let Some(target) = field["$ref"].as_str() {
        return target.rsplit('/').next().unwrap_or_default().to_owned();
    }
    if let Some(any) = field["anyOf"].as_array() {
        let types: Vec<String> = any.iter().map(type_of).filter(|kind| kind != "null").collect();
        return types.join(" or ");
    }
    match &field["type"] {
        Value::String(kind) if kind == "array" => format!("list of {}", type_of(&field["items"])),
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            let kinds: Vec<&str> =
                kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect();
            kinds.join(" or ")
        }
        _ => "object".into(),
    }
}
