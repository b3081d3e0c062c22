//! Clocks that are set, systems that sleep, logs that are silent.
use super::{at, schedule};
use crate::rotate::schedule::{Armed, Due, Schedule};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::select;

const DAILY: &str = "daily 00:00 UTC";

/// A flusher's view: the period, and the boundaries it has rotated for.
struct Log {
    schedule: Schedule,
    armed: Armed,
    rotated_for: Vec<Timestamp>,
}

impl Log {
    fn new(trigger: &str, now: &str) -> Self {
        let schedule = schedule(trigger);
        let armed = schedule.begin(at(now), None);
        Self { schedule, armed, rotated_for: Vec::new() }
    }

    fn look(&mut self, now: Timestamp, empty: bool) -> Due {
        let due = self.schedule.due(self.armed, now, empty);
        match due {
            Due::Wait => {}
            Due::Rearm(armed) => self.armed = armed,
            Due::Rotate(armed) => {
                self.rotated_for.push(self.armed.until);
                self.armed = armed;
            }
        }
        due
    }

    fn rotates(&mut self, now: &str) -> bool {
        matches!(self.look(at(now), false), Due::Rotate(_))
    }
}

fn period(from: &str, until: &str) -> Armed {
    Armed { from: at(from), until: at(until) }
}

#[test]
fn a_record_at_the_boundary_itself_goes_to_the_new_file() {
    let mut log = Log::new(DAILY, "2026-05-01T12:00Z");
    assert!(!log.rotates("2026-05-01T23:59:59.999999999Z"));
    assert!(log.rotates("2026-05-02T00:00Z"));
    assert!(!log.rotates("2026-05-02T00:00Z"));
    assert_eq!(log.armed, period("2026-05-02T00:00Z", "2026-05-03T00:00Z"));
}

#[test]
fn a_clock_set_back_over_a_boundary_does_not_rotate_for_it_again() {
    for trigger in [DAILY, "MIDNIGHT UTC", "MIDNIGHT 3 UTC", "D UTC"] {
        let mut log = Log::new(trigger, "2026-05-01T00:00:05Z");
        let boundary = log.armed.until;
        let away = |seconds: i64| boundary + SignedDuration::from_secs(seconds);
        assert!(matches!(log.look(away(5), false), Due::Rotate(_)), "{trigger}");
        for seconds in [-5, -1, 0, 1, 6] {
            assert_eq!(log.look(away(seconds), false), Due::Wait, "{trigger} {seconds}");
        }
        let next = log.armed.until;
        assert!(matches!(log.look(next, false), Due::Rotate(_)), "{trigger}");
    }
}

#[test]
fn a_clock_set_back_by_years_is_not_waited_for() {
    for trigger in [DAILY, "MIDNIGHT UTC", "H UTC", "S 10 UTC", "monthly 1 UTC", "hourly UTC"] {
        let mut log = Log::new(trigger, "2030-05-01T12:00Z");
        let now = at("2026-05-01T10:00Z");
        assert!(matches!(log.look(now, false), Due::Rearm(_)), "{trigger}");
        assert_eq!(log.armed.until, log.schedule.next_after(now), "{trigger}");
        assert_eq!(log.look(now, false), Due::Wait, "{trigger}");
    }
}

#[test]
fn a_clock_that_was_wrong_for_a_moment_costs_one_rotation() {
    let mut log = Log::new(DAILY, "2026-05-01T12:00Z");
    assert!(log.rotates("2030-01-01T10:00Z"));
    assert!(!log.rotates("2026-05-01T12:01Z"));
    assert!(!log.rotates("2026-05-01T23:59:59Z"));
    assert!(log.rotates("2026-05-02T00:00:01Z"));
}

#[test]
fn a_sleep_over_three_boundaries_costs_one_rotation() {
    for trigger in [DAILY, "MIDNIGHT UTC", "hourly UTC", "H UTC", "S UTC"] {
        let mut log = Log::new(trigger, "2026-05-01T12:00Z");
        let due = log.schedule.stamp(log.armed, at("2026-05-04T09:30Z"));
        assert!(due.starts_with("2026-05-01"), "{trigger}: the file has the name of its own period, {due}");
        assert!(log.rotates("2026-05-04T09:30Z"), "{trigger}");
        assert!(!log.rotates("2026-05-04T09:30Z"), "{trigger}");
        assert_eq!(log.rotated_for.len(), 1);
    }
}

#[test]
fn a_silent_period_makes_no_file_unless_asked() {
    let mut log = Log::new(DAILY, "2026-05-01T12:00Z");
    let next = period("2026-05-04T00:00Z", "2026-05-05T00:00Z");
    assert_eq!(log.look(at("2026-05-04T09:30Z"), true), Due::Rearm(next));
    assert_eq!(log.look(at("2026-05-04T09:31Z"), false), Due::Wait);

    let mut log = Log::new(DAILY, "2026-05-01T12:00Z");
    log.schedule = log.schedule.with_empty_files();
    assert_eq!(log.look(at("2026-05-04T09:30Z"), true), Due::Rotate(next));
}

