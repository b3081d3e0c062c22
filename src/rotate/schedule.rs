//! Rotation by time: when the next boundary is, whether it is due, and what the file of a period is called.
//!
//! **Constraints.** Pure: no I/O and no clock; the present is an argument. (The one exception looks up a zone by its name:
//! [`Zone::find`].) The clock and the journal are in `src/flush/time.rs`.
//!
//! **Two families of triggers.** [`Std`] are those of Python's `TimedRotatingFileHandler`, for programs that come from
//! there: the same times and the same names to the second, faults included. [`Calendar`] are right.
//!
//! # By the calendar
//!
//! A boundary is a point of a wall clock in a zone, so it is the same whoever computes it and whenever. When clocks change:
//!
//! | | times of a day (`daily`, `weekly`, `monthly`, cron with certain hours) | every hour (`hourly`, cron with hour `*`) |
//! |---|---|---|
//! | a time is missing | the boundary is where the clock jumps over it | there is none |
//! | several are missing | one boundary for all | there is none |
//! | a time comes twice | the first time only | both times |
//!
//! So each day has each time of the day exactly once, and the two passes of a repeated hour are two files of an
//! hourly log. Put differently: a time of the day is a boundary when the clock *first shows it or something later*; this
//! is also how the search is written, and how the test walks.
//!
//! # As in Python
//!
//! What is kept on purpose, because a program that changes one import must not notice (3.13.0, compared in
//! `tests/data/rollover`):
//!
//! - S, M, H and D count from the last rotation or the log file's beginning, never from the full minute or hour.
//! - W0 without a time is the *end* of Monday; `W0 at 00:00` is its beginning. MIDNIGHT is the same either way.
//! - An interval of MIDNIGHT or of a week is counted from where one stands: MIDNIGHT 2 means not the next but
//!   the second midnight. So the first period of such a log is shorter than the others.
//! - Clocks are mended by one hour, on the grounds of the daylight saving flag. Where they change by half an hour (Lord
//!   Howe) or without that flag (Moscow in 2014), the next rotation is off by half an hour or an hour. In Casablanca
//!   and Dublin, where winter has the flag, the hour is mended in the wrong direction: two hours off. Some builds of
//!   the time zone database give the flag to summer even there, and then it is right.
//! - A time that does not exist on that day is taken an hour later, not where the clock jumps.
//! - The name is the boundary less the interval, so the first and shorter period of MIDNIGHT 7 is named after a day
//!   before the log existed. It is mended by an hour according to when the rotation is carried out.
//!
//! What is not kept:
//!
//! | Python | here |
//! |---|---|
//! | up to 3.12.1 at least: at the time itself MIDNIGHT and W0 to W6 answer that time, not the next; their interval is left out at the start; a change of the clocks before the first rollover is not mended | as 3.13 |
//! | up to 3.12.1 at least: a file of that name is removed, with all its records (cpython#88352); since then, the rotation does not happen as long as there is one | it gets a [number](Dated) |
//! | a log whose last write is in the future, or a clock set back, is waited for | see below |
//! | an interval of 0 rotates at each record | refused |
//! | versions of 2026 start from the file's creation if that is earlier (cpython#84649) | likewise |
//!
//! # When it is due
//!
//! | what happens | what is done |
//! |---|---|
//! | the boundary is reached | one rotation; a record of that very instant belongs to the new file |
//! | several were passed: the system slept, nobody ran, the clock was set forward | one rotation, and the file has the name of the period in which it began |
//! | nothing was logged in the period | none, unless empty files are [asked for](Schedule::with_empty_files); the period ends all the same |
//! | the clock is set back, but not beyond the period before | none; the boundaries that were rotated for pass again without effect, and waiting takes two periods at most |
//! | the clock is set back farther | none; from here on the boundaries of the new time count |
//! | a boundary has passed while no process had the log open | one rotation, at the start: the period stands in the manifest ([`Schedule::go_on`]) |
//! | the same without a manifest | likewise; the period is taken to have begun when the log file was made, or the newest archive last written |
//!
//! The fifth row is where two wishes meet: never to rotate for a boundary twice, and never to wait for a future
//! that was a mistake. Who sets a clock back by more than a period gets boundaries a second time, and numbers behind the names.
//!
//! **Invariant:** after [`Schedule::due`] the boundary that is waited for is in the future, and at most the second one from
//! now, whatever the clock did; [`Schedule::resume`] makes it so for what was in the journal. **Invariant:** a boundary costs at most one rotation.
mod calendar;
pub mod cron;
pub mod parse;
pub mod stamp;
mod stdlib;
pub mod trigger;

pub use cron::Cron;
pub use parse::{Problem, TriggerError};
pub use stamp::{Dated, Precision};
pub use trigger::{Calendar, Std, Trigger, Unit, UnknownZone, When, Zone};

use calendar::Pattern;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// The current period of the log file, in whole seconds. The journal must keep it: two words.
///
/// **Invariant:** `until` is the schedule's next boundary after `from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Armed {
    /// Where it began; a file is named after it.
    pub from: Timestamp,
    /// The next boundary; it is not part of the period. The end of time if there is none.
    pub until: Timestamp,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing until the boundary, or until the clock has been set.
    Wait,
    /// Do not rotate, but wait for another boundary.
    Rearm(Armed),
    /// Rotate once, then wait for another boundary.
    Rotate(Armed),
}

