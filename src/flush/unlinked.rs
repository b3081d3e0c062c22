//! The log file loses its last name while it is written: removed, or another file was renamed onto it.
//!
//! Whether a file has a name is asked of its open handle, with its length: before each batch, and again behind it and before
//! its commit. So what is acknowledged as written was in a file that had a name when it was written.
//!
//! | found | done | counted |
//! |---|---|---|
//! | no name before a batch | a new file, then the batch | `FileSurprises`, `FilesRemoved`; [`Event::FileRemoved`] has the bytes that went with the file |
//! | no name behind a batch | the batch is taken back, a new file, then the batch | likewise |
//! | no name after a sync that is waited for, or before it if nothing came since | a new file; those who wait hear that what stood in the old one is gone | likewise |
//! | the journalled file is not there when a turn begins | a new file; it may have been moved, but who waits for a sync hears of it all the same | `FileSurprises` |
//! | no name at the end of a turn | a new, empty file | likewise |
//! | it has a name, but this process may not look any more (`setuid`, `chroot`) | written on, not rotated | - |
//! | moved, but not removed | nothing is lost; noticed every 20 ms ([`Flusher::check_file`]) | `FileSurprises` |

use super::{EIO, Event, Flusher, MS, Swept, Trouble};
use crate::ring::fault;
use crate::ring::layout::Counter;
use crate::ring::sweep::bump;
use crate::rotate::{Failure, Outcome};
use crate::sys;
use std::io;
use std::time::Duration;

/// How often one sweep begins again because the file was removed.
const AGAIN: u32 = 10;
/// What those who wait for the disk find in place of a file: no such file.
pub(crate) const ENOENT: i32 = 2;

impl Flusher<'_> {
    /// A sweep, and again if the file was removed in the middle of a batch.
    pub(super) fn sweep_to_named_file(&mut self, now: u64) -> Result<Swept, Trouble> {
        for _ in 0..AGAIN {
            match self.sweep_to_file(now) {
                Err(Trouble::Unlinked) => self.check_file()?,
                done => return done,
            }
        }
        Err(Trouble::Unlinked)
    }

    /// Right before a batch: has the file a name, and is it as long as the journal says?
    pub(super) fn check_before_write(&mut self) -> Result<(), Trouble> {
        let Some(file) = &self.file else { return Ok(()) };
        let (size, names) = file.size_and_names().map_err(|e| Trouble::Io("read the size of", e))?;
        if names == 0 {
            return self.check_file();
        }
        if size == self.cell.end { Ok(()) } else { self.check_end() }
    }

    /// Writes the batch that was prepared. Taken back if it cannot be, or if the file has lost its name by then.
    pub(super) fn write_prepared(&mut self) -> Result<(), Trouble> {
        let done = match self.write_pieces() {
            Ok(()) if self.is_unlinked() => Err(Trouble::Unlinked),
            done => done,
        };
        if done.is_err() {
            self.drainer.abort(self.at.mem());
            self.cut();
        } else {
            self.gone_unsynced = false;
        }
        done
    }

    /// The file's name cannot be looked at any more: this process has given up the right to search the directory, or its root.
    /// As long as the open file has a name, it is written.
    pub(super) fn may_go_on_unseen(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.size_and_names().is_ok_and(|(_, names)| names > 0))
    }

    /// Under the names of the log's files this process sees others, or none: the old file grows.
    pub(super) fn cannot_rotate_here(&mut self) {
        let now_ms = sys::monotonic_ns() / MS;
        self.backoff.note(Outcome::Kept(Failure::Other), now_ms);
        let what = format!(
            "cannot rotate {}: process {} has called chroot and does not see its directory any more; the file grows",
            self.at.log_path.display(),
            sys::pid()
        );
        fault::store(self.at.mem(), EIO, &what);
        let retry = Duration::from_millis(self.backoff.due_ms().saturating_sub(now_ms));
        (self.tell)(Event::Error { what, errno: 0, retry });
    }

    /// The file has no name any more. (One of a file system that counts no names has the log's.)
    pub(super) fn is_unlinked(&self) -> bool {
        let nameless =
            self.file.as_ref().is_some_and(|file| file.size_and_names().is_ok_and(|(_, n)| n == 0));
        nameless && self.identity_of(self.live_name()).is_ok_and(|found| found != Some(self.log_id()))
    }

    /// The file was found under another name, or under none: says so in the latter case.
    pub(super) fn tell_removed(&mut self) {
        if self.is_unlinked() {
            bump(self.at.mem(), Counter::FilesRemoved, 1);
            self.gone_unsynced |= self.unsynced;
            (self.tell)(Event::FileRemoved { bytes: self.cell.end });
        }
    }

    /// A turn begins, and the journalled file is nowhere to be found.
    pub(super) fn not_found(&mut self) {
        bump(self.at.mem(), Counter::FileSurprises, 1);
        self.gone_unsynced = true;
    }

    /// After a sync that is waited for: an error if what it was for is gone. A new file is begun at once.
    ///
    /// If nothing was written since it was removed, what is waited for was in the removed one.
    pub(super) fn check_synced(&mut self) -> io::Result<()> {
        let gone_before = std::mem::take(&mut self.gone_unsynced);
        let gone_now = self.is_unlinked();
        if gone_now && let Err(trouble) = self.check_file() {
            self.note(&trouble);
        }
        self.gone_unsynced = false;
        if gone_before || gone_now { Err(io::Error::from_raw_os_error(ENOENT)) } else { Ok(()) }
    }

    /// Nothing more is written in this turn: leaves a file behind that has a name.
    pub(super) fn check_at_the_end(&mut self) {
        if self.is_unlinked()
            && let Err(trouble) = self.check_file()
        {
            self.note(&trouble);
        }
    }
}
