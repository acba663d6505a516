//! `firewatch report`: how a brand answers, what people said of alerts, and whether scores are still what they were.

use std::io::Write;
use std::path::Path;

use firewatch_domain::EventTime;
use firewatch_backtest::drift::{self, Drift, Scores};
use firewatch_backtest::feedback::{self, Feedback, Judged, Report, recalibrate};
use firewatch_backtest::response::{self, Figures, csv, html};
use firewatch_scoring::Calibration;

use crate::args::{DriftOptions, FeedbackOptions, Reporting, ResponseOptions, ToldOptions};
use crate::config;
use crate::shell::{Failure, brain, count, read, say, write};
use crate::commands::recording_input::read_records;

/// Writes the report that was asked for.
pub fn report(what: &Reporting) -> Result<(), Failure> {
    match what {
        Reporting::Response(options) => response(options),
        Reporting::Feedback(options) => feedback(options),
        Reporting::Drift(options) => drift(options),
    }
}

fn response(options: &ResponseOptions) -> Result<(), Failure> {
    let brain = brain(options.policy.as_deref())?;
    let mut requests = response::read(&options.input, &brain, options.zone.clone())
        .map_err(|e| Failure::setting("--input", e))?;
    if requests.all.is_empty() {
        let fault = requests.faults.first().map_or(String::new(), |fault| format!("; {fault}"));
        let input = options.input.display();
        return Err(Failure::Running(format!("{input}: no post in it asks anything of a brand{fault}")));
    }
    if options.pseudonyms {
        requests.hide_brands();
    }
    let figures = Figures::of(&requests, brain.policy.unlisted.first_response.as_secs() / 60.0);
    let page = html(&figures).map_err(|e| Failure::running("the page", e))?;
    let json = serde_json::to_string_pretty(&figures).map_err(|e| Failure::running("the figures", e))?;
    write(&options.out, [("html", page), ("json", json), ("csv", csv(&requests))])?;
    say(format_args!("{} of {}\n", count(requests.all.len(), "post"), requests.input));
    match requests.partial {
        None => Ok(()),
        Some(why) => Err(Failure::Running(format!("{why}; the report is of what was read until then"))),
    }
}

fn drift(options: &DriftOptions) -> Result<(), Failure> {
    let read = |argument: &str, path: &Path| Scores::read(path).map_err(|e| Failure::setting(argument, e));
    let mut scores = Scores::default();
    if let Some(path) = &options.scores {
        options.between.of_file()?;
        scores = read("--scores", path)?;
    } else if let Some(path) = &options.config {
        let config = config::load(path, std::env::vars())?;
        let between = options.between.between();
        let topics = [config.topics.scores.clone()];
        read_records(&config, &topics, between, &mut |place, value| scores.take(place, value))?;
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
    let drift = Drift::of(names, &former, &recent).map_err(Failure::Running)?;
    say(&drift);
    let Some(out) = &options.out else { return Ok(()) };
    let page = drift::html(&drift).map_err(|e| Failure::running("the page", e))?;
    let json = serde_json::to_string_pretty(&drift).map_err(|e| Failure::running("the figures", e))?;
    write(out, [("html", page), ("json", json)])?;
    write(out, drift::tables(&drift))
}

fn feedback(options: &FeedbackOptions) -> Result<(), Failure> {
    let new = options.calibration.as_deref();
    if let Some(path) = new.filter(|path| path.exists()) {
        let problem = format!("{} is there already; a calibration is never changed in place", path.display());
        return Err(Failure::setting("--calibration", problem));
    }
    let (told, current) = told_and_done(options)?;
    let source = options.told.escalations.as_ref().or(options.told.config.as_ref());
    let name = source.map_or_else(String::new, |path| path.display().to_string());
    let (rejected, faults) = (told.rejected, told.faults.clone());
    let alerts = told.judged();
    let mut report = Report { rejected, faults, ..Report::of(&name, &alerts) };
    let is_of = |route: &Option<String>| {
        options.route.is_empty() || route.as_ref().is_some_and(|route| options.route.contains(route))
    };
    let from: Vec<Judged> = alerts.iter().filter(|judged| is_of(&judged.alert.route)).cloned().collect();
    let learned = new.map(|_| recalibrate(&from, &options.team, current.as_ref())).transpose();
    let problem = learned.map(|learned| report.learned = learned).err();
    say(&report);
    if let Some(problem) = problem {
        return Err(Failure::Running(problem));
    }
    if let (Some(path), Some(learned)) = (new, &report.learned) {
        let version = path.file_stem().map_or_else(|| "-".into(), |stem| stem.to_string_lossy());
        // Somebody else's is not written over, even if it has come since.
        let file = std::fs::File::create_new(path);
        file.and_then(|mut file| file.write_all(learned.file(&version).as_bytes()))
            .map_err(|e| Failure::running(&path.display().to_string(), e))?;
        say(format_args!("{}\n", path.display()));
    }
    let Some(out) = &options.out else { return Ok(()) };
    let page = feedback::html(&report).map_err(|e| Failure::running("the page", e))?;
    let json = serde_json::to_string_pretty(&report).map_err(|e| Failure::running("the figures", e))?;
    write(out, [("html", page), ("json", json), ("csv", feedback::tables(&report))])
}

/// What was told and done, and the calibration in force then.
fn told_and_done(options: &FeedbackOptions) -> Result<(Feedback, Option<Calibration>), Failure> {
    let given = options
        .current
        .as_deref()
        .map(|path| Calibration::parse(&path.display().to_string(), &read(path)?).map_err(Failure::Settings));
    let given = given.transpose()?;
    let ToldOptions { escalations, actions, config, .. } = &options.told;
    let Some(config) = config else {
        options.told.between.of_file()?;
        let (Some(escalations), Some(actions)) = (escalations, actions) else {
            return Err(Failure::setting("--escalations", "give it with --actions, or give --config"));
        };
        let told = Feedback::read(escalations, actions).map_err(|e| Failure::setting("--escalations", e))?;
        return Ok((told, given));
    };
    let config = config::load(config, std::env::vars())?;
    let mut told = Feedback::default();
    let teams = config.brain.policy.team_names().into_iter().map(|team| config.topics.of_team(team));
    let (teams, actions) = (teams.collect::<Vec<_>>(), [config.topics.actions.clone()]);
    let between = options.told.between.between();
    read_records(&config, &teams, between, &mut |place, value| told.escalation(place, value))?;
    read_records(&config, &actions, between, &mut |place, value| told.action(place, value))?;
    let current = given.or_else(|| config.brain.calibration.as_deref().cloned());
    Ok((told, current))
}
