//! System calls that fail: EIO and others, wherever the flusher meets them. The flusher is a sidecar under
//! strace; this process only writes records.

use crate::common::until;
use crate::harness::{Disk, LONG, content, record, until_error, write};
use crlog::{Fsync, Options};
use std::time::Duration;

/// Writes `n` records past a sidecar whose calls fail as told, and looks at what came of them.
fn survives(options: impl FnOnce(Options) -> Options, n: u64, strace: &[&str], errors: u64) {
    let disk = Disk::plain();
    let log = options(disk.options()).flusher_thread(false).open().unwrap();
    let Some(sidecar) = disk.failing_sidecar(&log, strace) else { return };
    let mut w = log.writer().unwrap();
    let mut next = 0;
    until(LONG, "as many calls that fail", || {
        // In pieces, so that there are many batches.
        write(&mut w, next..next + 50);
        next += 50;
        let _ = log.flush(Duration::from_millis(5));
        next >= n && sidecar.count("(INJECTED)") as u64 >= errors
    });
    log.flush(LONG).unwrap();
    assert!(
        log.stats().unwrap().counters.io_errors >= errors,
        "{strace:?}: {:?}",
        log.stats().unwrap().counters
    );
    disk.assert_holds(next);
    drop((w, log));
    disk.assert_holds(next);
}

#[test]
fn a_write_that_fails_is_made_again() {
    for error in ["EIO", "EDQUOT", "EROFS", "ENOSPC"] {
        survives(|o| o, 1_000, &["-e", &format!("inject=pwritev:error={error}:when=2..4")], 3);
    }
}

#[test]
fn a_write_that_fails_and_cannot_be_cut_off_either_is_made_again_once() {
    // The batch is in the file whole when its sync fails, and the cut that is to take it back fails, too.
    let cut = "inject=ftruncate:error=EIO:when=1..3";
    let sync = "inject=fdatasync:error=EIO:when=2..4";
    survives(|o| o.fsync(Fsync::Batch), 1_000, &["-e", cut, "-e", sync], 5);
}

#[test]
fn a_batch_whose_sync_failed_counts_as_not_written() {
    survives(|o| o.fsync(Fsync::Batch), 1_000, &["-e", "inject=fdatasync:error=EIO:when=2..5"], 4);
}

#[test]
fn a_batch_whose_sync_failed_is_written_once_though_its_flusher_is_killed() {
    let disk = Disk::plain();
    let log = disk.options().fsync(Fsync::Batch).flusher_thread(false).open().unwrap();
    let fail = ["-e", "inject=fdatasync:error=EIO:when=2+", "-e", "inject=ftruncate:error=EIO"];
    let Some(mut sidecar) = disk.failing_sidecar(&log, &fail) else { return };
    let mut w = log.writer().unwrap();
    write(&mut w, 0..1); // one batch, however soon the sidecar looks, and so one sync
    log.flush(LONG).unwrap();
    write(&mut w, 1..500);
    let error = log.flush(Duration::from_millis(300)).unwrap_err().to_string();
    assert!(error.contains("Input/output error"), "{error}");
    let written = disk.content().iter().filter(|b| **b == b'\n').count();
    assert!(written > 1, "the batch, however small, is in the file all the same: {written}");
    sidecar.kill();
    log.flush(LONG).unwrap();
    disk.assert_holds(500);
}

#[test]
fn a_sync_that_fails_now_and_then_is_reported_and_tried_again_without_haste() {
    let disk = Disk::plain();
    let every = Duration::from_millis(20);
    let log = disk.options().fsync(Fsync::Interval(every)).flusher_thread(false).open().unwrap();
    let calls = ["-e", "trace=fdatasync,futex", "-e", "inject=fdatasync:error=EIO:when=1..7"];
    let Some(sidecar) = disk.failing_sidecar(&log, &calls) else { return };
    let mut w = log.writer().unwrap();
    write(&mut w, 0..100);
    until_error(&log);
    assert_eq!(log.stats().unwrap().error, Some(libc::EIO));
    until(LONG, "a sync that succeeds", || log.stats().unwrap().error.is_none());
    assert_eq!(log.stats().unwrap().counters.io_errors, 7);
    let waits = sidecar.count("futex(");
    // 10 ms and doubling: over a second, in naps of at most 5 ms each.
    assert!(waits < 2_000, "{waits} waits: the flusher spins");
    write(&mut w, 100..200);
    log.flush(LONG).unwrap();
    disk.assert_holds(200);
}

#[test]
fn a_rotation_may_fail_at_any_of_its_renames() {
    for error in ["EIO", "ENOSPC"] {
        for first in 1..5 {
            let fail = format!("inject=renameat2,rename:error={error}:when={first}..{}", first + 1);
            survives(|o| o.max_bytes(8_000).backups(99), 500, &["-e", &fail], 2);
        }
    }
}

