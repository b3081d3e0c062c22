//! The driver's hands on the index: begin a file, add an entry before each commit, cut what was not committed.
//!
//! Order: the log's bytes, the entry, COMMIT. An error here never stops the log: the index is given up for the time
//! being ([`Cell::index`] 0 says so in the journal), and a new index file is begun later, which says that it was
//! interrupted.
//!
//! | found | done | counted |
//! |---|---|---|
//! | index file longer than the journal says, by at most one entry | cut to the journal's end | - |
//! | longer by more, shorter, gone | left alone; a new one is begun, marked as interrupted | `IndexErrors` |
//! | it cannot be written or begun | the log goes on; tried again after 1 s, doubling to 60 s | `IndexErrors` |

use super::{Event, Flusher};
use crate::attached::Attached;
use crate::index::{
    Batch, Died, Drops, Entry, FILE_BYTES_MAX, HEADER_BYTES, Header, Place, Run, Skip, Skipped, Why, code,
    directory, name, parse_name,
};
use crate::pack::worker::origin_of;
use crate::ring::journal::{self, Found};
use crate::ring::layout::Counter;
use crate::ring::mem::Mem;
use crate::ring::sweep::{Piece, bump};
use crate::rotate::Naming;
use crate::rotate::name::Packing;
use crate::sys::{self, Create, FileId, LogFile};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// The log's bytes are read again in pieces of this size, which stay in the cache.
const LOOK_BYTES: usize = 64 * 1024;
/// What one entry can take.
const ENTRY_BASE: u64 = 4096;
const ENTRY_PER_CHUNK: u64 = 256;

/// The index, as the flusher that writes it knows it.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The file under way, and its header's seed and time; `None`: not begun, or given up for the time being.
    open: Option<Open>,
    scratch: Vec<u8>,
    entry: Vec<u8>,
    retry_ns: u64,
    delay: Duration,
    /// It was told that the index is interrupted.
    told: bool,
    /// What packed archives were made of, `None` if that is not known.
    origins: HashMap<FileId, Option<Begun>>,
}

#[derive(Debug)]
struct Open {
    file: LogFile,
    serial: u64,
    seed: u32,
    made_ns: u64,
}

/// A log file in the index: its identity when it was begun, and its number.
type Begun = (FileId, u64);

/// What a batch without records tells.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told {
    Drops(Drops),
    Died(Died),
}

fn directory_of(at: &Attached) -> PathBuf {
    at.dir.join(directory(&at.name))
}

fn path_of(at: &Attached, serial: u64) -> PathBuf {
    directory_of(at).join(name(serial))
}

fn file_error(e: sys::FileError) -> io::Error {
    match e {
        sys::FileError::Io { cause, .. } => cause,
        other => io::Error::other(other.to_string()),
    }
}

/// The header of an index file, and how long the file is.
fn header_of(at: &Attached, serial: u64) -> io::Result<(Option<Header>, u64)> {
    let mut file = File::open(path_of(at, serial))?;
    let mut bytes = Vec::new();
    file.by_ref().take(HEADER_BYTES).read_to_end(&mut bytes)?;
    Ok((Header::decode(&bytes), file.metadata()?.len()))
}

