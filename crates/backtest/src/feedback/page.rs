//! The report on verdicts as a page and as a table.

use super::{FeedbackReport, LearnedCalibration};
use firewatch_report::AnalysisError;
use firewatch_report::chart::reliability;
use firewatch_report::page::HtmlPage;
use firewatch_report::table::table;

/// Groups of alerts with about the same risk.
const RISK_GROUPS: usize = 8;

/// Draws the page.
///
/// # Errors
/// When a chart cannot be drawn.
pub fn html(report: &FeedbackReport) -> Result<String, AnalysisError> {
    let mut page = HtmlPage::new("What people said of alerts");
    for row in report.rows.iter().filter(|row| row.route.is_none()) {
        page.lead(format_args!(
            "{}: {} of {} alerts were judged; {} of those were useful, {}.",
            row.team,
            row.judged,
            row.alerts,
            row.useful,
            row.describe_precision()
        ));
    }
    let span = report.span.map_or(String::new(), |(from, to)| format!(", {from} to {to}"));
    page.note(format_args!(
        "{}{span}. Nobody judges at random, so a precision holds for what was judged. Intervals are of 95%.",
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
        page.heading("The risk, and what was useful");
        page.paragraph(learned.to_string().replace("  ", ""));
        let words = format!("Share of alerts of {} that were useful, by their risk.", learned.team);
        let lines = vec![
            ("risk as told".into(), groups(learned, |point| point.0)),
            ("calibrated".into(), groups(learned, |point| point.1)),
        ];
        page.chart(&reliability(("Useful alerts by risk", "risk", "% useful"), lines)?, &words);
    }
    Ok(page.finish())
}

/// The rows as tidy CSV.
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

/// The share that was useful among alerts of about the same risk, by that risk.
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
