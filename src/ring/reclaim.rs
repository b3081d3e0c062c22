//! Take-over after a dead flusher, cleaning up after dead producers, taking back idle leases, and
//! the slots that say which process owns what.
//!
//! Only the kernel's word makes an owner dead (its lock on the slot is free, or its process is
//! provably gone), never time. A BUSY chunk of a living owner is not touched, however long it stays
//! so (I3).

use super::journal::{self, Found};
use super::layout::{
    Counter, DROPS_BYTES, DrainWord, Geometry, LEVELS, Meta, Phase, SlotPhase, SlotWord, State, death, lease,
    pack_drops, slot, unpack_drops, word,
};
use super::mem::Mem;
use super::sweep::{Drainer, add_mine, bump};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// What the take-over found, for the driver to bring the file in line.
#[derive(Debug)]
pub struct TakeOver {
    /// The drain, its cursors folded: ready to collect.
    pub drainer: Drainer,
    /// Where the file stands.
    pub found: Found,
}

/// Starts this process's turn as flusher. The caller holds the flusher's lock, so the former holder
/// is dead or has let go. Folding is idempotent: a successor killed here costs nothing.
pub fn take_over<M: Mem>(mem: &M, geometry: Geometry) -> TakeOver {
    let epoch = mem.add(word::EPOCH, 1, Relaxed).wrapping_add(1);
    let (commit, found) = journal::read(mem);
    let mut drainer = Drainer::new(geometry, commit, epoch);
    for chunk in 0..geometry.chunks() {
        drainer.fold_found(mem, chunk);
    }
    TakeOver { drainer, found }
}

/// After a crash of the whole machine each page of a mapped file can be of another age. Nothing is drained of a chunk that holds
/// nothing, whatever its drain word says: left as it is, records that somebody writes there before the first take-over would
/// pass for drained. The caller is alone with the segment.
pub fn after_a_crash<M: Mem>(mem: &M, geometry: Geometry) {
    let (commit, _) = journal::read(mem);
    for chunk in 0..geometry.chunks() {
        let state = State(mem.load(geometry.state(chunk), Relaxed));
        if state.phase() == Some(Phase::Free) {
            mem.store(geometry.drain(chunk), DrainWord::new(0, 0, commit, state.generation()).0, Relaxed);
        }
    }
    journal::distrust(mem);
}

impl Drainer {
    /// Decides what of a chunk is in the file, and writes that down in a form that no later batch
    /// number can reinterpret.
    fn fold_found<M: Mem>(&mut self, mem: &M, chunk: u32) {
        // ORDER commit/acquire, seal/acquire.
        let state = State(mem.load(self.geometry.state(chunk), Acquire));
        let drain = DrainWord(mem.load(self.geometry.drain(chunk), Relaxed));
        let generation = state.generation();
        let holds_records = matches!(state.phase(), Some(Phase::Open | Phase::Busy | Phase::Sealed));
        let done = if holds_records { drain.effective(generation, self.committed()) } else { 0 };
        let count = self.count(state);
        if done > count {
            bump(mem, Counter::CorruptChunks, 1);
        }
        let done = done.min(count);
        let fresh_from = if drain.base() < done { drain.base() } else { done };
        let sum = self.walk(mem, chunk, state.slot(), done, fresh_from);
        if done > 0 && drain.base() == 0 {
            self.told(mem, chunk, state.slot());
        }
        let word = DrainWord::new(done, done, self.committed(), generation);
        // ORDER fold/release: after the continuations went back.
        mem.store(self.geometry.drain(chunk), word.0, Release);
        if let Some(v) = self.views.get_mut(chunk as usize) {
            v.generation = generation;
            v.base = done;
            v.off = sum.unwrap_or(0);
            v.corrupt_from = sum.is_none().then_some(0);
        }
    }

