//! What may be typed, what is answered to the rest, and what is printed.
use super::trigger;
use crate::rotate::schedule::{Problem, Trigger, TriggerError, UnknownZone, Zone};
use proptest::prelude::*;

#[test]
fn what_is_typed_means_what_is_printed() {
    for (typed, printed) in [
        ("00:00 Europe/Berlin", "daily 00:00 Europe/Berlin"),
        ("daily 00:00", "daily 00:00"),
        ("daily", "daily 00:00"),
        ("daily at 00:00 Europe/Berlin", "daily 00:00 Europe/Berlin"),
        ("Weekly Monday at 03:00", "weekly Monday 03:00"),
        ("monthly 1 at 0:15 UTC", "monthly 1 00:15 UTC"),
        ("Daily UTC", "daily 00:00 UTC"),
        ("daily 3:05:09 utc", "daily 03:05:09 UTC"),
        ("hourly", "hourly"),
        ("HOURLY Australia/Lord_Howe", "hourly Australia/Lord_Howe"),
        ("weekly Monday 03:00", "weekly Monday 03:00"),
        ("weekly sun Etc/GMT+5", "weekly Sunday 00:00 Etc/GMT+5"),
        ("monthly 1 00:00 UTC", "monthly 1 00:00 UTC"),
        ("monthly 31", "monthly 31 00:00"),
        ("  MIDNIGHT  ", "MIDNIGHT"),
        ("midnight 2 at 02:30 utc", "MIDNIGHT 2 at 02:30 UTC"),
        ("W0", "W0"),
        ("w6 at 23:59:59", "W6 at 23:59:59"),
        ("H 6", "H 6"),
        ("s", "S"),
        ("M 1", "M"),
        ("D 4294967295", "D 4294967295"),
        ("* * * * *", "* * * * *"),
        ("0 3 * * mon Europe/Berlin", "0 3 * * 1 Europe/Berlin"),
        ("*/15 0-23 1,2,3,7 jan-mar 7", "*/15 * 1-3,7 1-3 0"),
        ("0-30/10 */2 * * 1-5", "0,10,20,30 */2 * * 1-5"),
        ("0 0 * * 5-7", "0 0 * * 0,5-6"),
        ("59 23 31 12 *", "59 23 31 12 *"),
        ("*/59 * * * 0-7", "*/59 * * * *"),
    ] {
        assert_eq!(trigger(typed).to_string(), printed, "{typed}");
        assert_eq!(trigger(printed), trigger(typed), "{typed}");
    }
}

fn problem(text: &str) -> Problem {
    let TriggerError { problem, .. } = text.parse::<Trigger>().expect_err(text);
    problem
}

#[test]
fn a_wrong_text_is_refused_for_what_is_wrong_with_it() {
    for text in ["", "   ", "nightly", "X", "Mo", "-", "midnight3", "H6", "W0x", "week"] {
        assert_eq!(problem(text), Problem::Kind, "{text}");
    }
    for (text, time) in [
        ("daily 24:00", "24:00"),
        ("daily at", ""),
        ("daily at noon", "noon"),
        ("daily 23:60", "23:60"),
        ("daily 3", "3"),
        ("3:5", "3:5"),
        ("03:00:00:00", "03:00:00:00"),
        ("03:00:", "03:00:"),
        ("+3:00", "+3:00"),
        ("003:00", "003:00"),
        ("weekly Mon 3.00", "3.00"),
        ("MIDNIGHT at", ""),
        ("MIDNIGHT at noon", "noon"),
    ] {
        assert_eq!(problem(text), Problem::Time(time.into()), "{text}");
    }
    for (text, expected) in [
        ("weekly", Problem::Weekday(String::new())),
        ("weekly 03:00", Problem::Weekday("03:00".into())),
        ("weekly Mo 03:00", Problem::Weekday("Mo".into())),
        ("monthly", Problem::MonthDay(String::new())),
        ("monthly 0", Problem::MonthDay("0".into())),
        ("monthly 32", Problem::MonthDay("32".into())),
        ("monthly +1", Problem::MonthDay("+1".into())),
        ("H 0", Problem::Interval("0".into())),
        ("H -1", Problem::Interval("-1".into())),
        ("H 4294967296", Problem::Interval("4294967296".into())),
        ("W", Problem::PythonWeek("W".into())),
        ("W7", Problem::PythonWeek("W7".into())),
        ("W00", Problem::PythonWeek("W00".into())),
        ("D at 03:00", Problem::At),
        ("0 3 * *", Problem::Fields),
        ("0 0 30 2 *", Problem::Never),
        ("0 0 31 2,4,6,9,11 *", Problem::Never),
        ("daily 03:00 Europe/Berlin now", Problem::Rest("now".into())),
        ("daily 03:00 04:00", Problem::Zone("04:00".into())),
        ("hourly ../etc/passwd", Problem::Zone("../etc/passwd".into())),
        ("hourly /etc/localtime", Problem::Zone("/etc/localtime".into())),
        ("hourly Berlin!", Problem::Zone("Berlin!".into())),
    ] {
        assert_eq!(problem(text), expected, "{text}");
    }
}

