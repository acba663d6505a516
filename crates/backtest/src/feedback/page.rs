//! Renders the feedback report as an HTML page and as CSV.

use super::{FeedbackReport, LearnedCalibration};
use firewatch_report::AnalysisError;
use firewatch_report::chart::{ChartLabels, reliability};
use firewatch_report::page::HtmlPage;
use firewatch_report::table::table;

/// Number of risk groups in the chart.
const RISK_GROUPS: usize = 8;

/// Renders the page.
///
/// # Errors
/// When a chart cannot be drawn.
pub fn html(report: &FeedbackReport) -> Result<String, AnalysisError> {
    let mut page = HtmlPage::new("Feedback on alerts");
    for row in report.rows.iter().filter(|row| row.route.is_none()) {
        page.lead(format_args!(
            "{}: {} of {} alerts judged, {} of those useful; precision {}.",
            row.team,
            row.judged,
            row.alerts,
            row.useful,
            row.describe_precision()
        ));
    }
    let span = report.span.map_or(String::new(), |(from, to)| format!(", {from} to {to}"));
    page.note(format_args!(
        "{}{span}. People do not judge at random, so precision holds only for judged alerts. Intervals: 95%.",
        report.input
    ));
    report.faults.iter().for_each(|fault| page.note(fault));
    page.heading("By team, route and level");
    let rows = report.rows.iter().map(|row| {
        vec![
            row.team.clone(),
            row.route.clone().unwrap_or_else(|| "all".into()),
            row.level.unwrap_or("all").into(),
            row.alerts.to_string(),
            row.judged.to_string(),
            row.useful.to_string(),
            row.describe_precision(),
        ]
    });
    page.table("", &["team", "route", "level", "alerts", "judged", "useful", "precision"], rows);
    if let Some(learned) = &report.learned {
        page.heading("Risk and usefulness");
        page.paragraph(learned.to_string().replace("  ", ""));
        let words = format!("Share of the alerts of {} that were useful, by risk.", learned.team);
        let lines = vec![
            ("risk as emitted".into(), groups(learned, |point| point.0)),
            ("calibrated".into(), groups(learned, |point| point.1)),
        ];
        let labels = ChartLabels { title: "Useful alerts by risk", x: "risk", y: "% useful" };
        page.chart(&reliability(&labels, lines)?, &words);
    }
    Ok(page.finish())
}

/// Returns the rows as tidy CSV.
#[must_use]
pub fn tables(report: &FeedbackReport) -> String {
    let number = |n: Option<f64>| n.map_or_else(String::new, |n| format!("{n:.4}"));
    let rows = report.rows.iter().map(|row| {
        let (low, high) = (row.interval.map(|(low, _)| low), row.interval.map(|(_, high)| high));
        [
            row.team.clone(),
            row.route.clone().unwrap_or_default(),
            row.level.unwrap_or_default().into(),
            row.alerts.to_string(),
            row.judged.to_string(),
            row.useful.to_string(),
            number(row.precision),
            number(low),
            number(high),
        ]
    });
    table(["team", "route", "level", "alerts", "judged", "useful", "precision", "low", "high"], rows)
}

/// Groups alerts by risk; returns the mean risk and the share of useful alerts of each group, both in
/// percent.
fn groups(learned: &LearnedCalibration, risk: fn(&(f64, f64, bool)) -> f64) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, bool)> = learned.points.iter().map(|point| (risk(point), point.2)).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let groups = points.chunks(points.len().div_ceil(RISK_GROUPS).max(1)).map(|group| {
        let n = group.len() as f64;
        let hits = group.iter().filter(|(_, useful)| *useful).count() as f64;
        (100.0 * group.iter().map(|(p, _)| p).sum::<f64>() / n, 100.0 * hits / n)
    });
    groups.collect()
}
