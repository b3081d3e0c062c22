//! Archives packed with gzip or zstd: the bytes. Which archive, when, and under what name is decided in [`choose`] and
//! `src/flush/pack.rs`.
//!
//! **What a packed file says of itself.** In front, where every unpacker passes over it (gzip: a field of the header,
//! RFC 1952 section 2.3.1.1; zstd: a skippable frame, RFC 8878 section 3.1.2), stands which file it was made of: a mark, device, inode,
//! length, time of the last write, and its number in the index if there is one. A flusher that is killed after the packed file got its name and before the plain one
//! lost it leaves both; the next one recognizes the pair by that, unpacks the one, compares it with the other, and
//! removes the plain one if they are the same. A packed file without the mark is somebody else's, and proves nothing.
//!
//! **Constraints.** But for `worker` pure: readers, writers, a question whether to go on. It is asked for every [`PIECE`] bytes, so
//! that work for nothing ends within milliseconds.

use crate::rotate::name::Packing;
use std::io::{self, BufRead, BufReader, Read, Write};

pub mod choose;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
pub(crate) mod worker;

/// Bytes between two questions whether to go on.
pub const PIECE: usize = 64 * 1024;
/// In front of an origin: whose mark it is, and its version.
const MARK: [u8; 8] = *b"crlog\0\0\x01";
const ORIGIN_BYTES: usize = MARK.len() + 40;
/// The subfield of a gzip header.
const FIELD: [u8; 2] = *b"CR";
/// A skippable frame's first word; the last four bits are free to choose.
const FRAME: u32 = 0x184d_2a5c;

/// How archives are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// With gzip, to files that end in `.gz`.
    Gzip {
        /// 1 (fast) to 9 (small).
        level: u32,
    },
    /// With zstd, to files that end in `.zst`. Only where crlog was built with its feature `zstd`; a flusher that
    /// was not leaves archives as they are, and says so.
    Zstd {
        /// 1 (fast) to 19 (small).
        level: u32,
    },
}

/// As it is typed.
impl std::fmt::Display for Compression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Gzip { level } => write!(f, "gzip:{level}"),
            Self::Zstd { level } => write!(f, "zstd:{level}"),
        }
    }
}

impl Compression {
    /// gzip at its usual level.
    pub const GZIP: Self = Self::Gzip { level: 6 };
    /// zstd at its usual level.
    pub const ZSTD: Self = Self::Zstd { level: 3 };

    /// Whether it is a level that can be asked for.
    #[must_use]
    pub fn is_possible(self) -> bool {
        match self {
            Self::None => true,
            Self::Gzip { level } => (1..=9).contains(&level),
            Self::Zstd { level } => (1..=19).contains(&level),
        }
    }

    /// In one word: `kind:8 | level:8`.
    #[must_use]
    pub fn encode(self) -> u64 {
        let (kind, level) = match self {
            Self::None => (0, 0),
            Self::Gzip { level } => (1, level),
            Self::Zstd { level } => (2, level),
        };
        kind | u64::from(level & 0xff) << 8
    }

    /// What [`Compression::encode`] made. An unknown kind is taken for the newest.
    #[must_use]
    pub fn decode(word: u64) -> Self {
        let level = (word >> 8 & 0xff) as u32;
        match word & 0xff {
            0 => Self::None,
            1 => Self::Gzip { level },
            _ => Self::Zstd { level },
        }
    }

    /// What it makes of a plain file, if this build can.
    #[must_use]
    pub fn packing(self) -> Option<Packing> {
        match self {
            Self::None => None,
            Self::Gzip { .. } => Some(Packing::Gzip),
            Self::Zstd { .. } => cfg!(feature = "zstd").then_some(Packing::Zstd),
        }
    }
}

/// The file that a packed one was made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Its file system.
    pub dev: u64,
    /// Its number there.
    pub ino: u64,
    /// Its length.
    pub bytes: u64,
    /// When it was last written, nanoseconds of the Unix epoch.
    pub modified_ns: i64,
    /// Which of the files it is that the index has begun; 0 if none. An inode is soon given out again, so that device and
    /// inode alone would name several.
    pub begun: u64,
}

