//! Bytes of log files and of index files, read through descriptors that stay open.

use crate::index::judge::{Files, LogFact};
use crate::pack;
use crate::rotate::name::Packing;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::time::UNIX_EPOCH;

const PIECE: u64 = 64 * 1024;

/// A file of the log.
pub(super) enum Bytes {
    Plain(File),
    /// Unpacked from its beginning to its end, again if need be.
    Packed {
        file: File,
        packing: Packing,
        stream: Box<dyn Read>,
        /// How much of it has been unpacked, and how much there must be.
        at: u64,
        len: u64,
        /// When the plain one was last written.
        modified_ns: i64,
    },
    /// Packed by another program, without an index, or as this build cannot. It is kept open so that its
    /// inode is not given to another file.
    Unknown(#[allow(dead_code)] File),
}
/// Open files of the log and of the index.
pub(super) struct Opened {
    pub(super) logs: Vec<Bytes>,
    pub(super) index: BTreeMap<u64, File>,
}

/// A packed archive as the plain one that it was, if it says which of those in the index.
pub(super) fn unpacked(mut file: File, packing: Packing, found: LogFact) -> io::Result<(LogFact, Bytes)> {
    let origin = pack::origin(packing, &mut file)?;
    file.seek(SeekFrom::Start(0))?;
    let stream = file.try_clone().ok().and_then(|again| pack::unpack(packing, again).ok());
    Ok(match origin.filter(|o| o.begun > 0).zip(stream) {
        Some((o, stream)) => {
            let fact = LogFact { id: (o.dev, o.ino), len: o.bytes, begun: Some(o.begun), ..found };
            (fact, Bytes::Packed { file, packing, stream, at: 0, len: o.bytes, modified_ns: o.modified_ns })
        }
        None => (LogFact { packed: true, ..found }, Bytes::Unknown(file)),
    })
}

/// A flusher that is killed at the wrong moment leaves an archive both plain and packed: the plain one counts.
pub(super) fn without_twins(logs: &mut Vec<LogFact>, files: &mut Vec<Bytes>) {
    let time = |file: &File| {
        let since = file.metadata().ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_nanos()).ok()
    };
    let all = || logs.iter().zip(&*files);
    let written = |(l, f): (&LogFact, &Bytes)| match f {
        Bytes::Plain(file) => Some((l.id, l.len, time(file)?)),
        _ => None,
    };
    let plain: Vec<_> = all().filter_map(written).collect();
    let is_twin = |(l, f): (&LogFact, &Bytes)| match f {
        Bytes::Packed { modified_ns, .. } => plain.contains(&(l.id, l.len, *modified_ns)),
        _ => false,
    };
    let twins: Vec<bool> = all().map(is_twin).collect();
    let (mut a, mut b) = (twins.iter(), twins.iter());
    logs.retain(|_| a.next() == Some(&false));
    files.retain(|_| b.next() == Some(&false));
}

impl Files for Opened {
    fn index(&mut self, serial: u64) -> Option<Vec<u8>> {
        let file = self.index.get_mut(&serial)?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).ok()?;
        file.read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    fn crc(&mut self, log: usize, offset: u64, len: u64) -> Option<u32> {
        let mut file = self.logs.get_mut(log)?.from(offset)?;
        let (mut crc, mut left) = (0, len);
        let mut piece = vec![0; PIECE.min(len) as usize];
        while left > 0 {
            let part = piece.get_mut(..PIECE.min(left) as usize)?;
            file.read_exact(part).ok()?;
            crc = crc32c::crc32c_append(crc, part);
            left -= part.len() as u64;
        }
        Some(crc)
    }
}

impl Bytes {
    /// To be read from there on.
    fn from(&mut self, offset: u64) -> Option<Passing<'_>> {
        match self {
            Bytes::Unknown(_) => None,
            Bytes::Plain(file) => {
                file.seek(SeekFrom::Start(offset)).ok()?;
                Some(Passing { from: file, packed: None })
            }
            Bytes::Packed { file, packing, stream, at, len, .. } => {
                if offset < *at {
                    file.seek(SeekFrom::Start(0)).ok()?;
                    *stream = pack::unpack(*packing, file.try_clone().ok()?).ok()?;
                    *at = 0;
                }
                let skip = offset - *at;
                let skipped = io::copy(&mut stream.by_ref().take(skip), &mut io::sink()).ok()?;
                *at += skipped;
                (skipped == skip).then_some(Passing { from: stream, packed: Some((at, *len)) })
            }
        }
    }
}

/// Counts what passes, and looks behind the end, where the checksum of a packed file stands.
struct Passing<'a> {
    from: &'a mut dyn Read,
    packed: Option<(&'a mut u64, u64)>,
}

impl Read for Passing<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(bytes)?;
        if let Some((at, len)) = &mut self.packed {
            **at += n as u64;
            if n > 0 && **at == *len && self.from.read(&mut [0])? > 0 {
                return Err(io::Error::other("there is more than there was"));
            }
        }
        Ok(n)
    }
}
