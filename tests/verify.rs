//! Completeness is proved by the index, and whatever is done to a log is found.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

use common::{LOG, NAME, Place, ROLE, Role, Small, until};
use crlog::{Finding, Options, Reason, Verdict, WhenFull};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

fn indexed(options: Options) -> Options {
    options.index(true).max_bytes(40_000).backups(1000)
}

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let options = indexed(Options::new(std::env::var(LOG).unwrap()));
    let name = std::env::var(NAME).unwrap();
    match role.as_str() {
        "write 3000" => write(options, &name, 3000),
        "write for ever" => write(options, &name, u64::MAX),
        "keep three for ever" => write(options.max_bytes(20_000).backups(3), &name, u64::MAX),
        "keep five" => write(options.backups(5), &name, 3000),
        "sidecar" => options.sidecar().unwrap().run(&crlog::Control::default()).unwrap(),
        "drop" => {
            let log = options.ring_bytes(crlog::RING_BYTES_MIN).flusher_thread(false).open().unwrap();
            let mut w = log.writer().unwrap();
            w.set_when_full(Some(WhenFull::Drop));
            for i in 0..40_000u64 {
                let _ = w.append(format!("{name} {i}").as_bytes());
            }
        }
        other => panic!("no such role: {other}"),
    }
}

fn write(options: Options, name: &str, n: u64) {
    let log = options.open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 0..n {
        w.append(format!("{name} {i} {}", "x".repeat((i % 50) as usize)).as_bytes()).unwrap();
        if n == u64::MAX && i % 64 == 0 {
            std::thread::sleep(Duration::from_micros(500));
        }
    }
}

fn verify(place: &Place) -> Verdict {
    place.options().verify().unwrap()
}

/// Three processes at once, many files; all have ended. One segment: it is held open until all have had it,
/// though one of them may end before another begins.
fn written() -> Place {
    let place = Place::new();
    let held = indexed(place.options()).flusher_thread(false).open().unwrap();
    let mut all: Vec<_> = (0..3).map(|i| place.child("write 3000", &format!("p{i}"))).collect();
    assert!(all.iter_mut().all(Role::wait));
    drop(held);
    place
}

fn archive(place: &Place, number: u32) -> PathBuf {
    place.path().join(format!("app.log.{number}"))
}

fn index_files(place: &Place) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(place.path().join(".app.log.crlog")).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "idx"));
    files.sort();
    files
}

fn change(path: &Path, how: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    how(&mut bytes);
    // In place: the file keeps its identity.
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_clean_run_of_several_processes_with_rotations_is_complete() {
    let place = written();
    let v = verify(&place);
    assert_eq!(v.findings, []);
    assert_eq!((v.records, v.writers, v.processes, v.before), (9000, 3, 3, 0));
    assert!(
        v.files.len() > 5 && v.files.iter().all(|f| f.covered == f.bytes && f.records > 0),
        "{:?}",
        v.files
    );
    assert_eq!(index_files(&place).len(), v.files.len());
}

#[test]
fn a_second_segment_after_the_first_is_covered_too() {
    let place = written();
    for _ in 0..2 {
        assert!(place.child("write 3000", "again").wait());
    }
    let v = verify(&place);
    assert_eq!((v.findings, v.records, v.writers), (vec![], 15_000, 5));
}

#[test]
fn a_deleted_archive_is_named_with_what_was_in_it() {
    let place = written();
    let whole = verify(&place);
    let lost = whole.files.iter().find(|f| f.name == "app.log.2").unwrap().records;
    std::fs::remove_file(archive(&place, 2)).unwrap();
    let v = verify(&place);
    let [Finding::FileGone { age: 2, spans }] = &v.findings[..] else { panic!("{:?}", v.findings) };
    assert_eq!(spans.iter().map(crlog::Span::records).sum::<u64>(), lost);
    assert_eq!(v.records, 9000 - lost);
}

#[test]
fn a_changed_byte_a_removed_line_and_a_cut_end_are_found_in_their_file() {
    let remove_line = |bytes: &mut Vec<u8>| {
        let at = bytes.len() / 2;
        let from = bytes[at..].iter().position(|b| *b == b'\n').unwrap() + at + 1;
        let to = bytes[from..].iter().position(|b| *b == b'\n').unwrap() + from + 1;
        bytes.drain(from..to);
    };
    let flip = |bytes: &mut Vec<u8>| bytes[20_000] ^= 1;
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 1);
    type How<'a> = &'a dyn Fn(&mut Vec<u8>);
    let mutations: [(&str, How); 3] = [("byte", &flip), ("line", &remove_line), ("end", &cut)];
    let place = written();
    for (what, how) in mutations {
        let path = archive(&place, 3);
        let old = std::fs::read(&path).unwrap();
        change(&path, how);
        let v = verify(&place);
        let [Finding::Changed { file, from, to, spans }] = &v.findings[..] else {
            panic!("{what}: {:?}", v.findings)
        };
        assert_eq!(file, "app.log.3", "{what}");
        assert!(from < to && *to <= old.len() as u64 && !spans.is_empty(), "{what}: {from} {to}");
        if what == "byte" {
            assert!((*from..*to).contains(&20_000), "{from} {to}");
        }
        std::fs::write(&path, old).unwrap();
    }
    assert_eq!(verify(&place).findings, [], "as it was");
}

