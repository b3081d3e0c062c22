//! Where everything stands in the segment, and how the state words are packed.
//!
//! All integers are little-endian, every shared word is 8 bytes on an 8-byte ruler, and groups that
//! different parties write are 128 bytes apart (two 64-byte lines, because adjacent lines are
//! prefetched in pairs). `docs/format.md` is the same table for readers; the assertions at the end
//! of this file keep the two honest. A zeroed page is a valid table of FREE chunks and slots.

/// `b"CRLOGSEG"` read as a little-endian word; stored last, so a segment without it is half-made.
pub const MAGIC: u64 = u64::from_le_bytes(*b"CRLOGSEG");
/// Version of everything in this file. Another version is refused, never guessed at.
pub const LAYOUT_VERSION: u32 = 5;

/// Byte offsets of the immutable header and the configuration (first page).
pub mod header {
    pub const MAGIC: usize = 0x0000;
    /// low half: layout version; high half: word size in bits.
    pub const VERSION: usize = 0x0008;
    pub const SEGMENT_BYTES: usize = 0x0010;
    /// low half: slots; high half: chunks.
    pub const COUNTS: usize = 0x0018;
    /// low half: bytes of a chunk; high half: key mode (0 = dense counter).
    pub const CHUNK: usize = 0x0020;
    pub const GENERATION: usize = 0x0028;
    pub const UUID: usize = 0x0030;
    pub const BOOT_ID: usize = 0x0040;
    pub const CREATED_NS: usize = 0x0050;
    /// low half: pid of the creator; high half: its uid.
    pub const CREATOR: usize = 0x0058;
    pub const LOCK_DEV: usize = 0x0060;
    pub const LOCK_INO: usize = 0x0068;
    /// crc32c of bytes `0x0008..0x0070`.
    pub const CRC: usize = 0x0070;
    /// The configuration: `CONFIG_BYTES` bytes whose meaning `docs/format.md` gives.
    pub const CONFIG: usize = 0x0100;
    pub const CONFIG_BYTES: usize = 0x0500;
    /// Length of the canonical path of the log, then its bytes.
    pub const PATH_LEN: usize = 0x0600;
    pub const PATH: usize = 0x0608;
    pub const PATH_MAX: usize = 0x1000 - PATH;
}

/// Where a configuration stands that was changed an odd number of times: a third page.
pub const CONFIG_ODD: usize = 0x2000;

/// What the flusher says of its last failed action: its length, then its bytes; behind the third page's configuration.
pub const FAULT_TEXT_LEN: usize = 0x2800;
pub const FAULT_TEXT: usize = 0x2808;
/// The longest such text.
pub const FAULT_BYTES: usize = 0x1f8;

