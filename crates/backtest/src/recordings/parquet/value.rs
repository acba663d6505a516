//! Values of columns as JSON: times with an offset, binary data in hexadecimal, decimals with all digits.
//!
//! The physical type of a column says how a value is stored, its logical type what it means.

use std::fmt::LowerExp;
use std::io::{self, Write};

use ::parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as PhysicalType};
use ::parquet::data_type::{ByteArray, Decimal, FixedLenByteArray, Int96};
use ::parquet::errors::Result;
use ::parquet::record;
use ::parquet::schema::types::Type;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

/// Values of a column that are not null.
pub enum Values {
    Boolean(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Int96(Vec<Int96>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<ByteArray>),
    FixedBytes(Vec<FixedLenByteArray>),
}

impl Values {
    pub fn new(stored: PhysicalType) -> Self {
        match stored {
            PhysicalType::BOOLEAN => Self::Boolean(vec![]),
            PhysicalType::INT32 => Self::Int32(vec![]),
            PhysicalType::INT64 => Self::Int64(vec![]),
            PhysicalType::INT96 => Self::Int96(vec![]),
            PhysicalType::FLOAT => Self::Float(vec![]),
            PhysicalType::DOUBLE => Self::Double(vec![]),
            PhysicalType::BYTE_ARRAY => Self::Bytes(vec![]),
            PhysicalType::FIXED_LEN_BYTE_ARRAY => Self::FixedBytes(vec![]),
        }
    }

    pub fn clear(&mut self) {
        match self {
            Self::Boolean(values) => values.clear(),
            Self::Int32(values) => values.clear(),
            Self::Int64(values) => values.clear(),
            Self::Int96(values) => values.clear(),
            Self::Float(values) => values.clear(),
            Self::Double(values) => values.clear(),
            Self::Bytes(values) => values.clear(),
            Self::FixedBytes(values) => values.clear(),
        }
    }

    pub fn get(&self, index: usize) -> Option<Value<'_>> {
        Some(match self {
            Self::Boolean(values) => Value::Boolean(*values.get(index)?),
            Self::Int32(values) => Value::Integer(i64::from(*values.get(index)?)),
            Self::Int64(values) => Value::Integer(*values.get(index)?),
            Self::Int96(values) => Value::Integer(values.get(index)?.to_nanos()),
            Self::Float(values) => Value::Float(*values.get(index)?),
            Self::Double(values) => Value::Double(*values.get(index)?),
            Self::Bytes(values) => Value::Bytes(values.get(index)?.data()),
            Self::FixedBytes(values) => Value::Bytes(values.get(index)?.data()),
        })
    }
}

/// A value as it is stored.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    Boolean(bool),
    Integer(i64),
    Float(f32),
    Double(f64),
    Bytes(&'a [u8]),
}

/// What the values of a column mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ColumnFormat {
    /// As stored; bytes in hexadecimal.
    Plain,
    Unsigned32,
    Unsigned64,
    Float16,
    Text,
    Decimal {
        precision: i32,
        scale: i32,
    },
    Date,
    TimeOfDay(TimeUnit),
    Timestamp {
        unit: TimeUnit,
        has_offset: bool,
    },
}

impl ColumnFormat {
    /// Returns the format of a column.
    pub fn new(column: &Type) -> Self {
        let about = column.get_basic_info();
        match about.logical_type_ref() {
            Some(logical) => Self::from_logical(logical),
            None => match column.get_physical_type() {
                PhysicalType::INT96 => Self::Timestamp { unit: TimeUnit::NANOS, has_offset: false },
                _ => Self::from_converted(about.converted_type(), column),
            },
        }
    }

    fn from_logical(logical: &LogicalType) -> Self {
        match logical {
            LogicalType::String | LogicalType::Json | LogicalType::Enum => Self::Text,
            LogicalType::Decimal(of) => Self::Decimal { precision: of.precision, scale: of.scale },
            LogicalType::Date => Self::Date,
            LogicalType::Time(of) => Self::TimeOfDay(of.unit),
            LogicalType::Timestamp(of) => {
                Self::Timestamp { unit: of.unit, has_offset: of.is_adjusted_to_u_t_c }
            }
            LogicalType::Integer(of) if !of.is_signed && of.bit_width == 64 => Self::Unsigned64,
            LogicalType::Integer(of) if !of.is_signed => Self::Unsigned32,
            LogicalType::Float16 => Self::Float16,
            _ => Self::Plain,
        }
    }

