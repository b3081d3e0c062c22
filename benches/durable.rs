//! Records that are on the disk when the call returns, a second: crlog, whose writers share their syncs, against
//! one fsync for each record by as many writers under a file lock.
//!
//! Each writer is a process (this binary, started again). All are released in one instant, write 100-byte records
//! for a fixed time, and say how many they made. Rounds are interleaved; the file is on the file system
//! of the build directory.
#![allow(clippy::expect_used, clippy::print_stdout)]

use crlog::{Options, Severity};
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

const JOB: &str = "CRLOG_BENCH_DURABLE";
const RECORD: [u8; 99] = [b'x'; 99];
const WRITERS: [usize; 3] = [1, 8, 64];
const APPROACHES: [&str; 2] = ["crlog", "file lock"];

fn measuring() -> bool {
    std::env::args().any(|a| a == "--bench")
}

fn time() -> Duration {
    Duration::from_millis(if measuring() { 1000 } else { 50 })
}

fn main() {
    if let Ok(job) = std::env::var(JOB) {
        let (approach, path) = job.split_once(':').expect("a job the parent wrote");
        return work(approach, Path::new(path));
    }
    let rounds = if measuring() { 7 } else { 1 };
    let mut seen = vec![Vec::new(); WRITERS.len() * APPROACHES.len()];
    for _ in 0..rounds {
        let mut rows = seen.iter_mut();
        for writers in WRITERS {
            for approach in APPROACHES {
                rows.next().expect("a row").push(run(approach, writers));
            }
        }
    }
    table(&mut seen, rounds);
}

fn table(seen: &mut [Vec<(f64, f64)>], rounds: usize) {
    println!(
        "\ndurable records a second, median of {rounds} interleaved rounds, lowest to highest; syncs a second"
    );
    let mut rows = seen.iter_mut();
    for writers in WRITERS {
        for approach in APPROACHES {
            let row = rows.next().expect("a row");
            row.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (median, first, last) = (row[row.len() / 2], row[0], row[row.len() - 1]);
            println!(
                "{writers:>3} writers, {approach:<10} {:>9.0}   {:>9.0} - {:<9.0} {:>9.0} syncs",
                median.0, first.0, last.0, median.1
            );
        }
    }
}

/// Records and syncs a second of one run. The file must hold every record that was counted.
fn run(approach: &str, writers: usize) -> (f64, f64) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let path = dir.path().join("app.log");
    let look =
        (approach == "crlog").then(|| Options::new(&path).flusher_thread(false).open().expect("a log"));
    let mut all: Vec<Worker> = (0..writers).map(|_| Worker::start(approach, &path)).collect();
    all.iter_mut().for_each(|w| assert_eq!(w.hear(), "ready"));
    let begun = Instant::now();
    all.iter_mut().for_each(|w| drop(w.child.stdin.take()));
    let records: u64 = all.iter_mut().map(|w| w.hear().parse::<u64>().expect("a number")).sum();
    let wall = begun.elapsed().as_secs_f64();
    let syncs = look.as_ref().and_then(|log| log.stats().ok()).map_or(records, |stats| stats.counters.syncs);
    all.into_iter().for_each(|mut w| assert!(w.child.wait().expect("its end").success()));
    drop(look);
    let bytes = std::fs::metadata(&path).expect("the log").len();
    assert_eq!(bytes, records * (RECORD.len() as u64 + 1), "a run that lost a byte is no run");
    (records as f64 / wall, syncs as f64 / wall)
}

struct Worker {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Worker {
    fn start(approach: &str, path: &Path) -> Worker {
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args(std::env::args().skip(1))
            .env(JOB, format!("{approach}:{}", path.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let says = BufReader::new(child.stdout.take().expect("its output"));
        Worker { child, says }
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }
}

fn work(approach: &str, path: &Path) {
    if approach == "crlog" {
        let log = Options::new(path).open().expect("the log");
        let mut w = log.writer().expect("a writer");
        let append = || w.append_durable(Severity::Info, &RECORD, Duration::MAX).expect("a durable record");
        return drive(append);
    }
    let mut file = OpenOptions::new().append(true).create(true).open(path).expect("the log");
    let record = [&RECORD[..], b"\n"].concat();
    drive(|| {
        file.lock().expect("the lock");
        file.write_all(&record).expect("a write");
        file.sync_data().expect("a sync");
        file.unlock().expect("the lock back");
    });
}

/// Waits for the release, and does it again and again until the time is over.
fn drive(mut one: impl FnMut()) {
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new()).expect("the release");
    let (begun, mut n) = (Instant::now(), 0u64);
    while begun.elapsed() < time() {
        one();
        n += 1;
    }
    println!("{n}");
}
