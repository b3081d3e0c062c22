//! Dated names: made, recognized, put in order.
use super::*;
use jiff::civil::datetime;

fn dated(name: &str) -> Dated {
    Dated::parse("l", name).expect(name)
}

#[test]
fn stamps_are_those_of_python() {
    let start = datetime(2026, 3, 9, 1, 2, 3, 999_999_999);
    for (precision, stamp) in [
        (Precision::Day, "2026-03-09"),
        (Precision::Hour, "2026-03-09_01"),
        (Precision::Minute, "2026-03-09_01-02"),
        (Precision::Second, "2026-03-09_01-02-03"),
    ] {
        assert_eq!(precision.stamp(start), stamp);
    }
}

#[test]
fn names_are_recognized_exactly() {
    for name in [
        "l.2026-03-09",
        "l.2026-03-09.1",
        "l.2026-03-09.gz",
        "l.2026-03-09_23.10.gz",
        "l.2024-02-29_23-59-59.4294967295",
    ] {
        assert_eq!(dated(name).name("l"), name);
    }
    for name in [
        "l",
        "l.1",
        "l.2026-03-09.0",
        "l.2026-03-09.01",
        "l.2026-03-09.+1",
        "l.2026-03-09.4294967296",
        "l.2026-03-09.",
        "l.2026-03-09.1.2",
        "l.2026-03-09.bak",
        "l.2026-03-09.1.gz.1",
        "l.2026-13-01",
        "l.2026-02-30",
        "l.2023-02-29",
        "l.2026-3-9",
        "l.2026-03-0١",
        "l.+026-03-09",
        "x.2026-03-09",
        "l2026-03-09",
        "l.2026-03-09.GZ",
    ] {
        assert_eq!(Dated::parse("l", name), None, "{name}");
    }
    for name in ["l.2026-03-09_24", "l.2026-03-09 01", "l.2026-03-09_1"] {
        assert_eq!(Dated::parse("l", name), None, "{name}");
    }
}

#[test]
fn the_order_is_that_of_age() {
    let names = [
        "l.2026-10-24",
        "l.2026-10-25",
        "l.2026-10-25.1",
        "l.2026-10-25.2.gz",
        "l.2026-10-25.9",
        "l.2026-10-25.10",
        "l.2026-10-26.gz",
    ];
    assert!(names.map(dated).is_sorted_by(|a, b| a < b));
}

#[test]
fn a_repeated_hour_gets_a_number() {
    let first = Dated::next("2026-10-25_02", []).expect("a number");
    let second = Dated::next("2026-10-25_02", [&first]).expect("a number");
    assert_eq!([first.name("l"), second.name("l")], ["l.2026-10-25_02", "l.2026-10-25_02.1"]);
    assert_eq!(
        Dated::next("2026-10-25_03", [&first, &second]).expect("a number").name("l"),
        "l.2026-10-25_03"
    );
}

#[test]
fn a_number_that_became_free_is_not_used_while_a_younger_file_exists() {
    let existing = ["l.2026-10-25.3.gz", "l.2026-10-25.11"].map(dated);
    let next = Dated::next("2026-10-25", &existing).expect("a number");
    assert_eq!(next.name("l"), "l.2026-10-25.12");
    assert!(existing.iter().all(|other| *other < next));
}

#[test]
fn when_no_number_is_left_there_is_no_name() {
    let last = dated("l.2026-10-25.4294967295");
    assert_eq!(Dated::next("2026-10-25", [&last]), None);
}
