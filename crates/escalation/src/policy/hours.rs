//! Hours of the week in a time zone: business hours, which response targets count, and quiet hours of teams.

use firewatch_domain::{Duration, EventTime};
use firewatch_settings::Settings;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// Weeks that [`WeeklyHours::after`] looks at one by one; it skips the others.
const EXACT_WEEKS: i64 = 2;
const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// Hours of the week. Hours that end before they begin end on the next day; those from 00:00 to 24:00 are whole
/// days.
#[derive(Debug, Clone, PartialEq)]
pub struct WeeklyHours {
    zone: TimeZone,
    days: Vec<Weekday>,
    from: Time,
    /// Midnight is that at the end of the day.
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
    let (from, to) = (time(s, &format!("{key}.from"), "09:00"), end(s, &format!("{key}.to"), "17:00"));
    if from == to && from != Time::midnight() {
        let times = format!("{:02}:{:02}", from.hour(), from.minute());
        s.add_fault(
            key,
            format_args!(
                "{times} to {times} is empty; give two different times, or 00:00 to 24:00 for whole days"
            ),
        );
    }
    Some(WeeklyHours { zone, days: days(s, &format!("{key}.days")), from, to })
}

fn time(s: &mut Settings, key: &str, default: &str) -> Time {
    let text = s.text(key, default);
    parse_time(&text).unwrap_or_else(|| reject_time(s, key, &text))
}

/// Reads an end. `24:00` is the end of the day, and so is `23:59`: nobody means a gap of one minute.
fn end(s: &mut Settings, key: &str, default: &str) -> Time {
    match s.text(key, default).as_str() {
        "24:00" | "23:59" => Time::midnight(),
        text => parse_time(text).unwrap_or_else(|| reject_time(s, key, text)),
    }
}

fn parse_time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

fn reject_time(s: &mut Settings, key: &str, text: &str) -> Time {
    s.add_fault(key, format_args!("{text:?} is not allowed; give a time of day such as \"09:00\""));
    Time::midnight()
}

fn days(s: &mut Settings, key: &str) -> Vec<Weekday> {
    let names = s.texts(key);
    let mut days = Vec::new();
    for name in &names {
        match DAYS.iter().find(|(own, _)| own == name) {
            Some((_, day)) if days.contains(day) => {}
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
    /// Returns when the hours at a time end; `None` outside of the hours. Hours that follow without a gap count
    /// as one.
    #[must_use]
    pub fn end(&self, at: EventTime) -> Option<EventTime> {
        let mut end = None;
        // A week holds every gap there is.
        for (from, to) in
            self.spans(at).take_while(|(from, _)| *from - at <= Duration::from_mins(9 * 24 * 60))
        {
            match end {
                None if from <= at && at < to => end = Some(to),
                None if from > at => return None,
                Some(until) if from <= until => end = Some(to.max(until)),
                Some(until) => return Some(until),
                None => {}
            }
        }
        end
    }

    /// Returns when `span` of these hours has passed since `from`; the last time there is if that is never.
    #[must_use]
    pub fn after(&self, from: EventTime, span: Duration) -> EventTime {
        let weekly = self.weekly().as_millis().max(1);
        let weeks = (span.as_millis() / weekly - EXACT_WEEKS).max(0);
        // A week later is the same local time. The hours that a change of the clock adds or takes within the
        // skipped weeks are not counted.
        let Some(start) = self.weeks_later(from, weeks) else { return EventTime::END };
        let mut remaining = span - Duration::from_millis(weeks * weekly);
        for (begin, end) in self.spans(start) {
            let begin = begin.max(start);
            if end <= begin {
                continue;
            }
            if end - begin >= remaining {
                return begin + remaining;
            }
            remaining = remaining - (end - begin);
        }
        EventTime::END
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

    /// Returns whether these hours never end.
    #[must_use]
    pub fn is_always(&self) -> bool {
        self.days.len() == DAYS.len() && self.from == self.to
    }

    /// Returns the length of the hours in a week without a change of the clock.
    fn weekly(&self) -> Duration {
        let minutes = |time: Time| i64::from(time.hour()) * 60 + i64::from(time.minute());
        let (from, to) = (minutes(self.from), minutes(self.to));
        let daily = if to <= from { to + 24 * 60 - from } else { to - from };
        Duration::from_mins(daily * self.days.len() as i64)
    }

    fn weeks_later(&self, at: EventTime, weeks: i64) -> Option<EventTime> {
        let zoned = Timestamp::from_millisecond(at.as_millis()).ok()?.to_zoned_datetime(self.zone.clone());
        let later = zoned.checked_add(Span::new().try_weeks(weeks).ok()?).ok()?;
        Some(EventTime::from_millis(later.timestamp().as_millisecond()))
    }

    /// Returns the hours from the day before a time on, in order, until the calendar ends.
    fn spans(&self, at: EventTime) -> impl Iterator<Item = (EventTime, EventTime)> + '_ {
        let now = Timestamp::from_millisecond(at.as_millis()).unwrap_or(Timestamp::UNIX_EPOCH);
        let today = now.to_zoned_datetime(self.zone.clone()).date();
        let days = (-1..).map_while(move |n| today.checked_add(Span::new().try_days(n).ok()?).ok());
        days.filter(|day| self.days.contains(&day.weekday())).map_while(|day| {
            let next = if self.to <= self.from { day.tomorrow().ok()? } else { day };
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
