//! Tests with real processes: the test binary runs itself again in a role.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

const ROLE: &str = "CRLOG_TEST_ROLE";
const ARGUMENT: &str = "CRLOG_TEST_ARGUMENT";

/// The role and argument this process was started in, if it was started by [`Peer::start`].
pub(crate) fn role() -> Option<(String, String)> {
    let role = std::env::var(ROLE).ok()?;
    // A peer that hangs ends by itself, so that a broken build fails instead of hanging.
    // SAFETY: always sound.
    unsafe { libc::alarm(30) };
    Some((role, std::env::var(ARGUMENT).ok()?))
}

/// Tells the parent something, one line.
pub(crate) fn say(text: &str) {
    let mut err = std::io::stderr().lock();
    writeln!(err, "@{text}").unwrap();
    err.flush().unwrap();
}

/// A process in a role; killed and waited for when dropped.
pub(crate) struct Peer {
    child: Child,
    lines: BufReader<ChildStderr>,
}

impl Peer {
    /// Runs the test named `test` of this binary, which looks at [`role`].
    pub(crate) fn start(test: &str, role: &str, argument: &str) -> Peer {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(ARGUMENT, argument)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        Peer { child, lines }
    }

    /// Its next word, without the `@`.
    pub(crate) fn hear(&mut self) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            let n = self.lines.read_line(&mut line).unwrap();
            assert!(n > 0, "the peer ended without a word: {seen}");
            if let Some((_, word)) = line.trim_end().split_once('@') {
                return word.to_owned();
            }
            seen.push_str(&line);
        }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    pub(crate) fn reap(&mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for something to become true, at most 10 s; says how long it took.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(10), "never happened: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
    started.elapsed()
}

/// Sleeps until somebody kills us; not for ever, should that somebody be gone.
pub(crate) fn sleep_until_killed() -> ! {
    std::thread::sleep(Duration::from_secs(60));
    std::process::exit(3)
}

pub(crate) fn is_root() -> bool {
    super::user() == 0
}

/// Says loudly that a test did not run.
pub(crate) fn skipped(why: &str) {
    // Not `eprintln!`, which the harness swallows when the test passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// Runs `child` in a forked process, which must only do what a signal handler may. Returns its pid.
///
/// # Safety
/// `child` must be async-signal-safe.
pub(crate) unsafe fn fork(child: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the caller's promise; the child leaves by `_exit`.
    match unsafe { libc::fork() } {
        0 => {
            child();
            // SAFETY: always sound.
            unsafe { libc::_exit(0) }
        }
        pid => {
            assert!(pid > 0, "fork failed");
            pid
        }
    }
}

/// Kills and reaps a forked child.
pub(crate) fn end(pid: libc::pid_t) {
    // SAFETY: integers only; `pid` is our own child, not yet reaped.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        libc::waitpid(pid, std::ptr::null_mut(), 0);
    }
}
