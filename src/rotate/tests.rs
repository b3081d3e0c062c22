//! The machine on a model disk: killed before every action and failing at every action.
//! (Random histories of both are in `histories.rs`.)
//!
//! The tests were seen to fail. Of 24 deliberate faults in `machine.rs` and `chain.rs`, 23 are
//! caught; the last, not leaving out the archives above the limit, changes nothing that can be seen.
//! Some of them, with the tests that are there for them:
//!
//! | fault | caught by |
//! |---|---|
//! | the shift starts at the last number, not at the first gap | `the_shift_starts_at_the_first_gap`, every kill and failure test |
//! | a recovered ROTATE goes on with the new file although the old one stands there | `the_driver_may_be_killed_before_any_action`, `a_successor_may_be_killed_before_any_action_too` |
//! | the oldest is removed before the new file is the log | `a_rotation_that_fails_or_is_killed_drops_nothing` |
//! | stage TRUNCATE truncates whatever is at the log's name | `a_log_that_was_moved_or_replaced_is_reopened_and_never_truncated`, `histories` |
//! | writing goes on into `log.1` when the new file cannot be created | `a_new_log_that_can_not_be_created_puts_the_old_one_back`, `histories` |
//! | `log.1` is put back over a file that is there | `when_nothing_can_be_written_to_the_log_is_held_and_goes_on_later` |
//! | `log.1` is put back whatever file it is | `number_1_is_not_put_back_if_it_is_not_the_journalled_file` |
//! | a failure ends the run without the journal's NONE | `any_action_may_fail_and_a_retry_succeeds` |
//! | a journal that could not be committed counts as NONE | `any_action_may_fail_and_a_retry_succeeds` |
//! | an archive that has vanished stays in the chain | `any_action_may_fail_and_a_retry_succeeds` (it never ends) |
//! | an archive that has vanished ends the run | `histories`, `an_archive_that_has_vanished_is_a_free_number` |
//! | no stage is journalled | every kill and failure test |
#![allow(clippy::expect_used)]
use super::model::{AT_ONCE, DAY, Disk, Driver, Fate, Fault, Killed, LOG, naming, with_templates};
use super::*;
use std::collections::BTreeMap;

pub(super) const FAILURES: [Failure; 3] = [Failure::NotFound, Failure::Exists, Failure::Other];
/// No run of these tests has more actions.
const ACTIONS_MAX: usize = 20;

/// Directories to start from: full and not, gaps, compressed, both, strangers.
pub(super) const DIRECTORIES: [&[&str]; 14] = [
    &[],
    &["app.log.1"],
    &["app.log.1", "app.log.2", "app.log.3"],
    &["app.log.1", "app.log.3"],
    &["app.log.2", "app.log.bak", "app.log.01", "app.log.1.zst"],
    &["app.log.1.gz", "app.log.2.gz", "app.log.3.gz"],
    &["app.log.1", "app.log.2.gz", "app.log.3.gz"],
    &["app.log.1", "app.log.1.gz", "app.log.2"],
    &["app.log.1", "app.log.2", "app.log.3", "app.log.3.gz", "app.log.4", "app.log.9.gz"],
    &["app.log.1", "app.log.2", "app.log.3", "app.log.oldest"],
    &["app.log.2", "app.log.oldest", "app.log.oldest.gz"],
    &["app.log.newest", "app.log.1", "app.log.2", "app.log.3"],
    &["app.log.newest", "app.log.1", "app.log.3", "app.log.4", "app.log.oldest"],
    &["app.log.newest", "app.log.newest.gz", "app.log.1.gz"],
];

fn keeping(backups: u32) -> Policy {
    Policy { max_bytes: 10, backups, rule: SizeRule::Strict, names: Scheme::Numbered, direct: false }
}

/// A driver that has logged two records of five bytes: the next one must rotate.
fn full_log(before: &[&str], policy: Policy) -> (Disk, Driver) {
    let mut disk = Disk::with(before);
    let mut driver = take_over(&mut disk, policy);
    for _ in 0..2 {
        assert_eq!(driver.log(&mut disk, 5, false), Ok(true));
    }
    (disk, driver)
}

