//! The feedback report: precision of judged alerts by team, route and level.
//!
//! A verdict is an action of the kind `useful` or `noise`. It applies to the latest earlier alert of its
//! conversation, for its team or, without one, for every alerted team; the last verdict on an alert counts.
//! [`recalibrate()`] learns a calibration of the risk from the same verdicts.

mod page;
mod recalibrate;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use firewatch_domain::{Action, Escalation, EscalationChange, EventTime};
use firewatch_engine::{Record, Stream};
use serde::Serialize;

pub use page::{html, tables};
pub use recalibrate::{LearnedCalibration, RecalibrateError, recalibrate};

use crate::lines::each_line;
use crate::recordings::{Place, decode_record};
use crate::run::Alert;
use firewatch_report::AnalysisError;

/// Name shown for alerts without a route: storms and digests.
const NO_ROUTE: &str = "-";

/// An alert and its verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedAlert {
    /// The alert.
    pub alert: Alert,
    /// Whether it was useful; `None` if nobody judged it.
    pub useful: Option<bool>,
}

/// Collects alerts and verdicts.
#[derive(Debug, Default)]
pub struct Feedback {
    alerts: Vec<JudgedAlert>,
    verdicts: Vec<Action>,
    /// Descriptions of the first records that could not be read.
    pub faults: Vec<String>,
    /// Number of records that could not be read.
    pub rejected: u64,
}

/// Maximum number of faults listed.
const MAX_REPORTED_FAULTS: usize = 5;

impl Feedback {
    /// Adds a record of an escalation topic; `place` names it in a fault.
    pub fn escalation(&mut self, place: impl fmt::Display, value: &[u8]) {
        match serde_json::from_slice::<Escalation>(value) {
            Ok(record) if record.change == EscalationChange::Opened => {
                self.alerts.push(JudgedAlert { alert: Alert::from_escalation(&record), useful: None });
            }
            Ok(_) => {}
            Err(e) => self.fault(place, &e),
        }
    }

    /// Adds a record of the actions topic; `place` names it in a fault.
    pub fn action(&mut self, place: impl fmt::Display, value: &[u8]) {
        match decode_record(Stream::Actions, Place { source: 0, number: 0 }, value) {
            Ok(Record::Action(action)) if action.kind.verdict().is_some() => {
                self.verdicts.push(action);
            }
            Ok(_) => {}
            Err(e) => self.fault(place, &e),
        }
    }

    /// Reads both from files of JSON lines, plain or compressed.
    ///
    /// # Errors
    /// When a file cannot be read to its end.
    pub fn read(escalations: &Path, actions: &Path) -> Result<Self, AnalysisError> {
        let mut feedback = Self::default();
        let place = |path: &Path, line: u64| format!("{}, line {line}", path.display());
        each_line(escalations, |line, value| feedback.escalation(place(escalations, line), value))?;
        each_line(actions, |line, value| feedback.action(place(actions, line), value))?;
        Ok(feedback)
    }

    fn fault(&mut self, place: impl fmt::Display, problem: &impl fmt::Display) {
        self.rejected += 1;
        if self.faults.len() < MAX_REPORTED_FAULTS {
            self.faults.push(format!("{place}: {problem}"));
        }
    }

    /// Returns the alerts in the order of time, each with its verdict.
    #[must_use]
    pub fn judged(mut self) -> Vec<JudgedAlert> {
        let order = |alert: &Alert| (alert.at, alert.conversation.clone(), alert.team.clone());
        self.alerts.sort_by_cached_key(|judged| order(&judged.alert));
        self.verdicts.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        let mut alerts_by_key: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
        for (i, JudgedAlert { alert, .. }) in self.alerts.iter().enumerate() {
            alerts_by_key.entry((&alert.conversation, &alert.team)).or_default().push(i);
        }
        let mut judged: Vec<(usize, bool)> = Vec::new();
        for verdict in &self.verdicts {
            let is_of = |(conversation, team): &(&str, &str)| {
                *conversation == verdict.conversation
                    && verdict.team.as_deref().is_none_or(|wanted| wanted == *team)
            };
            let all = alerts_by_key.range((verdict.conversation.as_str(), "")..);
            for (_, alerts) in
                all.take_while(|((c, _), _)| *c == verdict.conversation).filter(|(key, _)| is_of(key))
            {
                let latest = alerts.iter().rev().find(|i| self.alerts[**i].alert.at <= verdict.at);
                judged.extend(latest.copied().zip(verdict.kind.verdict()));
            }
        }
        for (i, useful) in judged {
            self.alerts[i].useful = Some(useful);
        }
        self.alerts
    }
}

