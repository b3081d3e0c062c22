//! The header as bytes: written once, read once into private memory, and believed only after every
//! check (I5). Pure; `docs/format.md` is the same for readers.

use crate::ring::layout::{Geometry, LAYOUT_VERSION, MAGIC, header as at};
use crate::sys::FileId;

/// Bytes of the header with the configuration and the path.
pub(super) const PAGE: usize = 0x1000;
/// Bytes that the checksum covers.
const COVERED: std::ops::Range<usize> = at::VERSION..at::CRC;
/// Size of a shared word, in bits.
const WORD_BITS: u32 = 64;

/// What the header of a sound segment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The sizes, checked.
    pub geometry: Geometry,
    /// Which successor of the first segment this is, from 1.
    pub generation: u64,
    /// Random, different for every segment ever made.
    pub uuid: [u8; 16],
    /// The boot in which it was made; zeros if unknown.
    pub boot_id: [u8; 16],
    /// When it was made, nanoseconds since 1970.
    pub created_ns: u64,
    /// Who made it.
    pub creator_pid: u32,
    /// As which user.
    pub creator_uid: u32,
    /// The lock file that goes with it.
    pub lock: FileId,
    /// The configuration, as `docs/format.md` gives it.
    pub config: [u8; at::CONFIG_BYTES],
    /// The canonical path of the log, as the platform encodes it.
    pub path: Vec<u8>,
}

/// Why a header is not that of a segment of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsound {
    /// Its maker died before it was whole (or before it was anything).
    HalfMade,
    /// Something else.
    NotOurs,
    /// Shorter than a header.
    Short,
    /// Made by another version of the layout.
    Version { found: u32, word_bits: u32 },
    /// Ours, but damaged; says where.
    Damaged(&'static str),
}

/// `page` holds as much of the first page as the object has.
pub(super) fn parse(page: &[u8]) -> Result<Header, Unsound> {
    let mut whole = [0; PAGE];
    let have = page.len().min(PAGE);
    whole[..have].copy_from_slice(&page[..have]);
    let page = &whole;
    check_start(page, have)?;
    if crc32c::crc32c(&page[COVERED]) != low(page, at::CRC) {
        return Err(Unsound::Damaged("checksum"));
    }
    let geometry = geometry(page)?;
    let len = usize::try_from(word(page, at::PATH_LEN)).ok().filter(|&n| n <= at::PATH_MAX);
    let len = len.ok_or(Unsound::Damaged("length of the path"))?;
    Ok(Header {
        geometry,
        generation: word(page, at::GENERATION),
        uuid: array(page, at::UUID),
        boot_id: array(page, at::BOOT_ID),
        created_ns: word(page, at::CREATED_NS),
        creator_pid: low(page, at::CREATOR),
        creator_uid: high(page, at::CREATOR),
        lock: FileId { dev: word(page, at::LOCK_DEV), ino: word(page, at::LOCK_INO) },
        config: array(page, at::CONFIG),
        path: page[at::PATH..at::PATH + len].to_vec(),
    })
}

fn check_start(page: &[u8; PAGE], have: usize) -> Result<(), Unsound> {
    let (version, bits) = (low(page, at::VERSION), high(page, at::VERSION));
    match word(page, at::MAGIC) {
        // The maker writes the version before the rest, and the magic after everything.
        0 if page.iter().all(|&b| b == 0) => return Err(Unsound::HalfMade),
        0 if (version, bits) == (LAYOUT_VERSION, WORD_BITS) => return Err(Unsound::HalfMade),
        MAGIC => {}
        _ => return Err(Unsound::NotOurs),
    }
    if have < PAGE {
        return Err(Unsound::Short);
    }
    if (version, bits) != (LAYOUT_VERSION, WORD_BITS) {
        return Err(Unsound::Version { found: version, word_bits: bits });
    }
    Ok(())
}

fn geometry(page: &[u8; PAGE]) -> Result<Geometry, Unsound> {
    let sizes = (low(page, at::COUNTS), high(page, at::COUNTS), low(page, at::CHUNK));
    let geometry = Geometry::new(sizes.0, sizes.1, sizes.2).ok_or(Unsound::Damaged("sizes"))?;
    if word(page, at::SEGMENT_BYTES) != geometry.segment_bytes() as u64 {
        return Err(Unsound::Damaged("length of the segment"));
    }
    if high(page, at::CHUNK) != 0 {
        return Err(Unsound::Damaged("kind of order numbers"));
    }
    Ok(geometry)
}

impl Header {
    /// The first page, magic included. The path must fit (`PATH_MAX`).
    pub(super) fn encode(&self) -> [u8; PAGE] {
        let mut page = [0; PAGE];
        let g = &self.geometry;
        let chunk = u32::try_from(g.chunk_bytes()).unwrap_or(0);
        let mut put = |at: usize, value: u64| page[at..at + 8].copy_from_slice(&value.to_le_bytes());
        put(at::MAGIC, MAGIC);
        put(at::VERSION, both(LAYOUT_VERSION, WORD_BITS));
        put(at::SEGMENT_BYTES, g.segment_bytes() as u64);
        put(at::COUNTS, both(g.slots(), g.chunks()));
        put(at::CHUNK, both(chunk, 0));
        put(at::GENERATION, self.generation);
        put(at::CREATED_NS, self.created_ns);
        put(at::CREATOR, both(self.creator_pid, self.creator_uid));
        put(at::LOCK_DEV, self.lock.dev);
        put(at::LOCK_INO, self.lock.ino);
        put(at::PATH_LEN, self.path.len() as u64);
        page[at::UUID..at::UUID + 16].copy_from_slice(&self.uuid);
        page[at::BOOT_ID..at::BOOT_ID + 16].copy_from_slice(&self.boot_id);
        page[at::CONFIG..at::CONFIG + at::CONFIG_BYTES].copy_from_slice(&self.config);
        let path = &self.path[..self.path.len().min(at::PATH_MAX)];
        page[at::PATH..at::PATH + path.len()].copy_from_slice(path);
        let crc = crc32c::crc32c(&page[COVERED]);
        page[at::CRC..at::CRC + 4].copy_from_slice(&crc.to_le_bytes());
        page
    }
}

fn word(page: &[u8; PAGE], at: usize) -> u64 {
    u64::from_le_bytes(array(page, at))
}

fn low(page: &[u8; PAGE], at: usize) -> u32 {
    u32::from_le_bytes(array(page, at))
}

fn high(page: &[u8; PAGE], at: usize) -> u32 {
    low(page, at + 4)
}

fn both(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

fn array<const N: usize>(page: &[u8; PAGE], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&page[at..at + N]);
    out
}
