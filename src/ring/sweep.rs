//! The flusher's side: sweep the chunks, cut at T0, merge by key, hand out batches, commit, recycle.
//!
//! ```text
//! collect:  T0 = order; every chunk's word; records with key < T0 (and those that the sweep before
//!           could already have taken) in key order
//! batch:    a prefix of them, as pieces of bytes: runs of a kilobyte or more straight out of the
//!           ring, smaller ones copied into a staging buffer
//! prepare:  drain[c] = {base, pend, batch k+1} for each chunk touched      (the driver then writes)
//! commit:   journal cell, COMMIT = k+1; drain[c] = {pend, pend}; sealed and drained chunks -> FREE
//! ```
//! **Order.** If append(A) returned before append(B) began, A stands before B. A sweep that misses A
//! loaded T0 before A's commit; B's key was taken after it, so B is not below T0 and waits.
//! `seen` bounds the waiting to one sweep, even if a key lies.
//!
//! Damage table (everything read is input, I5):
//!
//! | found | done | counted |
//! |---|---|---|
//! | unknown phase, slot out of range | chunk is left alone, and recycled if it says so | `CorruptChunks` |
//! | length beyond the chunk, bad continuation list | the record and what follows in that chunk are skipped | `CorruptChunks`, `LostCorrupt` |
//! | count beyond what the chunk has room for | taken as that much | `CorruptChunks` |
//! | keys that go backwards or repeat | written in the chunk's own order | - |
//! | count that goes backwards | nothing is written twice: the private cursor holds | - |
//! | checksum wrong, or missing where there must be one | that record is skipped | `BadChecksums`, `LostCorrupt` |

use super::layout::{
    BigEntry, Counter, DROPS_BYTES, Geometry, LEVELS, Meta, Phase, State, counter, lease, slot, unpack_drops,
    word,
};
use super::mem::Mem;
use super::note::{Fact, Notes, Who};
use super::numbers::Numbers;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

/// Bytes of a batch at most, unless a single record is longer.
pub const BATCH_BYTES: u64 = 1 << 20;
/// Runs of at least this many bytes are written out of the ring without a copy.
const DIRECT_RUN: usize = 1024;

/// What the flusher privately knows of a chunk.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct View {
    pub(super) generation: u64,
    /// Records in the file, and the payload bytes they take in the chunk.
    pub(super) base: u32,
    pub(super) off: u32,
    /// The same with the batch under way, and the bytes that batch adds to the file.
    pub(super) pend: u32,
    pub(super) pend_off: u32,
    pub(super) pend_bytes: u64,
    /// Count at the sweep before, and for how many sweeps it has not moved.
    pub(super) seen: u32,
    pub(super) still: u32,
    /// Key of the last record in the file, and of the last one in the batch under way: keys of a chunk
    /// never go backwards.
    pub(super) key: u64,
    pub(super) pend_key: u64,
    /// Something impossible was found at this record: the rest of the chunk is skipped.
    pub(super) corrupt_from: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
enum Kind {
    Plain = 0,
    /// In continuation chunks; `bigs` has its list.
    Big = 1,
    /// In a corrupt chunk: skipped.
    Lost = 2,
    /// Its checksum is wrong: skipped, but its length counts.
    Refused = 3,
    /// Its bytes stand behind totals of dropped records.
    Telling = 4,
}

impl Kind {
    fn is_written(self) -> bool {
        matches!(self, Kind::Plain | Kind::Big | Kind::Telling)
    }
}

/// A record to be written: its key, and `chunk:16 | off:21 | len:21 | kind:3` in one word, so that
/// putting records in order moves 16 bytes each and looks nothing up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rec {
    key: u64,
    place: u64,
}

impl Rec {
    /// A gap between keys.
    const NONE: Rec = Rec { key: 0, place: u64::MAX };

