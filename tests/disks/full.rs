//! File systems without room.

use crate::common::until;
use crate::harness::{Disk, LONG, assert_records, content, files, lines, record, until_error, write};
use crlog::{AppendError, Control, Event, Fsync, Log, Notes, Options, WhenFull};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long after the cause is gone records are written again: a second, and time for a machine that is busy.
const RESUMED: Duration = Duration::from_secs(3);

fn ballast(dir: &Path, bytes: usize) {
    std::fs::write(dir.join("ballast"), vec![0; bytes]).unwrap();
}

/// Errors have come for so long that the delays between attempts are the longest there are.
fn wait_for_the_longest_delay(log: &Log) {
    until(LONG, "many attempts", || log.stats().unwrap().counters.io_errors >= 8);
}

/// What has been written, at a moment between two attempts.
fn written(log: &Log, disk: &Disk) -> Vec<u8> {
    let mut found = Vec::new();
    until(LONG, "nothing half written", || {
        found = content(disk.dir());
        let lines = found.iter().filter(|b| **b == b'\n').count() as u64;
        found.ends_with(b"\n") && lines == log.stats().unwrap().counters.records
    });
    found
}

fn room_again(log: &Log, dir: &Path) {
    wait_for_the_longest_delay(log);
    let written = log.stats().unwrap().counters.records;
    std::fs::remove_file(dir.join("ballast")).unwrap();
    let took = until(LONG, "writing goes on", || log.stats().unwrap().counters.records > written);
    assert!(took < RESUMED, "resumed after {took:?}");
}

#[test]
fn a_full_disk_with_archives_keeps_them_and_goes_on_in_order() {
    for fsync in [Fsync::None, Fsync::Batch] {
        let Some(disk) = Disk::tmpfs("size=400k") else { return };
        let log = disk.options().max_bytes(60_000).backups(9).fsync(fsync).open().unwrap();
        let mut w = log.writer().unwrap();
        write(&mut w, 0..2_000);
        log.flush(LONG).unwrap();
        let archives: Vec<Vec<u8>> = [2, 1].map(|n| std::fs::read(disk.archive(n)).unwrap()).to_vec();
        ballast(disk.dir(), 170_000);
        write(&mut w, 2_000..4_000);
        let error = log.flush(Duration::from_millis(300)).unwrap_err().to_string();
        assert!(error.contains("No space left"), "{error}");
        let kept = written(&log, &disk);
        assert!(kept.starts_with(&archives.concat()), "an archive was changed");
        room_again(&log, disk.dir());
        log.flush(LONG).unwrap();
        assert!(disk.content().starts_with(&kept), "what was in the files was changed");
        disk.assert_holds(4_000);
        assert_eq!(log.stats().unwrap().error, None);
    }
}

#[test]
fn a_write_that_the_full_disk_takes_in_part_is_taken_back() {
    let Some(disk) = Disk::tmpfs("size=200k") else { return };
    let log = disk.options().flusher_thread(false).open().unwrap();
    let Some(mut sidecar) = disk.failing_sidecar(&log, &["-e", "trace=pwritev,ftruncate"]) else { return };
    let mut w = log.writer().unwrap();
    write(&mut w, 0..100);
    log.flush(LONG).unwrap();
    ballast(disk.dir(), 100_000);
    write(&mut w, 100..3_000);
    until_error(&log);
    until(LONG, "attempts", || sidecar.count("ftruncate(") > 3);
    // Several writes with a result, each followed by one that is refused.
    assert!(sidecar.count("ENOSPC") > 3);
    assert!(sidecar.count("pwritev(") > sidecar.count("ENOSPC"), "no write was taken in part");
    assert_records(&written(&log, &disk), 0..log.stats().unwrap().counters.records);
    sidecar.kill();
    assert!(disk.mount(&["-o", "remount,size=1m"]));
    log.flush(LONG).unwrap();
    disk.assert_holds(3_000);
}

#[test]
fn without_an_inode_for_the_next_file_the_old_one_goes_on_and_every_archive_stays() {
    // The root, the log, three archives, the hidden directory, the manifest in it, and the ballast.
    let Some(disk) = Disk::tmpfs("size=4m,nr_inodes=8") else { return };
    let log = disk.options().max_bytes(10_000).backups(3).open().unwrap();
    let mut w = log.writer().unwrap();
    let mut next = 0;
    until(LONG, "three archives", || {
        write(&mut w, next..next + 50);
        next += 50;
        log.flush(LONG).unwrap();
        disk.archive(3).exists()
    });
    let before = content(disk.dir());
    ballast(disk.dir(), 10);
    write(&mut w, next..next + 2_000);
    next += 2_000;
    log.flush(LONG).unwrap();
    assert_eq!(log.stats().unwrap().error, Some(libc::ENOSPC));
    let now = content(disk.dir());
    assert!(now.starts_with(&before), "an archive was lost");
    assert!(std::fs::metadata(disk.log()).unwrap().len() > 10_000, "the old file goes on");
    std::fs::remove_file(disk.dir().join("ballast")).unwrap();
    let rotations = log.stats().unwrap().counters.rotations;
    until(LONG, "rotated", || {
        write(&mut w, next..next + 1);
        next += 1;
        log.flush(LONG).unwrap();
        log.stats().unwrap().counters.rotations > rotations
    });
    drop((w, log));
    let last = lines(&content(disk.dir()));
    let first = next - last.len() as u64;
    assert_eq!(last, (first..next).map(record).collect::<Vec<_>>());
    assert_eq!(files(disk.dir()).len(), 4, "three archives and the log");
}

