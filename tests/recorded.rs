//! Formats of recordings: Parquet files as pandas or polars write them, and events with actions.

use std::fs::File;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use firewatch_tests::{event, firewatch, post, reshare, root};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
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

/// Adds the fields of an event to those of others; a column of integers and floats is one of floats.
fn add_fields(columns: &mut Value, event: &Value) {
    match (columns, event) {
        (Value::Object(columns), Value::Object(fields)) => fields.iter().for_each(|(name, value)| {
            add_fields(columns.entry(name).or_insert(Value::Null), value);
        }),
        (column, value) if column.is_null() || value.is_f64() => *column = value.clone(),
        _ => {}
    }
}

/// Returns the columns of a Parquet schema, all optional.
fn schema(columns: &Value) -> String {
    let mut text = String::new();
    for (name, example) in columns.as_object().into_iter().flatten() {
        text += &match example {
            Value::Object(_) => format!("optional group {name} {{ {} }}", schema(example)),
            Value::Number(n) if n.is_f64() => format!("optional double {name};"),
            Value::Number(_) => format!("optional int64 {name};"),
            _ => format!("optional binary {name} (UTF8);"),
        };
    }
    text
}

/// Returns the path and an example of each column that has values.
fn leaves<'a>(columns: &'a Value, path: &[&'a str]) -> Vec<(Vec<&'a str>, &'a Value)> {
    let Some(fields) = columns.as_object() else { return vec![(path.to_vec(), columns)] };
    fields.iter().flat_map(|(name, value)| leaves(value, &[path, &[name.as_str()]].concat())).collect()
}

/// Returns how many names of a path exist in an event, and the value if all do.
fn at_path<'a>(event: &'a Value, path: &[&str]) -> (i16, Option<&'a Value>) {
    match path.split_first() {
        None => (0, Some(event)),
        Some((name, rest)) => event.get(name).map_or((0, None), |part| {
            let (level, value) = at_path(part, rest);
            (level + 1, value)
        }),
    }
}

/// Writes a Parquet file with the columns that the values have, in one row group for each slice.
fn parquet_groups(path: &Path, groups: &[&[Value]]) -> String {
    let mut columns = json!({});
    groups.iter().copied().flatten().for_each(|event| add_fields(&mut columns, event));
    let message = parse_message_type(&format!("message events {{ {} }}", schema(&columns))).unwrap();
    let properties = Arc::new(WriterProperties::default());
    let mut writer =
        SerializedFileWriter::new(File::create(path).unwrap(), Arc::new(message), properties).unwrap();
    for events in groups {
        let mut group = writer.next_row_group().unwrap();
        for (path, example) in leaves(&columns, &[]) {
            let places: Vec<_> = events.iter().map(|event| at_path(event, &path)).collect();
            let levels: Vec<i16> = places.iter().map(|place| place.0).collect();
            let values = places.iter().filter_map(|place| place.1);
            let mut column = group.next_column().unwrap().unwrap();
            if example.is_f64() {
                let values: Vec<f64> = values.map(|value| value.as_f64().unwrap()).collect();
                column.typed::<DoubleType>().write_batch(&values, Some(&levels), None).unwrap();
            } else if example.is_i64() {
                let values: Vec<i64> = values.map(|value| value.as_i64().unwrap()).collect();
                column.typed::<Int64Type>().write_batch(&values, Some(&levels), None).unwrap();
            } else {
                let values: Vec<ByteArray> = values.map(|value| value.as_str().unwrap().into()).collect();
                column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
            }
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
    path.display().to_string()
}

/// Writes a Parquet file with one row group.
fn parquet(path: &Path, values: &[Value]) -> String {
    parquet_groups(path, &[values])
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
fn rows_are_read_across_row_groups_and_a_bad_value_costs_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let reshares: Vec<Value> = (1..=40_000)
        .map(|i| {
            let followers = if i == 20_000 { 0.5 } else { f64::from(i) };
            let columns = json!({ "engagement.kind": "reshare", "engagement.followers": followers });
            let mut event = event(&format!("e{i}"), "c", f64::from(i) / 10.0, &json!({}));
            event.as_object_mut().unwrap().extend(columns.as_object().unwrap().clone());
            event
        })
        .collect();
    let groups: Vec<&[Value]> = reshares.chunks(7_001).collect();
    let input = parquet_groups(&folder.path().join("groups.parquet"), &groups);
    let report = output_text(&backtest(&["--input", &input]));
    assert!(report.contains("groups.parquet: 40000 records"), "{report}");
    assert!(report.contains("\n1 records rejected"), "{report}");
    let first = "row 20000: wrong_type: `engagement.followers`: invalid type: floating point `0.5`";
    assert!(report.contains(first), "{report}");
}

#[test]
fn a_file_of_deletions_alone_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let gone: Vec<Value> = (0..3)
        .map(|i| {
            event(&format!("d{i}"), "c", f64::from(i), &json!({ "delete": { "post": format!("p{i}") } }))
        })
        .collect();
    let report = output_text(&backtest(&["--input", &parquet(&folder.path().join("gone.parquet"), &gone)]));
    assert!(report.contains("gone.parquet: 3 records"), "{report}");
}

#[test]
fn files_as_people_leave_them_are_read_and_utf16_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        output_text(&backtest(&["--input", &path.display().to_string()]))
    };
    let first = event("1", "c", 0.0, &post(5, "hello")).to_string();
    let second = event("2", "c", 1.0, &reshare("a", 7)).to_string();
    let report = read(format!("\u{feff}{first}\r\n\r\n  \n{second}\r\n\n").as_bytes());
    assert!(
        report.contains("events.jsonl: 2 records") && report.contains("\n0 records rejected"),
        "{report}"
    );
    let utf16: Vec<u8> = format!("\u{feff}{first}\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let report = read(&utf16);
    assert!(report.contains("is UTF-16; convert it to UTF-8"), "{report}");
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
fn a_damaged_first_row_group_is_named_and_not_called_empty() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.parquet");
    let input = parquet(&path, &recording()[..50]);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4..40].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let ran = backtest(&["--input", &input]);
    let text = output_text(&ran);
    assert!(ran.status.code() == Some(1) && text.contains("damaged.parquet: row 1: "), "{text}");
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
