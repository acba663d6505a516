//! The formats of the records that are written, and the decoding of records to JSON.
//!
//! The first byte of a record identifies its format, so a topic may change its format while in use. A process
//! has one [`Formats`], whose clones share the cached schemas.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use firewatch_domain::RejectionCode as Code;
use firewatch_engine::{DecodeResult, Input, Record};
use firewatch_ingest::Rejection;
use firewatch_wire::{Contract, Format, Language, Schema, split_frame, write_frame};
use serde::Serialize;

use crate::RunError;
use crate::backoff::Stopwatch;
use crate::schema_registry::{RegisteredSchema, RegistryError, RegistrySettings, SchemaRegistry};

/// How long an absent schema is not requested again.
const ABSENT_SCHEMA_RETRY: Duration = Duration::from_secs(10);
/// Schemas that the cache holds at most, and as many ids without one.
const MAX_CACHED_SCHEMAS: usize = 1000;
/// The highest id that a registry gives: an `int` of Java.
const MAX_SCHEMA_ID: u32 = i32::MAX as u32;

/// The format of each contract, JSON by default. Clones share the cached schemas.
#[derive(Clone, Default)]
pub struct Formats(Arc<Shared>);

#[derive(Default)]
struct Shared {
    formats: BTreeMap<Contract, Format>,
    registry: Option<RegistrySettings>,
    cache: Mutex<SchemaCache>,
}

#[derive(Default)]
struct SchemaCache {
    client: Option<SchemaRegistry>,
    by_id: HashMap<u32, CachedSchema>,
    /// Ids that the registry did not have when last asked. They are apart, so that made-up ids displace no schema.
    absent: HashMap<u32, Stopwatch>,
    by_topic: HashMap<String, (u32, Arc<Schema>)>,
}

/// The cached answer for a schema id.
#[derive(Clone)]
enum CachedSchema {
    Schema(Arc<Schema>),
    /// The schema cannot be used, for this reason.
    Unusable(String),
    /// The registry did not have it when last asked.
    Absent,
}

impl fmt::Debug for Formats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Formats").field(&self.0.formats).field(&self.0.registry).finish()
    }
}

impl Formats {
    /// Creates formats with the registry that has their schemas. Nothing is connected yet.
    #[must_use]
    pub fn new(written: BTreeMap<Contract, Format>, registry: Option<RegistrySettings>) -> Self {
        Self(Arc::new(Shared { formats: written, registry, cache: Mutex::default() }))
    }

    /// Returns the format that a contract's records are written in.
    #[must_use]
    pub fn format_for(&self, contract: Contract) -> Format {
        self.0.formats.get(&contract).copied().unwrap_or_default()
    }

    /// Ensures that the registry has the schemas of what will be written to these topics.
    pub(crate) fn register_schemas(&self, topics: &[(Contract, String)]) -> Result<(), RunError> {
        topics.iter().try_for_each(|(contract, topic)| self.schema_for(*contract, topic).map(|_| ()))
    }

    /// Appends the bytes of a record for a topic to `out`.
    pub(crate) fn write(
        &self,
        contract: Option<Contract>,
        topic: &str,
        record: &impl Serialize,
        out: &mut Vec<u8>,
    ) -> Result<(), RunError> {
        let broken =
            |problem: &dyn fmt::Display| RunError::Contract(format!("a record for {topic}: {problem}"));
        let chosen = contract.map(|contract| self.schema_for(contract, topic)).transpose()?.flatten();
        match chosen {
            None => serde_json::to_writer(out, record).map_err(|e| broken(&e)),
            Some((id, schema)) => {
                write_frame(id, out);
                let json = serde_json::to_value(record).map_err(|e| broken(&e))?;
                schema.encode(&json, out).map_err(|e| broken(&e))
            }
        }
    }

    /// Decodes a record, or returns the reason for its rejection.
    ///
    /// # Errors
    /// As [`json`](Self::json).
    pub(crate) fn decode(&self, input: &Input<'_>) -> Result<DecodeResult, RunError> {
        Ok(match self.json(input.value)? {
            Ok(json) => Record::decode(&Input { value: &json, ..*input }),
            Err(rejection) => Err(rejection),
        })
    }

