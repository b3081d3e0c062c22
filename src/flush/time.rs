//! Rotation at times, and what the archives are called.
//!
//! The pure [`Schedule`] says when; here are the clock, and the file's period, which stands in the journal. A rotation
//! commits the new period together with the new file, so a boundary costs one rotation whoever is killed when. The
//! boundary is looked at once a sweep, before what is in the ring is collected: what was committed some milliseconds
//! before it, but not yet drained, stands in the new file.

use super::{Event, Flusher, MS, ROTATIONS, Trouble};
use crate::options::{Config, OnStart};
use crate::ring::journal::Period;
use crate::ring::mem::Mem;
use crate::rotate::manifest::Manifest;
use crate::rotate::name::Packing;
use crate::rotate::schedule::{Armed, Dated, Due, Precision, Schedule};
use crate::rotate::{Failure, Member, Scheme, Standing};
use crate::sys::{self, LogFile};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::cmp::Reverse;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The schedule of a configuration, and why its zone is not the one that is meant, if so.
pub(super) fn schedule_of(config: &Config) -> (Option<Schedule>, Option<String>) {
    let Some(trigger) = &config.rotate_at else { return (None, None) };
    let (zone, trouble) = match trigger.zone.find() {
        Ok(zone) => (zone, None),
        Err(e) => (TimeZone::UTC, Some(format!("{e}; until then the log is rotated by UTC"))),
    };
    let schedule = Schedule::new(trigger, zone);
    (Some(if config.empty_files { schedule.with_empty_files() } else { schedule }), trouble)
}

