//! Hears of it when somebody removes a file that we have open, without looking.

use super::descriptor::{Descriptor, DescriptorError};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Watches files for the loss of their names.
#[derive(Debug)]
pub struct Watch {
    fd: Descriptor,
    watched: Mutex<Vec<i32>>,
    ended: AtomicBool,
}

impl Watch {
    /// Watches these files, under the names that they have now.
    pub fn new(paths: &[&Path]) -> io::Result<Watch> {
        let open = || inotify::init(CreateFlags::CLOEXEC).map_err(io::Error::from);
        let fd = Descriptor::open(open).map_err(|e| match e {
            DescriptorError::Open(e) => e,
            DescriptorError::TableFull => {
                io::Error::other("too many files of crlog are open in this process")
            }
        })?;
        let what =
            WatchFlags::ATTRIB | WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF | WatchFlags::DONT_FOLLOW;
        let add = |path: &&Path| inotify::add_watch(fd.fd()?, *path, what).map_err(io::Error::from);
        let watched = paths.iter().map(add).collect::<io::Result<Vec<i32>>>()?;
        Ok(Watch { fd, watched: Mutex::new(watched), ended: AtomicBool::new(false) })
    }

    /// Sleeps until something happened to one of the files; false when the watch was ended.
    pub fn wait(&self) -> bool {
        let mut events = [MaybeUninit::uninit(); 1024];
        let Ok(fd) = self.fd.fd() else { return false };
        let mut reader = inotify::Reader::new(fd.as_fd(), &mut events);
        loop {
            match reader.next() {
                _ if self.ended.load(Relaxed) => return false,
                Ok(_) => return true,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    /// Wakes whoever waits, for good: taking a watch away is an event, too.
    pub fn end(&self) {
        self.ended.store(true, Relaxed);
        let watched = std::mem::take(&mut *self.watched.lock().unwrap_or_else(PoisonError::into_inner));
        for which in watched {
            if let Ok(fd) = self.fd.fd() {
                // A file that is gone has taken its watch with it: that was an event as well.
                let _ = inotify::remove_watch(fd, which);
            }
        }
    }
}
