//! Signals turned into calls and wake-ups. The first SIGTERM or SIGINT asks for an end in good
//! order; the second ends the process at once with status 128 + signal.

use crlog::Control;
use rustix::event::{PollFd, PollFlags};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Lets the second SIGTERM or SIGINT end the process; to be called before other handlers are set.
fn second_one_ends() -> io::Result<()> {
    let first_seen = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&first_seen))?;
        flag::register(signal, Arc::clone(&first_seen))?;
    }
    Ok(())
}

/// What a signal asks a sidecar for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// SIGTERM and SIGINT: end in good order.
    Stop,
    /// SIGUSR1: rotate.
    Rotate,
    /// SIGHUP: open files again, and the like.
    Reopen,
}

/// A thread that hears signals, and tells of each.
pub fn listen(mut tell: impl FnMut(Wish) + Send + 'static) -> io::Result<()> {
    second_one_ends()?;
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGUSR1, SIGHUP])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            tell(match signal {
                SIGUSR1 => Wish::Rotate,
                SIGHUP => Wish::Reopen,
                _ => Wish::Stop,
            });
        }
    })?;
    Ok(())
}

/// A thread that steers one sidecar by signals.
pub fn steer(control: Control) -> io::Result<()> {
    listen(move |wish| match wish {
        Wish::Rotate => control.rotate(),
        Wish::Reopen => control.reopen(),
        Wish::Stop => control.stop(),
    })
}

/// What [`Interrupt::wait_readable`] saw first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// There is something to read, or the end of it.
    Readable,
    /// A signal asks for the end.
    Signal,
}

/// SIGTERM and SIGINT for a program that reads: they end the wait for input.
#[derive(Debug)]
pub struct Interrupt {
    first: First,
    wake: UnixStream,
}

/// The first signal, and since when it is known.
#[derive(Clone, Debug, Default)]
pub struct First {
    signal: Arc<AtomicUsize>,
    seen: Arc<OnceLock<Instant>>,
}

impl First {
    /// The exit status 128 + signal if one has come.
    fn status(&self) -> Option<u8> {
        match self.signal.load(Ordering::SeqCst) {
            0 => None,
            signal => {
                self.seen.get_or_init(Instant::now);
                Some(u8::try_from(128 + signal).unwrap_or(u8::MAX))
            }
        }
    }

    /// Whether one came, and so long ago: since somebody asked here first.
    pub fn is_older_than(&self, time: Duration) -> bool {
        self.status().is_some() && self.seen.get().is_some_and(|seen| seen.elapsed() >= time)
    }
}

impl Interrupt {
    /// Takes over the two signals.
    pub fn new() -> io::Result<Interrupt> {
        second_one_ends()?;
        let (wake, ring) = UnixStream::pair()?;
        let first = First::default();
        for number in [SIGTERM, SIGINT] {
            flag::register_usize(number, Arc::clone(&first.signal), number.unsigned_abs() as usize)?;
            signal_hook::low_level::pipe::register(number, ring.try_clone()?)?;
        }
        Ok(Interrupt { first, wake })
    }

    /// The exit status 128 + signal if one has come.
    pub fn status(&self) -> Option<u8> {
        self.first.status()
    }

    /// For those who only look at it.
    pub fn first(&self) -> First {
        self.first.clone()
    }

    /// Can be read when a signal has come, and stays so.
    pub fn wake(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Sleeps until `input` can be read or a signal comes.
    pub fn wait_readable(&self, input: BorrowedFd<'_>) -> io::Result<Seen> {
        loop {
            if self.status().is_some() {
                return Ok(Seen::Signal);
            }
            let mut wanted = [PollFd::new(&input, PollFlags::IN), PollFd::new(&self.wake, PollFlags::IN)];
            match rustix::event::poll(&mut wanted, None) {
                Ok(_) if self.status().is_none() && !wanted[0].revents().is_empty() => {
                    return Ok(Seen::Readable);
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}
