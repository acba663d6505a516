//! Converts between Protobuf and JSON, by descriptors compiled from a schema's text.
//!
//! An absent field with presence is omitted. A field without presence (proto3 without `optional`) is omitted
//! if it has its default value, because an unknown count would become 0 otherwise.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::prost_types::{FileDescriptorProto, Timestamp};
use prost_reflect::{
    DynamicMessage, FileDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _, SerializeOptions,
    Value as Part,
};
use protox::Compiler;
use protox::file::{File, FileResolver, GoogleFileResolver};
use serde::ser::{Error as _, Serialize, SerializeMap as _, Serializer};
use serde_json::Value;

use crate::frame::{read_message_path, write_first_message_index};
use crate::{WireError, scalar};

/// The message type of times.
const TIMESTAMP: &str = "google.protobuf.Timestamp";
/// The file name of the schema itself, distinct from those of its references.
const ROOT_FILE: &str = "firewatch-own-name.proto";

/// A compiled schema with its references.
pub struct ProtobufSchema(FileDescriptor);

impl ProtobufSchema {
    /// Compiles a schema, which must have at least one message.
    pub fn parse(text: &str, references: &[(String, String)]) -> Result<Self, WireError> {
        let parse_error = |e: protox::Error| WireError::new(format!("not a valid Protobuf schema: {e}"));
        let own = (ROOT_FILE.to_owned(), text.to_owned());
        let files = [own].into_iter().chain(references.iter().cloned()).collect();
        let mut compiler = Compiler::with_file_resolver(SchemaFiles(files));
        compiler.include_imports(true).open_file(ROOT_FILE).map_err(parse_error)?;
        let file = compiler.descriptor_pool().get_file_by_name(ROOT_FILE);
        let file = file.filter(|file| file.messages().len() > 0);
        file.map(Self).ok_or_else(|| WireError::new("the schema has no message"))
    }

    /// Decodes a payload, which begins with the message index, to JSON.
    pub fn to_json(&self, payload: &[u8]) -> Result<Vec<u8>, WireError> {
        let (path, bytes) = read_message_path(payload)?;
        let descriptor = self.message(&path);
        let descriptor =
            descriptor.ok_or_else(|| WireError::new(format!("the schema has no message {path:?}")))?;
        let message = DynamicMessage::decode(descriptor, bytes).map_err(|e| WireError::new(e.to_string()))?;
        serde_json::to_vec(&JsonMessage(&message)).map_err(|e| WireError::new(e.to_string()))
    }

    /// Encodes a record, given as JSON, as the schema's first message and appends it to `out` with the
    /// message index.
    pub fn encode(&self, record: &Value, out: &mut Vec<u8>) -> Result<(), WireError> {
        let descriptor = self.message(&[0]).ok_or_else(|| WireError::new("the schema has no message"))?;
        write_first_message_index(out);
        encode_message(record, &descriptor, out)
    }

    /// Returns the message at an index: the position in the file, then in each enclosing message.
    fn message(&self, path: &[usize]) -> Option<MessageDescriptor> {
        let (first, rest) = path.split_first()?;
        let outer = self.0.messages().nth(*first)?;
        rest.iter().try_fold(outer, |outer, i| outer.child_messages().nth(*i))
    }
}

/// The schema and its references by name. The standard imports of Google are built in.
struct SchemaFiles(Vec<(String, String)>);

impl FileResolver for SchemaFiles {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let Some((_, text)) = self.0.iter().find(|(known, _)| known == name) else {
            return GoogleFileResolver::new().open_file(name);
        };
        match compiled(text) {
            Some(file) => {
                Ok(File::from_file_descriptor_proto(FileDescriptorProto { name: Some(name.into()), ..file }))
            }
            None => File::from_source(name, text),
        }
    }
}

/// Decodes a schema that a client registered as a compiled descriptor in base64. A schema's text contains
/// blanks, so it is never valid base64.
fn compiled(text: &str) -> Option<FileDescriptorProto> {
    let bytes = STANDARD.decode(text.trim()).ok()?;
    FileDescriptorProto::decode(bytes.as_slice()).ok()
}

/// A message that serialises to JSON.
struct JsonMessage<'a>(&'a DynamicMessage);

impl Serialize for JsonMessage<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let message = self.0;
        let descriptor = message.descriptor();
        if descriptor.full_name() == TIMESTAMP {
            let [seconds, nanos] = [1, 2].map(|number| message.get_field_by_number(number));
            let seconds = seconds.and_then(|seconds| seconds.as_i64()).unwrap_or_default();
            let nanos = nanos.and_then(|nanos| nanos.as_i32()).unwrap_or_default();
            return scalar::time(i128::from(seconds) * 1_000_000_000 + i128::from(nanos), to);
        }
        if descriptor.full_name().starts_with("google.protobuf.") {
            // The library knows the JSON form of durations and wrappers. Its errors may quote values, so they
            // are replaced.
            let plain = SerializeOptions::new().stringify_64_bit_integers(false);
            let done = message.serialize_with_options(to, &plain);
            return done
                .map_err(|_| S::Error::custom(format_args!("{} has no JSON form", descriptor.full_name())));
        }
        let mut object = to.serialize_map(None)?;
        for field in descriptor.fields().filter(|field| field.is_list() || message.has_field(field)) {
            let part = message.get_field(&field);
            object.serialize_entry(field.name(), &JsonField(&part, &field.kind()))?;
        }
        object.end()
    }
}