/// Byte offsets of the shared words (second page).
pub mod word {
    /// Next order number (key). Producers add.
    pub const ORDER: usize = 0x1000;
    /// What the flusher is doing: see [`super::gate`]. The flusher writes, producers read.
    pub const GATE: usize = 0x1080;
    /// Doorbell: the flusher sleeps on its low half. Whoever rings adds one.
    pub const BELL: usize = 0x1088;
    /// Bumped when chunks became free; producers that found the ring full sleep on its low half.
    pub const SPACE: usize = 0x1100;
    /// 1 = somebody sleeps on `SPACE`.
    pub const SPACE_WANT: usize = 0x1108;
    /// About how many chunks are free: the flusher sets it, each lease takes one off. A hint.
    pub const POOL: usize = 0x1180;
    /// How often the flusher's lock has changed hands.
    pub const EPOCH: usize = 0x1200;
    pub const FLUSHER_PID: usize = 0x1208;
    pub const FLUSHER_START: usize = 0x1210;
    /// 0 nobody yet, 1 a thread of a producer, 2 the sidecar, 3 a producer helping itself.
    pub const FLUSHER_KIND: usize = 0x1218;
    /// Errno of the last failed action of the flusher; 0 = all is well.
    pub const FLUSHER_ERROR: usize = 0x1220;
    /// Number of the batch whose bytes are being written to the file; one that is committed, or 0: none is.
    pub const WRITING: usize = 0x1228;
    /// Completed sweeps; who waits for a flush sleeps on its low half.
    pub const SWEEPS: usize = 0x1280;
    /// 1 = somebody sleeps on `SWEEPS`.
    pub const SWEEPS_WANT: usize = 0x1288;
    /// Number of the last committed batch: THE commit point.
    pub const COMMIT: usize = 0x1300;
    /// Two journal cells of [`super::CELL_WORDS`] words; cell `COMMIT & 1` is the valid one.
    pub const JOURNAL: usize = 0x1308;
    /// Counters, written by the flusher, indexed by [`super::Counter`].
    pub const COUNTERS: usize = 0x1408;
    /// Pid of a sidecar that wants to flush; 0 = none. A hint: its lock is the proof.
    pub const SIDECAR: usize = 0x1500;
    /// Bumped to ask the flusher for a rotation / for a reopening of the file.
    pub const ROTATE_REQUESTS: usize = 0x1508;
    pub const REOPEN_REQUESTS: usize = 0x1510;
    /// Requests served so far (written by the flusher).
    pub const ROTATE_SERVED: usize = 0x1518;
    pub const REOPEN_SERVED: usize = 0x1520;
    /// How often the configuration was changed: an even one stands in the header, an odd one at
    /// [`super::CONFIG_ODD`]. Changed under byte OPEN of the lock file.
    pub const CONFIG_CHANGES: usize = 0x1528;
    /// Bumped to ask the flusher to apply the limits of retention at once, / the same, having taken in the archives that the manifest does
    /// not know.
    pub const KEEP_REQUESTS: usize = 0x1530;
    pub const ADOPT_REQUESTS: usize = 0x1540;
    /// What became of them (written by the flusher): see [`super::kept`].
    pub const KEEP_DONE: usize = 0x1538;
    pub const ADOPT_DONE: usize = 0x1548;
    /// Bumped to ask the flusher for a rotation that may empty the file, if no archives are kept; and those served so
    /// far (written by the flusher).
    pub const DISCARD_REQUESTS: usize = 0x1550;
    pub const DISCARD_SERVED: usize = 0x1558;
    /// Not 0 = this segment is retired: producers move to its successor at their next lease. See [`super::retired`].
    pub const RETIRED: usize = 0x1580;
    /// What a producer does when the ring is full: a word for each severity, in the code of
    /// `docs/format.md`. Anybody may change them at any time.
    pub const WHEN_FULL: usize = 0x1600;
    /// How many chunks, from number 0 on, are leased only for records of severity
    /// [`RESERVED_FROM`](super::RESERVED_FROM) and above.
    pub const RESERVE: usize = 0x1630;
    /// Next number of a writer. Writers add.
    pub const WRITERS: usize = 0x1680;
    /// Tickets for a sync that were drawn: who wants its records on the disk adds one.
    pub const SYNC_WANT: usize = 0x1700;
    /// Tickets that were served (written by the flusher); who waits sleeps on its low half.
    pub const SYNC_DONE: usize = 0x1780;
    /// 1 = somebody sleeps on `SYNC_DONE`.
    pub const SYNC_WAITING: usize = 0x1788;
    /// First and last ticket whose sync failed after the records had left the ring; 0 = none ever.
    pub const SYNC_FAILED_FROM: usize = 0x1790;
    /// See `SYNC_FAILED_FROM`.
    pub const SYNC_FAILED_TO: usize = 0x1798;
    /// Errno of the last sync that failed.
    pub const SYNC_ERROR: usize = 0x17a0;
    /// Producers that died and were cleaned up; entry `n % DEATHS_KEPT` of the table is the n-th.
    pub const DEATHS: usize = 0x17c0;
    /// Table of the last deaths: see [`death`](mod@super::death).
    pub const DEATH_TABLE: usize = 0x1800;
}

/// Severities there are, 0 to 5.
pub const LEVELS: usize = 6;
/// Records of this severity (warn) and above may be written to chunks that are kept in reserve.
pub const RESERVED_FROM: u8 = 3;

/// The table of deaths: byte offsets within an entry.
pub mod death {
    /// Entries that are kept.
    pub const KEPT: u64 = 16;
    pub const BYTES: usize = 128;
    pub const PID: usize = 0;
    pub const START: usize = 8;
    pub const PID_NS: usize = 16;
    pub const ATTACHED_NS: usize = 24;
    pub const DIED_NS: usize = 32;
    /// Records of it that were committed, whether already in the file or not.
    pub const RECORDS: usize = 40;
    /// Records that it was writing when it died.
    pub const UNFINISHED: usize = 48;
    pub const NAME: usize = 56;
}

