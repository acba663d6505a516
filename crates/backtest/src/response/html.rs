//! Renders the response report as an HTML page.

use plotters::prelude::IntoLogRange;

use super::figures::{ReachInfluence, ResponseFigures, WaitGroup};
use super::regression::TimeRatio;
use firewatch_report::AnalysisError;
use firewatch_report::chart::{COLOURS, ChartFrame, ChartLine, Legend, bars, chart};
use firewatch_report::page::HtmlPage;

/// Maximum number of lines in a chart: one for each distinguishable colour.
const MAX_LINES: usize = COLOURS.len();
/// Minimum number of requests for a group to get a line.
const MIN_LINE_REQUESTS: usize = 10;
/// Range of the charts in minutes: one second to thirty days.
const CHART_MINUTES: (f64, f64) = (1.0 / 60.0, 43_200.0);

/// Renders the page.
///
/// # Errors
/// When a chart cannot be drawn.
pub fn html(figures: &ResponseFigures) -> Result<String, AnalysisError> {
    let mut page = HtmlPage::new("Reply times of complaints");
    if let Some(why) = &figures.partial {
        page.lead(format_args!("Partial: {why}"));
    }
    page.lead(headline(figures));
    let span = figures.span.map_or(String::new(), |(from, to)| format!(", {} to {}", day(from), day(to)));
    page.note(format_args!(
        "{}: {}{span}. Posts that could not be read: {}.",
        figures.input, figures.description, figures.unread
    ));
    figures.faults.iter().for_each(|fault| page.note(fault));
    page.heading("Time to the first public reply");
    page.table(
        "Minutes; unanswered posts count as still waiting (Kaplan-Meier); “-”: share never reached",
        &[
            "",
            "posts",
            "answered",
            "median",
            "p90",
            "within target",
            "hand-off requested",
            "median to hand-off",
        ],
        figures.groups.iter().filter(|group| !matches!(group.by, "hour")).map(row),
    );
    for (by, title) in [
        ("severity", "By severity"),
        ("reach", "By the author's followers"),
        ("brand", "By brand"),
        ("platform", "By platform"),
    ] {
        let groups: Vec<&WaitGroup> =
            figures.by(by).filter(|group| group.requests >= MIN_LINE_REQUESTS).take(MAX_LINES).collect();
        if groups.len() > 1 {
            page.chart(
                &waiting(title, &groups)?,
                &format!("{title}: share of posts still without a reply, by minutes."),
            );
        }
    }
    page.heading("By hour of the day");
    let hours: Vec<(f64, f64, f64)> = figures
        .by("hour")
        .filter_map(|group| Some((group.name.parse::<f64>().ok()?, group.median?)))
        .map(|(hour, median)| (hour + 0.1, hour + 0.9, median))
        .collect();
    let max = hours.iter().map(|(_, _, median)| *median).fold(1.0, f64::max);
    let frame = ChartFrame {
        title: "Median reply time by the hour of the post",
        x: (&format!("hour of the day, {}", figures.zone.name()), 0.0..24.0),
        y: ("minutes", 0.0..max * 1.1),
        legend: None,
    };
    let svg = bars(frame, &hours)?;
    page.chart(&svg, "Median minutes to the first reply, by the hour of the post.");
    influences(&mut page, figures);
    Ok(page.finish())
}

/// Summarises the report in one or two sentences.
fn headline(figures: &ResponseFigures) -> String {
    let Some(all) = figures.by("all").next() else { return String::new() };
    let target = figures.target;
    let median = all.median.map_or("fewer than half were ever answered".to_owned(), |m| {
        format!("median reply time {}", minutes(m))
    });
    let headline = format!(
        "{} posts: {median}; {:.0}% answered within the target of {}.",
        all.requests,
        100.0 * all.within_target,
        minutes(target)
    );
    match figures.influences.as_ref().and_then(|influences| influences.reach.as_ref()) {
        None => headline,
        Some(reach) => format!("{headline} {}", reach_sentence(reach)),
    }
}

