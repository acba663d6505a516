//! Converts between Avro and JSON.
//!
//! Schemas are untrusted input: named types are expanded in place, so that decoding needs no name table, and
//! recursive types are rejected, because a few kilobytes of them could overflow the stack. The library
//! decodes missing bytes as empty fields; here a truncated record is an error.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Once;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::{Name, ResolvedSchema, UnionSchema};
use apache_avro::types::Value as Datum;
use apache_avro::util::max_allocation_bytes;
use prost::encoding::encode_varint;
use serde::ser::{Serialize, Serializer};
use serde_json::Value;

use crate::{WireError, scalar};

/// Maximum number of types in a schema after the expansion of named types.
const MAX_TYPES: usize = 10_000;
/// Maximum nesting depth of types, well within the stack.
const MAX_DEPTH: usize = 100;
/// Maximum allocation for one value of a record, in bytes.
const MAX_ALLOCATION_BYTES: usize = 64 << 20;

/// A schema with all named types expanded.
pub struct AvroSchema(apache_avro::Schema);

impl AvroSchema {
    /// Parses a schema and expands its named types.
    pub fn parse(text: &str, references: &[(String, String)]) -> Result<Self, WireError> {
        static LIMIT: Once = Once::new();
        LIMIT.call_once(|| _ = max_allocation_bytes(MAX_ALLOCATION_BYTES));
        let others = references.iter().map(|(_, text)| text);
        let (mut schema, others) = apache_avro::Schema::parse_str_with_list(text, others)
            .map_err(|e| WireError::new(format!("not a valid Avro schema: {e}")))?;
        let mut names = NamedTypes::default();
        others.iter().for_each(|other| names.collect(other));
        names.collect(&schema);
        names.inline_references(&mut schema)?;
        Ok(Self(schema))
    }

    /// Decodes a payload to JSON. All bytes must be used.
    pub fn to_json(&self, payload: &[u8]) -> Result<Vec<u8>, WireError> {
        let mut bytes = CheckedReader { rest: payload, truncated: false };
        let read = ResolvedSchema::new_with_schemata(Vec::new()).and_then(|no_names| {
            let reader = GenericDatumReader::builder(&self.0).resolved_writer_schemata(no_names).build()?;
            reader.read_value(&mut bytes)
        });
        match read {
            _ if bytes.truncated => Err(WireError::new("the record is truncated")),
            Err(e) => Err(WireError::new(e.to_string())),
            Ok(_) if !bytes.rest.is_empty() => {
                Err(WireError::new(format!("{} bytes follow the record", bytes.rest.len())))
            }
            Ok(datum) => serde_json::to_vec(&JsonDatum(&datum)).map_err(|e| WireError::new(e.to_string())),
        }
    }

    /// Encodes a record, given as JSON, and appends it to `out`.
    pub fn encode(&self, record: &Value, out: &mut Vec<u8>) -> Result<(), WireError> {
        encode_value(record, &self.0, out)
    }
}

/// A reader that records whether more bytes were requested than available.
struct CheckedReader<'a> {
    rest: &'a [u8],
    truncated: bool,
}

impl Read for CheckedReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.truncated |= into.len() > self.rest.len();
        self.rest.read(into)
    }
}

/// The named types of a schema and of its references.
#[derive(Default)]
struct NamedTypes {
    known: HashMap<Name, apache_avro::Schema>,
    /// The types that are being expanded, outermost first.
    expanding: Vec<Name>,
    type_count: usize,
    depth: usize,
}

impl NamedTypes {
    /// Collects the named types of a schema.
    fn collect(&mut self, schema: &apache_avro::Schema) {
        use apache_avro::Schema as S;
        if let Some(name) = schema.name()
            && !matches!(schema, S::Ref { .. })
        {
            self.known.insert(name.clone(), schema.clone());
        }
        match schema {
            S::Record(record) => record.fields.iter().for_each(|field| self.collect(&field.schema)),
            S::Union(union) => union.variants().iter().for_each(|variant| self.collect(variant)),
            S::Array(array) => self.collect(&array.items),
            S::Map(map) => self.collect(&map.types),
            _ => {}
        }
    }

    /// Replaces references by the types they name.
    fn inline_references(&mut self, schema: &mut apache_avro::Schema) -> Result<(), WireError> {
        use apache_avro::Schema as S;
        self.type_count += 1;
        if self.type_count > MAX_TYPES {
            return Err(WireError::new(format!("the schema has more than {MAX_TYPES} types")));
        }
        if self.depth > MAX_DEPTH {
            return Err(WireError::new(format!("the schema is nested more than {MAX_DEPTH} types deep")));
        }
        self.depth += 1;
        if let S::Ref { name } = schema {
            let known = self.known.get(name).cloned();
            *schema = known
                .ok_or_else(|| WireError::new(format!("the schema refers to the unknown type {name}")))?;
        }
        match schema {
            S::Record(record) => {
                if self.expanding.contains(&record.name) {
                    let problem =
                        format!("the schema's type {} contains itself, which is not supported", record.name);
                    return Err(WireError::new(problem));
                }
                self.expanding.push(record.name.clone());
                for field in &mut record.fields {
                    self.inline_references(&mut field.schema)?;
                }
                self.expanding.pop();
            }
            S::Array(array) => self.inline_references(&mut array.items)?,
            S::Map(map) => self.inline_references(&mut map.types)?,
            S::Union(union) => {
                let mut variants = union.variants().to_vec();
                variants.iter_mut().try_for_each(|variant| self.inline_references(variant))?;
                *union = UnionSchema::new(variants).map_err(|e| WireError::new(e.to_string()))?;
            }
            _ => {}
        }
        self.depth -= 1;
        Ok(())
    }
}