/// Offset of the entry of the `n`-th death.
#[inline]
pub const fn death(n: u64) -> usize {
    word::DEATH_TABLE + (n % death::KEPT) as usize * death::BYTES
}

/// Byte offsets within a chunk's descriptor. All but the state word are written by the owner after it
/// leased the chunk and before its first commit, and read by the flusher once there is a commit (I2).
pub mod lease {
    /// State word: see [`super::State`].
    pub const STATE: usize = 0;
    /// Number of the writer, and the sequence number of the chunk's first record among its records.
    pub const WRITER: usize = 8;
    pub const FIRST: usize = 16;
    /// Records that the process had dropped by then: three words of two severities each, 32 bits a piece.
    pub const DROPS: usize = 24;
    /// The process.
    pub const PID: usize = 48;
    pub const START: usize = 56;
}

/// Values of [`word::GATE`]: `mode:2 | number:62`. The flusher counts its changes, so that a bell that
/// comes late does not open a gate that was closed since.
pub mod gate {
    const MODE: u64 = 3;
    /// What the flusher is doing.
    #[inline]
    pub const fn mode(gate: u64) -> u64 {
        gate & MODE
    }
    /// The same gate, opened by who rang.
    pub const fn opened(gate: u64) -> u64 {
        gate & !MODE | RUN
    }
    /// The gate that follows this one.
    pub const fn next(gate: u64, mode: u64) -> u64 {
        (gate | MODE).wrapping_add(1) | mode
    }
    /// The flusher is at work; nobody rings.
    pub const RUN: u64 = 0;
    /// It naps for some milliseconds; ring when the pool runs low.
    pub const NAP: u64 = 1;
    /// It sleeps until it is rung: every record rings.
    pub const SLEEP: u64 = 2;
}

/// Values of [`word::KEEP_DONE`] and [`word::ADOPT_DONE`]: `requests:48 | errno:16`.
pub mod kept {
    /// What there is no errno for.
    pub const UNKNOWN: u16 = u16::MAX;
    /// Requests up to this one were served; errno 0 = well.
    pub const fn done(requests: u64, errno: u16) -> u64 {
        requests << 16 | errno as u64
    }
    /// Errno, if this request was served.
    pub const fn result(done: u64, request: u64) -> Option<u16> {
        // Both are taken modulo 2^48.
        if (done >> 16).wrapping_sub(request) << 16 >= 1 << 63 { None } else { Some(done as u16) }
    }
    /// Whether there is one that was not served.
    pub const fn is_asked(requests: u64, done: u64) -> bool {
        requests << 16 != done & !0xffff
    }
}

/// Values of [`word::RETIRED`].
pub mod retired {
    /// Retired; its flusher still writes to the file.
    pub const DRAINING: u64 = 1;
    /// The file is the successor's: what is still found here is handed over to it.
    pub const LEFT: u64 = 2;
}

/// Words of one journal cell.
pub const CELL_WORDS: usize = 16;

/// Counters in the segment. Each is named in `docs/operating.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Counter {
    /// Records written to the file.
    Records = 0,
    /// Bytes written to the file.
    Bytes,
    /// Batches committed.
    Batches,
    /// Rotations finished.
    Rotations,
    /// Take-overs by a new flusher.
    Takeovers,
    /// Bytes of a dead flusher's unfinished batch that a take-over cut off.
    TruncatedBytes,
    /// Producers found dead and cleaned up.
    Reaped,
    /// Records that a producer was writing when it died (never acknowledged).
    LostUnfinished,
    /// Idle leases taken back.
    Revoked,
    /// Chunks in which something impossible was found.
    CorruptChunks,
    /// Records dropped because their chunk was corrupt.
    LostCorrupt,
    /// Failed writes, renames and the like.
    IoErrors,
    /// Times the log file was found moved, deleted or truncated by someone else.
    FileSurprises,
    /// Records refused because their checksum was wrong.
    BadChecksums,
    /// Lines of crlog's own in the log: gaps, deaths.
    Notes,
    /// Syncs of the log file.
    Syncs,
    /// Times the index could not be written, or was found changed by someone else.
    IndexErrors,
    /// Archives packed.
    Packed,
    /// Archives that could not be packed; each attempt counts.
    PackErrors,
    /// Archives that retention removed.
    Removed,
    /// New log files that could not be given to their owner.
    OwnerErrors,
    /// Runs of the hook after a rotation that failed, or could not be begun; each attempt counts.
    HookErrors,
    /// Times the log file was removed, or replaced, by someone else.
    FilesRemoved,
}
/// How many counters there are.
pub const COUNTERS: usize = 23;

