//! The producer's side: lease a chunk, and per record mark it BUSY, take a key, copy, commit.
//!
//! ```text
//!             lease: CAS               begin: CAS              commit: store, count + 1
//!  FREE(g) ───────────────► OPEN(g,n) ◄═══════════════► BUSY(g,n)
//!    who: any producer        │  full, leaving: its owner        who: its owner alone, as long as it lives (I3)
//!                             │  idle and chunks scarce: flusher
//!                             ▼
//!                          SEALED(g,n)   the flusher's from here on
//! ```
//!
//! A record exists if and only if the count covers it (I1), so a producer may die between any two
//! instructions: what it had committed is there, what it was writing is not. The cost of a record is
//! one CAS and one store on a line that nobody else writes, plus one add on the shared order word.

use super::layout::{
    BigEntry, COUNT_MAX, DROPS_BYTES, FLAG_BIG, FLAG_CHECKED, FLAG_DROPS, Geometry, LEVELS, Meta, Phase,
    RECORD_HEADER, RESERVED_FROM, State, lease, pack_drops, slot, word,
};
use super::mem::Mem;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// Why the ring did not take a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No chunk is free.
    Full,
    /// Longer than [`Geometry::record_max`].
    TooLong,
    /// The segment is retired; its successor takes records.
    Retired,
}

/// The bytes of one record, wherever they are.
pub trait Payload {
    /// Length in bytes, terminator included.
    fn len(&self) -> usize;
    /// True for a record of no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Copies bytes `from..to` of the record to `at`.
    fn copy<M: Mem>(&self, mem: &M, at: usize, from: usize, to: usize);
    /// Goes on with a CRC-32C over the bytes of the record.
    fn checksum(&self, seed: u32) -> u32;
}

/// A record of one slice and a terminator.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The record.
    pub bytes: &'a [u8],
    /// What ends it.
    pub end: &'a [u8],
}

impl Payload for Line<'_> {
    #[inline]
    fn len(&self) -> usize {
        self.bytes.len() + self.end.len()
    }
    #[inline]
    fn copy<M: Mem>(&self, mem: &M, at: usize, from: usize, to: usize) {
        if from == 0 && to == self.len() {
            mem.put(at, self.bytes);
            mem.put(at + self.bytes.len(), self.end);
        } else {
            copy_parts(&[self.bytes, self.end], mem, at, from, to);
        }
    }
    fn checksum(&self, seed: u32) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c_append(seed, self.bytes), self.end)
    }
}

/// A record of several slices, written as if they were one.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a>(pub &'a [&'a [u8]]);

impl Payload for Parts<'_> {
    fn len(&self) -> usize {
        self.0.iter().map(|p| p.len()).sum()
    }
    fn copy<M: Mem>(&self, mem: &M, at: usize, from: usize, to: usize) {
        copy_parts(self.0, mem, at, from, to);
    }
    fn checksum(&self, seed: u32) -> u32 {
        self.0.iter().fold(seed, |crc, part| crc32c::crc32c_append(crc, part))
    }
}

fn copy_parts<M: Mem>(parts: &[&[u8]], mem: &M, mut at: usize, from: usize, to: usize) {
    let mut start = 0;
    for part in parts {
        let (a, b) = (from.clamp(start, start + part.len()), to.clamp(start, start + part.len()));
        if a < b
            && let Some(bytes) = part.get(a - start..b - start)
        {
            mem.put(at, bytes);
            at += b - a;
        }
        start += part.len();
    }
}

/// A record behind the totals of dropped records.
struct Telling<'a, P> {
    drops: [u64; LEVELS / 2],
    record: &'a P,
}

impl<P: Payload> Telling<'_, P> {
    fn bytes(&self) -> [u8; DROPS_BYTES] {
        let mut bytes = [0; DROPS_BYTES];
        for (to, word) in bytes.chunks_exact_mut(8).zip(self.drops) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

impl<P: Payload> Payload for Telling<'_, P> {
    fn len(&self) -> usize {
        DROPS_BYTES + self.record.len()
    }
    /// It stands in one chunk, and is copied whole.
    fn copy<M: Mem>(&self, mem: &M, at: usize, _from: usize, _to: usize) {
        mem.put(at, &self.bytes());
        self.record.copy(mem, at + DROPS_BYTES, 0, self.record.len());
    }
    fn checksum(&self, seed: u32) -> u32 {
        self.record.checksum(crc32c::crc32c_append(seed, &self.bytes()))
    }
}

