//! Parsers of command-line values. Their errors say what is allowed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use firewatch_domain::EventTime;
use firewatch_kafka::SpanBound;
use firewatch_report::Zone;
use firewatch_wire::Format;

pub fn format() -> impl TypedValueParser<Value = Format> {
    let names = PossibleValuesParser::new(Format::ALL.map(Format::name));
    names.map(|name| Format::from_name(&name).unwrap_or_default())
}

pub fn age(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(secs) if secs.is_finite() && secs >= 0.0 => Ok(secs),
        _ => Err("give a number of seconds, 0 or more".into()),
    }
}

pub fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("give a share above 0 and at most 1".into()),
    }
}

pub fn budget(text: &str) -> Result<f64, String> {
    let (number, unit) = text.trim().split_once(' ').unwrap_or((text.trim(), "alerts/day"));
    let a_day = match unit.trim() {
        "alerts/day" | "a day" => 1.0,
        "alerts/hour" | "an hour" => 24.0,
        _ => {
            return Err("give alerts per day, or a number with `alerts/day` or `alerts/hour`".into());
        }
    };
    match number.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number * a_day),
        _ => Err("give a number above 0, such as 20".into()),
    }
}

pub fn split(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err("give a share above 0 and below 1".into()),
    }
}

pub fn page(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.extension().is_some_and(|ending| ending == "html") {
        return Ok(path);
    }
    Err("give a name that ends in .html".into())
}

pub fn threads(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(n) if (1..=256).contains(&n) => Ok(n),
        _ => Err("give a number from 1 to 256".into()),
    }
}

pub fn prefix(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=100).contains(&text.len()) && text.chars().all(legal) {
        return Ok(text.into());
    }
    Err("give 1 to 100 letters, digits, `.`, `_` or `-`".into())
}

pub fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && (0.0..=100_000.0).contains(&speed) => Ok(speed),
        _ => Err("give a number from 0 to 100000".into()),
    }
}

pub fn loopback(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(address),
        Ok(_) => Err("other machines can reach this address; give a loopback address".into()),
        Err(_) => Err("give an address and port such as 127.0.0.1:9465".into()),
    }
}

pub fn zone(name: &str) -> Result<Zone, String> {
    Zone::named(name).map_err(|e| e.to_string())
}

pub fn time(text: &str) -> Result<EventTime, String> {
    EventTime::parse(text).map_err(|e| e.to_string())
}

/// Parses `log`, a time, or `PARTITION:OFFSET` pairs separated by commas.
pub fn span_bound(text: &str) -> Result<SpanBound, String> {
    if text == "log" {
        return Ok(SpanBound::Log);
    }
    if let Ok(at) = EventTime::parse(text) {
        return Ok(SpanBound::Time(at));
    }
    let pair = |pair: &str| {
        let (partition, offset) = pair.split_once(':')?;
        Some((partition.parse().ok()?, offset.parse::<i64>().ok().filter(|at| *at >= 0)?))
    };
    let offsets: Option<BTreeMap<u32, i64>> = text.split(',').map(pair).collect();
    offsets.map(SpanBound::Offsets).ok_or_else(|| {
        "give a time such as 2026-08-03T10:00:00Z, offsets such as 0:1200,1:1180, or `log`".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_times_offsets_or_the_log_itself() {
        let read = |text| span_bound(text).ok();
        assert_eq!(read("log"), Some(SpanBound::Log));
        let at = EventTime::parse("2026-08-03T10:00:00Z").unwrap();
        assert_eq!(read("2026-08-03T10:00:00Z"), Some(SpanBound::Time(at)));
        assert_eq!(read("0:12,3:7"), Some(SpanBound::Offsets([(0, 12), (3, 7)].into())));
        for none in ["", "yesterday", "0:", "0:-1", "0:12,", "12"] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
