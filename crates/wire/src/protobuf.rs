//! Protobuf to JSON and back, by way of descriptors made from a schema's text.
//!
//! A field that tells whether it is there is left out when it is not. One that cannot tell, as those of proto3 without
//! `optional`, is left out when it has its default: an unknown count would read as zero otherwise.

use prost::Message as _;
use prost_reflect::{
    DeserializeOptions, DynamicMessage, FieldDescriptor, FileDescriptor, Kind, MapKey, MessageDescriptor,
    ReflectMessage as _, SerializeOptions, Value as Part,
};
use protox::Compiler;
use protox::file::{File, FileResolver, GoogleFileResolver};
use serde_json::{Map, Value};

use crate::frame::{first_message, message_path};
use crate::{Fault, scalar};

/// What the schema is called among those it refers to.
const OWN: &str = "firewatch-own-name.proto";

/// A schema with all that it refers to.
pub struct Protobuf(FileDescriptor);

impl Protobuf {
    pub fn parse(text: &str, references: &[(String, String)]) -> Result<Self, Fault> {
        let not_one = |e: protox::Error| Fault::new(format!("the schema is no Protobuf: {e}"));
        let own = (OWN.to_owned(), text.to_owned());
        let files = [own].into_iter().chain(references.iter().cloned()).collect();
        let mut compiler = Compiler::with_file_resolver(Files(files));
        compiler.include_imports(true).open_file(OWN).map_err(not_one)?;
        let file = compiler.descriptor_pool().get_file_by_name(OWN);
        let file = file.filter(|file| file.messages().len() > 0);
        file.map(Self).ok_or_else(|| Fault::new("the schema has no message"))
    }

    pub fn to_json(&self, payload: &[u8]) -> Result<Value, Fault> {
        let (path, bytes) = message_path(payload)?;
        let descriptor = self.message(&path);
        let descriptor =
            descriptor.ok_or_else(|| Fault::new(format!("the schema has no message {path:?}")))?;
        let message = DynamicMessage::decode(descriptor, bytes).map_err(|e| Fault::new(e.to_string()))?;
        object(&message)
    }

    pub fn encode(&self, record: &Value, out: &mut Vec<u8>) -> Result<(), Fault> {
        let descriptor = self.message(&[0]).ok_or_else(|| Fault::new("the schema has no message"))?;
        let strict = DeserializeOptions::new().deny_unknown_fields(true);
        // The library's words would quote the value.
        let message = DynamicMessage::deserialize_with_options(descriptor, record, &strict)
            .map_err(|_| Fault::new("the record does not fit the schema's first message"))?;
        first_message(out);
        message.encode(out).map_err(|e| Fault::new(e.to_string()))
    }

    /// The message at a path: its place in the file, then in the message before.
    fn message(&self, path: &[usize]) -> Option<MessageDescriptor> {
        let (first, rest) = path.split_first()?;
        let outer = self.0.messages().nth(*first)?;
        rest.iter().try_fold(outer, |outer, i| outer.child_messages().nth(*i))
    }
}

/// The schema and those it refers to, by name; what comes with every compiler is at hand.
struct Files(Vec<(String, String)>);

impl FileResolver for Files {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.iter().find(|(known, _)| known == name) {
            Some((_, text)) => File::from_source(name, text),
            None => GoogleFileResolver::new().open_file(name),
        }
    }
}

fn object(message: &DynamicMessage) -> Result<Value, Fault> {
    let descriptor = message.descriptor();
    if descriptor.full_name().starts_with("google.protobuf.") {
        // Times, durations and wrappers have a form in JSON that the library knows.
        let plain = SerializeOptions::new().stringify_64_bit_integers(false);
        let value = message.serialize_with_options(serde_json::value::Serializer, &plain);
        return value.map_err(|e| Fault::new(e.to_string()));
    }
    let mut object = Map::new();
    for field in descriptor.fields() {
        let is_told = field.is_list() || message.has_field(&field);
        if !is_told {
            continue;
        }
        let value = part(&message.get_field(&field), &field);
        object.insert(field.name().to_owned(), value.map_err(|fault| fault.within(field.name()))?);
    }
    Ok(object.into())
}

fn part(part: &Part, field: &FieldDescriptor) -> Result<Value, Fault> {
    match part {
        Part::List(items) => items.iter().map(|item| one(item, &field.kind())).collect(),
        Part::Map(entries) => {
            let kind = field.kind();
            let of = kind.as_message().map(MessageDescriptor::map_entry_value_field);
            let of = of.ok_or_else(|| Fault::new("a map without values"))?;
            let entry = |(key, value): (&MapKey, &Part)| Ok((words(key), one(value, &of.kind())?));
            entries.iter().map(entry).collect::<Result<Map<_, _>, _>>().map(Value::Object)
        }
        single => one(single, &field.kind()),
    }
}

fn one(part: &Part, kind: &Kind) -> Result<Value, Fault> {
    Ok(match part {
        Part::Bool(b) => (*b).into(),
        Part::I32(n) => (*n).into(),
        Part::I64(n) => (*n).into(),
        Part::U32(n) => (*n).into(),
        Part::U64(n) => (*n).into(),
        Part::F32(x) => scalar::short(*x),
        Part::F64(x) => (*x).into(),
        Part::String(text) => text.as_str().into(),
        Part::Bytes(bytes) => scalar::base64(bytes),
        Part::EnumNumber(n) => {
            let known = kind.as_enum().and_then(|of| of.get_value(*n));
            known.map_or_else(|| (*n).into(), |value| value.name().into())
        }
        Part::Message(message) => object(message)?,
        Part::List(_) | Part::Map(_) => return Err(Fault::new("a list within a list")),
    })
}

fn words(key: &MapKey) -> String {
    match key {
        MapKey::Bool(b) => b.to_string(),
        MapKey::I32(n) => n.to_string(),
        MapKey::I64(n) => n.to_string(),
        MapKey::U32(n) => n.to_string(),
        MapKey::U64(n) => n.to_string(),
        MapKey::String(text) => text.clone(),
    }
}
