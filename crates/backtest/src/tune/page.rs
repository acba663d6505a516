//! Renders a tuning result as an HTML page and as CSV.

use super::selection::PeriodResult;
use super::{TriedPolicy, TuneResult};
use firewatch_report::AnalysisError;
use firewatch_report::chart::{COLOURS, ChartFrame, ChartLine, Legend, chart};
use firewatch_report::page::HtmlPage;
use firewatch_report::table::table;

/// Renders the page.
///
/// # Errors
/// When a chart cannot be drawn.
pub fn html(tuned: &TuneResult) -> Result<String, AnalysisError> {
    let mut page = HtmlPage::new(&format!("Policy tuning for team {}", tuned.team));
    let [from, split, to] = tuned.span;
    match (tuned.chosen.and_then(|i| tuned.tried.get(i)), &tuned.gain) {
        (Some(chosen), Some(gain)) => page.lead(format_args!(
            "{}: on the later part, which the choice has not seen, {} changes by {gain}.",
            chosen.name, tuned.objective
        )),
        _ => page.lead(format_args!("No candidate keeps to {} alerts a day.", tuned.budget)),
    }
    page.note(format_args!(
        "{}: chosen on {from} to {split} for the best {} within {} alerts a day, and evaluated on {split} to \
         {to}. Intervals: 95%, by the bootstrap over conversations.",
        tuned.input, tuned.objective, tuned.budget
    ));
    tuned.warnings.iter().for_each(|warning| page.note(format_args!("Warning: {warning}.")));
    const ALERTS: AxisSpec = ("alerts a day", |p| p.alerts_per_day);
    const RECALL: AxisSpec = ("timely recall, %", |p| 100.0 * p.recall.value);
    const PRECISION: AxisSpec = ("precision, %", |p| 100.0 * p.precision.value);
    const MINUTES: AxisSpec = ("minutes gained", |p| p.minutes.value);
    let of_recall = "Share of conversations worth an alert that were alerted before they crossed the bar.";
    let of_minutes = "Mean minutes from alert to half of the reach, over all conversations worth an alert.";
    for (title, x, y, words) in [
        ("Timely recall by alerts", ALERTS, RECALL, of_recall),
        ("Precision and recall", RECALL, PRECISION, "Share of alerts that were worth it."),
        ("Lead time by alerts", ALERTS, MINUTES, of_minutes),
    ] {
        page.chart(&curve(tuned, title, x, y)?, words);
    }
    if !tuned.changed.is_empty() {
        page.heading("Changed lines of the policy");
        page.table("", &["line"], tuned.changed.iter().map(|line| vec![line.clone()]));
    }
    page.heading("All candidates");
    let row = |tried: &TriedPolicy| {
        let part = |p: &PeriodResult| {
            let shares = [&p.precision, &p.recall].map(|share| format!("{:.3}", share.value));
            [
                format!("{:.1}", p.alerts_per_day),
                shares[0].clone(),
                shares[1].clone(),
                format!("{:.1}", p.minutes.value),
            ]
        };
        [vec![tried.name.clone()], part(&tried.past).to_vec(), part(&tried.later).to_vec()].concat()
    };
    page.table(
        "The past, used for the choice, then the later part",
        &[
            "",
            "alerts a day",
            "precision",
            "recall",
            "minutes",
            "alerts a day",
            "precision",
            "recall",
            "minutes",
        ],
        std::iter::once(&tuned.current).chain(&tuned.tried).map(row),
    );
    Ok(page.finish())
}

/// The name of an axis, and the value it shows.
type AxisSpec = (&'static str, fn(&PeriodResult) -> f64);

fn curve(tuned: &TuneResult, title: &str, x: AxisSpec, y: AxisSpec) -> Result<String, AnalysisError> {
    let points = |part: fn(&TriedPolicy) -> &PeriodResult| {
        let mut points: Vec<(f64, f64)> = tuned.tried.iter().map(part).map(|p| (x.1(p), y.1(p))).collect();
        points.retain(|(x, y)| x.is_finite() && y.is_finite());
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    let line = |name: &str, points: Vec<(f64, f64)>, thin: bool, colour: usize| ChartLine {
        name: name.into(),
        points,
        thin,
        colour: COLOURS[colour],
    };
    let mut lines =
        vec![line("past", points(|t| &t.past), true, 0), line("later part", points(|t| &t.later), false, 0)];
    let dot = |p: &PeriodResult| vec![(x.1(p), y.1(p))];
    lines.push(line("current, later part", dot(&tuned.current.later), false, 1));
    if let Some(chosen) = tuned.chosen.and_then(|i| tuned.tried.get(i)) {
        lines.push(line("chosen, later part", dot(&chosen.later), false, 2));
    }
    let max_of = |of: fn(&(f64, f64)) -> f64| {
        let all = lines.iter().flat_map(|line| &line.points).map(of).filter(|v| v.is_finite());
        all.fold(1e-3, f64::max) * 1.05
    };
    let frame = ChartFrame {
        title,
        x: (x.0, 0.0..max_of(|(x, _)| *x)),
        y: (y.0, 0.0..max_of(|(_, y)| *y)),
        legend: Some(Legend::LowerRight),
    };
    chart(frame, &lines)
}

/// Returns every number as tidy CSV.
#[must_use]
pub fn tables(tuned: &TuneResult) -> String {
    let head = ["policy", "chosen", "part", "measure", "value", "low", "high"];
    let all = std::iter::once((None, &tuned.current))
        .chain(tuned.tried.iter().enumerate().map(|(i, t)| (Some(i), t)));
    let rows = all.flat_map(|(i, tried)| {
        let chosen = if i.is_some() && i == tuned.chosen { "1" } else { "0" };
        [("past", &tried.past), ("later", &tried.later)].into_iter().flat_map(move |(name, part)| {
            [
                ("told_per_day", &part.alerted_per_day),
                ("precision", &part.precision),
                ("recall", &part.recall),
                ("minutes", &part.minutes),
                ("f1", &part.f1),
            ]
            .map(|(measure, v)| {
                let [value, low, high] = [v.value, v.low, v.high].map(|v| format!("{v:.5}"));
                [tried.name.clone(), chosen.into(), name.into(), measure.into(), value, low, high]
            })
        })
    });
    table(head, rows)
}
