//! `firewatch report`: a brand's response times, people's verdicts on alerts, and drift of the scores.

use std::io::Write;
use std::path::Path;

use firewatch_backtest::drift::{self, Drift, Scores};
use firewatch_backtest::feedback::{self, Feedback, FeedbackReport, JudgedAlert, recalibrate};
use firewatch_backtest::response::{self, ResponseFigures, csv, html};
use firewatch_domain::EventTime;
use firewatch_scoring::Calibration;

use crate::args::{DriftOptions, FeedbackOptions, OutcomeOptions, ReportCommand, ResponseOptions};
use crate::commands::recording_input::read_records;
use crate::common::{Failure, count, load_ruleset, print_stdout, read, write};
use crate::config;

/// Writes the requested report.
pub fn report(what: &ReportCommand) -> Result<(), Failure> {
    match what {
        ReportCommand::Response(options) => response(options),
        ReportCommand::Feedback(options) => feedback(options),
        ReportCommand::Drift(options) => drift(options),
    }
}

fn response(options: &ResponseOptions) -> Result<(), Failure> {
    let ruleset = load_ruleset(options.policy.as_deref())?;
    let mut requests = response::read(&options.input, &ruleset, options.zone.clone())
        .map_err(|e| Failure::setting("--input", e))?;
    if requests.all.is_empty() {
        let fault = requests.faults.first().map_or(String::new(), |fault| format!("; {fault}"));
        let input = options.input.display();
        return Err(Failure::Running(format!("{input}: no post asks a brand for anything{fault}")));
    }
    if options.pseudonyms {
        requests.hide_brands();
    }
    let figures =
        ResponseFigures::from_requests(&requests, ruleset.policy.unlisted.first_response.as_secs() / 60.0);
    let page = html(&figures).map_err(|e| Failure::running("render the page", e))?;
    let json =
        serde_json::to_string_pretty(&figures).map_err(|e| Failure::running("encode the figures", e))?;
    write(&options.out, [("html", page), ("json", json), ("csv", csv(&requests))])?;
    print_stdout(format_args!("{} from {}\n", count(requests.all.len(), "post"), requests.input));
    match requests.partial {
        None => Ok(()),
        Some(why) => Err(Failure::Running(format!("{why}; the report covers what was read until then"))),
    }
}

fn drift(options: &DriftOptions) -> Result<(), Failure> {
    let read = |argument: &str, path: &Path| Scores::read(path).map_err(|e| Failure::setting(argument, e));
    let mut scores = Scores::default();
    if let Some(path) = &options.scores {
        options.range.require_none()?;
        scores = read("--scores", path)?;
    } else if let Some(path) = &options.config {
        let config = config::load(path, std::env::vars())?;
        let range = options.range.range();
        let topics = [config.topics.scores.clone()];
        read_records(&config, &topics, range, &mut |place, value| scores.push(place, value))?;
    }
    let source = options.scores.as_ref().or(options.config.as_ref());
    let name = source.map_or_else(String::new, |path| path.display().to_string());
    let (former, recent, names) = match (&options.training, options.recent_from) {
        (Some(training), _) => {
            (read("--training", training)?, scores, [training.display().to_string(), name])
        }
        (None, at) => {
            let [former, recent] = scores.split(at.unwrap_or(EventTime::END));
            (former, recent, [name.clone(), name])
        }
    };
    let drift = Drift::compare(names, &former, &recent).map_err(|e| Failure::Running(e.to_string()))?;
    print_stdout(&drift);
    let Some(out) = &options.out else { return Ok(()) };
    let page = drift::html(&drift).map_err(|e| Failure::running("render the page", e))?;
    let json = serde_json::to_string_pretty(&drift).map_err(|e| Failure::running("encode the figures", e))?;
    write(out, [("html", page), ("json", json)])?;
    write(out, drift::tables(&drift))
}

fn feedback(options: &FeedbackOptions) -> Result<(), Failure> {
    let new = options.calibration.as_deref();
    if let Some(path) = new.filter(|path| path.exists()) {
        let problem = format!("{} already exists; a calibration is never changed in place", path.display());
        return Err(Failure::setting("--calibration", problem));
    }
    let (feedback, current) = read_feedback(options)?;
    let source = options.outcomes.escalations.as_ref().or(options.outcomes.config.as_ref());
    let name = source.map_or_else(String::new, |path| path.display().to_string());
    let (rejected, faults) = (feedback.rejected, feedback.faults.clone());
    let alerts = feedback.judged();
    let mut report = FeedbackReport { rejected, faults, ..FeedbackReport::from_alerts(&name, &alerts) };
    let is_of = |route: &Option<String>| {
        options.route.is_empty() || route.as_ref().is_some_and(|route| options.route.contains(route))
    };
    let from: Vec<JudgedAlert> = alerts.iter().filter(|judged| is_of(&judged.alert.route)).cloned().collect();
    let learned = new.map(|_| recalibrate(&from, &options.team, current.as_ref())).transpose();
    let problem = learned.map(|learned| report.learned = learned).err();
    print_stdout(&report);
    if let Some(problem) = problem {
        return Err(Failure::Running(problem.to_string()));
    }
    if let (Some(path), Some(learned)) = (new, &report.learned) {
        let version = path.file_stem().map_or_else(|| "-".into(), |stem| stem.to_string_lossy());
        // Never overwrites a file, even one created since the check.
        let file = std::fs::File::create_new(path);
        file.and_then(|mut file| file.write_all(learned.file(&version).as_bytes()))
            .map_err(|e| Failure::running(&path.display().to_string(), e))?;
        print_stdout(format_args!("{}\n", path.display()));
    }
    let Some(out) = &options.out else { return Ok(()) };
    let page = feedback::html(&report).map_err(|e| Failure::running("render the page", e))?;
    let json =
        serde_json::to_string_pretty(&report).map_err(|e| Failure::running("encode the figures", e))?;
    write(out, [("html", page), ("json", json), ("csv", feedback::tables(&report))])
}

/// Reads the alerts, the verdicts on them, and the calibration that was active.
fn read_feedback(options: &FeedbackOptions) -> Result<(Feedback, Option<Calibration>), Failure> {
    let given = options
        .current
        .as_deref()
        .map(|path| Calibration::parse(&path.display().to_string(), &read(path)?).map_err(Failure::Settings));
    let given = given.transpose()?;
    let OutcomeOptions { escalations, actions, config, .. } = &options.outcomes;
    let Some(config) = config else {
        options.outcomes.range.require_none()?;
        let (Some(escalations), Some(actions)) = (escalations, actions) else {
            return Err(Failure::setting(
                "--escalations",
                "is missing; give it with --actions, or give --config",
            ));
        };
        let feedback =
            Feedback::read(escalations, actions).map_err(|e| Failure::setting("--escalations", e))?;
        return Ok((feedback, given));
    };
    let config = config::load(config, std::env::vars())?;
    let mut feedback = Feedback::default();
    let teams = config.ruleset.policy.team_names().into_iter().map(|team| config.topics.team_topic(team));
    let (teams, actions) = (teams.collect::<Vec<_>>(), [config.topics.actions.clone()]);
    let range = options.outcomes.range.range();
    read_records(&config, &teams, range, &mut |place, value| feedback.escalation(place, value))?;
    read_records(&config, &actions, range, &mut |place, value| feedback.action(place, value))?;
    let current = given.or_else(|| config.ruleset.calibration.as_deref().cloned());
    Ok((feedback, current))
}
