//! One case for each finding: the facts of a healthy log, one of them changed.

use super::examine;
use crate::doctor::facts::{Directory, Facts, File, FileSystem, Process, Seen, Trust};
use crate::doctor::finding::{Finding, Severity};
use crlog::{FlusherInfo, ProducerInfo, Stats};
use std::time::Duration;

const FLUSHER: u64 = 10;
const PRODUCER: u64 = 20;

fn local(bytes_free: u64) -> FileSystem {
    FileSystem {
        name: "ext".into(),
        trust: Trust::Local,
        bytes: 1 << 40,
        bytes_free,
        names: 1 << 20,
        names_free: 1 << 19,
    }
}

fn producer() -> ProducerInfo {
    let mut p = ProducerInfo::default();
    (p.slot, p.pid, p.start, p.name, p.alive) = (3, PRODUCER, 200, "app".into(), true);
    (p.records, p.bytes) = (100, 1000);
    p
}

fn stats() -> Stats {
    let mut flusher = FlusherInfo::default();
    (flusher.pid, flusher.start, flusher.sidecar, flusher.epoch) = (FLUSHER, 100, true, 1);
    let mut s = Stats::default();
    s.path = "/var/log/app.log".into();
    (s.ring_bytes, s.chunks, s.record_bytes_max) = (8 << 20, 512, 2 << 20);
    (s.max_bytes, s.backups, s.file_bytes) = (10_000_000, 2, 5000);
    s.files = vec![("app.log".into(), 5000), ("app.log.1".into(), 9_999_999)];
    (s.flusher, s.producers) = (Some(flusher), vec![producer()]);
    s
}

fn healthy() -> Facts {
    let process = |start| Process { state: 'S', start, files: Some((20, 1024)) };
    Facts {
        path: "/var/log/app.log".into(),
        uid: 1000,
        directory: Some(Directory { path: "/var/log".into(), writable: true, system: local(1 << 39) }),
        file: Some(File { odd: None, uid: 1000, mode: 0o640, writable: true }),
        written: true,
        named: true,
        segment: "/dev/shm/crlog-0123456789abcdef".into(),
        memory: Some(local(1 << 30)),
        locks: Some(local(1 << 30)),
        seen: Seen::Twice(Box::new([stats(), stats()]), Duration::from_millis(300)),
        processes: [(FLUSHER, process(100)), (PRODUCER, process(200))].into(),
        ..Facts::default()
    }
}

/// Changes both looks.
fn both(f: &mut Facts, change: impl Fn(&mut Stats)) {
    if let Seen::Twice(looks, _) = &mut f.seen {
        looks.iter_mut().for_each(change);
    }
}

fn last(f: &mut Facts) -> &mut Stats {
    match &mut f.seen {
        Seen::Twice(looks, _) => &mut looks[1],
        _ => panic!("no looks"),
    }
}

fn directory(f: &mut Facts) -> &mut Directory {
    f.directory.as_mut().unwrap()
}

fn state(f: &mut Facts, pid: u64, state: char) {
    f.processes.get_mut(&pid).unwrap().state = state;
}

/// Nobody has it open, nothing is there.
fn closed(f: &mut Facts) {
    (f.seen, f.written) = (Seen::Nothing, false);
}

/// Everybody was killed.
fn killed(f: &mut Facts, lag: u64) {
    f.written = false;
    both(f, |s| {
        (s.flusher, s.lag_records) = (None, lag);
        s.producers.iter_mut().for_each(|p| p.alive = false);
    });
}

type Change = fn(&mut Facts);

use Severity::{Note, Problem, Warning};

const PLACE: &[(&str, Severity, &str, Change)] = &[
    ("directory", Problem, "does not exist", |f| {
        closed(f);
        f.directory = None;
    }),
    ("directory", Problem, "user 1000 may not write", |f| directory(f).writable = false),
    ("disk-full", Problem, "0 B free", |f| directory(f).system.bytes_free = 0),
    ("disk-low", Warning, "10.0 MB free", |f| directory(f).system.bytes_free = 10_000_000),
    ("inodes", Problem, "has 0 names", |f| directory(f).system.names_free = 0),
    ("inodes", Warning, "has 3 names", |f| directory(f).system.names_free = 3),
    ("network", Problem, "/var/log is on NFS", |f| {
        (directory(f).system.trust, directory(f).system.name) = (Trust::Remote, "NFS".into());
    }),
    ("layer", Note, "ends with the container", |f| directory(f).system.trust = Trust::Layer),
    ("file", Problem, "is a pipe", |f| f.file.as_mut().unwrap().odd = Some("a pipe")),
    ("file", Problem, "owner 1000, mode 0640", |f| f.file.as_mut().unwrap().writable = false),
    ("file-mode", Warning, "anybody may write", |f| f.file.as_mut().unwrap().mode = 0o666),
    ("file-owner", Note, "belongs to user 7", |f| f.file.as_mut().unwrap().uid = 7),
    ("link", Note, "the log is /data/app.log", |f| f.link = Some("/data/app.log".into())),
];

