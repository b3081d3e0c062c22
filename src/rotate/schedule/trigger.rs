//! What the user asked for, as plain data, and how it is written.
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use std::fmt;
use std::num::NonZeroU32;

use super::cron::Cron;

/// When to rotate, and by whose clock. Its text parses back to the same value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// When.
    pub when: When,
    /// The zone whose wall clock is meant.
    pub zone: Zone,
}

/// Which of the two families of triggers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// As in Python's `TimedRotatingFileHandler`, faults included.
    Std(Std),
    /// By the calendar, right across every change of the clocks.
    Calendar(Calendar),
}

/// Python's `when`, `interval` and `atTime`. (`utc` is [`Zone::Utc`].)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Std {
    /// `when`.
    pub unit: Unit,
    /// `interval`.
    pub interval: NonZeroU32,
    /// `atTime`, to the second. Means nothing to S, M, H and D, as in Python.
    pub at: Option<Time>,
}

/// Python's `when`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// `S`, counted from the last rotation.
    Second,
    /// `M`, counted from the last rotation.
    Minute,
    /// `H`, counted from the last rotation.
    Hour,
    /// `D`: 24 hours, counted from the last rotation.
    Day,
    /// `MIDNIGHT`, or `atTime` of a day.
    Midnight,
    /// `W0` (Monday) to `W6`: that midnight, or `atTime` of that day.
    Week(Weekday),
}

/// Wall-clock boundaries that are the same whenever one looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Calendar {
    /// Whenever the wall clock shows a full hour.
    Hourly,
    /// Once a day.
    Daily {
        /// The time of the day.
        at: Time,
    },
    /// Once a week.
    Weekly {
        /// The day of the week.
        day: Weekday,
        /// The time of that day.
        at: Time,
    },
    /// Once a month.
    Monthly {
        /// The day, 1 to 31; the last one of a month that has not so many.
        day: u8,
        /// The time of that day.
        at: Time,
    },
    /// As the five fields of cron say.
    Cron(Cron),
}

/// Whose wall clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Zone {
    /// That of the process which flushes: `TZ`, or the system's setting.
    #[default]
    Local,
    /// UTC: no change of the clocks ever.
    Utc,
    /// A name of the time zone database, such as `Europe/Berlin`.
    Named(String),
}

/// A zone that the database does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no time zone {0:?} in the database of this system; write a name like Europe/Berlin, \
     UTC, or none for the local time"
)]
pub struct UnknownZone(pub String);

impl Zone {
    /// Looks the zone up. This is the only place here that reads anything: the system's time zone
    /// database, or the one in the program where the system has none. An unknown *local* zone is
    /// UTC, as for the C library.
    ///
    /// # Errors
    /// The database has no zone of that name.
    pub fn find(&self) -> Result<TimeZone, UnknownZone> {
        match self {
            Self::Local => Ok(TimeZone::try_system().unwrap_or(TimeZone::UTC)),
            Self::Utc => Ok(TimeZone::UTC),
            Self::Named(name) => TimeZone::get(name).map_err(|_| UnknownZone(name.clone())),
        }
    }
}

impl Unit {
    /// One `interval`, in seconds.
    pub(super) const fn seconds(self) -> i64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day | Self::Midnight => 86_400,
            Self::Week(_) => 7 * 86_400,
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.when {
            When::Std(std) => std.fmt(f),
            When::Calendar(calendar) => calendar.fmt(f),
        }?;
        match &self.zone {
            Zone::Local => Ok(()),
            Zone::Utc => f.write_str(" UTC"),
            Zone::Named(name) => write!(f, " {name}"),
        }
    }
}

impl fmt::Display for Std {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit {
            Unit::Second => f.write_str("S"),
            Unit::Minute => f.write_str("M"),
            Unit::Hour => f.write_str("H"),
            Unit::Day => f.write_str("D"),
            Unit::Midnight => f.write_str("MIDNIGHT"),
            Unit::Week(day) => write!(f, "W{}", day.to_monday_zero_offset()),
        }?;
        if self.interval.get() > 1 {
            write!(f, " {}", self.interval)?;
        }
        self.at.map_or(Ok(()), |at| write!(f, " at {}", Clock(at)))
    }
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hourly => f.write_str("hourly"),
            Self::Daily { at } => write!(f, "daily {}", Clock(*at)),
            Self::Weekly { day, at } => write!(f, "weekly {day:?} {}", Clock(*at)),
            Self::Monthly { day, at } => write!(f, "monthly {day} {}", Clock(*at)),
            Self::Cron(cron) => cron.fmt(f),
        }
    }
}

/// HH:MM, and the seconds if there are any.
struct Clock(Time);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0.hour(), self.0.minute())?;
        if self.0.second() == 0 { Ok(()) } else { write!(f, ":{:02}", self.0.second()) }
    }
}