    /// Returns the value of a record as JSON, or the reason for its rejection.
    ///
    /// # Errors
    /// When the registry is unavailable or refuses the request, so that the record cannot be judged.
    pub(crate) fn json<'a>(&self, value: &'a [u8]) -> Result<Result<Cow<'a, [u8]>, Rejection>, RunError> {
        let Some((id, payload)) = split_frame(value) else { return Ok(Ok(value.into())) };
        Ok(match self.schema_by_id(id)? {
            CachedSchema::Schema(schema) => match schema.to_json(payload) {
                Ok(json) => Ok(json.into()),
                Err(fault) => Err(Rejection::new(
                    Code::SchemaMismatch,
                    format!("does not match its schema {id}: {fault}"),
                )),
            },
            CachedSchema::Unusable(problem) => Err(Rejection::new(Code::UnknownSchema, problem)),
            CachedSchema::Absent => {
                let problem = format!(
                    "the registry does not have schema {id} of the record, or lacks a schema it references"
                );
                Err(Rejection::new(Code::UnknownSchema, problem))
            }
        })
    }

    fn schema_by_id(&self, id: u32) -> Result<CachedSchema, RunError> {
        if id > MAX_SCHEMA_ID {
            let problem = format!("the record names schema {id}; a registry has none above {MAX_SCHEMA_ID}");
            return Ok(CachedSchema::Unusable(problem));
        }
        if let Some(known) = self.cached(id) {
            return Ok(known);
        }
        if self.0.registry.is_none() {
            let problem = format!("the record needs schema {id} of a schema registry; set registry.url");
            return Ok(CachedSchema::Unusable(problem));
        }
        // Requests do not hold the lock: a slow one keeps nobody from the schemas that are known.
        let registry = self.client().map_err(registry_error)?;
        let found = match registry.schema(id) {
            Ok(registered) => parsed_schema(id, &registered),
            Err(RegistryError::NotFound) => CachedSchema::Absent,
            // Some registries answer so for ids that they cannot have.
            Err(RegistryError::BadRequest(problem)) => match registry.is_registry() {
                Ok(true) => CachedSchema::Absent,
                Ok(false) => return Err(registry_error(RegistryError::BadRequest(problem))),
                Err(other) => return Err(registry_error(other)),
            },
            Err(other) => return Err(registry_error(other)),
        };
        self.cache().keep(id, &found);
        Ok(found)
    }

    /// Returns what is known of an id; `None` when the registry must be asked.
    fn cached(&self, id: u32) -> Option<CachedSchema> {
        let cache = self.cache();
        let is_absent = cache.absent.get(&id).is_some_and(|since| since.elapsed() < ABSENT_SCHEMA_RETRY);
        if is_absent { Some(CachedSchema::Absent) } else { cache.by_id.get(&id).cloned() }
    }

    /// Returns the schema of the records of a topic, with its id; `None` for JSON.
    fn schema_for(&self, contract: Contract, topic: &str) -> Result<Option<(u32, Arc<Schema>)>, RunError> {
        let (language, text) = match self.format_for(contract) {
            Format::Json => return Ok(None),
            Format::Avro => (Language::Avro, contract.avro()),
            Format::Protobuf => (Language::Protobuf, contract.protobuf()),
        };
        if let Some((id, schema)) = self.cache().by_topic.get(topic) {
            return Ok(Some((*id, schema.clone())));
        }
        let subject = format!("{topic}-value");
        let id = self.client().and_then(|registry| registry.schema_id(&subject, language, text));
        let id = id.map_err(registry_error)?;
        let schema = Schema::parse(language, text, &[]);
        let schema = schema.map_err(|fault| RunError::Contract(format!("{}: {fault}", contract.name())))?;
        let found = (id, Arc::new(schema));
        self.cache().by_topic.insert(topic.to_owned(), found.clone());
        Ok(Some(found))
    }

    fn client(&self) -> Result<SchemaRegistry, RegistryError> {
        let mut cache = self.cache();
        if let Some(client) = &cache.client {
            return Ok(client.clone());
        }
        let no_settings = RegistrySettings::default();
        let client = SchemaRegistry::new(self.0.registry.as_ref().unwrap_or(&no_settings))?;
        Ok(cache.client.insert(client).clone())
    }

    fn cache(&self) -> MutexGuard<'_, SchemaCache> {
        // The cache is consistent after every step, so a poisoned lock does no harm.
        self.0.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SchemaCache {
    /// Keeps the registry's answer about an id.
    fn keep(&mut self, id: u32, found: &CachedSchema) {
        if matches!(found, CachedSchema::Absent) {
            if self.absent.len() >= MAX_CACHED_SCHEMAS {
                self.absent.clear();
            }
            self.absent.insert(id, Stopwatch::start());
            return;
        }
        if self.by_id.len() >= MAX_CACHED_SCHEMAS {
            self.by_id.clear();
        }
        self.absent.remove(&id);
        self.by_id.insert(id, found.clone());
    }
}

fn parsed_schema(id: u32, registered: &RegisteredSchema) -> CachedSchema {
    let Some(language) = registered.language else {
        return CachedSchema::Unusable(format!("schema {id} is in an unsupported language"));
    };
    match Schema::parse(language, &registered.text, &registered.references) {
        Ok(schema) => CachedSchema::Schema(Arc::new(schema)),
        Err(fault) => CachedSchema::Unusable(format!("schema {id}: {fault}")),
    }
}

fn registry_error(no_schema: RegistryError) -> RunError {
    match no_schema {
        RegistryError::NotFound => {
            RunError::Contract("the schema registry no longer has a schema that it returned before".into())
        }
        RegistryError::Unavailable(problem) => {
            RunError::Timeout(format!("the schema registry does not answer: {problem}"))
        }
        RegistryError::BadRequest(problem) | RegistryError::Refused(problem) => {
            RunError::Contract(format!("the schema registry: {problem}"))
        }
    }
}
