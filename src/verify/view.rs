//! One consistent view of a log, also while it is written and rotated.
//!
//! **Constraints.** Only looks. Bounded in time: a view that cannot be had is reported as such, never as a gap.
//!
//! **Algorithm.** A log file is known by its inode, never by its name, and once opened it stays open: renaming,
//! compressing or removing it afterwards changes nothing, and its inode cannot become another file's. A round is
//!
//! 1. *snapshot*: the journal (committed ends of log and index) and the headers of the index up to there;
//! 2. *walk*: every name that a file of the log can have, from the newest to the oldest, and each file that is not
//!    yet held is opened. Archives are renamed in that direction only (`log` to `.newest` to `.1` to `.2` ...; the
//!    packed file after the plain one), and the kernel looks up a name before or after a rename, so a walk meets
//!    every file that exists all the time, however many renames happen meanwhile;
//! 3. *later*: index files that were begun after the snapshot. What they name is newer than the snapshot, and does
//!    not belong to it, also if it has the inode of one that was removed meanwhile.
//!
//! The view is complete when each file that the snapshot's index names is held, or was given up by the rotation
//! (which says so in the index before it removes the file). Else another round is made.
//!
//! | found | meaning |
//! |---|---|
//! | the same file missing in [`ROUNDS_GONE`] rounds | it is gone; the checker reports it |
//! | a rotation under way, its flusher alive | another round |
//! | a rotation under way, no flusher, names unchanged | its flusher was killed: the view is taken as it is |
//! | no complete view within the limit | no view |

use super::bytes::{Bytes, Opened, unpacked, without_twins};
use crate::attached::Attached;
use crate::index::code::Entries;
use crate::index::judge::{Facts, Journal, LogFact, Waiting};
use crate::index::{Drops, Entry, HEADER_BYTES, Header, Place, name, parse_name};
use crate::ring::journal::{self, Cell, Found};
use crate::rotate::name::{Member, Packing};
use crate::rotate::{Naming, Scheme, Standing};
use crate::sys;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Rounds in which the same file must be missing before it counts as gone.
const ROUNDS_GONE: u32 = 4;
/// Rounds after which records in the ring are left out if the flusher never pauses.
const ROUNDS_WITH_RING: u32 = 20;
const PAUSE: Duration = Duration::from_millis(2);

type Id = (u64, u64);

/// Where the files are.
pub(super) struct Where {
    pub(super) dir: PathBuf,
    pub(super) naming: Naming,
    pub(super) index: PathBuf,
}

/// A log file that is held open.
struct Held {
    place: (bool, Standing),
    name: String,
    fact: LogFact,
    bytes: Bytes,
    /// Met by the latest walk.
    named: bool,
}

/// What is held so far.
pub(super) struct View<'a> {
    at: &'a Where,
    held: HashMap<Id, Held>,
    index: BTreeMap<u64, (File, Option<Header>)>,
}

/// What one round found missing: numbers of log files in the index.
type Missing = BTreeSet<u64>;

impl Where {
    /// Without a segment: the log rests.
    pub(super) fn look(&self) -> io::Result<(Facts, Opened)> {
        let mut view = View::new(self);
        view.add_index(u64::MAX)?;
        view.walk()?;
        Ok(view.into_facts(u64::MAX, &BTreeSet::new()))
    }

