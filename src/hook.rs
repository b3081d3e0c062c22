//! A program that is run after each rotation: what it is, and the thread that waits for one run of it.
//!
//! Constraints: nobody who flushes waits for it; it belongs to the process that was told to run it, and not to the log
//! (`docs/decisions/0010-hook-and-link.md`). When and for which file: `src/flush/hook.rs`.

use crate::sys::{self, ChildEnd};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

/// How long a run may take unless asked otherwise.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);
/// What comes after a failed attempt; after the last of these it is given up.
const RETRIES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];
/// Where programs are looked for if this process does not know.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// How long after its failure the attempt of this number, counted from 1, is followed by another one.
pub(crate) fn retry_after(attempt: u32) -> Option<Duration> {
    RETRIES.get(usize::try_from(attempt.checked_sub(1)?).ok()?).copied()
}

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hook {
    /// The program and its arguments: at least one word.
    pub(crate) argv: Vec<String>,
    pub(crate) timeout: Duration,
}

/// What to run it for.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) log: PathBuf,
    pub(crate) file: PathBuf,
    /// That file, open: names change.
    pub(crate) content: File,
    pub(crate) bytes: u64,
    pub(crate) attempt: u32,
}

impl Job {
    fn variables(&self) -> [(&'static str, OsString); 6] {
        [
            ("PATH", std::env::var_os("PATH").unwrap_or_else(|| PATH.into())),
            ("CRLOG_LOG", self.log.clone().into()),
            ("CRLOG_FILE", self.file.clone().into()),
            ("CRLOG_CONTENT", format!("/dev/fd/{}", self.content.as_raw_fd()).into()),
            ("CRLOG_FILE_BYTES", self.bytes.to_string().into()),
            ("CRLOG_ATTEMPT", self.attempt.to_string().into()),
        ]
    }
}

/// One run, under way. Dropped, the program is killed.
#[derive(Debug)]
pub(crate) struct Run {
    done: Receiver<Result<(), String>>,
    _goes_on: Sender<()>,
}

impl Run {
    /// Starts a thread for it, and has it call `wake` at the end.
    pub(crate) fn start(hook: Arc<Hook>, job: Job, wake: impl FnOnce() + Send + 'static) -> io::Result<Run> {
        let (tell, done) = channel();
        let (_goes_on, wanted) = channel::<()>();
        let run = move || {
            sys::block_signals();
            let goes_on = || matches!(wanted.try_recv(), Err(TryRecvError::Empty));
            let end = sys::run_child(&hook.argv, &job.variables(), &job.content, hook.timeout, goes_on);
            // If nobody listens, nobody wants to know.
            let _ = tell.send(in_words(end, hook.timeout));
            wake();
        };
        std::thread::Builder::new().name("crlog-hook".into()).spawn(run)?;
        Ok(Run { done, _goes_on })
    }

    /// How it went, if it has ended by now.
    pub(crate) fn poll(&self) -> Option<Result<(), String>> {
        match self.done.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err("its thread ended".into())),
        }
    }

    /// Waits for its end, and kills it when the time is over.
    pub(crate) fn finish(self, limit: Duration) -> Result<(), String> {
        let Run { done, _goes_on } = self;
        done.recv_timeout(limit).unwrap_or_else(|_| {
            drop(_goes_on);
            done.recv_timeout(limit).unwrap_or_else(|_| Err("it could not be ended".into()))
        })
    }
}

