//! Compares a run with faults to an undisturbed run of the same input, and reports lost, doubled and changed
//! records.

use std::fmt;
use std::time::Duration;

use firewatch_domain::EventTime;

use crate::faults::Fault;
use crate::watch::{Name, Outputs, Seen};

/// Results of one fault.
#[derive(Debug, Clone)]
pub struct Row {
    pub fault: Fault,
    pub injected: usize,
    /// Injections that are not certain to have hit their target.
    pub missed: usize,
    pub events: u64,
    pub lost: u64,
    pub doubled: u64,
    pub changed: u64,
    pub longest_pause: Duration,
}

/// The whole comparison.
pub struct Verdict {
    pub rows: Vec<Row>,
    pub compared: usize,
    pub examples: Vec<String>,
}

impl Verdict {
    /// Compares the runs. `begins` has the event time at which the phase of each row begins.
    pub fn compare(mut rows: Vec<Row>, begins: &[EventTime], quiet: &Outputs, faulted: &Outputs) -> Self {
        let mut examples = Vec::new();
        let mut blame = |name: &Name, seen: &Seen, what: &str, n: u64, rows: &mut [Row]| {
            let at = seen.at.filter(|at| *at < EventTime::END);
            let phase = at.map_or(0, |at| begins.iter().rposition(|begin| at >= *begin).unwrap_or(0));
            let Some(row) = rows.get_mut(phase) else { return };
            *match what {
                "lost" => &mut row.lost,
                "doubled" => &mut row.doubled,
                _ => &mut row.changed,
            } += n;
            if examples.len() < 12 {
                examples.push(format!("{what}: {} {} under {}", name.0, name.2, name.1));
            }
        };
        for (name, wanted) in &quiet.records {
            let got = faulted.records.get(name);
            let times = got.map_or(0, |seen| seen.times);
            if times < wanted.times {
                blame(name, wanted, "lost", u64::from(wanted.times - times), &mut rows);
            }
            if let Some(got) =
                got.filter(|got| got.content_hash != wanted.content_hash || got.differs != wanted.differs)
            {
                blame(name, got, "changed", 1, &mut rows);
            }
        }
        for (name, got) in &faulted.records {
            let wanted = quiet.records.get(name).map_or(0, |seen| seen.times);
            if got.times > wanted {
                blame(name, got, "doubled", u64::from(got.times - wanted), &mut rows);
            }
        }
        Self { rows, compared: quiet.records.len(), examples }
    }

    /// Returns the number of lost, doubled and changed records.
    pub fn faults(&self) -> u64 {
        self.rows.iter().map(|row| row.lost + row.doubled + row.changed).sum()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| fault | injected | events | lost | doubled | changed | longest pause of a partition |"
        )?;
        writeln!(f, "|---|---:|---:|---:|---:|---:|---:|")?;
        for row in &self.rows {
            let Row { fault, injected, missed, events, lost, doubled, changed, longest_pause } = row;
            let missed = if *missed > 0 { format!(" ({missed} not shown to hit)") } else { String::new() };
            writeln!(
                f,
                "| {} | {injected}{missed} | {events} | {lost} | {doubled} | {changed} | {:.1} s |",
                fault.name(),
                longest_pause.as_secs_f64(),
            )?;
        }
        self.examples.iter().try_for_each(|example| writeln!(f, "  {example}"))
    }
}