impl Due {
    /// The same where no rotation is to be made: the period ends all the same.
    #[must_use]
    pub fn without_rotation(self) -> Self {
        match self {
            Self::Rotate(next) => Self::Rearm(next),
            other => other,
        }
    }
}

/// A [`Trigger`] in its zone.
#[derive(Clone, Debug)]
pub struct Schedule {
    rule: Rule,
    zone: TimeZone,
    empty_files: bool,
}

#[derive(Clone, Debug)]
enum Rule {
    Std(Std),
    Calendar(Pattern),
}

impl Schedule {
    /// `zone` is what [`Zone::find`] found for the trigger's.
    #[must_use]
    pub fn new(trigger: &Trigger, zone: TimeZone) -> Self {
        let rule = match &trigger.when {
            When::Std(std) => Rule::Std(*std),
            When::Calendar(calendar) => Rule::Calendar(calendar.into()),
        };
        Self { rule, zone, empty_files: false }
    }

    /// Rotate at boundaries even if nothing was logged since the last one.
    #[must_use]
    pub fn with_empty_files(self) -> Self {
        Self { empty_files: true, ..self }
    }

    /// The first boundary behind `at`; the end of time if there is none.
    #[must_use]
    pub fn next_after(&self, at: Timestamp) -> Timestamp {
        match &self.rule {
            Rule::Std(std) => std.rollover(&self.zone, at),
            Rule::Calendar(pattern) => pattern.next_after(&self.zone, at),
        }
    }

    /// Where the period began that holds `at`: the last boundary that is not behind it. A rule of Python's has no
    /// boundaries but those it counts from somewhere, so `at` is as good a start as any.
    #[must_use]
    pub fn boundary_of(&self, at: Timestamp) -> Timestamp {
        let Rule::Calendar(_) = self.rule else {
            return at;
        };
        let Some(mut boundary) = self.boundary_near(at) else {
            return Timestamp::MIN;
        };
        loop {
            let next = self.next_after(boundary);
            if next > at || next <= boundary {
                return boundary;
            }
            boundary = next;
        }
    }

    /// Some boundary that is not behind `at`, and not far from it.
    fn boundary_near(&self, at: Timestamp) -> Option<Timestamp> {
        let mut back = SignedDuration::from_mins(1);
        loop {
            let boundary = self.next_after(at.checked_sub(back).ok()?);
            if boundary <= at {
                return Some(boundary);
            }
            back = back.checked_mul(2)?;
        }
    }

    /// The period to begin with. `last_write` is the modification time of the log file if there is one, and not
    /// empty: a boundary since then is due at once. One in the future counts as now.
    #[must_use]
    pub fn begin(&self, now: Timestamp, last_write: Option<Timestamp>) -> Armed {
        let since = last_write.map_or(now, |write| write.min(now));
        Armed { from: self.boundary_of(stdlib::floor(since)), until: self.next_after(since) }
    }

    /// The period to go on with at a take-over: the predecessor's, if it is one of this schedule; else, after another
    /// configuration or from a damaged journal, what [`Schedule::begin`] says.
    #[must_use]
    pub fn resume(&self, before: Armed, now: Timestamp, last_write: Option<Timestamp>) -> Armed {
        let ours = before.until == self.next_after(before.from);
        if ours { before } else { self.begin(now, last_write) }
    }

    /// The period to go on with when a log is opened again, perhaps after a long time and with another schedule: the one
    /// that it had, or one with the same beginning. A beginning in the future counts for nothing.
    #[must_use]
    pub fn go_on(&self, before: Armed, now: Timestamp) -> Armed {
        let until = self.next_after(before.from);
        match until == before.until {
            true => before,
            false if before.from > now => self.begin(now, None),
            false => Armed { from: self.boundary_of(before.from), until },
        }
    }

    /// Whether it is time. `empty`: whether the log file is.
    #[must_use]
    pub fn due(&self, armed: Armed, now: Timestamp, empty: bool) -> Due {
        if (armed.from..armed.until).contains(&now) {
            return Due::Wait;
        }
        if now < armed.until && armed.until <= self.next_after(self.next_after(now)) {
            // Set back to the period before: its end has been rotated for.
            return Due::Wait;
        }
        let next = self.begin(now, None);
        let rotate = now >= armed.until && (self.empty_files || !empty);
        if rotate { Due::Rotate(next) } else { Due::Rearm(next) }
    }

    /// The stamp of the file of that period, if it is rotated at `now`.
    #[must_use]
    pub fn stamp(&self, armed: Armed, now: Timestamp) -> String {
        self.precision().stamp(self.named_after(armed, now))
    }

    /// The time that the file of that period is named after, if it is rotated at `now`. (Python's depends on `now`.)
    #[must_use]
    pub fn named_after(&self, armed: Armed, now: Timestamp) -> DateTime {
        match &self.rule {
            Rule::Std(std) => std.named_after(&self.zone, armed.until, now),
            Rule::Calendar(_) => self.zone.to_datetime(armed.from),
        }
    }

    /// How long the stamps are.
    #[must_use]
    pub fn precision(&self) -> Precision {
        match &self.rule {
            Rule::Std(std) => std.precision(),
            Rule::Calendar(pattern) => pattern.precision(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::panic)]
mod tests;
