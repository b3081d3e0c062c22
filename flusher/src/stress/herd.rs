//! The processes of a run: started, killed, stopped, continued, and buried.

use super::acks::{Acks, Word};
use super::plan::Plan;
use super::record::INCARNATIONS;
use super::verify::Claim;
use super::worker;
use crate::console::Failure;
use crate::tool;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::OpenOptions;
use std::io::{PipeReader, PipeWriter};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The place of one producer; its incarnations follow each other.
#[derive(Debug)]
pub struct Producer {
    child: Option<Child>,
    /// Its present or last incarnation.
    pub id: u32,
    life: Life,
    killed: bool,
    /// Records acknowledged by earlier incarnations.
    before: u64,
    /// How often this incarnation was asked to stop itself.
    inside: u64,
}

impl Producer {
    fn new(child: Child, id: u32, before: u64) -> Producer {
        Producer { child: Some(child), id, life: Life::Running, killed: false, before, inside: 0 }
    }

    fn signal(&self, number: Signal) {
        if let Some(child) = &self.child {
            signal(child, number);
        }
    }
}

/// What a producer is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Writing.
    Running,
    /// Stopped from outside until then.
    Stopped(Instant),
    /// Asked to stop itself inside a record, and to be continued not before then.
    StopsItself(Instant),
    /// Has written all its records.
    Done,
}

/// All processes. Dropped, it kills what still lives.
pub struct Herd<'a> {
    plan: &'a Plan,
    acks: &'a Acks,
    /// By place.
    pub producers: Vec<Producer>,
    sidecars: Vec<Option<Child>>,
    /// How many of the sidecars are to be there, from the first on.
    sidecars_wanted: usize,
    /// The disk is full, or was a moment ago: who is asked to end may end with records left.
    pub sidecars_may_fail: bool,
    claims: Vec<Claim>,
    /// Standard output of all processes, forked ones included: at its end nobody is left.
    alive: (PipeReader, Option<PipeWriter>),
}