    /// Payload bytes of the first `done` records; `None` if they do not fit the chunk. Continuations
    /// of those from `fresh_from` on are freed, in case the dead flusher had not come to it.
    fn walk<M: Mem>(&mut self, mem: &M, chunk: u32, slot: u32, done: u32, fresh_from: u32) -> Option<u32> {
        let mut off = 0u32;
        for i in 0..done {
            let at = self.geometry.record(chunk, i);
            let meta = Meta(mem.get_word(at + 8));
            let end = u64::from(off) + u64::from(meta.len());
            let headers = (u64::from(i) + 1) * 16;
            if end + headers > self.geometry.chunk_bytes() as u64 {
                return None;
            }
            if meta.is_big()
                && i >= fresh_from
                && let Some(big) = self.read_big_list(mem, chunk, off, meta, slot)
            {
                self.free_parts(mem, &big);
            }
            if meta.tells_drops() && meta.len() as usize >= DROPS_BYTES && !meta.is_big() && i >= fresh_from {
                self.told_up_to(mem, slot, self.told_by(mem, chunk, off));
            }
            off = end as u32;
        }
        Some(off)
    }

    /// Takes back leases whose owners have written nothing since the sweep before; returns how many.
    /// A stopped owner's too, if it is not in the middle of a record.
    pub fn revoke_idle<M: Mem>(&mut self, mem: &M) -> u32 {
        let mut revoked = 0;
        for chunk in 0..self.geometry.chunks() {
            let still = self.views.get(chunk as usize).map_or(0, |v| v.still);
            let at = self.geometry.state(chunk);
            let state = State(mem.load(at, Relaxed));
            if still == 0 || state.phase() != Some(Phase::Open) {
                continue;
            }
            // ORDER revoke/relaxed: the sweep that read the records acquired the owner's last commit.
            if mem.cas(at, state.0, state.with(Phase::Sealed).0, Relaxed, Relaxed).is_ok() {
                revoked += 1;
            }
        }
        bump(mem, Counter::Revoked, u64::from(revoked));
        revoked
    }

    /// Takes back all leases, so that their owners look whether the segment is retired.
    pub fn revoke_all<M: Mem>(&mut self, mem: &M) {
        for chunk in 0..self.geometry.chunks() {
            let at = self.geometry.state(chunk);
            let state = State(mem.load(at, Relaxed));
            if state.phase() == Some(Phase::Open) {
                // ORDER revoke/relaxed: the collection that follows acquires the owner's last commit. If it
                // fails, the owner is at work, and the next sweep finds it.
                let _ = mem.cas(at, state.0, state.with(Phase::Sealed).0, Relaxed, Relaxed);
            }
        }
    }

    /// Cleans up after the owner of `slot` if `dead` proves that it is, and frees the slot.
    pub fn reap<M: Mem>(&mut self, mem: &M, slot: u32, dead: impl FnOnce() -> bool) -> bool {
        let reaped = self.reap_begin(mem, slot, dead);
        if reaped {
            self.reap_end(mem, slot);
        }
        reaped
    }

    /// First half of the cleaning up: if `dead` proves that the owner of `slot` is dead, its chunks are
    /// sealed at their committed counts. Returns true if the slot waits for [`Drainer::reap_end`].
    ///
    /// The CAS comes after the proof: had the old owner left and a new one come in between, the
    /// generation would have moved. REAPING makes a flusher's death in here resumable.
    pub fn reap_begin<M: Mem>(&mut self, mem: &M, slot: u32, dead: impl FnOnce() -> bool) -> bool {
        let at = self.geometry.slot(slot) + slot::WORD;
        let found = SlotWord(mem.load(at, Acquire));
        let reaping = SlotWord::new(SlotPhase::Reaping, found.generation());
        match found.phase() {
            Some(SlotPhase::Alive) => {
                // ORDER reap/acquire: all that the dead owner did is before our cleaning up.
                if !dead() || mem.cas(at, found.0, reaping.0, AcqRel, Relaxed).is_err() {
                    return false;
                }
            }
            Some(SlotPhase::Reaping) => {}
            _ => return false,
        }
        let busy = self.seal_all(mem, slot);
        let big = self.free_unnamed_bigs(mem, slot);
        // Who dies while it fills continuations has not begun the record that names them.
        let unfinished = busy.max(u64::from(big > 0));
        add_mine(mem, self.geometry.slot(slot) + slot::UNFINISHED, unfinished);
        bump(mem, Counter::LostUnfinished, unfinished);
        true
    }

