//! Forecasts the size of cascades given as CSV, from their reshares up to an age.

use std::fs::File;
use std::io::{self, Read};

use firewatch_backtest::cascades::{ReshareHistory, forecast, read_cascades};
use firewatch_engine::ModelFiles;
use firewatch_scoring::ViralityModel;

use super::read_file;
use crate::args::CascadeOptions;
use crate::common::{Failure, count};

/// Invalid rows that are reported individually.
const MAX_REPORTED_ROWS: u64 = 20;

/// Reads all cascades, then writes one row for each.
pub fn predict(options: &CascadeOptions) -> Result<io::Result<()>, Failure> {
    let model = match &options.model {
        None => ViralityModel::from_bytes(ModelFiles::SHIPPED.virality)
            .map_err(|e| Failure::running("load the shipped model", e))?,
        Some(path) => {
            ViralityModel::from_bytes(&read_file(path)?).map_err(|e| Failure::setting("--model", e))?
        }
    };
    let (input, name): (Box<dyn Read>, String) = match &options.input {
        None => (Box::new(io::stdin().lock()), "standard input".into()),
        Some(path) => {
            let name = path.display().to_string();
            (Box::new(File::open(path).map_err(|e| Failure::setting(&name, e))?), name)
        }
    };
    let mut bad = 0;
    let cascades = read_cascades(input, &mut |row| {
        bad += 1;
        if bad <= MAX_REPORTED_ROWS {
            eprintln!("firewatch: {name}, line {}: {}", row.line, row.problem);
        }
    });
    let cascades =
        cascades.map_err(|row| Failure::setting(&name, format!("line {}: {}", row.line, row.problem)))?;
    let written = write(&cascades, &model, options).map_err(|e| match e.into_kind() {
        csv::ErrorKind::Io(e) => e,
        other => io::Error::other(format!("{other:?}")),
    });
    if bad > 0 && written.is_ok() {
        let left_out = count(bad as usize, "invalid row");
        return Err(Failure::running(
            "predict virality",
            format!("{left_out} left out; all others are predicted"),
        ));
    }
    Ok(written)
}

fn write(cascades: &[ReshareHistory], model: &ViralityModel, options: &CascadeOptions) -> csv::Result<()> {
    let mut out = csv::Writer::from_writer(io::stdout().lock());
    out.write_record(["cascade", "observed", "predicted", "low80", "high80", "p_viral"])?;
    for cascade in cascades {
        let observed = cascade.count_until(options.at) as f64;
        let forecast = forecast(model, cascade, options.at, options.takes_off);
        let end = forecast.end();
        let more = end.interval();
        out.write_record([
            cascade.name.clone(),
            observed.to_string(),
            format!("{:.1}", observed + more.point),
            (observed + more.low).floor().to_string(),
            (observed + more.high).ceil().to_string(),
            format!("{:.9}", forecast.crossing_probability(options.bar as f64, observed)),
        ])?;
    }
    Ok(out.flush()?)
}