#[test]
fn a_line_added_by_somebody_is_not_taken_for_one_of_ours() {
    let place = written();
    change(&archive(&place, 1), |bytes| bytes.extend(b"forged\n"));
    let v = verify(&place);
    assert!(
        matches!(&v.findings[..], [Finding::Uncovered { file, .. }] if file == "app.log.1"),
        "{:?}",
        v.findings
    );
}

#[test]
fn a_removed_or_damaged_index_file_is_told_and_so_is_what_is_not_known() {
    let place = written();
    let all = index_files(&place);
    let old = std::fs::read(&all[2]).unwrap();
    for at in [20, 130, old.len() - 1] {
        change(&all[2], |bytes| bytes[at] ^= 1);
        let v = verify(&place);
        assert!(
            v.findings.iter().any(|f| matches!(f, Finding::IndexDamaged { serial: 3, .. })),
            "{:?}",
            v.findings
        );
        std::fs::write(&all[2], &old).unwrap();
    }
    assert_eq!(verify(&place).findings, []);
    std::fs::remove_file(&all[2]).unwrap();
    let v = verify(&place);
    assert!(v.findings.contains(&Finding::IndexGone { first: 3, last: 3 }), "{:?}", v.findings);
    let unknown = |f: &Finding| matches!(f, Finding::Missing { reason: Reason::IndexLost, .. });
    assert!(v.findings.iter().any(unknown), "{:?}", v.findings);
}

#[test]
fn retention_is_no_gap() {
    let place = Place::new();
    for i in 0..3 {
        assert!(place.child("keep five", &format!("p{i}")).wait());
    }
    let v = verify(&place);
    assert_eq!(v.findings, []);
    assert_eq!(v.files.len(), 6);
    assert!(v.records < 9000 && v.records > 1000, "{}", v.records);
    // One for each file, one for each restart, and one whose file has just gone.
    assert!(index_files(&place).len() <= 9, "{:?}", index_files(&place));
}

#[test]
fn a_log_that_is_being_written_is_not_reported_as_damaged() {
    let place = Place::new();
    let sidecar = place.child("sidecar", "");
    let writers: Vec<_> = (0..2).map(|i| place.child("write for ever", &format!("p{i}"))).collect();
    until(Duration::from_secs(30), "files appear", || archive(&place, 3).exists());
    for _ in 0..15 {
        let v = verify(&place);
        assert_eq!(v.findings, []);
        assert!(v.indexed && v.records > 0);
    }
    drop((writers, sidecar));
}

