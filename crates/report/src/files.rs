//! Whole files, with errors that name them.

use std::path::Path;

use crate::AnalysisError;

/// Reads a UTF-8 file whole.
///
/// # Errors
/// When the file cannot be read; the error names it.
pub fn read(path: &Path) -> Result<String, AnalysisError> {
    std::fs::read_to_string(path).map_err(|e| AnalysisError::File(path.into(), e))
}

/// Writes a file and creates the folders above it.
///
/// # Errors
/// When the file or a folder cannot be written; the error names it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), AnalysisError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| AnalysisError::File(folder.into(), e))?;
    }
    std::fs::write(path, bytes).map_err(|e| AnalysisError::File(path.into(), e))
}