/// The precision of a group of alerts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeedbackRow {
    /// The team.
    pub team: String,
    /// The route; `None` for all routes.
    pub route: Option<String>,
    /// The level; `None` for all levels.
    pub level: Option<&'static str>,
    /// Number of alerts.
    pub alerts: u64,
    /// Alerts with a verdict.
    pub judged: u64,
    /// Alerts judged useful.
    pub useful: u64,
    /// Share of the judged alerts that were useful; `None` without a verdict.
    pub precision: Option<f64>,
    /// 95% interval of the precision (Wilson 1927).
    pub interval: Option<(f64, f64)>,
}

/// The feedback report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeedbackReport {
    /// Name of the input.
    pub input: String,
    /// Times of the first and the last alert.
    pub span: Option<(EventTime, EventTime)>,
    /// Rows by team, by team and route, and by team, route and level.
    pub rows: Vec<FeedbackRow>,
    /// The learned calibration, if one was requested and the verdicts were enough.
    pub learned: Option<LearnedCalibration>,
    /// Number of records that could not be read.
    pub rejected: u64,
    /// Descriptions of the first of them.
    pub faults: Vec<String>,
}

/// A team, a route and a level.
type Key<'a> = (&'a str, Option<&'a str>, Option<&'static str>);

impl FeedbackReport {
    /// Builds the report from alerts in the order of time.
    #[must_use]
    pub fn from_alerts(input: &str, alerts: &[JudgedAlert]) -> Self {
        let mut rows: BTreeMap<Key<'_>, [u64; 3]> = BTreeMap::new();
        for JudgedAlert { alert, useful: verdict } in alerts {
            let (team, route) = (alert.team.as_str(), Some(alert.route.as_deref().unwrap_or(NO_ROUTE)));
            for key in [(team, None, None), (team, route, None), (team, route, Some(alert.level.as_str()))] {
                let [all, judged, useful] = rows.entry(key).or_default();
                *all += 1;
                *judged += u64::from(verdict.is_some());
                *useful += u64::from(*verdict == Some(true));
            }
        }
        let row = |((team, route, level), [alerts, judged, useful]): (Key<'_>, [u64; 3])| FeedbackRow {
            team: team.into(),
            route: route.map(Into::into),
            level,
            alerts,
            judged,
            useful,
            precision: (judged > 0).then(|| useful as f64 / judged as f64),
            interval: wilson(useful, judged),
        };
        Self {
            input: input.into(),
            span: alerts.first().zip(alerts.last()).map(|(first, last)| (first.alert.at, last.alert.at)),
            rows: rows.into_iter().map(row).collect(),
            learned: None,
            rejected: 0,
            faults: vec![],
        }
    }
}

/// Returns the 95% interval of a share (Wilson 1927); `None` if `total` is 0.
fn wilson(hits: u64, total: u64) -> Option<(f64, f64)> {
    const Z: f64 = 1.959_964;
    if total == 0 {
        return None;
    }
    let (n, p) = (total as f64, hits as f64 / total as f64);
    let middle = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    Some((((middle - half) / scale).max(0.0), ((middle + half) / scale).min(1.0)))
}

