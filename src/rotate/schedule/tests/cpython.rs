//! Against what Python itself answered: `tests/data/rollover/table.py` made the tables.
use super::{trigger, zone};
use crate::rotate::schedule::{Armed, Schedule, Std, Unit, When};
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

const V3_13: &str = include_str!("../../../../tests/data/rollover/3.13.0.tsv");
const V3_11: &str = include_str!("../../../../tests/data/rollover/3.11.7.tsv");

struct Row<'a> {
    zone: &'a str,
    trigger: &'a str,
    t: i64,
    rollover: i64,
    now: i64,
    suffix: &'a str,
    after: i64,
}

fn rows(table: &str) -> Vec<Row<'_>> {
    table.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

fn row(line: &str) -> Row<'_> {
    let cells: Vec<&str> = line.split('\t').collect();
    let &[zone, trigger, t, rollover, now, suffix, after] = cells.as_slice() else {
        panic!("{line}");
    };
    let number = |text: &str| text.parse().expect("seconds");
    let (t, rollover, now, after) = (number(t), number(rollover), number(now), number(after));
    Row { zone, trigger, t, rollover, now, suffix, after }
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time of our days")
}

fn assert_same_answers(rows: Vec<Row<'_>>, find: impl Fn(&str) -> TimeZone) {
    assert!(rows.len() > 400, "{}", rows.len());
    for Row { zone, trigger: text, t, rollover, now, suffix, after } in rows {
        let schedule = Schedule::new(&trigger(text), find(zone));
        let context = format!("{text} in {zone} at {t}");
        assert_eq!(schedule.next_after(second(t)), second(rollover), "{context}");
        let armed = Armed { from: second(t), until: second(rollover) };
        assert_eq!(schedule.stamp(armed, second(now)), suffix, "{context}, rotated at {now}");
        assert_eq!(schedule.next_after(second(now)), second(after), "{context}, rotated at {now}");
    }
}

#[test]
fn times_and_suffixes_are_those_of_python_3_13() {
    assert_same_answers(rows(V3_13), zone);
}

/// Where winter is the daylight saving time, the system's database says so, and the one in the program
/// calls summer by that name. Wall clocks are the same, but Python's rules ask for the name.
const NEGATIVE: [&str; 2] = ["Europe/Dublin", "Africa/Casablanca"];

#[test]
fn they_are_the_same_with_the_zones_in_the_program() {
    let bundled = TimeZoneDatabase::bundled();
    let rows = rows(V3_13).into_iter().filter(|row| !NEGATIVE.contains(&row.zone)).collect();
    assert_same_answers(rows, |name| bundled.get(name).expect("a zone of the database"));
}

fn std_of(row: &Row<'_>) -> Std {
    let When::Std(std) = trigger(row.trigger).when else {
        panic!("{} is not Python's", row.trigger);
    };
    std
}

/// What later versions mended; several may meet in a row.
fn explained(row: &Row<'_>) -> Vec<i64> {
    let std = std_of(row);
    let period = std.unit.seconds();
    // It left the interval out, and at the very time answered that time.
    let interval = (i64::from(std.interval.get()) - 1) * period;
    let itself = if row.rollover == row.t { 86_400 } else { 0 };
    let week_itself = if row.rollover == row.t { period } else { 0 };
    // It did not look whether the clocks change before a midnight.
    let whole = [0, itself, week_itself];
    let mended = |whole: i64| [0, 3_600, -3_600].map(|hour| interval + whole + hour);
    whole.into_iter().flat_map(mended).collect()
}

#[test]
fn python_3_11_differs_only_where_it_was_mended_since() {
    let (mut same, mut different) = (0, 0);
    for row in rows(V3_11) {
        let schedule = Schedule::new(&trigger(row.trigger), zone(row.zone));
        let difference = schedule.next_after(second(row.t)).as_second() - row.rollover;
        let context = format!("{} in {} at {}: {difference}", row.trigger, row.zone, row.t);
        let aligned = matches!(std_of(&row).unit, Unit::Midnight | Unit::Week(_));
        let expected = if aligned { explained(&row) } else { vec![0] };
        assert!(expected.contains(&difference), "{context}");
        *if difference == 0 { &mut same } else { &mut different } += 1;
    }
    assert!(same > 100 && different > 10, "{same} same, {different} different");
}