    /// Second half: the death goes into the table, and the slot is free.
    pub fn reap_end<M: Mem>(&mut self, mem: &M, slot: u32) {
        let at = self.geometry.slot(slot) + slot::WORD;
        let found = SlotWord(mem.load(at, Relaxed));
        if found.phase() != Some(SlotPhase::Reaping) {
            return;
        }
        self.enter_death(mem, slot);
        bump(mem, Counter::Reaped, 1);
        // ORDER slot/release: the cleaning up is before the next owner's registration.
        mem.store(at, SlotWord::new(SlotPhase::Free, found.generation() + 1).0, Release);
    }

    fn enter_death<M: Mem>(&self, mem: &M, slot: u32) {
        let from = self.geometry.slot(slot);
        let n = mem.load(word::DEATHS, Relaxed);
        let to = super::layout::death(n);
        let copy = |a: usize, b: usize| mem.store(to + a, mem.load(from + b, Relaxed), Relaxed);
        copy(death::PID, slot::PID);
        copy(death::START, slot::START);
        copy(death::PID_NS, slot::PID_NS);
        copy(death::ATTACHED_NS, slot::ATTACHED_NS);
        copy(death::UNFINISHED, slot::UNFINISHED);
        for i in (0..slot::NAME_BYTES).step_by(8) {
            copy(death::NAME + i, slot::NAME + i);
        }
        mem.store(to + death::RECORDS, self.records_of(mem, slot), Relaxed);
        mem.store(to + death::DIED_NS, self.manner.now_ns, Relaxed);
        mem.store(word::DEATHS, n.wrapping_add(1), Relaxed);
    }

    /// Records that the owner of `slot` has committed, whether already in the file or not.
    pub fn records_of<M: Mem>(&self, mem: &M, slot: u32) -> u64 {
        let at = self.geometry.slot(slot);
        let pid = mem.load(at + slot::PID, Relaxed);
        let mut records = mem.load(at + slot::RECORDS, Relaxed);
        for chunk in 0..self.geometry.chunks() {
            // ORDER commit/acquire.
            let state = State(mem.load(self.geometry.state(chunk), Acquire));
            let holds = matches!(state.phase(), Some(Phase::Open | Phase::Busy | Phase::Sealed));
            let (Some(v), true) = (self.views.get(chunk as usize), holds && state.slot() == slot) else {
                continue;
            };
            if mem.load(self.geometry.lease(chunk, lease::PID), Relaxed) == pid {
                let base = if v.generation == state.generation() { v.base } else { 0 };
                records = records.wrapping_add(u64::from(self.count(state).saturating_sub(base)));
            }
        }
        records
    }

    /// Seals what the dead owner had leased; returns how many records it was writing.
    fn seal_all<M: Mem>(&mut self, mem: &M, slot: u32) -> u64 {
        let mut unfinished = 0;
        for chunk in 0..self.geometry.chunks() {
            let at = self.geometry.state(chunk);
            // ORDER commit/acquire.
            let state = State(mem.load(at, Acquire));
            if state.slot() != slot || !matches!(state.phase(), Some(Phase::Open | Phase::Busy)) {
                continue;
            }
            let sealed = state.with(Phase::Sealed);
            if mem.cas(at, state.0, sealed.0, Relaxed, Relaxed).is_ok() && state.phase() == Some(Phase::Busy)
            {
                unfinished += 1;
            }
        }
        unfinished
    }

    /// Frees continuations of a dead owner that no committed, undrained record names; returns how many.
    fn free_unnamed_bigs<M: Mem>(&mut self, mem: &M, slot: u32) -> usize {
        let mine: Vec<(u32, State)> = (0..self.geometry.chunks())
            .map(|c| (c, State(mem.load(self.geometry.state(c), Acquire))))
            .filter(|(_, s)| s.slot() == slot && s.phase() == Some(Phase::Big))
            .collect();
        if mine.is_empty() {
            return 0;
        }
        let named = self.named_bigs(mem, slot);
        let mut freed = 0;
        for (chunk, state) in mine {
            if !named.contains(&(chunk, state.generation())) {
                self.free_big(mem, chunk, state);
                freed += 1;
            }
        }
        freed
    }