pub(super) fn take_over(disk: &mut Disk, policy: Policy) -> Driver {
    Driver::take_over(disk, policy, Fate::default()).expect("nobody kills it")
}

/// Where files stand that no rotation may touch.
fn untouchable(disk: &Disk, policy: Policy) -> BTreeMap<String, usize> {
    let (backups, numbered) = (policy.backups, policy.names == Scheme::Numbered);
    let ours = |name: &str| match Standing::of(LOG, name) {
        Some(Standing::Numbered(member)) => {
            let unnumbered = member.number > Member::LAST;
            numbered && (member.number <= backups || (unnumbered && backups > 0))
        }
        Some(Standing::Dated(_)) => !numbered,
        Some(Standing::Log) => true,
        None => false,
    };
    disk.dir.clone().into_iter().filter(|(name, _)| !ours(name)).collect()
}

/// Nothing doubled, nothing out of order, nothing missing but what retention or someone dropped.
/// (The model asserts that retention only ever drops the oldest.)
pub(super) fn assert_whole(disk: &Disk) {
    let records = disk.records(u32::MAX);
    assert!(records.is_sorted_by(|a, b| a < b), "doubled or out of order: {records:?}");
    for record in 0..disk.written {
        let gone = disk.dropped.contains(&record) || disk.lost.contains(&record);
        let present = records.binary_search(&record).is_ok();
        assert!(present != gone, "record {record} in {disk:?}");
    }
}

/// Whatever happened, in time records are written again.
pub(super) fn assert_logs_on(disk: &mut Disk, driver: &mut Driver) {
    for _ in 0..3 {
        driver.now_ms += retry::DELAY_MS_MAX;
        assert_eq!(driver.log(disk, 5, false), Ok(true));
    }
    assert!(disk.dir.contains_key(LOG), "{:?}", disk.dir);
    assert_whole(disk);
}

/// What was put off comes to an end, and leaves nothing that waits.
fn assert_shifts(disk: &mut Disk, driver: &mut Driver) {
    if !disk.journal_is_at_rest() || driver.policy().backups == 0 {
        return;
    }
    let waited = disk.dir.contains_key("app.log.newest");
    while !driver.shift(disk, 1, Fate::default()).expect("nobody kills it") {}
    assert_whole(disk);
    let has = |number| disk.archives().iter().any(|(member, _)| member.number == number);
    assert!(!has(Member::WAITING) && (!waited || has(1)), "{:?}", disk.dir);
}

/// And in time a log that is full is rotated.
fn assert_rotates_on(disk: &mut Disk, driver: &mut Driver, policy: Policy) {
    if policy.names == Scheme::Dated {
        assert_logs_on(disk, driver);
        assert!(disk.dir.contains_key(&format!("{LOG}.{DAY}")), "{:?}", disk.dir);
        assert!(disk.files[disk.dir[LOG]].len() <= 2, "{disk:?}");
        return;
    }
    let backups = policy.backups;
    assert_shifts(disk, driver);
    let stood_at_1 = disk.dir.get("app.log.1").copied();
    assert_logs_on(disk, driver);
    assert_shifts(disk, driver);
    let at_1 = disk.dir.get("app.log.1").copied();
    assert!(at_1.is_some() || backups == 0, "{:?}", disk.dir);
    assert!(at_1 == stood_at_1 || backups > 0, "{:?}", disk.dir);
    assert!(disk.files[disk.dir[LOG]].len() <= 2, "{disk:?}");
}