#[test]
fn verify_beside_a_rotating_chain_of_1000_is_bounded() {
    let place = Place::new();
    for number in 1..=1000 {
        std::fs::write(archive(&place, number), format!("from before {number}\n")).unwrap();
    }
    let sidecar = place.child("sidecar", "");
    let writers: Vec<_> = (0..2).map(|i| place.child("write for ever", &format!("p{i}"))).collect();
    let rotations = || place.options().attach().map_or(0, |log| log.stats().unwrap().counters.rotations);
    until(Duration::from_secs(30), "the chain is moved", || rotations() > 3);
    let before = rotations();
    for _ in 0..5 {
        let began = Instant::now();
        let v = verify(&place);
        assert_eq!(v.findings, []);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
    assert!(rotations() > before, "the chain was moved meanwhile");
    drop((writers, sidecar));
}

/// An archive is removed a few milliseconds after it was the log, and its inode is soon another file's.
#[test]
fn verify_beside_quick_retention_finds_no_gap() {
    let place = Place::new();
    let role = |i| place.child("keep three for ever", &format!("p{i}"));
    let writers: Vec<_> = (0..3).map(role).collect();
    until(Duration::from_secs(30), "files appear", || archive(&place, 3).exists());
    let rotations = || place.options().attach().map_or(0, |log| log.stats().unwrap().counters.rotations);
    let before = rotations();
    for _ in 0..40 {
        assert_eq!(verify(&place).findings, []);
    }
    assert!(rotations() > before + 3, "files were removed meanwhile");
    drop(writers);
}

#[test]
fn verify_without_time_for_a_view_says_so() {
    let place = Place::new();
    let sidecar = place.child("sidecar", "");
    let writers: Vec<_> = (0..2).map(|i| place.child("write for ever", &format!("p{i}"))).collect();
    until(Duration::from_secs(30), "files appear", || archive(&place, 3).exists());
    // Of an archive that is gone nothing is known within no time: the first round cannot prove it.
    std::fs::remove_file(archive(&place, 3)).unwrap();
    let limit = Duration::ZERO;
    let v = place.options().verify_within(limit).unwrap();
    assert_eq!(v.findings, [Finding::Unsettled { limit }]);
    let v = verify(&place);
    assert!(matches!(v.findings[..], [Finding::FileGone { .. }]), "{:?}", v.findings);
    drop((writers, sidecar));
}

#[test]
fn what_waits_in_the_ring_is_no_gap() {
    let place = Place::new();
    let log = indexed(place.options()).flusher_thread(false).open().unwrap();
    let mut w = log.writer().unwrap();
    w.append(b"in the file").unwrap();
    log.flush(Duration::from_secs(20)).unwrap();
    for _ in 0..5 {
        w.append(b"in the ring").unwrap();
    }
    let v = verify(&place);
    assert_eq!((&v.findings[..], v.records, v.ring_seen), (&[][..], 1, true));
    assert_eq!(v.waiting.iter().map(|s| (s.first, s.last)).collect::<Vec<_>>(), [(1, 5)]);
}

#[test]
fn drops_are_named_with_process_and_number() {
    let place = Place::new();
    let mut dropper = place.child("drop", "d");
    let pid = u64::try_from(dropper.pid()).unwrap();
    assert!(dropper.wait());
    let v = verify(&place);
    let [Finding::Dropped { pid: who, records, .. }] = &v.findings[..] else { panic!("{:?}", v.findings) };
    assert_eq!(*who, pid);
    assert_eq!(v.records + records.iter().sum::<u64>(), 40_000);
    assert!(records[2] > 0, "{records:?}");
}

#[test]
fn kills_of_everybody_in_the_middle_of_everything_leave_no_gap() {
    let place = Place::new();
    let mut roles: Vec<Role> = Vec::new();
    let mut kills = 0;
    for round in 0..24 {
        let role = if round % 4 == 0 { "sidecar" } else { "write for ever" };
        roles.push(place.child(role, &format!("p{round}")));
        std::thread::sleep(Duration::from_millis(15 + round * 7 % 40));
        if roles.len() > 3 {
            roles.remove(usize::try_from(round).unwrap() % 3).kill();
            kills += 1;
        }
        if round % 8 == 7 {
            assert_eq!(verify(&place).findings, [], "round {round}");
        }
    }
    roles.iter_mut().for_each(Role::kill);
    let v = verify(&place);
    assert_eq!(v.findings, [], "all are dead, the segment is there");
    let log = indexed(place.options()).open().unwrap();
    log.flush(Duration::from_secs(20)).unwrap();
    drop(log);
    let v = verify(&place);
    assert_eq!((&v.findings[..], v.segment), (&[][..], None));
    let lines = place.lines_now().iter().filter(|l| l.starts_with('p')).count() as u64;
    assert_eq!(v.records, lines);
    assert!(kills > 15 && v.records > 1000, "{kills} {}", v.records);
}

#[test]
fn a_segment_that_vanished_with_records_in_it_is_told() {
    let place = Place::new();
    let mut writer = place.child("write for ever", "p");
    until(Duration::from_secs(30), "an index", || {
        place.path().join(".app.log.crlog/0000000001.idx").exists()
    });
    until(Duration::from_secs(30), "records", || archive(&place, 1).exists());
    writer.kill();
    let id = crlog::names::segment_id(&crlog::names::canonical(&place.log()).unwrap());
    for end in ["", ".lock"] {
        std::fs::remove_file(format!("/dev/shm/{id}{end}")).unwrap();
    }
    let v = verify(&place);
    assert!(v.findings.iter().any(|f| matches!(f, Finding::SegmentLost { .. })), "{:?}", v.findings);
}

#[test]
fn a_segment_removed_under_its_users_and_its_successor_are_one_complete_log() {
    let place = Place::new();
    let mut sidecar = place.child("sidecar", "");
    let id = crlog::names::segment_id(&crlog::names::canonical(&place.log()).unwrap());
    let segment = PathBuf::from(format!("/dev/shm/{id}"));
    let log = indexed(place.options()).open().unwrap();
    let mut w = log.writer().unwrap();
    let mut written = 0;
    let mut write = |n: u64| {
        for _ in 0..n {
            w.append(format!("p {written}").as_bytes()).unwrap();
            written += 1;
        }
        log.flush(Duration::from_secs(20)).unwrap();
    };
    for _ in 0..3 {
        write(500);
        std::fs::remove_file(&segment).unwrap();
        until(Duration::from_secs(30), "a successor is there", || {
            write(50);
            segment.exists()
        });
        write(500);
        assert_eq!(verify(&place).findings, []);
    }
    drop((w, log));
    sidecar.kill();
    drop(place.options().open().unwrap());
    let v = verify(&place);
    assert_eq!((&v.findings[..], v.records, v.segment), (&[][..], written, None));
    assert!(v.writers > 1, "{}", v.writers);
}

#[test]
fn an_index_that_cannot_be_written_does_not_stop_the_log_and_is_told() {
    let place = Place::new();
    let dir = place.path().join(".app.log.crlog");
    std::fs::write(&dir, "in the way").unwrap();
    let log = indexed(place.options()).open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 0..100 {
        w.append(format!("one {i}").as_bytes()).unwrap();
    }
    log.flush(Duration::from_secs(20)).unwrap();
    assert_eq!(place.lines_now().len(), 100);
    assert!(log.stats().unwrap().counters.index_errors > 0);
    std::fs::remove_file(&dir).unwrap();
    let mut i = 0;
    until(Duration::from_secs(30), "the index goes on", || {
        w.append(format!("two {i}").as_bytes()).unwrap();
        log.flush(Duration::from_secs(20)).unwrap();
        i += 1;
        // The directory alone may be the manifest's.
        dir.join("0000000001.idx").exists()
    });
    drop((w, log));
    let v = verify(&place);
    assert!(matches!(&v.findings[..], [Finding::Interrupted { to: Some(_), .. }]), "{:?}", v.findings);
    assert_eq!(place.lines_now().len(), 100 + i);
}

#[test]
fn an_index_without_room_is_interrupted_from_there_and_goes_on_when_there_is_room() {
    let place = Place::new();
    let Some(small) = Small::mount(place.path().join(".app.log.crlog"), 16) else { return };
    let log = place.options().index(true).open().unwrap();
    let mut w = log.writer().unwrap();
    let mut written = 0;
    let mut write = || {
        w.append(format!("p {written}").as_bytes()).unwrap();
        log.flush(Duration::from_secs(20)).unwrap();
        written += 1;
    };
    until(Duration::from_secs(30), "the index has no room", || {
        write();
        log.stats().unwrap().counters.index_errors > 0
    });
    let v = verify(&place);
    let [Finding::Interrupted { from: Some((0, at)), to: None }] = v.findings[..] else {
        panic!("{:?}", v.findings)
    };
    let known = std::fs::read(place.log()).unwrap()[..usize::try_from(at).unwrap()].to_vec();
    assert_eq!(v.records, known.iter().filter(|b| **b == b'\n').count() as u64);
    let more = Command::new("mount").args(["-o", "remount,size=1m"]).arg(&small.0).status().unwrap();
    assert!(more.success());
    until(Duration::from_secs(30), "the index goes on", || {
        write();
        // Other files there may be the manifest's.
        small.0.join("0000000002.idx").exists()
    });
    write();
    let lines = place.lines_now();
    common::assert_complete(&common::by_name(&lines));
    assert_eq!(lines.len(), written);
    drop((w, log));
    let v = verify(&place);
    let [Finding::Interrupted { to: Some((0, _)), .. }, Finding::Missing { span, reason }] = &v.findings[..]
    else {
        panic!("{:?}", v.findings)
    };
    assert_eq!((*reason, v.records + span.records()), (Reason::Interrupted, written as u64));
}

#[test]
fn without_an_index_it_says_what_it_cannot_know_and_finds_what_it_can() {
    let place = Place::new();
    // Nobody flushes by itself, so nobody notices what is done to the file.
    let log = place.options().flusher_thread(false).open().unwrap();
    let mut w = log.writer().unwrap();
    for _ in 0..10 {
        w.append(b"a record").unwrap();
    }
    log.flush(Duration::from_secs(20)).unwrap();
    let v = verify(&place);
    assert_eq!((v.indexed, &v.findings[..]), (false, &[][..]));
    assert_eq!(v.segment.unwrap().records, 10);
    change(&place.log(), |bytes| bytes.truncate(50));
    assert!(matches!(verify(&place).findings[..], [Finding::Short { len: 50, committed: 90, .. }]));
    drop((w, log));
    assert_eq!(verify(&place).findings, [], "the last one out has ended the line");
    change(&place.log(), |bytes| bytes.truncate(47));
    assert!(matches!(verify(&place).findings[..], [Finding::Torn { .. }]));
}
