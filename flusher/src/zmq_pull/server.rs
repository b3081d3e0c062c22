//! The one loop: waits, takes new peers, reads from those that sent something, appends.

use super::connection::{Connection, End};
use super::listener::Listener;
use super::zmtp::Batch;
use crate::append::{Appender, LeftOut};
use crate::console::{Console, Failure};
use crate::signals::Interrupt;
use crate::units::show_count;
use rustix::event::{PollFd, PollFlags, Timespec};
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// Peers at once; each may have one message in memory that is not complete.
const PEERS_MAX: usize = 1000;
/// How long a peer may take to introduce itself.
const INTRODUCTION: Duration = Duration::from_secs(10);
/// How often clocks are looked at while somebody has not introduced himself.
const TICK: Duration = Duration::from_millis(500);
/// When no peer has sent anything for so long after a signal, what had arrived is read.
const QUIET: Duration = Duration::from_millis(100);
/// How long peers that go on sending are read from after a signal.
const LAST: Duration = Duration::from_secs(2);
const READ: usize = 256 * 1024;

/// Peers, and what becomes of their messages.
pub struct Server {
    listeners: Vec<Listener>,
    connections: Vec<Connection>,
    appender: Appender,
    too_long: u64,
    max: usize,
    buffer: Vec<u8>,
    batch: Batch,
    /// No new peers before: the system refused to give one.
    pause: Option<Instant>,
    teller: Teller,
}

impl Server {
    /// For messages of at most `max` bytes.
    pub fn new(listeners: Vec<Listener>, appender: Appender, max: usize, console: Console) -> Server {
        for listener in &listeners {
            console.out(&format!("listening at {}", listener.place()));
        }
        Server {
            listeners,
            connections: Vec::new(),
            appender,
            too_long: 0,
            max,
            buffer: vec![0; READ],
            batch: Batch::default(),
            pause: None,
            teller: Teller { console, next: Instant::now(), held: 0 },
        }
    }

    /// Messages that are not in the log.
    pub fn left_out(&self) -> LeftOut {
        let mut left_out = self.appender.left_out;
        left_out.too_long += self.too_long;
        left_out
    }

    /// Until a signal comes, and then what has arrived.
    pub fn serve(&mut self, interrupt: &Interrupt) -> Result<(), Failure> {
        while interrupt.status().is_none() {
            let (callers, senders) = self.wait(Some(interrupt.wake()), self.patience())?;
            self.accept(&callers);
            self.receive(&senders)?;
            self.forget_the_mute();
            self.part();
        }
        self.listeners.clear();
        self.finish()
    }

    /// How long to sleep at most.
    fn patience(&self) -> Option<Duration> {
        let mute = self.connections.iter().any(|c| !c.is_ready());
        (mute || self.pause.is_some()).then_some(TICK)
    }

    /// Sleeps until something comes; says which listeners and which connections have something.
    fn wait(
        &self,
        wake: Option<BorrowedFd<'_>>,
        patience: Option<Duration>,
    ) -> Result<(Vec<bool>, Vec<bool>), Failure> {
        let calls = if self.takes_more() { PollFlags::IN } else { PollFlags::empty() };
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(1 + self.listeners.len() + self.connections.len());
        fds.extend(self.listeners.iter().map(|l| PollFd::from_borrowed_fd(l.as_fd(), calls)));
        fds.extend(self.connections.iter().map(|c| PollFd::from_borrowed_fd(c.as_fd(), c.wanted())));
        fds.extend(wake.map(|w| PollFd::from_borrowed_fd(w, PollFlags::IN)));
        let time = patience.and_then(|p| Timespec::try_from(p).ok());
        match rustix::event::poll(&mut fds, time.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(Failure::failed(format!("cannot wait for messages: {e}"))),
        }
        let mut seen = fds.iter().map(|fd| !fd.revents().is_empty());
        let callers = seen.by_ref().take(self.listeners.len()).collect();
        Ok((callers, seen.take(self.connections.len()).collect()))
    }

