//! Templates: read, refused, made into names and found in them again.
use super::*;
use proptest::prelude::*;

const LOG: &str = "app.log";

fn template(text: &str) -> Template {
    Template::new(text, LOG).unwrap()
}

fn why(text: &str, log: &str) -> String {
    Template::new(text, log).expect_err(text).to_string()
}

fn noon() -> DateTime {
    date(2026, 5, 1).at(12, 0, 7, 0)
}

#[test]
fn names_are_made_of_fields_and_of_what_stands_between_them() {
    let cases = [
        ("{name}.{date:%Y-%m-%d}", "app.log.2026-05-01", "app.log.2026-05-01.2"),
        ("{stem}.{date:%Y-%m-%d}{ext}", "app.2026-05-01.log", "app.2026-05-01.log.2"),
        ("{stem}.{date:%Y-%m-%d}.{seq}{ext}", "app.2026-05-01.1.log", "app.2026-05-01.3.log"),
        ("{stem}.{seq}{ext}", "app.1.log", "app.3.log"),
        (
            "old {name} of {date:%d.%m.%y} ({seq})",
            "old app.log of 01.05.26 (1)",
            "old app.log of 01.05.26 (3)",
        ),
        ("{{{stem}}}-{date:%Y}-{date:%j}", "{app}-2026-121", "{app}-2026-121.2"),
        (
            "{name}.{date:%Y-%m-%d_%H-%M-%S.log}",
            "app.log.2026-05-01_12-00-07.log",
            "app.log.2026-05-01_12-00-07.log.2",
        ),
        ("{name}.{date:%A}", "app.log.Friday", "app.log.Friday.2"),
        ("{name}.{date:%G-W%V}", "app.log.2026-W18", "app.log.2026-W18.2"),
        ("{name}.{date:%Y%m%d}", "app.log.20260501", "app.log.20260501.2"),
    ];
    for (text, first, third) in cases {
        let template = template(text);
        assert_eq!(template.name(noon(), 0).as_deref(), Some(first));
        assert_eq!(template.name(noon(), 2).as_deref(), Some(third));
        let found = template.parse(&format!("{third}.zst")).expect(third);
        assert_eq!((found.copy, found.packing), (2, Packing::Zstd), "{third}");
        assert_eq!(Some(found.stamp), template.stamp(noon()), "{third}");
    }
}

#[test]
fn a_log_without_an_ending_and_a_hidden_one_have_fields_too() {
    let name = |text, log| Template::new(text, log).unwrap().name(noon(), 0).unwrap();
    assert_eq!(name("{stem}.{seq}{ext}", "trace.me"), "trace.1.me");
    assert_eq!(name("{stem}-{seq}{ext}", "messages"), "messages-1");
    assert_eq!(name("{stem}-{seq}{ext}", ".hidden"), ".hidden-1");
    assert_eq!(name("{stem}-{seq}{ext}", "a.tar.log"), "a.tar-1.log");
}

#[test]
fn numbers_of_a_chain_stand_anywhere() {
    assert_eq!(template("{stem}.{n}{ext}").around_number(), Some(("app.".into(), ".log".into())));
    assert_eq!(template("{{{n}}} {name}").around_number(), Some(("{".into(), "} app.log".into())));
    assert_eq!(template("{stem}.{seq}{ext}").around_number(), None);
}

#[test]
fn what_is_not_possible_is_refused_with_what_to_do() {
    for (text, expected) in [
        ("{name}", "all archives would have one name: put {n}"),
        ("archive", "all archives would have one name"),
        ("", "all archives would have one name"),
        ("old/{name}.{n}", "leave out slashes"),
        ("{name}.{date:%D}", "leave out slashes"),
        ("{name}.{date:%d/%m}", "leave out slashes"),
        ("{name}.{count}", "{count} is not known: fields are {name}, {stem}, {ext}, {n}, {seq} and {date:"),
        ("{name:3}.{n}", "{name:3} is not known"),
        ("{name}.{date}", "a date needs a format"),
        ("{name}.{date:}", "a date needs a format"),
        ("{name}.{date:day}", "the same at all times"),
        ("{name}.{date:%q}", "could not be read back"),
        ("{name}.{date:%}", "is no date"),
        ("{name}.{date:%z}", "is no date"),
        ("{name}.{date:%H%M %Z}", "is no date"),
        ("{name}.{date:%s}", "is no date"),
        ("{name}.{n}.{date:%F}", "take {n} alone"),
        ("{name}.{n}.{seq}", "take {n} alone"),
        ("{name}.{n}.{n}", "once only"),
        ("{name}.{seq}.{seq}", "once only"),
        ("{name}.{seq}", "take {stem}.{seq}{ext}"),
        ("{name}.{date:%-j}{seq}", "could not be read back"),
        ("{name}.{seq}{date:%Y}", "could not be read back"),
        ("{name}.{seq}0", "could not be read back"),
        ("{name}.{n", "does not end"),
        ("{name}.{n}}", "without a {"),
        (".{name}.{n}", "begin with {name} or {stem}"),
        ("{ext}.{n}", "begin with {name} or {stem}"),
        ("{name}.{n}.gz", "ends like a packed file"),
    ] {
        assert!(why(text, LOG).contains(expected), "{text}: {}", why(text, LOG));
    }
    assert!(why("{date:%Y}.log", "2026.log").contains("the log itself is called so"));
    assert!(why("a.{n}.log", "a.7.log").contains("the log itself is called so"));
    assert!(why("a.{seq}.log", "a.7.log").contains("the log itself is called so"));
    assert!(why("{stem}.{n}{ext}", "app.gz").contains("ends like a packed file"));
    assert!(why("{name}.{n}", &"x".repeat(240)).contains("bytes: at most"));
}

