//! What each fault does. Each function says whether it was done: there may be nobody to do it to.

use super::fault::Fault;
use super::order::{by_hand, list};
use super::round::Round;
use crate::console::Failure;
use crate::stress::errand::Errand;
use rustix::process::Signal;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

/// Stops of producers last at most this long; of the flusher, and a full disk, below.
const STOP_MAX: Duration = Duration::from_millis(50);
const FLUSHER_STOP_MAX: Duration = Duration::from_millis(300);
const FULL_MAX: Duration = Duration::from_millis(1500);
/// How long the writers may take to come to rest when they are asked to.
const REST_LIMIT: Duration = Duration::from_secs(30);
/// Children of children that are forked to be killed live at most this long.
const CHILD_LIFE_MAX: Duration = Duration::from_secs(2);

impl Round<'_> {
    pub(super) fn strike(&mut self, fault: Fault) -> Result<bool, Failure> {
        match fault {
            Fault::KillFlusher => Ok(self.kill_flusher()),
            Fault::KillEverybody => Ok(self.kill_everybody()),
            Fault::StopFlusher => Ok(self.stop_flusher()),
            Fault::SidecarComes => Ok(self.sidecars(1)),
            Fault::SidecarGoes => Ok(self.sidecars(-1)),
            Fault::DiskFull => self.fill_disk(),
            Fault::RotateAsked if self.may_ask_for_rotation() => {
                self.log.request_rotation().map(|()| true).map_err(Failure::failed)
            }
            Fault::RotateSignal if self.may_ask_for_rotation() => {
                let sent = self.herd.signal_sidecars(Signal::USR1);
                // Each of them asks.
                self.asked += u32::try_from(sent.saturating_sub(1)).unwrap_or(0);
                Ok(sent > 0)
            }
            Fault::RotateAsked | Fault::RotateSignal => Ok(false),
            Fault::Reopen => self.log.request_reopen().map(|()| true).map_err(Failure::failed),
            Fault::LogMoved => self.move_log(),
            Fault::LogTruncated => self.copy_and_truncate(),
            Fault::Stat => self.run_stat(),
            _ => Ok(self.strike_producer(fault)),
        }
    }

    fn strike_producer(&mut self, fault: Fault) -> bool {
        let running = self.herd.running();
        // At least half of the processes are left running.
        if running.len() * 2 <= self.herd.producers.len() {
            return false;
        }
        let Some(place) = self.storm.rng.pick(&running) else { return false };
        let time = self.time(STOP_MAX);
        match fault {
            Fault::KillProducer => self.kill_producer(place),
            Fault::StopAnywhere => self.herd.stop(place, time),
            Fault::StopInRecord => return self.herd.stop_inside_a_record(place, time),
            _ => return self.fork(fault, place),
        }
        true
    }

    fn time(&mut self, max: Duration) -> Duration {
        Duration::from_micros(self.storm.rng.between(100, max.as_micros() as u64))
    }

    fn fork(&mut self, fault: Fault, place: usize) -> bool {
        let parent = (place, self.herd.producers[place].id);
        let records = self.storm.rng.between(1, 3000);
        let life = Instant::now() + self.time(CHILD_LIFE_MAX);
        let leaves = if self.storm.rng.below(2) == 0 { Errand::Leave } else { Errand::Exit };
        let endless = (1 << 40) - 1;
        let (errand, records, orphan, kill_at) = match fault {
            Fault::ForkWrites => (leaves, records, false, None),
            Fault::ForkKilled => (Errand::Leave, endless, false, Some(life)),
            Fault::ForkOutlives => (leaves, 10 * records, true, None),
            // It is ended by us, some time after its parent.
            _ => (Errand::BeSilent, 0, true, Some(life)),
        };
        self.brood.ask(self.acks, parent, errand, records, orphan, kill_at)
    }

    pub(super) fn kill_producer(&mut self, place: usize) {
        let pid = self.herd.pid(place);
        let flusher = self.log.stats().ok().and_then(|stats| stats.flusher).filter(|f| Some(f.pid) == pid);
        self.herd.kill(place);
        if let Some(flusher) = flusher {
            self.tally.count(Fault::KillFlusher, 1);
            self.takeovers.killed(flusher.epoch, Instant::now());
        }
    }

    fn kill_flusher(&mut self) -> bool {
        if self.takeovers.waiting() {
            return false;
        }
        let Some(flusher) = self.log.stats().ok().and_then(|stats| stats.flusher) else { return false };
        let at = Instant::now();
        let killed = self.herd.kill_pid(flusher.pid) || self.brood.kill_pid(flusher.pid);
        if killed {
            self.takeovers.killed(flusher.epoch, at);
        }
        killed
    }

    fn kill_everybody(&mut self) -> bool {
        self.herd.kill_all();
        self.brood.kill_all();
        // Who comes next has to be started first: that is no measure of a take-over.
        self.takeovers.forget();
        true
    }

    /// Stops the process that writes the file, and makes sure that it still does.
    fn stop_flusher_now(&mut self, time: Duration) -> bool {
        if self.stopped.is_some() || self.takeovers.waiting() {
            return false;
        }
        let Some(flusher) = self.log.stats().ok().and_then(|stats| stats.flusher) else { return false };
        let is_ours = self.signal(flusher.pid, Signal::STOP);
        if !is_ours {
            return false;
        }
        self.stopped = Some((flusher.pid, Instant::now() + time));
        let begun = Instant::now();
        while !is_stopped(flusher.pid) && begun.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(Duration::from_micros(50));
        }
        let still = self
            .log
            .stats()
            .ok()
            .and_then(|stats| stats.flusher)
            .is_some_and(|f| (f.pid, f.epoch) == (flusher.pid, flusher.epoch));
        if !still || !is_stopped(flusher.pid) {
            self.let_go();
        }
        self.stopped.is_some()
    }

    fn stop_flusher(&mut self) -> bool {
        let time = self.time(FLUSHER_STOP_MAX);
        self.stop_flusher_now(time)
    }

    fn signal(&self, pid: u64, signal: Signal) -> bool {
        self.herd.signal_pid(pid, signal) || self.brood.signal_pid(pid, signal)
    }

    pub(super) fn let_go(&mut self) {
        if let Some((pid, _)) = self.stopped.take() {
            self.signal(pid, Signal::CONT);
        }
    }

    fn sidecars(&mut self, change: isize) -> bool {
        let wanted = self.herd.sidecars_wanted().saturating_add_signed(change).min(3);
        let changes = wanted != self.herd.sidecars_wanted();
        self.herd.want_sidecars(wanted);
        changes
    }

    fn fill_disk(&mut self) -> Result<bool, Failure> {
        if !self.disk.can_be_filled() || self.full_until.is_some() {
            return Ok(false);
        }
        let full = self.disk.fill()?;
        self.full_until = Some(Instant::now() + self.time(FULL_MAX));
        Ok(full)
    }

    /// Renames the log file while the flusher stands still somewhere, so that we know which file that is.
    fn move_log(&mut self) -> Result<bool, Failure> {
        if !self.stop_flusher_now(Duration::from_secs(1)) {
            return Ok(false);
        }
        let moved = self.rename_log();
        self.let_go();
        moved.map_err(|e| Failure::failed(format!("the log file cannot be moved: {e}")))
    }

    fn rename_log(&mut self) -> io::Result<bool> {
        let log = &self.script.plan.share.path;
        let there = list(log)?;
        let Some(file) = there.iter().find(|f| f.path == *log) else { return Ok(false) };
        self.by_hand += 1;
        std::fs::rename(log, by_hand(log, self.by_hand))?;
        let inodes: Vec<_> = there.iter().map(|f| f.inode).collect();
        self.order.moved(&inodes, file.inode);
        Ok(true)
    }

    /// What logrotate calls copytruncate, at a time when nobody writes: else it loses records with any logger.
    fn copy_and_truncate(&mut self) -> Result<bool, Failure> {
        if self.full_until.is_some() || self.stopped.is_some() || self.takeovers.waiting() {
            return Ok(false);
        }
        self.acks.pause(true);
        let begun = Instant::now();
        while !(self.herd.all_rest() && self.brood.all_rest(self.acks)) {
            if begun.elapsed() > REST_LIMIT {
                return Err(Failure::failed(format!(
                    "a writer did not come to rest within {} s",
                    REST_LIMIT.as_secs()
                )));
            }
            self.herd.tend(true)?;
            self.tend_offspring(Instant::now());
            std::thread::sleep(Duration::from_micros(200));
        }
        self.log
            .flush(REST_LIMIT)
            .map_err(|e| Failure::failed(format!("the ring is not drained at rest: {e}")))?;
        let done = self.copy_log();
        self.acks.pause(false);
        done.map_err(|e| Failure::failed(format!("the log file cannot be copied and truncated: {e}")))
    }

    fn copy_log(&mut self) -> io::Result<bool> {
        let log = &self.script.plan.share.path;
        let mut file = match OpenOptions::new().read(true).write(true).open(log) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(e),
        };
        self.by_hand += 1;
        let name = by_hand(log, self.by_hand);
        let mut copy = OpenOptions::new().write(true).create_new(true).open(&name)?;
        io::copy(&mut file, &mut copy)?;
        let there: Vec<_> = list(log)?.iter().map(|f| f.inode).collect();
        file.set_len(0)?;
        self.order.copied_and_truncated(&there, copy.metadata()?.ino(), file.metadata()?.ino());
        Ok(true)
    }
}

/// True if each of its threads stands still.
fn is_stopped(pid: u64) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|s| s.trim_start().starts_with('T'))
    })
}
