//! `firewatch compare --live`: compares the alerts of two policies on the live stream.

use firewatch_backtest::live::LiveComparison;
use firewatch_engine::SHADOW_TEAM;

use crate::args::CompareOptions;
use crate::commands::backtest::write_report;
use crate::commands::recording_input::read_records;
use crate::common::{Failure, print_stdout};
use crate::config::{self, Config};

/// Reads the alerts of both, prints the report and writes the requested files.
pub fn compare(options: &CompareOptions) -> Result<(), Failure> {
    if !options.live {
        let problem = "is required; `firewatch backtest` compares policies on a recording";
        return Err(Failure::setting("--live", problem));
    }
    let active = config::load(&options.config, std::env::vars())?;
    let other = options.with.as_deref().map(|path| config::load(path, std::env::vars())).transpose()?;
    let range = options.range.range();
    let mut live = LiveComparison::default();
    let mut read = |side: usize, config: &Config, topics: &[String]| {
        read_records(config, topics, range, &mut |place, value| live.push_escalation(side, place, value))
    };
    read(0, &active, &teams(&active))?;
    match &other {
        Some(other) => read(1, other, &teams(other))?,
        None if active.ruleset.shadow_policies().is_empty() => {
            let problem = "no shadow policy; set `trial` in [policy] of the settings, or give --with";
            return Err(Failure::setting(&options.config.display().to_string(), problem));
        }
        None => read(1, &active, &[active.topics.team_topic(SHADOW_TEAM)])?,
    }
    let actions = [active.topics.actions.clone()];
    read_records(&active, &actions, range, &mut |place, value| live.push_action(place, value))?;
    let with = options.with.as_ref().map_or_else(|| "shadow".into(), |path| path.display().to_string());
    let report = live.report(&options.config.display().to_string(), ["active", &with]);
    if report.survey.records == 0 {
        return Err(Failure::Running("neither policy sent an alert in this time".into()));
    }
    print_stdout(&report);
    options.out.as_deref().map_or(Ok(()), |folder| write_report(folder, &report))
}

fn teams(config: &Config) -> Vec<String> {
    config.ruleset.policy.team_names().into_iter().map(|team| config.topics.team_topic(team)).collect()
}