const MEMORY: &[(&str, Severity, &str, Change)] = &[
    ("shm-missing", Problem, "/dev/shm is missing", |f| {
        closed(f);
        f.memory = None;
    }),
    ("shm-missing", Problem, "the directory of /ring/app", |f| {
        closed(f);
        (f.memory, f.named, f.segment) = (None, false, "/ring/app".into());
    }),
    ("shm-small", Warning, "1.0 MB free", |f| {
        closed(f);
        f.memory.as_mut().unwrap().bytes_free = 1_000_000;
    }),
    ("network", Problem, "/dev/shm/crlog-", |f| f.memory.as_mut().unwrap().trust = Trust::Remote),
    ("network", Problem, "the lock file is on", |f| f.locks.as_mut().unwrap().trust = Trust::Remote),
    ("segment", Problem, "layout version 99", |f| f.seen = Seen::Refused("it has layout version 99".into())),
    ("removed", Problem, "process 4, 5 uses", |f| f.nameless = vec![4, 5]),
    ("removed", Problem, "some process uses", |f| both(f, |s| s.removed = true)),
    ("remove-ipc", Warning, "user 1000", |f| f.removes_ipc = true),
    ("not-open", Note, "no process has the log open", closed),
    ("two-segments", Problem, "does not belong to /dev/shm", |f| f.seen = Seen::Nothing),
];

const FLUSHING: &[(&str, Severity, &str, Change)] = &[
    ("two-segments", Problem, "is being written by a flusher", |f| both(f, |s| s.flusher = None)),
    ("left-over", Problem, "7 records of killed", |f| killed(f, 7)),
    ("left-over", Note, "nothing waits in it", |f| killed(f, 0)),
    ("no-flusher", Warning, "7 records in memory", |f| {
        f.written = false;
        both(f, |s| (s.flusher, s.lag_records) = (None, 7));
    }),
    ("flusher-stopped", Problem, "process 10, which writes the file, is stopped; 7 records", |f| {
        state(f, FLUSHER, 'T');
        both(f, |s| s.lag_records = 7);
    }),
    ("flusher-waits", Warning, "waits for the disk; none of 7 records", |f| {
        state(f, FLUSHER, 'D');
        both(f, |s| s.lag_records = 7);
    }),
    ("stands-still", Warning, "none of 7 records was written in 300.0 ms", |f| {
        both(f, |s| s.lag_records = 7);
    }),
    ("flusher-unseen", Note, "process 10", |f| f.processes.get_mut(&FLUSHER).unwrap().start = 5),
    ("error", Problem, "No space left on device", |f| both(f, |s| s.error = Some(28))),
    ("error", Problem, "failed: cannot rename: no tape", |f| {
        both(f, |s| (s.error, s.error_text) = (Some(5), Some("cannot rename: no tape".into())));
    }),
    ("take-overs", Warning, "changed 3 times", |f| last(f).counters.takeovers = 3),
    ("ring-full", Warning, "500 of 512 chunks", |f| both(f, |s| s.chunks_in_use = 500)),
    ("ring-small", Note, "the ring holds 251.7", |f| last(f).counters.bytes = 10_000_000),
];

const PRODUCERS: &[(&str, Severity, &str, Change)] = &[
    ("dead", Note, "process 20 (app) died", |f| both(f, |s| s.producers[0].alive = false)),
    ("producer-stopped", Note, "process 20 (app) is stopped;", |f| state(f, PRODUCER, 'T')),
    ("producer-stopped", Warning, "in the middle of 2 records", |f| {
        state(f, PRODUCER, 'T');
        both(f, |s| s.producers[0].inside = 2);
    }),
    ("producer-stuck", Warning, "process 20 (app) is in the middle of 1 record", |f| {
        both(f, |s| s.producers[0].inside = 1);
        last(f).counters.records = 1;
    }),
    ("open-files", Warning, "1020 of at most 1024", |f| {
        f.processes.get_mut(&PRODUCER).unwrap().files = Some((1020, 1024));
    }),
];

const FILES: &[(&str, Severity, &str, Change)] = &[
    ("too-large", Warning, "20.0 MB, more than its limit of 10.0 MB", |f| {
        both(f, |s| (s.files[0].1, s.file_bytes) = (20_000_000, 20_000_000));
    }),
    ("truncated", Warning, "shorter than what was written", |f| both(f, |s| s.files[0].1 = 10)),
    ("archives", Note, "app.log.3 is an archive beyond the 2", |f| {
        both(f, |s| s.files.push(("app.log.3".into(), 1)));
    }),
    ("archives", Note, "2 archives (app.log.3 to app.log.9)", |f| {
        both(f, |s| s.files.extend([("app.log.3".into(), 1), ("app.log.9".into(), 1)]));
    }),
    ("room", Warning, "may still grow by 825 GB", |f| both(f, |s| s.max_bytes = 1 << 38)),
];

