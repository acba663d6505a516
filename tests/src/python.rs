//! Packages of PyPI for the tests that need them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::root;

/// Installs what `tests/NAME/requirements.txt` lists into `target/NAME/python`, once, and returns that folder.
///
/// # Errors
/// The reason why pip did not install it.
pub fn python_packages(name: &str) -> Result<PathBuf, String> {
    // Tests that start at the same time install them once.
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _one = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let requirements = root().join("tests").join(name).join("requirements.txt");
    let folder = root().join("target").join(name).join("python");
    let done = folder.join(".done");
    let wanted = std::fs::read_to_string(&requirements).map_err(|e| e.to_string())?;
    if std::fs::read_to_string(&done).is_ok_and(|text| text == wanted) {
        return Ok(folder);
    }
    let _ = std::fs::remove_dir_all(&folder);
    let out = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"])
        .arg(&folder)
        .arg("-r")
        .arg(&requirements)
        .output()
        .map_err(|e| e.to_string())?;
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into_owned());
    }
    std::fs::write(done, wanted).map_err(|e| e.to_string())?;
    Ok(folder)
}
