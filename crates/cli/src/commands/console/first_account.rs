//! What is done to accounts at the machine: the first one, those that no person of the console may invite, and the reset
//! of a second factor.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use firewatch_console::people::{AuditAction, Role};
use firewatch_console::store::Store;
use firewatch_console::{ConsoleSettings, SignIn};

use super::store_failure;
use crate::common::{Failure, print_stdout};
use crate::{clock, config, process};

/// Who is in the audit trail for what is done at the machine.
const AT_THE_MACHINE: &str = "somebody at the machine";

/// Writes the link to the first account into a file in the folder of the settings, which only its owner can read. A log
/// would keep it for whoever reads logs.
pub fn write_link(folder: &Path, link: &str) -> Result<PathBuf, Failure> {
    let path = folder.join("firewatch-first-account");
    let failure = |e| Failure::running(&path.display().to_string(), e);
    // An older file may have other rights.
    let _ = std::fs::remove_file(&path);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    file.and_then(|mut file| file.write_all(link.as_bytes())).map_err(failure)?;
    Ok(path)
}

/// Prints a link that creates an account, or replaces its roles and password. Whoever may read the database may do this.
pub fn invite(name: &str, roles: &[String], database: Option<String>, path: &Path) -> Result<(), Failure> {
    let settings = local_accounts(path)?;
    let roles: Vec<Role> = roles.iter().filter_map(|role| Role::parse(role)).collect();
    let url = settings.url.clone().unwrap_or_else(|| format!("http://{}", settings.listen));
    let database = database.unwrap_or(settings.database);
    let runtime = process::runtime()?;
    let token = runtime.block_on(async {
        let people = Store::open(&database).await?.people().await?;
        let names: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        let about = format!("{name} as {}", names.join(", "));
        people.write_audit(AT_THE_MACHINE, "-", AuditAction::Invited, &about, clock::now()).await?;
        people.invite(name, &roles, clock::now()).await
    });
    print_stdout(format_args!("{url}/set-up#token={}\n", token.map_err(store_failure)?));
    Ok(())
}

/// Resets the second factor of an account. Everybody who may write the database may do this.
pub fn reset_second_factor(name: &str, database: Option<String>, path: &Path) -> Result<(), Failure> {
    let database = database.unwrap_or(local_accounts(path)?.database);
    let runtime = process::runtime()?;
    let was_on = runtime.block_on(async {
        let people = Store::open(&database).await?.people().await?;
        let deed = AuditAction::ResetSecondFactor;
        people.write_audit(AT_THE_MACHINE, "-", deed, name, clock::now()).await?;
        people.reset_second_factor(name).await
    });
    if !was_on.map_err(store_failure)? {
        return Err(Failure::Running(format!("{name:?} has no account with a second factor")));
    }
    print_stdout(format_args!("{name} signs in with the password only; all sessions have ended\n"));
    Ok(())
}

/// Reads the settings of a console with local accounts.
fn local_accounts(path: &Path) -> Result<ConsoleSettings, Failure> {
    let settings = config::load(path, std::env::vars())?.console;
    if settings.sign_in != SignIn::Local {
        return Err(Failure::setting("console.sign_in", "is not \"local\"; there are no accounts"));
    }
    Ok(settings)
}
