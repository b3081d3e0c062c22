//! The segment was removed under its users: they and the flusher move to a successor.
//!
//! ```text
//! noticed:   the segment has no name any more, or its lock file has another or none
//! successor: attached to, or made; only if there is one does anything change
//! RETIRED 1: producers move at their next lease, behind a flush of the old segment; all leases are taken back
//! drained:   by the one who flushed before, into the file; then the file is let go: RETIRED 2
//! left:      what is still committed here (a producer was stopped in the middle of a record) goes into the
//!            successor's ring
//! ```
//! As long as one turn lasts the successor's flusher cannot have the file, since the file's lock is ours. A turn
//! that begins later goes on in the file only if the successor has never committed anything, and the file
//! is as the journal says; else the file is the successor's, and nothing is written to it, or cut from it, from here.
//!
//! | found | done | lost |
//! |---|---|---|
//! | the successor cannot be had | all go on in the old segment, tried again every second | nothing |
//! | a producer stopped in the middle of a record | the file is let go after a second all the same; the record follows | nothing |
//! | the flusher killed inside a write, and the segment removed | nothing is cut | nothing; part of a batch stands in the file, and again behind it |
//! | killed between the two commits of a hand-over | the next one hands over again | nothing; those records stand twice |

use super::{Event, Flusher, MS, Swept, Trouble};
use crate::attached::{Attached, Membership};
use crate::ring::append::{Lessee, Parts, Producer, Refused};
use crate::ring::journal::Found;
use crate::ring::layout::{retired, word};
use crate::ring::mem::Mem;
use crate::ring::sweep::Piece;
use crate::rotate::At;
use crate::sys::{self, Create, FileId, LogFile};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

/// How often the flusher looks, while it is awake; and after it could not have a successor.
const CHECK_NS: u64 = 20 * MS;
const AGAIN_NS: u64 = 1000 * MS;
/// How long those who are in the middle of a record have before the file is let go without theirs.
const PATIENCE_NS: u64 = 1000 * MS;
/// Bytes that are handed over as one record, unless a single record is longer: less than a chunk, so that
/// there is soon room for them.
const PORTION: u64 = 8192;
/// How long a portion waits for room.
const ROOM_MS: u32 = 100;
/// How long it is waited for that they leave the successor's ring.
const PASSED_ON: Duration = Duration::from_secs(5);
/// Severity of records that are handed over: they may use the reserve.
const HANDED_OVER: u8 = 5;

