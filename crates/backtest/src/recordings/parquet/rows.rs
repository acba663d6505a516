//! Reads the columns of a Parquet file and assembles rows from them as JSON lines.
//!
//! The parquet crate can also read rows by way of arrow, whose crates would make up a fifth of the build.

use std::fs::File;

use ::parquet::column::reader::ColumnReader;
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::metadata::ParquetMetaData;
use ::parquet::file::reader::{FileReader, SerializedFileReader};

use super::schema::{Entry, Field, Node, RowSchema, Shape};
use super::value::{ColumnFormat, Values};

/// The rows of a file.
pub struct Rows {
    file: SerializedFileReader<File>,
    schema: RowSchema,
    columns: Vec<Column>,
    /// Index of the next row group.
    next_group: usize,
    /// Rows of the open row group that are not read yet.
    left_in_group: usize,
}

impl Rows {
    /// Opens a file and reads its metadata.
    pub fn open(file: File) -> Result<Self> {
        let file = SerializedFileReader::new(file)?;
        let about = file.metadata().file_metadata().schema_descr();
        let schema = RowSchema::new(about.root_schema());
        let mut columns = Vec::with_capacity(schema.formats.len());
        for (about, format) in about.columns().iter().zip(&schema.formats) {
            columns.push(Column::new(Values::new(about.physical_type()), *format));
        }
        Ok(Self { file, schema, columns, next_group: 0, left_in_group: 0 })
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.file.metadata()
    }

    /// Returns the number of rows in the file.
    pub fn count(&self) -> u64 {
        self.metadata().file_metadata().num_rows().max(0) as u64
    }

    /// Returns the names of the columns; a struct is one column.
    pub fn column_names(&self) -> Vec<&str> {
        let root = self.metadata().file_metadata().schema();
        root.get_fields().iter().map(|column| column.name()).collect()
    }

    /// Appends the next rows, `max` at most, each as a line of JSON. Returns their number, 0 at the end.
    pub fn read(&mut self, max: usize, out: &mut Vec<u8>) -> Result<usize> {
        self.columns.iter_mut().for_each(Column::clear);
        let mut count = 0;
        while count < max {
            if self.left_in_group == 0 && !self.open_group()? {
                break;
            }
            let taken = self.left_in_group.min(max - count);
            self.columns.iter_mut().try_for_each(|column| column.read(taken))?;
            self.left_in_group -= taken;
            count += taken;
        }
        assemble(&self.schema.fields, &mut self.columns, count, out)?;
        Ok(count)
    }

    /// Opens the next row group; returns false at the end of the file.
    fn open_group(&mut self) -> Result<bool> {
        if self.next_group == self.file.num_row_groups() {
            return Ok(false);
        }
        let group = self.file.get_row_group(self.next_group)?;
        for (i, column) in self.columns.iter_mut().enumerate() {
            column.reader = Some(group.get_column_reader(i)?);
        }
        self.left_in_group = usize::try_from(group.metadata().num_rows())?;
        self.next_group += 1;
        Ok(true)
    }
}

/// A column with the values of the rows that are being assembled.
struct Column {
    format: ColumnFormat,
    reader: Option<ColumnReader>,
    /// Definition level of each position: how much of its path is not null. Empty if nothing can be null.
    definitions: Vec<i16>,
    /// Repetition level of each position: which list it continues. Empty outside of lists.
    repetitions: Vec<i16>,
    values: Values,
    /// The next position.
    position: usize,
    /// Index of the next value.
    value: usize,
}

impl Column {
    fn new(values: Values, format: ColumnFormat) -> Self {
        let (definitions, repetitions) = (vec![], vec![]);
        Self { format, reader: None, definitions, repetitions, values, position: 0, value: 0 }
    }

    fn clear(&mut self) {
        self.definitions.clear();
        self.repetitions.clear();
        self.values.clear();
        (self.position, self.value) = (0, 0);
    }