/// Every directory with every number of backups, and with dated names; archives are moved at once, or later; with names from
/// templates, too.
fn for_each_start(mut test: impl FnMut(&[&str], Policy)) {
    for (before, templates) in DIRECTORIES.into_iter().flat_map(|before| [(before, false), (before, true)]) {
        with_templates(templates);
        test(before, Policy { names: Scheme::Dated, ..keeping(0) });
        let at_once = if templates { &[u32::MAX][..] } else { &[u32::MAX, 0] };
        for (backups, &at_once) in (0..=4).flat_map(|backups| at_once.iter().map(move |n| (backups, n))) {
            AT_ONCE.set(at_once);
            test(before, keeping(backups));
        }
        AT_ONCE.set(u32::MAX);
    }
    with_templates(false);
}

#[test]
fn a_rotation_orders_one_call_after_the_other() {
    let names = ["app.log", "app.log.1", "app.log.2"].map(String::from).to_vec();
    let view = View { names, at: At::Same, archive: "app.log.1".into() };
    let mut machine = Machine::start(&keeping(2), &naming(&keeping(2)), Stage::Rotate, &view);
    let rename = |from: &str, to: &str| Action::Rename { from: from.into(), to: to.into() };
    let expected = [
        Action::Journal(Stage::Rotate),
        rename("app.log.2", "app.log.oldest"),
        rename("app.log.1", "app.log.2"),
        rename("app.log", "app.log.1"),
        Action::Create,
        Action::Finish,
        Action::Remove { name: "app.log.oldest".into() },
        Action::Done(Outcome::Rotated),
    ];
    for action in expected {
        assert_eq!(machine.next(), action);
        machine.report(Ok(()));
    }
}

#[test]
fn a_rotation_without_failures_rotates() {
    for_each_start(|before, policy| {
        let (mut disk, mut driver) = full_log(before, policy);
        let strangers = untouchable(&disk, policy);
        let outcome = driver.rotate(&mut disk, Fate::default());
        let truncates = policy.stage() == Stage::Truncate;
        assert_eq!(outcome, Ok(if truncates { Outcome::Truncated } else { Outcome::Rotated }));
        assert!(disk.files[disk.dir[LOG]].is_empty());
        assert_eq!(untouchable(&disk, policy), strangers);
        assert_whole(&disk);
    });
}

#[test]
fn strict_files_never_exceed_the_limit_and_numbers_are_contiguous() {
    let (mut disk, mut driver) = full_log(&[], keeping(3));
    for len in [4, 4, 4, 10, 1, 25, 2, 8, 1] {
        assert_eq!(driver.log(&mut disk, len, false), Ok(true));
        for id in disk.dir.values() {
            let lengths: Vec<u64> = disk.files[*id].iter().map(|record| record.1).collect();
            assert!(lengths.iter().sum::<u64>() <= 10 || lengths.len() == 1, "{lengths:?}");
        }
    }
    let names: Vec<String> = disk.dir.keys().cloned().collect();
    assert_eq!(names, ["app.log", "app.log.1", "app.log.2", "app.log.3"]);
    assert_whole(&disk);
}

#[test]
fn the_driver_may_be_killed_before_any_action() {
    for_each_start(|before, policy| {
        let mut kills = 0;
        loop {
            let (mut disk, mut driver) = full_log(before, policy);
            let strangers = untouchable(&disk, policy);
            if driver.rotate(&mut disk, Fate::killed_at(kills)).is_ok() {
                break;
            }
            let mut driver = take_over(&mut disk, policy);
            assert_whole(&disk);
            assert!(disk.dir.contains_key(LOG));
            assert_eq!(untouchable(&disk, policy), strangers);
            assert_rotates_on(&mut disk, &mut driver, policy);
            kills += 1;
        }
        assert!((3..ACTIONS_MAX).contains(&kills));
    });
}

#[test]
fn a_successor_may_be_killed_before_any_action_too() {
    for_each_start(|before, policy| {
        for (first, second) in (0..ACTIONS_MAX).flat_map(|a| (0..ACTIONS_MAX).map(move |b| (a, b))) {
            let (mut disk, mut driver) = full_log(before, policy);
            if driver.rotate(&mut disk, Fate::killed_at(first)).is_ok() {
                break;
            }
            let _ = Driver::take_over(&mut disk, policy, Fate::killed_at(second));
            let mut driver = take_over(&mut disk, policy);
            assert_whole(&disk);
            assert_rotates_on(&mut disk, &mut driver, policy);
        }
    });
}

