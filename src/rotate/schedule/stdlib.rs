//! The times and names of Python's `TimedRotatingFileHandler`, faults included.
//!
//! It counts seconds and then mends what a change of the clocks did by an hour, on the grounds of the
//! daylight saving flag alone. So do we, in the same order; see the table in the module's text.
use super::stamp::Precision;
use super::trigger::{Std, Unit};
use jiff::civil::{DateTime, Time};
use jiff::tz::{Dst, TimeZone};
use jiff::{SignedDuration, Timestamp};

const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

impl Std {
    fn interval_seconds(&self) -> i64 {
        // Fits: u32::MAX weeks are 2^52 seconds.
        self.unit.seconds().saturating_mul(self.interval.get().into())
    }

    /// `computeRollover`. In whole seconds, as there.
    pub(super) fn rollover(&self, zone: &TimeZone, now: Timestamp) -> Timestamp {
        let now = floor(now);
        match self.unit {
            Unit::Second | Unit::Minute | Unit::Hour | Unit::Day => after(now, self.interval_seconds()),
            Unit::Midnight | Unit::Week(_) => {
                let rollover = after(now, self.seconds_to_rollover(zone.to_datetime(now)));
                mend_hour(zone, now, rollover)
            }
        }
    }

    /// As if every day had 24 hours.
    fn seconds_to_rollover(&self, local: DateTime) -> i64 {
        // Without `atTime` it is the end of the day, with 00:00 the beginning: that makes W0 the end of Monday.
        let mut to_time = self.at.map_or(DAY, second_of_day) - second_of_day(local.time());
        let mut weekday = local.weekday();
        if to_time <= 0 {
            to_time += DAY;
            weekday = weekday.wrapping_add(1);
        }
        let days = match self.unit {
            Unit::Week(day) => i64::from(weekday.until(day)),
            _ => 0,
        };
        to_time + days * DAY + self.interval_seconds() - self.unit.seconds()
    }

    /// The time that `doRollover` names the file after, when it runs at `now` for a rollover due at `until`.
    pub(super) fn named_after(&self, zone: &TimeZone, until: Timestamp, now: Timestamp) -> DateTime {
        let start = after(until, -self.interval_seconds());
        let mend = match (dst(zone, now), dst(zone, start)) {
            (true, false) => HOUR,
            (false, true) => -HOUR,
            _ => 0,
        };
        zone.to_datetime(after(start, mend))
    }

    pub(super) const fn precision(&self) -> Precision {
        match self.unit {
            Unit::Second => Precision::Second,
            Unit::Minute => Precision::Minute,
            Unit::Hour => Precision::Hour,
            Unit::Day | Unit::Midnight | Unit::Week(_) => Precision::Day,
        }
    }
}

/// Puts back or forth by an hour what fell on the other side of a change of the clocks.
fn mend_hour(zone: &TimeZone, now: Timestamp, rollover: Timestamp) -> Timestamp {
    match (dst(zone, now), dst(zone, rollover)) {
        (false, true) if dst(zone, after(rollover, -HOUR)) => after(rollover, -HOUR),
        (true, false) => after(rollover, HOUR),
        _ => rollover,
    }
}

fn dst(zone: &TimeZone, at: Timestamp) -> bool {
    zone.to_offset_info(at).dst() == Dst::Yes
}

fn second_of_day(time: Time) -> i64 {
    i64::from(time.hour()) * HOUR + i64::from(time.minute()) * 60 + i64::from(time.second())
}

/// The whole second that has begun.
pub(super) fn floor(at: Timestamp) -> Timestamp {
    let part = i64::from(at.subsec_nanosecond()).rem_euclid(1_000_000_000);
    at.checked_sub(SignedDuration::from_nanos(part)).unwrap_or(Timestamp::MIN)
}

/// The end of time where there is no such instant.
pub(super) fn after(at: Timestamp, seconds: i64) -> Timestamp {
    let end = if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(end)
}