#[test]
fn a_log_is_opened_on_a_full_disk_and_written_when_there_is_room() {
    let Some(disk) = Disk::tmpfs("size=1m,nr_inodes=2") else { return };
    ballast(disk.dir(), 10);
    let log = disk.options().open().unwrap();
    let mut w = log.writer().unwrap();
    write(&mut w, 0..100);
    until_error(&log);
    room_again(&log, disk.dir());
    log.flush(LONG).unwrap();
    disk.assert_holds(100);
}

#[test]
fn a_disk_that_stays_full_blocks_nobody_beyond_the_limit_and_drops_are_counted() {
    let Some(disk) = Disk::tmpfs("size=40k") else { return };
    let limit = Duration::from_millis(200);
    let log = disk.options().ring_bytes(256 << 10).when_full(WhenFull::BlockFor(limit)).open().unwrap();
    let mut w = log.writer().unwrap();
    let mut taken = 0;
    let took = loop {
        let start = Instant::now();
        match w.append(record(taken).as_bytes()) {
            Ok(()) => taken += 1,
            Err(e) => break (assert_eq!(e, AppendError::Full), start.elapsed()).1,
        }
    };
    assert!(took >= limit && took < limit * 5, "{took:?}");
    assert_eq!(log.stats().unwrap().producers[0].drops.iter().sum::<u64>(), 1);
    assert!(disk.mount(&["-o", "remount,size=1m"]));
    log.flush(LONG).unwrap();
    disk.assert_holds(taken);
}

#[test]
fn the_limit_of_file_sizes_ends_no_process_and_is_an_error_like_others() {
    let disk = Disk::plain();
    let mut child = disk.child("write past the limit of file sizes");
    assert!(child.wait());
    let lines = lines(&disk.content());
    assert!(lines.len() > 1_000, "{}", lines.len());
    disk.assert_holds(lines.len() as u64);
}

/// As its own process: the signal that the kernel sends with EFBIG would end it.
pub fn write_past_the_limit_of_file_sizes(options: Options) {
    let options =
        options.flusher_thread(false).ring_bytes(256 << 10).when_full(WhenFull::Drop).notes(Notes::Off);
    limit_file_sizes(50_000);
    let refused = options.clone().open().unwrap_err().to_string();
    assert!(refused.contains("File too large"), "{refused}");
    limit_file_sizes(libc::RLIM_INFINITY);
    let log = options.open().unwrap();
    limit_file_sizes(50_000);
    let mut w = log.writer().unwrap();
    let taken = (0..).take_while(|i| w.append(record(*i).as_bytes()).is_ok()).count() as u64;
    let error = log.flush(Duration::from_millis(100)).unwrap_err().to_string();
    assert!(error.contains("File too large"), "{error}");
    limit_file_sizes(libc::RLIM_INFINITY);
    log.flush(LONG).unwrap();
    assert_eq!(log.stats().unwrap().counters.records, taken);
}

#[allow(unsafe_code)]
fn limit_file_sizes(bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: reads the structure, which is whole.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) }, 0);
}

#[test]
fn attempts_at_a_full_disk_are_never_more_than_half_a_second_apart() {
    let Some(disk) = Disk::tmpfs("size=1m,nr_inodes=2") else { return };
    ballast(disk.dir(), 10);
    let log = disk.options().flusher_thread(false).open().unwrap();
    let control = Control::default();
    let (tell, told) = std::sync::mpsc::channel();
    let mut sidecar = disk.options().sidecar().unwrap();
    sidecar.on_event(move |event| {
        if let Event::Error { retry, .. } = event {
            let _ = tell.send(retry);
        }
    });
    std::thread::scope(|s| {
        let flushing = s.spawn(|| sidecar.run(&control));
        write(&mut log.writer().unwrap(), 0..100);
        let delays: Vec<Duration> = told.iter().take(9).collect();
        assert_eq!(delays[0], Duration::from_millis(10));
        assert_eq!(delays[8], Duration::from_millis(500), "{delays:?}");
        assert!(delays.is_sorted(), "{delays:?}");
        room_again(&log, disk.dir());
        control.stop();
        flushing.join().unwrap().unwrap();
    });
    disk.assert_holds(100);
}
