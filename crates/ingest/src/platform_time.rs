//! Parses the time formats of the platforms.

use firewatch_domain::{EventTime, RejectionCode as Code};
use jiff::fmt::rfc2822::DateTimeParser;
use serde::Deserialize;

use crate::check::missing;
use crate::json_values::{Count, known_count};
use crate::{Rejection, Result};

/// A time given as a string or as Unix seconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a time, as a text or a number")]
pub(crate) enum PlatformTime {
    Seconds(f64),
    Text(String),
}

/// Parses a required time. `place` is the path of the field, for messages.
pub(crate) fn required(place: &str, stamp: Option<PlatformTime>) -> Result<EventTime> {
    optional(place, stamp)?.ok_or_else(|| missing(place))
}

/// Parses an optional time.
pub(crate) fn optional(place: &str, stamp: Option<PlatformTime>) -> Result<Option<EventTime>> {
    match stamp {
        None => Ok(None),
        Some(PlatformTime::Seconds(seconds)) => Ok(Some(from_seconds(seconds))),
        Some(PlatformTime::Text(text)) if text.trim().is_empty() => Ok(None),
        Some(PlatformTime::Text(text)) => read(&text).map(Some).ok_or_else(|| bad(place, &text)),
    }
}

/// Parses a required time given as a string.
pub(crate) fn text(place: &str, text: Option<&str>) -> Result<EventTime> {
    let text = text.ok_or_else(|| missing(place))?;
    read(text).ok_or_else(|| bad(place, text))
}

/// Converts Unix milliseconds.
pub(crate) fn millis(count: Option<Count>) -> Option<EventTime> {
    known_count(count).and_then(|n| i64::try_from(n).ok()).map(EventTime::from_millis)
}

/// Converts Unix seconds. A number from 1e11 on, which would be thousands of years ahead, counts as
/// milliseconds.
pub(crate) fn from_seconds(seconds: f64) -> EventTime {
    let millis = if seconds.abs() < 1e11 { seconds * 1000.0 } else { seconds };
    EventTime::from_millis(millis.round() as i64)
}

/// Parses RFC 3339, RFC 3339 with an offset without colon (Meta), the format of Twitter's API v1.1, Unix seconds,
/// RFC 2822 (RSS), or a date or a date and time without an offset (exports), which is taken as UTC.
fn read(text: &str) -> Option<EventTime> {
    if let Ok(time) = EventTime::parse(text) {
        return Some(time);
    }
    if let Some((time, [sign @ (b'+' | b'-'), digits @ ..])) = split_back(text, 5)
        && digits.iter().all(u8::is_ascii_digit)
        && time.as_bytes().get(10) == Some(&b'T')
    {
        let (hours, minutes) = text.get(text.len() - 4..)?.split_at(2);
        return EventTime::parse(&format!("{time}{}{hours}:{minutes}", char::from(*sign))).ok();
    }
    if text.len() > 8 && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().map(from_seconds);
    }
    from_twitter(text).or_else(|| from_local(text)).or_else(|| from_mail(text))
}

/// Offsets of zones that feeds name and RFC 2822 does not know.
const ZONES: [(&str, &str); 15] = [
    ("UTC", "+0000"),
    ("Z", "+0000"),
    ("WET", "+0000"),
    ("BST", "+0100"),
    ("CET", "+0100"),
    ("WEST", "+0100"),
    ("CEST", "+0200"),
    ("EET", "+0200"),
    ("EEST", "+0300"),
    ("MSK", "+0300"),
    ("IST", "+0530"),
    ("HKT", "+0800"),
    ("JST", "+0900"),
    ("AEST", "+1000"),
    ("AEDT", "+1100"),
];

/// Parses the format of mail: `Mon, 03 Oct 2016 00:23:22 GMT`. Feeds write the day of the week and the month in full,
/// leave out the zone or the time, and have zones and offsets of their own.
fn from_mail(text: &str) -> Option<EventTime> {
    const PARSER: DateTimeParser = DateTimeParser::new();
    let date = text.rsplit_once(", ").map_or(text, |(_, date)| date);
    let mut words =
        date.split_ascii_whitespace().skip_while(|word| word.bytes().all(|b| b.is_ascii_alphabetic()));
    let (day, month, year) = (words.next()?, words.next()?.get(..3)?, words.next()?);
    let clock = words.next().unwrap_or("00:00");
    let zone = words.next().unwrap_or("+0000");
    let hours_digits = clock.find(':')?;
    let clock = if hours_digits == 1 { format!("0{clock}") } else { clock.to_owned() };
    let known = ZONES.iter().find(|(name, _)| *name == zone).map(|(_, offset)| (*offset).to_owned());
    let zone = known.unwrap_or_else(|| zone.replace(':', ""));
    let time = PARSER.parse_timestamp(format!("{day} {month} {year} {clock} {zone}")).ok()?;
    Some(EventTime::from_millis(time.as_millisecond()))
}

