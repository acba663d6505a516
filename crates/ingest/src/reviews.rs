//! What reviews of all kinds have in common: stars, reviewers known by name, and answers of the business.

use firewatch_domain::{Author, BrandReply, EventTime};

use crate::decode_output::{DecodeOutput, Occurrence};
use crate::json_values::{Count, known_count};
use crate::{Result, check};

/// The account of an answer, because the stores do not name one.
const DEVELOPER: &str = "developer";

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

/// Emits the answer of the business to a review. `id` is that of the answer, or of the review where answers have
/// none.
pub(crate) fn answer(
    review: &str,
    id: &str,
    at: EventTime,
    text: String,
    out: &mut DecodeOutput<'_>,
) -> Result<()> {
    let reply = BrandReply { account: DEVELOPER.into(), text };
    out.brand_reply(Occurrence { root: review, at }, format!("{id}/answer/{}", at.as_millis()), reply)
}

/// Returns the stars that a recommendation stands for: 1 when it is negative, 5 when it is positive.
pub(crate) fn recommendation_stars(kind: Option<&str>) -> Option<u8> {
    match kind?.to_ascii_lowercase().as_str() {
        "negative" => Some(1),
        "positive" => Some(5),
        _ => None,
    }
}