    fn named_bigs<M: Mem>(&self, mem: &M, slot: u32) -> Vec<(u32, u64)> {
        let mut named = Vec::new();
        for chunk in 0..self.geometry.chunks() {
            let state = State(mem.load(self.geometry.state(chunk), Acquire));
            let holds = matches!(state.phase(), Some(Phase::Open | Phase::Busy | Phase::Sealed));
            let Some(v) = self.views.get(chunk as usize) else {
                continue;
            };
            if !holds || state.slot() != slot {
                continue;
            }
            let (base, mut off) = if v.generation == state.generation() { (v.base, v.off) } else { (0, 0) };
            for i in base..self.count(state) {
                let meta = Meta(mem.get_word(self.geometry.record(chunk, i) + 8));
                if u64::from(off) + u64::from(meta.len()) > self.geometry.chunk_bytes() as u64 {
                    break;
                }
                if meta.is_big()
                    && let Some(big) = self.read_big_list(mem, chunk, off, meta, slot)
                {
                    named.extend(big.parts.iter().map(|p| (p.chunk(), p.generation())));
                }
                off += meta.len();
            }
        }
        named
    }
}

/// Who registers: evidence for the flusher, and for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Process id, in its own pid namespace.
    pub pid: u64,
    /// Start time, in the platform's own unit.
    pub start: u64,
    /// Which pid namespace.
    pub pid_ns: u64,
    /// Unix time in nanoseconds.
    pub attached_ns: u64,
    /// Name of the program.
    pub name: String,
}

/// Makes `slot` the caller's. The caller holds the kernel's lock on it; false if it is not free (its
/// former owner is dead and not yet cleaned up). The evidence is written before the slot is ALIVE.
pub fn register<M: Mem>(mem: &M, geometry: Geometry, slot: u32, id: &Identity) -> bool {
    let at = geometry.slot(slot);
    // ORDER slot/acquire.
    let found = SlotWord(mem.load(at + slot::WORD, Acquire));
    if found.phase() != Some(SlotPhase::Free) {
        return false;
    }
    for (offset, value) in [
        (slot::PID, id.pid),
        (slot::START, id.start),
        (slot::PID_NS, id.pid_ns),
        (slot::ATTACHED_NS, id.attached_ns),
        (slot::UNFINISHED, 0),
        (slot::RECORDS, 0),
        (slot::RECORD_BYTES, 0),
        (slot::TOO_LONG, 0),
        (slot::BLOCKED_NS, 0),
    ] {
        mem.store(at + offset, value, Relaxed);
    }
    // Dropped records are never forgotten: the slot's totals go on.
    for (i, word) in pack_drops(&drops(mem, geometry, slot)).into_iter().enumerate() {
        mem.store(at + slot::DROPS_BEFORE + 8 * i, word, Relaxed);
    }
    for (i, word) in name_words(&id.name).into_iter().enumerate() {
        mem.store(at + slot::NAME + 8 * i, word, Relaxed);
    }
    let alive = SlotWord::new(SlotPhase::Alive, found.generation());
    // ORDER alive/release: the evidence is before the claim that somebody lives here.
    mem.cas(at + slot::WORD, found.0, alive.0, Release, Relaxed).is_ok()
}

/// Records dropped by all that ever held `slot`, by severity.
pub fn drops<M: Mem>(mem: &M, geometry: Geometry, slot: u32) -> [u64; LEVELS] {
    let at = geometry.slot(slot) + slot::DROPS;
    // ORDER drops/acquire.
    core::array::from_fn(|i| mem.load(at + 8 * i, Acquire))
}

/// Dropped records of a slot that the log tells of, by severity.
pub fn reported<M: Mem>(mem: &M, geometry: Geometry, slot: u32) -> [u64; LEVELS] {
    let at = geometry.slot(slot) + slot::REPORTED;
    core::array::from_fn(|i| mem.load(at + 8 * i, Relaxed))
}