    /// Returns the format by the annotation that older writers use.
    fn from_converted(converted: ConvertedType, column: &Type) -> Self {
        let timestamp = |unit| Self::Timestamp { unit, has_offset: true };
        match converted {
            ConvertedType::UTF8 | ConvertedType::JSON | ConvertedType::ENUM => Self::Text,
            ConvertedType::DECIMAL => {
                Self::Decimal { precision: column.get_precision(), scale: column.get_scale() }
            }
            ConvertedType::DATE => Self::Date,
            ConvertedType::TIME_MILLIS => Self::TimeOfDay(TimeUnit::MILLIS),
            ConvertedType::TIME_MICROS => Self::TimeOfDay(TimeUnit::MICROS),
            ConvertedType::TIMESTAMP_MILLIS => timestamp(TimeUnit::MILLIS),
            ConvertedType::TIMESTAMP_MICROS => timestamp(TimeUnit::MICROS),
            ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 => Self::Unsigned32,
            ConvertedType::UINT_64 => Self::Unsigned64,
            _ => Self::Plain,
        }
    }

    /// Returns the format of a column outside of structs and lists: times get an offset, UTC if they have none.
    pub fn at_top_level(self) -> Self {
        match self {
            Self::Timestamp { unit, .. } => Self::Timestamp { unit, has_offset: true },
            other => other,
        }
    }

    /// Writes a value as JSON; returns whether it is not null. Times that the calendar lacks are null. A text that
    /// is not UTF-8 is written as it is, so that its row is rejected and no other. Whole numbers become integers,
    /// because pandas stores integer columns with missing values as floats.
    pub fn write(self, value: Value<'_>, out: &mut Vec<u8>) -> Result<bool> {
        match (value, self) {
            (Value::Bytes(bytes), Self::Text) => match std::str::from_utf8(bytes) {
                Ok(text) => serde_json::to_writer(out, text).map_err(io::Error::from)?,
                Err(_) => {
                    let unescaped = bytes.iter().filter(|b| !b.is_ascii_control() && !b"\"\\".contains(b));
                    out.push(b'"');
                    out.extend(unescaped);
                    out.push(b'"');
                }
            },
            (Value::Bytes(bytes), Self::Decimal { precision, scale }) => {
                write_decimal(&Decimal::from_bytes(bytes.to_vec().into(), precision, scale), out)?;
            }
            (Value::Bytes([low, high]), Self::Float16) => write_float(half([*low, *high]), out)?,
            (Value::Bytes(bytes), _) => write_hexadecimal(bytes, out)?,
            (Value::Boolean(value), _) => write!(out, "{value}")?,
            (Value::Float(value), _) if !write_whole(f64::from(value), out) => write_float(value, out)?,
            (Value::Double(value), _) if !write_whole(value, out) => write_float(value, out)?,
            (Value::Float(_) | Value::Double(_), _) => {}
            (Value::Integer(value), _) => return Ok(self.write_integer(value, out)?.is_some()),
        }
        Ok(true)
    }

    /// Writes what is stored as an integer; `None` if it is null.
    fn write_integer(self, value: i64, out: &mut Vec<u8>) -> io::Result<Option<()>> {
        match self {
            Self::Unsigned32 => write!(out, "{}", value as u32)?,
            Self::Unsigned64 => write!(out, "{}", value as u64)?,
            Self::Decimal { precision, scale } => {
                write_decimal(&Decimal::from_i64(value, precision, scale), out)?;
            }
            Self::Date => {
                let Some(date) = date(value) else { return Ok(None) };
                write!(out, "\"{date:?}\"")?;
            }
            Self::TimeOfDay(unit) => {
                let Some(time) = time_of_day(value, unit) else { return Ok(None) };
                write!(out, "\"{time:?}\"")?;
            }
            Self::Timestamp { unit, has_offset } => {
                let Some(time) = time(value, unit) else { return Ok(None) };
                let offset = if has_offset { "Z" } else { "" };
                write!(out, "\"{:?}{offset}\"", time.naive_utc())?;
            }
            _ => write!(out, "{value}")?,
        }
        Ok(Some(()))
    }
}

fn date(days: i64) -> Option<NaiveDate> {
    Some(DateTime::from_timestamp(days.checked_mul(86_400)?, 0)?.date_naive())
}