#[test]
fn stamps_sort_by_time_where_the_name_tells_it() {
    for text in [
        "{name}.{date:%d-%m-%Y}",
        "{name}.{date:%m}.{date:%y}.{date:%d}",
        "{name}.{date:%B %e, %Y}",
        "{name}.{date:%j %Y}",
    ] {
        let template = template(text);
        let days = (1..400).map(|n| date(2026, 1, 1).checked_add(jiff::Span::new().days(n)).unwrap());
        let stamps: Vec<String> = days.map(|day| template.stamp(day.at(5, 0, 0, 0)).unwrap()).collect();
        assert!(stamps.is_sorted_by(|a, b| a < b), "{text}");
        assert!(stamps[0].starts_with("2026-01-02_00-00-00"), "{text}: {}", stamps[0]);
    }
    let hours = template("{name}.{date:%Y-%m-%d %I}");
    let stamp = |hour| hours.stamp(date(2026, 5, 1).at(hour, 0, 0, 0)).unwrap();
    assert_eq!(stamp(3), stamp(15), "one name is one stamp");
    assert_ne!(stamp(3), stamp(4));
}

#[test]
fn names_of_others_are_not_of_the_template() {
    let day = template("{stem}.{date:%Y-%m-%d}{ext}");
    for name in [
        "app.log",
        "app.2026-05-01",
        "app.2026-05-01.lo",
        "app.2026-5-1.log",
        "app.2026-13-01.log",
        "app.2026-05-01.log.",
        "app.2026-05-01.log.0",
        "app.2026-05-01.log.01",
        "app.2026-05-01.log.+1",
        "app.2026-05-01.log.1.2",
        "app.2026-05-01.log.4294967296",
        "app. 2026-05-01.log",
        "app.+2026-05-01.log",
        "xapp.2026-05-01.log",
    ] {
        assert_eq!(day.parse(name), None, "{name}");
    }
    let seq = template("{stem}.{seq}{ext}");
    for name in ["app.0.log", "app.01.log", "app..log", "app.-1.log", "app.1.log.1", "app.99999999999.log"] {
        assert_eq!(seq.parse(name), None, "{name}");
    }
    assert_eq!(template("{name}.{date:%a}").parse("app.log.fri"), None);
}

fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        2 => prop::sample::select(&["{name}", "{stem}", "{ext}", "{{", "}}", "-", ".", " ", "_", "ü", "x", "7", "%"][..])
            .prop_map(str::to_owned),
        2 => prop::sample::select(&["%Y-%m-%d", "%Y%m%d", "%d-%m-%Y", "%H", "%H-%M-%S", "%j", "%y", "%b %-d", "%a", "%I %p", "%F", "%T", "%G-W%V", "%u", "%Y", "x%U%%", "%e", "%C", "%-m"][..])
            .prop_map(|format| format!("{{date:{format}}}")),
        1 => Just("{seq}".to_owned()),
    ];
    prop::collection::vec(piece, 1..7).prop_map(|pieces| pieces.concat())
}

fn any_time() -> impl Strategy<Value = DateTime> {
    (1970..2200i16, 1..=12i8, 1..=28i8, 0..24i8, 0..60i8, 0..60i8).prop_map(
        |(year, month, day, hour, minute, second)| date(year, month, day).at(hour, minute, second, 0),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

    #[test]
    fn a_name_is_read_as_it_was_made_and_two_are_the_same_only_for_one_stamp_and_number(
        text in any_text(), times in prop::collection::vec((any_time(), 0..200u32), 2..5),
    ) {
        let Ok(template) = Template::new(&text, LOG) else { return Ok(()) };
        let mut names = std::collections::BTreeMap::new();
        for (start, copy) in times {
            let (name, stamp) = (template.name(start, copy).unwrap(), template.stamp(start).unwrap());
            let made = Dated { stamp, copy, packing: Packing::Plain };
            prop_assert_eq!(template.parse(&name), Some(made.clone()), "{}: {}", text, name);
            let packed = Dated { packing: Packing::Gzip, ..made.clone() };
            prop_assert_eq!(template.parse(&format!("{name}.gz")), Some(packed));
            let before = names.insert(name, made.clone());
            prop_assert!(before.is_none_or(|before| before == made));
        }
        let stamps: std::collections::BTreeSet<_> = names.values().cloned().map(|made| (made.stamp, made.copy)).collect();
        prop_assert_eq!(stamps.len(), names.len(), "{}", text);
    }

    #[test]
    fn any_text_is_a_template_or_refused_and_any_name_read_or_not(text in "[{}a-z:%YmdH.]{0,20}", name in "app[0-9.a-z]{0,20}") {
        if let Ok(template) = Template::new(&text, LOG) {
            let _ = template.parse(&name);
        }
        let known = template("{stem}.{date:%Y-%m-%d}.{seq}{ext}");
        let _ = known.parse(&name);
    }
}