/// Byte offsets within a producer's slot. Three groups, each on lines of its own: what the producer says
/// when it registers, what the flusher counts, and what the producer counts.
pub mod slot {
    pub const BYTES: usize = 256;
    /// `phase:2 | gen:62`, see [`super::SlotPhase`].
    pub const WORD: usize = 0;
    pub const PID: usize = 8;
    /// Start time of the process in the platform's own unit; with the pid it names a process.
    pub const START: usize = 16;
    /// Identity of its pid namespace; pids of another one mean nothing here.
    pub const PID_NS: usize = 24;
    /// When it attached, nanoseconds of the Unix epoch.
    pub const ATTACHED_NS: usize = 32;
    pub const NAME: usize = 40;
    pub const NAME_BYTES: usize = 48;
    /// Its own part of `DROPS` begins here: what former owners had dropped, packed as in a lease.
    pub const DROPS_BEFORE: usize = 88;
    /// Records that it was writing when it died (written by the flusher, while it cleans up).
    pub const UNFINISHED: usize = 112;

    /// Records and bytes drained for it (written by the flusher).
    pub const RECORDS: usize = 128;
    pub const RECORD_BYTES: usize = 136;
    /// How many of `DROPS` a line in the log has told of, a word for each severity (written by the flusher).
    pub const REPORTED: usize = 144;

    /// Records refused for want of room, a word for each severity; never reset (written by the producer).
    pub const DROPS: usize = 192;
    /// Records refused for their length.
    pub const TOO_LONG: usize = 240;
    /// Nanoseconds its calls waited for room.
    pub const BLOCKED_NS: usize = 248;
}

const CONTROL_END: usize = 0x3000;
const CHUNK_DESC: usize = 64;
const CHUNK_ALIGN: usize = 4096;
/// Bytes of a record's header, at the back of its chunk.
pub const RECORD_HEADER: usize = 16;
/// Most records in one chunk.
pub const COUNT_MAX: u32 = 0xfff;
/// The owner number that means nobody.
pub const NO_SLOT: u32 = 0xfff;

/// The sizes of a segment: read once, checked, and then kept in private memory (I5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    slots: u32,
    chunks: u32,
    chunk_bytes: u32,
}

impl Geometry {
    /// Checked: 1..=4095 slots, 2..=65,536 chunks of 32 bytes to 1 MiB, in steps of 8 bytes.
    pub const fn new(slots: u32, chunks: u32, chunk_bytes: u32) -> Option<Geometry> {
        if slots == 0 || slots > NO_SLOT || chunks < 2 || chunks > 65_536 {
            return None;
        }
        if chunk_bytes < 32 || chunk_bytes > 1 << 20 || !chunk_bytes.is_multiple_of(8) {
            return None;
        }
        Some(Geometry { slots, chunks, chunk_bytes })
    }

    pub const fn slots(&self) -> u32 {
        self.slots
    }
    pub const fn chunks(&self) -> u32 {
        self.chunks
    }
    pub const fn chunk_bytes(&self) -> usize {
        self.chunk_bytes as usize
    }
    /// Bytes of all chunks together: the capacity of the ring, headers included.
    pub const fn ring_bytes(&self) -> u64 {
        self.chunks as u64 * self.chunk_bytes as u64
    }

    /// Longest record that stands in one chunk.
    pub const fn inline_max(&self) -> usize {
        self.chunk_bytes as usize - RECORD_HEADER
    }
    /// Most records that a chunk has room for: what a larger count says is a lie.
    pub const fn records_max(&self) -> u32 {
        let headers = self.chunk_bytes / RECORD_HEADER as u32;
        if headers < COUNT_MAX { headers } else { COUNT_MAX }
    }
    /// Most continuation chunks of one record: a quarter of the ring, and what its list can name.
    pub const fn big_chunks_max(&self) -> usize {
        let listed = (self.chunk_bytes as usize - RECORD_HEADER) / 8 - 1;
        let quarter = self.chunks as usize / 4;
        if quarter < listed { quarter } else { listed }
    }
    /// Longest record at all, in bytes, terminator included.
    pub const fn record_max(&self) -> usize {
        let big = self.big_chunks_max() * self.chunk_bytes as usize;
        if big > self.inline_max() { big } else { self.inline_max() }
    }

