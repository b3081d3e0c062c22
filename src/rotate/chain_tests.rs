//! The shift by itself: the listing before, the moves, the listing after.
use super::super::name::Packing;
use super::*;

fn archives(names: &[&str]) -> Vec<Member> {
    names.iter().filter_map(|name| Member::parse("l", name)).collect()
}

fn chain(names: &[&str], backups: u32) -> Chain {
    Chain::new(Some(Member::LOG), archives(names).into_iter(), backups)
}

fn moves(names: &[&str], backups: u32) -> Vec<String> {
    moves_of(chain(names, backups))
}

fn moves_of(mut chain: Chain) -> Vec<String> {
    let mut moves = Vec::new();
    while let Some(next) = chain.next_move() {
        moves.push(match next {
            Move::Remove(member) => format!("rm {}", member.name("l")),
            Move::Rename { from, to } => format!("{}->{}", from.name("l"), to.name("l")),
        });
        chain.apply(next);
    }
    moves
}

#[test]
fn an_empty_directory_needs_one_rename() {
    assert_eq!(moves(&[], 3), ["l->l.1"]);
}

#[test]
fn the_shift_starts_at_the_first_gap() {
    assert_eq!(moves(&["l.1", "l.2"], 5), ["l.2->l.3", "l.1->l.2", "l->l.1"]);
    assert_eq!(moves(&["l.1", "l.3", "l.4"], 4), ["l.1->l.2", "l->l.1"]);
    assert_eq!(moves(&["l.2", "l.3"], 3), ["l->l.1"]);
}

#[test]
fn the_oldest_of_a_full_chain_gives_way() {
    assert_eq!(moves(&["l.1", "l.2"], 2), ["l.2->l.oldest", "l.1->l.2", "l->l.1"]);
    assert_eq!(moves(&["l.1"], 1), ["l.1->l.oldest", "l->l.1"]);
}

#[test]
fn one_that_gave_way_before_is_removed_only_when_its_name_is_needed() {
    let again = ["rm l.oldest", "l.2->l.oldest", "l.1->l.2", "l->l.1"];
    assert_eq!(moves(&["l.1", "l.2", "l.oldest"], 2), again);
    assert_eq!(moves(&["l.2", "l.oldest"], 2), ["l->l.1"]);
    assert_eq!(moves(&["l.1", "l.oldest.gz"], 1), ["l.1->l.oldest", "l->l.1"]);
}

#[test]
fn compressed_archives_keep_their_ending() {
    let shifted = ["l.2.gz->l.3.gz", "l.1.gz->l.2.gz", "l->l.1"];
    assert_eq!(moves(&["l.1.gz", "l.2.gz"], 3), shifted);
    let full = ["l.2.gz->l.oldest.gz", "l.1.gz->l.2.gz", "l->l.1"];
    assert_eq!(moves(&["l.1.gz", "l.2.gz"], 2), full);
}

#[test]
fn two_files_of_one_number_are_spread_over_the_gaps() {
    let spread = ["l.1->l.2", "l.2->l.3", "l.1.gz->l.2.gz", "l->l.1"];
    assert_eq!(moves(&["l.1", "l.1.gz"], 3), spread);
}

#[test]
fn two_files_of_the_last_number_fall_off_one_by_one() {
    let first = moves(&["l.1", "l.2", "l.2.gz"], 2);
    assert_eq!(first, ["l.2->l.oldest", "l.2.gz->l.oldest.gz", "l.1->l.2", "l->l.1"]);
}

#[test]
fn archives_above_the_limit_are_left_alone() {
    assert_eq!(moves(&["l.1", "l.2", "l.3"], 2), ["l.2->l.oldest", "l.1->l.2", "l->l.1"]);
}

#[test]
fn a_chain_of_any_number_is_bounded_by_what_exists() {
    assert_eq!(moves(&["l.4294967293", "l.4294967294", "l.4294967295"], u32::MAX), ["l->l.1"]);
}

#[test]
fn a_thousand_archives_take_a_thousand_and_one_moves() {
    let names: Vec<String> = (1..=1_000).map(|number| format!("l.{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(moves(&names, 1_000).len(), 1_001);
    assert_eq!(moves(&names, 2_000).len(), 1_001);
}

#[test]
fn without_the_live_log_nothing_moves() {
    let archive = Member { number: 1, packing: Packing::Gzip };
    assert_eq!(Chain::new(None, [archive].into_iter(), 3).next_move(), None);
}

#[test]
fn the_one_that_waits_moves_like_the_log_and_then_the_log_can() {
    let members = archives(&["l.1", "l.2", "l.newest"]);
    let mut chain = Chain::new(Some(Member::LOG), members.into_iter(), 2);
    assert_eq!(chain.moves(), 2);
    assert_eq!(moves_of(chain.clone()), ["l.2->l.oldest", "l.1->l.2", "l.newest->l.1"]);
    while let Some(next) = chain.next_move() {
        chain.apply(next);
    }
    assert_eq!((chain.moves(), chain.fallen()), (0, Some(Member::NEWEST.at(Member::OUT))));
    chain.next_zero(Some(Member::LOG));
    assert_eq!(chain.moves(), 2);
    assert_eq!(moves_of(chain), ["rm l.oldest", "l.2->l.oldest", "l.1->l.2", "l->l.1"]);
}

#[test]
fn one_that_waits_and_vanishes_leaves_number_0_free() {
    let members = archives(&["l.1", "l.newest"]);
    let mut chain = Chain::new(Some(Member::LOG), members.into_iter(), 9);
    chain.forget(Member::NEWEST.at(Member::WAITING));
    assert_eq!(chain.next_move(), None);
    chain.next_zero(Some(Member::LOG));
    assert_eq!(moves_of(chain), ["l.1->l.2", "l->l.1"]);
}

#[test]
fn two_that_wait_move_one_after_the_other() {
    let mut chain = Chain::new(None, archives(&["l.1", "l.newest.gz", "l.newest"]).into_iter(), 9);
    assert_eq!(moves_of(chain.clone()), ["l.1->l.2", "l.newest->l.1"]);
    while let Some(next) = chain.next_move() {
        chain.apply(next);
    }
    chain.next_zero(Some(Member::LOG));
    assert_eq!(moves_of(chain), ["l.2->l.3", "l.1->l.2", "l.newest.gz->l.1.gz"]);
}
