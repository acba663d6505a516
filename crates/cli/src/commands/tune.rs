//! `firewatch tune`: chooses thresholds on earlier history and reports on later history.

use std::path::Path;

use firewatch_backtest::labels::Labels;
use firewatch_backtest::run::Backtest;
use firewatch_backtest::tune::{
    Candidate, Objective, TuneGoal, TuneResult, Variation, VariationError, candidates, html, plan, tables,
    tune,
};

use crate::args::{ObjectiveArg, TuneOptions};
use crate::commands::progress::{threads, work_through};
use crate::common::{self, Failure, load_ruleset, print_stdout, read};

/// Tries every policy in one pass over the recording and prints which is best.
pub fn run(options: &TuneOptions) -> Result<(), Failure> {
    let text = read(&options.policy)?;
    let ruleset = load_ruleset(Some(&options.policy))?;
    let vary: Result<Vec<Variation>, VariationError> =
        options.vary.iter().map(|text| Variation::parse(text)).collect();
    let vary = vary.map_err(|e| Failure::setting("--vary", e))?;
    let tried = candidates(&text, &vary).map_err(|e| Failure::setting("--vary", e))?;
    if !ruleset.policy.teams.contains_key(&options.team) {
        let known = ruleset.policy.team_names().join(", ");
        return Err(Failure::setting(
            "--team",
            format!("{:?} is not a team of the policy; give one of {known}", options.team),
        ));
    }
    let labels = options.labels.as_deref().map(Labels::read).transpose();
    let labels = labels.map_err(|e| Failure::setting("--labels", e))?;
    let name = options.policy.display().to_string();
    let plan = plan(&name, &ruleset, &tried, labels, &options.source.name());
    let recording = options.source.open()?;
    let (bars, labelled) = (plan.bars(), plan.labelled());
    let backtest = Backtest::new(&plan, &bars, &labelled, threads(options.threads));
    let (ended, partial) = work_through(&recording, backtest, &mut |_, _| ());
    let objective = match options.objective {
        ObjectiveArg::Recall => Objective::Recall,
        ObjectiveArg::Precision => Objective::Precision,
        ObjectiveArg::F1 => Objective::F1,
        ObjectiveArg::Minutes => Objective::Minutes,
    };
    let goal =
        TuneGoal { team: options.team.clone(), objective, budget: options.budget, split: options.split };
    let mut tuned = tune(&plan, &ended, &tried, &text, &goal)
        .map_err(|e| Failure::Running(format!("{}: {e}", plan.input)))?;
    tuned.warnings.extend(partial.clone().map(|why| format!("{why}; the rest was not read")));
    print_stdout(&tuned);
    if let Some(out) = &options.out {
        write(out, &tuned, &tried)?;
    }
    partial.map_or(Ok(()), |_| Err(Failure::Running("the result covers only a part of the recording".into())))
}

/// Writes the page, with the numbers and the chosen policy beside it.
fn write(out: &Path, tuned: &TuneResult, tried: &[Candidate]) -> Result<(), Failure> {
    let page = html(tuned).map_err(|e| Failure::running("render the page", e))?;
    let json = serde_json::to_string_pretty(tuned).map_err(|e| Failure::running("encode the figures", e))?;
    common::write(out, [("html", page), ("json", json), ("csv", tables(tuned))])?;
    match tuned.chosen {
        Some(i) => common::write(out, [("toml", tried[i].text.clone())]),
        None => Ok(()),
    }
}