#[test]
fn a_silent_log_that_is_set_back_makes_no_file_even_if_asked() {
    let mut log = Log::new(DAILY, "2030-05-01T12:00Z");
    log.schedule = log.schedule.with_empty_files();
    assert!(matches!(log.look(at("2026-05-04T09:30Z"), true), Due::Rearm(_)));
}

#[test]
fn a_start_counts_from_the_last_write_as_python_does() {
    let now = at("2026-05-04T09:30Z");
    for (trigger, last_write, until) in [
        (DAILY, "2026-05-01T12:00Z", "2026-05-02T00:00Z"),
        ("MIDNIGHT UTC", "2026-05-01T12:00Z", "2026-05-02T00:00Z"),
        ("H UTC", "2026-05-04T09:00:00.5Z", "2026-05-04T10:00Z"),
        // Python would wait for the end of a future that was never there.
        ("H UTC", "2030-01-01T00:00Z", "2026-05-04T10:30Z"),
        (DAILY, "2030-01-01T00:00Z", "2026-05-05T00:00Z"),
    ] {
        let armed = schedule(trigger).begin(now, Some(at(last_write)));
        assert_eq!(armed.until, at(until), "{trigger}");
        let due = schedule(trigger).due(armed, now, false);
        assert_eq!(matches!(due, Due::Rotate(_)), armed.until <= now, "{trigger}");
    }
}

#[test]
fn a_successor_goes_on_with_the_period_unless_it_is_none_of_this_schedule() {
    let now = at("2026-05-04T09:30:00.25Z");
    for trigger in TRIGGERS {
        let schedule = schedule(trigger);
        for last_write in [None, Some(at("2026-05-01T12:00:00.75Z"))] {
            let before = schedule.begin(now, last_write);
            assert_eq!(before.from.subsec_nanosecond(), 0, "{trigger}: the journal keeps seconds");
            assert_eq!(schedule.resume(before, now, None), before, "{trigger}");
        }
        let fresh = schedule.begin(now, None);
        for (from, until) in [(Timestamp::MIN, Timestamp::MAX), (now, now), (Timestamp::MAX, Timestamp::MIN)]
        {
            assert_eq!(schedule.resume(Armed { from, until }, now, None), fresh, "{trigger}");
        }
    }
    let weekly = schedule("weekly Monday UTC").begin(now, None);
    let daily = schedule(DAILY).resume(weekly, now, None);
    assert_eq!(daily, period("2026-05-04T00:00Z", "2026-05-05T00:00Z"));
}

#[test]
fn the_zone_decides_when_a_day_ends() {
    let mut log = Log::new("daily 00:00 Asia/Kolkata", "2026-05-01T12:00Z");
    assert!(!log.rotates("2026-05-01T18:29:59Z"));
    assert!(log.rotates("2026-05-01T18:30:00Z"));
}

const TRIGGERS: [&str; 8] = [
    "hourly Europe/Berlin",
    "daily 02:30 Europe/Berlin",
    "daily 00:00 America/Havana",
    "weekly Sunday 01:45 Australia/Lord_Howe",
    "*/5 * * * * UTC",
    "H Europe/Berlin",
    "MIDNIGHT UTC",
    "S 10 UTC",
];

/// Seconds by which the clock goes on, or is set back.
fn any_step() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 0..4_000i64, 3 => 0..100_000i64, 2 => -4_000..0i64, 1 => -100_000..0i64, 1 => -400_000_000..400_000_000i64]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn no_history_of_the_clock_hangs_the_log_or_rotates_early(
        trigger in select(&TRIGGERS[..]),
        steps in prop::collection::vec((any_step(), prop::bool::weighted(0.2)), 1..100),
    ) {
        let mut now = at("2026-03-27T12:00Z");
        let mut log = Log::new(trigger, "2026-03-27T12:00Z");
        for (step, empty) in steps {
            now += SignedDuration::from_secs(step);
            let due_at = log.armed.until;
            let due = log.look(now, empty);
            prop_assert_eq!(matches!(due, Due::Rotate(_)), now >= due_at && !empty);
            prop_assert!(log.armed.until > now, "or a boundary behind us would rotate at once");
            let second = log.schedule.next_after(log.schedule.next_after(now));
            prop_assert!(log.armed.until <= second, "{} waits for {}", now, log.armed.until);
            prop_assert_eq!(log.look(now, empty), Due::Wait);
            prop_assert_eq!(log.schedule.resume(log.armed, now, None), log.armed);
        }
    }

    #[test]
    fn no_boundary_is_rotated_for_twice_while_the_clock_is_set_back_by_less_than_a_period(
        trigger in select(&TRIGGERS[..5]),
        steps in prop::collection::vec((any_step(), prop::bool::weighted(0.2)), 1..100),
    ) {
        let mut now = at("2026-03-27T12:00Z");
        let mut high = now;
        let mut log = Log::new(trigger, "2026-03-27T12:00Z");
        for (step, empty) in steps {
            let before_last = log.schedule.boundary_of(log.schedule.boundary_of(high) - SignedDuration::from_nanos(1));
            now = (now + SignedDuration::from_secs(step)).max(before_last);
            high = high.max(now);
            log.look(now, empty);
        }
        prop_assert!(log.rotated_for.is_sorted_by(|a, b| a < b), "{:?}", log.rotated_for);
    }
}