impl Origin {
    /// Whether both are the same file.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Self { begun: 0, ..*self } == Self { begun: 0, ..*other }
    }

    fn encode(&self) -> [u8; ORIGIN_BYTES] {
        let mut bytes = [0; ORIGIN_BYTES];
        let words = [MARK, self.dev.to_le_bytes(), self.ino.to_le_bytes(), self.bytes.to_le_bytes()];
        let words = words.into_iter().chain([self.modified_ns.to_le_bytes(), self.begun.to_le_bytes()]);
        for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word);
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let words: Vec<[u8; 8]> = bytes.chunks_exact(8).filter_map(|word| word.try_into().ok()).collect();
        let [MARK, dev, ino, len, time, begun] = words[..] else { return None };
        let [dev, ino, bytes, begun] = [dev, ino, len, begun].map(u64::from_le_bytes);
        (words.len() * 8 == ORIGIN_BYTES).then_some(Self {
            dev,
            ino,
            bytes,
            modified_ns: i64::from_le_bytes(time),
            begun,
        })
    }
}

/// Why work ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// Nobody wants it any more.
    #[error("given up")]
    Unwanted,
    /// The plain file is not what it was when the work began.
    #[error("somebody changed it meanwhile")]
    Changed,
    /// This build cannot do that.
    #[error("this build of crlog has no such compression")]
    NotBuilt,
    /// The system refused, or what was read is damaged.
    #[error(transparent)]
    Io(#[from] io::Error),
}

enum Encoder<W: Write> {
    Gzip(flate2::write::GzEncoder<W>),
    #[cfg(feature = "zstd")]
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Encoder<W> {
    fn new(how: Compression, origin: &Origin, to: W) -> Result<Self, Halt> {
        match how {
            Compression::Gzip { level } => Ok(Self::Gzip(gzip(level, origin, to))),
            #[cfg(feature = "zstd")]
            Compression::Zstd { level } => Ok(Self::Zstd(zstd(level, origin, to)?)),
            _ => Err(Halt::NotBuilt),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Gzip(to) => to.write_all(bytes),
            #[cfg(feature = "zstd")]
            Self::Zstd(to) => to.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Gzip(to) => to.finish()?.flush(),
            #[cfg(feature = "zstd")]
            Self::Zstd(to) => to.finish()?.flush(),
        }
    }
}

fn gzip<W: Write>(level: u32, origin: &Origin, to: W) -> flate2::write::GzEncoder<W> {
    let mut field = FIELD.to_vec();
    field.extend((ORIGIN_BYTES as u16).to_le_bytes());
    field.extend(origin.encode());
    let seconds = u32::try_from(origin.modified_ns / 1_000_000_000).unwrap_or(0);
    let header = flate2::GzBuilder::new().extra(field).mtime(seconds);
    header.write(to, flate2::Compression::new(level.clamp(1, 9)))
}

#[cfg(feature = "zstd")]
fn zstd<W: Write>(
    level: u32,
    origin: &Origin,
    mut to: W,
) -> io::Result<zstd::stream::write::Encoder<'static, W>> {
    to.write_all(&FRAME.to_le_bytes())?;
    to.write_all(&(ORIGIN_BYTES as u32).to_le_bytes())?;
    to.write_all(&origin.encode())?;
    let mut encoder = zstd::stream::write::Encoder::new(to, level.clamp(1, 19).cast_signed())?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(origin.bytes))?;
    Ok(encoder)
}

