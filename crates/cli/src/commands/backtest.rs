//! `firewatch backtest`: runs policies over a recording and reports on their alerts.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use firewatch_backtest::labels::Labels;
use firewatch_backtest::recordings::RecordingReader;
use firewatch_backtest::run::{Backtest, BacktestPlan, BacktestReport, html, tables};
use firewatch_domain::Escalation;
use firewatch_engine::Ruleset;
use firewatch_escalation::Policy;

use crate::args::BacktestOptions;
use crate::commands::progress::{threads, work_through};
use crate::common::{Failure, load_ruleset, print_stdout, read, with_models};

/// Runs the policies over the recording, prints the report and writes the requested files.
pub fn backtest(options: &BacktestOptions) -> Result<(), Failure> {
    let plan = plan(options)?;
    let recording = options.source.open()?;
    let mut files = options.out.as_deref().map(|out| Files::make(out, &plan)).transpose()?;
    let report = run_backtest(&plan, &recording, options, &mut files)?;
    if report.survey.records == 0 {
        let nothing = || format!("{}: contains no records", plan.input);
        return Err(Failure::Running(report.partial.unwrap_or_else(nothing)));
    }
    print_stdout(&report);
    if let Some(files) = files {
        files.finish(&report)?;
    }
    match report.partial {
        None => Ok(()),
        Some(_) => Err(Failure::Running("the report covers only a part of the recording".into())),
    }
}

fn plan(options: &BacktestOptions) -> Result<BacktestPlan, Failure> {
    let files = options.source.policies(&options.policy)?;
    let first = load_ruleset(files.first().map(PathBuf::as_path))?;
    let mut policies: Vec<(String, Ruleset)> = Vec::new();
    for path in &files {
        let policy = Policy::parse(&path.display().to_string(), &read(path)?).map_err(Failure::Settings)?;
        policies.push((path.display().to_string(), first.with_policy(policy)));
    }
    if policies.is_empty() {
        policies.push(("demo".into(), first));
    }
    for models in &options.model {
        let files: Vec<PathBuf> = models.split(',').map(PathBuf::from).collect();
        let (name, first) = &policies[0];
        policies.push((format!("{name} with {models}"), with_models(first.clone(), &files)?));
    }
    let labels = options.labels.as_deref().map(Labels::read).transpose();
    let labels = labels.map_err(|e| Failure::setting("--labels", e))?;
    Ok(BacktestPlan { policies, labels, input: options.source.name(), zone: options.zone.clone() })
}

fn run_backtest(
    plan: &BacktestPlan,
    recording: &RecordingReader,
    options: &BacktestOptions,
    files: &mut Option<Files>,
) -> Result<BacktestReport, Failure> {
    let (bars, labelled) = (plan.bars(), plan.labelled());
    let mut failed = None;
    let mut write = |policy: usize, record: &Escalation| {
        if let Some(files) = files.as_mut()
            && let Err(e) = files.write(policy, record)
        {
            failed.get_or_insert(e);
        }
    };
    let backtest = Backtest::new(plan, &bars, &labelled, threads(options.threads));
    let (ended, partial) = work_through(recording, backtest, &mut write);
    if let Some(e) = failed {
        return Err(Failure::running("--out", e));
    }
    Ok(BacktestReport { partial, ..ended.report() })
}

/// The files written beside the printed report.
struct Files {
    folder: PathBuf,
    /// One file of escalations for each policy.
    escalations: Vec<BufWriter<File>>,
}

impl Files {
    fn make(folder: &Path, plan: &BacktestPlan) -> Result<Self, Failure> {
        let failed = |e| Failure::running(&folder.display().to_string(), e);
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut used = BTreeSet::new();
        let mut escalations = Vec::new();
        for (i, (name, _)) in plan.policies.iter().enumerate() {
            let (policy, _) = name.split_once(" with ").unwrap_or((name, ""));
            let stem =
                Path::new(policy).file_stem().map_or_else(|| "policy".into(), |stem| stem.to_string_lossy());
            let name =
                if used.insert(stem.to_string()) { stem.to_string() } else { format!("{stem}-{}", i + 1) };
            let file = File::create(folder.join(format!("escalations-{name}.jsonl"))).map_err(failed)?;
            escalations.push(BufWriter::new(file));
        }
        Ok(Self { folder: folder.into(), escalations })
    }

    fn write(&mut self, policy: usize, record: &Escalation) -> std::io::Result<()> {
        let Some(file) = self.escalations.get_mut(policy) else { return Ok(()) };
        serde_json::to_writer(&mut *file, record)?;
        file.write_all(b"\n")
    }

    fn finish(mut self, report: &BacktestReport) -> Result<(), Failure> {
        let failed = |e: std::io::Error| Failure::running(&self.folder.display().to_string(), e);
        self.escalations.iter_mut().try_for_each(Write::flush).map_err(failed)?;
        write_report(&self.folder, report)
    }
}

/// Writes a report to `folder` as a page, JSON and CSV.
pub fn write_report(folder: &Path, report: &BacktestReport) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::running(&folder.display().to_string(), e);
    std::fs::create_dir_all(folder).map_err(failed)?;
    let json = serde_json::to_vec_pretty(report).map_err(|e| failed(e.into()))?;
    std::fs::write(folder.join("report.json"), json).map_err(failed)?;
    let page = html(report).map_err(|e| Failure::running("render the page", e))?;
    std::fs::write(folder.join("report.html"), page).map_err(failed)?;
    for (name, csv) in tables(report) {
        std::fs::write(folder.join(name), csv).map_err(failed)?;
    }
    Ok(())
}
