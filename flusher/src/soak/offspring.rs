//! Children that writing processes fork: nobody's children in this program, so they are known by what they
//! say in the file of acknowledgements, and held by descriptors.

use crate::console::Failure;
use crate::stress::acks::{Acks, Word};
use crate::stress::errand::{Errand, Order};
use crate::stress::verify::Claim;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// The first number of a forked child; those of other processes stay below.
pub const FIRST: u32 = 60_000;
/// The number behind the last one.
const END: u32 = crate::stress::record::INCARNATIONS;
/// Children that live at one time.
const ALIVE_MAX: usize = 6;

/// A child that was forked just before its parent's death has got a turn by then.
const BIRTH_MAX: Duration = Duration::from_secs(5);

/// A forked child.
#[derive(Debug)]
pub struct Child {
    id: u32,
    /// Place and incarnation of its parent.
    parent: (usize, u32),
    errand: Errand,
    /// Its parent is to be killed as soon as it lives.
    orphan: bool,
    /// When it is to be killed itself.
    kill_at: Option<Instant>,
    asked: Instant,
    handle: Option<(u64, OwnedFd)>,
    killed: bool,
}

/// All of a round.
#[derive(Debug, Default)]
pub struct Brood {
    alive: Vec<Child>,
    gone: Vec<(u32, bool)>,
    made: u32,
}

impl Brood {
    /// Asks the incarnation at a place for a child; false if there are enough.
    pub fn ask(
        &mut self,
        acks: &Acks,
        parent: (usize, u32),
        errand: Errand,
        records: u64,
        orphan: bool,
        kill_at: Option<Instant>,
    ) -> bool {
        let id = FIRST + self.made;
        let busy = self.alive.iter().any(|c| c.parent == parent && c.handle.is_none());
        if self.alive.len() >= ALIVE_MAX || busy || id >= END {
            return false;
        }
        self.made += 1;
        let asked = Instant::now();
        self.alive.push(Child { id, parent, errand, orphan, kill_at, asked, handle: None, killed: false });
        acks.set(parent.1, Word::Fork, Order { child: id, errand, records }.encode());
        true
    }

    /// Gets hold of the newborn, kills whose time has come, buries. Returns the places of parents to be killed.
    pub fn tend(&mut self, acks: &Acks, file: &Path, present: &[u32], now: Instant) -> Vec<usize> {
        let mut to_kill = Vec::new();
        for c in &mut self.alive {
            if c.handle.is_none() {
                c.handle = handle(acks.get(c.id, Word::Pid), file);
            }
            let begun = c.errand == Errand::BeSilent || acks.get(c.id, Word::Records) > 0;
            if c.orphan && begun && c.handle.is_some() {
                c.orphan = false;
                if present.get(c.parent.0) == Some(&c.parent.1) {
                    to_kill.push(c.parent.0);
                }
            }
            if c.kill_at.is_some_and(|at| now >= at) && begun {
                c.kill();
            }
        }
        let gone = &mut self.gone;
        self.alive.retain(|c| {
            let parent_lives = present.get(c.parent.0) == Some(&c.parent.1);
            let unborn = c.handle.is_none() && acks.get(c.id, Word::Pid) == 0;
            let over = match &c.handle {
                Some((_, fd)) => has_ended(fd),
                None => !unborn || (!parent_lives && now >= c.asked + BIRTH_MAX),
            };
            if over {
                gone.push((c.id, c.killed));
                c.bury();
            }
            !over
        });
        to_kill
    }

    /// Kills the process of this id, if it is one of these.
    pub fn kill_pid(&mut self, pid: u64) -> bool {
        self.alive.iter_mut().find(|c| c.pid() == Some(pid) && !c.killed).is_some_and(Child::kill)
    }

    /// Sends a signal to the process of this id, if it is one of these.
    pub fn signal_pid(&self, pid: u64, signal: Signal) -> bool {
        let handle = self.alive.iter().filter_map(|c| c.handle.as_ref()).find(|h| h.0 == pid);
        handle.is_some_and(|(_, fd)| pidfd_send_signal(fd, signal).is_ok())
    }

    /// Kills all.
    pub fn kill_all(&mut self) -> u64 {
        self.alive.iter_mut().map(|c| u64::from(c.kill())).sum()
    }

    /// True if each that writes rests.
    pub fn all_rest(&self, acks: &Acks) -> bool {
        let mut writing = self.alive.iter().filter(|c| c.errand != Errand::BeSilent);
        writing.all(|c| acks.get(c.id, Word::Pid) == 0 || (!c.killed && acks.get(c.id, Word::Resting) != 0))
    }

