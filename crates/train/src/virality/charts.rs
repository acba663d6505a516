//! Draws the charts of the forecast's evaluation as SVG.

use std::path::Path;

use plotters::prelude::{BLACK, IntoLogRange};

use super::early::CatchRate;
use super::report::{ViralityReport, WATCHES};
use super::sample::SETS;
use firewatch_report::chart::{COLOURS, ChartFrame, ChartLine, Legend, chart};
use firewatch_report::{AnalysisError, files::write};

impl ViralityReport {
    /// Draws the charts into a folder and returns their file names.
    ///
    /// # Errors
    /// When a chart cannot be drawn or written.
    pub fn draw(&self, folder: &Path) -> Result<Vec<&'static str>, AnalysisError> {
        let charts = [
            ("error-by-age.svg", error_by_age(self)?),
            ("interval-reliability.svg", reliability(self)?),
            ("viral-calibration.svg", calibration(self)?),
            ("early-warning.svg", early_warning(self)?),
            ("lead-time.svg", lead_time(self)?),
        ];
        let write_chart =
            |(name, svg): (&'static str, String)| write(&folder.join(name), svg.as_bytes()).map(|()| name);
        charts.into_iter().map(write_chart).collect()
    }
}

fn error_by_age(report: &ViralityReport) -> Result<String, AnalysisError> {
    let mut lines = Vec::new();
    for ((set, _), colour) in SETS.iter().zip(COLOURS) {
        for (i, name) in ["forecast", "SEISMIC"].iter().enumerate() {
            let of_set = report.by_age.iter().filter(|f| f.set == *set && f.cascades >= 20);
            let points = of_set.map(|f| (f.minutes, 100.0 * f.error[i].min(2.0))).collect();
            lines.push(ChartLine { name: format!("{name}, {set}"), points, thin: i > 0, colour });
        }
    }
    let frame = ChartFrame {
        title: "Median error of the final size, by age",
        x: ("minutes after the post", (1.0..1440.0).log_scale()),
        y: ("error, %", 0.0..100.0),
        legend: Some(Legend::UpperRight),
    };
    chart(frame, &lines)
}

fn perfect() -> ChartLine {
    ChartLine { name: "perfect".into(), points: vec![(0.0, 0.0), (100.0, 100.0)], thin: true, colour: BLACK }
}

fn percent(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    points.map(|(x, y)| (100.0 * x, 100.0 * y)).collect()
}

fn reliability(report: &ViralityReport) -> Result<String, AnalysisError> {
    let points = percent(report.reliability.iter().copied());
    let ours = ChartLine { name: "forecast".into(), points, thin: false, colour: COLOURS[0] };
    let frame = ChartFrame {
        title: "Final sizes below each level of the forecast, at 10, 30 and 60 minutes",
        x: ("level, %", 0.0..100.0),
        y: ("final sizes below, %", 0.0..100.0),
        legend: Some(Legend::LowerRight),
    };
    chart(frame, &[ours, perfect()])
}

fn calibration(report: &ViralityReport) -> Result<String, AnalysisError> {
    let points = percent(report.calibration.iter().map(|(predicted, so, _)| (*predicted, *so)));
    let ours = ChartLine {
        name: "chance of crossing 1,000 in a day".into(),
        points,
        thin: false,
        colour: COLOURS[0],
    };
    let frame = ChartFrame {
        title: "Observed against predicted probability of crossing the bar",
        x: ("predicted, %", 0.0..100.0),
        y: ("observed, %", 0.0..100.0),
        legend: Some(Legend::LowerRight),
    };
    chart(frame, &[ours, perfect()])
}

fn early_warning(report: &ViralityReport) -> Result<String, AnalysisError> {
    trade_off(report, "Large conversations caught, by alerts", "caught, %", |c| c.caught)
}

fn lead_time(report: &ViralityReport) -> Result<String, AnalysisError> {
    let title = "Large conversations caught before a fifth of their reshares, by alerts";
    trade_off(report, title, "caught early, %", |c| c.early)
}

fn trade_off(
    report: &ViralityReport,
    title: &'static str,
    y: &'static str,
    value: impl Fn(&CatchRate) -> f64,
) -> Result<String, AnalysisError> {
    let mut lines = Vec::new();
    for ((rows, (set, until)), colour) in report.early.iter().zip(WATCHES).zip(COLOURS) {
        let watched = format!("{}, {} h", SETS[set].0, until / 3600.0);
        let ours = percent(rows.iter().map(|(budget, ours, _)| (*budget, value(ours))));
        let counting = percent(rows.iter().map(|(budget, _, counting)| (*budget, value(counting))));
        lines.push(ChartLine { name: format!("forecast, {watched}"), points: ours, thin: false, colour });
        lines.push(ChartLine {
            name: format!("best count, {watched}"),
            points: counting,
            thin: true,
            colour,
        });
    }
    chart(
        ChartFrame {
            title,
            x: ("conversations alerted on, %", 0.0..50.0),
            y: (y, 0.0..100.0),
            legend: Some(Legend::LowerRight),
        },
        &lines,
    )
}