#[test]
fn moves_that_were_put_off_may_fail_or_be_cut_short_at_any_action() {
    let waiting = DIRECTORIES.into_iter().filter(|names| names.iter().any(|name| name.contains("newest")));
    for (before, policy) in waiting.flat_map(|before| (1..=4).map(move |backups| (before, keeping(backups))))
    {
        let fails = |at| {
            let faults = FAILURES.into_iter().flat_map(|f| [Fault::Instead(f), Fault::After(f)]);
            faults.map(move |fault| Fate::fails_at(at, fault))
        };
        for fate in (0..ACTIONS_MAX).flat_map(|at| fails(at).chain([Fate::killed_at(at)])) {
            for at_once in [0, u32::MAX] {
                AT_ONCE.set(at_once);
                let mut disk = Disk::with(before);
                let mut driver = take_over(&mut disk, policy);
                let strangers = untouchable(&disk, policy);
                if driver.shift(&mut disk, ACTIONS_MAX, fate) == Err(Killed) {
                    driver = take_over(&mut disk, policy);
                }
                assert_whole(&disk);
                assert_eq!(untouchable(&disk, policy), strangers);
                assert_rotates_on(&mut disk, &mut driver, policy);
            }
        }
    }
    AT_ONCE.set(u32::MAX);
}

#[test]
fn a_long_chain_is_moved_later_from_the_first_gap_and_the_oldest_goes_last() {
    let names = ["app.log", "app.log.1", "app.log.2"].map(String::from).to_vec();
    let view = View { names, at: At::Same, archive: "app.log.1".into() };
    let mut machine =
        Machine::start(&keeping(2), &naming(&keeping(2)), Stage::Rotate, &view).moving_at_once(1);
    let rename = |from: &str, to: &str| Action::Rename { from: from.into(), to: to.into() };
    let expected = [
        Action::Journal(Stage::Rotate),
        rename("app.log", "app.log.newest"),
        Action::Create,
        Action::Finish,
        Action::Done(Outcome::Rotated),
    ];
    for action in expected {
        assert_eq!(machine.next(), action);
        machine.report(Ok(()));
    }
    assert!(machine.has_put_off());
    let names = ["app.log", "app.log.newest", "app.log.1", "app.log.2"].map(String::from);
    let mut shift = Shift::start(&keeping(2), &naming(&keeping(2)), &names).expect("one waits");
    let expected = [
        rename("app.log.2", "app.log.oldest"),
        rename("app.log.1", "app.log.2"),
        rename("app.log.newest", "app.log.1"),
        Action::Remove { name: "app.log.oldest".into() },
    ];
    for action in expected {
        assert_eq!(shift.next(), Some(action));
        shift.report(Ok(()));
    }
    assert_eq!((shift.next(), shift.failure()), (None, None));
    for (policy, names) in [(keeping(0), &names[..]), (keeping(2), &names[2..])] {
        assert!(Shift::start(&policy, &naming(&policy), names).is_none());
    }
}

#[test]
fn a_rotation_that_comes_too_early_makes_the_rest_of_the_moves_first() {
    let names = ["app.log", "app.log.newest", "app.log.1", "app.log.3"].map(String::from).to_vec();
    let view = View { names, at: At::Same, archive: "app.log.1".into() };
    let mut machine =
        Machine::start(&keeping(9), &naming(&keeping(9)), Stage::Rotate, &view).moving_at_once(1);
    let rename = |from: &str, to: &str| Action::Rename { from: from.into(), to: to.into() };
    let expected = [
        Action::Journal(Stage::Rotate),
        rename("app.log.1", "app.log.2"),
        rename("app.log.newest", "app.log.1"),
        rename("app.log", "app.log.newest"),
        Action::Create,
    ];
    for action in expected {
        assert_eq!(machine.next(), action);
        machine.report(Ok(()));
    }
    // What it has put away under that name it puts back from there.
    machine.report(Err(Failure::Other));
    let mut machine =
        Machine::start(&keeping(9), &naming(&keeping(9)), Stage::Rotate, &View { at: At::Same, ..view })
            .moving_at_once(0);
    for result in [Ok(()), Ok(()), Ok(()), Ok(()), Err(Failure::Other)] {
        machine.report(result);
    }
    assert_eq!(machine.next(), rename("app.log.newest", "app.log"));
}

