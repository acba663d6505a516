//! Avro to JSON and back.
//!
//! Schemas are other people's: named types are written out in place, so that reading needs no table of names, and one that
//! contains itself is refused, as a few kilobytes could make it deeper than a stack. The library takes bytes that end too soon
//! for empty fields; here they are a fault.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Once;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::{Name, ResolvedSchema, UnionSchema};
use apache_avro::types::Value as Datum;
use apache_avro::util::max_allocation_bytes;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::{Map, Value};

use crate::{Fault, scalar};

/// Types within a schema at most, once its named ones are written out.
const TYPES: usize = 10_000;
/// Memory that one part of a record may take because its bytes say so.
const MEMORY: usize = 64 << 20;

/// A schema without names that point elsewhere.
pub struct Avro(apache_avro::Schema);

impl Avro {
    pub fn parse(text: &str, references: &[(String, String)]) -> Result<Self, Fault> {
        static LIMIT: Once = Once::new();
        LIMIT.call_once(|| _ = max_allocation_bytes(MEMORY));
        let others = references.iter().map(|(_, text)| text);
        let (mut schema, others) = apache_avro::Schema::parse_str_with_list(text, others)
            .map_err(|e| Fault::new(format!("the schema is no Avro: {e}")))?;
        let mut names = Names::default();
        others.iter().for_each(|other| names.learn(other));
        names.learn(&schema);
        names.write_out(&mut schema)?;
        Ok(Self(schema))
    }

    pub fn to_json(&self, payload: &[u8]) -> Result<Value, Fault> {
        let mut bytes = Bytes { rest: payload, are_too_few: false };
        let read = no_names().and_then(|names| {
            let reader = GenericDatumReader::builder(&self.0).resolved_writer_schemata(names).build()?;
            reader.read_value(&mut bytes)
        });
        match read {
            _ if bytes.are_too_few => Err(Fault::new("the bytes end before the record does")),
            Err(e) => Err(Fault::new(e.to_string())),
            Ok(_) if !bytes.rest.is_empty() => {
                Err(Fault::new(format!("{} bytes are left after the record", bytes.rest.len())))
            }
            Ok(datum) => json(datum),
        }
    }

    pub fn encode(&self, record: &Value, out: &mut Vec<u8>) -> Result<(), Fault> {
        let datum = datum(record, &self.0)?;
        let written = no_names().and_then(|names| {
            // It was made after the schema, so it fits.
            let writer = GenericDatumWriter::builder(&self.0).resolved_schemata(names).validate(false);
            writer.build()?.write_value_ref(out, &datum)
        });
        written.map(|_| ()).map_err(|e| Fault::new(e.to_string()))
    }
}

fn no_names<'a>() -> Result<ResolvedSchema<'a>, apache_avro::Error> {
    ResolvedSchema::new_with_schemata(Vec::new())
}

/// Bytes that remember whether more were wanted.
struct Bytes<'a> {
    rest: &'a [u8],
    are_too_few: bool,
}

impl Read for Bytes<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.are_too_few |= into.len() > self.rest.len();
        self.rest.read(into)
    }
}

/// The named types of a schema and of those it refers to.
#[derive(Default)]
struct Names {
    known: HashMap<Name, apache_avro::Schema>,
    /// Those that are being written out.
    open: Vec<Name>,
    types: usize,
}

impl Names {
    fn learn(&mut self, schema: &apache_avro::Schema) {
        use apache_avro::Schema as S;
        if let Some(name) = schema.name()
            && !matches!(schema, S::Ref { .. })
        {
            self.known.insert(name.clone(), schema.clone());
        }
        match schema {
            S::Record(record) => record.fields.iter().for_each(|field| self.learn(&field.schema)),
            S::Union(union) => union.variants().iter().for_each(|variant| self.learn(variant)),
            S::Array(array) => self.learn(&array.items),
            S::Map(map) => self.learn(&map.types),
            _ => {}
        }
    }