fn time(value: i64, unit: TimeUnit) -> Option<DateTime<Utc>> {
    match unit {
        TimeUnit::MILLIS => DateTime::from_timestamp_millis(value),
        TimeUnit::MICROS => DateTime::from_timestamp_micros(value),
        TimeUnit::NANOS => Some(DateTime::from_timestamp_nanos(value)),
    }
}

fn time_of_day(value: i64, unit: TimeUnit) -> Option<NaiveTime> {
    let in_second = match unit {
        TimeUnit::MILLIS => 1_000,
        TimeUnit::MICROS => 1_000_000,
        TimeUnit::NANOS => 1_000_000_000,
    };
    let seconds = u32::try_from(value.div_euclid(in_second)).ok()?;
    let nanoseconds = value.rem_euclid(in_second) * (1_000_000_000 / in_second);
    NaiveTime::from_num_seconds_from_midnight_opt(seconds, u32::try_from(nanoseconds).ok()?)
}

/// Writes a decimal without an exponent.
fn write_decimal(value: &Decimal, out: &mut Vec<u8>) -> io::Result<()> {
    let text = record::Field::Decimal(value.clone()).to_string();
    out.write_all(text.trim_end_matches('.').as_bytes())
}

/// Writes a whole number as an integer; returns false if it has a fraction or is too large for one.
fn write_whole(value: f64, out: &mut Vec<u8>) -> bool {
    // The largest integer has no exact float, but its successor has.
    const LIMIT: f64 = -(i64::MIN as f64);
    value.fract() == 0.0 && (-LIMIT..LIMIT).contains(&value) && write!(out, "{}", value as i64).is_ok()
}

/// Writes a number with a fraction, and with an exponent outside of -5 to 9. JSON has no infinities: they
/// become `null`.
fn write_float<T: Into<f64> + LowerExp + Copy>(value: T, out: &mut Vec<u8>) -> io::Result<()> {
    if !value.into().is_finite() {
        return out.write_all(b"null");
    }
    let shortest = format!("{value:e}");
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let digits = mantissa.trim_start_matches('-').replace('.', "");
    if mantissa.starts_with('-') {
        out.push(b'-');
    }
    let or_zero = |digits: &str| if digits.is_empty() { "0" } else { digits }.to_owned();
    match exponent {
        0..=9 => {
            let point = exponent as usize + 1;
            let digits = format!("{digits:0<point$}");
            let (whole, fraction) = digits.split_at(point);
            write!(out, "{whole}.{}", or_zero(fraction))
        }
        -5..0 => write!(out, "0.{}{digits}", "0".repeat(-exponent as usize - 1)),
        _ => {
            let (whole, fraction) = digits.split_at(1);
            write!(out, "{whole}.{}e{exponent}", or_zero(fraction))
        }
    }
}

