//! The chart of a conversation's spread and forecast, and the contributions to its risk.

use firewatch_domain::{Contribution, Score};
use plotters::prelude::*;

use super::chart::{Axes, EXPECTED_COLOUR, OBSERVED_COLOUR, svg};
use super::humanize::{count, counted};

const SIZE: (u32, u32) = (720, 300);
/// Width of the longest bar, in units of the SVG's view box.
const BAR: f64 = 100.0;

/// One contribution to the risk, as a bar.
pub struct ContributionBar {
    /// Label of the contribution.
    pub words: &'static str,
    /// The points with their sign, such as `+44.3`.
    pub points: String,
    /// Length of the bar, 0 to 100.
    pub long: f64,
    /// Whether it lowers the risk.
    pub lowers: bool,
}

/// Returns a bar for each contribution that is not zero, the largest first.
pub fn parts(contributions: &[Contribution]) -> Vec<ContributionBar> {
    let largest = contributions.iter().map(|c| c.points.value().abs()).fold(1.0, f64::max);
    let mut all: Vec<&Contribution> = contributions.iter().filter(|c| c.points.0 != 0).collect();
    all.sort_by_key(|c| std::cmp::Reverse(c.points.0.abs()));
    let part = |c: &Contribution| ContributionBar {
        words: match &*c.name {
            "base" => "baseline of any post",
            "words" => "text of the post",
            "size" => "reshares so far",
            "velocity" => "velocity",
            "reach" => "reach",
            "feedback" => "verdicts on earlier alerts",
            _ => "other",
        },
        points: format!("{:+.1}", c.points.value()),
        long: BAR * c.points.value().abs() / largest,
        lowers: c.points.0 < 0,
    };
    all.into_iter().map(part).collect()
}

/// Draws the reshares over time with the forecast and its 80% interval; returns the SVG and its text
/// alternative.
///
/// Each point is a time in milliseconds, the risk, the reshares and the reach. Returns `None` without points.
pub fn spread(points: &[(i64, f64, i64, i64)], score: &Score) -> Option<(String, String)> {
    let (first, ..) = points.first()?;
    let hours = |at: i64| (at - first) as f64 / 3_600_000.0;
    let so_far: Vec<(f64, f64)> = points.iter().map(|(at, _, n, _)| (hours(*at), *n as f64)).collect();
    let now = *so_far.last()?;
    let ahead = |field: fn(&firewatch_domain::ForecastInterval) -> u64| {
        let later = score.forecast.iter().filter_map(|forecast| {
            Some((now.0 + f64::from(forecast.hours?), now.1 + field(&forecast.reshares) as f64))
        });
        std::iter::once(now).chain(later).collect::<Vec<_>>()
    };
    let (low, expected, high) = (ahead(|r| r.low), ahead(|r| r.point), ahead(|r| r.high));
    let ends = |line: &[(f64, f64)]| line.last().map_or(now, |end| *end);
    let words = format!(
        "Reshared {} so far; forecast for 24 h from now: {} (80% interval {} to {}).",
        times(now.1),
        whole(ends(&expected).1),
        whole(ends(&low).1),
        whole(ends(&high).1)
    );
    let axes = Axes {
        x: 0.0..ends(&expected).0.max(0.1),
        y_max: ends(&high).1.max(10.0) * 1.1,
        x_label: "hours since the first score",
        y_label: "reshares",
        size: SIZE,
    };
    let svg = svg(&axes, &words, |chart| {
        let between = high.iter().chain(low.iter().rev()).copied().collect::<Vec<_>>();
        chart.draw_series([Polygon::new(between, EXPECTED_COLOUR.mix(0.2))])?;
        for (line, colour) in [(&expected, EXPECTED_COLOUR), (&so_far, OBSERVED_COLOUR)] {
            chart.draw_series(LineSeries::new(line.iter().copied(), colour.stroke_width(3)))?;
        }
        Ok(())
    })?;
    Some((svg, words))
}

fn whole(n: f64) -> String {
    count(n as u64)
}

fn times(n: f64) -> String {
    counted(n as u64, "time")
}

#[cfg(test)]
mod tests {
    use firewatch_domain::Tenths;

    use super::*;

    #[test]
    fn parts_are_in_plain_words_the_largest_first() {
        let contribution =
            |name: &'static str, tenths| Contribution { name: name.into(), points: Tenths(tenths) };
        let shown = parts(&[
            contribution("base", 0),
            contribution("reach", -50),
            contribution("words", 205),
            contribution("size", 443),
        ]);
        let shown: Vec<String> = shown
            .iter()
            .map(|part| format!("{} {} {:.0} {}", part.words, part.points, part.long, part.lowers))
            .collect();
        assert_eq!(
            shown,
            ["reshares so far +44.3 100 false", "text of the post +20.5 46 false", "reach -5.0 11 true"]
        );
    }

    #[test]
    fn a_chart_has_a_text_alternative() {
        let score = serde_json::json!({
            "v": 1, "id": "i", "conversation": "c", "at": "2026-03-10T15:00:00Z", "risk": 20.0, "risk_low": 20.0,
            "risk_high": 20.0, "complaint": 0.9, "viral": 0.2, "flags": [],
            "reach": { "low": 1, "estimate": 1, "high": 1, "unknown": 0 },
            "velocity": { "per_minute_1": 0.0, "per_minute_5": 0.0, "per_minute_60": 0.0, "discounted_5": 0.0, "trend": 0.0 },
            "forecast": [
                { "hours": 1, "reshares": { "low": 1, "expected": 5, "high": 9 }, "reach": { "low": 0, "expected": 0, "high": 0 } },
                { "hours": 24, "reshares": { "low": 10, "expected": 60, "high": 300 }, "reach": { "low": 0, "expected": 0, "high": 0 } },
                { "reshares": { "low": 10, "expected": 70, "high": 400 }, "reach": { "low": 0, "expected": 0, "high": 0 } },
            ],
            "engagements": { "reshares": 40, "replies": 0, "quotes": 0, "likes": 0 }, "contributions": [], "reasons": ["r"],
        });
        let score: Score = serde_json::from_value(score).unwrap();
        let (svg, words) = spread(&[(0, 1.0, 0, 1), (3_600_000, 20.0, 40, 9)], &score).unwrap();
        assert_eq!(
            words,
            "Reshared 40 times so far; forecast for 24 h from now: 100 (80% interval 50 to 340)."
        );
        assert!(
            svg.starts_with("<svg role=\"img\" aria-label=\"Reshared 40 times so far")
                && svg.contains("<polygon"),
            "{svg}"
        );
        assert!(!svg.contains("style=") && spread(&[], &score).is_none());
    }
}