    /// With a segment, which may be in use; `None` if there is no consistent view before `end`.
    pub(super) fn look_live(&self, at: &Attached, end: Instant) -> io::Result<Option<(Facts, Opened)>> {
        let mut view = View::new(self);
        let (mut round, mut same, mut last) = (0u32, 0, None);
        loop {
            round += 1;
            let snapshot = Snapshot::take(at);
            let newest = snapshot.committed.serial;
            view.add_index(newest)?;
            let held = view.held.len();
            let changed = view.walk()?;
            let now = cell_of(journal::read(at.mem()).1);
            let later = view.later(newest)?;
            let missing = view.missing(snapshot.committed, &later)?;
            let known = view.held.len() == held || snapshot.is_recent(at);
            let settled = known && (now.op == 0 || (!at.has_flusher() && !changed));
            same = if settled && last.as_ref() == Some(&missing) { same + 1 } else { 1 };
            let complete = missing.is_empty() || same >= ROUNDS_GONE;
            if settled && complete && (snapshot.rests || round >= ROUNDS_WITH_RING) {
                let (mut facts, files) = view.into_facts(newest, &later);
                snapshot.tell(at, &mut facts);
                return Ok(Some((facts, files)));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            last = settled.then_some(missing);
            std::thread::sleep(PAUSE);
        }
    }
}

/// The segment at one commit of its journal.
struct Snapshot {
    cell: Cell,
    place: Option<Place>,
    /// Number and committed end of the newest index file; without one, all there are count.
    committed: Place,
    waiting: Vec<Waiting>,
    untold: Vec<Drops>,
    /// Nothing was committed while the ring was looked at.
    rests: bool,
}

impl Snapshot {
    fn take(at: &Attached) -> Snapshot {
        let (commit, found) = journal::read(at.mem());
        let cell = cell_of(found);
        let place = Place::unpack(cell.index);
        let committed = place.unwrap_or(Place { serial: u64::MAX, end: u64::MAX });
        let waiting = super::waiting(at, commit);
        let untold = super::untold(at);
        let rests = journal::read(at.mem()).0 == commit;
        Snapshot { cell, place, committed, waiting, untold, rests }
    }

    /// Whether no file that was begun since can have been removed again, with its index file: its inode may have
    /// been that of a file which the snapshot's index names.
    fn is_recent(&self, at: &Attached) -> bool {
        let begun = cell_of(journal::read(at.mem()).1).file.wrapping_sub(self.cell.file);
        begun <= u64::from(at.configuration().0.policy.backups)
    }

