//! Which file of a log has which name.
use super::super::name::Packing;
use super::*;
use jiff::civil::date;

const LOG: &str = "app.log";

fn naming(text: &str) -> Naming {
    Naming::from_template(LOG, text).unwrap()
}

fn number(naming: &Naming, name: &str) -> Option<u32> {
    match naming.standing(name) {
        Some(Standing::Numbered(member)) => Some(member.number),
        _ => None,
    }
}

fn stamp(of: Option<Standing>) -> Option<(String, u32)> {
    match of {
        Some(Standing::Dated(Reverse(dated))) => Some((dated.stamp, dated.copy)),
        _ => None,
    }
}

#[test]
fn a_chain_may_have_its_number_in_the_middle() {
    let naming = naming("{stem}.{n}{ext}");
    assert_eq!(naming.scheme(), Scheme::Numbered);
    assert_eq!(naming.member(Member::NEWEST), "app.1.log");
    assert_eq!(naming.member(Member { number: Member::OUT, packing: Packing::Gzip }), "app.oldest.log.gz");
    assert_eq!(naming.member(Member::LOG), LOG);
    for member in [1, 9, 10, 4_000_000_000, Member::OUT, Member::WAITING]
        .map(|n| Member { number: n, packing: Packing::Zstd })
    {
        assert_eq!(naming.as_member(&naming.member(member)), Some(member));
    }
    for name in [
        "app.log",
        "app.log.1",
        "app.01.log",
        "app.0.log",
        "app..log",
        "app.1.log.bak",
        "app.1log",
        "app.+1.log",
    ] {
        assert_eq!(naming.as_member(name), None, "{name}");
    }
}

#[test]
fn names_of_before_are_known_but_none_is_made_like_them() {
    let naming =
        naming("{stem}.{date:%Y-%m-%d}{ext}").with_former(["{stem}.{n}{ext}", "{name}.{date:%Y%m%d}"]);
    assert_eq!(naming.standing(LOG), Some(Standing::Log));
    assert_eq!(stamp(naming.standing("app.2026-05-01.log")), Some(("2026-05-01_00-00-00".into(), 0)));
    assert_eq!(number(&naming, "app.7.log.gz"), Some(7));
    assert_eq!(stamp(naming.standing("app.log.20260501.3")), Some(("2026-05-01_00-00-00".into(), 3)));
    assert_eq!(number(&naming, "app.log.3"), Some(3), "an ordinary chain");
    assert_eq!(
        stamp(naming.standing("app.log.2026-05-01")),
        Some(("2026-05-01".into(), 0)),
        "an ordinary date"
    );
    assert_eq!(naming.standing("app.conf"), None);
    for name in ["app.7.log", "app.log.20260501", "app.log.3", "app.log.2026-05-01", LOG] {
        assert_eq!(naming.present(name), None, "{name}");
    }
}

#[test]
fn a_date_that_looks_like_a_number_is_what_is_made_now() {
    let dated = naming("{name}.{date:%Y%m%d}");
    assert!(stamp(dated.standing("app.log.20260501")).is_some());
    let numbered = Naming::plain(LOG, Scheme::Numbered).with_former(["{name}.{date:%Y%m%d}"]);
    assert_eq!(number(&numbered, "app.log.20260501"), Some(20_260_501));
}

#[test]
fn what_is_called_as_names_are_made_now_is_the_newest() {
    let mut names = ["app.log.2026-05-01", "app.1.log", "app.log", "app.log.1", "app.2.log.gz", "app-9"];
    let sorted = |naming: Naming, names: &mut [&'static str]| names.sort_by_key(|name| naming.place(name));
    sorted(naming("{stem}.{n}{ext}").with_former(["{stem}-{seq}"]), &mut names);
    assert_eq!(names, ["app.log", "app.1.log", "app.2.log.gz", "app.log.2026-05-01", "app-9", "app.log.1"]);
    sorted(naming("{stem}-{seq}").with_former(["{stem}.{n}{ext}"]), &mut names);
    assert_eq!(names[..2], ["app.log", "app-9"]);
}

#[test]
fn a_template_for_another_log_or_scheme_counts_as_none() {
    let start = date(2026, 5, 1).at(0, 0, 0, 0);
    for template in ["{nonsense", "{stem}.{n}{ext}"] {
        let naming = Naming::new(LOG, Scheme::Dated, Some(template));
        assert_eq!(naming.dated(start, Precision::Day, 2), "app.log.2026-05-01.2");
        assert_eq!((naming.scheme(), naming.template()), (Scheme::Dated, None));
    }
}