const COUNTERS: &[(&str, Severity, &str, Change)] = &[
    (
        "drops",
        Warning,
        "5 records were refused because the ring was full (3 debug, 2 info); 1 of them just",
        |f| {
            both(f, |s| s.drops = [0, 3, 2, 0, 0, 0]);
            if let Seen::Twice(looks, _) = &mut f.seen {
                looks[0].drops[1] = 2;
            }
        },
    ),
    ("too-long", Warning, "4 of process 20 (app)", |f| both(f, |s| s.producers[0].too_long = 4)),
    ("damage", Warning, "3 records and 1 chunk", |f| {
        both(f, |s| (s.counters.lost_corrupt, s.counters.corrupt_chunks) = (3, 1));
    }),
    ("deaths", Note, "2 processes ended without leaving; 1 record", |f| {
        both(f, |s| (s.counters.reaped, s.counters.lost_unfinished) = (2, 1));
    }),
    ("past-errors", Note, "failed 6 times", |f| both(f, |s| s.counters.io_errors = 6)),
    ("surprises", Note, "8 times", |f| both(f, |s| s.counters.file_surprises = 8)),
    ("revoked", Note, "9 idle leases", |f| last(f).counters.revoked = 9),
    ("blocked", Note, "has waited 3.0 s", |f| both(f, |s| s.producers[0].blocked = Duration::from_secs(3))),
];

fn found(change: Change) -> Vec<Finding> {
    let mut facts = healthy();
    change(&mut facts);
    examine(&facts)
}

#[test]
fn all_is_well_with_a_healthy_log_and_everything_that_was_checked_is_named() {
    let found = examine(&healthy());
    assert!(found.iter().all(|f| f.severity == Severity::Ok && f.advice.is_empty()), "{found:#?}");
    let ids: Vec<_> = found.iter().map(|f| f.id).collect();
    assert_eq!(ids, ["directory", "file", "segment", "flusher", "producers", "losses"]);
}

#[test]
fn each_thing_is_found_and_said_with_what_to_do() {
    for table in [PLACE, MEMORY, FLUSHING, PRODUCERS, FILES, COUNTERS] {
        for (id, severity, says, change) in table {
            let found = found(*change);
            let one = found.iter().find(|f| f.id == *id && f.what.contains(says));
            let one = one.unwrap_or_else(|| panic!("{id}, {says:?} not in {found:#?}"));
            assert_eq!(one.severity, *severity, "{one:?}");
            let must_act = *severity >= Warning;
            assert!(!must_act || !one.advice.is_empty(), "nothing to do? {one:?}");
            assert!(!one.what.contains('\n') && !one.advice.contains('\n'), "more than a line: {one:?}");
        }
    }
}

#[test]
fn one_cause_is_told_once() {
    for table in [PLACE, MEMORY, FLUSHING, PRODUCERS, FILES, COUNTERS] {
        for (id, severity, says, change) in table {
            let found = found(*change);
            let others = found.iter().filter(|f| f.severity >= Warning && f.id != *id);
            let others: Vec<_> = others.map(|f| f.id).collect();
            // A full disk has no room for archives either.
            let explained = if id.starts_with("disk-") { vec!["room"] } else { vec![] };
            assert_eq!(others, explained, "beside {id} ({severity:?}, {says})");
        }
    }
}

#[test]
fn the_worst_comes_first() {
    let mut facts = healthy();
    both(&mut facts, |s| (s.error, s.counters.file_surprises) = (Some(28), 1));
    last(&mut facts).drops[0] = 1;
    let found = examine(&facts);
    let severities: Vec<_> = found.iter().map(|f| f.severity).collect();
    assert!(severities.is_sorted_by(|a, b| a >= b), "{severities:?}");
    assert_eq!(found.iter().take(3).map(|f| f.id).collect::<Vec<_>>(), ["error", "drops", "surprises"]);
}

#[test]
fn what_refuses_the_log_anyway_is_not_told_twice() {
    let mut facts = healthy();
    directory(&mut facts).writable = false;
    facts.seen = Seen::Refused("user 1000 may not write to its directory".into());
    let ids: Vec<_> = examine(&facts).iter().filter(|f| f.severity == Problem).map(|f| f.id).collect();
    assert_eq!(ids, ["directory"]);
}

#[test]
fn a_full_ring_behind_a_stopped_flusher_is_not_told_beside_it() {
    let mut facts = healthy();
    state(&mut facts, FLUSHER, 'T');
    both(&mut facts, |s| (s.lag_records, s.chunks_in_use) = (1000, 512));
    let ids: Vec<_> = examine(&facts).iter().filter(|f| f.severity >= Warning).map(|f| f.id).collect();
    assert_eq!(ids, ["flusher-stopped"]);
}

#[test]
fn a_log_that_gets_on_is_not_said_to_stand_still() {
    let mut facts = healthy();
    both(&mut facts, |s| s.lag_records = 1000);
    last(&mut facts).counters.records = 1;
    assert!(examine(&facts).iter().all(|f| f.severity == Severity::Ok), "{:?}", examine(&facts));
}

#[test]
fn every_finding_stands_in_the_manual() {
    let manual = include_str!("../../../../docs/operating.md");
    for (id, ..) in [PLACE, MEMORY, FLUSHING, PRODUCERS, FILES, COUNTERS].into_iter().flatten() {
        assert!(manual.contains(&format!("| `{id}` |")), "{id} is not in docs/operating.md");
    }
}