fn now() -> Timestamp {
    let seconds = i64::try_from(sys::unix_ns() / 1_000_000_000).unwrap_or(0);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// `None` if there is none, or if nobody could have written it.
fn armed(period: Period) -> Option<Armed> {
    if period == Period::default() {
        return None;
    }
    let [from, until] = [period.from, period.until].map(|s| Timestamp::from_second(s).ok());
    Some(Armed { from: from?, until: until? })
}

fn period(armed: Armed) -> Period {
    Period { from: armed.from.as_second(), until: armed.until.as_second() }
}

impl Flusher<'_> {
    /// The period of a file that was begun now, or last written then.
    fn begin(&self, now: Timestamp, last_write: Option<Timestamp>) -> Period {
        match &self.schedule {
            Some(schedule) => period(schedule.begin(now, last_write)),
            // It has only a beginning, after which its archive is called.
            None => period(Armed { from: last_write.unwrap_or(now), until: Timestamp::MAX }),
        }
    }

    fn needs_period(&self) -> bool {
        self.schedule.is_some() || self.config.policy.names == Scheme::Dated
    }

    /// For a file that this segment has not had before, while it is still as it was found: the period that the log
    /// had when it was last open, else one since the file was begun.
    pub(super) fn arm(&mut self, file: &LogFile) {
        if !self.needs_period() {
            return;
        }
        self.know_of_files();
        let known = self.keeper.manifest().and_then(Manifest::period);
        let known = known.and_then(|(from, until)| armed(Period { from, until }));
        // Records from before the period began: the file was put in the place of the one that the period is of.
        let written = last_write(file);
        let is_older = |known: &Armed| known.from <= now() && written.is_some_and(|write| write < known.from);
        self.cell.period = match (&self.schedule, known.filter(|known| !is_older(known))) {
            (Some(schedule), Some(known)) => period(schedule.go_on(known, now())),
            _ => self.begin(now(), self.file_begun(file)),
        };
    }

    /// When the log file was begun, as far as the files say it: it was made then, or is older than that, as a restored
    /// copy is; or it was emptied after the newest archive was written. `None` if it is empty.
    fn file_begun(&self, file: &LogFile) -> Option<Timestamp> {
        let written = last_write(file)?;
        let born = sys::dir::look(&self.at.log_path).ok().flatten().map_or(0, |seen| seen.born_ns);
        let begun = if born == 0 { written } else { seconds(born).map_or(written, |born| born.min(written)) };
        let is_archive = |name: &str| self.naming.standing(name).is_some_and(|s| s != Standing::Log);
        let archives = sys::dir::files(&self.at.dir, is_archive).unwrap_or_default();
        let newest = archives.iter().map(|seen| seen.modified_ns).max().and_then(seconds);
        Some(newest.map_or(begun, |newest| newest.max(begun)))
    }

    /// The manifest knows the period of the log file: the next process goes on with it, whenever it comes.
    pub(super) fn remember_period(&mut self) {
        let Period { from, until } = self.cell.period;
        if self.schedule.is_none()
            || self.cell.period == Period::default()
            || self.remembered == self.cell.period
        {
            return;
        }
        self.remembered = self.cell.period;
        self.keep_period(from, until);
    }

    /// At a take-over: the predecessor's period, unless it cannot be one of this schedule.
    pub(super) fn arm_again(&mut self) -> Result<(), Trouble> {
        if !self.needs_period() {
            return Ok(());
        }
        let before = armed(self.cell.period);
        let written = self.file.as_ref().and_then(last_write);
        let found = match (&self.schedule, before) {
            (Some(schedule), Some(before)) => period(schedule.resume(before, now(), written)),
            (None, Some(before)) => period(before),
            (_, None) => self.begin(now(), written),
        };
        if found != self.cell.period {
            self.cell.period = found;
            self.commit()?;
        }
        Ok(())
    }

    /// A new file is the log: its period.
    pub(super) fn arm_new_file(&mut self) {
        if self.needs_period() {
            self.cell.period = self.next_period();
        }
    }

    /// The period of a file that is begun now: the one that is under way goes on.
    pub(super) fn next_period(&self) -> Period {
        let (now, before) = (now(), armed(self.cell.period));
        let goes_on = |armed: &Armed| self.due(*armed, now, false) == Some(Due::Wait);
        if before.is_some_and(|before| goes_on(&before)) { self.cell.period } else { self.begin(now, None) }
    }

    fn due(&self, armed: Armed, now: Timestamp, empty: bool) -> Option<Due> {
        self.schedule.as_ref().map(|schedule| schedule.due(armed, now, empty))
    }

    /// Rotates if it is time.
    pub(super) fn rotate_in_time(&mut self) -> Result<(), Trouble> {
        let Some(before) = armed(self.cell.period).filter(|_| self.schedule.is_some()) else { return Ok(()) };
        let due = self.due(before, now(), self.cell.end == 0);
        let due = due.map(|due| if self.config.policy.may_empty() { due } else { due.without_rotation() });
        match due {
            Some(Due::Rotate(_)) if self.backoff.is_due(sys::monotonic_ns() / MS) => {
                self.rotate(self.config.policy.stage())
            }
            // A file that has its name already is not one of the next period.
            Some(Due::Rearm(_)) if self.config.policy.direct && now() >= before.until => {
                if self.backoff.is_due(sys::monotonic_ns() / MS) {
                    return self.rotate(self.config.policy.stage());
                }
                Ok(())
            }
            Some(Due::Rearm(next)) => {
                self.cell.period = period(next);
                self.commit()
            }
            _ => Ok(()),
        }
    }

    /// Not where the segment took the place of another one, or was made by somebody who did not know of another one.
    fn begins_the_log(&self) -> bool {
        self.at.is_first_segment() && !self.contended
    }

    pub(super) fn empties_at_start(&self) -> bool {
        self.config.on_start == OnStart::Truncate && self.begins_the_log()
    }

    /// The first file of a new log.
    pub(super) fn rotate_at_start(&mut self) -> Result<(), Trouble> {
        let asked = self.config.on_start == OnStart::Rotate && self.config.policy.may_empty();
        if asked && self.begins_the_log() && self.cell.end > 0 {
            return self.rotate(self.config.policy.stage());
        }
        Ok(())
    }

    /// At most until the boundary, if one is waited for.
    pub(super) fn until_boundary(&self, limit: Duration) -> Duration {
        if self.schedule.is_none() || self.cell.period == Period::default() {
            return limit;
        }
        match self.boundary_in() {
            Duration::ZERO => limit,
            wait => limit.min(wait),
        }
    }

    fn boundary_in(&self) -> Duration {
        let until = u64::try_from(self.cell.period.until).unwrap_or(0).saturating_mul(1_000_000_000);
        Duration::from_nanos(until.saturating_sub(sys::unix_ns()))
    }

    /// At most until a rotation that failed is tried again, if it does not wait for a record.
    pub(super) fn until_retry(&self, limit: Duration) -> Duration {
        let mem = self.at.mem();
        let is_open = |(asked, served, _)| mem.load(asked, Relaxed) != mem.load(served, Relaxed);
        let asked = ROTATIONS.into_iter().any(is_open);
        let late = self.schedule.is_some() && self.boundary_in().is_zero();
        if self.backoff.failures() == 0 || !(asked || late) {
            return limit;
        }
        let wait = self.backoff.due_ms().saturating_sub(sys::monotonic_ns() / MS);
        limit.min(Duration::from_millis(wait.max(1)))
    }

    /// What the log file is to be called when it is put away now.
    pub(super) fn archive_name(&mut self, names: &[String]) -> Result<String, Trouble> {
        if self.config.policy.names == Scheme::Numbered {
            return Ok(self.naming.member(Member::NEWEST));
        }
        self.free_name(names, self.cell.period)
    }

    /// A name of this period that none has, and none ever had.
    pub(super) fn free_name(&mut self, names: &[String], period: Period) -> Result<String, Trouble> {
        let dated = |name: &String| match self.naming.present(name)? {
            Standing::Dated(Reverse(dated)) => Some(dated),
            Standing::Log | Standing::Numbered(_) => None,
        };
        let existing: Vec<Dated> = names.iter().filter_map(dated).collect();
        let (start, precision) = self.named_after(period);
        let stamp = self.naming.stamp(start, precision);
        let never_given = self.copy_never_given(&stamp, &existing);
        let never_given =
            never_given.map(|copy| Dated { stamp: stamp.clone(), copy, packing: Packing::Plain });
        let next = never_given.or_else(|| Dated::next(&stamp, &existing));
        let next = next.ok_or(Trouble::Rotation(Failure::Exists))?;
        let name = self.naming.dated(start, precision, next.copy);
        self.last_copy = Some(next);
        Ok(name)
    }

    /// The same without a look at the directory, if the last archive had the same stamp: so a rotation takes no longer
    /// beside a thousand archives. If somebody has taken the name meanwhile, the rotation fails, and is tried again with a look.
    pub(super) fn next_copy(&mut self, period: Period) -> Option<String> {
        let last = self.last_copy.as_ref().filter(|_| self.config.policy.names == Scheme::Dated)?;
        let (start, precision) = self.named_after(period);
        if last.stamp != self.naming.stamp(start, precision) {
            return None;
        }
        let next = Dated::next(&last.stamp, [last])?;
        let name = self.naming.dated(start, precision, next.copy);
        self.last_copy = Some(next);
        Some(name)
    }

    pub(super) fn stamp_of(&self, period: Period) -> String {
        let (start, precision) = self.named_after(period);
        self.naming.stamp(start, precision)
    }

    /// The time after which the log file is called when it is put away now, and how much of it is said without a template.
    fn named_after(&self, period: Period) -> (DateTime, Precision) {
        let now = now();
        let armed = armed(period).unwrap_or(Armed { from: now, until: Timestamp::MAX });
        match &self.schedule {
            Some(schedule) => (schedule.named_after(armed, now), schedule.precision()),
            None => (TimeZone::system().to_datetime(armed.from), Precision::Second),
        }
    }

    pub(super) fn tell_zone(&mut self, trouble: Option<String>) {
        if let Some(what) = trouble {
            (self.tell)(Event::Error { what, errno: 0, retry: Duration::ZERO });
        }
    }
}

fn seconds(ns: u64) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(ns / 1_000_000_000).ok()?).ok()
}

/// Of a file in which something stands.
fn last_write(file: &LogFile) -> Option<Timestamp> {
    let written = file.size().is_ok_and(|size| size > 0);
    let seconds = file.modified().ok().filter(|_| written)?;
    Timestamp::from_second(seconds).ok()
}