#[test]
fn a_kill_drops_no_archive_that_a_rotation_would_have_kept() {
    for before in DIRECTORIES {
        let (mut calm, mut driver) = full_log(before, keeping(3));
        driver.rotate(&mut calm, Fate::default()).expect("nobody kills it");
        for kill in 0..ACTIONS_MAX {
            let (mut disk, mut driver) = full_log(before, keeping(3));
            let _ = driver.rotate(&mut disk, Fate::killed_at(kill));
            take_over(&mut disk, keeping(3));
            assert!(disk.dropped.is_subset(&calm.dropped), "{disk:?}");
        }
    }
}

#[test]
fn any_action_may_fail_and_a_retry_succeeds() {
    for_each_start(|before, policy| {
        for (at, failure) in (0..ACTIONS_MAX).flat_map(|at| FAILURES.map(|f| (at, f))) {
            for fault in [Fault::Instead(failure), Fault::After(failure)] {
                let (mut disk, mut driver) = full_log(before, policy);
                let strangers = untouchable(&disk, policy);
                let outcome = driver.rotate(&mut disk, Fate::fails_at(at, fault));
                assert_whole(&disk);
                if outcome.is_ok_and(|outcome| outcome.failure().is_some()) {
                    assert!(!driver.backoff.is_due(driver.now_ms));
                }
                assert_eq!(untouchable(&disk, policy), strangers);
                assert_rotates_on(&mut disk, &mut driver, policy);
            }
        }
    });
}

#[test]
fn any_action_may_fail_and_the_driver_be_killed_at_any_action_behind_it() {
    for_each_start(|before, policy| {
        for at in 0..ACTIONS_MAX {
            for kill in at + 1..ACTIONS_MAX {
                let (mut disk, mut driver) = full_log(before, policy);
                let fault = Some((at, Fault::Instead(Failure::Other)));
                let fate = Fate { kill_at: Some(kill), fault };
                if driver.rotate(&mut disk, fate) != Err(Killed) {
                    break;
                }
                let mut driver = take_over(&mut disk, policy);
                assert_whole(&disk);
                assert_rotates_on(&mut disk, &mut driver, policy);
            }
        }
    });
}

#[test]
fn a_log_that_can_not_be_renamed_costs_no_archive() {
    let before = ["app.log.1", "app.log.2", "app.log.3"];
    let (mut disk, mut driver) = full_log(&before, keeping(3));
    for attempt in 0..5 {
        let rename_of_log = if attempt == 0 { 4 } else { 1 };
        let fate = Fate::fails_at(rename_of_log, Fault::Instead(Failure::Other));
        let outcome = driver.rotate(&mut disk, fate);
        assert_eq!(outcome, Ok(Outcome::Kept(Failure::Other)));
        assert_eq!(driver.log(&mut disk, 5, false), Ok(true));
    }
    assert!(disk.dropped.is_empty(), "{disk:?}");
    assert_whole(&disk);
    assert_rotates_on(&mut disk, &mut driver, keeping(3));
    assert!(!disk.dir.contains_key("app.log.oldest"), "{:?}", disk.dir);
}