fn reach_sentence(reach: &ReachInfluence) -> String {
    let TimeRatio { times, low, high } = reach.per_tenfold;
    if low < 1.0 && high > 1.0 {
        return format!(
            "No significant effect of reach: an author with ten times the followers waits {times:.2} times \
             as long (95% interval {low:.2} to {high:.2})."
        );
    }
    format!(
        "At equal severity and hour, an author with ten times the followers waits {times:.2} times as long \
         (95% interval {low:.2} to {high:.2}); one with {} followers waits {:.2} times as long as one \
         with {}.",
        reach.followers[2], reach.top_to_bottom.times, reach.followers[0]
    )
}

fn influences(page: &mut HtmlPage, figures: &ResponseFigures) {
    page.heading("Effect of reach on the reply time");
    if let Some(why) = &figures.untold {
        page.paragraph(format_args!("Not estimated from this input: {why}."));
    }
    let Some(influences) = &figures.influences else { return };
    let row = |name: &str, TimeRatio { times, low, high }: TimeRatio| {
        vec![name.to_owned(), format!("{times:.2}"), format!("{low:.2} to {high:.2}")]
    };
    let mut rows = Vec::new();
    if let Some(reach) = &influences.reach {
        page.paragraph(reach_sentence(reach));
        rows.push(row("ten times the followers", reach.per_tenfold));
    }
    rows.extend([
        row("anger, 90th against 10th percentile", influences.arousal),
        row("complaint probability, 90th against 10th percentile", influences.complaint),
        row("Saturday or Sunday", influences.weekend),
    ]);
    page.table(
        &format!("Ratio of reply times, other things equal; {} posts", influences.requests),
        &["", "ratio", "95% interval"],
        rows,
    );
    page.note(
        "Accelerated failure time model with logistic errors; unanswered waits are censored. It controls for \
         brand, platform and hour of the day (two harmonics). Intervals: sandwich estimator. The model shows \
         association, not causation: authors with many followers may also write at other times, about other \
         things, or better, in ways that these columns do not capture.",
    );
}

fn row(group: &WaitGroup) -> Vec<String> {
    let name = if group.by == "all" { "all".to_owned() } else { format!("{}: {}", group.by, group.name) };
    let known = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
    vec![
        name,
        group.requests.to_string(),
        group.answered.to_string(),
        known(group.median),
        known(group.p90),
        format!("{:.0}%", 100.0 * group.within_target),
        format!("{:.0}%", 100.0 * group.handed_off),
        known(group.median_hand_off),
    ]
}

fn waiting(title: &str, groups: &[&WaitGroup]) -> Result<String, AnalysisError> {
    let line = |(group, colour): (&&WaitGroup, plotters::prelude::RGBColor)| {
        let mut points = vec![(CHART_MINUTES.0, 100.0)];
        for (minutes, still) in &group.curve.steps {
            let before = points.last().map_or(100.0, |(_, y)| *y);
            let minutes = minutes.max(CHART_MINUTES.0);
            points.extend([(minutes, before), (minutes, 100.0 * still)]);
        }
        ChartLine { name: format!("{} ({})", group.name, group.requests), points, thin: false, colour }
    };
    let lines: Vec<ChartLine> = groups.iter().zip(COLOURS).map(line).collect();
    let frame = ChartFrame {
        title,
        x: ("minutes after the post", (0.1..CHART_MINUTES.1).log_scale()),
        y: ("without a reply, %", 0.0..100.0),
        legend: Some(Legend::LowerLeft),
    };
    chart(frame, &lines)
}

fn minutes(minutes: f64) -> String {
    if minutes < 100.0 { format!("{minutes:.0} min") } else { format!("{:.1} h", minutes / 60.0) }
}

fn day(at: firewatch_domain::EventTime) -> String {
    at.to_string().chars().take(10).collect()
}
