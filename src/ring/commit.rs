//! The second half of a sweep: pending, written, committed, recycled.
//!
//! `prepare` before the first byte is written, `commit` after the last, `abort` if that fails. What is
//! pending under a batch number becomes true with that number, in one store (see [`journal`]); the
//! stores after it only bring the words into a form that outlives the number.

use super::journal::{self, Cell};
use super::layout::{Counter, DrainWord, Phase, State, lease, slot, word};
use super::mem::Mem;
use super::sweep::{Big, Deposed, Drainer, View, add_mine, bump};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

impl Drainer {
    /// Marks the batch as pending in the segment. Call before its first byte is written.
    pub fn prepare<M: Mem>(&self, mem: &M) {
        self.begin_writing(mem);
        for &chunk in &self.touched {
            if let Some(v) = self.views.get(chunk as usize) {
                let word = DrainWord::new(v.base, v.pend, self.commit.wrapping_add(1), v.generation);
                mem.store(self.geometry.drain(chunk), word.0, Relaxed);
            }
        }
    }

    /// From here to the next commit, bytes beyond the journalled end of the file are ours: a successor cuts them.
    pub fn begin_writing<M: Mem>(&self, mem: &M) {
        mem.store(word::WRITING, self.commit.wrapping_add(1), Relaxed);
    }

    /// None of them is left, though there is no commit.
    pub fn end_writing<M: Mem>(&self, mem: &M) {
        mem.store(word::WRITING, 0, Relaxed);
    }

    /// Whether bytes beyond the journalled end of the file may be ours, or a dead predecessor's.
    pub fn was_writing<M: Mem>(&self, mem: &M) -> bool {
        mem.load(word::WRITING, Relaxed) == self.commit.wrapping_add(1)
    }

    /// Takes the batch back: nothing of it counts as written. The next collection finds it again.
    pub fn abort<M: Mem>(&mut self, mem: &M) {
        for &chunk in &self.touched {
            if let Some(v) = self.views.get_mut(chunk as usize) {
                (v.pend, v.pend_off, v.pend_bytes) = (v.base, v.off, 0);
                let word = DrainWord::new(v.base, v.base, self.commit, v.generation);
                mem.store(self.geometry.drain(chunk), word.0, Relaxed);
            }
        }
        self.begin_batch();
        self.next = self.order.len();
    }

    /// Commits the batch, whose bytes are in the file up to `cell.end`; an empty batch journals `cell`
    /// alone. Chunks that are sealed and drained go back to FREE.
    pub fn commit<M: Mem>(&mut self, mem: &M, cell: &Cell) -> Result<(), Deposed> {
        if mem.load(word::EPOCH, Relaxed) != self.epoch {
            return Err(Deposed);
        }
        self.commit = self.commit.wrapping_add(1);
        journal::write(mem, self.commit, cell);
        self.free_bigs(mem);
        for gap in core::mem::take(&mut self.gaps) {
            self.told_up_to(mem, gap.slot, gap.upto);
        }
        for i in 0..self.touched.len() {
            if let Some(&chunk) = self.touched.get(i) {
                self.fold(mem, chunk);
            }
        }
        for (c, n) in [
            (Counter::LostCorrupt, self.batch.lost),
            (Counter::BadChecksums, self.batch.refused),
            (Counter::Notes, self.batch.notes),
        ] {
            if n > 0 {
                bump(mem, c, n);
            }
        }
        if self.batch.records > 0 {
            bump(mem, Counter::Records, self.batch.records);
            bump(mem, Counter::Bytes, self.batch.bytes);
            bump(mem, Counter::Batches, 1);
        }
        self.begin_batch();
        Ok(())
    }

