//! Benches across processes: the bench binary starts itself again, once per worker.
//!
//! A worker opens its log, says `ready` on its standard output and blocks on its standard input. All
//! workers share one pipe there; the parent closes it, which releases them in one instant. A worker
//! says `done` when everything it wrote is in the file. The time of a run is from the release until the
//! last `done`; starting, opening and leaving are not in it. After each run the parent adds up the
//! bytes of the log and its backups: a run that lost a byte is no run.
#![allow(dead_code)] // each bench uses its part
#![allow(unsafe_code)] // getrusage

mod crlog_side;

use std::fs;
use std::io::{self, BufRead, BufReader, Lines, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::baseline::{BigWrites, FileLockLog, Ticks, files_oldest_first, nanoseconds};

const JOB: &str = "CRLOG_BENCH_JOB";

/// Bytes of a line in the file, its end included.
pub(crate) const LINE_BYTES: u64 = 100;
/// Every log rotates here.
pub(crate) const MAX_BYTES: u64 = 100 * 1024 * 1024;
/// Enough that no run of [`MOST_RECORDS`] deletes what it wrote.
pub(crate) const BACKUPS: u32 = 5;
/// The largest run whose bytes can still be counted afterwards.
pub(crate) const MOST_RECORDS: u64 = MAX_BYTES * BACKUPS as u64 / LINE_BYTES;
const PIECE: usize = 1024 * 1024;

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Approach {
    /// `flock` around every record: what people use today.
    FileLock,
    /// The same bytes in 1 MiB pieces by one process: the physical limit.
    BigWrites,
    /// This library.
    Crlog,
}

impl Approach {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Approach::FileLock => "file lock",
            Approach::BigWrites => "big writes",
            Approach::Crlog => "crlog",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Approach::FileLock, Approach::BigWrites, Approach::Crlog].into_iter().find(|a| a.name() == name)
    }

    /// False while the library's front door is not there.
    pub(crate) fn available(self) -> bool {
        self != Approach::Crlog || crlog_side::READY
    }
}

/// How a worker paces and times its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As fast as it can, no clock in the loop.
    FlatOut,
    /// Each call timed; a short sleep after every [`BURST`] records, so that a flusher stays awake and
    /// a ring does not fill: the latency of a program that logs, not of one that does nothing else.
    Bursts,
}

/// Records between two sleeps of [`Pace::Bursts`].
pub(crate) const BURST: u64 = 256;
const BURST_PAUSE: Duration = Duration::from_micros(100);

/// What one worker does.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) approach: Approach,
    pub(crate) pace: Pace,
    pub(crate) records: u64,
    pub(crate) path: PathBuf,
}

impl Job {
    fn to_text(&self) -> String {
        let pace = if self.pace == Pace::Bursts { "bursts" } else { "flat out" };
        format!("{}:{pace}:{}:{}", self.approach.name(), self.records, self.path.display())
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, ':');
        Some(Job {
            approach: Approach::from_name(parts.next()?)?,
            pace: if parts.next()? == "bursts" { Pace::Bursts } else { Pace::FlatOut },
            records: parts.next()?.parse().ok()?,
            path: parts.next()?.into(),
        })
    }
}

/// One run of all workers.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) wall: Duration,
    /// User and system time of all workers, starting and leaving included.
    pub(crate) cpu: Duration,
    pub(crate) records: u64,
    /// Empty unless [`Pace::Bursts`].
    pub(crate) latency: Histogram<u64>,
}

impl Outcome {
    pub(crate) fn records_per_s(&self) -> f64 {
        self.records as f64 / self.wall.as_secs_f64()
    }

    pub(crate) fn cpu_s_per_million(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.records as f64
    }
}

// ---- the worker --------------------------------------------------------------------------------------

/// First thing in `main` of a bench: true if this process is a worker, and its work is done.
pub(crate) fn worked() -> bool {
    let Ok(text) = std::env::var(JOB) else {
        return false;
    };
    let job = Job::from_text(&text).expect("a job the parent wrote");
    match job.approach {
        Approach::FileLock => {
            let mut log = FileLockLog::open(&job.path, MAX_BYTES, BACKUPS).expect("open the log");
            drive(&job, |record| log.append(record).expect("append"), || ());
        }
        Approach::BigWrites => {
            let mut log = BigWrites::prepare(&job.path, &record(), PIECE, MAX_BYTES).expect("open the log");
            say("ready\n");
            wait_for_release();
            log.run(job.records * LINE_BYTES).expect("write");
            say("done\n");
        }
        Approach::Crlog => crlog_side::work(&job),
    }
    true
}