#[test]
fn a_rotation_may_fail_to_make_the_new_file() {
    // 1 and 2 are the sidecar's looks at the file. 3 makes the new one, 4 opens it: if that fails, neither the
    // new file is to be had nor the old name, and records wait.
    for (error, first) in [("EIO", 3), ("EDQUOT", 3), ("EMFILE", 4), ("EIO", 4)] {
        let disk = Disk::plain();
        let log = disk.options().max_bytes(8_000).backups(99).flusher_thread(false).open().unwrap();
        let path = disk.log();
        let fail = format!("inject=open,openat:error={error}:when={first}..{}", first + 2);
        let args = ["-P", path.to_str().unwrap(), "-e", &fail];
        let Some(sidecar) = disk.failing_sidecar(&log, &args) else { return };
        let mut w = log.writer().unwrap();
        let mut next = 0;
        until(LONG, "rotations", || {
            write(&mut w, next..next + 100);
            next += 100;
            log.flush(LONG).unwrap();
            log.stats().unwrap().counters.rotations > 2
        });
        assert_eq!(sidecar.count("(INJECTED)"), 3, "{error} {first}");
        drop((w, log));
        disk.assert_holds(next);
    }
}

#[test]
fn a_rotation_that_fails_costs_no_archive() {
    // By which a new file gets its name.
    let create = "inject=link,linkat:error=EIO:when=2+";
    let rename = "inject=renameat2,rename:error=EIO:when=5+";
    let remove = "inject=unlink,unlinkat:error=EIO";
    for fail in [create, rename, remove] {
        let disk = Disk::plain();
        let log = disk.options().max_bytes(8_000).backups(2).open().unwrap();
        let mut w = log.writer().unwrap();
        write(&mut w, 0..150);
        log.flush(LONG).unwrap();
        let Some(mut sidecar) = disk.failing_sidecar(&log, &["-e", fail]) else { return };
        let mut next = 150;
        until(LONG, "a call that fails", || {
            write(&mut w, next..next + 1);
            next += 1;
            log.flush(LONG).unwrap();
            sidecar.count("(INJECTED)") > 0
        });
        let kept = content(disk.dir());
        write(&mut w, next..next + 300);
        next += 300;
        log.flush(LONG).unwrap();
        std::thread::sleep(Duration::from_millis(350));
        write(&mut w, next..next + 1);
        next += 1;
        log.flush(LONG).unwrap();
        if fail != remove {
            assert!(content(disk.dir()).starts_with(&kept), "{fail}: an archive was lost");
        }
        sidecar.kill();
        let rotations = log.stats().unwrap().counters.rotations;
        until(LONG, "a rotation", || {
            write(&mut w, next..next + 1);
            next += 1;
            log.flush(LONG).unwrap();
            log.stats().unwrap().counters.rotations > rotations + 2
        });
        drop((w, log));
        let now = crate::harness::lines(&content(disk.dir()));
        let first = next - now.len() as u64;
        assert_eq!(now, (first..next).map(record).collect::<Vec<_>>(), "{fail}");
        assert_eq!(crate::harness::files(disk.dir()).len(), 3, "{fail}: two archives and the log");
    }
}

#[test]
fn a_log_that_cannot_be_emptied_goes_on_and_is_emptied_later() {
    let disk = Disk::plain();
    let log = disk.options().max_bytes(8_000).backups(0).flusher_thread(false).open().unwrap();
    let fail = ["-e", "inject=ftruncate:error=EIO:when=1..2"];
    let Some(sidecar) = disk.failing_sidecar(&log, &fail) else { return };
    let mut w = log.writer().unwrap();
    write(&mut w, 0..300);
    log.flush(LONG).unwrap();
    disk.assert_holds(300);
    let mut next = 300;
    until(LONG, "it is emptied", || {
        write(&mut w, next..next + 1);
        next += 1;
        log.flush(LONG).unwrap();
        log.stats().unwrap().counters.rotations > 0
    });
    assert_eq!(sidecar.count("(INJECTED)"), 2);
    let now = crate::harness::lines(&disk.content());
    assert_eq!(now, (next - now.len() as u64..next).map(record).collect::<Vec<_>>());
}

#[test]
fn a_log_can_be_opened_while_the_quota_leaves_no_room_for_its_file() {
    let disk = Disk::plain();
    let log = disk.options().flusher_thread(false).open().unwrap();
    std::fs::remove_file(disk.log()).unwrap();
    let path = disk.log();
    let args = ["-P", path.to_str().unwrap(), "-e", "inject=open,openat:error=EDQUOT:when=1..4"];
    let Some(sidecar) = disk.failing_sidecar(&log, &args) else { return };
    write(&mut log.writer().unwrap(), 0..100);
    log.flush(LONG).unwrap();
    assert_eq!(sidecar.count("(INJECTED)"), 4);
    disk.assert_holds(100);
}

#[test]
fn the_name_of_the_first_file_is_synced_like_its_content() {
    for (fsync, times) in [(Fsync::Batch, 1), (Fsync::None, 0)] {
        let disk = Disk::plain();
        let log = disk.options().fsync(fsync).flusher_thread(false).open().unwrap();
        let Some(sidecar) = disk.failing_sidecar(&log, &["-e", "trace=fsync"]) else { return };
        write(&mut log.writer().unwrap(), 0..100);
        log.flush(LONG).unwrap();
        assert_eq!(sidecar.count("fsync("), times, "{fsync:?}");
    }
}
