//! Addresses at which people read a post and see its author.

use serde::{Deserialize, Serialize};

/// Addresses of a post and its author.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Links {
    pub post: Option<String>,
    pub author: Option<String>,
}
