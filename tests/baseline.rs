//! The opponents of the benches are honest: the file lock loses nothing and rotates by its rule.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../benches/baseline/mod.rs"]
mod baseline;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use baseline::{FileLockLog, Ticks, backup_name, big_writes, files_oldest_first, memcpy_floor};

const ROLE: &str = "CRLOG_BASELINE_WORKER";
const PATH: &str = "CRLOG_BASELINE_PATH";
const PROCESSES: usize = 4;
const RECORDS: usize = 3_000;
const MAX_BYTES: u64 = 20_000;

fn record(worker: usize, n: usize) -> String {
    format!("worker {worker} record {n:05} {}", "x".repeat(n % 90))
}

/// Not a test of its own: does nothing unless the next one started it in a process.
#[test]
fn a_worker_is_a_process_of_its_own() {
    let (Ok(worker), Ok(path)) = (std::env::var(ROLE), std::env::var(PATH)) else {
        return;
    };
    let worker: usize = worker.parse().unwrap();
    let mut log = FileLockLog::open(Path::new(&path), MAX_BYTES, 10_000).unwrap();
    for n in 0..RECORDS {
        log.append(record(worker, n).as_bytes()).unwrap();
    }
}

fn start_worker(worker: usize, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_worker_is_a_process_of_its_own"])
        .env(ROLE, worker.to_string())
        .env(PATH, path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn four_processes_behind_a_file_lock_lose_nothing_and_rotate_by_the_rule() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    let workers: Vec<_> = (0..PROCESSES).map(|worker| start_worker(worker, &path)).collect();
    for mut worker in workers {
        assert!(worker.wait().unwrap().success());
    }

    let files = files_oldest_first(&path);
    let mut next = [0; PROCESSES];
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.ends_with('\n'), "torn end of {}", file.display());
        for line in text.lines() {
            let worker: usize = line.split(' ').nth(1).unwrap().parse().unwrap();
            assert_eq!(line, record(worker, next[worker]), "in order, each once, whole");
            next[worker] += 1;
        }
    }
    assert_eq!(next, [RECORDS; PROCESSES]);

    assert!(files.len() > 10, "{} files", files.len());
    let longest = record(0, 89).len() as u64 + 1;
    for file in &files[..files.len() - 1] {
        let bytes = fs::metadata(file).unwrap().len();
        assert!((MAX_BYTES..MAX_BYTES + longest).contains(&bytes), "{}: {bytes}", file.display());
    }
}

#[test]
fn only_so_many_backups_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    let mut log = FileLockLog::open(&path, 10, 2).unwrap();
    for n in 0..9 {
        log.append(format!("record {n:03}").as_bytes()).unwrap();
    }
    assert_eq!(files_oldest_first(&path).len(), 3);
    assert_eq!(fs::read_to_string(backup_name(&path, 2)).unwrap(), "record 006\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "record 008\n");
}

#[test]
fn a_log_moved_away_by_somebody_else_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    let mut log = FileLockLog::open(&path, 0, 0).unwrap();
    log.append(b"before").unwrap();
    fs::rename(&path, dir.path().join("moved")).unwrap();
    log.append(b"after").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "after\n");
    assert_eq!(fs::read_to_string(dir.path().join("moved")).unwrap(), "before\n");
}

#[test]
fn big_writes_write_every_byte_and_rotate() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    big_writes(&path, b"nine byte", 1_000_000, 64 * 1024, 300_000).unwrap();
    let files = files_oldest_first(&path);
    let text: Vec<u8> = files.iter().flat_map(|file| fs::read(file).unwrap()).collect();
    assert_eq!(text.len(), 1_000_000);
    assert!(text.chunks_exact(10).all(|line| line == b"nine byte\n"));
    assert_eq!(files.len(), 4);
}

#[test]
fn the_memcpy_floor_times_every_call() {
    let seen = memcpy_floor(200_000, 100, Ticks::calibrated()).unwrap();
    assert_eq!(seen.len(), 200_000);
    assert!(seen.value_at_quantile(0.5) < 100_000, "half of the copies took over 0.1 ms");
}
