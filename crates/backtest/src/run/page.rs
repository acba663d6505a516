//! Renders the backtest report as an HTML page.

use std::collections::BTreeMap;

use firewatch_domain::EventTime;

use super::report::{BacktestReport, PolicyDifference, PolicyOutcome};
use super::verdicts::{TeamAccuracy, quantile};
use firewatch_report::chart::{COLOURS, ChartFrame, ChartLine, Legend, bars, chart};
use firewatch_report::page::HtmlPage;
use firewatch_report::{AnalysisError, Zone};

/// Maximum number of differing conversations shown.
const MAX_DIFFERENCES: usize = 50;

/// Renders the page.
///
/// # Errors
/// When a chart cannot be drawn.
pub fn html(report: &BacktestReport) -> Result<String, AnalysisError> {
    let mut page = HtmlPage::new("Backtest");
    if let Some(why) = &report.partial {
        page.lead(format_args!("Partial: {why}"));
    }
    for policy in &report.policies {
        page.lead(summary_sentence(policy));
    }
    let survey = &report.survey;
    let span = survey.span.map_or(String::new(), |(from, to)| format!(", {from} to {to}"));
    page.note(format_args!(
        "{}: {} records, {} conversations{span}. Rejected: {}; too late for their windows: {}.",
        report.input, survey.records, survey.conversations, survey.rejected, survey.late
    ));
    survey.faults.iter().for_each(|fault| page.note(fault));
    page.heading("Alerts");
    let levels = report.policies.iter().flat_map(|policy| {
        let row = |(team, level, n): &(String, String, u64)| {
            vec![policy.name.clone(), team.clone(), level.clone(), n.to_string()]
        };
        policy.by_level.iter().map(row)
    });
    page.table("By team and level", &["policy", "team", "level", "alerts"], levels);
    for policy in report.policies.iter().filter(|policy| !policy.held_back.is_empty()) {
        page.paragraph(format_args!(
            "{} suppressed alerts of conversations: {}.",
            policy.name,
            policy.held_back()
        ));
    }
    if report.policies.iter().any(|policy| days(policy).len() > 1) {
        page.chart(&by_day(report)?, "Alerts per day, all teams.");
    }
    for policy in &report.policies {
        page.chart(
            &by_hour(policy, &report.zone)?,
            &format!("Alerts by the hour of the day, {}.", policy.name),
        );
    }
    page.heading("Precision, recall and lead time");
    page.paragraph(format_args!("An alert is right if {}.", report.what_is_right()));
    let judged =
        report.policies.iter().flat_map(|policy| policy.judged.iter().map(|judged| row(policy, judged)));
    page.table(
        "Minutes and reach: medians over right alerts",
        &[
            "policy",
            "team",
            "alerted",
            "precision",
            "timely recall",
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

fn summary_sentence(policy: &PolicyOutcome) -> String {
    let a_day = policy.alerts_per_day.map_or(String::new(), |a_day| format!(", {a_day:.1} a day"));
    let busiest =
        policy.busiest_hour.map_or(String::new(), |(at, n)| format!("; {n} in the busiest hour, from {at}"));
    format!("{}: {} alerts{a_day}{busiest}.", policy.name, policy.alerts)
}

fn row(policy: &PolicyOutcome, judged: &TeamAccuracy) -> Vec<String> {
    let share = |share: Option<f64>| share.map_or("-".into(), |share| format!("{:.1}%", 100.0 * share));
    let median =
        |values: &[f64], unit: f64| quantile(values, 0.5).map_or("-".into(), |v| format!("{:.1}", unit * v));
    vec![
        policy.name.clone(),
        judged.team.clone(),
        judged.alerted.to_string(),
        share(judged.precision()),
        share(judged.recall()),
        median(&judged.lead_minutes, 1.0),
        median(&judged.reach_to_come, 100.0) + "%",
    ]
}

/// Returns the alerts of each day, over all teams.
fn days(policy: &PolicyOutcome) -> BTreeMap<EventTime, u64> {
    let mut days = BTreeMap::new();
    for (day, _, n) in &policy.by_day {
        *days.entry(*day).or_default() += n;
    }
    days
}

fn by_day(report: &BacktestReport) -> Result<String, AnalysisError> {
    let first = report.policies.iter().flat_map(days).map(|(day, _)| day).min();
    let number = |day: EventTime| first.map_or(0.0, |first| (day - first).as_secs() / 86_400.0);
    let lines: Vec<ChartLine> = report
        .policies
        .iter()
        .zip(COLOURS.into_iter().cycle())
        .map(|(policy, colour)| {
            let points = days(policy).into_iter().map(|(day, n)| (number(day), n as f64)).collect();
            ChartLine { name: policy.name.clone(), points, thin: false, colour }
        })
        .collect();
    let max_of =
        |of: fn(&(f64, f64)) -> f64| lines.iter().flat_map(|line| &line.points).map(of).fold(1.0, f64::max);
    let since = first.map_or(String::new(), |first| first.to_string().chars().take(10).collect());
    let frame = ChartFrame {
        title: "Alerts by day",
        x: (&format!("days since {since}"), 0.0..max_of(|(x, _)| *x)),
        y: ("alerts", 0.0..max_of(|(_, y)| *y) * 1.1),
        legend: Some(Legend::UpperRight),
    };
    chart(frame, &lines)
}

fn by_hour(policy: &PolicyOutcome, zone: &Zone) -> Result<String, AnalysisError> {
    let mut hours = [0.0; 24];
    for (hour, _, n) in &policy.by_hour {
        hours[zone.hour(*hour) as usize] += *n as f64;
    }
    let max = hours.iter().copied().fold(1.0, f64::max);
    let frame = ChartFrame {
        title: &format!("Alerts by hour, {}", policy.name),
        x: (&format!("hour of the day, {}", zone.name()), 0.0..24.0),
        y: ("alerts", 0.0..max * 1.1),
        legend: None,
    };
    let each: Vec<(f64, f64, f64)> =
        hours.iter().enumerate().map(|(i, n)| (i as f64 + 0.1, i as f64 + 0.9, *n)).collect();
    bars(frame, &each)
}

fn differences(page: &mut HtmlPage, report: &BacktestReport) {
    page.heading("Where they differ");
    page.paragraph(format_args!(
        "{} conversations; shown are the {} with the largest reach, with the reason of each policy:",
        report.differ.len(),
        report.differ.len().min(MAX_DIFFERENCES)
    ));
    let rows = report.differ.iter().take(MAX_DIFFERENCES).flat_map(|differs| {
        let PolicyDifference { conversation, reach, wanted, alerts, .. } = differs;
        let wanted = wanted.map_or("", |wanted| if wanted { "yes" } else { "no" });
        let reach = reach.map_or_else(String::new, |reach| reach.to_string());
        report.policies.iter().zip(alerts).enumerate().map(move |(i, (policy, alerts))| {
            let alert_texts = alerts.iter().map(|a| format!("{} at {}: {}", a.team, a.at, a.reason));
            let alert_texts = alert_texts.collect::<Vec<_>>().join("; ");
            let alert_texts = if alert_texts.is_empty() { differs.no_alert_text(i) } else { alert_texts };
            vec![conversation.clone(), reach.clone(), wanted.into(), policy.name.clone(), alert_texts]
        })
    });
    page.table("", &["conversation", "reach", "right", "policy", "alert"], rows);
}