    /// Offset of a slot.
    #[inline]
    pub const fn slot(&self, slot: u32) -> usize {
        CONTROL_END + slot as usize * slot::BYTES
    }
    const fn states(&self) -> usize {
        CONTROL_END + self.slots as usize * slot::BYTES
    }
    /// Offset of a chunk's state word.
    #[inline]
    pub const fn state(&self, chunk: u32) -> usize {
        self.states() + chunk as usize * CHUNK_DESC
    }
    /// Offset of a word of a chunk's descriptor, one of [`lease`].
    #[inline]
    pub const fn lease(&self, chunk: u32, what: usize) -> usize {
        self.states() + chunk as usize * CHUNK_DESC + what
    }
    const fn drains(&self) -> usize {
        let end = self.states() + self.chunks as usize * CHUNK_DESC;
        end.next_multiple_of(128)
    }
    /// Offset of a chunk's drain word.
    #[inline]
    pub const fn drain(&self, chunk: u32) -> usize {
        self.drains() + chunk as usize * 8
    }
    const fn payloads(&self) -> usize {
        (self.drains() + self.chunks as usize * 8).next_multiple_of(CHUNK_ALIGN)
    }
    /// Offset of a chunk's bytes.
    #[inline]
    pub const fn chunk(&self, chunk: u32) -> usize {
        self.payloads() + chunk as usize * self.chunk_bytes as usize
    }
    /// Offset of the header of record `i` of a chunk (two words; they grow down from the end).
    #[inline]
    pub const fn record(&self, chunk: u32, i: u32) -> usize {
        self.chunk(chunk) + self.chunk_bytes as usize - (i as usize + 1) * RECORD_HEADER
    }
    /// Length of the whole segment.
    pub const fn segment_bytes(&self) -> usize {
        self.payloads() + self.chunks as usize * self.chunk_bytes as usize
    }
}

/// Phase of a chunk: the low three bits of its state word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Phase {
    /// Nobody's. Zero, so that fresh pages are a table of free chunks.
    Free = 0,
    /// Leased, no record under way.
    Open = 1,
    /// Leased, the owner is writing a record.
    Busy = 2,
    /// Takes no more records; the flusher's.
    Sealed = 3,
    /// Continuation of a record that is larger than a chunk.
    Big = 4,
}

/// A chunk's state word: `phase:3 | count:12 | slot:12 | gen:37`, lowest bits first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State(pub u64);

const GEN_MASK: u64 = (1 << 37) - 1;

impl State {
    #[inline]
    pub const fn new(phase: Phase, count: u32, slot: u32, generation: u64) -> State {
        State(
            phase as u64
                | ((count & 0xfff) as u64) << 3
                | ((slot & 0xfff) as u64) << 15
                | (generation & GEN_MASK) << 27,
        )
    }
    /// `None` for the three bit patterns that no version of crlog writes.
    #[inline]
    pub const fn phase(self) -> Option<Phase> {
        match self.0 & 7 {
            0 => Some(Phase::Free),
            1 => Some(Phase::Open),
            2 => Some(Phase::Busy),
            3 => Some(Phase::Sealed),
            4 => Some(Phase::Big),
            _ => None,
        }
    }
    #[inline]
    pub const fn count(self) -> u32 {
        (self.0 >> 3) as u32 & 0xfff
    }
    #[inline]
    pub const fn slot(self) -> u32 {
        (self.0 >> 15) as u32 & 0xfff
    }
    #[inline]
    pub const fn generation(self) -> u64 {
        self.0 >> 27
    }
    /// The same word in another phase.
    #[inline]
    pub const fn with(self, phase: Phase) -> State {
        State(self.0 & !7 | phase as u64)
    }
    /// The same word with `n` more records.
    #[inline]
    pub const fn plus(self, n: u32) -> State {
        State(self.0 + ((n as u64) << 3))
    }
    /// What the flusher stores to recycle the chunk: FREE, next generation.
    #[inline]
    pub const fn recycled(self) -> State {
        State::new(Phase::Free, 0, 0, self.generation() + 1)
    }
}

