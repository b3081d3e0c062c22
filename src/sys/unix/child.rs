//! A child process that is waited for, for so long and no longer.
//!
//! Constraints: the host's handlers of SIGCHLD and its own waiting know nothing of this child; our threads block all
//! signals, and a child inherits that; our files are closed at exec; the host may have closed its standard streams.
//!
//! | found | done |
//! |---|---|
//! | it runs longer than it may, or is not wanted any more | its process group is killed |
//! | it says much on standard error | read to the end, the beginning is kept |
//! | it leaves a process behind that holds standard error | not waited for |
//! | the host waits for all children, or ignores SIGCHLD | [`ChildEnd::Unknown`] |

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, Signal, kill_process_group};

use super::file::file_id;
use super::standard::{above, plugged};
use crate::sys::{ChildEnd, FileId};

/// How often it is asked whether it has ended.
const LOOK: Duration = Duration::from_millis(20);
/// So much of what it says is kept.
const KEPT: usize = 2048;
/// So many pieces are read between two looks: a child that never stops talking must not outlive its time.
const PIECES: usize = 64;

/// Runs a program with these words and nothing but these variables, in a process group of its own, with this file open
/// under the same number. What it says on standard error comes back, as far as it fits.
pub fn run_child(
    argv: &[String],
    env: &[(&str, OsString)],
    file: &File,
    limit: Duration,
    mut goes_on: impl FnMut() -> bool,
) -> io::Result<(ChildEnd, String)> {
    let Some((program, arguments)) = argv.split_first() else { return Err(ErrorKind::InvalidInput.into()) };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(env.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    let number = file.as_raw_fd();
    // SAFETY: (I5) does not apply: between fork and exec it only calls sigemptyset, sigprocmask and fcntl, which are
    // async-signal-safe, on a set of its own and on a descriptor that is open as long as `file` is.
    unsafe { command.pre_exec(move || unblock_signals().and_then(|()| keep_open(number))) };
    let mut child = plugged(|| command.spawn())?;
    let mut words = Words { pipe: child.stderr.take(), kept: Vec::new() };
    if let Some(pipe) = &words.pipe {
        ioctl_fionbio(pipe, true)?;
    }
    let begun = Instant::now();
    let end = loop {
        words.listen();
        match child.try_wait() {
            Ok(Some(status)) if status.success() => break ChildEnd::Well,
            Ok(Some(status)) => break ChildEnd::Badly(status.to_string()),
            // Somebody else has waited for it: whether it still runs is not known, and its number may be another's.
            Err(_) => break ChildEnd::Unknown,
            Ok(None) => {}
        }
        if begun.elapsed() >= limit {
            break end(&mut child, ChildEnd::Late);
        }
        if !goes_on() {
            break end(&mut child, ChildEnd::Unwanted);
        }
        words.wait(LOOK.min(limit.saturating_sub(begun.elapsed())));
    };
    words.listen();
    Ok((end, words.text()))
}

fn unblock_signals() -> io::Result<()> {
    let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the first call initialises the set, the second reads it; a null old set is allowed.
    let done = unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut())
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// In the child only: there it is not closed at exec.
fn keep_open(number: RawFd) -> io::Result<()> {
    // SAFETY: changes a flag of a descriptor.
    if unsafe { libc::fcntl(number, libc::F_SETFD, 0) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Opens a file that may be renamed meanwhile, to be read by a child; `None` if it is another one by now.
pub fn open_for_child(path: &Path, id: FileId) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = above(|| Ok(open(path, flags, Mode::empty())?))?;
    let same = file_id(&fstat(&fd)?) == id;
    Ok(same.then(|| File::from(fd)))
}

/// Kills it with all that it has started.
fn end(child: &mut Child, why: ChildEnd) -> ChildEnd {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // It is not waited for yet, so the number is still its own. If it has just ended, there is nothing to kill.
    let _ = group.map(|group| kill_process_group(group, Signal::KILL));
    let _ = child.wait();
    why
}

/// What a child says.
struct Words {
    /// `None`: nobody can say anything any more.
    pipe: Option<ChildStderr>,
    kept: Vec<u8>,
}

impl Words {
    fn listen(&mut self) {
        let mut piece = [0; 4096];
        for _ in 0..PIECES {
            let Some(pipe) = &mut self.pipe else { return };
            match pipe.read(&mut piece) {
                Ok(n) if n > 0 => {
                    let room = KEPT.saturating_sub(self.kept.len()).min(n);
                    self.kept.extend_from_slice(&piece[..room]);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                _ => self.pipe = None,
            }
        }
    }

    fn wait(&self, time: Duration) {
        let Some(pipe) = &self.pipe else { return std::thread::sleep(time) };
        let time = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
        if poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&time)).is_err() {
            std::thread::sleep(LOOK);
        }
    }

    /// In one line.
    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        text.split(char::is_control)
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join("; ")
    }
}