/// Reads a floating-point number of two bytes, little end first.
fn half(bytes: [u8; 2]) -> f32 {
    let bits = u16::from_le_bytes(bytes);
    let exponent = i32::from(bits >> 10 & 31);
    let fraction = f32::from(bits & 1023) / 1024.0;
    let size = match exponent {
        0 => fraction * 2f32.powi(-14),
        31 => f32::NAN,
        _ => (1.0 + fraction) * 2f32.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

fn write_hexadecimal(bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.push(b'"');
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))?;
    out.push(b'"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use ::parquet::schema::parser::parse_message_type;

    use super::*;

    /// Writes a value of a column; `null` if it is null.
    fn written(column: &str, is_nested: bool, value: Value<'_>) -> String {
        let file = parse_message_type(&format!("message m {{ required {column}; }}")).unwrap();
        let format = ColumnFormat::new(&file.get_fields()[0]);
        let format = if is_nested { format } else { format.at_top_level() };
        let mut out = Vec::new();
        let is_there = format.write(value, &mut out).unwrap();
        if is_there { String::from_utf8(out).unwrap() } else { "null".into() }
    }

    fn integer(column: &str, value: i64) -> String {
        written(column, false, Value::Integer(value))
    }

    #[test]
    fn times_at_the_top_level_get_an_offset() {
        let micros = 1_714_564_800_120_000;
        assert_eq!(integer("int64 a (TIMESTAMP(MICROS,false))", micros), "\"2024-05-01T12:00:00.120Z\"");
        assert_eq!(integer("int64 a (TIMESTAMP_MICROS)", micros), "\"2024-05-01T12:00:00.120Z\"");
        assert_eq!(integer("int64 a (TIMESTAMP(MILLIS,true))", 1), "\"1970-01-01T00:00:00.001Z\"");
        assert_eq!(integer("int64 a (TIMESTAMP(NANOS,true))", -1), "\"1969-12-31T23:59:59.999999999Z\"");
        assert_eq!(integer("int64 a (TIMESTAMP(MILLIS,false))", i64::MAX), "null");
        let legacy = Values::Int96(vec![Int96::from(vec![1_000_000_000, 0, 2_440_589])]);
        let legacy = written("int96 a", false, legacy.get(0).unwrap());
        assert_eq!(legacy, "\"1970-01-02T00:00:01Z\"");
        let nested = |column| written(column, true, Value::Integer(0));
        assert_eq!(nested("int64 a (TIMESTAMP(MICROS,false))"), "\"1970-01-01T00:00:00\"");
        assert_eq!(nested("int64 a (TIMESTAMP(MICROS,true))"), "\"1970-01-01T00:00:00Z\"");
    }

    #[test]
    fn integers_are_what_their_annotation_says() {
        assert_eq!(integer("int32 a (DATE)", -1), "\"1969-12-31\"");
        assert_eq!(integer("int32 a (TIME(MILLIS,true))", 86_399_999), "\"23:59:59.999\"");
        assert_eq!(integer("int64 a (TIME_MICROS)", 86_400_000_000), "null");
        assert_eq!(integer("int32 a (INTEGER(32,false))", -1), "4294967295");
        assert_eq!(integer("int64 a (UINT_64)", -1), "18446744073709551615");
        assert_eq!(integer("int64 a (DECIMAL(12,2))", -5), "-0.05");
        assert_eq!(integer("int32 a (DECIMAL(9,0))", 100), "100");
        assert_eq!(integer("int64 a", i64::MIN), "-9223372036854775808");
    }

    #[test]
    fn bytes_are_text_decimals_or_hexadecimal() {
        let bytes = |column, bytes| written(column, false, Value::Bytes(bytes));
        assert_eq!(bytes("binary a (UTF8)", b"a\"\n"), r#""a\"\n""#);
        assert_eq!(bytes("binary a (JSON)", b"1"), "\"1\"");
        assert_eq!(bytes("binary a (ENUM)", b"like"), "\"like\"");
        assert_eq!(bytes("binary a", b"\x00\xff"), "\"00ff\"");
        assert_eq!(bytes("fixed_len_byte_array(2) a (DECIMAL(4,1))", b"\xff\xf1"), "-1.5");
        assert_eq!(bytes("fixed_len_byte_array(2) a (FLOAT16)", b"\x00\xc2"), "-3.0");
        assert_eq!(bytes("fixed_len_byte_array(2) a (FLOAT16)", b"\x01\x00"), "5.9604645e-8");
        let mut invalid = Vec::new();
        assert!(ColumnFormat::Text.write(Value::Bytes(b"a\"\n\xff"), &mut invalid).unwrap());
        assert_eq!(invalid, b"\"a\xff\"", "its row alone is not UTF-8");
    }

    #[test]
    fn floats_keep_their_fraction() {
        let double = |value| written("double a", false, Value::Double(value));
        let texts = [0.5, -1.5, 9_500_000_000.5, 1.0e20, -1.25e-5, 1.0e-6, 123.456e18, f64::NAN].map(double);
        let wanted = ["0.5", "-1.5", "9500000000.5", "1.0e20", "-0.0000125", "1.0e-6", "1.23456e20", "null"];
        assert_eq!(texts, wanted);
        assert_eq!(written("float a", false, Value::Float(0.1)), "0.1");
    }

    #[test]
    fn whole_floats_become_integers_if_they_fit() {
        assert_eq!(written("double a", false, Value::Double(500.0)), "500");
        assert_eq!(written("float a", true, Value::Float(7.0)), "7");
        let whole = |value| {
            let mut out = Vec::new();
            write_whole(value, &mut out).then(|| String::from_utf8(out).unwrap())
        };
        assert_eq!(whole(-0.0).as_deref(), Some("0"));
        assert_eq!(whole(i64::MIN as f64).as_deref(), Some("-9223372036854775808"));
        assert_eq!(whole(i64::MAX as f64), None);
    }
}