impl Flusher<'_> {
    /// Retires the segment if somebody removed it and a successor can be had.
    pub(super) fn look_for_a_successor(&mut self, now: u64) {
        if self.retired_ns.is_some() || now.saturating_sub(self.orphan_checked_ns) < CHECK_NS {
            return;
        }
        self.orphan_checked_ns = now;
        if !self.at.is_orphaned() {
            return;
        }
        if let Err(e) = self.at.successor() {
            self.orphan_checked_ns = now + AGAIN_NS;
            let what = format!(
                "the shared memory of {} was removed by somebody, and no new one can be had: {e}; those who have the old one go on with it",
                self.at.log_path.display()
            );
            (self.tell)(Event::Error { what, errno: 0, retry: Duration::from_nanos(AGAIN_NS) });
            return;
        }
        let mem = self.at.mem();
        // ORDER retired/release: the successor is there before anybody is sent to it.
        mem.store(word::RETIRED, retired::DRAINING, Release);
        sys::full_barrier_everywhere();
        mem.add(word::SPACE, 1, Relaxed);
        mem.wake(word::SPACE, true);
        self.retired_ns = Some(now);
        (self.tell)(Event::Moved);
    }

    /// Nobody removed the segment since it was looked at. Who removes it from here on wakes the flusher.
    pub(super) fn may_sleep(&mut self) -> bool {
        let tried_in_vain = self.orphan_checked_ns > sys::monotonic_ns();
        if self.retired_ns.is_some() || tried_in_vain || !self.at.is_orphaned() {
            return true;
        }
        self.orphan_checked_ns = 0;
        false
    }

    /// At most until a successor is tried to be had again.
    pub(super) fn until_successor(&self, limit: Duration) -> Duration {
        let now = sys::monotonic_ns();
        if self.retired_ns.is_some() || self.orphan_checked_ns <= now {
            return limit;
        }
        limit.min(Duration::from_nanos(self.orphan_checked_ns - now + CHECK_NS))
    }

    /// The file is the successor's.
    pub(super) fn has_left(&self) -> bool {
        self.retired_ns.is_some() && self.at.mem().load(word::RETIRED, Relaxed) == retired::LEFT
    }

    pub(super) fn sweep_retired(&mut self, now: u64) -> Result<Swept, Trouble> {
        self.drainer.revoke_all(self.at.mem());
        if self.has_left() {
            return self.hand_over();
        }
        if let Some(found) = self.found {
            if !self.may_go_on_in_the_file(found)? {
                self.leave_the_file();
                return self.hand_over();
            }
            self.found = None;
        }
        let swept = self.sweep_to_file(now)?;
        let empty = Attached::is_empty(self.at.mem(), &self.at.geometry);
        let late = self.retired_ns.is_some_and(|since| now.saturating_sub(since) > PATIENCE_NS);
        if empty || (late && swept.records == 0) {
            self.tell_drops(true);
            self.sync_at_the_end();
            self.leave_the_file();
        }
        Ok(swept)
    }

    /// A turn that begins in a retired segment may use the file only if nobody wrote to it since the last one:
    /// what stands behind the journal's end can be the successor's, so nothing is cut here.
    fn may_go_on_in_the_file(&mut self, found: Found) -> Result<bool, Trouble> {
        let Found::Cell(cell) = found else { return Ok(false) };
        self.cell.index = cell.index; // closed by the last one out
        let id = FileId { dev: cell.dev, ino: cell.ino };
        if self.config.policy.direct && self.look_directly(id)?.at != At::Same {
            return Ok(false);
        }
        let path = self.at.dir.join(self.live_name());
        let Ok(file) = LogFile::open(&path, self.at.config.mode, Create::Never) else { return Ok(false) };
        let owned = file.try_own().map_err(|e| Trouble::Io("lock", e))?;
        let next = self.at.successor().map_err(|e| no_successor(&e))?;
        // ORDER journal/acquire.
        let untouched = next.0.mem().load(word::COMMIT, Acquire) == 0;
        let same = file.identity() == id && file.size().is_ok_and(|size| size == cell.end) && cell.op == 0;
        if !(owned && untouched && same) {
            return Ok(false);
        }
        (self.cell, self.file) = (cell, Some(file));
        self.resume_index();
        Ok(true)
    }

    fn leave_the_file(&mut self) {
        if Attached::is_empty(self.at.mem(), &self.at.geometry) {
            self.close_index();
        }
        self.at.mem().store(word::RETIRED, retired::LEFT, Relaxed);
        (self.file, self.new_file) = (None, None);
        self.found = None;
    }

    /// What is committed here goes into the successor's ring, some kilobytes as one record.
    fn hand_over(&mut self) -> Result<Swept, Trouble> {
        let mut swept = Swept::default();
        if self.at.slot.is_none() {
            return Ok(swept); // a sidecar: it goes on in the successor, and one of those who write here does this
        }
        self.drainer.collect(self.at.mem());
        let mut taken_by: Vec<Arc<Membership>> = Vec::new();
        while let Some(batch) =
            self.drainer.next_batch(self.at.mem(), |bytes, len| bytes > 0 && bytes + len > PORTION)
        {
            self.drainer.prepare(self.at.mem());
            if batch.bytes > 0 {
                match self.append_to_successor() {
                    Ok(next) => taken_by.push(next),
                    Err(trouble) => {
                        self.drainer.abort(self.at.mem());
                        return Err(trouble);
                    }
                }
            }
            self.commit()?;
            swept.records += batch.records;
            swept.bytes += batch.bytes;
        }
        // A writer goes on behind them in whatever segment is the last one then: if that one was removed, too, in
        // another one than they are in.
        taken_by.dedup_by(|a, b| Arc::ptr_eq(a, b));
        for next in taken_by {
            next.0.flush(PASSED_ON);
        }
        self.swept_all();
        self.forward_tickets();
        if self.retry_ns != 0 {
            self.recovered();
        }
        Ok(swept)
    }

    fn append_to_successor(&mut self) -> Result<Arc<Membership>, Trouble> {
        let other = |e: &dyn std::fmt::Display| {
            Trouble::Io("attach to the new segment of", std::io::Error::other(e.to_string()))
        };
        let next = self.at.successor().map_err(|e| other(&e))?;
        let (to, mem) = (&next.0, next.0.mem());
        let Some(slot) = to.slot else { return Err(other(&"it has no place for us")) };
        let mut copies: Vec<Vec<u8>> = Vec::new();
        for piece in self.drainer.pieces() {
            let mut bytes = Vec::new();
            match *piece {
                Piece::Ring { at, len } => self.at.mem().get(at, len, &mut bytes),
                Piece::Staged { at, len } => {
                    bytes.extend_from_slice(self.drainer.staging().get(at..at + len).unwrap_or_default());
                }
            }
            copies.push(bytes);
        }
        let parts: Vec<&[u8]> = copies.iter().map(Vec::as_slice).collect();
        let who = Lessee { writer: mem.add(word::WRITERS, 1, Relaxed), pid: u64::from(sys::pid()), start: 0 };
        let mut producer = Producer::new(to.geometry, slot, 0).named(who, to.config.checksums);
        to.start_flusher_if(true);
        let mut done = producer.append(mem, HANDED_OVER, &Parts(&parts));
        for _ in 0..ROOM_MS {
            if done != Err(Refused::Full) {
                break;
            }
            to.ring();
            std::thread::sleep(Duration::from_millis(1));
            done = producer.append(mem, HANDED_OVER, &Parts(&parts));
        }
        producer.seal(mem);
        to.ring();
        match done {
            Ok(_) => Ok(next),
            Err(Refused::Full) => Err(other(&"it is full")),
            Err(refused) => Err(other(&format!("{refused:?}"))),
        }
    }

    /// Who waits for the disk here waits for the successor's sync.
    fn forward_tickets(&mut self) {
        let mem = self.at.mem();
        if mem.load(word::SYNC_WANT, Relaxed) != mem.load(word::SYNC_DONE, Relaxed)
            && let Ok(next) = self.at.successor()
        {
            let tickets = mem.load(word::SYNC_WANT, Relaxed);
            if next.0.sync(Duration::from_millis(100)).is_ok() {
                self.unsynced = false;
                self.archives_synced = true;
                self.serve_syncs(tickets);
            }
        }
    }
}

fn no_successor(e: &dyn std::fmt::Display) -> Trouble {
    Trouble::Io("hand records over to the new segment of", std::io::Error::other(e.to_string()))
}
