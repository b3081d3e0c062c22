//! What a writing process forks a child for, and the fork itself.

#![allow(unsafe_code)]

use std::io;

/// What the child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Errand {
    /// Writes so many records through its parent's handles and drops them.
    Leave = 1,
    /// The same, but ends without dropping anything.
    Exit = 2,
    /// Never touches the log.
    BeSilent = 3,
}

/// A child that is asked for: `child:20 | errand:4 | records:40`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its incarnation.
    pub child: u32,
    /// What it is to do.
    pub errand: Errand,
    /// Records to write at most.
    pub records: u64,
}

impl Order {
    /// As the word of the parent's line.
    pub fn encode(self) -> u64 {
        u64::from(self.child) & 0xf_ffff | (self.errand as u64) << 20 | self.records.min((1 << 40) - 1) << 24
    }

    /// `None` if nothing is asked for.
    pub fn decode(word: u64) -> Option<Order> {
        let errand = match word >> 20 & 0xf {
            1 => Errand::Leave,
            2 => Errand::Exit,
            3 => Errand::BeSilent,
            _ => return None,
        };
        Some(Order { child: (word & 0xf_ffff) as u32, errand, records: word >> 24 })
    }
}

/// Whom a fork returns to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The process that forked.
    Parent,
    /// Its child.
    Child,
}

/// Forks. The child must end with [`exit`].
pub fn fork() -> io::Result<Who> {
    // SAFETY: the child goes on with this thread alone; what it uses (allocator, files, the log) is made
    // to be used after a fork: that is what is tested.
    match unsafe { libc::fork() } {
        0 => Ok(Who::Child),
        pid if pid > 0 => Ok(Who::Parent),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Ends this process at once: nothing is dropped.
pub fn exit(status: i32) -> ! {
    // SAFETY: ends the process; runs no handler.
    unsafe { libc::_exit(status) }
}

/// Children of this process need not be waited for.
pub fn bury_children() {
    // SAFETY: sets a disposition that is no handler.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_survives_its_word() {
        for errand in [Errand::Leave, Errand::Exit, Errand::BeSilent] {
            let order = Order { child: 99_999, errand, records: 1 << 30 };
            assert_eq!(Order::decode(order.encode()), Some(order));
        }
        assert_eq!(Order::decode(0), None);
    }
}
