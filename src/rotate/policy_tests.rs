//! The size rules at their limits. `>` made `>=` in Strict fails
//! `strict_fills_a_file_to_the_last_byte`; dropping `file_bytes == 0` fails
//! `an_empty_file_is_never_rotated`; adding the record in CheckBefore fails
//! `check_before_ignores_the_records_length`.
use super::*;

fn policy(max_bytes: u64, rule: SizeRule) -> Policy {
    Policy { max_bytes, backups: 3, rule, names: Scheme::Numbered, direct: false }
}

#[test]
fn strict_fills_a_file_to_the_last_byte() {
    let policy = policy(100, SizeRule::Strict);
    assert!(!policy.must_rotate_before(90, 10));
    assert!(policy.must_rotate_before(90, 11));
    assert!(policy.must_rotate_before(100, 1));
}

#[test]
fn strict_gives_an_oversize_record_a_file_of_its_own() {
    let policy = policy(100, SizeRule::Strict);
    assert!(policy.must_rotate_before(1, 500));
    assert!(!policy.must_rotate_before(0, 500));
    assert!(policy.must_rotate_before(500, 1));
}

#[test]
fn check_before_ignores_the_records_length() {
    let policy = policy(100, SizeRule::CheckBefore);
    assert!(!policy.must_rotate_before(99, 500));
    assert!(policy.must_rotate_before(100, 1));
    assert!(policy.must_rotate_before(100, 0));
}

#[test]
fn an_empty_file_is_never_rotated() {
    for rule in [SizeRule::Strict, SizeRule::CheckBefore] {
        assert!(!policy(1, rule).must_rotate_before(0, u64::MAX));
    }
}

#[test]
fn no_limit_never_rotates() {
    assert!(!Policy::default().must_rotate_before(u64::MAX, u64::MAX));
    assert!(!policy(0, SizeRule::CheckBefore).must_rotate_before(u64::MAX, 1));
}

#[test]
fn sizes_near_the_end_of_the_range_do_not_wrap() {
    assert!(policy(100, SizeRule::Strict).must_rotate_before(u64::MAX, 1));
    assert!(policy(100, SizeRule::Strict).must_rotate_before(1, u64::MAX));
}

#[test]
fn keeping_no_backups_means_truncating() {
    assert_eq!(Policy::default().stage(), Stage::Truncate);
    assert_eq!(policy(1, SizeRule::Strict).stage(), Stage::Rotate);
}
