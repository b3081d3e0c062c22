//! The instants at which a wall clock reaches certain times, across every change of that clock.
//!
//! Between two changes of the clocks wall-clock time and instants differ by a constant. So the search goes
//! from one such stretch to the next, and within one it is a search in civil time alone.
use super::cron::{self, Cron};
use super::stamp::Precision;
use super::stdlib::{after, floor};
use super::trigger::Calendar;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// No pair of equal days is farther apart: 29 February of 2096 and of 2104.
const DAYS_MAX: usize = 8 * 366;

/// What all calendar triggers are, seen from here: days, and times of those days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    cron: Cron,
    second: i8,
    /// A day that the month does not have means its last one.
    or_last_day: bool,
}

impl From<&Calendar> for Pattern {
    fn from(calendar: &Calendar) -> Self {
        let every_minute = Cron {
            minutes: cron::MINUTE.all(),
            hours: cron::HOUR.all(),
            days: cron::DAY.all(),
            months: cron::MONTH.all(),
            weekdays: cron::WEEKDAY.all(),
        };
        let once_a_day = |at: Time| Cron { minutes: 1 << at.minute(), hours: 1 << at.hour(), ..every_minute };
        let (cron, second) = match *calendar {
            Calendar::Hourly => (Cron { minutes: 1, ..every_minute }, 0),
            Calendar::Daily { at } => (once_a_day(at), at.second()),
            Calendar::Weekly { day, at } => {
                (Cron { weekdays: 1 << day.to_sunday_zero_offset(), ..once_a_day(at) }, at.second())
            }
            Calendar::Monthly { day, at } => {
                (Cron { days: 1 << day.clamp(1, 31), ..once_a_day(at) }, at.second())
            }
            Calendar::Cron(cron) => (cron, 0),
        };
        Self { cron, second, or_last_day: matches!(calendar, Calendar::Monthly { .. }) }
    }
}

/// A time without a change of the clocks.
struct Stretch {
    from: Timestamp,
    /// Not part of it.
    to: Timestamp,
    offset: Offset,
    /// What the wall clock would show at `from` if it had not been changed.
    unchanged: DateTime,
}

impl Stretch {
    fn around(zone: &TimeZone, at: Timestamp) -> Self {
        let soon = at.checked_add(SignedDuration::from_nanos(1)).unwrap_or(at);
        let from = zone.preceding(soon).next().map_or(Timestamp::MIN, |change| change.timestamp());
        let to = zone.following(at).next().map_or(Timestamp::MAX, |change| change.timestamp());
        let before = from.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(from);
        let unchanged = zone.to_offset(before).to_datetime(from);
        Self { from, to, offset: zone.to_offset(at), unchanged }
    }
}

impl Pattern {
    /// The first boundary behind `at`; the end of time if there is none.
    pub(super) fn next_after(&self, zone: &TimeZone, at: Timestamp) -> Timestamp {
        let mut at = after(floor(at), 1);
        while at < Timestamp::MAX {
            let stretch = Stretch::around(zone, at);
            match self.first_in(&stretch, at) {
                Some(boundary) => return boundary,
                None => at = stretch.to,
            }
        }
        Timestamp::MAX
    }

    /// The first boundary of the stretch that is not before `at`.
    fn first_in(&self, stretch: &Stretch, at: Timestamp) -> Option<Timestamp> {
        let shown = stretch.offset.to_datetime(at);
        let from = if self.every_hour() {
            shown
        } else if at == stretch.from {
            // What the clock jumped over is reached now; what it shows again was reached before.
            stretch.unchanged
        } else {
            shown.max(stretch.unchanged)
        };
        let boundary = stretch.offset.to_timestamp(self.first_from(from)?).ok()?.max(at);
        Some(boundary).filter(|boundary| *boundary < stretch.to)
    }

    /// Such a trigger follows the clock: through a repeated hour twice, past a missing one. The others
    /// mean times of a day, and each day has each time once.
    fn every_hour(&self) -> bool {
        self.cron.hours == cron::HOUR.all()
    }

    /// In civil time: the first match that is not before `from`.
    fn first_from(&self, from: DateTime) -> Option<DateTime> {
        let days = from.date().series(jiff::Span::new().days(1)).take(DAYS_MAX);
        let mut earliest = from.time();
        for date in days {
            let time = if self.matches(date) { self.first_time(earliest) } else { None };
            if let Some(time) = time {
                return Some(date.to_datetime(time));
            }
            earliest = Time::midnight();
        }
        None
    }

    fn matches(&self, date: Date) -> bool {
        let Cron { months, weekdays, .. } = self.cron;
        let weekday = weekdays & (1 << date.weekday().to_sunday_zero_offset()) != 0;
        let day = self.matches_day(date);
        let right_day = if self.cron.either() { day || weekday } else { day && weekday };
        right_day && months & (1 << date.month()) != 0
    }

    fn matches_day(&self, date: Date) -> bool {
        let too_late = self.or_last_day && date.day() == date.days_in_month();
        let days = if too_late { u64::MAX << date.day() } else { 1 << date.day() };
        self.cron.days & days != 0
    }

    fn first_time(&self, earliest: Time) -> Option<Time> {
        let hours = (earliest.hour()..24).filter(|hour| self.cron.hours & (1 << hour) != 0);
        let mut times = hours.flat_map(|hour| {
            let minutes = (0..60).filter(|minute| self.cron.minutes & (1 << minute) != 0);
            minutes.filter_map(move |minute| Time::new(hour, minute, self.second, 0).ok())
        });
        times.find(|time| *time >= earliest)
    }

    /// How much of the time must stand in a name so that two periods of a day differ.
    pub(super) fn precision(&self) -> Precision {
        if self.cron.minutes.count_ones() > 1 {
            Precision::Minute
        } else if self.cron.hours.count_ones() > 1 {
            Precision::Hour
        } else {
            Precision::Day
        }
    }
}