/// A chunk's drain word: `base:12 | pend:12 | batch:20 | gen:20`, lowest bits first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainWord(pub u64);

/// The low 20 bits, as batch numbers and generations are kept in a drain word.
#[inline]
pub const fn low20(x: u64) -> u64 {
    x & 0xf_ffff
}

impl DrainWord {
    #[inline]
    pub const fn new(base: u32, pend: u32, batch: u64, generation: u64) -> DrainWord {
        DrainWord(
            (base & 0xfff) as u64
                | ((pend & 0xfff) as u64) << 12
                | low20(batch) << 24
                | low20(generation) << 44,
        )
    }
    #[inline]
    pub const fn base(self) -> u32 {
        self.0 as u32 & 0xfff
    }
    #[inline]
    pub const fn pend(self) -> u32 {
        (self.0 >> 12) as u32 & 0xfff
    }
    #[inline]
    pub const fn batch(self) -> u64 {
        low20(self.0 >> 24)
    }
    #[inline]
    pub const fn generation(self) -> u64 {
        self.0 >> 44
    }
    /// Records of generation `generation` that are in the file, given the last committed batch.
    #[inline]
    pub const fn effective(self, generation: u64, commit: u64) -> u32 {
        if self.generation() != low20(generation) {
            0
        } else if self.batch() == low20(commit) {
            self.pend()
        } else {
            self.base()
        }
    }
}

/// Second word of a record's header: `len:24 | level:4 | flags:4 | check:32`, lowest bits first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta(pub u64);

/// Flag of a record whose bytes are in continuation chunks.
pub const FLAG_BIG: u8 = 1;
/// Flag of a record that carries a checksum.
pub const FLAG_CHECKED: u8 = 2;
/// Flag of a record whose bytes begin with its process's totals of dropped records, packed
/// ([`DROPS_BYTES`] bytes that are not the record's own): some were dropped since the record before it.
pub const FLAG_DROPS: u8 = 4;
/// Bytes of packed totals.
pub const DROPS_BYTES: usize = LEVELS * 4;

impl Meta {
    #[inline]
    pub const fn new(len: u32, level: u8, flags: u8) -> Meta {
        Meta((len & 0xff_ffff) as u64 | (level as u64 & 15) << 24 | (flags as u64 & 15) << 28)
    }
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub const fn len(self) -> u32 {
        self.0 as u32 & 0xff_ffff
    }
    #[inline]
    pub const fn level(self) -> u8 {
        (self.0 >> 24) as u8 & 15
    }
    #[inline]
    pub const fn is_big(self) -> bool {
        (self.0 >> 28) as u8 & FLAG_BIG != 0
    }
    #[inline]
    pub const fn is_checked(self) -> bool {
        (self.0 >> 28) as u8 & FLAG_CHECKED != 0
    }
    #[inline]
    pub const fn tells_drops(self) -> bool {
        (self.0 >> 28) as u8 & FLAG_DROPS != 0
    }
    /// The same with a checksum.
    #[inline]
    pub const fn with_check(self, check: u32) -> Meta {
        Meta(self.0 & 0xffff_ffff | (check as u64) << 32)
    }
    #[inline]
    pub const fn check(self) -> u32 {
        (self.0 >> 32) as u32
    }
    /// Where the checksum of a record begins: it covers its chunk's generation (so that what an earlier
    /// life left is not taken for it), its key, its length, level and flags, and then its bytes.
    #[inline]
    pub fn seed(self, generation: u64, key: u64) -> u32 {
        let mut b = [0u8; 20];
        b[..8].copy_from_slice(&generation.to_le_bytes());
        b[8..16].copy_from_slice(&key.to_le_bytes());
        b[16..].copy_from_slice(&(self.0 as u32).to_le_bytes());
        crc32c::crc32c(&b)
    }
}

/// Totals of dropped records by severity, packed into three words: 32 bits each, wrapping.
pub const fn pack_drops(drops: &[u64; LEVELS]) -> [u64; LEVELS / 2] {
    let mut packed = [0; LEVELS / 2];
    let mut i = 0;
    while i < LEVELS {
        packed[i / 2] |= (drops[i] & 0xffff_ffff) << (32 * (i % 2));
        i += 1;
    }
    packed
}