/// Numbers of the index files that there are.
fn serials(at: &Attached) -> io::Result<BTreeSet<u64>> {
    match sys::dir::list(&directory_of(at)) {
        Ok(names) => Ok(names.iter().filter_map(|n| parse_name(n)).collect()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(e) => Err(e),
    }
}

/// Opens the index file that the journal names, cut to its committed end.
fn resume(at: &Attached, place: Place) -> io::Result<Open> {
    let (header, _) = header_of(at, place.serial)?;
    let header = header.filter(|h| h.uuid == at.segment.header().uuid && h.serial == place.serial);
    let header = header.ok_or_else(|| io::Error::other("it is not the one that the journal names"))?;
    let file =
        LogFile::open(&path_of(at, place.serial), at.config.mode, Create::Never).map_err(file_error)?;
    let size = file.size()?;
    let most = ENTRY_BASE + ENTRY_PER_CHUNK * u64::from(at.geometry.chunks());
    if size < place.end || size - place.end > most {
        return Err(io::Error::other(format!("it has {size} bytes, the journal says {}", place.end)));
    }
    if size > place.end {
        file.truncate(place.end)?;
    }
    Ok(Open { file, serial: place.serial, seed: header.seed(), made_ns: header.made_ns })
}

/// For the last one out, who is alone with a segment that holds nothing: all its records are in the log.
pub(crate) fn close(at: &Attached) {
    if !at.config.index {
        return;
    }
    let (batch, Found::Cell(cell)) = journal::read(at.mem()) else { return };
    let Some(place) = Place::unpack(cell.index) else { return };
    // Should it fail, the next one who looks is told that the segment was not closed.
    let _ = resume(at, place).and_then(|open| {
        let mut entry = Vec::new();
        code::put(&Entry::Close { batch }, open.seed, &mut entry);
        open.file.write_bytes(&entry, place.end).map_err(|e| e.cause)
    });
}

impl Flusher<'_> {
    /// At a take-over: goes on where the journal says that the index ends.
    pub(super) fn resume_index(&mut self) {
        if self.index.is_none() {
            return;
        }
        let resumed = Place::unpack(self.cell.index).map(|place| resume(self.at, place));
        match resumed {
            Some(Ok(open)) => self.set_open(Some(open)),
            Some(Err(e)) => self.interrupt_index(&e),
            None => {}
        }
    }

    fn set_open(&mut self, open: Option<Open>) {
        if let Some(index) = &mut self.index {
            index.open = open;
        }
    }

    /// The log file is another one, or starts anew: so does the index. `why` unless it is in order.
    pub(super) fn begin_index(&mut self, found: Option<Found>) {
        if self.index.is_none() {
            return;
        }
        let why = match found {
            Some(Found::Nothing) => Why::Segment,
            _ if self.index.as_ref().is_some_and(|i| i.open.is_some()) => Why::Next,
            _ => Why::Interrupted,
        };
        match self.try_begin(why) {
            Ok(open) => {
                self.cell.index = Place { serial: open.serial, end: HEADER_BYTES }.pack();
                self.set_open(Some(open));
                self.index_goes_on();
            }
            Err(e) => self.interrupt_index(&e),
        }
    }

    /// Which number comes next, and the header before it. An index file that holds no entry and was begun by this
    /// segment is begun again: its maker died.
    fn next_serial(&self) -> io::Result<(u64, Option<Header>)> {
        let all = serials(self.at)?;
        let mut next = all.last().map_or(1, |last| last + 1);
        for &serial in all.iter().rev() {
            let (header, len) = header_of(self.at, serial)?;
            let journalled = Place::unpack(self.cell.index).is_some_and(|p| p.serial == serial);
            let ours = header.as_ref().is_none_or(|h| h.uuid == self.at.segment.header().uuid);
            if len <= HEADER_BYTES && ours && !journalled && serial + 1 == next {
                next = serial;
            } else if header.is_some() {
                return Ok((next, header));
            }
        }
        Ok((next, None))
    }

    fn try_begin(&mut self, why: Why) -> io::Result<Open> {
        let at = self.at;
        sys::make_private_dir(&directory_of(at), self.config.rights_of_directory())?;
        let (serial, prev) = self.next_serial()?;
        let known = Place::unpack(self.cell.index).filter(|_| why == Why::Next);
        let goes_on = |p: &Header| (p.dev, p.ino) == (self.cell.dev, self.cell.ino) && self.cell.end > 0;
        let prev_begun = prev.as_ref().map_or(0, |p| p.begun);
        let header = Header {
            uuid: at.segment.header().uuid,
            serial,
            begun: prev_begun + u64::from(!prev.as_ref().is_some_and(goes_on)),
            file: self.cell.file,
            dev: self.cell.dev,
            ino: self.cell.ino,
            start: self.cell.end,
            made_ns: sys::unix_ns(),
            prev_end: known.filter(|p| p.serial + 1 == serial).map_or(0, |p| p.end),
            prev_begun,
            backups: at.config.policy.backups,
            why,
        };
        let file = LogFile::open(&path_of(at, serial), self.config.rights(), Create::IfMissing)
            .map_err(file_error)?;
        file.truncate(0)?;
        file.write_bytes(&header.encode(), 0).map_err(|e| e.cause)?;
        // What cannot be removed now is removed at the next rotation.
        let naming = self.all_names();
        if let Some(index) = &mut self.index {
            let _ = prune(at, &naming, &header, &mut index.origins);
        }
        Ok(Open { file, serial, seed: header.seed(), made_ns: header.made_ns })
    }

    /// The batch that was just written, before its commit.
    pub(super) fn index_batch(&mut self, len: u64) {
        if self.index.is_none() || !self.index_is_open() {
            return;
        }
        let mut batch = self.batch_of(len);
        batch.crc = self.crc_of_pieces();
        self.add_to_index(&Entry::Batch(batch));
    }

    /// The same for a note on its own.
    pub(super) fn index_note(&mut self, line: &[u8], told: Told) {
        if self.index.is_none() || !self.index_is_open() {
            return;
        }
        let mut batch = self.empty_batch(line.len() as u64);
        batch.crc = crc32c::crc32c(line);
        match told {
            Told::Drops(d) => batch.drops.push(d),
            Told::Died(d) => batch.deaths.push(d),
        }
        self.add_to_index(&Entry::Batch(batch));
    }

    /// The rotation is about to give this file up.
    pub(super) fn index_retires(&mut self, id: FileId) -> Result<(), super::Trouble> {
        if self.index.as_ref().is_none_or(|index| index.open.is_none()) {
            return Ok(());
        }
        self.add_to_index(&Entry::Retire { dev: id.dev, ino: id.ino });
        self.commit()
    }

    /// The segment is given up, and all that was in it is in the log.
    pub(super) fn close_index(&mut self) {
        if self.index.as_ref().is_none_or(|index| index.open.is_none()) {
            return;
        }
        let batch = self.drainer.committed();
        self.add_to_index(&Entry::Close { batch });
        // Deposed: somebody else goes on, and closes it.
        let _ = self.commit();
        self.set_open(None);
    }

    /// An archive was packed. Its new inode may have been that of another packed one.
    pub(super) fn index_packed(&mut self, packed: FileId) {
        if let Some(index) = &mut self.index {
            index.origins.remove(&packed);
        }
    }

    /// What was archived is on the disk, and so is what the index says of it.
    pub(super) fn sync_index(&mut self) {
        if let Some(Err(e)) = self.index.as_ref().and_then(|i| i.open.as_ref()).map(|o| o.file.sync_data()) {
            self.interrupt_index(&e);
        }
    }

    /// After an interruption a new file is begun once the time has come; a large one is followed by another.
    fn index_is_open(&mut self) -> bool {
        let Some(index) = &self.index else { return false };
        let full = Place::unpack(self.cell.index).is_some_and(|p| p.end > FILE_BYTES_MAX);
        if full || (index.open.is_none() && sys::monotonic_ns() >= index.retry_ns) {
            self.begin_index(None);
        }
        self.index.as_ref().is_some_and(|index| index.open.is_some())
    }

    fn empty_batch(&self, len: u64) -> Batch {
        let made = self.index.as_ref().and_then(|i| i.open.as_ref()).map_or(0, |o| o.made_ns);
        Batch {
            batch: self.drainer.committed().wrapping_add(1),
            ms: sys::unix_ns().saturating_sub(made) / super::MS,
            offset: self.cell.end,
            len,
            ..Batch::default()
        }
    }

    fn batch_of(&self, len: u64) -> Batch {
        let mem = self.at.mem();
        let runs = self.drainer.runs(mem).map(|r| Run {
            writer: r.writer,
            pid: r.pid,
            start: r.start,
            slot: r.slot,
            first: r.first,
            count: u64::from(r.count),
        });
        let drops = self.drainer.told_drops();
        let drops = drops.map(|d| Drops { pid: d.pid, start: d.start, records: d.records });
        Batch { runs: runs.collect(), skips: self.skips(), drops: drops.collect(), ..self.empty_batch(len) }
    }

    /// Neighbours joined.
    fn skips(&self) -> Vec<Skip> {
        let mut skips: Vec<Skip> = Vec::new();
        for s in self.drainer.skipped(self.at.mem()) {
            let why = if s.refused { Skipped::Checksum } else { Skipped::Corrupt };
            match skips.last_mut() {
                Some(last)
                    if (last.writer, last.first.wrapping_add(last.count), last.why)
                        == (s.writer, s.number, why) =>
                {
                    last.count += 1;
                }
                _ => skips.push(Skip { writer: s.writer, first: s.number, count: 1, why }),
            }
        }
        skips
    }

    fn crc_of_pieces(&mut self) -> u32 {
        let (Some(index), mem) = (&mut self.index, self.at.mem()) else { return 0 };
        let mut crc = 0;
        for piece in self.drainer.pieces() {
            match *piece {
                Piece::Staged { at, len } => {
                    let bytes = self.drainer.staging().get(at..at + len).unwrap_or_default();
                    crc = crc32c::crc32c_append(crc, bytes);
                }
                Piece::Ring { at, len } => {
                    for from in (0..len).step_by(LOOK_BYTES) {
                        index.scratch.clear();
                        mem.get(at + from, LOOK_BYTES.min(len - from), &mut index.scratch);
                        crc = crc32c::crc32c_append(crc, &index.scratch);
                    }
                }
            }
        }
        crc
    }

    /// Puts an entry behind the committed ones; the next commit counts it.
    fn add_to_index(&mut self, entry: &Entry) {
        let (Some(index), Some(place)) = (&mut self.index, Place::unpack(self.cell.index)) else { return };
        let Some(open) = &index.open else { return };
        index.entry.clear();
        code::put(entry, open.seed, &mut index.entry);
        match open.file.write_bytes(&index.entry, place.end) {
            Ok(n) => self.cell.index = Place { end: place.end + n, ..place }.pack(),
            Err(e) => {
                // Half an entry is no entry: what is left of it is seen for what it is.
                let _ = open.file.truncate(place.end);
                self.interrupt_index(&e.cause);
            }
        }
    }

    /// The index is given up for the time being; the log is not.
    fn interrupt_index(&mut self, e: &io::Error) {
        self.cell.index = 0;
        let Some(index) = &mut self.index else { return };
        index.open = None;
        index.delay = (index.delay * 2).clamp(RETRY_MIN, RETRY_MAX);
        index.retry_ns = sys::monotonic_ns() + u64::try_from(index.delay.as_nanos()).unwrap_or(u64::MAX);
        let (told, retry) = (std::mem::replace(&mut index.told, true), index.delay);
        bump(self.at.mem(), Counter::IndexErrors, 1);
        if !told {
            let what = format!("cannot write the index {}: {e}", directory_of(self.at).display());
            let errno = e.raw_os_error().unwrap_or(0);
            (self.tell)(Event::IndexInterrupted { what, errno, retry });
        }
    }

    fn index_goes_on(&mut self) {
        let Some(index) = &mut self.index else { return };
        index.delay = Duration::ZERO;
        if std::mem::take(&mut index.told) {
            (self.tell)(Event::IndexResumed);
        }
    }
}