/// Records dropped by who holds `slot` now, or held it last, by severity.
pub fn own_drops<M: Mem>(mem: &M, geometry: Geometry, slot: u32) -> [u64; LEVELS] {
    let at = geometry.slot(slot) + slot::DROPS_BEFORE;
    let before = unpack_drops(&core::array::from_fn(|i| mem.load(at + 8 * i, Relaxed)));
    let all = drops(mem, geometry, slot);
    core::array::from_fn(|i| u64::from((all[i] as u32).wrapping_sub(before[i])))
}

/// Gives the slot back; the caller still holds its lock, and has sealed its chunks.
pub fn deregister<M: Mem>(mem: &M, geometry: Geometry, slot: u32) {
    let at = geometry.slot(slot) + slot::WORD;
    let found = SlotWord(mem.load(at, Relaxed));
    if found.phase() == Some(SlotPhase::Alive) {
        let free = SlotWord::new(SlotPhase::Free, found.generation() + 1);
        // ORDER slot/release: all that the owner did is before the next owner's registration.
        let _ = mem.cas(at, found.0, free.0, Release, Relaxed);
    }
}

/// Reads who holds `slot`; `None` if nobody does.
pub fn occupant<M: Mem>(mem: &M, geometry: Geometry, slot: u32) -> Option<Identity> {
    // ORDER alive/acquire.
    let found = SlotWord(mem.load(geometry.slot(slot) + slot::WORD, Acquire));
    let held = matches!(found.phase(), Some(SlotPhase::Alive | SlotPhase::Reaping));
    held.then(|| last_occupant(mem, geometry, slot))
}

/// Reads who holds `slot`, or held it last.
pub fn last_occupant<M: Mem>(mem: &M, geometry: Geometry, slot: u32) -> Identity {
    let at = geometry.slot(slot);
    Identity {
        pid: mem.load(at + slot::PID, Relaxed),
        start: mem.load(at + slot::START, Relaxed),
        pid_ns: mem.load(at + slot::PID_NS, Relaxed),
        attached_ns: mem.load(at + slot::ATTACHED_NS, Relaxed),
        name: name_at(mem, at + slot::NAME),
    }
}

/// A process that died without leaving.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Death {
    /// Who it was.
    pub id: Identity,
    /// When it was found dead, nanoseconds of the Unix epoch.
    pub died_ns: u64,
    /// Records that it had committed; all of them are in the file or will be.
    pub records: u64,
    /// Records that it was writing; they are lost, and were never acknowledged.
    pub unfinished: u64,
}

/// The last deaths, newest first, and how many there have been.
pub fn deaths<M: Mem>(mem: &M) -> (u64, Vec<Death>) {
    let n = mem.load(word::DEATHS, Relaxed);
    let one = |i: u64| {
        let at = super::layout::death(i);
        let read = |what: usize| mem.load(at + what, Relaxed);
        Death {
            id: Identity {
                pid: read(death::PID),
                start: read(death::START),
                pid_ns: read(death::PID_NS),
                attached_ns: read(death::ATTACHED_NS),
                name: name_at(mem, at + death::NAME),
            },
            died_ns: read(death::DIED_NS),
            records: read(death::RECORDS),
            unfinished: read(death::UNFINISHED),
        }
    };
    (n, (n.saturating_sub(death::KEPT)..n).rev().map(one).collect())
}

fn name_at<M: Mem>(mem: &M, at: usize) -> String {
    let words: Vec<u64> = (0..slot::NAME_BYTES / 8).map(|i| mem.load(at + 8 * i, Relaxed)).collect();
    name_from(&words)
}

fn name_words(name: &str) -> [u64; slot::NAME_BYTES / 8] {
    let mut words = [0u64; slot::NAME_BYTES / 8];
    for (i, b) in name.bytes().take(slot::NAME_BYTES).enumerate() {
        if let Some(w) = words.get_mut(i / 8) {
            *w |= u64::from(b) << (8 * (i % 8));
        }
    }
    words
}

fn name_from(words: &[u64]) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).take_while(|&b| b != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