    /// Records acknowledged by each that lives.
    pub fn progress(&self, acks: &Acks) -> Vec<u64> {
        self.alive.iter().map(|c| acks.get(c.id, Word::Records)).collect()
    }

    /// What each says of itself; to be asked when all have ended.
    pub fn claims(&self, acks: &Acks) -> Result<Vec<Claim>, Failure> {
        let alive = self.alive.iter().map(|c| (c.id, c.killed));
        let mut claims = Vec::new();
        for (id, killed) in self.gone.iter().copied().chain(alive) {
            let said = |word| acks.get(id, word);
            let (born, done) = (said(Word::Pid) != 0, said(Word::Done) != 0);
            if born && !done && !killed {
                return Err(Failure::failed(format!("the forked child p{id:05} ended by itself")));
            }
            claims.push(Claim { id, acknowledged: said(Word::Records), killed: born && !done });
        }
        Ok(claims)
    }
}

impl Child {
    fn pid(&self) -> Option<u64> {
        self.handle.as_ref().map(|h| h.0)
    }

    /// An orphan's zombie is ours; that of another one was its parent's.
    fn bury(&self) {
        if let Some(pid) = self.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }

    fn kill(&mut self) -> bool {
        let done = self.handle.as_ref().is_some_and(|(_, fd)| pidfd_send_signal(fd, Signal::KILL).is_ok());
        self.killed |= done;
        done
    }
}

/// Holds the process of this id, provided that it is one of this run: its arguments name our file.
fn handle(pid: u64, file: &Path) -> Option<(u64, OwnedFd)> {
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
    let fd = pidfd_open(number, PidfdFlags::empty()).ok()?;
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let file = file.as_os_str().as_encoded_bytes();
    arguments.split(|b| *b == 0).any(|word| word == file).then_some((pid, fd))
}

fn has_ended(fd: &OwnedFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&now)).is_ok_and(|n| n > 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A brood of one child that was asked for, and what it said.
    fn child(said: &[(Word, u64)], killed: bool) -> (Brood, Acks) {
        let dir = tempfile::tempdir().unwrap();
        let acks = Acks::create(&dir.path().join("acks"), END).unwrap();
        let mut brood = Brood::default();
        assert!(brood.ask(&acks, (0, 5), Errand::Leave, 9, false, None));
        assert_eq!(Order::decode(acks.get(5, Word::Fork)).unwrap().child, FIRST);
        said.iter().for_each(|(word, value)| acks.set(FIRST, *word, *value));
        brood.alive[0].killed = killed;
        (brood, acks)
    }

    fn claim(said: &[(Word, u64)], killed: bool) -> Option<(u64, bool)> {
        let (brood, acks) = child(said, killed);
        brood.claims(&acks).ok().map(|c| (c[0].acknowledged, c[0].killed))
    }

    #[test]
    fn only_a_child_that_was_killed_in_time_may_have_written_one_more() {
        let pid = (Word::Pid, u64::from(u32::MAX));
        let (done, seven) = ((Word::Done, 1), (Word::Records, 7));
        assert_eq!(claim(&[], false), Some((0, false)), "never born");
        assert_eq!(claim(&[], true), Some((0, false)));
        assert_eq!(claim(&[pid, seven, done], false), Some((7, false)));
        assert_eq!(claim(&[pid, seven, done], true), Some((7, false)), "killed when it had ended");
        assert_eq!(claim(&[pid, seven], true), Some((7, true)));
        assert_eq!(claim(&[pid, seven], false), None, "it ended by itself");
    }

    #[test]
    fn a_child_that_is_not_born_is_waited_for_and_then_given_up() {
        let (mut brood, acks) = child(&[], false);
        let now = Instant::now();
        let mut tend = |present: &[u32], now| {
            brood.tend(&acks, Path::new("/no/such"), present, now);
            brood.alive.len()
        };
        assert_eq!(tend(&[5], now + 2 * BIRTH_MAX), 1, "its parent may be stopped");
        assert_eq!(tend(&[6], now), 1, "its parent died a moment ago");
        assert_eq!(tend(&[6], now + 2 * BIRTH_MAX), 0);
    }

    #[test]
    fn a_process_of_somebody_else_is_not_touched() {
        assert!(handle(u64::from(std::process::id()), Path::new("/no/such")).is_none());
        assert!(handle(u64::MAX, Path::new("/no/such")).is_none() && handle(0, Path::new("")).is_none());
    }
}
