//! The machine where files have their names from the beginning: killed before every action, failing at every action.
use super::model::LOG;
use super::*;
use std::collections::BTreeSet;

const POLICY: Policy =
    Policy { max_bytes: 10, backups: 0, rule: SizeRule::Strict, names: Scheme::Dated, direct: true };

/// What survives a kill. Files are called by numbers.
#[derive(Clone, Debug)]
struct Disk {
    files: BTreeSet<u32>,
    given: u32,
    journal: (Stage, u32),
}

#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    kill_at: Option<usize>,
    fail_at: Option<(usize, Failure)>,
}

/// Runs it to its end; `None` if it was killed on the way.
fn run(disk: &mut Disk, stage: Stage, fate: Fate) -> Option<Outcome> {
    let here = disk.files.contains(&disk.journal.1);
    let at = if here { At::Same } else { At::Missing };
    let view = View { names: Vec::new(), at, archive: String::new() };
    let mut machine = Machine::start(&POLICY, &Naming::plain(LOG, Scheme::Dated), stage, &view);
    let mut open = here.then_some(disk.journal.1);
    let mut made = None;
    for count in 0..10 {
        let action = machine.next();
        if let Action::Done(outcome) = action {
            if !matches!(outcome, Outcome::Held(_)) {
                assert_eq!((disk.journal.0, open), (Stage::None, Some(disk.journal.1)), "{outcome:?}");
            }
            return Some(outcome);
        }
        if fate.kill_at == Some(count) {
            return None;
        }
        if let Some((_, failure)) = fate.fail_at.filter(|(at, _)| *at == count) {
            machine.report(Err(failure));
            continue;
        }
        match action {
            Action::Journal(stage) => disk.journal.0 = stage,
            Action::Create => {
                // What an attempt before this one has made and nobody knows of is taken.
                if disk.files.last() != Some(&disk.given) || disk.journal.1 == disk.given {
                    disk.given += 1;
                    assert!(disk.files.insert(disk.given), "{} was given before", disk.given);
                }
                made = Some(disk.given);
            }
            Action::Finish => {
                open = made.take().or(open);
                disk.journal = (Stage::None, open.unwrap_or_default());
            }
            Action::Abandon => disk.journal.0 = Stage::None,
            other => unreachable!("{other:?}: nothing is renamed, removed or truncated"),
        }
        machine.report(Ok(()));
    }
    unreachable!("the machine does not come to an end: {machine:?}");
}

fn disk() -> Disk {
    Disk { files: BTreeSet::from([1]), given: 1, journal: (Stage::None, 1) }
}

#[test]
fn a_rotation_makes_the_next_file_and_nothing_else() {
    let mut disk = disk();
    assert_eq!(run(&mut disk, POLICY.stage(), Fate::default()), Some(Outcome::Rotated));
    assert_eq!((disk.files, disk.journal), (BTreeSet::from([1, 2]), (Stage::None, 2)));
}

#[test]
fn killed_before_any_action_twice_there_is_one_new_file_or_none() {
    for first in 0..4 {
        for second in 0..4 {
            let mut disk = disk();
            let ended = run(&mut disk, POLICY.stage(), Fate { kill_at: Some(first), ..Fate::default() });
            if ended.is_none() {
                let stage = disk.journal.0;
                run(&mut disk, stage, Fate { kill_at: Some(second), ..Fate::default() });
            }
            let stage = disk.journal.0;
            let outcome = run(&mut disk, stage, Fate::default());
            assert!(matches!(outcome, Some(Outcome::Rotated | Outcome::Unchanged)), "{outcome:?}");
            let last = if first == 0 { 1 } else { 2 };
            assert_eq!(disk.journal, (Stage::None, last), "killed at {first} and {second}");
            assert_eq!(disk.files, (1..=last).collect());
        }
    }
}

#[test]
fn if_any_action_fails_the_old_file_goes_on_and_a_retry_rotates() {
    for at in 0..3 {
        for failure in [Failure::NotFound, Failure::Exists, Failure::Other] {
            let mut disk = disk();
            let outcome =
                run(&mut disk, POLICY.stage(), Fate { fail_at: Some((at, failure)), ..Fate::default() });
            // If the file could not be made, the journal says so, and records are written on.
            let expected = if at == 1 { Outcome::Kept(failure) } else { Outcome::Held(failure) };
            assert_eq!(outcome, Some(expected), "at {at}");
            let stage = if at == 1 { POLICY.stage() } else { disk.journal.0 };
            let again = run(&mut disk, stage, Fate::default());
            let expected = if at == 0 { Outcome::Unchanged } else { Outcome::Rotated };
            assert_eq!(again, Some(expected), "at {at}");
            assert_eq!(disk.files, if at == 0 { BTreeSet::from([1]) } else { BTreeSet::from([1, 2]) });
        }
    }
}

#[test]
fn a_file_that_has_gone_is_followed_by_a_new_one_in_any_stage() {
    for stage in [Stage::None, Stage::Rotate] {
        let mut disk = Disk { files: BTreeSet::new(), given: 1, journal: (stage, 1) };
        let outcome = run(&mut disk, stage, Fate::default());
        assert!(matches!(outcome, Some(Outcome::Reopened | Outcome::Rotated)), "{outcome:?}");
        assert_eq!((disk.files, disk.journal), (BTreeSet::from([2]), (Stage::None, 2)));
    }
}