impl<'a> Herd<'a> {
    /// Starts them all.
    pub fn start(plan: &'a Plan, acks: &'a Acks) -> Result<Herd<'a>, Failure> {
        let (reader, writer) = std::io::pipe().map_err(Failure::failed)?;
        let mut herd = Herd {
            plan,
            acks,
            producers: Vec::new(),
            sidecars: Vec::new(),
            sidecars_wanted: plan.sidecars as usize,
            sidecars_may_fail: false,
            claims: Vec::new(),
            alive: (reader, Some(writer)),
        };
        for _ in 0..plan.sidecars {
            let child = herd.start_sidecar()?;
            herd.sidecars.push(Some(child));
        }
        for id in 0..plan.processes {
            let child = herd.start_producer(id, plan.records)?;
            herd.producers.push(Producer::new(child, id, 0));
        }
        Ok(herd)
    }

    fn start_sidecar(&self) -> Result<Child, Failure> {
        self.spawn(tool::again()?.arg("stress-sidecar").args(self.plan.share.typed()))
    }

    fn start_producer(&self, id: u32, records: Option<u64>) -> Result<Child, Failure> {
        let words = worker::command_line(&self.plan.share, &self.plan.acks, id, records, &self.plan.maker());
        self.spawn(tool::again()?.args(words))
    }

    fn spawn(&self, command: &mut Command) -> Result<Child, Failure> {
        let alive = match &self.alive.1 {
            Some(writer) => Stdio::from(writer.try_clone().map_err(Failure::failed)?),
            None => Stdio::null(),
        };
        if let Some(path) = &self.plan.said {
            let said = OpenOptions::new().append(true).create(true).open(path).map_err(Failure::failed)?;
            command.stderr(said);
        }
        let child = command.stdin(Stdio::null()).stdout(alive).spawn();
        child.map_err(|e| {
            Failure::failed(format!("{} cannot be started: {e}", command.get_program().display()))
        })
    }

    /// Buries the dead, starts killed ones again, continues stopped ones whose time is over.
    pub fn tend(&mut self, restart: bool) -> Result<(), Failure> {
        for place in 0..self.producers.len() {
            self.wake(place);
            self.bury(place)?;
            let p = &self.producers[place];
            if restart && p.child.is_none() && p.life != Life::Done {
                self.restart(place)?;
            }
        }
        self.sidecars.resize_with(self.sidecars.len().max(self.sidecars_wanted), || None);
        for i in 0..self.sidecars.len() {
            if let Some(child) = &mut self.sidecars[i]
                && let Ok(Some(status)) = child.try_wait()
            {
                self.sidecars[i] = None;
                self.check_sidecar(status)?;
            }
            if restart && i < self.sidecars_wanted && self.sidecars[i].is_none() {
                self.sidecars[i] = Some(self.start_sidecar()?);
            }
        }
        Ok(())
    }

    /// A sidecar ends because we kill it, or ask it to end, perhaps before it listens to signals.
    fn check_sidecar(&self, status: ExitStatus) -> Result<(), Failure> {
        const ASKED_TWICE: i32 = 128 + 15;
        let ours = [Signal::KILL, Signal::TERM, Signal::USR1].map(Signal::as_raw);
        match (status.code(), status.signal()) {
            (Some(0 | ASKED_TWICE), _) => Ok(()),
            (Some(1), _) if self.sidecars_may_fail => Ok(()),
            (None, Some(signal)) if ours.contains(&signal) => Ok(()),
            _ => Err(Failure::failed(format!("a sidecar ended by itself: {status}"))),
        }
    }

    fn wake(&mut self, place: usize) {
        let p = &mut self.producers[place];
        let over = match p.life {
            Life::Stopped(until) => Instant::now() >= until,
            // It may not have stopped yet: continued again and again until it says that it was.
            Life::StopsItself(until) => {
                if Instant::now() >= until {
                    p.signal(Signal::CONT);
                }
                self.acks.get(p.id, Word::StopsOver) >= p.inside
            }
            Life::Running | Life::Done => false,
        };
        if over {
            p.signal(Signal::CONT);
            p.life = Life::Running;
        }
    }

    fn bury(&mut self, place: usize) -> Result<(), Failure> {
        let p = &mut self.producers[place];
        let Some(child) = &mut p.child else { return Ok(()) };
        let status = match child.try_wait() {
            Ok(Some(status)) => status,
            _ => return Ok(()),
        };
        p.child = None;
        let acknowledged = self.acks.get(p.id, Word::Records);
        self.claims.push(Claim { id: p.id, acknowledged, killed: p.killed && !status.success() });
        p.before += acknowledged;
        if status.success() {
            p.life = Life::Done;
        } else if !p.killed || status.signal() != Some(Signal::KILL.as_raw()) {
            p.life = Life::Done;
            return Err(Failure::failed(format!(
                "the writing process p{:05} ended by itself: {status}",
                p.id
            )));
        }
        Ok(())
    }

    fn restart(&mut self, place: usize) -> Result<(), Failure> {
        let p = &self.producers[place];
        let (id, before) = (p.id + self.plan.processes, p.before);
        let records = self.plan.records.map(|all| all.saturating_sub(before));
        if records == Some(0) || id >= INCARNATIONS {
            self.producers[place].life = Life::Done;
            return Ok(());
        }
        let child = self.start_producer(id, records)?;
        self.producers[place] = Producer::new(child, id, before);
        Ok(())
    }

    /// Places of the producers that run and are not stopped.
    pub fn running(&self) -> Vec<usize> {
        let runs = |p: &Producer| p.child.is_some() && !p.killed && p.life == Life::Running;
        (0..self.producers.len()).filter(|i| runs(&self.producers[*i])).collect()
    }

    /// True if all producers have written all their records.
    pub fn all_done(&self) -> bool {
        self.producers.iter().all(|p| p.life == Life::Done)
    }

    /// Process id of a producer.
    pub fn pid(&self, place: usize) -> Option<u64> {
        self.producers[place].child.as_ref().map(|c| u64::from(c.id()))
    }

    /// Kills a producer.
    pub fn kill(&mut self, place: usize) {
        let p = &mut self.producers[place];
        if let Some(child) = &mut p.child {
            p.killed = child.kill().is_ok();
        }
    }

    /// Kills the process of this id, if it is one of these and not dying already.
    pub fn kill_pid(&mut self, pid: u64) -> bool {
        let place =
            (0..self.producers.len()).find(|i| self.pid(*i) == Some(pid) && !self.producers[*i].killed);
        if let Some(place) = place {
            self.kill(place);
            return true;
        }
        let mut sidecars = self.sidecars.iter_mut().flatten();
        sidecars.find(|c| u64::from(c.id()) == pid).is_some_and(|c| c.kill().is_ok())
    }

    /// A sidecar more from now on, or one less, which is ended in good order.
    pub fn want_sidecars(&mut self, wanted: usize) {
        self.sidecars_wanted = wanted;
        for child in self.sidecars.iter().skip(wanted).flatten() {
            signal(child, Signal::TERM);
        }
    }

    /// How many sidecars are to be there.
    pub fn sidecars_wanted(&self) -> usize {
        self.sidecars_wanted
    }

    /// Sends a signal to each sidecar.
    pub fn signal_sidecars(&self, number: Signal) -> u64 {
        self.sidecars.iter().flatten().map(|child| signal(child, number)).count() as u64
    }

    /// Stops or continues the process of this id, if it is one of these and not dying.
    pub fn signal_pid(&self, pid: u64, number: Signal) -> bool {
        let producers = self.producers.iter().filter(|p| !p.killed).filter_map(|p| p.child.as_ref());
        let mut all = producers.chain(self.sidecars.iter().flatten());
        all.find(|c| u64::from(c.id()) == pid).map(|c| signal(c, number)).is_some()
    }

    /// Kills everybody.
    pub fn kill_all(&mut self) -> u64 {
        let places = 0..self.producers.len();
        places.for_each(|place| self.kill(place));
        let sidecars = self.sidecars.iter_mut().flatten().filter_map(|c| c.kill().ok()).count();
        (self.producers.len() + sidecars) as u64
    }

    /// True if each producer that lives rests: asked to pause, it writes nothing until told to go on.
    pub fn all_rest(&self) -> bool {
        let mut alive = self.producers.iter().filter(|p| p.child.is_some());
        alive.all(|p| {
            !p.killed && !matches!(p.life, Life::Stopped(_)) && self.acks.get(p.id, Word::Resting) != 0
        })
    }

    /// Waits until every process of the run has ended, children of others included.
    pub fn nobody_left(&mut self, patience: Duration) -> Result<(), Failure> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        self.alive.1 = None;
        let limit = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: 0 };
        let mut wanted = [PollFd::new(&self.alive.0, PollFlags::IN)];
        match poll(&mut wanted, Some(&limit)) {
            Ok(0) => {
                Err(Failure::failed(format!("a forked child did not end within {} s", patience.as_secs())))
            }
            Ok(_) => Ok(()),
            Err(e) => Err(Failure::failed(e)),
        }
    }

    /// Stops a producer from outside for some time.
    pub fn stop(&mut self, place: usize, time: Duration) {
        self.producers[place].signal(Signal::STOP);
        self.producers[place].life = Life::Stopped(Instant::now() + time);
    }

    /// Has a producer stop itself inside its next record.
    pub fn stop_inside_a_record(&mut self, place: usize, time: Duration) -> bool {
        let p = &mut self.producers[place];
        // Before its first record it may not have its signal handler yet, and would die of the signal.
        let ready = self.acks.get(p.id, Word::Records) > 0;
        if ready {
            p.inside += 1;
            p.signal(Signal::USR1);
            p.life = Life::StopsItself(Instant::now() + time);
        }
        ready
    }

    /// Records acknowledged by each of the present incarnations.
    pub fn progress(&self) -> Vec<u64> {
        self.producers.iter().map(|p| self.acks.get(p.id, Word::Records)).collect()
    }

    /// Bytes acknowledged by all incarnations.
    pub fn bytes(&self) -> u64 {
        let buried: u64 = self.claims.iter().map(|c| self.acks.get(c.id, Word::Bytes)).sum();
        let alive = self.producers.iter().filter(|p| p.child.is_some());
        buried + alive.map(|p| self.acks.get(p.id, Word::Bytes)).sum::<u64>()
    }

    /// Lets all producers end in good order, and returns what each incarnation claims.
    pub fn finish_producers(&mut self, patience: Duration) -> Result<Vec<Claim>, Failure> {
        self.acks.stop();
        let begun = Instant::now();
        while self.producers.iter().any(|p| p.child.is_some()) {
            for p in &self.producers {
                p.signal(Signal::CONT);
            }
            self.tend(false)?;
            if begun.elapsed() > patience {
                let stuck = self.producers.iter().filter(|p| p.child.is_some()).count();
                return Err(Failure::failed(format!(
                    "{stuck} writing processes did not end within {} s",
                    patience.as_secs()
                )));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(std::mem::take(&mut self.claims))
    }

    /// Lets all sidecars end in good order.
    pub fn finish_sidecars(&mut self, patience: Duration) -> Result<(), Failure> {
        let begun = Instant::now();
        for child in self.sidecars.iter().flatten() {
            signal(child, Signal::TERM);
        }
        self.sidecars_wanted = 0;
        let mut ended = Vec::new();
        for child in self.sidecars.iter_mut().flatten() {
            let status = loop {
                if let Ok(Some(status)) = child.try_wait() {
                    break status;
                }
                if begun.elapsed() > patience {
                    return Err(Failure::failed(format!(
                        "a sidecar did not end within {} s",
                        patience.as_secs()
                    )));
                }
                std::thread::sleep(Duration::from_millis(2));
            };
            ended.push(status);
        }
        self.sidecars.clear();
        ended.into_iter().try_for_each(|status| self.check_sidecar(status))
    }
}

impl Drop for Herd<'_> {
    fn drop(&mut self) {
        let producers = self.producers.iter_mut().filter_map(|p| p.child.as_mut());
        for child in producers.chain(self.sidecars.iter_mut().flatten()) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// To a child that is not buried yet, so its id is still its own.
fn signal(child: &Child, number: Signal) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, number);
    }
}
