//! Reads events from a Parquet file: a column for each field of an event, and bodies as structs (`post`) or
//! columns with dotted names (`post.author.followers`).
//!
//! Rows are converted to JSON and decoded like any other record, so that the same validation applies.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, PrimitiveArray, RecordBatch, StructArray};
use arrow_buffer::NullBuffer;
use arrow_cast::cast;
use arrow_json::LineDelimitedWriter;
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema};
use firewatch_engine::Stream;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::{CHUNK_RECORDS, Chunk, ChunkResult, Place, decode_record};
use firewatch_report::AnalysisError;

/// Columns that every file must have.
const REQUIRED_COLUMNS: [&str; 4] = ["v", "id", "conversation", "at"];
/// Columns of which every file must have at least one.
const BODY_COLUMNS: [&str; 4] = ["post", "engagement", "counters", "brand_reply"];

/// Reads the rows of a file in chunks.
pub struct ParquetChunks {
    path: PathBuf,
    sources: Arc<[String]>,
    batches: ParquetRecordBatchReader,
    count: u64,
    read: Arc<AtomicU64>,
    /// Place of the next row.
    next: Place,
}

impl ParquetChunks {
    pub fn open(path: &Path, sources: Arc<[String]>, read: Arc<AtomicU64>) -> Result<Self, AnalysisError> {
        let file = File::open(path).map_err(|e| AnalysisError::File(path.into(), e))?;
        let failed = |e: ::parquet::errors::ParquetError| unreadable(path, &e.to_string());
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?;
        check_columns(builder.schema()).map_err(|problem| unreadable(path, &problem))?;
        let count = builder.metadata().file_metadata().num_rows().max(0) as u64;
        let batches = builder.with_batch_size(CHUNK_RECORDS).build().map_err(failed)?;
        read.store(0, Ordering::Relaxed);
        let next = Place { source: 0, number: 1 };
        Ok(Self { path: path.into(), sources, batches, count, read, next })
    }

    /// Returns the number of rows in the file.
    pub fn size(&self) -> u64 {
        self.count
    }

    fn decode(&mut self, batch: &RecordBatch) -> Result<Chunk, ArrowError> {
        let batch = nested(&as_events_have_them(batch)?)?;
        let mut writer = LineDelimitedWriter::new(Vec::new());
        writer.write(&batch)?;
        writer.finish()?;
        let json = writer.into_inner();
        let mut chunk = Chunk::new(&self.sources);
        for line in json.split(|byte| *byte == b'\n').take(batch.num_rows()) {
            chunk.push(self.next, decode_record(Stream::Events, self.next, line));
            self.next.number += 1;
        }
        self.read.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        Ok(chunk)
    }
}

impl Iterator for ParquetChunks {
    type Item = ChunkResult;

    fn next(&mut self) -> Option<ChunkResult> {
        let batch = self.batches.next()?;
        let chunk = batch.and_then(|batch| self.decode(&batch));
        Some(chunk.map_err(|e| {
            AnalysisError::File(
                self.path.clone(),
                std::io::Error::other(format!("row {}: {e}", self.next.number)),
            )
        }))
    }
}

fn unreadable(path: &Path, problem: &str) -> AnalysisError {
    AnalysisError::File(path.into(), std::io::Error::other(problem.to_owned()))
}

/// Checks that the required columns exist; the error names what is missing.
fn check_columns(schema: &Schema) -> Result<(), String> {
    let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let has = |name: &str| columns.iter().any(|column| stem(column) == name);
    let there = || columns.join(", ");
    if let Some(missing) = REQUIRED_COLUMNS.into_iter().find(|name| !has(name)) {
        return Err(format!("there is no column `{missing}`; the columns are {}", there()));
    }
    if BODY_COLUMNS.into_iter().any(has) {
        return Ok(());
    }
    let wanted = BODY_COLUMNS.join("`, `");
    Err(format!("there is none of the columns `{wanted}`; the columns are {}", there()))
}

/// Returns the part of a name before the first dot.
fn stem(name: &str) -> &str {
    name.split_once('.').map_or(name, |(stem, _)| stem)
}

/// Gathers columns with dotted names into structs. A struct is null in a row if all of its columns are.
fn nested(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let columns =
        schema.fields().iter().map(|field| field.name().as_str()).zip(batch.columns().iter().cloned());
    let (fields, arrays) = gathered(columns)?;
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}

fn gathered<'a>(
    columns: impl Iterator<Item = (&'a str, ArrayRef)>,
) -> Result<(Fields, Vec<ArrayRef>), ArrowError> {
    let mut parts: BTreeMap<&str, Vec<(&str, ArrayRef)>> = BTreeMap::new();
    let mut whole: Vec<(&str, ArrayRef)> = Vec::new();
    for (name, array) in columns {
        match name.split_once('.') {
            Some((stem, rest)) => parts.entry(stem).or_default().push((rest, array)),
            None => whole.push((name, array)),
        }
    }
    let structs = parts.into_iter().map(|(name, columns)| {
        let (fields, arrays) = gathered(columns.into_iter())?;
        let there = arrays.iter().map(|array| array.logical_nulls()).reduce(any_of).flatten();
        Ok((name, Arc::new(StructArray::try_new(fields, arrays, there)?) as ArrayRef))
    });
    let structs: Vec<(&str, ArrayRef)> = structs.collect::<Result<_, ArrowError>>()?;
    let all = whole.into_iter().chain(structs);
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) =
        all.map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array)).unzip();
    Ok((fields.into(), arrays))
}

/// Returns the union of two validity masks; `None` means that no value is null.
fn any_of(a: Option<NullBuffer>, b: Option<NullBuffer>) -> Option<NullBuffer> {
    Some(NullBuffer::new(a?.inner() | b?.inner()))
}

/// Converts columns to the types of events: times get an offset, UTC if they have no zone, and floating-point
/// columns of whole numbers become integers. pandas stores integer columns with missing values as floats.
fn as_events_have_them(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let fields = batch.schema_ref().fields().iter().map(|field| field.name());
    let columns = batch.columns().iter().map(|column| match column.data_type() {
        DataType::Timestamp(unit, _) => cast(column, &DataType::Timestamp(*unit, Some("+00:00".into()))),
        DataType::Float64 if is_whole(column.as_primitive()) => cast(column, &DataType::Int64),
        _ => Ok(column.clone()),
    });
    let columns: Vec<(&String, ArrayRef, bool)> = fields
        .zip(columns)
        .map(|(name, column)| column.map(|column| (name, column, true)))
        .collect::<Result<_, ArrowError>>()?;
    RecordBatch::try_from_iter_with_nullable(columns)
}

fn is_whole(column: &PrimitiveArray<Float64Type>) -> bool {
    column.iter().flatten().all(|value| value.fract() == 0.0)
}
