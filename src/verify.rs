//! Is the log complete? Collects what there is (the files, the index, the segment) and asks the judge.
//!
//! Everything is looked at while others write. Files are opened between two looks at the journal, so that it is known
//! what they are called and how much of them counts; from then on they are read through their handles, whatever is
//! renamed or removed. What stands behind the committed ends is not looked at.

use crate::attached::{Attached, Target};
use crate::error::OpenError;
use crate::index::judge::{Facts, Files, Journal, LogFact, Waiting, judge};
use crate::index::verdict::{Finding, ProducerId, SegmentAccount, Verdict};
use crate::index::{Drops, HEADER_BYTES, Header, Place, directory, name, parse_name};
use crate::manifest::naming;
use crate::options::Options;
use crate::pack;
use crate::ring::journal::{self, Cell, Found};
use crate::ring::layout::{DrainWord, LEVELS, Phase, SlotWord, State, lease, slot};
use crate::ring::mem::Mem;
use crate::ring::reclaim::{drops, last_occupant, reported};
use crate::rotate::name::Packing;
use crate::rotate::{Naming, Standing};
use crate::stats::Stats;
use crate::sys;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::{Duration, UNIX_EPOCH};

/// Attempts to see everything between two commits, and then at least between two rotations.
const LOOKS: u32 = 40;
const PAUSE: Duration = Duration::from_millis(2);
/// How long a rotation that somebody works on is waited for.
const LOOKS_WHILE_ROTATING: u32 = 2500;
/// How long a segment that was not closed is waited for, if there is another one: 2 s.
const LOOKS_WHILE_MOVING: u32 = 40;
const PAUSE_WHILE_MOVING: Duration = Duration::from_millis(50);
const PIECE: u64 = 64 * 1024;

impl Options {
    /// Says whether the log is complete, or what of whose records is missing. Only looks; the log may be in use.
    ///
    /// With an index (see [`Options::index`]) every record is accounted for; without one, only what files and
    /// segment say of themselves can be compared.
    pub fn verify(self) -> Result<Verdict, OpenError> {
        let target = Target::new(&self)?;
        let (dir, log_name) = (target.dir.clone(), target.name.clone());
        let failed = |source| OpenError::Path { path: target.spec.log_path.clone(), source };
        let log = match self.attach() {
            Ok(log) => Some(log),
            Err(OpenError::NotOpen { .. }) => None,
            Err(e) => return Err(e),
        };
        let config = match &log {
            Some(log) => Some(log.attached()?.0.configuration().0),
            None => None,
        };
        let naming = naming(&dir, &log_name, config.as_ref());
        let place = Where { index: dir.join(directory(&log_name)), dir, naming };
        let Some(log) = log else {
            let (facts, mut files) = place.look(u64::MAX).map_err(failed)?;
            let mut verdict = judge(&facts, &mut files);
            if !verdict.indexed {
                without_index(&mut verdict, &facts, &mut files, b"\n");
            }
            return Ok(verdict);
        };
        let at = log.attached()?;
        let at: &Attached = &at.0;
        let (mut again, mut moving) = (0, 0);
        loop {
            let (facts, mut files) = place.look_between(at).map_err(failed)?;
            let mut verdict = judge(&facts, &mut files);
            // Those who have a removed segment may be moving to its successor at this moment.
            let lost = |f: &Finding| matches!(f, Finding::SegmentLost { .. });
            if moving < LOOKS_WHILE_MOVING && verdict.findings.iter().any(lost) {
                moving += 1;
                std::thread::sleep(PAUSE_WHILE_MOVING);
                continue;
            }
            // A file that is emptied in place cannot be read in peace.
            let stable = at.configuration().0.policy.backups > 0 || file_number(at) == files.number;
            if stable || again == 3 {
                account(&mut verdict, &log.stats());
                if !verdict.indexed {
                    without_index(&mut verdict, &facts, &mut files, &at.config.terminator);
                }
                return Ok(verdict);
            }
            again += 1;
        }
    }
}

struct Where {
    dir: PathBuf,
    naming: Naming,
    index: PathBuf,
}

/// A file of the log.
enum Bytes {
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
    /// Packed by somebody else, without an index, or as this build cannot.
    Unknown,
}

/// Open files of the log and of the index.
struct Opened {
    logs: Vec<Bytes>,
    index: BTreeMap<u64, File>,
    /// Number of the log file in the journal.
    number: u64,
    /// An archive had lost its name before it could be opened, or another one had come by the end: it was rotated, or packed.
    missed: bool,
}

fn file_number(at: &Attached) -> u64 {
    match journal::read(at.mem()).1 {
        Found::Cell(cell) => cell.file,
        _ => 0,
    }
}

fn is_same_file(a: &Found, b: &Found) -> bool {
    let part = |c: &Cell| (c.file, c.dev, c.ino, c.op, Place::unpack(c.index).map(|p| p.serial));
    match (a, b) {
        (Found::Cell(a), Found::Cell(b)) => part(a) == part(b) && a.op == 0,
        _ => false,
    }
}

