//! Charts as SVG, each with a text alternative for screen readers.

use std::error::Error;
use std::ops::Range;

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

/// Colour of observed values.
pub const OBSERVED_COLOUR: RGBColor = RGBColor(0, 114, 178);
/// Colour of forecast or usual values.
pub const EXPECTED_COLOUR: RGBColor = RGBColor(213, 94, 0);

/// Ranges and labels of a chart's axes.
pub struct Axes {
    pub x: Range<f64>,
    /// Upper end of the vertical axis, which starts at 0.
    pub y_max: f64,
    pub x_label: &'static str,
    pub y_label: &'static str,
    /// Width and height in pixels.
    pub size: (u32, u32),
}

/// A chart with linear axes, drawn as SVG.
pub type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Draws a chart and adds `words` as its `aria-label`; returns `None` if drawing fails.
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
    // Leave room for the larger letters on a phone.
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
