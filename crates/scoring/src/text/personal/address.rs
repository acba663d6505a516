//! How far an address goes: units, floors, towns, regions and postal codes around the part that a pattern found.

use std::ops::Range;

use crate::text::patterns::{Pattern, PatternFile};

/// Most parts that an address has on each side of what was found.
const MAX_PARTS: usize = 8;
/// Bytes before and after an address that are read as its next part.
const PART_BYTES: usize = 80;

/// Compiled patterns of the parts of an address.
pub(super) struct AddressParts {
    after: Pattern,
    places_after: Pattern,
    before: Pattern,
    places_before: Pattern,
    no_place: Pattern,
    small_place_after: Pattern,
}

impl AddressParts {
    pub fn new(patterns: PatternFile) -> Self {
        Self {
            after: patterns.pattern(r"^{part_gap}(?:{address_part})".into()),
            places_after: patterns.pattern(r"^{place_gap}(?P<it>{place_name})".into()),
            before: patterns.pattern(r"(?:^|[\s(,:/-])(?P<it>{part_before})(?:[, \n-]{1,3}| at | in )$".into()),
            places_before: patterns
                .pattern(r"(?:^|[(:.\n]|\b(?:at|in|to|is|from|of|address|en|in|im|am|by|and)|\d,) ?(?P<it>{place_name}), ?$".into()),
            no_place: patterns.joined("no_place"),
            small_place_after: patterns.joined("small_place_after"),
        }
    }

    /// Returns an address with the parts before and after it.
    pub fn grown(&self, text: &str, it: Range<usize>) -> Range<usize> {
        let Range { mut start, mut end } = it;
        for _ in 0..MAX_PARTS {
            let to = text.floor_char_boundary((end + PART_BYTES).min(text.len()));
            let rest = text.get(end..to).unwrap_or_default();
            let small = self.small_place(text.get(start..end).unwrap_or_default(), rest);
            if let Some(place) = small {
                end += place.end;
            } else if let Some(part) = self.after.find(rest).filter(|part| is_whole(rest, part.end())) {
                end += part.end();
            } else if let Some(place) =
                self.place(&self.places_after, rest).filter(|place| is_whole(rest, place.end))
            {
                end += place.end;
            } else {
                break;
            }
        }
        for _ in 0..MAX_PARTS {
            let from = text.floor_char_boundary(start.saturating_sub(PART_BYTES));
            let before = text.get(from..start).unwrap_or_default();
            let part = self.before.captures(before).and_then(|part| part.name("it")).map(|part| part.range());
            let Some(part) = part.or_else(|| self.place(&self.places_before, before)) else { break };
            start = from + part.start;
        }
        start..end
    }

    /// Returns the name of a town after an address, where both are in lower case.
    fn small_place(&self, address: &str, rest: &str) -> Option<Range<usize>> {
        let is_small = !address.contains(|c: char| c.is_ascii_uppercase());
        self.small_place_after.captures(rest).filter(|_| is_small)?.name("it").map(|place| place.range())
    }

    /// Returns the name of a place at an end of a text, if it is not the beginning of a sentence.
    fn place(&self, pattern: &Pattern, text: &str) -> Option<Range<usize>> {
        let place = pattern.captures(text)?.name("it")?;
        (!self.no_place.is_match(place.as_str())).then(|| place.range())
    }
}

/// Whether a word ends at a place in a text.
fn is_whole(text: &str, at: usize) -> bool {
    !text.get(at..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
        || text.get(..at).is_some_and(|part| !part.ends_with(|c: char| c.is_ascii_alphanumeric()))
}
