//! Confluent's client for Python, run as a data engineer would run it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use firewatch_domain::EventTime;
use firewatch_tests::{python_packages, root};
use firewatch_wire::Contract;
use serde_json::Value;

pub struct Client {
    pub brokers: String,
    pub registry: String,
}

impl Client {
    /// Installs the client. Prints a notice and returns `None` where that is not possible.
    pub fn ready(self) -> Option<Self> {
        let problem = match python_packages("registry") {
            Ok(_) => return Some(self),
            Err(problem) => problem,
        };
        let required = std::env::var_os("FIREWATCH_REQUIRE_KAFKA").is_some();
        assert!(!required, "FIREWATCH_REQUIRE_KAFKA is set, but there is no Python client: {problem}");
        eprintln!("SKIPPED: no Python client: {problem}");
        None
    }

    /// Writes records, each keyed by its conversation.
    pub fn write(&self, topic: &str, form: &str, contract: Contract, records: &[Value]) {
        let folder = tempfile::tempdir().unwrap();
        let mut python = self.python("write", topic, form, &schema(folder.path(), form, contract));
        let mut child = python.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        for record in records {
            // If it fails, the reason is on its standard error.
            let _ = writeln!(stdin, "{record}");
        }
        drop(stdin);
        let out = child.wait_with_output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// Reads all records, and waits for at least `min_records`.
    pub fn read(&self, topic: &str, form: &str, contract: Contract, min_records: usize) -> Vec<Value> {
        let folder = tempfile::tempdir().unwrap();
        let mut python = self.python("read", topic, form, &schema(folder.path(), form, contract));
        let out = python.arg(min_records.to_string()).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        firewatch_tests::json_lines(&out.stdout)
    }

    fn python(&self, command: &str, topic: &str, form: &str, schema: &str) -> Command {
        let mut python = Command::new("python3");
        python.arg(root().join("tests/registry/client.py"));
        python.args([command, &self.brokers, &self.registry, topic, form, schema]);
        python.env("PYTHONPATH", root().join("target/registry/python"));
        python
    }
}

/// Returns what the client needs of a contract: the schema file, or descriptors and the message name.
fn schema(folder: &Path, form: &str, contract: Contract) -> String {
    let path = folder.join("schema");
    let name = match contract {
        Contract::Event => "Event",
        Contract::Score => "Score",
        Contract::Escalation => "Escalation",
        other => panic!("unexpected contract {}", other.name()),
    };
    if form == "avro" {
        std::fs::write(&path, contract.avro()).unwrap();
        return path.display().to_string();
    }
    let file = format!("{}.proto", contract.name());
    std::fs::write(folder.join(&file), contract.protobuf()).unwrap();
    let mut compiler = protox::Compiler::new([folder]).unwrap();
    compiler.include_imports(true).open_file(&file).unwrap();
    std::fs::write(&path, compiler.encode_file_descriptor_set()).unwrap();
    format!("{}:firewatch.{}.v1.{name}", path.display(), contract.name())
}

/// Decodes base64.
pub fn bytes(text: &Value) -> Vec<u8> {
    STANDARD.decode(text.as_str().unwrap()).unwrap()
}

/// Checks that the client read the same records. To it an absent field is null or empty, a large number is a
/// string, and a time has all its zeros.
pub fn assert_same(ours: &[Value], mut theirs: Vec<Value>) {
    theirs.sort_by_key(|record| record["id"].to_string());
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!(is_same(ours, theirs), "{ours}\n{theirs}");
    }
}

fn is_same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let names = a.keys().chain(b.keys());
            names.into_iter().all(|name| is_same(&ours[name], &theirs[name]))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Value::Array(one), Value::Null) | (Value::Null, Value::Array(one)) => one.is_empty(),
        (Value::Number(a), Value::String(b)) => a.to_string() == *b,
        // The client reads 32-bit numbers as 64-bit numbers.
        (Value::Number(a), Value::Number(b)) => {
            a == b || a.is_f64() && a.as_f64().map(|a| a as f32) == b.as_f64().map(|b| b as f32)
        }
        (Value::String(a), Value::String(b)) => {
            a == b || EventTime::parse(a).is_ok_and(|a| EventTime::parse(b) == Ok(a))
        }
        _ => ours == theirs,
    }
}