    fn write_out(&mut self, schema: &mut apache_avro::Schema) -> Result<(), Fault> {
        use apache_avro::Schema as S;
        self.types += 1;
        if self.types > TYPES {
            return Err(Fault::new(format!("the schema has more than {TYPES} types within types")));
        }
        if let S::Ref { name } = schema {
            let known = self.known.get(name).cloned();
            *schema = known.ok_or_else(|| Fault::new(format!("the schema lacks its type {name}")))?;
        }
        match schema {
            S::Record(record) => {
                if self.open.contains(&record.name) {
                    let problem =
                        format!("the schema's type {} contains itself, which is not read", record.name);
                    return Err(Fault::new(problem));
                }
                self.open.push(record.name.clone());
                for field in &mut record.fields {
                    self.write_out(&mut field.schema)?;
                }
                self.open.pop();
            }
            S::Array(array) => self.write_out(&mut array.items)?,
            S::Map(map) => self.write_out(&mut map.types)?,
            S::Union(union) => {
                let mut variants = union.variants().to_vec();
                variants.iter_mut().try_for_each(|variant| self.write_out(variant))?;
                *union = UnionSchema::new(variants).map_err(|e| Fault::new(e.to_string()))?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn json(datum: Datum) -> Result<Value, Fault> {
    Ok(match datum {
        Datum::Null => Value::Null,
        Datum::Boolean(b) => b.into(),
        Datum::Int(n) => n.into(),
        Datum::Long(n) => n.into(),
        Datum::Float(x) => scalar::short(x),
        Datum::Double(x) => x.into(),
        Datum::String(text) | Datum::Enum(_, text) => text.into(),
        Datum::Bytes(bytes) | Datum::Fixed(_, bytes) => scalar::base64(&bytes),
        Datum::Union(_, inner) => json(*inner)?,
        Datum::Array(items) => items.into_iter().map(json).collect::<Result<_, _>>()?,
        Datum::Map(entries) => object(entries)?,
        Datum::Record(fields) => object(fields)?,
        Datum::TimestampMillis(n) => scalar::time(n.into(), 1_000_000)?,
        Datum::TimestampMicros(n) => scalar::time(n.into(), 1000)?,
        Datum::TimestampNanos(n) => scalar::time(n.into(), 1)?,
        Datum::Uuid(id) => id.to_string().into(),
        other => return Err(Fault::new(format!("{} is not read", kind(&other)))),
    })
}

/// What is null is left out, as it is in our records.
fn object(fields: impl IntoIterator<Item = (String, Datum)>) -> Result<Value, Fault> {
    let mut object = Map::new();
    for (name, datum) in fields {
        match json(datum).map_err(|fault| fault.within(&name))? {
            Value::Null => {}
            value => _ = object.insert(name, value),
        }
    }
    Ok(object.into())
}

/// Types that no field of a record of ours could be filled from.
fn kind(datum: &Datum) -> &'static str {
    match datum {
        Datum::Date(_) => "a date without a time",
        Datum::TimeMillis(_) | Datum::TimeMicros(_) => "a time without a date",
        Datum::Decimal(_) | Datum::BigDecimal(_) => "a decimal",
        Datum::Duration(_) => "a duration",
        _ => "a time without a zone",
    }
}

fn datum(value: &Value, schema: &apache_avro::Schema) -> Result<Datum, Fault> {
    use apache_avro::Schema as S;
    let fits = match (schema, value) {
        (S::Union(union), value) => return variant(value, union),
        (S::Record(record), Value::Object(fields)) => {
            if let Some(unknown) = fields.keys().find(|name| !record.lookup.contains_key(*name)) {
                return Err(Fault::new(format!("`{unknown}`: the schema has no such field")));
            }
            let nothing = Value::Null;
            let field = |field: &apache_avro::schema::RecordField| {
                let value = fields.get(&field.name).unwrap_or(&nothing);
                let datum = datum(value, &field.schema).map_err(|fault| fault.within(&field.name))?;
                Ok((field.name.clone(), datum))
            };
            return record.fields.iter().map(field).collect::<Result<_, _>>().map(Datum::Record);
        }
        (S::Array(array), Value::Array(items)) => {
            let items = items.iter().map(|item| datum(item, &array.items));
            return items.collect::<Result<_, _>>().map(Datum::Array);
        }
        // A list that has nothing in it is left out of records.
        (S::Array(_), Value::Null) => Some(Datum::Array(Vec::new())),
        (S::Null, Value::Null) => Some(Datum::Null),
        (S::Boolean, Value::Bool(b)) => Some(Datum::Boolean(*b)),
        (S::Long, Value::Number(n)) => n.as_i64().map(Datum::Long),
        (S::Double, Value::Number(n)) => n.as_f64().map(Datum::Double),
        (S::String, Value::String(text)) => Some(Datum::String(text.clone())),
        (S::TimestampMillis, Value::String(text)) => scalar::millis(text).map(Datum::TimestampMillis),
        _ => None,
    };
    fits.ok_or_else(|| Fault::new(format!("{} does not fit the schema", scalar::kind(value))))
}

/// The first variant that a value fits.
fn variant(value: &Value, union: &UnionSchema) -> Result<Datum, Fault> {
    let mut fault = Fault::new("the schema allows nothing here");
    for (i, schema) in (0..).zip(union.variants()) {
        match datum(value, schema) {
            Ok(datum) => return Ok(Datum::Union(i, Box::new(datum))),
            Err(e) => fault = e,
        }
    }
    Err(fault)
}