    fn takes_more(&self) -> bool {
        self.connections.len() < PEERS_MAX && self.pause.is_none()
    }

    fn accept(&mut self, callers: &[bool]) {
        self.pause = self.pause.filter(|until| Instant::now() < *until);
        let before = self.connections.len();
        for i in (0..callers.len()).filter(|i| callers[*i]) {
            while self.takes_more() {
                match self.listeners[i].accept() {
                    Ok(socket) => self.connections.push(Connection::new(socket, self.max)),
                    Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                    Err(e) if matches!(e.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                    Err(e) => {
                        self.pause = Some(Instant::now() + Duration::from_secs(1));
                        self.teller.say(&format!("a peer cannot be taken, trying again in 1 s: {e}"));
                    }
                }
            }
        }
        if before < PEERS_MAX && self.connections.len() >= PEERS_MAX {
            self.teller.say(&format!("{PEERS_MAX} peers are connected, others wait until one leaves"));
        }
    }

    /// Reads once from each peer that sent something; says whether that was (of) a message. While the ring is
    /// full, it is the append that waits.
    fn receive(&mut self, senders: &[bool]) -> Result<bool, Failure> {
        let mut heard = false;
        for i in (0..senders.len()).filter(|i| senders[*i]) {
            let connection = &mut self.connections[i];
            connection.receive(&mut self.buffer, &mut self.batch);
            self.too_long += self.batch.too_long;
            let messages = self.batch.messages();
            heard |= !messages.is_empty() || self.batch.too_long > 0 || connection.is_inside_a_message();
            self.appender.append(&messages)?;
            self.batch.clear();
        }
        Ok(heard)
    }

    fn forget_the_mute(&mut self) {
        let before = self.connections.len();
        self.connections.retain(|c| c.is_ready() || c.since.elapsed() < INTRODUCTION);
        if self.connections.len() < before {
            let seconds = INTRODUCTION.as_secs();
            self.teller.say(&format!("a peer was refused: it did not introduce itself within {seconds} s"));
        }
    }

    fn part(&mut self) {
        let teller = &mut self.teller;
        self.connections.retain(|c| match &c.end {
            None => true,
            Some(End::Left) => false,
            Some(End::LeftInside) => {
                teller.say("a peer left in the middle of a message, which is not in the log");
                false
            }
            Some(End::Refused(why)) => {
                teller.say(&format!("a peer was refused: {why}"));
                false
            }
        });
    }

    /// What has arrived when the signal came, and what comes until all are quiet.
    fn finish(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        let mut heard = begun;
        // Heartbeats are no reason to stay.
        while !self.connections.is_empty() && heard.elapsed() < QUIET {
            let (_, senders) = self.wait(None, Some(QUIET.saturating_sub(heard.elapsed())))?;
            if self.receive(&senders)? {
                heard = Instant::now();
            }
            self.part();
            if begun.elapsed() >= LAST {
                self.teller.say("peers went on sending: what they sent last is not in the log");
                break;
            }
        }
        let inside = self.connections.iter().filter(|c| c.is_inside_a_message()).count();
        if inside > 0 {
            let n = show_count(inside as u64);
            self.teller.say(&format!("{n} peers were in the middle of a message, which is not in the log"));
        }
        self.connections.clear();
        self.teller.end();
        Ok(())
    }
}

/// Says at most one line each second, whatever strangers do.
struct Teller {
    console: Console,
    next: Instant,
    held: u64,
}

impl Teller {
    fn say(&mut self, text: &str) {
        if Instant::now() < self.next {
            self.held += 1;
            return;
        }
        self.console.err(text);
        self.end();
        self.next = Instant::now() + Duration::from_secs(1);
    }

    /// How many lines were held back.
    fn end(&mut self) {
        match std::mem::take(&mut self.held) {
            0 => {}
            n => self.console.err(&format!("{} more lines about peers were not said", show_count(n))),
        }
    }
}
