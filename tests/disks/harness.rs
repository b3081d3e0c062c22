//! Disks to be ill-treated, and processes whose system calls fail on order.

use crate::common::{LOG, Place, ROLE, Role, until};
use crlog::{Log, Options, Writer};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub const LONG: Duration = Duration::from_secs(30);

/// A directory for a log, which may be a file system of its own. Removed at the end, with what is left of
/// the log in memory.
pub struct Disk {
    dir: PathBuf,
    place: Place,
}

impl Disk {
    pub fn plain() -> Disk {
        let place = Place::new();
        let dir = place.path().canonicalize().unwrap().join("disk");
        std::fs::create_dir(&dir).unwrap();
        Disk { dir, place }
    }

    /// A tmpfs with these options.
    pub fn tmpfs(options: &str) -> Option<Disk> {
        let disk = Disk::plain();
        disk.mount(&["-t", "tmpfs", "-o", options, "none"]).then_some(disk)
    }

    /// Mounts something on the directory; false, said loudly, where this user may not.
    pub fn mount(&self, args: &[&str]) -> bool {
        let done = Command::new("mount").args(args).arg(&self.dir).output();
        let done = done.is_ok_and(|o| o.status.success());
        if !done {
            eprintln!("SKIPPED: cannot mount {args:?} (needs root, and the file system in the kernel)");
        }
        done
    }

    pub fn unmount(&self) -> bool {
        Command::new("umount").arg(&self.dir).output().is_ok_and(|o| o.status.success())
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory above, which stays when the disk's is moved or removed.
    pub fn above(&self) -> &Path {
        self.dir.parent().unwrap()
    }

    pub fn log(&self) -> PathBuf {
        self.dir.join("app.log")
    }

    pub fn options(&self) -> Options {
        Options::new(self.log())
    }

    pub fn archive(&self, number: u32) -> PathBuf {
        self.dir.join(format!("app.log.{number}"))
    }

    /// What stands in archives and log, oldest first.
    pub fn content(&self) -> Vec<u8> {
        content(&self.dir)
    }

    /// Exactly the records `0..n` are there, each once, whole, in order.
    pub fn assert_holds(&self, n: u64) {
        assert_records(&self.content(), 0..n);
    }

    pub fn child(&self, role: &str) -> Role {
        Role::start(role, &self.log(), "p")
    }

    /// Starts this binary in a role, under strace with these arguments. `None`, said loudly, where that
    /// is not possible.
    pub fn traced(&self, role: &str, strace: &[&str]) -> Option<Traced> {
        let probe = Command::new("strace")
            .args(["-qq", "-o", "/dev/null", "-e", "inject=getsid:error=EIO:when=2..3", "true"])
            .output();
        if !probe.is_ok_and(|o| o.status.success()) {
            eprintln!("SKIPPED: strace is missing, too old (5.12), or may not trace here (`make setup`)");
            return None;
        }
        let trace = self.place.path().join(format!("trace-{role}").replace(' ', "-"));
        let child = Command::new("strace")
            .args(["-f", "-qq", "-o"])
            .arg(&trace)
            .args(strace)
            .arg(std::env::current_exe().unwrap())
            .args(["child_role", "--exact", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(LOG, self.log())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Some(Traced { child, trace })
    }

    /// A sidecar at work for `log`, whose system calls fail as `strace` is told.
    pub fn failing_sidecar(&self, log: &Log, strace: &[&str]) -> Option<Traced> {
        let sidecar = self.traced("sidecar", strace)?;
        until(LONG, "a sidecar at work", || log.stats().unwrap().flusher.is_some_and(|f| f.sidecar));
        Some(sidecar)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        while self.unmount() {}
        let _ = Command::new("umount").arg("-l").arg(&self.dir).output();
        let id = crlog::names::segment_id(&self.log());
        for end in ["", ".lock"] {
            let _ = std::fs::remove_file(format!("/dev/shm/{id}{end}"));
        }
    }
}

/// strace and the process under it, which dies with it.
pub struct Traced {
    child: Child,
    trace: PathBuf,
}

impl Traced {
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn wait(&mut self) -> bool {
        self.child.wait().unwrap().success()
    }

    /// How many lines of the trace contain this by now.
    pub fn count(&self, what: &str) -> usize {
        let trace = std::fs::read(&self.trace).unwrap_or_default();
        String::from_utf8_lossy(&trace).lines().filter(|l| l.contains(what)).count()
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Else a killed strace lets its process go on.
#[allow(unsafe_code)]
pub fn die_with_parent() {
    // SAFETY: sets a property of this process and touches no memory.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// Record `i`: of 15 to 120 bytes, recognizable to its last byte.
pub fn record(i: u64) -> String {
    format!("p {i} {}.", "x".repeat((i * 7 % 97) as usize + 10))
}

pub fn write(w: &mut Writer, records: std::ops::Range<u64>) {
    for i in records {
        w.append(record(i).as_bytes()).unwrap();
    }
}

/// Archives and log of a directory, oldest first.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let age = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?;
        match name.strip_prefix("app.log")? {
            "" => Some(0),
            ".oldest" => Some(u32::MAX),
            rest => rest.strip_prefix('.')?.parse().ok(),
        }
    };
    let paths = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let mut found: Vec<_> = paths.filter_map(|p| Some((std::cmp::Reverse(age(&p)?), p))).collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

pub fn content(dir: &Path) -> Vec<u8> {
    files(dir).iter().flat_map(|f| std::fs::read(f).unwrap()).collect()
}

pub fn assert_records(bytes: &[u8], expected: std::ops::Range<u64>) {
    let mut numbers = expected;
    for line in lines(bytes) {
        assert_eq!(Some(line), numbers.next().map(record), "missing, doubled, torn or out of order");
    }
    assert_eq!(numbers.next(), None, "missing at the end");
}

pub fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "a torn end: {:?}", text.lines().last());
    text.lines().map(str::to_owned).collect()
}

/// Waits until the flusher has reported an error.
pub fn until_error(log: &Log) {
    until(LONG, "an error is reported", || log.stats().unwrap().error.is_some());
}
