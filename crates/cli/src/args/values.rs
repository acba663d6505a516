//! What stands on the command line, read into values; an error tells what would be right.

use std::path::PathBuf;

pub fn age(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(secs) if secs.is_finite() && secs >= 0.0 => Ok(secs),
        _ => Err("give seconds from 0".into()),
    }
}

pub fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("give a share above 0, up to 1".into()),
    }
}

pub fn budget(text: &str) -> Result<f64, String> {
    let (number, unit) = text.trim().split_once(' ').unwrap_or((text.trim(), "alerts/day"));
    let a_day = match unit.trim() {
        "alerts/day" | "a day" => 1.0,
        "alerts/hour" | "an hour" => 24.0,
        _ => return Err("give a number of alerts a day, or one with `alerts/day` or `alerts/hour`".into()),
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
