//! Whether two versions of a schema can read each other's records, in both directions: consumers and
//! producers are never updated at the same moment.

use std::collections::BTreeMap;

use apache_avro::Schema;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use protox::prost_reflect::prost_types::{DescriptorProto, FieldDescriptorProto};

use crate::protobuf::parsed;

/// Returns the reasons why two Avro schemas cannot read each other's records.
pub fn avro(before: &str, now: &str) -> Vec<String> {
    let [before, now] = [before, now].map(|text| Schema::parse_str(text).unwrap());
    let ways = [
        ("records before are not read now", &before, &now),
        ("records now are not read before", &now, &before),
    ];
    let faults = ways.into_iter().filter_map(|(what, writer, reader)| {
        match SchemaCompatibility::can_read(writer, reader) {
            Ok(Compatibility::Full) => None,
            Ok(Compatibility::Partial) => Some(format!("some {what}")),
            Err(e) => Some(format!("{what}: {e}")),
        }
    });
    faults.collect()
}

/// Returns the reasons why two Protobuf schemas cannot: a field number has another meaning, or could get one.
pub fn protobuf(before: &str, now: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let [before, now] = [before, now].map(parsed);
    if before.package() != now.package() {
        faults.push(format!("the package {} is another", before.package()));
    }
    let messages: BTreeMap<&str, &DescriptorProto> =
        now.message_type.iter().map(|message| (message.name(), message)).collect();
    if before.message_type.first().map(DescriptorProto::name)
        != now.message_type.first().map(DescriptorProto::name)
    {
        faults.push("the first message is another".to_owned());
    }
    for message in &before.message_type {
        match messages.get(message.name()) {
            None => faults.push(format!("the message {} is gone", message.name())),
            Some(now) => faults.extend(of_message(message, now)),
        }
    }
    faults
}

fn of_message(before: &DescriptorProto, now: &DescriptorProto) -> Vec<String> {
    let mut faults = Vec::new();
    for field in &before.field {
        let place = format!("{}.{}", before.name(), field.name());
        match now.field.iter().find(|now| now.number() == field.number()) {
            None if !is_reserved(now, field) => {
                faults.push(format!("{place} is gone, and its number not reserved"))
            }
            None => {}
            Some(now) if now.name() != field.name() => {
                faults.push(format!("{place} is called {}", now.name()))
            }
            Some(now) if meaning(now) != meaning(field) => faults.push(format!("{place} is of another type")),
            Some(_) => {}
        }
    }
    let given_up = now.field.iter().filter(|field| is_reserved(before, field));
    faults.extend(
        given_up.map(|field| format!("{}.{} has a number given up before", now.name(), field.name())),
    );
    faults
}

fn is_reserved(message: &DescriptorProto, field: &FieldDescriptorProto) -> bool {
    let by_number = message.reserved_range.iter().any(|r| (r.start()..r.end()).contains(&field.number()));
    by_number || message.reserved_name.iter().any(|name| name == field.name())
}

/// Returns what determines the meaning of a field's bytes.
fn meaning(field: &FieldDescriptorProto) -> (i32, i32, Option<i32>, &str) {
    (
        field.r#type.unwrap_or_default(),
        field.label.unwrap_or_default(),
        field.oneof_index.filter(|_| !field.proto3_optional()),
        field.type_name(),
    )
}
