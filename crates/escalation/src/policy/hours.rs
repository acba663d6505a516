//! Hours of the week in a time zone: business hours, which response targets count, and quiet hours of teams.

use firewatch_domain::{Duration, EventTime};
use firewatch_settings::Settings;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// Maximum number of days to look ahead for the next hours.
const MAX_DAYS_AHEAD: i64 = 400;
const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// Hours of the week. Hours that end before they begin end on the next day.
#[derive(Debug, Clone, PartialEq)]
pub struct WeeklyHours {
    zone: TimeZone,
    days: Vec<Weekday>,
    from: Time,
    to: Time,
}

/// Reads an hours section; `None` when it is absent.
pub(super) fn read(s: &mut Settings, key: &str) -> Option<WeeklyHours> {
    if !s.has(key) {
        return None;
    }
    let name = s.text(&format!("{key}.zone"), "UTC");
    let zone = TimeZone::get(&name).unwrap_or_else(|_| {
        let problem = format!("{name:?} is not a time zone; give a name such as \"America/New_York\"");
        s.add_fault(&format!("{key}.zone"), problem);
        TimeZone::UTC
    });
    let (from, to) = (time(s, &format!("{key}.from"), "09:00"), time(s, &format!("{key}.to"), "17:00"));
    if from == to {
        s.add_fault(
            key,
            format_args!("{from} to {to} is empty; give two different times, or remove the section"),
        );
    }
    Some(WeeklyHours { zone, days: days(s, &format!("{key}.days")), from, to })
}

fn time(s: &mut Settings, key: &str, default: &str) -> Time {
    let text = s.text(key, default);
    let read = text.split_once(':').and_then(|(h, m)| Time::new(h.parse().ok()?, m.parse().ok()?, 0, 0).ok());
    read.unwrap_or_else(|| {
        s.add_fault(key, format_args!("{text:?} is not allowed; give a time of day such as \"09:00\""));
        Time::midnight()
    })
}

fn days(s: &mut Settings, key: &str) -> Vec<Weekday> {
    let names = s.texts(key);
    let mut days = Vec::new();
    for name in &names {
        match DAYS.iter().find(|(own, _)| own == name) {
            Some((_, day)) => days.push(*day),
            None => s.add_fault(
                key,
                format_args!("{name:?} is not a day; give any of {}", DAYS.map(|(n, _)| n).join(", ")),
            ),
        }
    }
    if names.is_empty() { DAYS.map(|(_, day)| day).to_vec() } else { days }
}

impl WeeklyHours {
    /// Returns when the hours at a time end; `None` outside of the hours.
    #[must_use]
    pub fn end(&self, at: EventTime) -> Option<EventTime> {
        self.spans(at).take_while(|(from, _)| *from <= at).find(|(_, to)| at < *to).map(|(_, to)| to)
    }

    /// Returns when `span` of these hours has passed since `from`.
    #[must_use]
    pub fn after(&self, from: EventTime, span: Duration) -> EventTime {
        let mut remaining = span;
        for (begin, end) in self.spans(from) {
            let begin = begin.max(from);
            if end <= begin {
                continue;
            }
            if end - begin >= remaining {
                return begin + remaining;
            }
            remaining = remaining - (end - begin);
        }
        from + span
    }

    /// Returns how much of these hours lies between two times.
    #[must_use]
    pub fn between(&self, from: EventTime, to: EventTime) -> Duration {
        let inside = self.spans(from).take_while(|(begin, _)| *begin < to);
        inside.fold(Duration::ZERO, |sum, (begin, end)| {
            let (begin, end) = (begin.max(from), end.min(to));
            if end > begin { sum + (end - begin) } else { sum }
        })
    }

    /// Returns the hours from the day before a time on, in order.
    fn spans(&self, at: EventTime) -> impl Iterator<Item = (EventTime, EventTime)> + '_ {
        let now = Timestamp::from_millisecond(at.as_millis()).unwrap_or(Timestamp::UNIX_EPOCH);
        let today = now.to_zoned_datetime(self.zone.clone()).date();
        (-1..MAX_DAYS_AHEAD).filter_map(move |n| {
            let day = today.checked_add(Span::new().days(n)).ok()?;
            let next = if self.to <= self.from { day.tomorrow().ok()? } else { day };
            self.days.contains(&day.weekday()).then_some(())?;
            Some((self.instant(day, self.from)?, self.instant(next, self.to)?))
        })
    }

    fn instant(&self, day: Date, time: Time) -> Option<EventTime> {
        let instant = self.zone.to_timestamp(day.to_datetime(time)).ok()?;
        Some(EventTime::from_millis(instant.as_millisecond()))
    }
}

/// Returns when `span` has passed since `from`, counting only the hours if there are any.
pub(crate) fn after(hours: Option<&WeeklyHours>, from: EventTime, span: Duration) -> EventTime {
    hours.map_or(from + span, |hours| hours.after(from, span))
}

/// Returns the span between two times, counting only the hours if there are any.
pub(crate) fn between(hours: Option<&WeeklyHours>, from: EventTime, to: EventTime) -> Duration {
    hours.map_or_else(|| to - from, |hours| hours.between(from, to))
}
