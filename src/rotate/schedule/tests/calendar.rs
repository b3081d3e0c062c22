//! Boundaries on the days when clocks change, written down by hand.
use super::{at, schedule};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The trigger, an instant, and the boundaries behind it.
type Case = (&'static str, &'static str, &'static [&'static str]);

fn assert_boundaries(cases: &[Case]) {
    for (trigger, start, expected) in cases {
        let schedule = schedule(trigger);
        let mut last = at(start);
        for boundary in *expected {
            let next = schedule.next_after(last);
            let zone: TimeZone = schedule.zone.clone();
            assert_eq!(next, at(boundary), "{trigger} after {last}: {}", zone.to_datetime(next));
            assert_eq!(schedule.boundary_of(next), next, "{trigger}");
            last = next;
        }
    }
}

#[test]
fn a_missing_hour_has_its_boundary_where_the_clock_jumps() {
    assert_boundaries(&[
        ("daily 02:30 Europe/Berlin", "2023-03-25T12:00+01", &["2023-03-26T03:00+02", "2023-03-27T02:30+02"]),
        (
            "daily 02:00 America/New_York",
            "2023-03-11T12:00-05",
            &["2023-03-12T03:00-04", "2023-03-13T02:00-04"],
        ),
        (
            "weekly Sun 02:30 Europe/Berlin",
            "2023-03-25T12:00+01",
            &["2023-03-26T03:00+02", "2023-04-02T02:30+02"],
        ),
        ("0 2,3 * * * Europe/Berlin", "2023-03-25T12:00+01", &["2023-03-26T03:00+02", "2023-03-27T02:00+02"]),
        ("0 2,4 * * * Europe/Berlin", "2023-03-25T12:00+01", &["2023-03-26T03:00+02", "2023-03-26T04:00+02"]),
        (
            "daily 02:30:15 Europe/Berlin",
            "2023-03-26T00:00+01",
            &["2023-03-26T03:00+02", "2023-03-27T02:30:15+02"],
        ),
    ]);
}

#[test]
fn a_repeated_hour_has_its_boundary_the_first_time() {
    assert_boundaries(&[
        ("daily 02:30 Europe/Berlin", "2023-10-28T12:00+02", &["2023-10-29T02:30+02", "2023-10-30T02:30+01"]),
        ("daily 02:30 Europe/Berlin", "2023-10-29T02:10+01", &["2023-10-30T02:30+01"]),
        ("daily 02:00 Europe/Berlin", "2023-10-28T12:00+02", &["2023-10-29T02:00+02", "2023-10-30T02:00+01"]),
        ("daily 03:00 Europe/Berlin", "2023-10-28T12:00+02", &["2023-10-29T03:00+01", "2023-10-30T03:00+01"]),
        (
            "daily 01:00 America/New_York",
            "2023-11-04T12:00-04",
            &["2023-11-05T01:00-04", "2023-11-06T01:00-05"],
        ),
        (
            "monthly 29 02:30 Europe/Berlin",
            "2023-10-01T00:00+02",
            &["2023-10-29T02:30+02", "2023-11-29T02:30+01"],
        ),
        (
            "daily 02:59:59 Europe/Berlin",
            "2023-10-29T00:00+02",
            &["2023-10-29T02:59:59+02", "2023-10-30T02:59:59+01"],
        ),
    ]);
}

#[test]
fn midnight_may_be_missing_or_come_twice() {
    assert_boundaries(&[
        (
            "daily 00:00 America/Sao_Paulo",
            "2018-11-03T12:00-03",
            &["2018-11-04T01:00-02", "2018-11-05T00:00-02"],
        ),
        (
            "daily 00:00 America/Sao_Paulo",
            "2018-02-17T12:00-02",
            &["2018-02-18T00:00-03", "2018-02-19T00:00-03"],
        ),
        (
            "daily 23:30 America/Sao_Paulo",
            "2018-02-17T12:00-02",
            &["2018-02-17T23:30-02", "2018-02-18T23:30-03"],
        ),
        ("daily 00:00 Asia/Beirut", "2022-03-26T12:00+02", &["2022-03-27T01:00+03", "2022-03-28T00:00+03"]),
        ("daily 00:00 Asia/Beirut", "2022-10-29T12:00+03", &["2022-10-30T00:00+02", "2022-10-31T00:00+02"]),
        (
            "daily 00:00 America/Havana",
            "2023-03-11T12:00-05",
            &["2023-03-12T01:00-04", "2023-03-13T00:00-04"],
        ),
        (
            "daily 00:00 America/Havana",
            "2023-11-04T12:00-04",
            &["2023-11-05T00:00-04", "2023-11-06T00:00-05"],
        ),
        (
            "monthly 27 00:00 Asia/Beirut",
            "2022-03-01T12:00+02",
            &["2022-03-27T01:00+03", "2022-04-27T00:00+03"],
        ),
    ]);
}

