//! `firewatch report`: what a recording says about how a brand answers.

use std::path::{Path, PathBuf};

use firewatch_lab::response::{Figures, csv, html, read};

use crate::args::{Reporting, ResponseOptions};
use crate::shell::{Failure, brain, count, say};

/// Writes the report that was asked for.
pub fn report(what: &Reporting) -> Result<(), Failure> {
    match what {
        Reporting::Response(options) => response(options),
    }
}

fn response(options: &ResponseOptions) -> Result<(), Failure> {
    let brain = brain(options.policy.as_deref())?;
    let mut requests = read(&options.input, &brain).map_err(|e| Failure::setting("--input", e))?;
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
    for (path, text) in [
        (options.out.clone(), page),
        (beside(&options.out, "json"), json),
        (beside(&options.out, "csv"), csv(&requests)),
    ] {
        std::fs::write(&path, text).map_err(|e| Failure::running(&path.display().to_string(), e))?;
        say(format_args!("{}\n", path.display()));
    }
    say(format_args!("{} of {}\n", count(requests.all.len(), "post"), requests.input));
    match requests.partial {
        None => Ok(()),
        Some(why) => Err(Failure::Running(format!("{why}; the report is of what was read until then"))),
    }
}

/// The same name with another ending.
fn beside(path: &Path, ending: &str) -> PathBuf {
    path.with_extension(ending)
}