#[test]
fn a_wrong_field_of_cron_is_named() {
    for (text, wrong, name) in [
        ("60 * * * *", "60", "minute"),
        ("* 24 * * *", "24", "hour"),
        ("* * 0 * *", "0", "day of the month"),
        ("* * * 13 *", "13", "month"),
        ("* * * * 8", "8", "day of the week"),
        ("*/0 * * * *", "*/0", "minute"),
        ("5/10 * * * *", "5/10", "minute"),
        ("9-3 * * * *", "9-3", "minute"),
        ("1,,2 * * * *", "", "minute"),
        ("* * * foo *", "foo", "month"),
        ("* * * * mond", "mond", "day of the week"),
        ("*-3 * * * *", "*-3", "minute"),
    ] {
        let Problem::Field { item, name: field, .. } = problem(text) else {
            panic!("{text}: {}", problem(text));
        };
        assert_eq!((item.as_str(), field), (wrong, name), "{text}");
    }
}

#[test]
fn a_refusal_says_what_can_be_typed() {
    for (text, help) in [
        ("nightly", "`daily 03:00 Europe/Berlin`"),
        ("daily 24:00", "HH:MM"),
        ("weekly Moonday", "Monday to Sunday"),
        ("D at 03:00", "daily 03:00"),
        ("0 25 * * *", "\"25\" is no hour; write 0-23"),
    ] {
        let message = text.parse::<Trigger>().expect_err(text).to_string();
        assert!(message.starts_with(&format!("{text:?} is no time to rotate at: ")), "{message}");
        assert!(message.contains(help), "{message}");
    }
}

#[test]
fn a_zone_that_is_not_in_the_database_is_refused() {
    let zone = trigger("hourly Europe/Belin").zone;
    assert_eq!(zone.find(), Err(UnknownZone("Europe/Belin".into())));
    assert!(UnknownZone("Europe/Belin".into()).to_string().contains("Europe/Berlin"));
    for zone in [Zone::Local, Zone::Utc, Zone::Named("Asia/Beirut".into())] {
        assert!(zone.find().is_ok(), "{zone:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn any_text_is_refused_or_survives_printing(
        words in prop::collection::vec(
            prop_oneof![
                prop::sample::select(&[
                    "hourly", "daily", "weekly", "monthly", "Mon", "tuesday", "7", "31", "03:00", "12:34:56", "at", "S",
                    "M", "H", "D", "MIDNIGHT", "W0", "W6", "UTC", "Europe/Berlin", "*", "*/7", "1-5", "1,3", "jan", "0",
                ][..]).prop_map(str::to_owned),
                "[0-9*]{1,3}(-[0-9]{1,2})?(/[0-9]{1,2})?",
                "\\PC{0,4}",
            ],
            0..8,
        ),
    ) {
        let text = words.join(" ");
        if let Ok(trigger) = text.parse::<Trigger>() {
            let printed = trigger.to_string();
            prop_assert_eq!(printed.parse(), Ok(trigger), "{} became {}", text, printed);
        }
    }
}
