//! Validation of fields, shared by our own records and platform payloads.
//!
//! `place` is the path of the field, for messages.

use std::borrow::Cow;

use firewatch_domain::{Counters, Duration, EventTime, RejectionCode as Code};

use crate::{MAX_COUNTER, MAX_FOLLOWERS, MAX_ID_BYTES, MAX_TEXT_BYTES, MAX_URL_BYTES, Rejection, Result};

/// Parses a required event time and checks that it is plausible.
pub(crate) fn event_time(place: &str, at: Option<Cow<'_, str>>, arrival: EventTime) -> Result<EventTime> {
    plausible_time(place, time(place, &at.ok_or_else(|| missing(place))?)?, arrival)
}

/// Checks that a time is not before 2000 and not more than a day after the arrival.
pub(crate) fn plausible_time(place: &str, at: EventTime, arrival: EventTime) -> Result<EventTime> {
    let problem = if at < EventTime::EARLIEST {
        "is before 2000; give the time at the platform"
    } else if at > arrival + Duration::from_mins(24 * 60) {
        "is more than a day after its arrival; correct the sender's clock"
    } else {
        return Ok(at);
    };
    Err(Rejection::new(Code::BadTime, format!("`{place}`: {at} {problem}")))
}

/// Parses an RFC 3339 time.
pub(crate) fn time(place: &str, text: &str) -> Result<EventTime> {
    EventTime::parse(text).map_err(|e| Rejection::new(Code::BadTime, format!("`{place}`: {e}")))
}

/// Checks a required id: 1 to [`MAX_ID_BYTES`] bytes, not blank.
pub(crate) fn id(place: &str, value: Option<String>) -> Result<String> {
    id_within(place, value, MAX_ID_BYTES)
}

/// Checks an id that firewatch made from several others.
pub(crate) fn compound_id(place: &str, value: Option<String>) -> Result<String> {
    id_within(place, value, 4 * MAX_ID_BYTES)
}

fn id_within(place: &str, value: Option<String>, max: usize) -> Result<String> {
    let value = value.ok_or_else(|| missing(place))?;
    if is_blank(&value) || value.len() > max {
        let detail = format!("`{place}`: has {} bytes; give 1 to {max}, not all blank", value.len());
        return Err(Rejection::new(Code::BadId, detail));
    }
    Ok(value)
}

/// Checks an optional short string with the limits of an id. A blank one counts as absent.
pub(crate) fn label(place: &str, value: Option<String>) -> Result<Option<String>> {
    match value {
        Some(text) if is_blank(&text) => Ok(None),
        Some(text) => id(place, Some(text)).map(Some),
        None => Ok(None),
    }
}

/// Checks an optional address: `http` or `https`, at most [`MAX_URL_BYTES`] bytes. A blank one counts as absent.
pub(crate) fn url(place: &str, value: Option<String>) -> Result<Option<String>> {
    let Some(url) = value.filter(|url| !is_blank(url)) else { return Ok(None) };
    let has_scheme = url.starts_with("https://") || url.starts_with("http://");
    let is_plain = if url.is_ascii() {
        url.bytes().all(|byte| IS_PLAIN[usize::from(byte)])
    } else {
        !url.contains(|c: char| c.is_control() || c.is_whitespace() || is_forbidden(c))
    };
    if has_scheme && is_plain && url.len() <= MAX_URL_BYTES {
        return Ok(Some(url));
    }
    let detail = format!("`{place}`: not an `http` or `https` address of at most {MAX_URL_BYTES} bytes");
    Err(Rejection::new(Code::BadUrl, detail))
}

/// Whether an ASCII character may stand in an address.
const IS_PLAIN: [bool; 128] = {
    let mut is_plain = [false; 128];
    let mut byte = 0u8;
    while byte < 128 {
        is_plain[byte as usize] = byte.is_ascii_graphic() && !is_forbidden(byte as char);
        byte += 1;
    }
    is_plain
};

/// Returns whether a text holds nothing but white space.
fn is_blank(text: &str) -> bool {
    text.chars().all(char::is_whitespace)
}

/// Returns whether a character stands in no address, except encoded.
const fn is_forbidden(c: char) -> bool {
    matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')
}

/// Checks optional stars: 1 to 5.
pub(crate) fn stars(place: &str, value: Option<u8>) -> Result<Option<u8>> {
    match value {
        None | Some(1..=5) => Ok(value),
        Some(stars) => {
            Err(Rejection::new(Code::OutOfRange, format!("`{place}`: {stars}; stars are from 1 to 5")))
        }
    }
}

/// Checks a required text: at most [`MAX_TEXT_BYTES`] bytes.
pub(crate) fn text(place: &str, value: Option<String>) -> Result<String> {
    let value = value.ok_or_else(|| missing(place))?;
    if value.len() > MAX_TEXT_BYTES {
        let detail = format!("`{place}`: has {} bytes; the maximum is {MAX_TEXT_BYTES}", value.len());
        return Err(Rejection::new(Code::TooLarge, detail));
    }
    Ok(value)
}

/// Checks an optional follower count: at most [`MAX_FOLLOWERS`].
pub(crate) fn followers(place: &str, value: Option<u64>) -> Result<Option<u64>> {
    in_range(place, value, MAX_FOLLOWERS)
}

fn in_range(place: &str, value: Option<u64>, max: u64) -> Result<Option<u64>> {
    match value {
        Some(n) if n > max => {
            Err(Rejection::new(Code::OutOfRange, format!("`{place}`: {n} exceeds {max}; omit it if unknown")))
        }
        _ => Ok(value),
    }
}

/// Returns the rejection for an absent required field.
pub(crate) fn missing(place: &str) -> Rejection {
    Rejection::new(Code::MissingField, format!("`{place}` is missing; add it"))
}

/// Checks platform counters: each at most [`MAX_COUNTER`].
pub(crate) fn counters(c: Counters) -> Result<Counters> {
    for (name, count) in [
        ("counters.reshares", c.reshares),
        ("counters.replies", c.replies),
        ("counters.quotes", c.quotes),
        ("counters.likes", c.likes),
        ("counters.views", c.views),
    ] {
        in_range(name, count, MAX_COUNTER)?;
    }
    Ok(c)
}
