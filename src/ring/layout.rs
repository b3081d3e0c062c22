//! Where everything stands in the segment, and how the state words are packed.
//!
//! All integers are little-endian, every shared word is 8 bytes on an 8-byte ruler, and groups that
//! different parties write are 128 bytes apart (two 64-byte lines, because adjacent lines are
//! prefetched in pairs). `docs/format.md` is the same table for readers; the assertions at the end
//! of this file keep the two honest. A zeroed page is a valid table of FREE chunks and slots.

/// `b"CRLOGSEG"` read as a little-endian word; stored last, so a segment without it is half-made.
pub const MAGIC: u64 = u64::from_le_bytes(*b"CRLOGSEG");
/// Version of everything in this file. Another version is refused, never guessed at.
pub const LAYOUT_VERSION: u32 = 1;

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
    pub const CONFIG_BYTES: usize = 0x0100;
    /// Length of the canonical path of the log, then its bytes.
    pub const PATH_LEN: usize = 0x0200;
    pub const PATH: usize = 0x0208;
    pub const PATH_MAX: usize = 0x1000 - PATH;
}

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
    /// Completed sweeps; who waits for a flush sleeps on its low half.
    pub const SWEEPS: usize = 0x1280;
    /// 1 = somebody sleeps on `SWEEPS`.
    pub const SWEEPS_WANT: usize = 0x1288;
    /// Number of the last committed batch: THE commit point.
    pub const COMMIT: usize = 0x1300;
    /// Two journal cells of [`super::CELL_WORDS`] words; cell `COMMIT & 1` is the valid one.
    pub const JOURNAL: usize = 0x1308;
    /// Counters, written by the flusher, indexed by [`super::Counter`].
    pub const COUNTERS: usize = 0x1400;
    /// Pid of a sidecar that wants to flush; 0 = none. A hint: its lock is the proof.
    pub const SIDECAR: usize = 0x1500;
    /// Bumped to ask the flusher for a rotation / for a reopening of the file.
    pub const ROTATE_REQUESTS: usize = 0x1508;
    pub const REOPEN_REQUESTS: usize = 0x1510;
    /// Requests served so far (written by the flusher).
    pub const ROTATE_SERVED: usize = 0x1518;
    pub const REOPEN_SERVED: usize = 0x1520;
    /// 1 = this segment is retired: producers move to its successor at their next lease.
    pub const RETIRED: usize = 0x1580;
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

/// Words of one journal cell.
pub const CELL_WORDS: usize = 7;

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
}
/// How many counters there are.
pub const COUNTERS: usize = 13;

/// Byte offsets within a producer's slot.
pub mod slot {
    pub const BYTES: usize = 128;
    /// `phase:2 | gen:62`, see [`super::SlotPhase`].
    pub const WORD: usize = 0;
    pub const PID: usize = 8;
    /// Start time of the process in the platform's own unit; with the pid it names a process.
    pub const START: usize = 16;
    /// Identity of its pid namespace; pids of another one mean nothing here.
    pub const PID_NS: usize = 24;
    /// Records and bytes drained for it (written by the flusher).
    pub const RECORDS: usize = 32;
    pub const RECORD_BYTES: usize = 40;
    /// Records refused for want of room or for their length (written by the producer).
    pub const DROPS: usize = 48;
    pub const TOO_LONG: usize = 56;
    /// Nanoseconds its calls waited for room.
    pub const BLOCKED_NS: usize = 64;
    /// When it attached, nanoseconds of the Unix epoch.
    pub const ATTACHED_NS: usize = 72;
    pub const NAME: usize = 80;
    pub const NAME_BYTES: usize = 48;
}

const CONTROL_END: usize = 0x2000;
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

/// Second word of a record's header: `len:32 | level:8 | flags:8 | reserved:16`, lowest bits first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta(pub u64);

/// Flag of a record whose bytes are in continuation chunks.
pub const FLAG_BIG: u8 = 1;

impl Meta {
    #[inline]
    pub const fn new(len: u32, level: u8, flags: u8) -> Meta {
        Meta(len as u64 | (level as u64) << 32 | (flags as u64) << 40)
    }
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub const fn len(self) -> u32 {
        self.0 as u32
    }
    #[inline]
    pub const fn level(self) -> u8 {
        (self.0 >> 32) as u8
    }
    #[inline]
    pub const fn is_big(self) -> bool {
        (self.0 >> 40) as u8 & FLAG_BIG != 0
    }
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
    assert!(word::JOURNAL + 2 * CELL_WORDS * 8 <= 0x1380, "the journal stays in its 128 bytes");
    assert!(word::COUNTERS + COUNTERS * 8 <= word::SIDECAR);
    assert!(Counter::FileSurprises as usize + 1 == COUNTERS);
    assert!(slot::NAME + slot::NAME_BYTES == slot::BYTES);
    assert!(header::CONFIG + header::CONFIG_BYTES == header::PATH_LEN);
    assert!(State::new(Phase::Free, 0, 0, 0).0 == 0);
    assert!(cfg!(target_endian = "little"), "crlog's segment is little-endian; port the word access first");
};
