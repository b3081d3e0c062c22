//! What crlog is compared with: the file lock that people use today, and the physical limits.
//!
//! - [`FileLockLog`]: one lock, one `write(2)`, one unlock per record. It is written to be a *strong*
//!   opponent: descriptors are kept open, one `stat` serves both the stale-file check and the size
//!   check (concurrent-log-handler 0.9.31 needs two, and two `lseek`), no formatting, no copy but the
//!   line end, no reference to the clock.
//! - [`big_writes`]: one process that writes the same bytes in large pieces, rotating. Nothing that
//!   puts text into files through the page cache can be faster.
//! - [`memcpy_floor`]: a bare copy of a record into shared memory, timed call by call. No producer's
//!   call can be shorter.
//!
//! `tests/baseline.rs` shows that the file lock loses nothing, so the comparison is fair.
#![allow(dead_code)] // each bench uses its part
#![allow(unsafe_code)] // rdtsc, the copy into shared memory

use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use shared_memory::ShmemConf;

/// A text log shared by processes that take `flock(LOCK_EX)` around every record.
///
/// Rotation follows concurrent-log-handler: the size is looked at *before* the write and without the
/// record's length, so a file exceeds `max_bytes` by less than one record.
pub(crate) struct FileLockLog {
    path: PathBuf,
    lock: File,
    file: File,
    /// Device and inode of `file`: when the path no longer names them, somebody else rotated.
    identity: (u64, u64),
    max_bytes: u64,
    backups: u32,
    line: Vec<u8>,
}

impl FileLockLog {
    /// Opens or creates the log and its lock file `.__<name>.lock` beside it. `max_bytes` 0: no rotation.
    pub(crate) fn open(path: &Path, max_bytes: u64, backups: u32) -> io::Result<Self> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let lock = open_append(&path.with_file_name(format!(".__{name}.lock")))?;
        let file = open_append(path)?;
        let identity = identity(&file.metadata()?);
        let line = Vec::with_capacity(4096);
        Ok(FileLockLog { path: path.to_owned(), lock, file, identity, max_bytes, backups, line })
    }

    /// Appends `record` and a line end; on return they are in the file.
    pub(crate) fn append(&mut self, record: &[u8]) -> io::Result<()> {
        self.line.clear();
        self.line.extend_from_slice(record);
        self.line.push(b'\n');
        self.lock.lock()?;
        let done = self.append_locked();
        self.lock.unlock()?;
        done
    }

    fn append_locked(&mut self) -> io::Result<()> {
        let bytes = self.follow_the_path()?;
        if self.max_bytes > 0 && bytes >= self.max_bytes {
            shift_names(&self.path, self.backups)?;
            self.reopen()?;
        }
        self.file.write_all(&self.line)
    }

    /// Makes sure that `file` is what the path names now; returns its size.
    fn follow_the_path(&mut self) -> io::Result<u64> {
        match fs::metadata(&self.path) {
            Ok(found) if identity(&found) == self.identity => return Ok(found.size()),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        self.reopen()
    }

    fn reopen(&mut self) -> io::Result<u64> {
        self.file = open_append(&self.path)?;
        let found = self.file.metadata()?;
        self.identity = identity(&found);
        Ok(found.size())
    }
}