/// A record without its line end.
pub(crate) fn record() -> Vec<u8> {
    let mut record = format!("2026-01-01 00:00:00.000000 INFO [{:>7}] worker: ", std::process::id());
    while (record.len() as u64) < LINE_BYTES - 1 {
        record.push('x');
    }
    record.into_bytes()
}

/// The loop every approach goes through. `finish` returns when all that was appended is in the file.
pub(crate) fn drive(job: &Job, mut append: impl FnMut(&[u8]), finish: impl FnOnce()) {
    let record = record();
    let mut seen = nanoseconds();
    let ticks = if job.pace == Pace::Bursts { Some(Ticks::calibrated()) } else { None };
    say("ready\n");
    wait_for_release();
    if let Some(ticks) = ticks {
        for n in 1..=job.records {
            let from = ticks.now();
            append(&record);
            let to = ticks.now();
            seen.saturating_record(ticks.ns(from, to));
            if n % BURST == 0 {
                std::thread::sleep(BURST_PAUSE);
            }
        }
    } else {
        for _ in 0..job.records {
            append(&record);
        }
    }
    finish();
    say("done\n");
    let counts: String =
        seen.iter_recorded().map(|v| format!("{} {}\n", v.value_iterated_to(), v.count_at_value())).collect();
    say(&counts);
}

fn say(text: &str) {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).expect("the parent listens");
}

fn wait_for_release() {
    let _ = io::stdin().read(&mut [0]);
}

// ---- the parent --------------------------------------------------------------------------------------

struct Worker {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    fn expect(&mut self, word: &str) {
        let line = self.said.next();
        assert!(matches!(&line, Some(Ok(said)) if said == word), "a worker died before '{word}': {line:?}");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `records` records through `processes` workers and checks that every byte is there.
pub(crate) fn run(approach: Approach, pace: Pace, processes: u64, records: u64) -> Outcome {
    assert!(records <= MOST_RECORDS, "more than can be checked");
    let dir = tempfile::tempdir_in(scratch()).expect("a scratch directory");
    let each = records / processes;
    let job = Job { approach, pace, records: each, path: dir.path().join("app.log") };
    let records = each * processes;
    let cpu_before = cpu_of_children();

    let (read_end, write_end) = io::pipe().expect("a pipe");
    let mut workers: Vec<_> =
        (0..processes).map(|_| start(&job, read_end.try_clone().expect("a descriptor"))).collect();
    workers.iter_mut().for_each(|worker| worker.expect("ready"));
    let begin = Instant::now();
    drop(write_end);
    workers.iter_mut().for_each(|worker| worker.expect("done"));
    let wall = begin.elapsed();

    let mut latency = nanoseconds();
    for mut worker in workers {
        for line in worker.said.by_ref().map_while(Result::ok) {
            let (value, count) = line.split_once(' ').expect("value and count");
            latency.saturating_record_n(value.parse().expect("a value"), count.parse().expect("a count"));
        }
        assert!(worker.child.wait().expect("a child of ours").success(), "a worker failed");
    }
    let cpu = cpu_of_children().saturating_sub(cpu_before);
    assert_eq!(bytes_of(&job.path), records * LINE_BYTES, "{approach:?} lost or doubled bytes");
    Outcome { wall, cpu, records, latency }
}

fn start(job: &Job, release: io::PipeReader) -> Worker {
    let mut child = Command::new(std::env::current_exe().expect("our own path"))
        .env(JOB, job.to_text())
        .stdin(release)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a worker starts");
    let said = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    Worker { child, said }
}

/// Beside the build, so on a disk; `CRLOG_BENCH_DIR` chooses another place.
fn scratch() -> PathBuf {
    std::env::var_os("CRLOG_BENCH_DIR").map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from)
}

fn bytes_of(path: &Path) -> u64 {
    files_oldest_first(path).iter().map(|file| fs::metadata(file).map_or(0, |found| found.len())).sum()
}

fn cpu_of_children() -> Duration {
    let mut used = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills a whole `rusage`, for which all zeroes is a valid value too.
    let used = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, used.as_mut_ptr());
        used.assume_init()
    };
    let of = |t: libc::timeval| Duration::from_micros(t.tv_sec as u64 * 1_000_000 + t.tv_usec as u64);
    of(used.ru_utime) + of(used.ru_stime)
}

/// True under `cargo bench`; false under `cargo test`, where everything runs once and small.
pub(crate) fn measuring() -> bool {
    std::env::args().any(|arg| arg == "--bench")
}

/// Rounds of the plain tables (`CRLOG_BENCH_ROUNDS`).
pub(crate) fn rounds() -> usize {
    if !measuring() {
        return 1;
    }
    std::env::var("CRLOG_BENCH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(5)
}

/// The middle one of an odd number of values, the upper middle one of an even number.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