impl fmt::Display for FeedbackReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.input)?;
        if let Some((from, to)) = self.span {
            write!(f, ": alerts of {from} to {to}")?;
        }
        writeln!(f)?;
        for fault in &self.faults {
            writeln!(f, "  {fault}")?;
        }
        if self.rejected > self.faults.len() as u64 {
            writeln!(f, "  {} records in total could not be read", self.rejected)?;
        }
        writeln!(f, "\n{:<40} {:>7} {:>7} {:>7}  precision (95%)", "", "alerts", "judged", "useful")?;
        for row in &self.rows {
            let name = match (&row.route, row.level) {
                (None, _) => row.team.clone(),
                (Some(route), None) => format!("  {route}"),
                (Some(_), Some(level)) => format!("    {level}"),
            };
            let FeedbackRow { alerts, judged, useful, .. } = row;
            writeln!(f, "{name:<40} {alerts:>7} {judged:>7} {useful:>7}  {}", row.describe_precision())?;
        }
        if self.rows.iter().all(|row| row.judged == 0) {
            writeln!(
                f,
                "\nno alert was judged: send actions of the kind `useful` or `noise` for its conversation"
            )?;
        }
        self.learned.iter().try_for_each(|learned| write!(f, "\n{learned}"))
    }
}

impl FeedbackRow {
    /// Returns the precision with its interval in percent, or `-`.
    fn describe_precision(&self) -> String {
        match (self.precision, self.interval) {
            (Some(p), Some((low, high))) => {
                format!("{:.0}% ({:.0} to {:.0})", 100.0 * p, 100.0 * low, 100.0 * high)
            }
            _ => "-".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escalation(conversation: &str, team: &str, hour: u32, news: &str) -> String {
        format!(
            r#"{{"v":1,"id":"{conversation}/{hour}","escalation":"e","step":0,"news":"{news}","state":"open","team":"{team}","level":"low","conversation":"{conversation}","at":"2026-03-01T{hour:02}:00:00Z","risk":20.0,"reasons":["x"],"route":"viral","policy":"p","policy_hash":"h"}}"#
        )
    }

    fn verdict(conversation: &str, kind: &str, hour: u32, team: &str) -> String {
        let team = if team.is_empty() { String::new() } else { format!(r#","team":"{team}""#) };
        format!(
            r#"{{"v":1,"id":"v{hour}","conversation":"{conversation}","at":"2026-03-01T{hour:02}:30:00Z","by":"kim","kind":"{kind}"{team}}}"#
        )
    }

    #[test]
    fn a_verdict_holds_for_the_latest_alert_before_it_and_the_last_one_counts() {
        let mut feedback = Feedback::default();
        for (conversation, team, hour, news) in [
            ("a", "pr", 1, "opened"),
            ("a", "support", 2, "opened"),
            ("a", "pr", 3, "moved"),
            ("a", "pr", 5, "opened"),
            ("b", "pr", 1, "opened"),
            ("c", "pr", 9, "opened"),
        ] {
            feedback.escalation("e", escalation(conversation, team, hour, news).as_bytes());
        }
        for (conversation, kind, hour, team) in [
            ("a", "useful", 4, ""),
            ("a", "noise", 6, "pr"),
            ("b", "noise", 2, ""),
            ("b", "useful", 3, ""),
            // Before any alert, and for a conversation without alerts.
            ("c", "useful", 8, ""),
            ("d", "useful", 8, ""),
            ("a", "acknowledge", 8, ""),
        ] {
            feedback.action("a", verdict(conversation, kind, hour, team).as_bytes());
        }
        feedback.action("actions.jsonl, line 9", b"{}");
        assert_eq!((feedback.rejected, feedback.faults[0].starts_with("actions.jsonl, line 9: ")), (1, true));
        let judged: Vec<String> = feedback
            .judged()
            .iter()
            .map(|judged| format!("{} {} {:?}", judged.alert.conversation, judged.alert.team, judged.useful))
            .collect();
        let wanted =
            ["a pr Some(true)", "b pr Some(true)", "a support Some(true)", "a pr Some(false)", "c pr None"];
        assert_eq!(judged, wanted);
    }

    #[test]
    fn precision_has_the_interval_of_wilson() {
        // Newcombe 1998, table I: 81 of 263 and 0 of 20.
        let near = |(low, high): (f64, f64), wanted: (f64, f64)| {
            assert!((low - wanted.0).abs() < 5e-5 && (high - wanted.1).abs() < 5e-5, "{low} {high}");
        };
        near(wilson(81, 263).unwrap(), (0.2553, 0.3662));
        near(wilson(0, 20).unwrap(), (0.0, 0.1611));
        assert_eq!(wilson(0, 0), None);
    }
}
