//! `firewatch compare --live`: what the policy in force and the one on trial told on the live stream.

use firewatch_engine::TRIAL;
use firewatch_backtest::live::Live;

use crate::args::CompareOptions;
use crate::commands::backtest::write_report;
use crate::config::{self, Config};
use crate::shell::{Failure, say};
use crate::commands::recording_input::read_records;

/// Reads what both told, prints the report and writes what was asked for.
pub fn compare(options: &CompareOptions) -> Result<(), Failure> {
    if !options.live {
        let problem = "it is what is live that is compared here; for a recording give `firewatch backtest` several policies";
        return Err(Failure::setting("--live", problem));
    }
    let in_force = config::load(&options.config, std::env::vars())?;
    let other = options.with.as_deref().map(|path| config::load(path, std::env::vars())).transpose()?;
    let between = options.between.between();
    let mut live = Live::default();
    let mut read = |side: usize, config: &Config, topics: &[String]| {
        read_records(config, topics, between, &mut |place, value| live.told(side, place, value))
    };
    read(0, &in_force, &teams(&in_force))?;
    match &other {
        Some(other) => read(1, other, &teams(other))?,
        None if in_force.brain.trials().is_empty() => {
            let problem = "no policy is on trial; set `trial` in [policy] of the settings, or give --with";
            return Err(Failure::setting(&options.config.display().to_string(), problem));
        }
        None => read(1, &in_force, &[in_force.topics.of_team(TRIAL)])?,
    }
    let actions = [in_force.topics.actions.clone()];
    read_records(&in_force, &actions, between, &mut |place, value| live.done(place, value))?;
    let with = options.with.as_ref().map_or_else(|| "on trial".into(), |path| path.display().to_string());
    let report = live.report(&options.config.display().to_string(), ["in force", &with]);
    if report.survey.records == 0 {
        return Err(Failure::Running("neither told anything in this time".into()));
    }
    say(&report);
    options.out.as_deref().map_or(Ok(()), |folder| write_report(folder, &report))
}

fn teams(config: &Config) -> Vec<String> {
    config.brain.policy.team_names().into_iter().map(|team| config.topics.of_team(team)).collect()
}
