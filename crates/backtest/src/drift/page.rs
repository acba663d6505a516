//! Renders the drift report as an HTML page and as CSV.

use super::figures::{Drift, DriftLevel, FeatureDrift, ForecastCalibration};
use firewatch_report::AnalysisError;
use firewatch_report::chart::{COLOURS, ChartFrame, ChartLabels, ChartLine, Legend, chart, reliability};
use firewatch_report::page::HtmlPage;
use firewatch_report::table::table;

/// Maximum number of features with a chart.
const MAX_CHARTS: usize = 4;

/// Renders the page.
///
/// # Errors
/// When a chart cannot be drawn.
pub fn html(drift: &Drift) -> Result<String, AnalysisError> {
    let mut page = HtmlPage::new("Drift of scores");
    page.lead(drift.summary_sentence());
    if let Some(calibration) = &drift.calibration[1] {
        page.lead(format_args!("Recently, {calibration}."));
    }
    for (i, name) in ["Former", "Recent"].into_iter().enumerate() {
        let span = drift.spans[i].map_or(String::new(), |(from, to)| format!(", {from} to {to}"));
        page.note(format_args!(
            "{name}: {} conversations of {}{span}.",
            drift.conversations[i], drift.inputs[i]
        ));
    }
    drift.faults.iter().for_each(|fault| page.note(fault));
    page.heading("Drift by feature");
    page.paragraph(
        "Population stability index (PSI) of each feature. From 0.1 on it deserves a look, from 0.25 on it \
         is another population, unless chance alone explains the value.",
    );
    let rows = drift.features.iter().map(|feature| {
        let moved = match feature.moved {
            DriftLevel::Not => "",
            DriftLevel::Some => "moderate",
            DriftLevel::Much => "large",
        };
        vec![
            feature.name.into(),
            feature.when.into(),
            format!("{:.3}", feature.psi),
            format!("{:.3}", feature.noise),
            moved.into(),
            format!("{:.3}", feature.means.0),
            format!("{:.3}", feature.means.1),
        ]
    });
    page.table("", &["feature", "scored", "PSI", "by chance", "drift", "former mean", "recent mean"], rows);
    let moved = drift.features.iter().filter(|feature| feature.moved != DriftLevel::Not);
    for feature in moved.take(MAX_CHARTS) {
        let words = format!("Conversations by {}, {}: former and recent span.", feature.name, feature.when);
        page.chart(&shares(feature)?, &words);
    }
    page.heading("Calibration of the forecast");
    let names = ["former", "recent"].into_iter().zip(&drift.calibration);
    let known: Vec<(&str, &ForecastCalibration)> =
        names.filter_map(|(name, calibration)| Some((name, calibration.as_ref()?))).collect();
    if known.is_empty() {
        page.paragraph("Too few conversations older than a day.");
        return Ok(page.finish());
    }
    known.iter().for_each(|(name, of)| page.paragraph(format_args!("{name}: {of}.")));
    let labels = ChartLabels { title: "Forecast against outcome", x: "forecast, %", y: "% crossed" };
    let lines = known.iter().map(|(name, of)| {
        let points = of.bins.iter().map(|(_, _, forecast, crossed)| (100.0 * forecast, 100.0 * crossed));
        ((*name).to_owned(), points.collect())
    });
    page.chart(
        &reliability(&labels, lines.collect())?,
        "Share that crossed the bar, by the forecast half an hour after the first score.",
    );
    Ok(page.finish())
}

/// Returns features, bins and forecast as tidy CSV, each with the ending of its file name.
#[must_use]
pub fn tables(drift: &Drift) -> [(&'static str, String); 3] {
    let features = drift.features.iter().map(|feature| {
        let moved = format!("{:?}", feature.moved).to_lowercase();
        let numbers =
            [feature.psi, feature.noise, feature.means.0, feature.means.1].map(|n| format!("{n:.6}"));
        let [psi, noise, former, recent] = numbers;
        [feature.name.into(), feature.when.into(), psi, noise, moved, former, recent]
    });
    let bins = drift.features.iter().flat_map(|feature| {
        feature.bins.iter().zip(&feature.shares).map(|(from, (former, recent))| {
            let from = from.map_or_else(|| "unknown".into(), |from| from.to_string());
            [feature.name.into(), feature.when.into(), from, format!("{former:.6}"), format!("{recent:.6}")]
        })
    });
    let forecast = ["former", "recent"].into_iter().zip(&drift.calibration).flat_map(|(span, of)| {
        of.iter().flat_map(|of| &of.bins).map(move |(from, n, forecast, crossed)| {
            [span.into(), from.to_string(), n.to_string(), format!("{forecast:.6}"), format!("{crossed:.6}")]
        })
    });
    [
        (
            "csv",
            table(["feature", "scored", "psi", "noise", "moved", "mean_former", "mean_recent"], features),
        ),
        ("bins.csv", table(["feature", "scored", "from", "former", "recent"], bins)),
        ("forecast.csv", table(["span", "from", "conversations", "forecast", "crossed"], forecast)),
    ]
}

/// Draws the shares of both spans by bin.
fn shares(feature: &FeatureDrift) -> Result<String, AnalysisError> {
    let line = |name: &str, share_of: fn(&(f64, f64)) -> f64, i: usize| {
        // Draw steps, because each bin has a width.
        let points = feature.shares.iter().enumerate().flat_map(|(at, both)| {
            let share = 100.0 * share_of(both);
            [(at as f64, share), (at as f64 + 1.0, share)]
        });
        ChartLine { name: name.into(), points: points.collect(), thin: i == 0, colour: COLOURS[i] }
    };
    let max = feature.shares.iter().map(|(a, b)| 100.0 * a.max(*b)).fold(1.0, f64::max);
    let last = if feature.bins.last() == Some(&None) { ", the last for unknown values" } else { "" };
    let frame = ChartFrame {
        title: feature.name,
        x: (&format!("bins, the lowest values first{last}"), 0.0..feature.shares.len() as f64),
        y: ("% of conversations", 0.0..max * 1.15),
        legend: Some(Legend::UpperRight),
    };
    chart(frame, &[line("former", |both| both.0, 0), line("recent", |both| both.1, 1)])
}
