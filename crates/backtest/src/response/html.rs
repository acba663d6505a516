//! The report on response times as a page.

use plotters::prelude::IntoLogRange;

use super::figures::{Figures, Group, ReachInfluence};
use super::regression::Effect;
use firewatch_report::AnalysisError;
use firewatch_report::chart::{COLOURS, Frame, Legend, Line, bars, chart};
use firewatch_report::page::Page;

/// Lines of a chart at most: the colours that can be told apart.
const LINES: usize = COLOURS.len();
/// Requests that a group needs for a line of its own.
const OWN_LINE: usize = 10;
/// The span of the charts, in minutes: a second to thirty days.
const SPAN: (f64, f64) = (1.0 / 60.0, 43_200.0);

/// Draws the page.
///
/// # Errors
/// When a chart cannot be drawn.
pub fn html(figures: &Figures) -> Result<String, AnalysisError> {
    let mut page = Page::new("How long complaints wait for an answer");
    if let Some(why) = &figures.partial {
        page.lead(format_args!("Partial: {why}"));
    }
    page.lead(answer(figures));
    let span = figures.span.map_or(String::new(), |(from, to)| format!(", {} to {}", day(from), day(to)));
    page.note(format_args!(
        "{}: {}{span}. Posts that could not be read: {}.",
        figures.input, figures.about, figures.unread
    ));
    figures.faults.iter().for_each(|fault| page.note(fault));
    page.heading("Until the first answer in public");
    page.table(
        "Minutes, with those that were not answered counted as waiting; “-” where it never came to that",
        &[
            "",
            "posts",
            "answered",
            "median",
            "nine in ten",
            "within target",
            "asked into private",
            "median until then",
        ],
        figures.groups.iter().filter(|group| !matches!(group.by, "hour")).map(row),
    );
    for (by, title) in [
        ("severity", "By severity"),
        ("reach", "By the author's followers"),
        ("brand", "By brand"),
        ("platform", "By platform"),
    ] {
        let groups: Vec<&Group> =
            figures.by(by).filter(|group| group.requests >= OWN_LINE).take(LINES).collect();
        if groups.len() > 1 {
            page.chart(
                &waiting(title, &groups)?,
                &format!("{title}: the share of posts that still waits, by minutes."),
            );
        }
    }
    page.heading("Through the day");
    let hours: Vec<(f64, f64, f64)> = figures
        .by("hour")
        .filter_map(|group| Some((group.name.parse::<f64>().ok()?, group.median?)))
        .map(|(hour, median)| (hour + 0.1, hour + 0.9, median))
        .collect();
    let most = hours.iter().map(|(_, _, median)| *median).fold(1.0, f64::max);
    let frame = Frame {
        title: "Median wait by the hour of the post",
        x: (&format!("hour of the day, {}", figures.zone.name()), 0.0..24.0),
        y: ("minutes", 0.0..most * 1.1),
        legend: None,
    };
    let svg = bars(frame, &hours)?;
    page.chart(&svg, "Half of the posts of an hour are answered within so many minutes.");
    influences(&mut page, figures);
    Ok(page.finish())
}

/// What the report says, in a sentence.
fn answer(figures: &Figures) -> String {
    let Some(all) = figures.by("all").next() else { return String::new() };
    let target = figures.target;
    let median = all.median.map_or("not half are ever answered".to_owned(), |m| {
        format!("half are answered within {}", minutes(m))
    });
    let said = format!(
        "Of {} posts, {median}; {:.0}% are within the target of {}.",
        all.requests,
        100.0 * all.within_target,
        minutes(target)
    );
    match figures.influences.as_ref().and_then(|influences| influences.reach.as_ref()) {
        None => said,
        Some(reach) => format!("{said} {}", of_reach(reach)),
    }
}

fn of_reach(reach: &ReachInfluence) -> String {
    let Effect { times, low, high } = reach.per_tenfold;
    if low < 1.0 && high > 1.0 {
        return format!(
            "Whether reach matters cannot be told: an author with ten times the followers waits {times:.2} times as long, and \
             anything from {low:.2} to {high:.2} fits."
        );
    }
    format!(
        "At equal severity and hour, an author with ten times the followers waits {times:.2} times as long ({low:.2} to \
         {high:.2}); one with {} followers waits {:.2} times as long as one with {}.",
        reach.followers[2], reach.top_to_bottom.times, reach.followers[0]
    )
}

fn influences(page: &mut Page, figures: &Figures) {
    page.heading("How much of a fast reply is owed to reach");
    if let Some(why) = &figures.untold {
        page.paragraph(format_args!("That cannot be told from this input: {why}."));
    }
    let Some(told) = &figures.influences else { return };
    let row = |name: &str, Effect { times, low, high }: Effect| {
        vec![name.to_owned(), format!("{times:.2}"), format!("{low:.2} to {high:.2}")]
    };
    let mut rows = Vec::new();
    if let Some(reach) = &told.reach {
        page.paragraph(of_reach(reach));
        rows.push(row("ten times the followers", reach.per_tenfold));
    }
    rows.extend([
        row("angry: the ninth tenth of the posts against the first", told.arousal),
        row("sure to be a complaint: likewise", told.complaint),
        row("Saturday or Sunday", told.weekend),
    ]);
    page.table(
        &format!("How many times as long the wait is, other things equal; from {} posts", told.requests),
        &["", "times", "95% interval"],
        rows,
    );
    page.note(
        "An accelerated failure time model with logistic errors; waits without an answer count as longer than they were \
         watched; brands, platforms and the hour of the day (as a wave and its overtone) are held equal; intervals by the \
         sandwich. It tells what goes together, not what causes what: who has many followers may also write at other times, \
         about other things, or better, in ways that these columns do not hold.",
    );
}

fn row(group: &Group) -> Vec<String> {
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

fn waiting(title: &str, groups: &[&Group]) -> Result<String, AnalysisError> {
    let line = |(group, colour): (&&Group, plotters::prelude::RGBColor)| {
        let mut points = vec![(SPAN.0, 100.0)];
        for (minutes, still) in &group.curve.steps {
            let before = points.last().map_or(100.0, |(_, y)| *y);
            let minutes = minutes.max(SPAN.0);
            points.extend([(minutes, before), (minutes, 100.0 * still)]);
        }
        Line { name: format!("{} ({})", group.name, group.requests), points, thin: false, colour }
    };
    let lines: Vec<Line> = groups.iter().zip(COLOURS).map(line).collect();
    let frame = Frame {
        title,
        x: ("minutes after the post", (0.1..SPAN.1).log_scale()),
        y: ("still waiting, %", 0.0..100.0),
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
