//! What reviews of all kinds have in common: stars, reviewers known by name, and answers of the business.

use firewatch_domain::Author;

use crate::json_values::{Count, known_count};
use crate::{Result, check};

/// The account of an answer, because the stores do not name one.
pub(crate) const DEVELOPER: &str = "developer";

/// Returns an author known by name only. A name is no account id, but the only way to distinguish reviewers.
pub(crate) fn reviewer(name: Option<String>) -> Option<Author> {
    let name = name.filter(|name| !name.trim().is_empty())?;
    Some(Author { id: name, ..Author::default() })
}

/// Returns stars from 1 to 5. Platforms write 0 for "none".
pub(crate) fn stars(place: &str, given: Option<Count>) -> Result<Option<u8>> {
    let given = known_count(given).filter(|stars| *stars > 0);
    check::stars(place, given.map(|stars| u8::try_from(stars).unwrap_or(u8::MAX)))
}