/// Removes index files whose log files have gone from the chain and would have by now: more newer ones have been
/// begun than the log keeps archives.
fn prune(
    at: &Attached,
    naming: &Naming,
    newest: &Header,
    origins: &mut HashMap<FileId, Option<Begun>>,
) -> io::Result<()> {
    let id = |h: &Header| FileId { dev: h.dev, ino: h.ino };
    let mut past = Vec::new();
    let mut begun = HashMap::from([(id(newest), newest.begun)]);
    for serial in serials(at)?.into_iter().filter(|s| *s < newest.serial) {
        let Some(h) = header_of(at, serial)?.0 else { continue };
        // An inode of a removed file is soon given to a new one: the last one to be begun has it.
        let last = begun.entry(id(&h)).or_default();
        *last = h.begun.max(*last);
        if newest.begun.saturating_sub(h.begun) <= u64::from(newest.backups) {
            break;
        }
        past.push(h);
    }
    if past.is_empty() {
        return Ok(());
    }
    let present = chain(at, naming, origins)?;
    for h in past {
        let plain = present.contains(&id(&h)) && begun.get(&id(&h)) == Some(&h.begun);
        let packed = origins.values().any(|origin| *origin == Some((id(&h), h.begun)));
        if !plain && !packed {
            sys::dir::remove(&path_of(at, h.serial))?;
        }
    }
    Ok(())
}

/// The identities of the log and its plain archives. What packed ones were made of is left in `origins`; each of them
/// is opened once in a turn.
fn chain(
    at: &Attached,
    naming: &Naming,
    origins: &mut HashMap<FileId, Option<Begun>>,
) -> io::Result<HashSet<FileId>> {
    let mut ids = HashSet::new();
    let before = std::mem::take(origins);
    for name in sys::dir::list(&at.dir)? {
        let Some(place) = naming.standing(&name) else { continue };
        let path = at.dir.join(&name);
        let Some(id) = sys::dir::identity_at(&path)? else { continue };
        let packing = place.packing();
        if packing == Packing::Plain {
            ids.insert(id);
            continue;
        }
        let look = || {
            let file = LogFile::open(&path, at.config.mode, Create::Never).ok()?;
            origin_of(packing, &file).map(|o| (FileId { dev: o.dev, ino: o.ino }, o.begun))
        };
        origins.insert(id, before.get(&id).copied().unwrap_or_else(look));
    }
    Ok(ids)
}
