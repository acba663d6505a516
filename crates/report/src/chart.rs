//! Charts as SVG. Black and white stand for the page's text and background colours, which its style sheet may
//! change.

use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::AnalysisError;

pub use plotters::prelude::SeriesLabelPosition as Legend;

const SIZE: (u32, u32) = (720, 440);
/// The palette of Okabe and Ito (2008), which colour-blind people can distinguish.
pub const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
];

/// A line of a chart; a single point is drawn as a dot.
pub struct ChartLine {
    /// The name in the legend.
    pub name: String,
    /// The points, in the units of the axes.
    pub points: Vec<(f64, f64)>,
    /// Draws a thin line: a comparison, not the subject.
    pub thin: bool,
    /// The colour.
    pub colour: RGBColor,
}

/// The title, axes and legend of a chart.
pub struct ChartFrame<'a, X> {
    /// The title above the chart.
    pub title: &'a str,
    /// The horizontal axis: its label and range.
    pub x: (&'a str, X),
    /// The vertical axis: its label and range.
    pub y: (&'a str, std::ops::Range<f64>),
    /// Position of the legend; `None` for a chart without one.
    pub legend: Option<Legend>,
}

/// The title and the axis labels of a chart.
pub struct ChartLabels<'a> {
    /// The title above the chart.
    pub title: &'a str,
    /// The label of the horizontal axis.
    pub x: &'a str,
    /// The label of the vertical axis.
    pub y: &'a str,
}

/// A chart in progress.
type Chart<'a, 'b, X> =
    ChartContext<'a, SVGBackend<'b>, Cartesian2d<<X as AsRangedCoord>::CoordDescType, RangedCoordf64>>;

/// Draws a reliability diagram: observed against predicted percentages, with the diagonal of perfect
/// calibration.
///
/// # Errors
/// When the chart cannot be drawn, for example with an empty axis.
pub fn reliability(
    labels: &ChartLabels<'_>,
    lines: Vec<(String, Vec<(f64, f64)>)>,
) -> Result<String, AnalysisError> {
    let ChartLabels { title, x, y } = *labels;
    let equal = ("perfect calibration".to_owned(), vec![(0.0, 0.0), (100.0, 100.0)]);
    let last = lines.len();
    let lines: Vec<ChartLine> = lines
        .into_iter()
        .chain([equal])
        .zip(COLOURS.into_iter().cycle())
        .enumerate()
        .map(|(i, ((name, points), colour))| ChartLine { name, points, thin: i == last, colour })
        .collect();
    chart(
        ChartFrame { title, x: (x, 0.0..100.0), y: (y, 0.0..100.0), legend: Some(Legend::UpperLeft) },
        &lines,
    )
}

/// Draws lines as SVG.
///
/// # Errors
/// When the chart cannot be drawn, for example with an empty axis.
pub fn chart<X>(frame: ChartFrame<'_, X>, lines: &[ChartLine]) -> Result<String, AnalysisError>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
{
    draw_framed(SIZE, frame, |chart| {
        for ChartLine { name, points, thin, colour } in lines {
            let style = colour.stroke_width(if *thin { 1 } else { 3 });
            let drawn = match points.as_slice() {
                [one] => chart.draw_series([Circle::new(*one, 6, colour.filled())]),
                line => chart.draw_series(LineSeries::new(line.iter().copied(), style)),
            };
            drawn
                .map_err(chart_error)?
                .label(name)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 20, y)], style));
        }
        Ok(())
    })
}

/// Draws bars as SVG; each bar is its left edge, right edge and height.
///
/// # Errors
/// When the chart cannot be drawn, for example with an empty axis.
pub fn bars(
    frame: ChartFrame<'_, std::ops::Range<f64>>,
    bars: &[(f64, f64, f64)],
) -> Result<String, AnalysisError> {
    draw_framed((SIZE.0, SIZE.1 / 2), frame, |chart| {
        let bar = |(from, to, high): &(f64, f64, f64)| {
            Rectangle::new([(*from, 0.0), (*to, *high)], COLOURS[0].filled())
        };
        chart.draw_series(bars.iter().map(bar)).map(|_| ()).map_err(chart_error)
    })
}

/// Draws a frame and, within it, whatever `draw` adds.
fn draw_framed<X>(
    size: (u32, u32),
    frame: ChartFrame<'_, X>,
    draw: impl FnOnce(&mut Chart<'_, '_, X>) -> Result<(), AnalysisError>,
) -> Result<String, AnalysisError>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
{
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE).map_err(chart_error)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(frame.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(64)
            .build_cartesian_2d(frame.x.1, frame.y.1)
            .map_err(chart_error)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_label_formatter(&|x| format_tick(*x))
            .y_label_formatter(&|y| format_tick(*y))
            .x_desc(frame.x.0)
            .y_desc(frame.y.0)
            .draw()
            .map_err(chart_error)?;
        draw(&mut chart)?;
        if let Some(legend) = frame.legend {
            let mut labels = chart.configure_series_labels();
            labels.background_style(WHITE.mix(0.8)).position(legend).draw().map_err(chart_error)?;
        }
        area.present().map_err(chart_error)?;
    }
    Ok(svg)
}

/// Formats a number on an axis with at most three decimals and no trailing zeros.
fn format_tick(x: f64) -> String {
    let rounded = (x * 1000.0).round() / 1000.0;
    format!("{rounded}")
}

fn chart_error(e: impl std::fmt::Display) -> AnalysisError {
    AnalysisError::Step(format!("the chart failed: {e}"))
}
