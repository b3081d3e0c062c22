//! What the flusher itself has to say in the log: drops that no later record tells of, and deaths.
//!
//! A note on its own is a batch without records. What it told of stands in the journal with it, so whoever takes
//! over after a kill between the commit and the bookkeeping does the bookkeeping, and writes nothing twice.

use super::index::Told;
use super::{Event, Flusher, Trouble, occupant};
use crate::index::{Died, Drops};
use crate::options::Config;
use crate::ring::journal::{Found, Note};
use crate::ring::layout::{Counter, LEVELS, SlotWord, pack_drops, slot, unpack_drops};
use crate::ring::mem::Mem;
use crate::ring::note::{Fact, Who};
use crate::ring::reclaim::{drops, last_occupant, reported};
use crate::ring::sweep::{Manner, bump};
use crate::sys;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// How the drain is to treat what it finds.
pub(super) fn manner(config: &Config) -> Manner {
    Manner {
        must_check: config.checksums,
        notes: config.notes,
        terminator: config.terminator.clone(),
        now_ns: sys::unix_ns(),
    }
}

impl Flusher<'_> {
    /// The last note was committed: what it told of is told, even if its writer did not come to say so.
    pub(super) fn recall_note(&mut self) {
        if let Some(Found::Cell(cell)) = self.found
            && let Some(slot) = cell.note.slot_of_dropped()
        {
            self.drainer.told_up_to(self.at.mem(), slot, unpack_drops(&cell.note.upto));
        }
    }

    /// Tells of dropped records behind which no record of their process stands yet: of processes that have
    /// left, and of all others when they are quiet. True if there was something to tell.
    pub(super) fn tell_drops(&mut self, at_the_end: bool) -> bool {
        if self.retry_ns != 0 || self.found.is_some() {
            return false;
        }
        let mut told = false;
        for slot in 0..self.at.geometry.slots() {
            match self.tell_drops_of(slot) {
                Ok(yes) => told |= yes,
                Err(trouble) => {
                    self.note(&trouble);
                    return true;
                }
            }
        }
        told && !at_the_end
    }

    fn tell_drops_of(&mut self, slot: u32) -> Result<bool, Trouble> {
        let (mem, g) = (self.at.mem(), self.at.geometry);
        if SlotWord(mem.load(g.slot(slot) + slot::WORD, Relaxed)) == SlotWord(0) {
            return Ok(false); // never used
        }
        // ORDER drops/acquire: what the process had committed before it dropped these is found below.
        let all = drops(mem, g, slot);
        let told = reported(mem, g, slot);
        let fresh: [u64; LEVELS] = std::array::from_fn(|i| {
            u64::try_from((all[i] as u32).wrapping_sub(told[i] as u32) as i32).unwrap_or(0)
        });
        if fresh == [0; LEVELS] {
            return Ok(false);
        }
        if self.drainer.collect(mem) > 0 || self.drainer.has_deferred() {
            return Ok(true); // those come first
        }
        let id = last_occupant(mem, g, slot);
        let upto = pack_drops(&all);
        let (pid, start) = (id.pid, id.start);
        let line = self.drainer.note(&Who { pid, name: id.name }, &Fact::Dropped(fresh));
        let told = Told::Drops(Drops { pid, start, records: fresh });
        self.insert(line, Note::dropped(slot, upto), told)?;
        self.drainer.told_up_to(self.at.mem(), slot, unpack_drops(&upto));
        Ok(true)
    }

    /// Second half of the cleaning up after the dead: their last records are written, then a note of their
    /// death, if one is wanted, then their slots are free.
    pub(super) fn bury(&mut self, dead: &[u32]) {
        if let Err(trouble) = self.sweep() {
            self.note(&trouble);
        }
        self.drainer.manner.now_ns = sys::unix_ns();
        for &slot in dead {
            let Some(id) = occupant(self.at.mem(), self.at.geometry, slot) else { continue };
            let unfinished = self.at.mem().load(self.at.geometry.slot(slot) + slot::UNFINISHED, Relaxed);
            let records = self.drainer.records_of(self.at.mem(), slot);
            let who = Who { pid: id.pid, name: id.name };
            let died = Died { pid: id.pid, start: id.start, records, unfinished };
            if let Err(trouble) = self.tell_death(slot, &who, died) {
                self.note(&trouble); // the next round finds the slot as it is
                return;
            }
            self.drainer.reap_end(self.at.mem(), slot);
            let Who { pid, name } = who;
            (self.tell)(Event::Reaped { pid, name, lost_unfinished: unfinished > 0, records });
        }
    }

    fn tell_death(&mut self, slot: u32, who: &Who, died: Died) -> Result<(), Trouble> {
        let wanted = self.config.death_notes || self.index.is_some();
        if !wanted || self.retry_ns != 0 || self.found.is_some() {
            return Ok(());
        }
        let at = self.at.geometry.slot(slot) + slot::WORD;
        // ORDER reap/acquire.
        let note = Note::died(slot, SlotWord(self.at.mem().load(at, Acquire)).generation());
        if self.cell.note == note {
            return Ok(()); // told by a flusher that was killed before the slot was free
        }
        let fact = Fact::Died { records: died.records, unfinished: died.unfinished };
        let line = self.drainer.note(who, &fact).filter(|_| self.config.death_notes);
        self.insert(line, note, Told::Died(died))
    }

    /// Writes a note at the end of the file, as a batch of its own.
    /// With an index, what no line tells is told there.
    fn insert(&mut self, line: Option<Vec<u8>>, note: Note, told: Told) -> Result<(), Trouble> {
        if line.is_none() && self.index.is_none() {
            return Ok(());
        }
        let line = line.unwrap_or_default();
        self.check_end()?;
        let (policy, len) = (self.config.policy, line.len() as u64);
        if len > 0
            && self.backoff.is_due(sys::monotonic_ns() / super::MS)
            && policy.must_rotate_before(self.cell.end, len)
        {
            self.rotate(policy.stage())?;
        }
        let Some(file) = &self.file else { return Err(Trouble::Busy) };
        self.drainer.begin_writing(self.at.mem());
        if let Err(e) = file.write_bytes(&line, self.cell.end) {
            self.cut();
            return Err(Trouble::Io("write to", e.cause));
        }
        self.index_note(&line, told);
        self.cell.end += len;
        self.cell.note = note;
        self.commit()?;
        if len == 0 {
            return Ok(());
        }
        bump(self.at.mem(), Counter::Notes, 1);
        self.wrote()
    }

    /// Takes back what a failed write may have left behind the journalled end.
    pub(super) fn cut(&mut self) {
        match self.file.as_ref().map_or(Ok(()), |file| file.truncate(self.cell.end)) {
            Ok(()) => self.drainer.end_writing(self.at.mem()),
            // Cut it before anything else, or part of it would be taken for somebody's.
            Err(_) => self.found = Some(Found::Cell(self.cell)),
        }
    }
}