fn open_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn identity(found: &fs::Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// `app.log.N`: backup 1 is the newest.
pub(crate) fn backup_name(path: &Path, n: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    PathBuf::from(name)
}

/// The log and its backups, oldest first.
pub(crate) fn files_oldest_first(path: &Path) -> Vec<PathBuf> {
    let mut files = vec![path.to_owned()];
    files.extend((1..).map(|n| backup_name(path, n)).take_while(|name| name.exists()));
    files.reverse();
    files
}

/// The rename chain, from its first gap downwards; with all names taken the oldest backup is
/// overwritten. No backups: the file is emptied.
fn shift_names(path: &Path, backups: u32) -> io::Result<()> {
    if backups == 0 {
        return OpenOptions::new().write(true).open(path)?.set_len(0);
    }
    let taken = (1..backups).take_while(|&n| backup_name(path, n).exists()).count() as u32;
    for n in (1..=taken).rev() {
        fs::rename(backup_name(path, n), backup_name(path, n + 1))?;
    }
    fs::rename(path, backup_name(path, 1))
}

/// Backups kept by [`big_writes`].
pub(crate) const BIG_WRITES_BACKUPS: u32 = 5;

/// Writes `bytes_total` bytes of `record` lines in pieces of `piece` bytes, one `write(2)` each, and
/// rotates at `rotate_at`. The source is 16 MiB of shared memory used in turn, as a ring would be.
pub(crate) fn big_writes(
    path: &Path,
    record: &[u8],
    bytes_total: u64,
    piece: usize,
    rotate_at: u64,
) -> io::Result<()> {
    BigWrites::prepare(path, record, piece, rotate_at)?.run(bytes_total)
}

/// [`big_writes`] in two steps, so that preparing the source is not timed.
pub(crate) struct BigWrites {
    path: PathBuf,
    file: File,
    source: SharedBytes,
    piece: usize,
    rotate_at: u64,
}

impl BigWrites {
    pub(crate) fn prepare(path: &Path, record: &[u8], piece: usize, rotate_at: u64) -> io::Result<Self> {
        let line = [record, b"\n"].concat();
        // Whole lines, so that the source can be used in turn without tearing one.
        let lines = (16 * 1024 * 1024_usize).max(piece).div_ceil(line.len());
        let mut source = SharedBytes::new(lines * line.len())?;
        source.as_mut_slice().chunks_exact_mut(line.len()).for_each(|room| room.copy_from_slice(&line));
        Ok(BigWrites { path: path.to_owned(), file: open_append(path)?, source, piece, rotate_at })
    }

    pub(crate) fn run(&mut self, bytes_total: u64) -> io::Result<()> {
        let mut in_file = self.file.metadata()?.size();
        let (mut left, mut at) = (bytes_total, 0);
        while left > 0 {
            if in_file >= self.rotate_at {
                shift_names(&self.path, BIG_WRITES_BACKUPS)?;
                self.file = open_append(&self.path)?;
                in_file = 0;
            }
            let source = self.source.as_slice();
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(self.piece);
            let end = source.len().min(at + wanted);
            let written = self.file.write(&source[at..end])?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            at = if at + written == source.len() { 0 } else { at + written };
            left -= written as u64;
            in_file += written as u64;
        }
        Ok(())
    }
}

/// Named shared memory that only this process knows; removed on drop.
struct SharedBytes(shared_memory::Shmem);

impl SharedBytes {
    fn new(bytes: usize) -> io::Result<Self> {
        let id = format!("/crlog-bench-{}-{bytes}", std::process::id());
        let mapping = ShmemConf::new().size(bytes).os_id(id).create().map_err(io::Error::other)?;
        let mut all = SharedBytes(mapping);
        all.as_mut_slice().fill(1); // first touch of every page, before anything is timed
        Ok(all)
    }

    fn as_slice(&self) -> &[u8] {
        // SAFETY: the mapping is `len` bytes, initialised, lives as long as `self`, and nobody else maps
        // it: its name is made from our pid and not told to anyone.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr(), self.0.len()) }
    }

    fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_slice`; `&mut self` makes the reference the only one.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr(), self.0.len()) }
    }
}

/// A clock for single calls: the time-stamp counter on x86-64, else [`Instant`].
///
/// Two reads of it in a row are 20-30 ns apart on a virtual EPYC; that is the resolution of every
/// percentile measured with it, and [`clock_floor`] measures it on the machine at hand. The counter is
/// not serialising (no `lfence`): a neighbouring instruction may be counted on the other side, which
/// evens out over a distribution. It assumes an invariant counter, as every x86-64 server has.
#[derive(Clone, Copy)]
pub(crate) struct Ticks {
    ns_per_tick: f64,
    #[cfg(not(target_arch = "x86_64"))]
    start: Instant,
}

impl Ticks {
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn calibrated() -> Self {
        let mut ticks = Ticks { ns_per_tick: 1.0 };
        let (begin, from) = (Instant::now(), ticks.now());
        while begin.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
        let (ns, to) = (begin.elapsed().as_nanos(), ticks.now());
        ticks.ns_per_tick = ns as f64 / (to - from) as f64;
        ticks
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(crate) fn now(&self) -> u64 {
        // SAFETY: the instruction exists on every x86-64 processor and touches no memory.
        unsafe { core::arch::x86_64::_rdtsc() }
    }

    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn calibrated() -> Self {
        Ticks { ns_per_tick: 1.0, start: Instant::now() }
    }

    #[cfg(not(target_arch = "x86_64"))]
    #[inline(always)]
    pub(crate) fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Nanoseconds between two readings, at least 1 so that a histogram takes it.
    #[inline(always)]
    pub(crate) fn ns(&self, from: u64, to: u64) -> u64 {
        ((to.saturating_sub(from) as f64 * self.ns_per_tick) as u64).max(1)
    }
}

/// An empty histogram of nanoseconds: 1 ns to 100 s, three digits.
pub(crate) fn nanoseconds() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 100_000_000_000, 3).expect("constant bounds are valid")
}

/// Latencies of nothing at all: what the clock itself costs.
pub(crate) fn clock_floor(calls: u64, ticks: Ticks) -> Histogram<u64> {
    let mut seen = nanoseconds();
    for _ in 0..calls {
        let from = ticks.now();
        let to = ticks.now();
        seen.saturating_record(ticks.ns(from, to));
    }
    seen
}

/// Latencies of a bare copy of `record_bytes` into the next place of 16 MiB of shared memory (the clock
/// included, see [`clock_floor`]).
pub(crate) fn memcpy_floor(calls: u64, record_bytes: usize, ticks: Ticks) -> io::Result<Histogram<u64>> {
    let mut ring = SharedBytes::new(16 * 1024 * 1024)?;
    let record = vec![b'x'; record_bytes];
    let mut seen = nanoseconds();
    let mut at = 0;
    for _ in 0..calls {
        if at + record_bytes > ring.0.len() {
            at = 0;
        }
        let from = ticks.now();
        ring.as_mut_slice()[at..at + record_bytes].copy_from_slice(black_box(&record));
        black_box(&mut ring);
        let to = ticks.now();
        seen.saturating_record(ticks.ns(from, to));
        at += record_bytes;
    }
    Ok(seen)
}