    #[inline]
    fn new(key: u64, chunk: u32, off: u32, len: u32, kind: Kind) -> Rec {
        let place = u64::from(chunk) | u64::from(off) << 16 | u64::from(len) << 37 | (kind as u64) << 58;
        Rec { key, place }
    }
    #[inline]
    fn is_none(self) -> bool {
        self.place == u64::MAX
    }
    #[inline]
    fn chunk(self) -> u32 {
        self.place as u32 & 0xffff
    }
    #[inline]
    fn off(self) -> u32 {
        (self.place >> 16) as u32 & 0x1f_ffff
    }
    #[inline]
    fn len(self) -> u32 {
        (self.place >> 37) as u32 & 0x1f_ffff
    }
    #[inline]
    fn kind(self) -> Kind {
        match self.place >> 58 {
            0 => Kind::Plain,
            1 => Kind::Big,
            2 => Kind::Lost,
            4 => Kind::Telling,
            _ => Kind::Refused,
        }
    }
}

/// A record in continuation chunks: its length, and each chunk with its generation.
#[derive(Clone, Debug)]
pub(super) struct Big {
    /// Where the record that names it stands.
    pub(super) chunk: u32,
    pub(super) off: u32,
    pub(super) len: usize,
    pub(super) slot: u32,
    pub(super) parts: Vec<BigEntry>,
}

/// A stretch of bytes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// In the segment.
    Ring {
        /// Offset in the segment.
        at: usize,
        /// Length in bytes.
        len: usize,
    },
    /// In [`Drainer::staging`].
    Staged {
        /// Offset in the staging buffer.
        at: usize,
        /// Length in bytes.
        len: usize,
    },
}

/// A batch that is ready to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Records in it.
    pub records: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// Records skipped because their chunk is corrupt, or their checksum wrong.
    pub lost: u64,
    /// Those of them whose checksum was wrong.
    pub refused: u64,
    /// Lines of crlog's own in it.
    pub notes: u64,
    /// Order numbers of its records.
    pub numbers: Numbers,
    /// The record after it wants a rotation first.
    pub rotate: bool,
}

/// A record as the collection finds it: its number and place in the chunk, and its header.
#[derive(Clone, Copy, Debug)]
struct Found {
    i: u32,
    off: u32,
    key: u64,
    meta: Meta,
}

/// Another process has bumped the epoch: this one must not touch the journal again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deposed;

/// How the drain treats what it finds; from the log's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// A record without checksum is refused.
    pub must_check: bool,
    /// How crlog's own lines look, and what ends them.
    pub notes: Notes,
    /// See `notes`.
    pub terminator: Vec<u8>,
    /// The time, as the driver last looked at it; nanoseconds of the Unix epoch.
    pub now_ns: u64,
}

/// A note of dropped records that goes before the first record of a chunk.
#[derive(Clone, Debug)]
pub(super) struct Gap {
    pub(super) slot: u32,
    pub(super) upto: [u32; LEVELS],
    line: Vec<u8>,
    /// For the index: who, and how many.
    pub(super) pid: u64,
    pub(super) start: u64,
    pub(super) drops: [u64; LEVELS],
}

/// The drain: private cursors of the one process that holds the flusher's lock.
#[derive(Debug)]
pub struct Drainer {
    pub(super) geometry: Geometry,
    pub(super) views: Vec<View>,
    pub(super) commit: u64,
    pub(super) epoch: u64,
    pub(super) recs: Vec<Rec>,
    pub(super) bigs: Vec<Big>,
    /// `recs` by key, with gaps; `next` is the first one not yet handed out.
    pub(super) order: Vec<Rec>,
    pub(super) next: usize,
    pub(super) touched: Vec<u32>,
    pub(super) batch: Batch,
    pub(super) batch_bigs: Vec<u32>,
    pub(super) idle: Vec<u32>,
    pub(super) pieces: Vec<Piece>,
    pub(super) staging: Vec<u8>,
    pub(super) free: u32,
    pub(super) freed: u32,
    pub(super) deferred: bool,
    /// Most bytes of a batch, unless its first record has more; at most [`BATCH_BYTES`].
    pub batch_max: u64,
    /// How to treat what is found; by default nothing needs a checksum.
    pub manner: Manner,
    pub(super) gaps: Vec<Gap>,
    /// Records of the batch that are not written: chunk, number in the chunk, and whether for their checksum.
    pub(super) skipped: Vec<(u32, u32, bool)>,
    scratch: Vec<u8>,
}

