//! Writes every number of a report as tidy CSV, one observation per row, which pandas, polars and
//! spreadsheets can read.

use firewatch_domain::EventTime;

use super::report::BacktestReport;
use super::verdicts::quantile;
use firewatch_report::table::table;

/// Returns the tables, each with its file name.
#[must_use]
pub fn tables(report: &BacktestReport) -> Vec<(&'static str, String)> {
    vec![
        ("by_level.csv", by_level(report)),
        ("by_day.csv", by_day(report)),
        ("by_hour.csv", by_hour(report)),
        ("judged.csv", judged(report)),
        ("differ.csv", differ(report)),
    ]
}

fn by_level(report: &BacktestReport) -> String {
    let rows = report.policies.iter().flat_map(|policy| {
        policy
            .by_level
            .iter()
            .map(|(team, level, n)| [policy.name.clone(), team.clone(), level.clone(), n.to_string()])
    });
    table(["policy", "team", "level", "alerts"], rows)
}

fn by_day(report: &BacktestReport) -> String {
    let rows = report.policies.iter().flat_map(|policy| {
        policy
            .by_day
            .iter()
            .map(|(day, team, n)| [policy.name.clone(), date(*day), team.clone(), n.to_string()])
    });
    table(["policy", "day", "team", "alerts"], rows)
}

fn by_hour(report: &BacktestReport) -> String {
    let rows = report.policies.iter().flat_map(|policy| {
        policy
            .by_hour
            .iter()
            .map(|(hour, team, n)| [policy.name.clone(), hour.to_string(), team.clone(), n.to_string()])
    });
    table(["policy", "hour", "team", "alerts"], rows)
}

fn judged(report: &BacktestReport) -> String {
    const HEAD: [&str; 14] = [
        "policy",
        "team",
        "told",
        "right",
        "in_time",
        "wanted",
        "precision",
        "recall",
        "minutes_gained_p25",
        "minutes_gained_p50",
        "minutes_gained_p75",
        "reach_to_come_p50",
        "answered_minutes_p50",
        "answered_minutes_p90",
    ];
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.4}"));
    let rows = report.policies.iter().flat_map(|policy| {
        policy.judged.iter().map(move |j| {
            let at = |values: &[f64], q| number(quantile(values, q));
            [
                policy.name.clone(),
                j.team.clone(),
                j.alerted.to_string(),
                j.right.to_string(),
                j.in_time.to_string(),
                j.wanted.to_string(),
                number(j.precision()),
                number(j.recall()),
                at(&j.lead_minutes, 0.25),
                at(&j.lead_minutes, 0.5),
                at(&j.lead_minutes, 0.75),
                at(&j.reach_to_come, 0.5),
                at(&j.answered, 0.5),
                at(&j.answered, 0.9),
            ]
        })
    });
    table(HEAD, rows)
}

fn differ(report: &BacktestReport) -> String {
    let rows = report.differ.iter().flat_map(|differs| {
        let wanted = differs.wanted.map_or("", |wanted| if wanted { "1" } else { "0" });
        let policies = report.policies.iter().zip(&differs.alerts).zip(&differs.held_back);
        policies.flat_map(move |((policy, alerts), held_back)| {
            let row = |team: &str, at: String, level: String, reason: &str| {
                let (id, reach) = (
                    differs.conversation.clone(),
                    differs.reach.map_or_else(String::new, |reach| reach.to_string()),
                );
                let held_back = held_back.unwrap_or_default().into();
                [
                    id,
                    reach,
                    wanted.into(),
                    policy.name.clone(),
                    team.into(),
                    at,
                    level,
                    reason.into(),
                    held_back,
                ]
            };
            let of_alert = |a: &super::Alert| row(&a.team, a.at.to_string(), a.level.to_string(), &a.reason);
            let none = alerts.is_empty().then(|| row("", String::new(), String::new(), ""));
            none.into_iter().chain(alerts.iter().map(of_alert)).collect::<Vec<_>>()
        })
    });
    table(["conversation", "reach", "wanted", "policy", "team", "at", "level", "reason", "held_back"], rows)
}

/// Returns the date of a time.
fn date(at: EventTime) -> String {
    at.to_string().chars().take(10).collect()
}
