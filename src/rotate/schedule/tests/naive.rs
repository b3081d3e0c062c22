//! Against a walk from minute to minute that knows nothing but what the wall clock shows.
use super::{schedule, zone};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const ZONES: [&str; 12] = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Asia/Beirut",
    "America/Havana",
    "Europe/Dublin",
    "Africa/Casablanca",
    "Pacific/Apia",
    "Asia/Kolkata",
    "Antarctica/Troll",
    "UTC",
];

/// Fields of cron as lists; an empty one is `*`.
#[derive(Clone, Debug)]
struct Fields {
    minutes: Vec<i8>,
    hours: Vec<i8>,
    days: Vec<i8>,
    weekdays: Vec<i8>,
}

impl Fields {
    fn text(&self) -> String {
        let list = |field: &[i8]| {
            let numbers: Vec<String> = field.iter().map(i8::to_string).collect();
            if numbers.is_empty() { "*".to_owned() } else { numbers.join(",") }
        };
        let [minutes, hours] = [&self.minutes, &self.hours].map(|field| list(field));
        let [days, weekdays] = [&self.days, &self.weekdays].map(|field| list(field));
        format!("{minutes} {hours} {days} * {weekdays}")
    }

    fn match_time(&self, time: DateTime) -> bool {
        let any = |field: &[i8], number: i8| field.is_empty() || field.contains(&number);
        let day = any(&self.days, time.day());
        let weekday = any(&self.weekdays, time.weekday().to_sunday_zero_offset());
        let both_given = !self.days.is_empty() && !self.weekdays.is_empty();
        let date = if both_given { day || weekday } else { day && weekday };
        date && any(&self.hours, time.hour()) && any(&self.minutes, time.minute())
    }

    /// Every boundary in those minutes. For times of the day: each wall-clock minute counts when it is
    /// first shown or passed. For every hour: whenever it is shown.
    fn walk(&self, zone: &TimeZone, minutes: impl Iterator<Item = Timestamp>) -> Vec<Timestamp> {
        let mut boundaries = Vec::new();
        let mut high = None;
        for minute in minutes {
            let shown = zone.to_datetime(minute);
            let mut new = *high.get_or_insert(shown);
            let mut is_boundary = self.hours.is_empty() && self.match_time(shown);
            while new < shown {
                new += SignedDuration::from_mins(1);
                is_boundary |= !self.hours.is_empty() && self.match_time(new);
            }
            high = Some(new);
            boundaries.extend(is_boundary.then_some(minute));
        }
        boundaries
    }
}

fn any_fields() -> impl Strategy<Value = Fields> {
    let some = |range: std::ops::Range<i8>, max: usize| subsequence(range.collect::<Vec<_>>(), 1..=max);
    let day = prop_oneof![4 => Just(vec![]), 1 => some(1..32, 5)];
    let weekday = prop_oneof![4 => Just(vec![]), 1 => some(0..7, 3)];
    let hour = prop_oneof![1 => Just(vec![]), 2 => some(0..24, 4), 2 => some(0..4, 2)];
    (some(0..60, 3), hour, day, weekday).prop_map(|(minutes, hours, days, weekdays)| Fields {
        minutes,
        hours,
        days,
        weekdays,
    })
}

/// Days around a change of the zone's clocks, if it has any later.
fn some_days(zone: &TimeZone, after: i64, lead: i64) -> (Timestamp, Timestamp) {
    let after = Timestamp::from_second(after * 60).expect("a time of our days");
    let change = zone.following(after).next().map_or(after, |change| change.timestamp());
    let seconds = change.as_second() - lead * 60;
    let start = Timestamp::from_second(seconds - seconds.rem_euclid(60)).expect("a time of our days");
    (start, start + SignedDuration::from_hours(24 * DAYS))
}

const DAYS: i64 = 8;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn no_boundary_is_skipped_or_invented(
        name in select(&ZONES[..]),
        fields in any_fields(),
        // 1995 to 2035, in minutes
        after in 13_148_640..34_186_080i64,
        lead in 0..5 * 1_440i64,
        probes in prop::collection::vec(0..DAYS * 86_400_000, 20),
    ) {
        let zone = zone(name);
        let schedule = schedule(&format!("{} {name}", fields.text()));
        let (start, end) = some_days(&zone, after, lead);
        // From two days before, to have seen what an hour that comes again repeats.
        let first = start - SignedDuration::from_hours(48);
        let minutes = first.series(Span::new().minutes(1)).take_while(|minute| *minute < end);
        let walked = fields.walk(&zone, minutes);
        let walked = &walked[walked.partition_point(|boundary| *boundary < start)..];

        let mut last = start - SignedDuration::from_nanos(1);
        for boundary in walked {
            let next = schedule.next_after(last);
            prop_assert_eq!(next, *boundary, "after {}", zone.to_datetime(last));
            last = next;
        }
        prop_assert!(schedule.next_after(last) >= end);

        for probe in probes {
            let probe = start + SignedDuration::from_millis(probe);
            let behind = walked.partition_point(|boundary| *boundary <= probe);
            let next = schedule.next_after(probe);
            prop_assert!(walked.get(behind).map_or(next >= end, |boundary| next == *boundary));
            let before = schedule.boundary_of(probe);
            prop_assert!(behind.checked_sub(1).map_or(before < start, |last| before == walked[last]));
        }
    }

    #[test]
    fn the_next_boundary_is_always_later_and_never_goes_back(
        name in select(&ZONES[..]),
        text in select(&["hourly", "daily 00:00", "daily 02:30", "weekly Sun 01:15:30", "monthly 31 00:30", "7 * * * *"][..]),
        after in 13_148_640..34_186_080i64,
        steps in prop::collection::vec(1..20_000_000i64, 1..60),
    ) {
        let schedule = schedule(&format!("{text} {name}"));
        let (mut now, _) = some_days(&zone(name), after, 300);
        let mut last = schedule.next_after(now);
        for step in steps {
            now += SignedDuration::from_millis(step);
            let next = schedule.next_after(now);
            prop_assert!(next > now && next >= last);
            prop_assert!(next == last || last <= now, "a boundary was left out");
            prop_assert_eq!(schedule.next_after(next - SignedDuration::from_nanos(1)), next);
            last = next;
        }
    }

    #[test]
    fn pythons_next_rollover_is_always_later(
        name in select(&ZONES[..]),
        text in select(&["S", "M 5", "H", "D", "MIDNIGHT", "MIDNIGHT at 02:30", "MIDNIGHT 2 at 23:59:59", "W0", "W6 3 at 00:30"][..]),
        after in 13_148_640..34_186_080i64,
        lead in -200_000_000..200_000_000i64,
    ) {
        let (change, _) = some_days(&zone(name), after, 0);
        let now = change + SignedDuration::from_millis(lead);
        let schedule = schedule(&format!("{text} {name}"));
        prop_assert!(schedule.next_after(now) > now);
    }
}
