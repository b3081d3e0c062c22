//! One peer and its socket, which never blocks.

use super::zmtp::{Batch, Peer, Refused, hello};
use rustix::event::PollFlags;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

/// How a peer's connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It closed it, between two messages.
    Left,
    /// It closed it, or the connection broke, in the middle of a message.
    LeftInside,
    /// We close it.
    Refused(Refused),
}

/// One peer.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    peer: Peer,
    /// What it is to be told and does not take yet.
    out: Vec<u8>,
    /// When it connected.
    pub since: Instant,
    /// How it ended, if it did.
    pub end: Option<End>,
}

impl Connection {
    /// Greets a new peer.
    pub fn new(socket: OwnedFd, max: usize) -> Connection {
        let mut new = Connection {
            socket,
            peer: Peer::new(max),
            out: hello().to_vec(),
            since: Instant::now(),
            end: None,
        };
        new.send();
        new
    }

    /// Whether it has introduced itself.
    pub fn is_ready(&self) -> bool {
        self.peer.is_ready()
    }

    /// Whether it has begun a message that is not complete.
    pub fn is_inside_a_message(&self) -> bool {
        self.peer.is_inside_a_message()
    }

    /// What to wait for.
    pub fn wanted(&self) -> PollFlags {
        if self.out.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT }
    }

    /// Reads once what there is, and answers.
    pub fn receive(&mut self, buffer: &mut [u8], batch: &mut Batch) {
        match rustix::io::read(&self.socket, &mut *buffer) {
            Ok(0) => self.end = Some(self.left()),
            Ok(count) => {
                if let Err(refused) = self.peer.take(&buffer[..count], batch, &mut self.out) {
                    self.end = Some(End::Refused(refused));
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.end = Some(self.left()),
        }
        self.send();
    }

    fn left(&self) -> End {
        if self.is_inside_a_message() { End::LeftInside } else { End::Left }
    }

    fn send(&mut self) {
        while !self.out.is_empty() {
            match rustix::io::write(&self.socket, &self.out) {
                Ok(count) => drop(self.out.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // It does not read any more; what it sent may still be there to be read.
                Err(_) => self.out.clear(),
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
