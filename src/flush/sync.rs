//! When the file reaches the disk: never, after a time, with each batch, and for whoever waits for it.
//!
//! Who wants its records on the disk draws a ticket after its commit and waits until it is served. The flusher reads
//! the last ticket, sweeps, syncs once, and serves all of them: a group commit of all processes. (The idea
//! is as old as transaction logs: D. DeWitt et al., "Implementation techniques for main memory database
//! systems", SIGMOD 1984.)

use super::{Flusher, Trouble};
use crate::options::Fsync;
use crate::ring::layout::{Counter, word};
use crate::ring::mem::Mem;
use crate::ring::sweep::bump;
use crate::rotate::Standing;
use crate::sys::{self, Create, LogFile};
use std::io;
use std::sync::atomic::Ordering::{Relaxed, Release, SeqCst};
use std::time::Duration;

impl Flusher<'_> {
    /// Bytes were written to the file: they are synced now, later, or by the operating system.
    pub(super) fn wrote(&mut self) -> Result<(), Trouble> {
        self.unsynced = true;
        match self.config.fsync {
            Fsync::Batch => self.sync_file().map_err(|e| Trouble::Io("sync", e))?,
            Fsync::Interval(_) => {
                self.dirty_ns.get_or_insert_with(sys::monotonic_ns);
            }
            Fsync::None => {}
        }
        Ok(())
    }

    pub(super) fn sync_file(&mut self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        file.sync_data()?;
        (self.unsynced, self.dirty_ns) = (false, None);
        bump(self.at.mem(), Counter::Syncs, 1);
        Ok(())
    }

    pub(super) fn sync_if_due(&mut self, now: u64) -> Result<(), Trouble> {
        let (Fsync::Interval(every), Some(since)) = (self.config.fsync, self.dirty_ns) else {
            return Ok(());
        };
        if u128::from(now.saturating_sub(since)) >= every.as_nanos() {
            self.sync_file().map_err(|e| Trouble::Io("sync", e))?;
        }
        Ok(())
    }

    pub(super) fn until_next_duty(&self, limit: Duration) -> Duration {
        let limit = self.until_shifting(self.until_keeping(self.until_retry(self.until_boundary(limit))));
        let limit = self.until_successor(limit);
        if self.retry_ns != 0 {
            return limit; // a sync that has failed is overdue, and tried again with everything else
        }
        let pack = self.pack_due_ns().map(|due| due.saturating_sub(sys::monotonic_ns()).max(super::MS));
        let limit = limit.min(pack.map_or(limit, Duration::from_nanos));
        let hook = self.hook_due_ns().map(|due| due.saturating_sub(sys::monotonic_ns()).max(super::MS));
        let limit = limit.min(hook.map_or(limit, Duration::from_nanos));
        let (Fsync::Interval(every), Some(since)) = (self.config.fsync, self.dirty_ns) else {
            return limit;
        };
        let past = Duration::from_nanos(sys::monotonic_ns().saturating_sub(since));
        limit.min(every.saturating_sub(past))
    }

    /// A turn that ends leaves nothing unsynced to a successor that would not know of it.
    pub(super) fn sync_at_the_end(&mut self) {
        self.check_at_the_end();
        if self.dirty_ns.take().is_some()
            && let Err(e) = self.sync_file()
        {
            self.note(&Trouble::Io("sync", e));
        }
    }

    /// Whether a file that is put away must be on the disk first.
    pub(super) fn syncs_archives(&self) -> bool {
        self.config.fsync != Fsync::None || self.at.mem().load(word::SYNC_WANT, Relaxed) != 0
    }

    /// Serves those who drew a ticket before this sweep began; all that it found is written by now.
    pub(super) fn serve_syncs(&mut self, tickets: u64) {
        let mem = self.at.mem();
        let done = mem.load(word::SYNC_DONE, Relaxed);
        if tickets == done {
            return;
        }
        if let Err(e) = self.sync_all() {
            // Nobody knows what of it is on the disk, and a second attempt can succeed without writing anything
            // (the kernel has marked the pages clean), so those who wait must hear of it.
            if mem.load(word::SYNC_FAILED_FROM, Relaxed) == 0 {
                mem.store(word::SYNC_FAILED_FROM, done.wrapping_add(1), Relaxed);
            }
            mem.store(word::SYNC_FAILED_TO, tickets, Relaxed);
            mem.store(word::SYNC_ERROR, e.raw_os_error().unwrap_or(super::trouble::EIO) as u64, Relaxed);
            if e.raw_os_error() != Some(super::ENOENT) {
                self.note(&Trouble::Io("sync", e));
            }
        }
        // ORDER sync/release: the verdict is before the ticket's number.
        mem.store(word::SYNC_DONE, tickets, Release);
        // ORDER space/fence: pairs with the one between waiting = 1 and the last look.
        mem.fence(SeqCst);
        if mem.load(word::SYNC_WAITING, Relaxed) != 0 {
            mem.store(word::SYNC_WAITING, 0, Relaxed);
            mem.wake(word::SYNC_DONE, true);
        }
    }

    /// The file, and once per turn what a former turn or a time without tickets may have left unsynced.
    fn sync_all(&mut self) -> io::Result<()> {
        if !self.archives_synced {
            for name in sys::dir::list(&self.at.dir)? {
                if self.naming.standing(&name).is_some_and(|place| place != Standing::Log)
                    && let Ok(archive) =
                        LogFile::open(&self.at.dir.join(&name), self.config.mode, Create::Never)
                {
                    archive.sync_data()?;
                }
            }
            sys::dir::sync(&self.at.dir)?;
            self.archives_synced = true;
        }
        if self.unsynced {
            self.sync_file()?;
        }
        self.check_synced()
    }
}
