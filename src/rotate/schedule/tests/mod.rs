mod calendar;
mod cpython;
mod due;
mod naive;
mod text;

use super::{Schedule, Trigger};
use jiff::Timestamp;
use jiff::tz::TimeZone;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect("a zone of the database")
}

fn trigger(text: &str) -> Trigger {
    text.parse().unwrap_or_else(|problem| panic!("{problem}"))
}

/// With the zone that the text names.
fn schedule(text: &str) -> Schedule {
    let trigger = trigger(text);
    let zone = trigger.zone.find().expect("a zone of the database");
    Schedule::new(&trigger, zone)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|problem| panic!("{text}: {problem}"))
}