    /// Reads the values of the next rows.
    fn read(&mut self, rows: usize) -> Result<()> {
        let (definitions, repetitions) = (Some(&mut self.definitions), Some(&mut self.repetitions));
        macro_rules! read {
            ($from:ident, $to:ident) => {
                $from.read_records(rows, definitions, repetitions, $to)?.0
            };
        }
        let read = match (&mut self.reader, &mut self.values) {
            (Some(ColumnReader::BoolColumnReader(from)), Values::Boolean(to)) => read!(from, to),
            (Some(ColumnReader::Int32ColumnReader(from)), Values::Int32(to)) => read!(from, to),
            (Some(ColumnReader::Int64ColumnReader(from)), Values::Int64(to)) => read!(from, to),
            (Some(ColumnReader::Int96ColumnReader(from)), Values::Int96(to)) => read!(from, to),
            (Some(ColumnReader::FloatColumnReader(from)), Values::Float(to)) => read!(from, to),
            (Some(ColumnReader::DoubleColumnReader(from)), Values::Double(to)) => read!(from, to),
            (Some(ColumnReader::ByteArrayColumnReader(from)), Values::Bytes(to)) => read!(from, to),
            (Some(ColumnReader::FixedLenByteArrayColumnReader(from)), Values::FixedBytes(to)) => {
                read!(from, to)
            }
            _ => 0,
        };
        if read < rows {
            let problem = "Not all children array length are the same!";
            return Err(ParquetError::General(problem.to_owned()));
        }
        Ok(())
    }

    /// Returns the definition level of the next position.
    fn definition(&self) -> i16 {
        self.definitions.get(self.position).copied().unwrap_or(0)
    }

    /// Returns whether the next position continues a list of this repetition level.
    fn continues(&self, level: i16) -> bool {
        self.repetitions.get(self.position).is_some_and(|repetition| *repetition >= level)
    }

    /// Writes the next value; returns whether it is not null.
    fn write(&mut self, out: &mut Vec<u8>) -> Result<bool> {
        let value = self.values.get(self.value);
        self.position += 1;
        self.value += 1;
        match value {
            Some(value) => self.format.write(value, out),
            None => Ok(false),
        }
    }
}

/// Writes rows as JSON lines from the values that the columns have read.
fn assemble(fields: &[Field], columns: &mut [Column], count: usize, out: &mut Vec<u8>) -> Result<()> {
    let mut rows = Assembler { columns, out };
    for _ in 0..count {
        rows.write_struct(fields)?;
        rows.out.push(b'\n');
    }
    Ok(())
}

/// Writes rows as JSON, value by value.
struct Assembler<'a> {
    columns: &'a mut [Column],
    out: &'a mut Vec<u8>,
}