impl Drainer {
    pub(super) fn new(geometry: Geometry, commit: u64, epoch: u64) -> Drainer {
        Drainer {
            geometry,
            views: vec![View::default(); geometry.chunks() as usize],
            commit,
            epoch,
            recs: Vec::new(),
            bigs: Vec::new(),
            order: Vec::new(),
            next: 0,
            touched: Vec::new(),
            batch: Batch::default(),
            batch_bigs: Vec::new(),
            idle: Vec::new(),
            pieces: Vec::new(),
            staging: Vec::new(),
            free: 0,
            freed: 0,
            deferred: false,
            batch_max: BATCH_BYTES,
            manner: Manner::default(),
            gaps: Vec::new(),
            skipped: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// A line of crlog's own, with its terminator.
    pub fn note(&self, who: &Who, fact: &Fact) -> Option<Vec<u8>> {
        let mut line = self.manner.notes.line(who, fact)?.into_bytes();
        line.extend_from_slice(&self.manner.terminator);
        Some(line)
    }

    /// Pieces of the batch under way, in the order of the file.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The bytes that [`Piece::Staged`] refers to.
    pub fn staging(&self) -> &[u8] {
        &self.staging
    }

    /// Number of the last committed batch.
    pub fn committed(&self) -> u64 {
        self.commit
    }

    /// Chunks that were free at the last [`Drainer::collect`] or have been freed since.
    pub fn free_chunks(&self) -> u32 {
        self.free
    }

    /// Chunks freed since [`Drainer::take_freed`] was last called.
    pub fn freed(&self) -> u32 {
        self.freed
    }

    /// Chunks freed since this was last asked.
    pub fn take_freed(&mut self) -> u32 {
        core::mem::take(&mut self.freed)
    }

    /// True if the last collection left records for the next one.
    pub fn has_deferred(&self) -> bool {
        self.deferred
    }

    /// Reads every chunk and puts what may be written now in order; returns the number of records.
    /// What an earlier collection handed out and nobody committed is found again.
    pub fn collect<M: Mem>(&mut self, mem: &M) -> usize {
        self.recs.clear();
        self.bigs.clear();
        self.free = 0;
        self.deferred = false;
        // ORDER order/acquire: BEFORE any chunk's word; what this sweep misses has a key of `cut` or more.
        let cut = mem.load(word::ORDER, Acquire);
        for chunk in 0..self.geometry.chunks() {
            // ORDER commit/acquire: the count is read before the records it covers.
            let state = State(mem.load(self.geometry.state(chunk), Acquire));
            match state.phase() {
                Some(Phase::Free) => self.free += 1,
                Some(Phase::Big) => {}
                Some(_) => self.scan(mem, chunk, state, cut),
                None => self.damaged(mem, chunk, state),
            }
        }
        self.sort();
        self.recycle_idle(mem);
        self.recs.len()
    }

    fn view(&mut self, chunk: u32, generation: u64) -> View {
        match self.views.get(chunk as usize) {
            Some(v) if v.generation == generation => *v,
            _ => View { generation, ..View::default() },
        }
    }

    /// The records of a chunk, as far as it has room for them (I5).
    #[inline]
    pub(super) fn count(&self, state: State) -> u32 {
        state.count().min(self.geometry.records_max())
    }

    fn scan<M: Mem>(&mut self, mem: &M, chunk: u32, state: State, cut: u64) {
        let mut v = self.view(chunk, state.generation());
        let count = self.count(state);
        let (mut off, mut last_key) = (v.off, v.key);
        for i in v.base..count {
            let (key, meta) = self.read_header(mem, chunk, i);
            if key >= cut && i >= v.seen {
                self.deferred = true;
                break;
            }
            let kind = self.judge(mem, chunk, state, Found { i, off, key, meta }, &mut v);
            let len = if kind == Kind::Lost { 0 } else { meta.len() };
            last_key = last_key.max(key);
            self.recs.push(Rec::new(last_key, chunk, off, len, kind));
            off += len;
        }
        if count < state.count() && v.corrupt_from.is_none() {
            v.corrupt_from = Some(count);
            bump(mem, Counter::CorruptChunks, 1);
        }
        (v.pend, v.pend_off, v.pend_bytes, v.pend_key) = (v.base, v.off, 0, v.key);
        v.still = if v.seen == count { v.still.saturating_add(1) } else { 0 };
        v.seen = count;
        if state.phase() == Some(Phase::Sealed) && v.base >= count {
            self.idle.push(chunk);
        }
        if let Some(slot) = self.views.get_mut(chunk as usize) {
            *slot = v;
        }
    }

    #[inline]
    fn read_header<M: Mem>(&self, mem: &M, chunk: u32, i: u32) -> (u64, Meta) {
        let at = self.geometry.record(chunk, i);
        (mem.get_word(at), Meta(mem.get_word(at + 8)))
    }

    /// Says what a record of a chunk is, believing nothing that it says about itself.
    #[inline]
    fn judge<M: Mem>(&mut self, mem: &M, chunk: u32, state: State, found: Found, v: &mut View) -> Kind {
        let Found { i, off, meta, .. } = found;
        let room = self.geometry.chunk_bytes()
            - (i as usize + 1).saturating_mul(16).min(self.geometry.chunk_bytes());
        let sound = v.corrupt_from.is_none_or(|from| i < from);
        if sound && off as usize + meta.len() as usize <= room {
            let checked = meta.is_checked() || self.manner.must_check;
            if !meta.is_big() {
                let telling = meta.tells_drops();
                let whole = !telling || meta.len() as usize >= DROPS_BYTES;
                return match whole && (!checked || self.is_intact(mem, chunk, state, found, None)) {
                    true if telling => Kind::Telling,
                    true => Kind::Plain,
                    false => Kind::Refused,
                };
            }
            if let Some(big) = self.read_big(mem, chunk, off, meta, state.slot()) {
                let intact = !checked || self.is_intact(mem, chunk, state, found, Some(&big));
                self.bigs.push(big);
                return if intact { Kind::Big } else { Kind::Refused };
            }
            if checked {
                return Kind::Refused;
            }
        }
        if v.corrupt_from.is_none() {
            bump(mem, Counter::CorruptChunks, 1);
        }
        if sound {
            v.corrupt_from = Some(i);
        }
        Kind::Lost
    }

    /// Whether a record's bytes are those that its checksum was made of.
    #[cold]
    fn is_intact<M: Mem>(
        &mut self,
        mem: &M,
        chunk: u32,
        state: State,
        found: Found,
        big: Option<&Big>,
    ) -> bool {
        let Found { off, key, meta, .. } = found;
        self.scratch.clear();
        match big {
            None => {
                let at = self.geometry.chunk(chunk) + off as usize;
                mem.get(at, meta.len() as usize, &mut self.scratch);
            }
            Some(big) => {
                let size = self.geometry.chunk_bytes();
                for (n, p) in big.parts.iter().enumerate() {
                    let len = size.min(big.len - n * size);
                    mem.get(self.geometry.chunk(p.chunk()), len, &mut self.scratch);
                }
            }
        }
        let seed = meta.seed(state.generation(), key);
        meta.is_checked() && crc32c::crc32c_append(seed, &self.scratch) == meta.check()
    }

    /// Reads a continuation list; `None` if it does not name chunks of this very record.
    fn read_big<M: Mem>(&self, mem: &M, chunk: u32, off: u32, meta: Meta, slot: u32) -> Option<Big> {
        let big = self.read_big_list(mem, chunk, off, meta, slot)?;
        let whole = big.parts.iter().all(|p| {
            let found = mem.load(self.geometry.state(p.chunk()), Relaxed);
            found == State::new(Phase::Big, 0, slot, p.generation()).0
        });
        whole.then_some(big)
    }

    /// The list itself, each chunk number in range, whatever state those chunks are in by now.
    pub(super) fn read_big_list<M: Mem>(
        &self,
        mem: &M,
        chunk: u32,
        off: u32,
        meta: Meta,
        slot: u32,
    ) -> Option<Big> {
        let pad = off.next_multiple_of(8) - off;
        let words = meta.len().checked_sub(pad)? / 8;
        let at = self.geometry.chunk(chunk) + (off + pad) as usize;
        if words < 2 || words * 8 + pad != meta.len() {
            return None;
        }
        let len = usize::try_from(mem.get_word(at)).ok()?;
        let n = words as usize - 1;
        if len > self.geometry.record_max() || len.div_ceil(self.geometry.chunk_bytes()) != n {
            return None;
        }
        let parts: Vec<BigEntry> = (1..=n).map(|i| BigEntry(mem.get_word(at + 8 * i))).collect();
        let in_range = parts.iter().all(|p| p.chunk() < self.geometry.chunks());
        in_range.then_some(Big { chunk, off, len, slot, parts })
    }

    /// A word that no crlog writes: the chunk is taken out of use for good, at a cost of its bytes.
    fn damaged<M: Mem>(&mut self, mem: &M, chunk: u32, state: State) {
        let mut v = self.view(chunk, state.generation());
        if v.corrupt_from.is_none() {
            v.corrupt_from = Some(0);
            bump(mem, Counter::CorruptChunks, 1);
            if let Some(slot) = self.views.get_mut(chunk as usize) {
                *slot = v;
            }
        }
    }

    /// Puts `recs` in key order. Keys are dense, so each record's place is its key's distance from
    /// the smallest; only lying or very sparse keys need a (stable) sort.
    fn sort(&mut self) {
        self.next = 0;
        self.order.clear();
        let (min, max) =
            self.recs.iter().fold((u64::MAX, 0), |(min, max), r| (min.min(r.key), max.max(r.key)));
        let n = self.recs.len();
        if n == 0 || (max - min < 2 * n as u64 + 64 && self.place(min, (max - min) as usize + 1)) {
            return;
        }
        self.order.clear();
        self.order.extend_from_slice(&self.recs);
        self.order.sort_by_key(|r| r.key);
    }

    fn place(&mut self, min: u64, range: usize) -> bool {
        self.order.resize(range, Rec::NONE);
        for rec in &self.recs {
            match self.order.get_mut((rec.key - min) as usize) {
                Some(place) if place.is_none() => *place = *rec,
                _ => return false,
            }
        }
        true
    }

    /// Hands out the next batch: records in order, as long as `rotate_before(bytes of the batch so
    /// far, length of the record)` is false and the batch is not full. `None`: nothing is left.
    /// A batch with no record in it asks for a rotation.
    pub fn next_batch<M: Mem>(
        &mut self,
        mem: &M,
        mut rotate_before: impl FnMut(u64, u64) -> bool,
    ) -> Option<Batch> {
        self.begin_batch();
        let mut run = (0, 0, 0);
        while let Some(&rec) = self.order.get(self.next) {
            if rec.is_none() {
                self.next += 1;
                continue;
            }
            let gap = match rec.kind() {
                Kind::Telling => self.gap_up_to(mem, rec.chunk(), self.told_by(mem, rec.chunk(), rec.off())),
                _ if rec.off() == 0 => self.gap(mem, rec),
                _ => None,
            };
            let note = gap.as_ref().map_or(0, |gap| gap.line.len() as u64);
            let (kind, len) = (rec.kind(), self.file_bytes(rec) + note);
            let full = self.batch.bytes + len > self.batch_max;
            if full && self.batch.records + self.batch.lost > 0 {
                break;
            }
            if (kind.is_written() || note > 0) && rotate_before(self.batch.bytes, len) {
                self.batch.rotate = true;
                break;
            }
            self.next += 1;
            if let Some(gap) = gap {
                self.end_run(mem, run);
                run = (rec.chunk(), rec.off(), 0);
                self.insert(gap);
            }
            self.plan(rec, len - note);
            if kind != Kind::Plain || rec.chunk() != run.0 || rec.off() != run.1 + run.2 {
                self.end_run(mem, run);
                run = (rec.chunk(), rec.off(), 0);
            }
            match kind {
                Kind::Plain => run.2 += rec.len(),
                Kind::Telling => {
                    run = (rec.chunk(), rec.off() + DROPS_BYTES as u32, rec.len() - DROPS_BYTES as u32);
                }
                Kind::Big => {
                    self.big_pieces(rec);
                    run = (rec.chunk(), rec.off() + rec.len(), 0);
                }
                Kind::Refused => {
                    // Its continuations, if it has any, go back with the batch.
                    self.batch_bigs.extend(self.big_of(rec).map(|i| i as u32));
                    run = (rec.chunk(), rec.off() + rec.len(), 0);
                }
                Kind::Lost => {}
            }
        }
        self.end_run(mem, run);
        (self.batch != Batch::default()).then_some(self.batch)
    }

    pub(super) fn begin_batch(&mut self) {
        self.touched.clear();
        self.pieces.clear();
        self.staging.clear();
        self.batch_bigs.clear();
        self.gaps.clear();
        self.skipped.clear();
        self.batch = Batch::default();
    }

    /// What is to be told before the first record of a chunk: drops of its process that no line has told of.
    /// As long as they are not told, they are found again.
    #[inline]
    fn gap<M: Mem>(&self, mem: &M, rec: Rec) -> Option<Gap> {
        let v = self.views.get(rec.chunk() as usize)?;
        if v.base > 0 || v.pend > 0 {
            return None;
        }
        let upto = self.lease_drops(mem, rec.chunk());
        if upto == [0; LEVELS] {
            return None;
        }
        self.gap_up_to(mem, rec.chunk(), upto)
    }

    #[cold]
    fn gap_up_to<M: Mem>(&self, mem: &M, chunk: u32, upto: [u32; LEVELS]) -> Option<Gap> {
        let slot = State(mem.load(self.geometry.state(chunk), Relaxed)).slot();
        if slot >= self.geometry.slots() {
            return None;
        }
        let told = match self.gaps.iter().rev().find(|gap| gap.slot == slot) {
            Some(gap) => gap.upto,
            None => super::reclaim::reported(mem, self.geometry, slot).map(|n| n as u32),
        };
        let mut drops = [0; LEVELS];
        for (n, (upto, told)) in drops.iter_mut().zip(upto.iter().zip(told)) {
            *n = u64::try_from(upto.wrapping_sub(told) as i32).unwrap_or(0);
        }
        if drops == [0; LEVELS] {
            return None;
        }
        let who = self.lessee(mem, chunk, slot);
        let line = self.note(&who, &Fact::Dropped(drops)).unwrap_or_default();
        let start = mem.load(self.geometry.lease(chunk, lease::START), Relaxed);
        Some(Gap { slot, upto, line, pid: who.pid, start, drops })
    }

    /// Who had leased a chunk, with its name if its slot is still its own.
    fn lessee<M: Mem>(&self, mem: &M, chunk: u32, slot: u32) -> Who {
        let pid = mem.load(self.geometry.lease(chunk, lease::PID), Relaxed);
        let name = match super::reclaim::last_occupant(mem, self.geometry, slot) {
            id if id.pid == pid => id.name,
            _ => String::new(),
        };
        Who { pid, name }
    }

    fn insert(&mut self, gap: Gap) {
        if !gap.line.is_empty() {
            let start = self.staging.len();
            self.staging.extend_from_slice(&gap.line);
            match self.pieces.last_mut() {
                Some(Piece::Staged { len, .. }) => *len += gap.line.len(),
                _ => self.pieces.push(Piece::Staged { at: start, len: gap.line.len() }),
            }
            self.batch.bytes += gap.line.len() as u64;
            self.batch.notes += 1;
        }
        self.gaps.push(gap);
    }

    /// Records that the process had dropped when it leased the chunk, modulo 2^32.
    pub(super) fn lease_drops<M: Mem>(&self, mem: &M, chunk: u32) -> [u32; LEVELS] {
        let mut packed = [0; LEVELS / 2];
        for (i, word) in packed.iter_mut().enumerate() {
            *word = mem.load(self.geometry.lease(chunk, lease::DROPS + 8 * i), Relaxed);
        }
        unpack_drops(&packed)
    }

    /// The totals that a record tells of.
    pub(super) fn told_by<M: Mem>(&self, mem: &M, chunk: u32, off: u32) -> [u32; LEVELS] {
        let mut bytes = Vec::with_capacity(DROPS_BYTES);
        mem.get(self.geometry.chunk(chunk) + off as usize, DROPS_BYTES, &mut bytes);
        let mut words = bytes.chunks_exact(8).map(|b| b.iter().rev().fold(0, |w, &b| w << 8 | u64::from(b)));
        unpack_drops(&core::array::from_fn(|_| words.next().unwrap_or(0)))
    }

    /// The first record of a chunk is in the file, and what stands before it. Doing it twice does it once.
    pub(super) fn told<M: Mem>(&self, mem: &M, chunk: u32, slot: u32) {
        self.told_up_to(mem, slot, self.lease_drops(mem, chunk));
    }

    /// The log tells of the drops of a slot up to these totals. Doing it twice does it once.
    pub fn told_up_to<M: Mem>(&self, mem: &M, slot: u32, upto: [u32; LEVELS]) {
        if slot >= self.geometry.slots() || upto == [0; LEVELS] {
            return;
        }
        let at = self.geometry.slot(slot) + slot::REPORTED;
        for (i, upto) in upto.into_iter().enumerate() {
            let told = mem.load(at + 8 * i, Relaxed);
            if let Ok(more @ 1..) = u64::try_from(upto.wrapping_sub(told as u32) as i32) {
                mem.store(at + 8 * i, told.wrapping_add(more), Relaxed);
            }
        }
    }

    /// Index of the continuation list that this record is.
    fn big_of(&self, rec: Rec) -> Option<usize> {
        self.bigs.iter().position(|b| b.chunk == rec.chunk() && b.off == rec.off())
    }

    #[inline]
    fn file_bytes(&self, rec: Rec) -> u64 {
        match rec.kind() {
            Kind::Plain => u64::from(rec.len()),
            Kind::Telling => u64::from(rec.len()).saturating_sub(DROPS_BYTES as u64),
            Kind::Big => self.big_of(rec).and_then(|i| self.bigs.get(i)).map_or(0, |b| b.len as u64),
            Kind::Lost | Kind::Refused => 0,
        }
    }

    #[inline]
    fn plan(&mut self, rec: Rec, file_bytes: u64) {
        if let Some(v) = self.views.get_mut(rec.chunk() as usize) {
            if v.pend == v.base {
                self.touched.push(rec.chunk());
            }
            if !rec.kind().is_written() {
                self.skipped.push((rec.chunk(), v.pend, rec.kind() == Kind::Refused));
            }
            v.pend += 1;
            v.pend_off += rec.len();
            v.pend_bytes += file_bytes;
            v.pend_key = rec.key;
        }
        self.batch.bytes += file_bytes;
        if rec.kind().is_written() {
            self.batch.records += 1;
            self.batch.numbers.add(rec.key);
        } else {
            self.batch.lost += 1;
            self.batch.refused += u64::from(rec.kind() == Kind::Refused);
        }
    }

    /// Ends a run of adjacent records of one chunk: `(chunk, offset, length)`.
    #[inline]
    fn end_run<M: Mem>(&mut self, mem: &M, (chunk, off, len): (u32, u32, u32)) {
        let (at, len) = (self.geometry.chunk(chunk) + off as usize, len as usize);
        if len >= DIRECT_RUN {
            self.pieces.push(Piece::Ring { at, len });
        } else if len > 0 {
            let start = self.staging.len();
            mem.get(at, len, &mut self.staging);
            match self.pieces.last_mut() {
                Some(Piece::Staged { len: l, .. }) => *l += len,
                _ => self.pieces.push(Piece::Staged { at: start, len }),
            }
        }
    }

    fn big_pieces(&mut self, rec: Rec) {
        let size = self.geometry.chunk_bytes();
        let Some(i) = self.big_of(rec) else { return };
        self.batch_bigs.push(i as u32);
        if let Some(big) = self.bigs.get(i) {
            for (n, p) in big.parts.iter().enumerate() {
                let len = size.min(big.len - n * size);
                self.pieces.push(Piece::Ring { at: self.geometry.chunk(p.chunk()), len });
            }
        }
    }
}

/// Adds to a counter that only the flusher writes.
pub fn bump<M: Mem>(mem: &M, c: Counter, n: u64) {
    add_mine(mem, counter(c), n);
}

/// Adds to a word that only this process writes.
pub fn add_mine<M: Mem>(mem: &M, at: usize, n: u64) {
    let old = mem.load(at, Relaxed);
    mem.store(at, old.wrapping_add(n), Relaxed);
}
