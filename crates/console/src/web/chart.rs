//! Charts as SVG, each with the same in words for who cannot see it.

use std::error::Error;
use std::ops::Range;

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

/// What was seen, in every chart.
pub const OBSERVED_COLOUR: RGBColor = RGBColor(0, 114, 178);
/// What is expected, or usual.
pub const EXPECTED_COLOUR: RGBColor = RGBColor(213, 94, 0);

/// The axes of a chart.
pub struct Axes {
    pub x: Range<f64>,
    /// Where the other one, which begins at 0, ends.
    pub y_max: f64,
    pub x_label: &'static str,
    pub y_label: &'static str,
    /// In pixels.
    pub size: (u32, u32),
}

/// What is drawn on.
pub type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// A chart that says what it shows.
pub fn svg(
    axes: &Axes,
    words: &str,
    draw: impl FnOnce(&mut Chart<'_, '_>) -> Result<(), Box<dyn Error>>,
) -> Option<String> {
    let mut svg = String::new();
    draw_svg(axes, &mut svg, draw).ok()?;
    Some(svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{words}\" "), 1))
}

fn draw_svg(
    axes: &Axes,
    svg: &mut String,
    draw: impl FnOnce(&mut Chart<'_, '_>) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::with_string(svg, axes.size).into_drawing_area();
    area.fill(&WHITE)?;
    // Room for letters that a phone shows larger.
    let mut chart = ChartBuilder::on(&area)
        .margin(10)
        .x_label_area_size(50)
        .y_label_area_size(76)
        .build_cartesian_2d(axes.x.clone(), 0.0..axes.y_max)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&|x| format!("{}", x.round() as i64))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .x_desc(axes.x_label)
        .y_desc(axes.y_label)
        .draw()?;
    draw(&mut chart)?;
    area.present()?;
    Ok(())
}