/// Who leases: written into each chunk's descriptor, for the flusher to tell people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lessee {
    /// Number of the writer: unique in the segment.
    pub writer: u64,
    /// Process id, in its own pid namespace.
    pub pid: u64,
    /// Its start time.
    pub start: u64,
}

/// One lease holder: a writing thread. It writes at most one chunk at a time.
#[derive(Debug)]
pub struct Producer {
    geometry: Geometry,
    slot: u32,
    who: Lessee,
    /// Records that it has committed in former chunks: the sequence number of the next chunk's first.
    written: u64,
    /// Its records carry checksums.
    checked: bool,
    /// The chunk is one of the reserve: `room` is shown only to records that may use it.
    reserved: bool,
    hidden: usize,
    /// Records were dropped since the last one in the chunk.
    dropped: bool,
    /// The leased chunk; its word as the owner last left it; `room` is 0 when there is no lease.
    chunk: u32,
    state: State,
    used: usize,
    room: usize,
    /// Where the search for the next chunk starts.
    hint: u32,
}

impl Producer {
    /// A producer for the process that holds `slot`; it leases its first chunk at its first record.
    pub fn new(geometry: Geometry, slot: u32, hint: u32) -> Producer {
        Producer {
            geometry,
            slot,
            who: Lessee::default(),
            written: 0,
            checked: false,
            reserved: false,
            hidden: 0,
            dropped: false,
            chunk: 0,
            state: State(0),
            used: 0,
            room: 0,
            hint: hint % geometry.chunks(),
        }
    }

    /// The same, with what its chunks say about their owner, and whether its records carry checksums.
    #[must_use]
    pub fn named(mut self, who: Lessee, checked: bool) -> Producer {
        (self.who, self.checked) = (who, checked);
        self
    }

    /// Records that this producer has committed.
    pub fn written(&self) -> u64 {
        self.written + u64::from(self.state.count())
    }

    /// Writes one record; its key is returned once it is committed.
    #[inline]
    pub fn append<M: Mem>(&mut self, mem: &M, level: u8, record: &impl Payload) -> Result<u64, Refused> {
        let len = record.len();
        loop {
            if len + RECORD_HEADER > self.room {
                if len > self.geometry.inline_max() {
                    return self.append_big(mem, level, record);
                }
                if self.must_tell(level) {
                    return self.append_telling(mem, level, record);
                }
                self.make_room(mem, level, len + RECORD_HEADER)?;
            }
            if self.begin(mem) {
                break;
            }
        }
        let key = self.take_keys(mem, 1);
        record.copy(mem, self.geometry.chunk(self.chunk) + self.used, 0, len);
        self.header(mem, 0, key, self.meta(key, len, level, 0, record));
        self.commit(mem, 1, len);
        Ok(key)
    }

    /// Writes as many of `records` as one chunk takes, under one BUSY window and one commit, so that
    /// they appear together; returns how many. At least one, or `Err`.
    pub fn append_batch<M: Mem, P: Payload>(
        &mut self,
        mem: &M,
        level: u8,
        records: &[P],
    ) -> Result<usize, Refused> {
        let Some(first) = records.first() else {
            return Ok(0);
        };
        if first.len() > self.geometry.inline_max() || self.must_tell(level) {
            return self.append(mem, level, first).map(|_| 1);
        }
        loop {
            if first.len() + RECORD_HEADER > self.room {
                self.make_room(mem, level, first.len() + RECORD_HEADER)?;
            }
            if self.begin(mem) {
                break;
            }
        }
        let n = self.how_many_fit(records);
        let key = self.take_keys(mem, n as u64);
        let mut bytes = 0;
        for (i, r) in records.iter().take(n).enumerate() {
            r.copy(mem, self.geometry.chunk(self.chunk) + self.used + bytes, 0, r.len());
            let key = key.wrapping_add(i as u64);
            self.header(mem, i as u32, key, self.meta(key, r.len(), level, 0, r));
            bytes += r.len();
        }
        self.commit(mem, n as u32, bytes);
        Ok(n)
    }

