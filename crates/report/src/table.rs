//! Tidy CSV, one observation per row, which pandas, polars and spreadsheets can read.

/// Writes a header and rows as CSV text.
pub fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let mut write = |row: &[String]| csv.write_record(row);
    // Writing to memory cannot fail.
    let _ = write(&head.map(str::to_owned));
    rows.for_each(|row| drop(write(&row)));
    csv.into_inner().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
