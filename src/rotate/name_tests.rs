//! Names and the strangers they are told from. Dropping `ours` from `parse` fails
//! `signs_and_leading_zeros_are_strangers`.
use super::*;
use proptest::prelude::*;

fn parse(name: &str) -> Option<(u32, Packing)> {
    Member::parse("app.log", name).map(|member| (member.number, member.packing))
}

#[test]
fn numbers_and_compressed_numbers_are_archives() {
    assert_eq!(parse("app.log.1"), Some((1, Packing::Plain)));
    assert_eq!(parse("app.log.10"), Some((10, Packing::Plain)));
    assert_eq!(parse("app.log.2.gz"), Some((2, Packing::Gzip)));
    assert_eq!(parse("app.log.2.zst"), Some((2, Packing::Zstd)));
    assert_eq!(parse("app.log.4294967293"), Some((u32::MAX - 2, Packing::Plain)));
}

#[test]
fn the_one_that_is_to_fall_off_has_a_name_without_a_number() {
    assert_eq!(parse("app.log.oldest"), Some((Member::OUT, Packing::Plain)));
    assert_eq!(parse("app.log.oldest.gz"), Some((Member::OUT, Packing::Gzip)));
    assert_eq!(Member::NEWEST.at(Member::OUT).name("app.log"), "app.log.oldest");
}

#[test]
fn the_one_that_waits_for_number_1_has_a_name_without_a_number_too() {
    assert_eq!(parse("app.log.newest"), Some((Member::WAITING, Packing::Plain)));
    assert_eq!(parse("app.log.newest.gz"), Some((Member::WAITING, Packing::Gzip)));
    assert_eq!(Member::NEWEST.at(Member::WAITING).name("app.log"), "app.log.newest");
}

#[test]
fn the_order_is_that_of_age() {
    let names =
        ["app.log.newest", "app.log.newest.gz", "app.log.1", "app.log.2.gz", "app.log.10", "app.log.oldest"];
    let members: Vec<Member> = names.iter().filter_map(|name| Member::parse("app.log", name)).collect();
    assert!(members.len() == 6 && members.is_sorted() && Member::LOG < members[0], "{members:?}");
    assert!(members.is_sorted_by_key(|member| member.age()));
}

#[test]
fn signs_and_leading_zeros_are_strangers() {
    for name in ["app.log.+1", "app.log.-1", "app.log.01", "app.log.0", "app.log.00.gz"] {
        assert_eq!(parse(name), None, "{name}");
    }
}

#[test]
fn everything_else_is_a_stranger() {
    let strangers = [
        "",
        "app",
        "app.log",
        "app.log.",
        "app.log.gz",
        "app.log..gz",
        "app.log.1.",
        "app.log.1.GZ",
        "app.log.1.gz.gz",
        "app.log.1.gz.tmp",
        "app.log.bak",
        "app.log.1a",
        "app.log.4294967294",
        "app.log.4294967295",
        "app.log.4294967296",
        "app.log.oldest.1",
        "app.log.Oldest",
        "app.log.newest.1",
        "app.log2.1",
        "xapp.log.1",
        "App.log.1",
        "app.log.\u{0661}",
        "app.log.1.ZST",
        "app.log.1.zst.gz",
        "app.log.1.zstd",
        "app.log.1 ",
    ];
    for name in strangers {
        assert_eq!(parse(name), None, "{name}");
    }
}

#[test]
fn the_log_of_another_program_with_a_longer_name_is_a_stranger() {
    assert_eq!(Member::parse("app", "app.log.1"), None);
    assert_eq!(Member::parse("app", "app.1"), Some(Member::NEWEST));
}

#[test]
fn number_0_is_the_log() {
    assert_eq!(Member::LOG.name("app.log"), "app.log");
    assert_eq!(Member::NEWEST.name("app.log"), "app.log.1");
}

proptest! {
    #[test]
    fn a_name_that_was_made_is_recognized(number in 1u32.., packing in 0..3usize, log in ".{0,12}") {
        let packing = [Packing::Plain, Packing::Gzip, Packing::Zstd][packing];
        let member = Member { number, packing };
        prop_assert_eq!(Member::parse(&log, &member.name(&log)), Some(member));
    }

    #[test]
    fn a_name_that_is_recognized_is_the_one_that_would_be_made(tail in "[.+0-9gzst]{0,8}") {
        let name = format!("app.log{tail}");
        if let Some(member) = Member::parse("app.log", &name) {
            prop_assert_eq!(member.name("app.log"), name);
        }
    }
}