#[test]
fn clocks_may_change_by_half_an_hour_or_a_whole_day() {
    assert_boundaries(&[
        (
            "daily 02:15 Australia/Lord_Howe",
            "2023-09-30T12:00+10:30",
            &["2023-10-01T02:30+11", "2023-10-02T02:15+11"],
        ),
        (
            "daily 01:45 Australia/Lord_Howe",
            "2023-04-01T12:00+11",
            &["2023-04-02T01:45+11", "2023-04-03T01:45+10:30"],
        ),
        (
            "daily 02:00 Australia/Lord_Howe",
            "2023-04-01T12:00+11",
            &["2023-04-02T02:00+10:30", "2023-04-03T02:00+10:30"],
        ),
        (
            "daily 00:00 Pacific/Apia",
            "2011-12-28T12:00-10",
            &["2011-12-29T00:00-10", "2011-12-30T00:00-10", "2012-01-01T00:00+14"],
        ),
        (
            "daily 00:00 Asia/Kolkata",
            "2023-03-26T12:00+05:30",
            &["2023-03-27T00:00+05:30", "2023-03-28T00:00+05:30"],
        ),
    ]);
}

#[test]
fn every_hour_follows_the_clock_twice_through_a_repeated_one() {
    assert_boundaries(&[
        (
            "hourly Europe/Berlin",
            "2023-10-29T01:30+02",
            &["2023-10-29T02:00+02", "2023-10-29T02:00+01", "2023-10-29T03:00+01"],
        ),
        (
            "hourly Europe/Berlin",
            "2023-03-26T00:30+01",
            &["2023-03-26T01:00+01", "2023-03-26T03:00+02", "2023-03-26T04:00+02"],
        ),
        ("30 * * * * Europe/Berlin", "2023-03-26T01:00+01", &["2023-03-26T01:30+01", "2023-03-26T03:30+02"]),
        (
            "*/20 * * * * Europe/Berlin",
            "2023-10-29T02:40+02",
            &["2023-10-29T02:00+01", "2023-10-29T02:20+01"],
        ),
        (
            "hourly Australia/Lord_Howe",
            "2023-04-02T00:30+11",
            &["2023-04-02T01:00+11", "2023-04-02T02:00+10:30"],
        ),
        (
            "hourly Australia/Lord_Howe",
            "2023-10-01T00:30+10:30",
            &["2023-10-01T01:00+10:30", "2023-10-01T03:00+11"],
        ),
    ]);
}

#[test]
fn short_months_and_leap_days_have_their_boundaries() {
    assert_boundaries(&[
        (
            "monthly 31 00:00 UTC",
            "2023-01-31T00:00Z",
            &["2023-02-28T00:00Z", "2023-03-31T00:00Z", "2023-04-30T00:00Z"],
        ),
        ("monthly 30 00:00 UTC", "2024-01-31T00:00Z", &["2024-02-29T00:00Z", "2024-03-30T00:00Z"]),
        ("0 0 31 * * UTC", "2023-01-31T00:00Z", &["2023-03-31T00:00Z", "2023-05-31T00:00Z"]),
        ("0 0 29 2 * UTC", "2095-01-01T00:00Z", &["2096-02-29T00:00Z", "2104-02-29T00:00Z"]),
        ("0 0 29 2 * Europe/Berlin", "2095-01-01T00:00Z", &["2096-02-29T00:00+01", "2104-02-29T00:00+01"]),
        (
            "0 0 13 * Fri UTC",
            "2023-01-01T00:00Z",
            &["2023-01-06T00:00Z", "2023-01-13T00:00Z", "2023-01-20T00:00Z"],
        ),
    ]);
}

#[test]
fn at_the_ends_of_time_there_is_no_boundary() {
    for trigger in
        ["daily 00:00 Europe/Berlin", "hourly UTC", "H 4294967295 UTC", "W0 4294967295 UTC", "0 0 29 2 * UTC"]
    {
        let schedule = schedule(trigger);
        assert_eq!(schedule.next_after(Timestamp::MAX), Timestamp::MAX, "{trigger}");
        assert!(schedule.next_after(Timestamp::MIN) > Timestamp::MIN, "{trigger}");
        assert!(schedule.boundary_of(Timestamp::MIN) == Timestamp::MIN, "{trigger}");
    }
}

#[test]
fn a_period_is_named_after_its_start_in_its_zone() {
    for (trigger, now, stamp) in [
        ("daily 00:00 America/Sao_Paulo", "2018-11-04T12:00-02", "2018-11-04"),
        ("daily 23:14 Europe/Berlin", "2023-05-05T12:00+02", "2023-05-04"),
        ("weekly Monday Europe/Berlin", "2023-05-05T12:00+02", "2023-05-01"),
        ("monthly 1 Europe/Berlin", "2023-05-05T12:00+02", "2023-05-01"),
        ("hourly Europe/Berlin", "2023-10-29T02:30+02", "2023-10-29_02"),
        ("hourly Europe/Berlin", "2023-10-29T02:30+01", "2023-10-29_02"),
        ("hourly Europe/Berlin", "2023-03-26T03:30+02", "2023-03-26_03"),
        ("0 0,12 * * * UTC", "2023-05-05T13:14Z", "2023-05-05_12"),
        ("*/15 * * * * UTC", "2023-05-05T13:44:59.9Z", "2023-05-05_13-30"),
    ] {
        let schedule = schedule(trigger);
        assert_eq!(schedule.stamp(schedule.begin(at(now), None), at(now)), stamp, "{trigger}");
    }
}
