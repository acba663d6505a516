//! Why the console's database cannot be read or written.

use thiserror::Error;

/// Why the projection, or what people changed, cannot be read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// An error from the database.
    #[error("console database: {0}")]
    Database(#[from] sqlx::Error),
    /// A row that cannot be read; the projection has to be rebuilt.
    #[error("console database: {0}; start with --rebuild to recreate the projection")]
    Row(String),
    /// Too many passwords are being checked; a retry may succeed.
    #[error("too many sign-ins at once; try again in some seconds")]
    Busy,
}