    fn tell(self, at: &Attached, facts: &mut Facts) {
        facts.journal = Some(journal_of(at, &self.cell, self.place));
        facts.untold = self.untold;
        facts.waiting = self.rests.then_some(self.waiting);
    }
}

fn cell_of(found: Found) -> Cell {
    match found {
        Found::Cell(cell) => cell,
        _ => Cell::default(),
    }
}

fn journal_of(at: &Attached, cell: &Cell, place: Option<Place>) -> Journal {
    Journal {
        uuid: at.segment.header().uuid,
        id: (cell.dev, cell.ino),
        end: cell.end,
        indexed: at.config.index,
        place,
    }
}

impl<'a> View<'a> {
    fn new(at: &'a Where) -> View<'a> {
        View { at, held: HashMap::new(), index: BTreeMap::new() }
    }

    /// Opens the index files up to this number that are not held yet.
    fn add_index(&mut self, newest: u64) -> io::Result<()> {
        for serial in self.at.serials()?.into_iter().filter(|serial| *serial <= newest) {
            if self.index.get(&serial).is_some_and(|(_, header)| header.is_some()) {
                continue;
            }
            if let Some(found) = self.at.open_index(serial)? {
                self.index.insert(serial, found);
            }
        }
        Ok(())
    }

    /// Files that were begun after the snapshot, by the index.
    fn later(&self, newest: u64) -> io::Result<BTreeSet<Id>> {
        let (mut ids, begun) = (BTreeSet::new(), self.begun(newest));
        for serial in self.at.serials()?.into_iter().filter(|serial| *serial > newest) {
            if let Some((_, Some(header))) = self.at.open_index(serial)? {
                // It may go on with a log file that an older one has begun.
                if header.begun > begun {
                    ids.insert((header.dev, header.ino));
                }
            }
        }
        Ok(ids)
    }

    /// Opens what is not held yet; true if a file has another name than before, or is new.
    fn walk(&mut self) -> io::Result<bool> {
        let mut changed = false;
        for held in self.held.values_mut() {
            held.named = false;
        }
        for (place, name) in self.at.names()? {
            let path = self.at.dir.join(&name);
            if place.1 == Standing::Log && sys::dir::is_link(&path) {
                continue; // to the current file, which has a name of its own
            }
            let Some(id) = sys::dir::identity_at(&path)?.map(|id| (id.dev, id.ino)) else { continue };
            if let Some(held) = self.held.get_mut(&id) {
                changed |= held.name != name;
                (held.place, held.name, held.named) = (place, name, true);
                continue;
            }
            // The name may be another file's by now.
            let Some((file, id)) = open_known(&path)? else { continue };
            changed = true;
            if let Some(held) = self.held.get_mut(&id) {
                (held.place, held.name, held.named) = (place, name, true);
            } else {
                self.held.insert(id, Held::new(file, id, place, name)?);
            }
        }
        Ok(changed)
    }

    fn headers(&self, newest: u64) -> impl Iterator<Item = &Header> {
        self.index.range(..=newest).filter_map(|(_, (_, header))| header.as_ref())
    }

    /// The number of the newest log file that the index names.
    fn begun(&self, newest: u64) -> u64 {
        self.headers(newest).map(|h| h.begun).max().unwrap_or(0)
    }

    /// Log files that the index names and that are neither held nor given up by a rotation.
    fn missing(&self, committed: Place, later: &BTreeSet<Id>) -> io::Result<Missing> {
        let newest = committed.serial;
        let mut last: HashMap<Id, &Header> = HashMap::new();
        let mut begun_last = HashMap::new();
        for header in self.headers(newest) {
            begun_last.insert(header.begun, header);
            last.insert((header.dev, header.ino), header);
        }
        let past =
            |begun: u64| self.headers(newest).any(|h| h.begun.saturating_sub(begun) > u64::from(h.backups));
        let packed: BTreeSet<u64> = self.held.values().filter_map(|held| held.fact.begun).collect();
        let is_held = |h: &Header| {
            let id = (h.dev, h.ino);
            let plain = self.held.get(&id).is_some_and(|held| held.is_plain() && !later.contains(&id));
            let is_last = last.get(&id).is_some_and(|newer| newer.begun == h.begun);
            (plain && is_last) || packed.contains(&h.begun)
        };
        let lacks: Vec<&Header> =
            begun_last.into_values().filter(|h| !is_held(h) && !past(h.begun)).collect();
        if lacks.is_empty() {
            return Ok(Missing::new());
        }
        let from = lacks.iter().map(|h| h.serial).min().unwrap_or(0);
        let given_up = self.given_up(from, committed)?;
        let is_given_up =
            |h: &Header| given_up.iter().any(|(serial, id)| *serial >= h.serial && *id == (h.dev, h.ino));
        Ok(lacks.into_iter().filter(|h| !is_given_up(h)).map(|h| h.begun).collect())
    }

    /// What rotations have given up, as the index says it from this number on. What is said behind the committed
    /// end belongs to a later view.
    fn given_up(&self, from: u64, committed: Place) -> io::Result<Vec<(u64, Id)>> {
        let mut given_up = Vec::new();
        for (serial, (file, header)) in self.index.range(from..=committed.serial) {
            let Some(header) = header else { continue };
            let mut bytes = Vec::new();
            let mut file: &File = file;
            file.seek(SeekFrom::Start(0))?;
            let end = if *serial == committed.serial { committed.end } else { u64::MAX };
            file.take(end).read_to_end(&mut bytes)?;
            for entry in Entries::of(&bytes, header) {
                match entry {
                    Ok(Entry::Retire { dev, ino }) => given_up.push((*serial, (dev, ino))),
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
        }
        Ok(given_up)
    }

    /// The view as the checker takes it, as of index file `newest`.
    fn into_facts(mut self, newest: u64, later: &BTreeSet<Id>) -> (Facts, Opened) {
        let known: BTreeSet<Id> = self.headers(newest).map(|h| (h.dev, h.ino)).collect();
        let begun = self.begun(newest);
        let is_later = |held: &Held| newest < u64::MAX && held.fact.begun.is_some_and(|b| b > begun);
        let mut held: Vec<(Id, Held)> = self.held.drain().collect();
        // What has lost its name before the index knew it was begun and removed after the snapshot.
        held.retain(|(id, held)| {
            !later.contains(id) && !is_later(held) && (held.named || known.contains(id) || !held.is_plain())
        });
        held.sort_by(|(_, a), (_, b)| a.place.cmp(&b.place));
        let mut facts = Facts::default();
        let mut files = Opened { logs: Vec::new(), index: BTreeMap::new() };
        for (i, (_, held)) in held.into_iter().enumerate() {
            let (fact, bytes) = held.at_last(i);
            facts.logs.push(fact);
            files.logs.push(bytes);
        }
        without_twins(&mut facts.logs, &mut files.logs);
        for (serial, (file, header)) in self.index {
            if serial <= newest {
                facts.headers.push((serial, header));
                files.index.insert(serial, file);
            }
        }
        // What is begun when its maker dies, before the journal names it.
        let is_begun = |file: &File| file.metadata().is_ok_and(|m| m.len() < HEADER_BYTES);
        if facts.headers.last().is_some_and(|(_, header)| header.is_none())
            && files.index.last_key_value().is_some_and(|(_, file)| is_begun(file))
        {
            facts.headers.pop();
        }
        (facts, files)
    }
}

impl Held {
    fn new(file: File, id: Id, place: (bool, Standing), name: String) -> io::Result<Held> {
        let plain = LogFact { id, len: file.metadata()?.len(), ..LogFact::default() };
        let (fact, bytes) = match place.1.packing() {
            Packing::Plain => (plain, Bytes::Plain(file)),
            packing => unpacked(file, packing, plain)?,
        };
        Ok(Held { place, name, fact, bytes, named: true })
    }

    fn is_plain(&self) -> bool {
        matches!(self.bytes, Bytes::Plain(_))
    }

    /// With the length that it has now; `i`: how many newer files there are.
    fn at_last(self, i: usize) -> (LogFact, Bytes) {
        let number = match self.place.1 {
            Standing::Numbered(member) if member.number != Member::WAITING => member.number,
            _ => u32::try_from(i).unwrap_or(u32::MAX),
        };
        let len = match &self.bytes {
            Bytes::Plain(file) => file.metadata().map_or(self.fact.len, |m| m.len()),
            _ => self.fact.len,
        };
        (LogFact { name: self.name, number, len, ..self.fact }, self.bytes)
    }
}

impl Where {
    /// Every name that a file of the log may have now, from the newest to the oldest.
    fn names(&self) -> io::Result<Vec<((bool, Standing), String)>> {
        let listed = sys::dir::list(&self.dir)?.into_iter();
        let mut names: Vec<_> = listed.filter_map(|name| Some((self.naming.place(&name)?, name))).collect();
        if self.naming.scheme() == Scheme::Numbered {
            // A listing may pass over a name that is given while it is made.
            let members = || names.iter().filter_map(|(_, name)| self.naming.as_member(name));
            let numbers = members().map(|m| m.number).filter(|n| *n <= Member::LAST);
            let last = numbers.max().map_or(1, |last| last.saturating_add(1));
            let packings: BTreeSet<Packing> = members().map(|m| m.packing).chain([Packing::Plain]).collect();
            let special = [Member::WAITING, Member::OUT].into_iter();
            let chain = special.chain(1..=last);
            let made = chain.flat_map(|number| packings.iter().map(move |p| (number, *p)));
            let made: Vec<String> =
                made.map(|(number, packing)| self.naming.member(Member { number, packing })).collect();
            names.push((self.place_of_log(), self.naming.log().to_owned()));
            names.extend(made.into_iter().filter_map(|name| Some((self.naming.place(&name)?, name))));
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn place_of_log(&self) -> (bool, Standing) {
        (false, Standing::Log)
    }

    /// Numbers of the index files, ascending.
    fn serials(&self) -> io::Result<Vec<u64>> {
        let names = match sys::dir::list(&self.index) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names?,
        };
        let mut serials: Vec<u64> = names.iter().filter_map(|n| parse_name(n)).collect();
        serials.sort_unstable();
        Ok(serials)
    }

    fn open_index(&self, serial: u64) -> io::Result<Option<(File, Option<Header>)>> {
        let Some((mut file, _)) = open_known(&self.index.join(name(serial)))? else { return Ok(None) };
        let mut head = Vec::new();
        file.by_ref().take(HEADER_BYTES).read_to_end(&mut head)?;
        Ok(Some((file, Header::decode(&head))))
    }
}

/// Opens a file and says which one it is, by what was opened and not by its name; `None` if it has gone.
fn open_known(path: &Path) -> io::Result<Option<(File, (u64, u64))>> {
    match sys::dir::open_to_read(path) {
        Ok((file, id)) => Ok(Some((file, (id.dev, id.ino)))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}
