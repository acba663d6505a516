//! The `firewatch` command: settings, wiring, signals and terminal output.
//!
//! The crates below do all the work; this one reads files and clocks for them. Exit codes: 0 is success, 1 a
//! failure while running, 2 an error in arguments or settings.

mod args;
mod clock;
mod commands;
mod common;
mod config;
mod policy_reload;
mod process;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command, PeopleCommand, TopicsCommand};
use commands::*;
use common::Failure;

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command {
        Command::Demo(options) => demo::demo(&options),
        Command::Run { config } => run::run(&config),
        Command::Topics { what: TopicsCommand::Create(options) } => topics::create(&options),
        Command::Topics { what: TopicsCommand::Check { config, sample } } => topics::check(&config, sample),
        Command::Topics { what: TopicsCommand::Acls { config, principal, commands } } => {
            topics::acls(&config, &principal, &commands)
        }
        Command::Backtest(options) => backtest::backtest(&options),
        Command::Compare(options) => compare::compare(&options),
        Command::Console(options) => console::console(&options),
        Command::People { what: PeopleCommand::Invite { name, roles, database, config } } => {
            console::invite(&name, &roles, database, &config)
        }
        Command::People { what: PeopleCommand::ResetSecondFactor { name, database, config } } => {
            console::reset_second_factor(&name, database, &config)
        }
        Command::Notify { what } => console::notify(&what),
        Command::Tune(options) => tune::run(&options),
        Command::Report { what } => report::report(&what),
        Command::Replay(options) => replay::replay(&options),
        Command::Check { config } => check::check(&config),
        Command::Collect { config } => collect::collect(&config),
        Command::Ingest(options) => ingest::ingest(&options),
        Command::Score(options) => score::score(&options),
        Command::Guard(options) => guard::guard(&options),
        Command::Policy { what } => policy::policy(&what),
        Command::Schema { record, format, asyncapi, openapi } => {
            schema::print(record.as_deref(), format, asyncapi, openapi)
        }
        Command::Predict { what } => predict::predict(&what),
        #[cfg(feature = "train")]
        Command::Train { what } => train::train(what),
        #[cfg(feature = "train")]
        Command::Evaluate { what } => train::evaluate(&what),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Settings(faults)) => {
            for fault in &faults {
                eprintln!("firewatch: {fault}");
            }
            eprintln!("firewatch: {}; not started", common::count(faults.len(), "error"));
            ExitCode::from(2)
        }
        Err(Failure::Reported) => ExitCode::FAILURE,
        Err(Failure::Running(problem)) => {
            eprintln!("firewatch: {problem}");
            ExitCode::FAILURE
        }
    }
}
