//! Random histories: records, rotations, kills, failures, other hands in the directory, and new
//! configurations, in any order; what must hold is checked after every event.
use super::model::{AT_ONCE, Disk, Driver, Fate, Fault, Killed, LOG, with_templates};
use super::tests::{DIRECTORIES, FAILURES, assert_logs_on, assert_whole, take_over};
use super::{Policy, Scheme, SizeRule};
use proptest::prelude::*;

/// What happens next in a random history.
#[derive(Clone, Debug)]
enum Event {
    Log {
        len: u64,
        kill: bool,
    },
    Rotate {
        kill_at: Option<usize>,
        fault: Option<(usize, Fault)>,
    },
    TakeOver {
        kill_at: Option<usize>,
        fault: Option<(usize, Fault)>,
    },
    Shift {
        moves: usize,
        kill_at: Option<usize>,
        fault: Option<(usize, Fault)>,
    },
    Lose(String),
    /// Someone else puts an empty file at a name that is free.
    Appear(String),
    Configure {
        backups: u32,
    },
    Wait {
        ms: u64,
    },
}

fn any_fault() -> impl Strategy<Value = Option<(usize, Fault)>> {
    let failure = prop::sample::select(&FAILURES[..]);
    let fault = prop_oneof![failure.clone().prop_map(Fault::Instead), failure.prop_map(Fault::After)];
    prop::option::of((0..8usize, fault))
}

fn any_name() -> impl Strategy<Value = String> {
    let ending = prop::sample::select(
        &["", ".1", ".1.gz", ".2", ".2.gz", ".3", ".newest", ".bak", ".02", ".2026-05-01", ".2026-05-01.1"][..],
    );
    ending.prop_map(|ending| format!("{LOG}{ending}"))
}

fn any_event() -> impl Strategy<Value = Event> {
    let fate = || (prop::option::of(0..8usize), any_fault());
    prop_oneof![
        12 => (1..15u64, prop::bool::weighted(0.1)).prop_map(|(len, kill)| Event::Log { len, kill }),
        4 => fate().prop_map(|(kill_at, fault)| Event::Rotate { kill_at, fault }),
        2 => fate().prop_map(|(kill_at, fault)| Event::TakeOver { kill_at, fault }),
        2 => (0..5usize, fate()).prop_map(|(moves, (kill_at, fault))| Event::Shift { moves, kill_at, fault }),
        1 => any_name().prop_map(Event::Lose),
        1 => any_name().prop_map(Event::Appear),
        1 => (0..5u32).prop_map(|backups| Event::Configure { backups }),
        3 => (0..40_000u64).prop_map(|ms| Event::Wait { ms }),
    ]
}

/// The driver after the event; `None` if it was killed.
fn happen(disk: &mut Disk, driver: Driver, policy: &mut Policy, event: &Event) -> Option<Driver> {
    let mut driver = driver;
    match event.clone() {
        Event::Log { len, kill } => driver.log(disk, len, kill).ok().map(|_| driver),
        Event::Rotate { kill_at, fault } => {
            let due = driver.backoff.is_due(driver.now_ms);
            let fate = Fate { kill_at, fault };
            if due && driver.rotate(disk, fate) == Err(Killed) { None } else { Some(driver) }
        }
        Event::TakeOver { kill_at, fault } => Driver::take_over(disk, *policy, Fate { kill_at, fault }).ok(),
        Event::Shift { moves, kill_at, fault } => {
            let fate = Fate { kill_at, fault };
            let killed = disk.journal_is_at_rest() && driver.shift(disk, moves, fate) == Err(Killed);
            if killed { None } else { Some(driver) }
        }
        Event::Lose(name) => {
            disk.lose(&name);
            Some(driver)
        }
        Event::Appear(name) => {
            if !disk.dir.contains_key(&name) {
                disk.add(&name, vec![]);
            }
            Some(driver)
        }
        Event::Configure { backups } => {
            policy.backups = backups;
            disk.reconfigured();
            None
        }
        Event::Wait { ms } => {
            driver.now_ms += ms;
            Some(driver)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn no_history_loses_doubles_or_disorders_a_record(
        start in 0..DIRECTORIES.len(),
        max_bytes in 0..40u64,
        backups in 0..5u32,
        strict: bool,
        dated: bool,
        templates: bool,
        at_once in prop::sample::select(&[0, 1, 2, u32::MAX][..]),
        events in prop::collection::vec(any_event(), 1..60),
    ) {
        let rule = if strict { SizeRule::Strict } else { SizeRule::CheckBefore };
        let mut policy = Policy { max_bytes, backups, rule, names: if dated { Scheme::Dated } else { Scheme::Numbered }, direct: false };
        with_templates(templates);
        AT_ONCE.set(at_once);
        let mut disk = Disk::with(DIRECTORIES[start]);
        let mut driver = take_over(&mut disk, policy);
        for event in &events {
            driver = match happen(&mut disk, driver, &mut policy, event) {
                Some(driver) => driver,
                None => take_over(&mut disk, policy),
            };
            assert_whole(&disk);
        }
        assert_logs_on(&mut disk, &mut driver);
    }
}