impl Where {
    /// Opens everything while no batch is committed, or at least no rotation happens.
    fn look_between(&self, at: &Attached) -> io::Result<(Facts, Opened)> {
        let mem = at.mem();
        let (mut look, mut last_seen) = (0, Vec::new());
        loop {
            look += 1;
            let (before, found) = journal::read(mem);
            let cell = match found {
                Found::Cell(cell) => cell,
                _ => Cell::default(),
            };
            let place = Place::unpack(cell.index);
            let newest = place.map_or(u64::MAX, |p| p.serial);
            let (mut facts, mut files) = self.look(newest)?;
            files.number = cell.file;
            facts.journal = Some(Journal {
                uuid: at.segment.header().uuid,
                id: (cell.dev, cell.ino),
                end: cell.end,
                indexed: at.config.index,
                place,
            });
            let waiting = waiting(at, before);
            facts.untold = untold(at);
            let (after, now) = journal::read(mem);
            // During a rotation files change their names without a commit. If its flusher was killed, they stay.
            let stays = !at.has_flusher() && last_seen == facts.logs;
            let quiet = (cell.op == 0 && !files.missed) || look > LOOKS_WHILE_ROTATING || stays;
            last_seen.clone_from(&facts.logs);
            if before == after && quiet {
                facts.waiting = Some(waiting);
                return Ok((facts, files));
            }
            let same = is_same_file(&found, &now) && !files.missed;
            if look >= LOOKS && (same || look > LOOKS_WHILE_ROTATING) {
                return Ok((facts, files));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// What the directory has of the log, from the newest to the oldest.
    fn members(&self) -> io::Result<Vec<((bool, Standing), String)>> {
        let names = sys::dir::list(&self.dir)?.into_iter();
        let mut members: Vec<_> = names.filter_map(|name| Some((self.naming.place(&name)?, name))).collect();
        members.sort();
        Ok(members)
    }

    fn look(&self, newest: u64) -> io::Result<(Facts, Opened)> {
        let mut facts = Facts::default();
        let mut files = Opened { logs: Vec::new(), index: BTreeMap::new(), number: 0, missed: false };
        let members = self.members()?;
        for (i, ((_, place), name)) in members.iter().cloned().enumerate() {
            if place == Standing::Log && sys::dir::is_link(&self.dir.join(&name)) {
                continue; // to the current file, which has a name of its own
            }
            let Some((file, id)) = open_known(&self.dir.join(&name))? else {
                files.missed |= place != Standing::Log;
                continue;
            };
            let plain = LogFact { id, len: file.metadata()?.len(), ..LogFact::default() };
            let (fact, bytes) = match place.packing() {
                Packing::Plain => (plain, Bytes::Plain(file)),
                packing => unpacked(file, packing, plain)?,
            };
            let number = match place {
                Standing::Numbered(member) => member.number,
                Standing::Log | Standing::Dated(_) => u32::try_from(i).unwrap_or(u32::MAX),
            };
            facts.logs.push(LogFact { name, number, ..fact });
            files.logs.push(bytes);
        }
        // Listing the directory may pass over a file that is renamed at that time, as those of a long chain are for a while.
        files.missed |= self.members()? != members;
        without_twins(&mut facts.logs, &mut files.logs);
        let names = match sys::dir::list(&self.index) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names?,
        };
        let mut serials: Vec<u64> = names.iter().filter_map(|n| parse_name(n)).collect();
        serials.sort_unstable();
        let not_begun = |serial: &u64| *serial <= newest;
        for serial in serials.into_iter().filter(not_begun) {
            let Some((mut file, _)) = open_known(&self.index.join(name(serial)))? else { continue };
            let mut head = Vec::new();
            file.by_ref().take(HEADER_BYTES).read_to_end(&mut head)?;
            facts.headers.push((serial, Header::decode(&head)));
            files.index.insert(serial, file);
        }
        // What is begun when its maker dies, before the journal names it.
        if facts.headers.last().is_some_and(|(_, header)| header.is_none())
            && files
                .index
                .last_key_value()
                .is_some_and(|(_, f)| f.metadata().is_ok_and(|m| m.len() < HEADER_BYTES))
        {
            facts.headers.pop();
        }
        Ok((facts, files))
    }
}

/// A packed archive as the plain one that it was, if it says which of those in the index.
fn unpacked(mut file: File, packing: Packing, found: LogFact) -> io::Result<(LogFact, Bytes)> {
    let origin = pack::origin(packing, &mut file)?;
    file.seek(SeekFrom::Start(0))?;
    let stream = file.try_clone().ok().and_then(|again| pack::unpack(packing, again).ok());
    Ok(match origin.filter(|o| o.begun > 0).zip(stream) {
        Some((o, stream)) => {
            let fact = LogFact { id: (o.dev, o.ino), len: o.bytes, begun: Some(o.begun), ..found };
            (fact, Bytes::Packed { file, packing, stream, at: 0, len: o.bytes, modified_ns: o.modified_ns })
        }
        None => (LogFact { packed: true, ..found }, Bytes::Unknown),
    })
}

/// A flusher that is killed at the wrong moment leaves an archive both plain and packed: the plain one counts.
fn without_twins(logs: &mut Vec<LogFact>, files: &mut Vec<Bytes>) {
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

/// Opens a file and says which one it is; `None` if it has gone.
fn open_known(path: &Path) -> io::Result<Option<(File, (u64, u64))>> {
    for _ in 0..100 {
        // A name that means the same before and after names what was opened in between.
        let before = sys::dir::identity_at(path)?;
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        if let Some(id) = sys::dir::identity_at(path)?
            && before == Some(id)
        {
            return Ok(Some((file, (id.dev, id.ino))));
        }
    }
    Err(io::Error::other(format!("{} is replaced again and again", path.display())))
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
            Bytes::Unknown => None,
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

/// What is in the ring and not yet in the file, as of batch `commit`.
fn waiting(at: &Attached, commit: u64) -> Vec<Waiting> {
    let (mem, g) = (at.mem(), at.geometry);
    let mut all = Vec::new();
    for chunk in 0..g.chunks() {
        // ORDER commit/acquire: as the flusher reads them, but only to count.
        let state = State(mem.load(g.state(chunk), Acquire));
        if !matches!(state.phase(), Some(Phase::Open | Phase::Busy | Phase::Sealed)) {
            continue;
        }
        let count = state.count().min(g.records_max());
        let done = DrainWord(mem.load(g.drain(chunk), Relaxed)).effective(state.generation(), commit);
        let word = |what| mem.load(g.lease(chunk, what), Relaxed);
        let producer =
            ProducerId { pid: word(lease::PID), start: word(lease::START), writer: word(lease::WRITER) };
        let first = word(lease::FIRST).wrapping_add(u64::from(done));
        let now = State(mem.load(g.state(chunk), Acquire));
        if now.generation() == state.generation() && count > done {
            all.push(Waiting { producer, first, count: u64::from(count - done) });
        }
    }
    all
}

/// Drops that neither a line nor the index tells of yet.
fn untold(at: &Attached) -> Vec<Drops> {
    let (mem, g) = (at.mem(), at.geometry);
    let of = |slot: u32| {
        if SlotWord(mem.load(g.slot(slot) + slot::WORD, Relaxed)) == SlotWord(0) {
            return None; // never used
        }
        let told = reported(mem, g, slot);
        let all = drops(mem, g, slot);
        let records: [u64; LEVELS] = std::array::from_fn(|i| {
            u64::try_from((all[i] as u32).wrapping_sub(told[i] as u32) as i32).unwrap_or(0)
        });
        let id = last_occupant(mem, g, slot);
        (records != [0; LEVELS]).then_some(Drops { pid: id.pid, start: id.start, records })
    };
    (0..g.slots()).filter_map(of).collect()
}

fn account(v: &mut Verdict, stats: &Stats) {
    v.segment = Some(SegmentAccount {
        records: stats.counters.records,
        waiting: stats.lag_records,
        skipped: stats.counters.lost_corrupt,
        drops: stats.drops,
    });
}

/// What can be said without an index: what files and segment say of themselves.
fn without_index(v: &mut Verdict, facts: &Facts, files: &mut Opened, terminator: &[u8]) {
    let live = facts.journal.filter(|j| j.id != (0, 0));
    for (fact, file) in facts.logs.iter().zip(&mut files.logs) {
        let Bytes::Plain(file) = file else {
            v.packed.push(fact.name.clone());
            continue;
        };
        let committed = live.filter(|j| j.id == fact.id).map(|j| j.end);
        if let Some(committed) = committed.filter(|end| fact.len < *end) {
            v.findings.push(Finding::Short { file: fact.name.clone(), len: fact.len, committed });
        } else if !ends_with(file, committed.unwrap_or(fact.len), terminator) {
            v.findings.push(Finding::Torn { file: fact.name.clone() });
        }
    }
    let Some(account) = v.segment else { return };
    if account.skipped > 0 {
        v.findings.push(Finding::Skipped { records: account.skipped });
    }
    if account.drops != [0; LEVELS] {
        v.findings.push(Finding::Dropped { pid: 0, start: 0, records: account.drops });
    }
}

fn ends_with(file: &mut File, len: u64, terminator: &[u8]) -> bool {
    if len == 0 || terminator.is_empty() {
        return true;
    }
    let mut end = vec![0; terminator.len()];
    let at = len.checked_sub(end.len() as u64);
    let found = at.and_then(|at| file.seek(SeekFrom::Start(at)).ok());
    found.and_then(|_| file.read_exact(&mut end).ok()).is_some() && end == terminator
}
