//! Records as Protobuf schemas. Every field has presence and keeps the number that it was given first.
//! Removed numbers and names are reserved.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use protox::file::File;
use protox::prost_reflect::prost_types::{DescriptorProto, FileDescriptorProto};

use crate::shape::{Field, Kind, Message, Times};

/// Field numbers of a message: those in use by field name, and those reserved.
#[derive(Default)]
struct Numbers {
    used: BTreeMap<String, u32>,
    reserved: Vec<(u32, String)>,
}

/// Returns the schema as a file; field numbers continue those of `before`.
pub fn schema(messages: &[Message], contract: &str, before: &str) -> String {
    let before = parsed(before);
    let mut text =
        String::from("// Generated from the types by tests/schemas, which keeps the numbers as they are.\n");
    let _ = writeln!(text, "syntax = \"proto3\";\n\npackage firewatch.{contract}.v1;");
    let is_time = |field: &Field| matches!(field.kind, Kind::Time);
    if messages.iter().flat_map(|message| &message.fields).any(is_time) {
        text += "\nimport \"google/protobuf/timestamp.proto\";\n";
    }
    for message in messages {
        let before = before.message_type.iter().find(|before| before.name() == message.name);
        text += &written(message, &numbers(message, before));
    }
    text
}

/// Parses a schema.
pub fn parsed(text: &str) -> FileDescriptorProto {
    let file = File::from_source("own.proto", text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    file.file_descriptor_proto().clone()
}

/// Assigns field numbers. Known fields keep theirs; a new field gets the one after the highest ever used.
fn numbers(message: &Message, before: Option<&DescriptorProto>) -> Numbers {
    let mut numbers = Numbers::default();
    let names: Vec<&str> = message.fields.iter().map(|field| field.name.as_str()).collect();
    for field in before.into_iter().flat_map(|before| &before.field) {
        let (name, number) = (field.name().to_owned(), field.number().unsigned_abs());
        match names.contains(&field.name()) {
            true => _ = numbers.used.insert(name, number),
            false => numbers.reserved.push((number, name)),
        }
    }
    if let Some(before) = before {
        let given_up = before.reserved_range.iter().map(|range| range.start().unsigned_abs());
        numbers.reserved.extend(given_up.zip(before.reserved_name.iter().cloned()));
    }
    let given = numbers.used.values().chain(numbers.reserved.iter().map(|(number, _)| number));
    let mut highest = given.max().copied().unwrap_or_default();
    for name in names {
        numbers.used.entry(name.to_owned()).or_insert_with(|| {
            highest += 1;
            highest
        });
    }
    numbers
}

fn written(message: &Message, numbers: &Numbers) -> String {
    let mut text = format!("\n{}message {} {{\n", comment(&message.doc, ""), message.name);
    for (number, name) in &numbers.reserved {
        let _ = writeln!(text, "  reserved {number};\n  reserved \"{name}\";");
    }
    let mut fields: Vec<&Field> = message.fields.iter().collect();
    fields.sort_by_key(|field| numbers.used[&field.name]);
    for one in fields.iter().filter(|field| !field.is_alternative) {
        text += &field(one, numbers.used[&one.name], "  ");
    }
    if fields.iter().any(|field| field.is_alternative) {
        text += "  oneof body {\n";
        for one in fields.iter().filter(|field| field.is_alternative) {
            text += &field(one, numbers.used[&one.name], "    ");
        }
        text += "  }\n";
    }
    text + "}\n"
}

fn field(field: &Field, number: u32, indent: &str) -> String {
    let kind = match &field.kind {
        Kind::Text => "string",
        Kind::Time => "google.protobuf.Timestamp",
        Kind::Whole(true, 64) => "int64",
        Kind::Whole(true, _) => "int32",
        Kind::Whole(false, 64) => "uint64",
        Kind::Whole(false, _) => "uint32",
        Kind::Number(32) => "float",
        Kind::Number(_) => "double",
        Kind::Truth => "bool",
        Kind::Message(name) => name,
    };
    let label = match (field.times, &field.kind) {
        (Times::Many, _) => "repeated ",
        // These have presence without a label.
        (_, Kind::Message(_) | Kind::Time) => "",
        _ if field.is_alternative => "",
        _ => "optional ",
    };
    format!("{}{indent}{label}{kind} {} = {number};\n", comment(&field.doc, indent), field.name)
}

/// Wraps words at about 100 characters.
fn comment(doc: &str, indent: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in doc.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < 100 => *line += &format!(" {word}"),
            _ => lines.push(format!("{indent}// {word}")),
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}