    fn how_many_fit<P: Payload>(&self, records: &[P]) -> usize {
        let mut room = self.room;
        let most = (COUNT_MAX - self.state.count()) as usize;
        let fits = |r: &&P| match room.checked_sub(r.len() + RECORD_HEADER) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        };
        records.iter().take(most).take_while(fits).count().max(1)
    }

    /// Claims the right to write (I2). False: the lease was revoked, nothing has been written.
    #[inline]
    fn begin<M: Mem>(&mut self, mem: &M) -> bool {
        let busy = self.state.with(Phase::Busy);
        // ORDER begin/relaxed: success means that the lease still stands, and the lease was acquired.
        let ok = mem.cas(self.geometry.state(self.chunk), self.state.0, busy.0, Relaxed, Relaxed).is_ok();
        if !ok {
            self.forget();
        }
        ok
    }

    #[inline]
    fn take_keys<M: Mem>(&self, mem: &M, n: u64) -> u64 {
        // ORDER order/acqrel: a key taken after another append returned is larger, and a sweep that
        // saw the larger one below its cut has seen the other's commit.
        mem.add(word::ORDER, n, AcqRel)
    }

    /// The second word of a record's header.
    #[inline]
    fn meta(&self, key: u64, len: usize, level: u8, flags: u8, record: &impl Payload) -> Meta {
        if !self.checked {
            return Meta::new(len as u32, level, flags);
        }
        let meta = Meta::new(len as u32, level, flags | FLAG_CHECKED);
        meta.with_check(record.checksum(meta.seed(self.state.generation(), key)))
    }

    #[inline]
    fn header<M: Mem>(&self, mem: &M, i: u32, key: u64, meta: Meta) {
        let at = self.geometry.record(self.chunk, self.state.count() + i);
        mem.put_word(at, key);
        mem.put_word(at + 8, meta.0);
    }

    /// The commit point: `n` more records exist once this store is visible (I1).
    #[inline]
    fn commit<M: Mem>(&mut self, mem: &M, n: u32, bytes: usize) {
        let next = self.state.plus(n);
        // ORDER commit/release: payload and headers are before the count.
        mem.store(self.geometry.state(self.chunk), next.0, Release);
        self.state = next;
        self.used += bytes;
        self.room -= bytes + n as usize * RECORD_HEADER;
        if next.count() == COUNT_MAX {
            self.room = 0;
        }
        if self.reserved {
            (self.hidden, self.room) = (self.room, 0);
        }
    }

    /// Drops the lease without touching the segment: it was revoked, or belongs to a forked parent.
    pub fn forget(&mut self) {
        self.written += u64::from(self.state.count());
        self.room = 0;
        self.used = 0;
        self.reserved = false;
        self.dropped = false;
        self.hidden = 0;
        self.state = State(0);
    }

    /// A record was dropped. The log tells of it before the next one: at the beginning of a chunk or, if the
    /// leased one has room for that, before a record in the middle.
    pub fn note_drop(&mut self) {
        if self.state.phase() == Some(Phase::Open) {
            self.dropped = true;
            if !self.reserved {
                (self.hidden, self.room) = (self.hidden.max(self.room), 0);
            }
        }
    }

    /// Whether the leased chunk takes this record, and the record must tell of drops.
    fn must_tell(&self, level: u8) -> bool {
        self.dropped && (!self.reserved || level >= RESERVED_FROM)
    }

    /// Writes one record into the leased chunk, behind the totals of what was dropped by now.
    #[cold]
    fn append_telling<M: Mem>(&mut self, mem: &M, level: u8, record: &impl Payload) -> Result<u64, Refused> {
        let telling = Telling { drops: self.totals(mem), record };
        self.dropped = false; // else the chunk is given up, and the next one tells
        if telling.len() + RECORD_HEADER > self.hidden || !self.begin(mem) {
            self.seal(mem);
            return self.append(mem, level, record);
        }
        (self.room, self.hidden) = (self.hidden, 0);
        let key = self.take_keys(mem, 1);
        telling.copy(mem, self.geometry.chunk(self.chunk) + self.used, 0, telling.len());
        self.header(mem, 0, key, self.meta(key, telling.len(), level, FLAG_DROPS, &telling));
        self.commit(mem, 1, telling.len());
        Ok(key)
    }

    /// Records that the process has dropped by now, packed.
    fn totals<M: Mem>(&self, mem: &M) -> [u64; LEVELS / 2] {
        let at = self.geometry.slot(self.slot) + slot::DROPS;
        pack_drops(&core::array::from_fn(|i| mem.load(at + 8 * i, Relaxed)))
    }

    /// Seals the leased chunk, if there is one.
    pub fn seal<M: Mem>(&mut self, mem: &M) {
        if self.state.phase() == Some(Phase::Open) {
            let sealed = self.state.with(Phase::Sealed);
            // ORDER seal/relaxed: the last commit released all that the owner did here, and this swap
            // continues its release sequence. Failure: the lease was revoked, sealed all the same.
            let _ = mem.cas(self.geometry.state(self.chunk), self.state.0, sealed.0, Relaxed, Relaxed);
        }
        self.forget();
    }

    /// Room for a record that does not fit what is shown.
    #[cold]
    fn make_room<M: Mem>(&mut self, mem: &M, level: u8, need: usize) -> Result<(), Refused> {
        if self.reserved && level >= RESERVED_FROM && need <= self.hidden {
            self.room = self.hidden;
            return Ok(());
        }
        self.next_chunk(mem, level)
    }

    /// Seals the present chunk and leases the next free one.
    fn next_chunk<M: Mem>(&mut self, mem: &M, level: u8) -> Result<(), Refused> {
        // A chunk of the reserve is kept for the next record that may use it, unless there is another.
        let keep = self.reserved && level < RESERVED_FROM;
        if !keep {
            self.seal(mem);
        }
        if mem.load(word::RETIRED, Relaxed) != 0 {
            self.seal(mem);
            return Err(Refused::Retired);
        }
        let reserve = self.reserve(mem);
        let (chunk, state) = self.lease(mem, Phase::Open, level, reserve).ok_or(Refused::Full)?;
        if keep {
            self.seal(mem);
        }
        self.chunk = chunk;
        self.state = state;
        self.used = 0;
        self.room = self.geometry.chunk_bytes();
        self.reserved = chunk < reserve;
        self.describe(mem);
        Ok(())
    }

    /// Chunks of the reserve: never more than half of them.
    fn reserve<M: Mem>(&self, mem: &M) -> u32 {
        let asked = u32::try_from(mem.load(word::RESERVE, Relaxed)).unwrap_or(u32::MAX);
        asked.min(self.geometry.chunks() / 2)
    }

    /// Takes the first free chunk after the last one, so that chunks are used as a ring. Those of the
    /// reserve come last, and only for records that may use them.
    fn lease<M: Mem>(&mut self, mem: &M, phase: Phase, level: u8, reserve: u32) -> Option<(u32, State)> {
        let n = self.geometry.chunks();
        let common = (0..n).map(|step| (self.hint + step) % n).filter(|&c| c >= reserve);
        let kept = 0..if level >= RESERVED_FROM { reserve } else { 0 };
        for chunk in common.chain(kept) {
            let at = self.geometry.state(chunk);
            let free = State(mem.load(at, Relaxed));
            if free.phase() != Some(Phase::Free) {
                continue;
            }
            let mine = State::new(phase, 0, self.slot, free.generation());
            // ORDER recycle/acquire: all reads of the chunk's former life are before our writes (I4).
            if mem.cas(at, free.0, mine.0, Acquire, Relaxed).is_ok() {
                self.hint = (chunk + 1) % n;
                mem.add(word::POOL, u64::MAX, Relaxed);
                return Some((chunk, mine));
            }
        }
        None
    }

    /// Says in the chunk's descriptor whose it is, which of its records comes first, and how many were
    /// dropped before: the drop was for want of a chunk, so its place is before the first record of the next.
    fn describe<M: Mem>(&self, mem: &M) {
        // ORDER lease/relaxed: the first commit releases them.
        let put = |what: usize, value: u64| mem.store(self.geometry.lease(self.chunk, what), value, Relaxed);
        put(lease::WRITER, self.who.writer);
        put(lease::FIRST, self.written);
        put(lease::PID, self.who.pid);
        put(lease::START, self.who.start);
        for (i, word) in self.totals(mem).into_iter().enumerate() {
            put(lease::DROPS + 8 * i, word);
        }
    }

    /// True when the flusher should be rung even from a nap: fewer than half of the chunks are left.
    pub fn pool_is_low<M: Mem>(&self, mem: &M) -> bool {
        // Leases since the last sweep can have taken it below zero.
        (mem.load(word::POOL, Relaxed) as i64) < i64::from(self.geometry.chunks() / 2)
    }

    /// A record larger than a chunk: lease continuation chunks, fill them, then commit one ordinary
    /// record that names them. Dead before that commit, the continuations are reclaimed unread.
    #[cold]
    fn append_big<M: Mem>(&mut self, mem: &M, level: u8, record: &impl Payload) -> Result<u64, Refused> {
        if record.len() > self.geometry.record_max() {
            return Err(Refused::TooLong);
        }
        let need = record.len().div_ceil(self.geometry.chunk_bytes());
        let Some(parts) = self.lease_big(mem, need, level) else {
            return Err(Refused::Full);
        };
        if self.dropped {
            self.seal(mem);
        }
        self.fill_big(mem, record, &parts);
        match self.commit_big(mem, level, record, &parts) {
            Ok(key) => Ok(key),
            Err(refused) => {
                self.release_big(mem, &parts);
                Err(refused)
            }
        }
    }

    /// All of `need` chunks or none: who holds some and waits for more could wait for another such.
    fn lease_big<M: Mem>(&mut self, mem: &M, need: usize, level: u8) -> Option<Vec<(u32, State)>> {
        let reserve = self.reserve(mem);
        let mut parts = Vec::with_capacity(need);
        while parts.len() < need {
            match self.lease(mem, Phase::Big, level, reserve) {
                Some(part) => parts.push(part),
                None => {
                    self.release_big(mem, &parts);
                    return None;
                }
            }
        }
        Some(parts)
    }

    fn release_big<M: Mem>(&self, mem: &M, parts: &[(u32, State)]) {
        for (chunk, state) in parts {
            // Nobody read the bytes, so the generation need not move; the next owner's writes are
            // after ours (I4). ORDER recycle/release.
            let free = State::new(Phase::Free, 0, 0, state.generation());
            mem.store(self.geometry.state(*chunk), free.0, Release);
            mem.add(word::POOL, 1, Relaxed);
        }
    }

    fn fill_big<M: Mem>(&self, mem: &M, record: &impl Payload, parts: &[(u32, State)]) {
        let size = self.geometry.chunk_bytes();
        for (i, (chunk, _)) in parts.iter().enumerate() {
            let to = record.len().min((i + 1) * size);
            record.copy(mem, self.geometry.chunk(*chunk), i * size, to);
        }
    }

    fn commit_big<M: Mem>(
        &mut self,
        mem: &M,
        level: u8,
        record: &impl Payload,
        parts: &[(u32, State)],
    ) -> Result<u64, Refused> {
        // The list stands on an 8-byte boundary, so up to 7 bytes before it are padding of this record.
        let list = 8 * (1 + parts.len());
        loop {
            let pad = self.used.next_multiple_of(8) - self.used;
            if pad + list + RECORD_HEADER > self.room {
                self.make_room(mem, level, pad + list + RECORD_HEADER)?;
            }
            if self.begin(mem) {
                break;
            }
        }
        let pad = self.used.next_multiple_of(8) - self.used;
        let at = self.geometry.chunk(self.chunk) + self.used + pad;
        mem.put_word(at, record.len() as u64);
        for (i, (chunk, state)) in parts.iter().enumerate() {
            mem.put_word(at + 8 * (i + 1), BigEntry::new(*chunk, state.generation()).0);
        }
        let key = self.take_keys(mem, 1);
        self.header(mem, 0, key, self.meta(key, pad + list, level, FLAG_BIG, record));
        self.commit(mem, 1, pad + list);
        Ok(key)
    }
}