#[test]
fn a_rotation_that_fails_or_is_killed_drops_nothing() {
    // Where one waits, that has come to be by a rotation before this one, and the oldest gives way to it.
    let is_fresh = |name: &&str| !name.contains("oldest") && !name.contains("newest");
    let fresh = DIRECTORIES.into_iter().filter(|names| names.iter().all(is_fresh));
    for (before, at) in fresh.flat_map(|before| (0..ACTIONS_MAX).map(move |at| (before, at))) {
        for fault in FAILURES.into_iter().flat_map(|f| [Fault::Instead(f), Fault::After(f)]) {
            let (mut disk, mut driver) = full_log(before, keeping(3));
            let outcome = driver.rotate(&mut disk, Fate::fails_at(at, fault)).expect("nobody kills it");
            assert!(outcome.failure().is_none() || disk.dropped.is_empty(), "{before:?} {at} {fault:?}");
        }
        let (mut disk, mut driver) = full_log(before, keeping(3));
        let killed = driver.rotate(&mut disk, Fate::killed_at(at)) == Err(Killed);
        assert!(!killed || disk.dropped.is_empty() || disk.journal_is_at_rest(), "{before:?} {at}");
    }
}

#[test]
fn a_new_log_that_can_not_be_created_puts_the_old_one_back() {
    let (mut disk, mut driver) = full_log(&["app.log.1"], keeping(3));
    let old = disk.dir[LOG];
    let fate = Fate::fails_at(3, Fault::Instead(Failure::Other));
    assert_eq!(driver.rotate(&mut disk, fate), Ok(Outcome::Kept(Failure::Other)));
    assert_eq!(disk.dir[LOG], old);
    assert!(!disk.dir.contains_key("app.log.1") && disk.dir.contains_key("app.log.2"));
    assert_eq!(driver.log(&mut disk, 5, false), Ok(true));
    assert_eq!(disk.files[old].len(), 3, "it goes on in the old file until the retry is due");
    assert_rotates_on(&mut disk, &mut driver, keeping(3));
}

#[test]
fn a_successor_that_can_not_create_the_log_either_puts_it_back() {
    let (mut disk, mut driver) = full_log(&[], keeping(3));
    let old = disk.dir[LOG];
    assert_eq!(driver.rotate(&mut disk, Fate::killed_at(2)), Err(Killed));
    assert!(!disk.dir.contains_key(LOG));
    let fate = Fate::fails_at(1, Fault::Instead(Failure::Other));
    let mut driver = Driver::take_over(&mut disk, keeping(3), fate).expect("nobody kills it");
    assert_eq!(disk.dir.get(LOG), Some(&old));
    assert_rotates_on(&mut disk, &mut driver, keeping(3));
}

#[test]
fn when_nothing_can_be_written_to_the_log_is_held_and_goes_on_later() {
    let (mut disk, mut driver) = full_log(&[], keeping(3));
    // The new file is made although the call fails, so the name is taken for the way back.
    let fate = Fate::fails_at(2, Fault::After(Failure::Other));
    assert_eq!(driver.rotate(&mut disk, fate), Ok(Outcome::Held(Failure::Other)));
    assert_eq!(driver.log(&mut disk, 5, false), Ok(false));
    assert_rotates_on(&mut disk, &mut driver, keeping(3));
}

#[test]
fn a_take_over_at_rest_changes_nothing() {
    let view = View { names: vec!["app.log.1".into()], at: At::Same, archive: "app.log.1".into() };
    let machine = Machine::start(&keeping(3), &naming(&keeping(0)), Stage::None, &view);
    assert_eq!(machine.next(), Action::Done(Outcome::Unchanged));
}

#[test]
fn a_log_that_was_moved_or_replaced_is_reopened_and_never_truncated() {
    for stage in [Stage::None, Stage::Rotate, Stage::Truncate] {
        for (at, backups) in [(At::Other, 0), (At::Other, 3), (At::Missing, 0), (At::Archived, 3)] {
            let view = View { names: vec!["app.log.1".into()], at, archive: "app.log.1".into() };
            let mut machine = Machine::start(&keeping(backups), &naming(&keeping(0)), stage, &view);
            if stage != Stage::None {
                assert_eq!(machine.next(), Action::Journal(stage));
                machine.report(Ok(()));
            }
            assert_eq!(machine.next(), Action::Create);
            machine.report(Ok(()));
            assert_eq!(machine.next(), Action::Finish);
        }
    }
}

