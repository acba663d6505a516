//! Formats of recordings: Parquet files as pandas or polars write them, and events with actions.

use std::fs::File;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_json::ReaderBuilder;
use arrow_json::reader::infer_json_schema;
use firewatch_tests::{event, firewatch, post, reshare, root};
use parquet::arrow::ArrowWriter;
use serde_json::{Map, Value, json};

fn backtest(args: &[&str]) -> Output {
    firewatch().arg("backtest").args(args).output().unwrap()
}

fn output_text(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

/// Returns the lines of the demo's recording that are valid JSON.
fn recording() -> Vec<Value> {
    let text = std::fs::read_to_string(root().join("demo/recording.jsonl")).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn lines(values: &[Value]) -> String {
    values.iter().map(|value| format!("{value}\n")).collect()
}

/// Flattens an event to dotted column names and turns counts into floats, as pandas does.
fn flat(event: &Value) -> Value {
    fn leaves(name: &str, value: &Value, to: &mut Map<String, Value>) {
        let of = |part: &str| if name.is_empty() { part.to_owned() } else { format!("{name}.{part}") };
        match value {
            Value::Object(parts) => parts.iter().for_each(|(part, value)| leaves(&of(part), value, to)),
            Value::Number(n) if name.contains('.') => drop(to.insert(name.into(), json!(n.as_f64()))),
            _ => drop(to.insert(name.into(), value.clone())),
        }
    }
    let mut columns = Map::new();
    leaves("", event, &mut columns);
    Value::Object(columns)
}

/// Writes a Parquet file with the columns that the values have.
fn parquet(path: &Path, values: &[Value]) -> String {
    let text = lines(values);
    let (schema, n) = infer_json_schema(text.as_bytes(), None).unwrap();
    let reader = ReaderBuilder::new(Arc::new(schema)).with_batch_size(n).build(text.as_bytes());
    let table: RecordBatch = reader.unwrap().next().unwrap().unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), table.schema(), None).unwrap();
    writer.write(&table).unwrap();
    writer.close().unwrap();
    path.display().to_string()
}

#[test]
fn a_parquet_file_reads_like_json_lines() {
    let folder = tempfile::tempdir().unwrap();
    let events = recording();
    let plain = folder.path().join("plain.jsonl");
    std::fs::write(&plain, lines(&events)).unwrap();
    let run_backtest = |input: &str| {
        let out = folder.path().join("out");
        let ran = backtest(&["--input", input, "--out", &out.display().to_string()]);
        assert!(ran.status.success(), "{}", output_text(&ran));
        let report = output_text(&ran).replace(input, "INPUT").replace(", line ", ", row ");
        // Compares the positions of the errors, not their texts.
        let report: String =
            report.lines().map(|line| line.split(" at line 1 column ").next().unwrap_or(line)).collect();
        (report, std::fs::read(out.join("escalations-demo.jsonl")).unwrap())
    };
    let wanted = run_backtest(&plain.display().to_string());
    assert!(wanted.0.contains("INPUT, row 2610: wrong_type: `engagement.followers`"), "{}", wanted.0);
    let structs = parquet(&folder.path().join("structs.parquet"), &events);
    assert!(run_backtest(&structs) == wanted);
    let flat: Vec<Value> = events.iter().map(flat).collect();
    let dotted = parquet(&folder.path().join("dotted.parquet"), &flat);
    assert!(run_backtest(&dotted) == wanted);
}

#[test]
fn errors_in_a_parquet_file_name_the_column() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, without: &[&str], wanted: &str| {
        let mut events = recording();
        events.truncate(50);
        for event in &mut events {
            without.iter().for_each(|column| drop(event.as_object_mut().unwrap().remove(*column)));
        }
        let ran = backtest(&["--input", &parquet(&folder.path().join(name), &events)]);
        assert!(ran.status.code() == Some(2) && output_text(&ran).contains(wanted), "{}", output_text(&ran));
    };
    refused(
        "a.parquet",
        &["at"],
        "a.parquet: there is no column `at`; the columns are brand, conversation, id,",
    );
    refused(
        "b.parquet",
        &["post", "engagement", "counters", "brand_reply"],
        "b.parquet: there is none of the columns `post`, `engagement`",
    );
    let whole = std::fs::read(folder.path().join("a.parquet")).unwrap();
    let cut = folder.path().join("cut.parquet");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let ran = backtest(&["--input", &cut.display().to_string()]);
    assert!(
        ran.status.code() == Some(2) && output_text(&ran).contains("cut.parquet: "),
        "{}",
        output_text(&ran)
    );
}

#[test]
fn actions_are_merged_by_time_and_errors_name_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let policy = "[brands.aldermere]\n[routes.many]\nteam = \"pr\"\nwhen = { high = \"reshares >= 20\" }\n";
    let policy = write("p.toml", policy);
    let mut events = Vec::new();
    for name in ["a", "b"] {
        events.push(event(name, name, 0.0, &post(50, "I am so angry, the worst service ever")));
        events.extend((1..60).map(|i| {
            let id = format!("{name}{i}");
            event(&id, name, 10.0 * f64::from(i), &reshare(&id, 100))
        }));
    }
    events.sort_by_key(|event| event["at"].to_string());
    let input = write("events.jsonl", &lines(&events));
    let silence = |secs: f64, conversation: &str| {
        let until = event("", "", 86_400.0, &json!({}))["at"].clone();
        event(
            &format!("s{secs}"),
            conversation,
            secs,
            &json!({ "kind": "silence", "by": "kim", "until": until }),
        )
    };
    let run_backtest = |actions: &[Value]| {
        let actions = write("actions.jsonl", &(lines(actions) + "{\"v\":1}\n"));
        output_text(&backtest(&["--input", &input, "--actions", &actions, "--policy", &policy]))
    };
    // One is silenced before its twentieth reshare, the other only after its alert.
    let report = run_backtest(&[silence(500.0, "b"), silence(100.0, "a")]);
    assert!(report.contains("1 alerts") && report.contains("silenced"), "{report}");
    assert!(report.contains("actions.jsonl, line 3: missing_field: `conversation`"), "{report}");
    let report = run_backtest(&[silence(500.0, "b"), silence(500.0, "a")]);
    assert!(report.contains("2 alerts"), "{report}");
}