impl Assembler<'_> {
    /// Writes a struct without its null fields; returns whether it has others.
    fn write_struct(&mut self, fields: &[Field]) -> Result<bool> {
        self.out.push(b'{');
        let empty = self.out.len();
        for field in fields {
            let start = self.out.len();
            if start > empty {
                self.out.push(b',');
            }
            self.out.extend_from_slice(field.key.as_bytes());
            if !self.write(&field.node)? {
                self.out.truncate(start);
            }
        }
        let is_filled = self.out.len() > empty;
        self.out.push(b'}');
        Ok(is_filled)
    }

    /// Writes the next value of a node; returns whether it is not null. A null can leave output behind, which
    /// the caller removes.
    fn write(&mut self, node: &Node) -> Result<bool> {
        if let Shape::Dotted(fields) = &node.shape {
            return self.write_struct(fields);
        }
        if self.first(node).definition() < node.defined {
            self.skip(node);
            return Ok(false);
        }
        match &node.shape {
            Shape::Value => return self.columns[node.columns.start].write(self.out),
            Shape::Dotted(fields) | Shape::Struct(fields) => drop(self.write_struct(fields)?),
            Shape::List(items) => self.write_list(node, &items.item, items.level)?,
            Shape::Map(entries) => self.write_map(node, &entries.item, entries.level)?,
        }
        Ok(true)
    }

    fn write_list(&mut self, list: &Node, item: &Node, level: i16) -> Result<()> {
        self.out.push(b'[');
        let empty = self.out.len();
        let mut has_next = self.has_items(list);
        while has_next {
            if self.out.len() > empty {
                self.out.push(b',');
            }
            let start = self.out.len();
            if !self.write(item)? {
                self.out.truncate(start);
                self.out.extend_from_slice(b"null");
            }
            has_next = self.first(list).continues(level);
        }
        self.out.push(b']');
        Ok(())
    }

    /// Writes a map as an object without its null values.
    fn write_map(&mut self, map: &Node, entry: &Entry, level: i16) -> Result<()> {
        self.out.push(b'{');
        let empty = self.out.len();
        let mut has_next = self.has_items(map);
        while has_next {
            let start = self.out.len();
            if start > empty {
                self.out.push(b',');
            }
            let has_key = self.write_key(&entry.key)?;
            self.out.push(b':');
            if !(self.write(&entry.value)? && has_key) {
                self.out.truncate(start);
            }
            has_next = self.first(map).continues(level);
        }
        self.out.push(b'}');
        Ok(())
    }

    /// Writes a key in quotes even if it is a number; returns whether it is not null.
    fn write_key(&mut self, key: &Node) -> Result<bool> {
        let start = self.out.len();
        let has_key = self.write(key)?;
        if has_key && self.out.get(start) != Some(&b'"') {
            self.out.insert(start, b'"');
            self.out.push(b'"');
        }
        Ok(has_key)
    }

    /// Returns whether a list or map that is not null has items; skips its position if not.
    fn has_items(&mut self, node: &Node) -> bool {
        let has_items = self.first(node).definition() > node.defined;
        if !has_items {
            self.skip(node);
        }
        has_items
    }

    /// Returns the first column of a node, whose levels apply to the node itself.
    fn first(&self, node: &Node) -> &Column {
        &self.columns[node.columns.start]
    }

    fn skip(&mut self, node: &Node) {
        self.columns[node.columns.clone()].iter_mut().for_each(|column| column.position += 1);
    }
}

#[cfg(test)]
mod tests {
    use ::parquet::schema::parser::parse_message_type;

    use super::*;

    /// A column of integers that are numbered from 1, with its levels.
    fn column(definitions: &[i16], repetitions: &[i16], max: i16) -> Column {
        let values = (1..).zip(definitions.iter().filter(|level| **level == max));
        let values = Values::Int32(values.map(|(i, _)| i).collect());
        let mut column = Column::new(values, ColumnFormat::Plain);
        column.definitions = definitions.to_vec();
        column.repetitions = repetitions.to_vec();
        column
    }