/// Packs the plain file that `origin` describes. It must have exactly the length that is said there.
pub fn pack(
    mut plain: impl Read,
    to: impl Write,
    how: Compression,
    origin: &Origin,
    mut goes_on: impl FnMut() -> bool,
) -> Result<(), Halt> {
    let mut encoder = Encoder::new(how, origin, to)?;
    let mut piece = vec![0; PIECE];
    let mut left = origin.bytes;
    loop {
        if !goes_on() {
            return Err(Halt::Unwanted);
        }
        let bytes = fill(&mut plain, &mut piece)?;
        if bytes.is_empty() {
            break;
        }
        left = left.checked_sub(bytes.len() as u64).ok_or(Halt::Changed)?;
        encoder.write(bytes)?;
    }
    if left > 0 {
        return Err(Halt::Changed);
    }
    Ok(encoder.finish()?)
}

/// What is there next: less than asked for only at the end.
fn fill<'a>(from: &mut impl Read, piece: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let mut len = 0;
    while let Some(rest) = piece.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(piece.get(..len).unwrap_or_default())
}

/// What a packed file was made of, from its first bytes; `None` if they are not ours.
pub fn origin(packing: Packing, mut packed: impl Read) -> io::Result<Option<Origin>> {
    let mut head = [0; 80];
    let head = fill(&mut packed, &mut head)?;
    let found = match packing {
        Packing::Plain => None,
        Packing::Gzip => gzip_origin(head),
        Packing::Zstd => zstd_origin(head),
    };
    Ok(found)
}

/// Exactly the header that [`gzip`] makes is read: a field of ours and no other.
fn gzip_origin(head: &[u8]) -> Option<Origin> {
    const EXTRA: u8 = 4;
    let head = head.strip_prefix(&[0x1f, 0x8b, 8, EXTRA])?.get(6..)?;
    let (len, rest) = head.split_first_chunk()?;
    let field = rest.strip_prefix(&FIELD)?.strip_prefix(&(ORIGIN_BYTES as u16).to_le_bytes())?;
    let alone = usize::from(u16::from_le_bytes(*len)) == ORIGIN_BYTES + 4;
    Origin::decode(field.get(..ORIGIN_BYTES)?).filter(|_| alone)
}

fn zstd_origin(head: &[u8]) -> Option<Origin> {
    let frame = head.strip_prefix(&FRAME.to_le_bytes())?;
    let frame = frame.strip_prefix(&(ORIGIN_BYTES as u32).to_le_bytes())?;
    Origin::decode(frame.get(..ORIGIN_BYTES)?)
}

/// A packed file's content. What is damaged, or does not end where the file does, is an error when it is read.
pub fn unpack<'a>(packing: Packing, packed: impl Read + 'a) -> Result<Box<dyn Read + 'a>, Halt> {
    match packing {
        Packing::Plain => Ok(Box::new(packed)),
        Packing::Gzip => Ok(Box::new(Whole(flate2::bufread::GzDecoder::new(BufReader::new(packed))))),
        #[cfg(feature = "zstd")]
        Packing::Zstd => Ok(Box::new(zstd::stream::read::Decoder::new(packed)?)),
        #[cfg(not(feature = "zstd"))]
        Packing::Zstd => Err(Halt::NotBuilt),
    }
}

/// One gzip stream, behind which nothing may stand.
struct Whole<R>(flate2::bufread::GzDecoder<R>);

impl<R: BufRead> Read for Whole<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let n = self.0.read(bytes)?;
        if n == 0 && !bytes.is_empty() && !self.0.get_mut().fill_buf()?.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "something stands behind its end"));
        }
        Ok(n)
    }
}

/// Whether a packed file is whole and its content is that of the plain one.
pub fn is_same(
    packing: Packing,
    packed: impl Read,
    mut plain: impl Read,
    mut goes_on: impl FnMut() -> bool,
) -> Result<bool, Halt> {
    let mut packed = unpack(packing, packed)?;
    let (mut ours, mut theirs) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        if !goes_on() {
            return Err(Halt::Unwanted);
        }
        let unpacked = fill(&mut packed, &mut ours)?;
        if unpacked != fill(&mut plain, &mut theirs)? {
            return Ok(false);
        }
        if unpacked.is_empty() {
            return Ok(true);
        }
    }
}
