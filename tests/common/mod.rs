//! Real processes for black-box tests: this test binary runs itself again in another role.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod os;

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const ROLE: &str = "CRLOG_TEST_ROLE";
pub const LOG: &str = "CRLOG_TEST_LOG";
pub const NAME: &str = "CRLOG_TEST_NAME";

/// A number in a file, whole whenever it is read, however often it is written.
pub struct Noted(std::fs::File);

impl Noted {
    pub fn create(path: impl AsRef<Path>) -> Noted {
        Noted(std::fs::File::create(path).unwrap())
    }

    pub fn set(&self, number: u64) {
        self.0.write_all_at(format!("{number:020}").as_bytes(), 0).unwrap();
    }
}

/// A role: writes its name, a number and some bytes, and notes beside the log how far it is: that was acknowledged.
pub fn write_until_killed(options: crlog::Options) {
    let (path, name) = (std::env::var(LOG).unwrap(), std::env::var(NAME).unwrap());
    let log = options.open().unwrap();
    let mut w = log.writer().unwrap();
    let note = Noted::create(format!("{path}-{name}"));
    for i in 0u64.. {
        w.append(format!("{name} {i} {i:100}").as_bytes()).unwrap();
        note.set(i);
    }
}

/// Names of all files of the log `app.log` in its directory, as they sort.
pub fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.') && !name.starts_with("app.log-"))
        .collect();
    names.sort();
    names
}

/// A directory of its own for a log; on drop the segment is drained and removed.
pub struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Place {
        Place { dir: tempfile::tempdir().unwrap() }
    }

    pub fn log(&self) -> PathBuf {
        self.dir.path().join("app.log")
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn options(&self) -> crlog::Options {
        crlog::Options::new(self.log())
    }

    /// Starts this binary in a role: the function behind `child_role` decides what it does.
    pub fn child(&self, role: &str, name: &str) -> Role {
        self.child_under(&[], role, name)
    }

    /// The same, run by another program: `wrapper`, which gets this binary and its arguments as the rest of
    /// its own. A shell finds them in `$0` and `$@`.
    pub fn child_under(&self, wrapper: &[&str], role: &str, name: &str) -> Role {
        let me = std::env::current_exe().unwrap();
        let mut words: Vec<&std::ffi::OsStr> = wrapper.iter().map(std::ffi::OsStr::new).collect();
        words.push(me.as_os_str());
        let child = Command::new(words[0])
            .args(&words[1..])
            .args(["child_role", "--exact", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(LOG, self.log())
            .env(NAME, name)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Role(child)
    }

    /// Drains what is left, as the next start would, and returns all lines, oldest file first.
    pub fn lines(&self) -> Vec<String> {
        let log = self.options().open().unwrap();
        log.flush(Duration::from_secs(20)).unwrap();
        drop(log);
        self.lines_now()
    }

    /// What the files hold at this moment.
    pub fn lines_now(&self) -> Vec<String> {
        let mut files: Vec<(u32, PathBuf)> = std::fs::read_dir(self.dir.path())
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter_map(|p| {
                let name = p.file_name()?.to_str()?.to_owned();
                let n = if name == "app.log" { 0 } else { name.strip_prefix("app.log.")?.parse().ok()? };
                Some((n, p))
            })
            .collect();
        files.sort();
        let mut bytes = Vec::new();
        for (_, path) in files.iter().rev() {
            bytes.extend(std::fs::read(path).unwrap());
        }
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let log = self.log();
        if let Ok(log) = crlog::Options::new(&log).open() {
            drop(log);
        }
        let left: Vec<PathBuf> = std::fs::read_dir("/dev/shm")
            .map(|d| d.flatten().map(|e| e.path()).collect())
            .unwrap_or_default();
        let id = crlog::names::segment_id(&crlog::names::canonical(&log).unwrap_or(log));
        for path in left {
            if path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with(&id)) {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// A child in its role; killed when the test ends, however it ends.
pub struct Role(Child);

impl Role {
    pub fn start(role: &str, log: &Path, name: &str) -> Role {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["child_role", "--exact", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(LOG, log)
            .env(NAME, name)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Role(child)
    }

    pub fn pid(&self) -> i32 {
        self.0.id() as i32
    }

    /// Waits for its end, and says how it ended.
    pub fn status(&mut self) -> std::process::ExitStatus {
        self.0.wait().unwrap()
    }

    pub fn signal(&self, signal: i32) {
        #[allow(unsafe_code)]
        // SAFETY: kill(2) touches no memory, and the child is ours and not yet waited for.
        unsafe {
            libc::kill(self.pid(), signal);
        }
        if signal == libc::SIGSTOP {
            until(Duration::from_secs(20), "all its threads have stopped", || os::is_stopped(self.pid()));
        }
    }

    pub fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        self.0.wait().unwrap();
    }

    pub fn wait(&mut self) -> bool {
        self.0.wait().unwrap().success()
    }

    /// Whether it ends well, and in time: one that does not is killed.
    pub fn ends_well(&mut self, limit: Duration) -> bool {
        let start = Instant::now();
        while start.elapsed() < limit {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.kill();
        false
    }

    /// Whether it has ended, and if so, whether well.
    pub fn ended(&mut self) -> Option<bool> {
        self.0.try_wait().unwrap().map(|status| status.success())
    }

    pub fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|s| s.trim_start().starts_with('T'))
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until `what` holds; panics when it has not come true in time.
pub fn until(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < limit, "waited {limit:?} in vain: {what}");
        std::thread::sleep(Duration::from_micros(500));
    }
    start.elapsed()
}

/// Splits lines "name number" by name; panics on any other line.
pub fn by_name(lines: &[String]) -> BTreeMap<String, Vec<u64>> {
    let mut map: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in lines {
        let mut words = line.split(' ');
        let (Some(name), Some(number)) = (words.next(), words.next().and_then(|n| n.parse().ok())) else {
            panic!("a torn line: {line:?}");
        };
        map.entry(name.to_owned()).or_default().push(number);
    }
    map
}

/// Each name's numbers are 0, 1, 2 ... without gap or repetition.
pub fn assert_complete(map: &BTreeMap<String, Vec<u64>>) {
    for (name, numbers) in map {
        let Some(i) = (0..numbers.len()).find(|i| numbers[*i] != *i as u64) else { continue };
        let around = &numbers[i.saturating_sub(3)..numbers.len().min(i + 20)];
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        let all = numbers.len() as u64;
        let what = match sorted.windows(2).find(|w| w[0] == w[1]) {
            Some(twice) => format!("record {} stands there twice", twice[0]),
            None if sorted.last() == Some(&(all - 1)) => "they are all there, once, out of order".into(),
            None => format!("{} are missing", sorted.last().map_or(0, |last| last + 1 - all)),
        };
        panic!("{name}: record {i} of {all} is not in its place: {what}; {around:?}");
    }
}

/// A file system of this many kibibytes; `None`, said loudly, where this user may not mount.
pub struct Small(pub std::path::PathBuf);

impl Small {
    #[allow(clippy::print_stderr)]
    pub fn mount(dir: std::path::PathBuf, kib: u32) -> Option<Small> {
        std::fs::create_dir_all(&dir).unwrap();
        let size = format!("size={kib}k");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(&dir).output();
        if done.is_ok_and(|o| o.status.success()) {
            return Some(Small(dir));
        }
        eprintln!("SKIPPED: may not mount a small tmpfs (needs root)");
        None
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}
