//! The chart of a storm's complaints against their usual volume, with its text alternative.

use firewatch_domain::EventTime;
use plotters::prelude::*;

use super::chart::{Axes, EXPECTED_COLOUR, OBSERVED_COLOUR, svg};
use super::humanize::counted;
use crate::store::{StormDetail, VOLUME_SLOT};

const SIZE: (u32, u32) = (720, 260);

/// Draws complaints per five minutes against the usual number; returns the SVG and its text alternative, or
/// `None` if there are no counts yet.
pub fn volume(storm: &StormDetail) -> Option<(String, String)> {
    let (at, peak, usual) = storm.volume.iter().copied().max_by_key(|(_, n, _)| *n)?;
    let at = EventTime::from_millis(at).to_string();
    let clock = at.get(11..16).unwrap_or_default();
    let words = format!(
        "Peak: {} in five minutes from {clock} UTC; usual at that time: about {usual:.0}.",
        counted(peak as u64, "complaint"),
    );
    let slots = &storm.volume;
    let minutes = |i: usize| i as f64 * VOLUME_SLOT.as_millis() as f64 / 60_000.0;
    // Minutes relative to the storm's first post; the chart starts before it.
    let first = slots.first().map_or(0.0, |(at, ..)| (at - storm.from.as_millis()) as f64 / 60_000.0);
    let axes = Axes {
        x: first..first + minutes(slots.len()),
        y_max: slots.iter().map(|(_, n, usual)| usual.max(*n as f64)).fold(5.0, f64::max) * 1.1,
        x_label: "minutes since the first post",
        y_label: "complaints per five minutes",
        size: SIZE,
    };
    let svg = svg(&axes, &words, |chart| {
        chart.draw_series(slots.iter().enumerate().map(|(i, (_, n, _))| {
            let (left, right) = (first + minutes(i), first + minutes(i + 1));
            Rectangle::new([(left, 0.0), (right, *n as f64)], OBSERVED_COLOUR.mix(0.75).filled())
        }))?;
        let middle = |i| first + minutes(i) + minutes(1) / 2.0;
        let usual = slots.iter().enumerate().map(|(i, (.., usual))| (middle(i), *usual));
        chart.draw_series(LineSeries::new(usual, EXPECTED_COLOUR.stroke_width(3)))?;
        Ok(())
    })?;
    Some((svg, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_a_text_alternative() {
        let start = EventTime::parse("2026-03-10T14:00:00Z").unwrap();
        let slot = |i: i64, n, usual| (start.as_millis() + i * 300_000, n, usual);
        let slots = vec![slot(-1, 3, 2.0), slot(0, 41, 2.4), slot(1, 12, 2.0)];
        let storm = StormDetail { volume: slots, from: start, members: vec![], count: 0, words: vec![] };
        let (svg, words) = volume(&storm).unwrap();
        assert_eq!(words, "Peak: 41 complaints in five minutes from 14:00 UTC; usual at that time: about 2.");
        assert!(svg.starts_with("<svg role=\"img\" aria-label=\"Peak: 41") && !svg.contains("style="));
        assert!(volume(&StormDetail { volume: vec![], ..storm }).is_none());
    }
}