/// The reverse of [`pack_drops`], as far as it can be had.
pub const fn unpack_drops(packed: &[u64; LEVELS / 2]) -> [u32; LEVELS] {
    let mut drops = [0; LEVELS];
    let mut i = 0;
    while i < LEVELS {
        drops[i] = (packed[i / 2] >> (32 * (i % 2))) as u32;
        i += 1;
    }
    drops
}

/// One entry of a continuation list: `chunk:20 | gen:37`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BigEntry(pub u64);

impl BigEntry {
    pub const fn new(chunk: u32, generation: u64) -> BigEntry {
        BigEntry(chunk as u64 & 0xf_ffff | (generation & GEN_MASK) << 20)
    }
    pub const fn chunk(self) -> u32 {
        self.0 as u32 & 0xf_ffff
    }
    pub const fn generation(self) -> u64 {
        self.0 >> 20 & GEN_MASK
    }
}

/// Phase of a producer's slot: the low two bits of its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum SlotPhase {
    Free = 0,
    Alive = 1,
    /// Its process is dead, the flusher is cleaning up.
    Reaping = 2,
}

/// A slot's word: `phase:2 | gen:62`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotWord(pub u64);

impl SlotWord {
    pub const fn new(phase: SlotPhase, generation: u64) -> SlotWord {
        SlotWord(phase as u64 | generation << 2)
    }
    pub const fn phase(self) -> Option<SlotPhase> {
        match self.0 & 3 {
            0 => Some(SlotPhase::Free),
            1 => Some(SlotPhase::Alive),
            2 => Some(SlotPhase::Reaping),
            _ => None,
        }
    }
    pub const fn generation(self) -> u64 {
        self.0 >> 2
    }
}

/// Offset of word `i` of journal cell `cell & 1`.
#[inline]
pub const fn journal(cell: u64, i: usize) -> usize {
    word::JOURNAL + ((cell & 1) as usize * CELL_WORDS + i) * 8
}

/// Offset of a counter.
#[inline]
pub const fn counter(c: Counter) -> usize {
    word::COUNTERS + c as usize * 8
}

const _: () = {
    assert!(kept::result(kept::done(7, 5), 7).is_some() && kept::result(kept::done(7, 5), 8).is_none());
    assert!(kept::result(kept::done(0, 5), u64::MAX >> 16).is_some());
    assert!(
        kept::is_asked(8, kept::done(7, 5)) && !kept::is_asked(7, kept::done(7, 5)) && !kept::is_asked(0, 0)
    );
    assert!(word::JOURNAL + 2 * CELL_WORDS * 8 <= word::COUNTERS);
    assert!(word::DEATH_TABLE + death::KEPT as usize * death::BYTES <= CONFIG_ODD);
    assert!(CONFIG_ODD + header::CONFIG_BYTES <= FAULT_TEXT_LEN && FAULT_TEXT + FAULT_BYTES <= CONTROL_END);
    assert!(FAULT_BYTES.is_multiple_of(8));
    assert!(death::NAME + slot::NAME_BYTES <= death::BYTES);
    assert!(word::WHEN_FULL + LEVELS * 8 <= word::RESERVE);
    assert!(lease::START + 8 == CHUNK_DESC && lease::DROPS + LEVELS * 4 == lease::PID);
    assert!(word::COUNTERS + COUNTERS * 8 <= word::SIDECAR);
    assert!(Counter::FilesRemoved as usize + 1 == COUNTERS);
    assert!(
        slot::NAME + slot::NAME_BYTES == slot::DROPS_BEFORE
            && slot::DROPS_BEFORE + LEVELS * 4 == slot::UNFINISHED
    );
    assert!(slot::REPORTED + LEVELS * 8 == slot::DROPS && slot::DROPS + LEVELS * 8 == slot::TOO_LONG);
    assert!(slot::BLOCKED_NS + 8 == slot::BYTES);
    assert!(header::CONFIG + header::CONFIG_BYTES == header::PATH_LEN);
    assert!(State::new(Phase::Free, 0, 0, 0).0 == 0);
    assert!(cfg!(target_endian = "little"), "crlog's segment is little-endian; port the word access first");
};