fn in_words(end: io::Result<(ChildEnd, String)>, timeout: Duration) -> Result<(), String> {
    let (end, said) = end.map_err(|e| format!("it cannot be started: {e}"))?;
    let why = match end {
        // That it failed is not known, and to run it twice may do harm.
        ChildEnd::Well | ChildEnd::Unknown => return Ok(()),
        ChildEnd::Badly(status) => status,
        ChildEnd::Late => format!("killed after {timeout:?}"),
        ChildEnd::Unwanted => "killed, because the flusher ends".into(),
    };
    Err(if said.is_empty() { why } else { format!("{why}: {said}") })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::Instant;

    const LONG: Duration = Duration::from_secs(60);

    fn job() -> Job {
        let content = File::open("/dev/zero").unwrap();
        Job { log: "/l".into(), file: "/f".into(), content, bytes: 7, attempt: 2 }
    }

    fn run(script: &str, timeout: Duration) -> Run {
        let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        let job = job();
        Run::start(Arc::new(Hook { argv, timeout }), job, || {}).unwrap()
    }

    fn result(script: &str) -> Result<(), String> {
        run(script, LONG).finish(LONG)
    }

    #[test]
    fn attempts_are_followed_by_others_ever_later_and_then_by_none() {
        let all: Vec<_> = (0..6).map(retry_after).collect();
        let [a, b, c] = RETRIES;
        assert_eq!(all, [None, Some(a), Some(b), Some(c), None, None]);
        assert!(a < b && b < c);
    }

    #[test]
    fn it_gets_nothing_but_what_is_documented() {
        assert_eq!(result("true"), Ok(()));
        let all =
            result("env | grep -v ^CRLOG_CONTENT= | grep -v ^PATH= | grep -v ^PWD= | grep -v ^_= | grep -v ^SHLVL= | sort >&2; false")
                .unwrap_err();
        let expected = "CRLOG_ATTEMPT=2; CRLOG_FILE=/f; CRLOG_FILE_BYTES=7; CRLOG_LOG=/l";
        assert_eq!(all, format!("exit status: 1: {expected}"));
        let content = result("readlink $CRLOG_CONTENT >&2; head -c 100 $CRLOG_CONTENT | wc -c >&2; false");
        assert_eq!(content.unwrap_err(), "exit status: 1: /dev/zero; 100");
        let streams = r#"a=$(readlink /proc/$$/fd/0); b=$(readlink /proc/$$/fd/1); echo "$a $b" >&2; false"#;
        assert_eq!(result(streams).unwrap_err(), "exit status: 1: /dev/null /dev/null");
        let mask = result("grep ^SigBlk /proc/$$/status | tr '\t' ' ' >&2; false").unwrap_err();
        assert!(mask.contains("SigBlk: 0000000000000000"), "{mask}");
    }

    #[test]
    fn what_it_says_is_kept_to_a_bound_however_much_it_is() {
        let said = result("yes 0123456789 | head -c 10000000 >&2; false").unwrap_err();
        assert!(
            said.starts_with("exit status: 1: 0123456789; 0123456789") && said.len() < 4000,
            "{}",
            said.len()
        );
    }

    #[test]
    fn whoever_cannot_be_started_or_is_killed_has_failed() {
        let hook = Hook { argv: vec!["/nonexistent/program".into()], timeout: LONG };
        let absent = Run::start(Arc::new(hook), job(), || {}).unwrap().finish(LONG).unwrap_err();
        assert!(absent.starts_with("it cannot be started: No such file"), "{absent}");
        assert_eq!(result("kill -9 $$").unwrap_err(), "signal: 9 (SIGKILL)");
    }

    #[test]
    fn its_time_ends_for_all_that_it_has_started() {
        let begun = Instant::now();
        let script = "sleep 1234 & echo $! >&2; yes >/dev/null & wait";
        let late = run(script, Duration::from_millis(300)).finish(LONG).unwrap_err();
        let pid = late.strip_prefix("killed after 300ms: ").unwrap();
        let gone =
            || std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |s| s.contains(") Z "));
        while !gone() {
            assert!(begun.elapsed() < LONG, "it still runs");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn nobody_waits_for_what_it_leaves_behind() {
        let begun = Instant::now();
        assert_eq!(result("sleep 20 & true"), Ok(()));
        assert!(begun.elapsed() < Duration::from_secs(18));
    }

    #[test]
    fn it_is_killed_when_nobody_wants_it_any_more() {
        let said =
            run("echo begun >&2; exec sleep 1234", LONG).finish(Duration::from_millis(300)).unwrap_err();
        assert_eq!(said, "killed, because the flusher ends: begun");
    }
}