/// Parses `2024-01-31`, `2024-01-31 12:30` and `2024-01-31 12:30:00`, with an offset or `UTC` behind a space.
fn from_local(text: &str) -> Option<EventTime> {
    let (date, clock) = text.split_once([' ', 'T']).unwrap_or((text, "00:00:00"));
    let (clock, zone) = clock.split_once(' ').unwrap_or((clock, "UTC"));
    if zone != "UTC" {
        return read(&format!("{date}T{clock}{zone}"));
    }
    let clock = if clock.len() == 5 { &format!("{clock}:00") } else { clock };
    let is_plain =
        |part: &str, between: char| part.chars().all(|c| c.is_ascii_digit() || c == between || c == '.');
    let is_local = date.len() == 10 && clock.len() >= 8 && is_plain(date, '-') && is_plain(clock, ':');
    if is_local { EventTime::parse(&format!("{date}T{clock}Z")).ok() } else { None }
}

/// Splits off the last `n` bytes.
fn split_back(text: &str, n: usize) -> Option<(&str, &[u8])> {
    let at = text.len().checked_sub(n)?;
    Some((text.get(..at)?, text.as_bytes().get(at..)?))
}

/// Parses the format of Twitter's API v1.1: `Mon Oct 03 00:23:22 +0000 2016`.
fn from_twitter(text: &str) -> Option<EventTime> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_ascii_whitespace().skip(1);
    let (month, day, clock, offset, year) =
        (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let (hours, minutes) = (offset.get(..3)?, offset.get(3..)?);
    EventTime::parse(&format!("{year}-{month:02}-{day}T{clock}{hours}:{minutes}")).ok()
}

fn bad(place: &str, text: &str) -> Rejection {
    let clipped: String = text.chars().take(40).collect();
    Rejection::new(
        Code::BadTime,
        format!("`{place}`: `{clipped}` is not a time; give it as the platform sends it"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_to_write_a_time() {
        let check = |text: &str, expected: &str| {
            assert_eq!(read(text).map(|t| t.to_string()).unwrap_or_default(), expected, "{text}");
        };
        check("2019-12-31T19:26:16.000Z", "2019-12-31T19:26:16.000Z");
        check("2018-02-23T21:32:16+0000", "2018-02-23T21:32:16.000Z");
        check("2018-02-23T21:32:16-0530", "2018-02-24T03:02:16.000Z");
        check("Mon Oct 03 00:23:22 +0000 2016", "2016-10-03T00:23:22.000Z");
        check("1449135003", "2015-12-03T09:30:03.000Z");
        check("2018-02-23", "2018-02-23T00:00:00.000Z");
        check("2018-02-23 21:32:16", "2018-02-23T21:32:16.000Z");
        check("Fri, 23 Feb 2018 21:32:16 GMT", "2018-02-23T21:32:16.000Z");
        check("Mon, 23 Feb 2018 21:32:16 UTC", "2018-02-23T21:32:16.000Z");
        check("Thu, 22 Feb 2018 21:32:16 +0000", "2018-02-22T21:32:16.000Z");
        check("Tuesday, 20 February 2018 9:05:16 +02:00", "2018-02-20T07:05:16.000Z");
        check("Tue 20 Sept 2022 09:05 CEST", "2022-09-20T07:05:00.000Z");
        check("20 Feb 2018 09:05:16", "2018-02-20T09:05:16.000Z");
        check("Tue, 20 Feb 2018", "2018-02-20T00:00:00.000Z");
        check("2018-02-23 21:32:16 UTC", "2018-02-23T21:32:16.000Z");
        check("2018-02-23 21:32:16 +0100", "2018-02-23T20:32:16.000Z");
        check("2018-02-23T21:32", "2018-02-23T21:32:00.000Z");
        check("23 Feb 18 21:32 EST", "2018-02-24T02:32:00.000Z");
        check("Fri, 23 Feb 2018 21:32:16 +0100", "2018-02-23T20:32:16.000Z");
        for none in ["", "soon", "+0000", "é+0000", "Mon Oct", "Mon Foo 03 00:23:22 +0000 2016", "2018-02-3"]
        {
            check(none, "");
        }
    }
}
