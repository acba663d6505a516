//! The report of a backtest as a page.

use std::collections::BTreeMap;

use firewatch_domain::EventTime;

use super::judge::{Judged, quantile};
use super::report::{Differs, Report, Told};
use firewatch_report::chart::{COLOURS, Frame, Legend, Line, bars, chart};
use firewatch_report::page::Page;
use firewatch_report::{AnalysisError, Zone};

/// Conversations on which policies differ that are shown.
const SHOWN: usize = 50;

/// Draws the page.
///
/// # Errors
/// When a chart cannot be drawn.
pub fn html(report: &Report) -> Result<String, AnalysisError> {
    let mut page = Page::new("What policies would have told");
    if let Some(why) = &report.partial {
        page.lead(format_args!("Partial: {why}"));
    }
    for told in &report.policies {
        page.lead(in_a_sentence(told));
    }
    let survey = &report.survey;
    let span = survey.span.map_or(String::new(), |(from, to)| format!(", {from} to {to}"));
    page.note(format_args!(
        "{}: {} records, {} conversations{span}. Rejected: {}; too late for their windows: {}.",
        report.input, survey.records, survey.conversations, survey.rejected, survey.late
    ));
    survey.faults.iter().for_each(|fault| page.note(fault));
    page.heading("Alerts");
    let levels = report.policies.iter().flat_map(|told| {
        let row = |(team, level, n): &(String, String, u64)| {
            vec![told.name.clone(), team.clone(), level.clone(), n.to_string()]
        };
        told.by_level.iter().map(row)
    });
    page.table("By team and level", &["policy", "team", "level", "alerts"], levels);
    for told in report.policies.iter().filter(|told| !told.held_back.is_empty()) {
        page.paragraph(format_args!(
            "{} held back alerts of conversations: {}.",
            told.name,
            told.held_back()
        ));
    }
    if report.policies.iter().any(|told| days(told).len() > 1) {
        page.chart(&by_day(report)?, "Alerts of each day, all teams.");
    }
    for told in &report.policies {
        page.chart(&by_hour(told, &report.zone)?, &format!("Alerts by the hour of the day, {}.", told.name));
    }
    page.heading("How right, and how early");
    page.paragraph(format_args!("Right is what {}.", report.what_is_right()));
    let judged = report.policies.iter().flat_map(|told| told.judged.iter().map(|judged| row(told, judged)));
    page.table(
        "Minutes and reach are medians over what was right",
        &[
            "policy",
            "team",
            "told",
            "precision",
            "recall in time",
            "minutes before half of the reach",
            "reach to come",
        ],
        judged,
    );
    if report.policies.len() > 1 {
        differences(&mut page, report);
    }
    Ok(page.finish())
}

fn in_a_sentence(told: &Told) -> String {
    let a_day = told.alerts_per_day.map_or(String::new(), |a_day| format!(", {a_day:.1} a day"));
    let busiest =
        told.busiest_hour.map_or(String::new(), |(at, n)| format!("; {n} in the busiest hour, from {at}"));
    format!("{}: {} alerts{a_day}{busiest}.", told.name, told.alerts)
}

fn row(told: &Told, judged: &Judged) -> Vec<String> {
    let share = |share: Option<f64>| share.map_or("-".into(), |share| format!("{:.1}%", 100.0 * share));
    let median =
        |values: &[f64], unit: f64| quantile(values, 0.5).map_or("-".into(), |v| format!("{:.1}", unit * v));
    vec![
        told.name.clone(),
        judged.team.clone(),
        judged.told.to_string(),
        share(judged.precision()),
        share(judged.recall()),
        median(&judged.gained, 1.0),
        median(&judged.to_come, 100.0) + "%",
    ]
}

/// Alerts of each day.
fn days(told: &Told) -> BTreeMap<EventTime, u64> {
    let mut days = BTreeMap::new();
    for (day, _, n) in &told.by_day {
        *days.entry(*day).or_default() += n;
    }
    days
}

fn by_day(report: &Report) -> Result<String, AnalysisError> {
    let first = report.policies.iter().flat_map(days).map(|(day, _)| day).min();
    let number = |day: EventTime| first.map_or(0.0, |first| (day - first).as_secs() / 86_400.0);
    let lines: Vec<Line> = report
        .policies
        .iter()
        .zip(COLOURS)
        .map(|(told, colour)| {
            let points = days(told).into_iter().map(|(day, n)| (number(day), n as f64)).collect();
            Line { name: told.name.clone(), points, thin: false, colour }
        })
        .collect();
    let most =
        |of: fn(&(f64, f64)) -> f64| lines.iter().flat_map(|line| &line.points).map(of).fold(1.0, f64::max);
    let since = first.map_or(String::new(), |first| first.to_string().chars().take(10).collect());
    let frame = Frame {
        title: "Alerts by day",
        x: (&format!("days since {since}"), 0.0..most(|(x, _)| *x)),
        y: ("alerts", 0.0..most(|(_, y)| *y) * 1.1),
        legend: Some(Legend::UpperRight),
    };
    chart(frame, &lines)
}

fn by_hour(told: &Told, zone: &Zone) -> Result<String, AnalysisError> {
    let mut hours = [0.0; 24];
    for (hour, _, n) in &told.by_hour {
        hours[zone.hour(*hour) as usize] += *n as f64;
    }
    let most = hours.iter().copied().fold(1.0, f64::max);
    let frame = Frame {
        title: &format!("Alerts by hour, {}", told.name),
        x: (&format!("hour of the day, {}", zone.name()), 0.0..24.0),
        y: ("alerts", 0.0..most * 1.1),
        legend: None,
    };
    let each: Vec<(f64, f64, f64)> =
        hours.iter().enumerate().map(|(i, n)| (i as f64 + 0.1, i as f64 + 0.9, *n)).collect();
    bars(frame, &each)
}

fn differences(page: &mut Page, report: &Report) {
    page.heading("Where they differ");
    page.paragraph(format_args!(
        "On {} conversations; the {} with the largest reach, each policy with its reason:",
        report.differ.len(),
        report.differ.len().min(SHOWN)
    ));
    let rows = report.differ.iter().take(SHOWN).flat_map(|differs| {
        let Differs { conversation, reach, wanted, alerts, .. } = differs;
        let wanted = wanted.map_or("", |wanted| if wanted { "yes" } else { "no" });
        let reach = reach.map_or_else(String::new, |reach| reach.to_string());
        report.policies.iter().zip(alerts).enumerate().map(move |(i, (told, alerts))| {
            let said = alerts.iter().map(|a| format!("{} at {}: {}", a.team, a.at, a.reason));
            let said = said.collect::<Vec<_>>().join("; ");
            let said = if said.is_empty() { differs.why_nobody(i) } else { said };
            vec![conversation.clone(), reach.clone(), wanted.into(), told.name.clone(), said]
        })
    });
    page.table("", &["conversation", "reach", "right", "policy", "tells"], rows);
}