#[test]
fn what_someone_else_moved_to_number_1_is_not_put_back() {
    let view = View { names: vec!["app.log.1".into()], at: At::Archived, archive: "app.log.1".into() };
    let mut machine = Machine::start(&keeping(3), &naming(&keeping(0)), Stage::None, &view);
    machine.report(Err(Failure::Other));
    assert_eq!(machine.next(), Action::Done(Outcome::Held(Failure::Other)));
}

#[test]
fn an_archive_that_has_vanished_is_a_free_number() {
    let (mut disk, mut driver) = full_log(&["app.log.1", "app.log.2"], keeping(2));
    let fate = Fate::fails_at(1, Fault::Instead(Failure::NotFound));
    assert_eq!(driver.rotate(&mut disk, fate), Ok(Outcome::Rotated));
    assert!(disk.dropped.is_empty(), "a gap needs no archive to fall off");
    assert_rotates_on(&mut disk, &mut driver, keeping(2));
}

#[test]
fn number_1_is_not_put_back_if_it_is_not_the_journalled_file() {
    let view = View { names: vec!["app.log.1".into()], at: At::Missing, archive: "app.log.1".into() };
    let mut missing = Machine::start(&keeping(3), &naming(&keeping(0)), Stage::Rotate, &view);
    missing.report(Ok(()));
    let view = View { names: vec![], at: At::Same, archive: "app.log.1".into() };
    let mut vanished = Machine::start(&keeping(3), &naming(&keeping(0)), Stage::Rotate, &view);
    vanished.report(Ok(()));
    vanished.report(Err(Failure::NotFound));
    for mut machine in [missing, vanished] {
        assert_eq!(machine.next(), Action::Create);
        machine.report(Err(Failure::Other));
        assert_eq!(machine.next(), Action::Done(Outcome::Held(Failure::Other)));
    }
}

#[test]
fn a_record_half_written_to_a_file_that_looked_kept_is_cut() {
    let (mut disk, mut driver) = full_log(&[], keeping(3));
    let fate = Fate::fails_at(1, Fault::After(Failure::Other));
    assert_eq!(driver.rotate(&mut disk, fate), Ok(Outcome::Kept(Failure::Other)));
    disk.add(LOG, vec![]);
    assert_eq!(driver.log(&mut disk, 5, true), Err(Killed));
    let mut driver = take_over(&mut disk, keeping(3));
    assert_rotates_on(&mut disk, &mut driver, keeping(3));
}

#[test]
fn a_stage_that_a_new_policy_does_not_want_is_given_up() {
    let view = View { names: vec![], at: At::Same, archive: "app.log.1".into() };
    for (stage, backups) in [(Stage::Truncate, 3), (Stage::Rotate, 0)] {
        let mut machine = Machine::start(&keeping(backups), &naming(&keeping(0)), stage, &view);
        machine.report(Ok(()));
        assert_eq!(machine.next(), Action::Abandon);
        machine.report(Ok(()));
        assert_eq!(machine.next(), Action::Done(Outcome::Unchanged));
    }
}

#[test]
fn a_report_behind_the_end_is_ignored() {
    let view = View { names: vec![], at: At::Same, archive: "app.log.1".into() };
    let mut machine = Machine::start(&keeping(1), &naming(&keeping(0)), Stage::None, &view);
    for result in [Ok(()), Err(Failure::Other)] {
        machine.report(result);
        assert_eq!(machine.next(), Action::Done(Outcome::Unchanged));
    }
}

#[test]
fn stages_survive_the_journal_and_other_words_are_refused() {
    for stage in [Stage::None, Stage::Rotate, Stage::Truncate] {
        assert_eq!(Stage::try_from(u64::from(stage)), Ok(stage));
    }
    for word in [3, 256, u64::MAX] {
        assert_eq!(Stage::try_from(word), Err(super::machine::UnknownStage(word)));
    }
}