/// A value that serialises to JSON.
struct JsonDatum<'a>(&'a Datum);

impl Serialize for JsonDatum<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Datum::Null => to.serialize_unit(),
            Datum::Boolean(b) => to.serialize_bool(*b),
            Datum::Int(n) => to.serialize_i32(*n),
            Datum::Long(n) => to.serialize_i64(*n),
            Datum::Float(x) => to.serialize_f32(*x),
            Datum::Double(x) => to.serialize_f64(*x),
            Datum::String(text) | Datum::Enum(_, text) => to.serialize_str(text),
            Datum::Bytes(bytes) | Datum::Fixed(_, bytes) => to.serialize_str(&scalar::base64(bytes)),
            Datum::Union(_, inner) => JsonDatum(inner).serialize(to),
            Datum::Array(items) => to.collect_seq(items.iter().map(JsonDatum)),
            // Omits null fields, as in our records.
            Datum::Map(entries) => to.collect_map(
                entries.iter().filter(|(_, datum)| is_present(datum)).map(|(k, v)| (k, JsonDatum(v))),
            ),
            Datum::Record(fields) => to.collect_map(
                fields.iter().filter(|(_, datum)| is_present(datum)).map(|(k, v)| (k, JsonDatum(v))),
            ),
            Datum::TimestampMillis(n) => scalar::time(i128::from(*n) * 1_000_000, to),
            Datum::TimestampMicros(n) => scalar::time(i128::from(*n) * 1000, to),
            Datum::TimestampNanos(n) => scalar::time((*n).into(), to),
            Datum::Uuid(id) => to.collect_str(id),
            // Our fields use none of these types, but they must not prevent the decoding of other fields.
            Datum::Date(n) => to.serialize_i32(*n),
            Datum::TimeMillis(n) => to.serialize_i32(*n),
            Datum::TimeMicros(n)
            | Datum::LocalTimestampMillis(n)
            | Datum::LocalTimestampMicros(n)
            | Datum::LocalTimestampNanos(n) => to.serialize_i64(*n),
            Datum::Decimal(decimal) => {
                to.serialize_str(&scalar::base64(&Vec::try_from(decimal).unwrap_or_default()))
            }
            Datum::BigDecimal(decimal) => to.collect_str(decimal),
            Datum::Duration(span) => to.serialize_str(&scalar::base64(&<[u8; 12]>::from(*span))),
        }
    }
}

fn is_present(datum: &Datum) -> bool {
    match datum {
        Datum::Union(_, inner) => is_present(inner),
        datum => *datum != Datum::Null,
    }
}

/// Encodes a value as in the Avro specification. It supports only the types that our own schemas use.
fn encode_value(value: &Value, schema: &apache_avro::Schema, out: &mut Vec<u8>) -> Result<(), WireError> {
    use apache_avro::Schema as S;
    let unfit = || scalar::unfit(value);
    match (schema, value) {
        (S::Union(union), value) => return encode_union(value, union, out),
        (S::Record(record), Value::Object(fields)) => {
            if let Some(unknown) = fields.keys().find(|name| !record.lookup.contains_key(*name)) {
                return Err(WireError::new(format!("`{unknown}`: the schema has no such field")));
            }
            for field in &record.fields {
                let value = fields.get(&field.name).unwrap_or(&Value::Null);
                encode_value(value, &field.schema, out).map_err(|fault| fault.within(&field.name))?;
            }
        }
        (S::Array(array), Value::Array(items)) => {
            if !items.is_empty() {
                encode_long(items.len() as i64, out);
            }
            items.iter().try_for_each(|item| encode_value(item, &array.items, out))?;
            encode_long(0, out);
        }
        // Records omit empty lists.
        (S::Array(_), Value::Null) => encode_long(0, out),
        (S::Null, Value::Null) => {}
        (S::Boolean, Value::Bool(b)) => out.push(u8::from(*b)),
        (S::Long, Value::Number(n)) => encode_long(n.as_i64().ok_or_else(unfit)?, out),
        (S::Float, Value::Number(n)) => out.extend((n.as_f64().ok_or_else(unfit)? as f32).to_le_bytes()),
        (S::Double, Value::Number(n)) => out.extend(n.as_f64().ok_or_else(unfit)?.to_le_bytes()),
        (S::String, Value::String(text)) => {
            encode_long(text.len() as i64, out);
            out.extend(text.as_bytes());
        }
        (S::TimestampMillis, Value::String(text)) => {
            encode_long(scalar::millis(text).ok_or_else(unfit)?, out);
        }
        _ => return Err(unfit()),
    }
    Ok(())
}

/// Encodes a value as the first variant that it fits.
fn encode_union(value: &Value, union: &UnionSchema, out: &mut Vec<u8>) -> Result<(), WireError> {
    let before = out.len();
    let mut fault = WireError::new("the schema allows no value here");
    for (i, schema) in (0..).zip(union.variants()) {
        out.truncate(before);
        encode_long(i, out);
        match encode_value(value, schema, out) {
            Ok(()) => return Ok(()),
            Err(e) => fault = e,
        }
    }
    Err(fault)
}

/// Encodes an integer: zigzag, then a little-endian base-128 varint.
fn encode_long(n: i64, out: &mut Vec<u8>) {
    encode_varint(((n << 1) ^ (n >> 63)) as u64, out);
}