    /// After the commit: the pending records are the base now, and the chunk is recycled if done.
    fn fold<M: Mem>(&mut self, mem: &M, chunk: u32) {
        let Some(v) = self.views.get_mut(chunk as usize) else {
            return;
        };
        let (records, bytes) = (v.pend - v.base, v.pend_bytes);
        (v.base, v.off, v.pend_bytes, v.key) = (v.pend, v.pend_off, 0, v.pend_key);
        let folded = DrainWord::new(v.base, v.base, self.commit, v.generation);
        let (base, generation) = (v.base, v.generation);
        if base == records {
            let slot = State(mem.load(self.geometry.state(chunk), Relaxed)).slot();
            self.told(mem, chunk, slot);
        }
        // ORDER fold/release: after the batch number, and after the continuations went back.
        mem.store(self.geometry.drain(chunk), folded.0, Release);
        // ORDER seal/acquire: an owner that sealed has let go of the chunk.
        let state = State(mem.load(self.geometry.state(chunk), Acquire));
        if state.slot() < self.geometry.slots() {
            let at = self.geometry.slot(state.slot());
            if mem.load(self.geometry.lease(chunk, lease::PID), Relaxed) != mem.load(at + slot::PID, Relaxed)
            {
                return self.recycle_if_done(mem, chunk, state, generation, base);
            }
            add_mine(mem, at + slot::RECORDS, u64::from(records));
            add_mine(mem, at + slot::RECORD_BYTES, bytes);
        }
        self.recycle_if_done(mem, chunk, state, generation, base);
    }

    fn recycle_if_done<M: Mem>(&mut self, mem: &M, chunk: u32, state: State, generation: u64, base: u32) {
        if state.phase() == Some(Phase::Sealed)
            && state.generation() == generation
            && base >= self.count(state)
        {
            self.recycle(mem, chunk, state);
        }
    }

    /// Continuations of the records just committed go back to FREE, before the cursor that names
    /// their list is folded: a successor that finds the batch unfolded does it again, harmlessly.
    fn free_bigs<M: Mem>(&mut self, mem: &M) {
        for i in core::mem::take(&mut self.batch_bigs) {
            let Some(big) = self.bigs.get(i as usize).cloned() else {
                continue;
            };
            self.free_parts(mem, &big);
        }
    }

    pub(super) fn free_parts<M: Mem>(&mut self, mem: &M, big: &Big) {
        for p in &big.parts {
            self.free_big(mem, p.chunk(), State::new(Phase::Big, 0, big.slot, p.generation()));
        }
    }

    /// BIG -> FREE by CAS on the exact word, so that doing it twice does it once.
    pub(super) fn free_big<M: Mem>(&mut self, mem: &M, chunk: u32, state: State) {
        let next = state.recycled();
        // ORDER recycle/release: our reads of the chunk are before the next owner's writes.
        if mem.cas(self.geometry.state(chunk), state.0, next.0, Release, Relaxed).is_ok() {
            self.restart(mem, chunk, next.generation());
        }
    }

    pub(super) fn recycle_idle<M: Mem>(&mut self, mem: &M) {
        for i in 0..self.idle.len() {
            let Some(&chunk) = self.idle.get(i) else {
                continue;
            };
            let state = State(mem.load(self.geometry.state(chunk), Relaxed));
            let mine = self.views.get(chunk as usize).is_some_and(|v| v.generation == state.generation());
            if mine && state.phase() == Some(Phase::Sealed) {
                self.recycle(mem, chunk, state);
            }
        }
        self.idle.clear();
    }

    /// SEALED and drained -> FREE with the next generation (I4).
    pub(super) fn recycle<M: Mem>(&mut self, mem: &M, chunk: u32, state: State) {
        let next = state.recycled();
        // ORDER recycle/release: our reads of the chunk are before the next owner's writes.
        mem.store(self.geometry.state(chunk), next.0, Release);
        self.restart(mem, chunk, next.generation());
    }

    /// A chunk starts its next life with cursors at zero. Between the two stores the drain word names
    /// the former generation, which counts as zero too.
    fn restart<M: Mem>(&mut self, mem: &M, chunk: u32, generation: u64) {
        let word = DrainWord::new(0, 0, self.commit, generation);
        // ORDER restart/release: after the chunk has become FREE.
        mem.store(self.geometry.drain(chunk), word.0, Release);
        if let Some(v) = self.views.get_mut(chunk as usize) {
            *v = View { generation, ..View::default() };
        }
        self.free += 1;
        self.freed += 1;
    }
}
