//! Bytes of the index.

use super::{Batch, Died, Drops, Entry, Header, Run, Skip, Skipped, Why};

/// Length of a header.
pub const HEADER_BYTES: u64 = 128;
const MAGIC: [u8; 8] = *b"CRLOGIDX";
const VERSION: u32 = 1;
/// Length and checksum before each payload.
const FRAME: usize = 8;
/// A payload that claims to be longer is damaged.
pub const PAYLOAD_MAX: usize = 64 << 20;

impl Header {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES as usize] {
        let mut b = Vec::with_capacity(HEADER_BYTES as usize);
        b.extend(MAGIC);
        b.extend(VERSION.to_le_bytes());
        b.extend((HEADER_BYTES as u32).to_le_bytes());
        b.extend(self.uuid);
        for word in [
            self.serial,
            self.begun,
            self.file,
            self.dev,
            self.ino,
            self.start,
            self.made_ns,
            self.prev_end,
            self.prev_begun,
        ] {
            b.extend(word.to_le_bytes());
        }
        b.extend(self.backups.to_le_bytes());
        b.extend((self.why as u32).to_le_bytes());
        let mut bytes = [0; HEADER_BYTES as usize];
        for (to, from) in bytes.iter_mut().zip(&b) {
            *to = *from;
        }
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` if the bytes do not begin with a header of this version.
    pub fn decode(bytes: &[u8]) -> Option<Header> {
        let bytes = bytes.get(..HEADER_BYTES as usize)?;
        let crc = u32::from_le_bytes(bytes.get(CRC_AT..)?.try_into().ok()?);
        if crc32c::crc32c(bytes.get(..CRC_AT)?) != crc || bytes.get(..8)? != MAGIC {
            return None;
        }
        let half = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let word = |i: usize| Some(u64::from_le_bytes(bytes.get(32 + 8 * i..40 + 8 * i)?.try_into().ok()?));
        if half(8)? != VERSION {
            return None;
        }
        Some(Header {
            uuid: bytes.get(16..32)?.try_into().ok()?,
            serial: word(0)?,
            begun: word(1)?,
            file: word(2)?,
            dev: word(3)?,
            ino: word(4)?,
            start: word(5)?,
            made_ns: word(6)?,
            prev_end: word(7)?,
            prev_begun: word(8)?,
            backups: half(104)?,
            why: match half(108)? {
                0 => Why::Segment,
                1 => Why::Next,
                2 => Why::Interrupted,
                _ => return None,
            },
        })
    }

    /// Where the checksums of the file's entries begin.
    pub fn seed(&self) -> u32 {
        // Without its own checksum: with it, all headers would have the same one.
        crc32c::crc32c(&self.encode()[..CRC_AT])
    }
}

const CRC_AT: usize = HEADER_BYTES as usize - 4;

/// Puts an entry behind what is in `out`.
pub fn put(entry: &Entry, seed: u32, out: &mut Vec<u8>) {
    let at = out.len();
    out.extend([0; FRAME]);
    match entry {
        Entry::Batch(b) => put_batch(b, out),
        Entry::Retire { dev, ino } => {
            out.push(2);
            put_all(out, [*dev, *ino]);
        }
        Entry::Close { batch } => {
            out.push(3);
            put_all(out, [*batch]);
        }
    }
    let payload = out.get(at + FRAME..).unwrap_or_default();
    let (len, crc) = (payload.len() as u32, crc32c::crc32c_append(seed, payload));
    if let Some(frame) = out.get_mut(at..at + FRAME) {
        frame[..4].copy_from_slice(&len.to_le_bytes());
        frame[4..].copy_from_slice(&crc.to_le_bytes());
    }
}

fn put_batch(b: &Batch, out: &mut Vec<u8>) {
    out.push(1);
    put_all(out, [b.batch, b.ms, b.offset, b.len]);
    out.extend(b.crc.to_le_bytes());
    put_all(out, [b.runs.len() as u64]);
    for r in &b.runs {
        put_all(out, [r.writer, r.pid, r.start, u64::from(r.slot), r.first, r.count]);
    }
    put_all(out, [b.skips.len() as u64]);
    for s in &b.skips {
        put_all(out, [s.writer, s.first, s.count, u64::from(s.why == Skipped::Checksum)]);
    }
    put_all(out, [b.drops.len() as u64]);
    for d in &b.drops {
        put_all(out, [d.pid, d.start]);
        put_all(out, d.records);
    }
    put_all(out, [b.deaths.len() as u64]);
    for d in &b.deaths {
        put_all(out, [d.pid, d.start, d.records, d.unfinished]);
    }
}

/// Seven bits a byte, lowest first; the top bit says that more follow.
fn put_all<const N: usize>(out: &mut Vec<u8>, numbers: [u64; N]) {
    for mut n in numbers {
        while n > 0x7f {
            out.push(n as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
    }
}

/// Entries of an index file, one after the other.
#[derive(Debug)]
pub struct Entries<'a> {
    bytes: &'a [u8],
    at: usize,
    seed: u32,
}

/// Behind this offset of the file nothing can be made out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged(pub u64);

impl<'a> Entries<'a> {
    /// The entries of a whole file, header included.
    pub fn of(file: &'a [u8], header: &Header) -> Entries<'a> {
        Entries { bytes: file, at: HEADER_BYTES as usize, seed: header.seed() }
    }

    fn read(&mut self) -> Option<Entry> {
        let frame = self.bytes.get(self.at..self.at + FRAME)?;
        let len = u32::from_le_bytes(frame.get(..4)?.try_into().ok()?) as usize;
        let crc = u32::from_le_bytes(frame.get(4..)?.try_into().ok()?);
        let from = self.at + FRAME;
        let payload = self.bytes.get(from..from.checked_add(len).filter(|_| len <= PAYLOAD_MAX)?)?;
        if crc32c::crc32c_append(self.seed, payload) != crc {
            return None;
        }
        let mut payload = Payload(payload);
        let entry = payload.entry()?;
        payload.0.is_empty().then_some(())?;
        self.at = from + len;
        Some(entry)
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let entry = self.read();
        if entry.is_none() {
            let damaged = Damaged(self.at as u64);
            self.at = self.bytes.len();
            return Some(Err(damaged));
        }
        entry.map(Ok)
    }
}

struct Payload<'a>(&'a [u8]);

impl Payload<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let b = self.byte()?;
            let part = u64::from(b & 0x7f);
            if part << shift >> shift != part {
                return None;
            }
            n |= part << shift;
            if b & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }

    fn list<T>(&mut self, one: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let n = usize::try_from(self.number()?).ok().filter(|n| *n <= self.0.len())?;
        (0..n).map(|_| one(self)).collect()
    }

    fn entry(&mut self) -> Option<Entry> {
        Some(match self.byte()? {
            1 => Entry::Batch(self.batch()?),
            2 => Entry::Retire { dev: self.number()?, ino: self.number()? },
            3 => Entry::Close { batch: self.number()? },
            _ => return None,
        })
    }

    fn batch(&mut self) -> Option<Batch> {
        let [batch, ms, offset, len] = [self.number()?, self.number()?, self.number()?, self.number()?];
        let crc = u32::from_le_bytes([self.byte()?, self.byte()?, self.byte()?, self.byte()?]);
        Some(Batch {
            batch,
            ms,
            offset,
            len,
            crc,
            runs: self.list(Self::run)?,
            skips: self.list(Self::skip)?,
            drops: self.list(Self::drops)?,
            deaths: self.list(Self::died)?,
        })
    }

    fn run(&mut self) -> Option<Run> {
        Some(Run {
            writer: self.number()?,
            pid: self.number()?,
            start: self.number()?,
            slot: u32::try_from(self.number()?).ok()?,
            first: self.number()?,
            count: self.number()?,
        })
    }

    fn skip(&mut self) -> Option<Skip> {
        let [writer, first, count] = [self.number()?, self.number()?, self.number()?];
        let why = match self.number()? {
            0 => Skipped::Corrupt,
            1 => Skipped::Checksum,
            _ => return None,
        };
        Some(Skip { writer, first, count, why })
    }

    fn drops(&mut self) -> Option<Drops> {
        let (pid, start) = (self.number()?, self.number()?);
        let mut records = [0; 6];
        for n in &mut records {
            *n = self.number()?;
        }
        Some(Drops { pid, start, records })
    }

    fn died(&mut self) -> Option<Died> {
        Some(Died {
            pid: self.number()?,
            start: self.number()?,
            records: self.number()?,
            unfinished: self.number()?,
        })
    }
}