    fn lines(schema: &str, mut columns: Vec<Column>, count: usize) -> Vec<String> {
        let root = parse_message_type(&format!("message m {{ {schema} }}")).unwrap();
        let schema = RowSchema::new(&root);
        assert_eq!(schema.formats.len(), columns.len());
        for (column, format) in columns.iter_mut().zip(&schema.formats) {
            column.format = *format;
        }
        let mut out = Vec::new();
        assemble(&schema.fields, &mut columns, count, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn null_fields_are_left_out() {
        let schema = "optional group a { optional int32 b; required int32 c; } required int32 d;";
        let columns = vec![
            column(&[2, 1, 0], &[], 2),
            column(&[1, 1, 0], &[], 1),
            Column::new(Values::Int32(vec![7, 8, 9]), ColumnFormat::Plain),
        ];
        let wanted = [r#"{"a":{"b":1,"c":1},"d":7}"#, r#"{"a":{"c":2},"d":8}"#, r#"{"d":9}"#];
        assert_eq!(lines(schema, columns, 3), wanted);
    }

    #[test]
    fn dotted_columns_form_a_struct_that_is_null_if_all_are() {
        let schema = "optional int32 a.b; optional int32 a.c.d; optional int32 e; optional int32 a.c.f;";
        let columns = vec![
            column(&[1, 0, 0], &[], 1),
            column(&[0, 1, 0], &[], 1),
            column(&[0, 1, 0], &[], 1),
            column(&[0, 1, 0], &[], 1),
        ];
        let wanted = [r#"{"a":{"b":1}}"#, r#"{"e":1,"a":{"c":{"d":1,"f":1}}}"#, "{}"];
        assert_eq!(lines(schema, columns, 3), wanted);
    }

    #[test]
    fn lists_are_null_empty_or_have_items() {
        let item = |level, schema: &str| {
            let columns = vec![column(&[0, 1, level - 1, level, level], &[0, 0, 0, 1, 0], level)];
            lines(schema, columns, 4)
        };
        let wanted = ["{}", r#"{"a":[]}"#, r#"{"a":[null,1]}"#, r#"{"a":[2]}"#];
        let optional = "optional group a (LIST) { repeated group list { optional int32 element; } }";
        assert_eq!(item(3, optional), wanted);
        let wanted = ["{}", r#"{"a":[]}"#, r#"{"a":[{},{"b":1}]}"#, r#"{"a":[{"b":2}]}"#];
        let old = "optional group a (LIST) { repeated group array { optional int32 b; } }";
        assert_eq!(item(3, old), wanted);
        let old = "optional group a (LIST) { repeated int32 array; }";
        let columns = vec![column(&[0, 1, 2, 2], &[0, 0, 0, 1], 2)];
        assert_eq!(lines(old, columns, 3), ["{}", r#"{"a":[]}"#, r#"{"a":[1,2]}"#]);
        let columns = vec![column(&[0, 1, 1], &[0, 0, 1], 1)];
        assert_eq!(lines("repeated int32 a;", columns, 2), [r#"{"a":[]}"#, r#"{"a":[1,2]}"#]);
    }

    #[test]
    fn lists_of_lists_and_of_structs_nest() {
        let schema = "required group a (LIST) { repeated group list { required group element (LIST) { \
                      repeated group list { required group element { required int32 b; required int32 c; } } } } }";
        let levels = |columns: usize| {
            let column = || column(&[2, 2, 1, 2, 0], &[0, 2, 1, 1, 0], 2);
            (0..columns).map(|_| column()).collect()
        };
        let wanted = [r#"{"a":[[{"b":1,"c":1},{"b":2,"c":2}],[],[{"b":3,"c":3}]]}"#, r#"{"a":[]}"#];
        assert_eq!(lines(schema, levels(2), 2), wanted);
    }

    #[test]
    fn maps_become_objects_without_null_values() {
        let schema = "optional group a (MAP) { repeated group key_value { required int32 key; optional int32 value; } }";
        let columns = vec![column(&[0, 1, 2, 2], &[0, 0, 0, 1], 2), column(&[0, 1, 3, 2], &[0, 0, 0, 1], 3)];
        assert_eq!(lines(schema, columns, 3), ["{}", r#"{"a":{}}"#, r#"{"a":{"1":1}}"#]);
    }

    #[test]
    fn whole_floats_become_integers_value_by_value() {
        let schema = "required double a; required double b.c; required group d { required double e; }";
        let column = |values: &[f64]| Column::new(Values::Double(values.to_vec()), ColumnFormat::Plain);
        let columns = vec![column(&[1.0, 2.5]), column(&[1.0, 2.0]), column(&[1.0, 2.0])];
        let wanted = [r#"{"a":1,"d":{"e":1},"b":{"c":1}}"#, r#"{"a":2.5,"d":{"e":2},"b":{"c":2}}"#];
        assert_eq!(lines(schema, columns, 2), wanted);
    }
}