/// A field value with its kind, which serialises to JSON.
struct JsonField<'a>(&'a Part, &'a Kind);

impl Serialize for JsonField<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(part, kind) = self;
        match part {
            Part::Bool(b) => to.serialize_bool(*b),
            Part::I32(n) => to.serialize_i32(*n),
            Part::I64(n) => to.serialize_i64(*n),
            Part::U32(n) => to.serialize_u32(*n),
            Part::U64(n) => to.serialize_u64(*n),
            Part::F32(x) => to.serialize_f32(*x),
            Part::F64(x) => to.serialize_f64(*x),
            Part::String(text) => to.serialize_str(text),
            Part::Bytes(bytes) => to.serialize_str(&scalar::base64(bytes)),
            Part::EnumNumber(n) => match kind.as_enum().and_then(|enum_type| enum_type.get_value(*n)) {
                Some(value) => to.serialize_str(value.name()),
                None => to.serialize_i32(*n),
            },
            Part::Message(message) => JsonMessage(message).serialize(to),
            Part::List(items) => to.collect_seq(items.iter().map(|item| JsonField(item, kind))),
            Part::Map(entries) => {
                let value_kind = kind.as_message().map(|entry| entry.map_entry_value_field().kind());
                let value_kind = value_kind.unwrap_or(Kind::String);
                to.collect_map(
                    entries.iter().map(|(key, value)| (map_key_string(key), JsonField(value, &value_kind))),
                )
            }
        }
    }
}

/// Encodes an object as in the Protobuf specification. It supports only the types that our own schemas use,
/// and is more than twice as fast as the library's reflection.
fn encode_message(value: &Value, message: &MessageDescriptor, out: &mut Vec<u8>) -> Result<(), WireError> {
    let Value::Object(object) = value else { return Err(scalar::unfit(value)) };
    for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
        let field = message.get_field_by_name(name);
        let field = field.ok_or_else(|| WireError::new(format!("`{name}`: the schema has no such field")))?;
        let (number, kind) = (field.number(), field.kind());
        let done = match value {
            Value::Array(items) if field.is_list() => {
                items.iter().try_for_each(|item| encode_field(item, number, &kind, out))
            }
            value => encode_field(value, number, &kind, out),
        };
        done.map_err(|fault| fault.within(name))?;
    }
    Ok(())
}

/// Encodes a field: its key, then its value.
fn encode_field(value: &Value, number: u32, kind: &Kind, out: &mut Vec<u8>) -> Result<(), WireError> {
    let unfit = || scalar::unfit(value);
    let varint = |n: u64, out: &mut Vec<u8>| {
        encode_key(number, WireType::Varint, out);
        encode_varint(n, out);
    };
    let bytes = |bytes: &[u8], out: &mut Vec<u8>| {
        encode_key(number, WireType::LengthDelimited, out);
        encode_varint(bytes.len() as u64, out);
        out.extend(bytes);
    };
    match (kind, value) {
        (Kind::String, Value::String(text)) => bytes(text.as_bytes(), out),
        (Kind::Bool, Value::Bool(b)) => varint((*b).into(), out),
        (Kind::Uint32 | Kind::Uint64, Value::Number(n)) => varint(n.as_u64().ok_or_else(unfit)?, out),
        // Two's complement: a negative number takes ten bytes.
        (Kind::Int32 | Kind::Int64, Value::Number(n)) => varint(n.as_i64().ok_or_else(unfit)? as u64, out),
        (Kind::Float, Value::Number(n)) => {
            encode_key(number, WireType::ThirtyTwoBit, out);
            out.extend((n.as_f64().ok_or_else(unfit)? as f32).to_le_bytes());
        }
        (Kind::Double, Value::Number(n)) => {
            encode_key(number, WireType::SixtyFourBit, out);
            out.extend(n.as_f64().ok_or_else(unfit)?.to_le_bytes());
        }
        (Kind::Message(message_type), Value::String(text)) if message_type.full_name() == TIMESTAMP => {
            let millis = scalar::millis(text).ok_or_else(unfit)?;
            let time = Timestamp {
                seconds: millis.div_euclid(1000),
                nanos: (millis.rem_euclid(1000) * 1_000_000) as i32,
            };
            bytes(&time.encode_to_vec(), out);
        }
        (Kind::Message(message_type), value) => {
            let mut inner = Vec::new();
            encode_message(value, message_type, &mut inner)?;
            bytes(&inner, out);
        }
        _ => return Err(unfit()),
    }
    Ok(())
}

fn map_key_string(key: &MapKey) -> String {
    match key {
        MapKey::Bool(b) => b.to_string(),
        MapKey::I32(n) => n.to_string(),
        MapKey::I64(n) => n.to_string(),
        MapKey::U32(n) => n.to_string(),
        MapKey::U64(n) => n.to_string(),
        MapKey::String(text) => text.clone(),
    }
}
