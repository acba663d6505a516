//! Numbers and durations in readable form.

/// A whole number or a reference to one; templates pass both.
pub trait Whole {
    fn whole(&self) -> u64;
}

impl Whole for u64 {
    fn whole(&self) -> u64 {
        *self
    }
}

impl Whole for i64 {
    fn whole(&self) -> u64 {
        self.unsigned_abs()
    }
}

impl Whole for usize {
    fn whole(&self) -> u64 {
        *self as u64
    }
}

impl<T: Whole> Whole for &T {
    fn whole(&self) -> u64 {
        (*self).whole()
    }
}

/// Formats a count: `940`, `12,400`, `1.2 million`.
pub fn count(n: impl Whole) -> String {
    let n = n.whole();
    match n {
        0..1_000_000 => {
            let digits = n.to_string();
            let (head, tail) = digits.split_at(digits.len() % 3);
            let groups = tail.as_bytes().chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
            let all: Vec<String> =
                std::iter::once(head.to_owned()).filter(|head| !head.is_empty()).chain(groups).collect();
            all.join(",")
        }
        _ => {
            let (whole, unit) = if n < 1_000_000_000 { (1e6, "million") } else { (1e9, "billion") };
            let text = format!("{:.1}", n as f64 / whole);
            format!("{} {unit}", text.trim_end_matches(".0"))
        }
    }
}

/// Formats a count with its noun: `1 post`, `2 posts`.
pub fn counted(n: impl Whole, noun: &str) -> String {
    let ending = if n.whole() == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(n))
}

/// Formats a duration given in minutes: `9 min`, `3 h`, `2 days`.
pub fn minutes(minutes: &f64) -> String {
    match *minutes {
        m if m < 1.0 => "under a minute".into(),
        m if m < 120.0 => format!("{m:.0} min"),
        m if m < 2_880.0 => format!("{:.0} h", m / 60.0),
        m => format!("{:.0} days", m / 1_440.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_people_write_them() {
        let shown = [0_u64, 7, 940, 1_000, 12_400, 999_999, 1_000_000, 1_249_000, 3_000_000_000].map(count);
        let wanted = ["0", "7", "940", "1,000", "12,400", "999,999", "1 million", "1.2 million", "3 billion"];
        assert_eq!(shown, wanted);
        assert_eq!([counted(1_u64, "post"), counted(0_usize, "post")], ["1 post", "0 posts"]);
        assert_eq!(
            [0.2, 9.4, 119.0, 150.0, 4_400.0].each_ref().map(minutes),
            ["under a minute", "9 min", "119 min", "2 h", "3 days"]
        );
    }
}
