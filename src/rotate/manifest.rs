//! The manifest: which files crlog made, what is in them, and which numbers were given to them.
//!
//! **Constraints.** Pure: bytes in, bytes out. One writer, the flusher; it keeps a [`Manifest`] in memory and appends a
//! line for each change ([`line`] has the format). Nothing of it is needed to log or to rotate: a lost
//! manifest costs retention, never a record.
//!
//! **Serial numbers.** The manifest counts files itself, across segments, for the journal's number of a file begins anew
//! with each segment. The higher serial is the younger file, whatever clocks and names say. A file that is taken in
//! later ([`adopt`](super::retention::adopt)) goes between two others: 57, 57.1, 58.
//!
//! **Which file.** A [`Form`] is a file as it stands: device and inode, time of birth, length, name. An inode number is
//! given anew as soon as its file is removed, hence the time of birth, which nobody can set. A device number can be another one
//! after a reboot; then inode and time of birth are enough. Where the file system does not know it (0), the length must
//! be the same in its place. Of an archive the length must be the same in any case: nobody of ours writes to it any more.
//!
//! **Names.** The archives of the numbered chain move at each rotation. Nothing is written for that: their name is [`Name::Chain`],
//! and the listing of the directory tells which number it is now. A dated name is written down *before* the file
//! gets it, so that its number is never given again, whatever happens next.
//!
//! | the flusher | tells |
//! |---|---|
//! | has names from another template | all of itself, with [`Manifest::learn`] |
//! | opens a new log file | [`Entry::begun`] |
//! | is about to rename the log to a dated name | [`Entry::reserved`] |
//! | has made the new log file | [`Entry::archived`] for the old one, `begun` for the new one |
//! | is about to publish a packed copy | [`Entry::packing`] |
//! | has removed what was packed | [`Entry::packed`] |
//! | has removed an archive, or emptied the log | [`Entry::removed`] |
//! | has another period for the log file | [`Manifest::set_period`]: the next process goes on with it, however long it takes to come |
//! | takes over | [`reconcile`](super::retention::reconcile): what it says |
//!
//! | found | done |
//! |---|---|
//! | line torn, damaged, or not one that we would have written | skipped, counted; the state is that of the lines before it |
//! | file of another version | refused as a whole, never written to |
//! | a form that another entry has already | that one's file has gone: the entry is dropped |
//! | an entry without a file, a file without an entry | `reconcile`, and retention's "unknown" |

use crate::sys::FileId;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub mod line;
mod stamps;

pub use line::{Loaded, OtherVersion};
pub use stamps::Stamps;

/// Name of the file, in the log's hidden directory.
pub const FILE: &str = "manifest";
/// The file that is to replace it.
pub const NEW_FILE: &str = "manifest.new";
/// So many templates are remembered.
pub const TEMPLATES_MAX: usize = 8;

/// Number of a file: the higher, the younger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial {
    /// Counts the files that were begun.
    pub number: u64,
    /// Counts those that were taken in behind that one; 0 for a file that was begun.
    pub part: u32,
}

impl Serial {
    /// Of a file that was begun.
    #[must_use]
    pub const fn begun(number: u64) -> Self {
        Self { number, part: 0 }
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            0 => write!(f, "{}", self.number),
            part => write!(f, "{}.{part}", self.number),
        }
    }
}

/// What has become of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is the log, or was when the flusher died.
    Live,
    /// It is an archive as it was logged; there may be a packed copy beside it.
    Archived,
    /// Its packed copy is all there is.
    Packed,
    /// It is no more.
    Removed,
}

/// What a file is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// As the log.
    Log,
    /// By a number of the chain: the directory knows which.
    Chain,
    /// Exactly this, for good.
    Fixed(String),
}

/// A file as it stands in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// Device and inode.
    pub id: FileId,
    /// When it was made, nanoseconds of the Unix epoch, by the file system's clock; 0 = not known.
    pub born_ns: u64,
    /// Its length; of the live log, that at its beginning.
    pub bytes: u64,
    /// What it is called, or will be.
    pub name: Name,
}

impl Form {
    /// Its name, if it has that for good.
    #[must_use]
    pub fn fixed(&self) -> Option<&str> {
        match &self.name {
            Name::Fixed(name) => Some(name),
            Name::Log | Name::Chain => None,
        }
    }
}

/// Period and number of a dated name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamped {
    /// The period, as text that sorts by time.
    pub stamp: String,
    /// 0 for the first file of the period.
    pub copy: u32,
}

/// A file that crlog made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number in this manifest.
    pub serial: Serial,
    /// What has become of it.
    pub state: State,
    /// UUID of the segment that it was begun by, or whose order numbers `keys` are, as a big-endian number; 0 = not known.
    pub segment: u128,
    /// Its number in that segment's journal.
    pub file: u64,
    /// The lowest and the highest order number of its records, as far as they are known.
    pub keys: Option<(u64, u64)>,
    /// Wall-clock time of its first write, nanoseconds of the Unix epoch.
    pub begun_ns: u64,
    /// That of its last write; of the live log, the same as `begun_ns`.
    pub ended_ns: u64,
    /// Period and number, if it has a dated name.
    pub dated: Option<Stamped>,
    /// The file as it was logged; of one that was packed already when it was taken in, nothing is known.
    pub plain: Option<Form>,
    /// Its packed copy.
    pub packed: Option<Form>,
}

/// How a file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its length.
    pub bytes: u64,
    /// The lowest and the highest order number of its records, as far as they are known.
    pub keys: Option<(u64, u64)>,
    /// When it was last written to.
    pub ns: u64,
}

impl Entry {
    /// A new log file. [`Manifest::next_serial`] has its number.
    #[must_use]
    pub fn begun(serial: Serial, segment: u128, file: u64, form: Form, now_ns: u64) -> Self {
        Self {
            serial,
            state: State::Live,
            segment,
            file,
            keys: None,
            begun_ns: now_ns,
            ended_ns: now_ns,
            dated: None,
            plain: Some(form),
            packed: None,
        }
    }

    /// It is about to get this name, and no other file ever will.
    #[must_use]
    pub fn reserved(mut self, name: &str, dated: Stamped) -> Self {
        self.dated = Some(dated);
        self.named(Name::Fixed(name.to_owned()))
    }

    /// It is the log no more.
    #[must_use]
    pub fn archived(mut self, name: Name, end: Ended) -> Self {
        self.state = State::Archived;
        (self.keys, self.ended_ns) = (end.keys, end.ns);
        if let Some(plain) = &mut self.plain {
            plain.bytes = end.bytes;
        }
        self.named(name)
    }

    /// A packed copy of it is about to get its name.
    #[must_use]
    pub fn packing(mut self, copy: Form) -> Self {
        self.packed = Some(copy);
        self
    }

    /// The packed copy is all there is.
    #[must_use]
    pub fn packed(mut self) -> Self {
        self.state = State::Packed;
        self
    }

    /// It is no more.
    #[must_use]
    pub fn removed(mut self) -> Self {
        self.state = State::Removed;
        self
    }

    fn named(mut self, name: Name) -> Self {
        if let Some(plain) = &mut self.plain {
            plain.name = name;
        }
        self
    }

    /// What may stand in the directory of it, with its packing.
    pub fn forms(&self) -> impl Iterator<Item = (&Form, bool)> {
        let plain = self.plain.as_ref().filter(|_| matches!(self.state, State::Live | State::Archived));
        let packed = self.packed.as_ref().filter(|_| matches!(self.state, State::Archived | State::Packed));
        plain.map(|form| (form, false)).into_iter().chain(packed.map(|form| (form, true)))
    }

    /// Whether nobody of ours writes to it any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state != State::Live
    }

    /// How many bytes of log it holds, if that is known.
    #[must_use]
    pub fn plain_bytes(&self) -> Option<u64> {
        self.plain.as_ref().map(|form| form.bytes)
    }
}

/// All that is known of a log's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    entries: BTreeMap<Serial, Entry>,
    /// Which entry a file is of: inode, device, entry.
    owners: BTreeSet<(u64, u64, Serial)>,
    stamps: Stamps,
    /// Templates of names that the log has had, the youngest last.
    templates: Vec<String>,
    /// Number of the last file that was begun.
    last: u64,
    /// The period of the log file under a rotation by time: its beginning and its end, seconds of the Unix epoch.
    period: Option<(i64, i64)>,
}

impl Manifest {
    /// Its files, oldest first; those that were removed are not among them.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.values()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, serial: Serial) -> Option<&Entry> {
        self.entries.get(&serial)
    }

    /// Those that have a file with this inode number. Whether the file still is the one that is meant, [`Form`] tells.
    pub fn by_inode(&self, ino: u64) -> impl Iterator<Item = &Entry> {
        let from = (ino, 0, Serial::default());
        let same = self.owners.range(from..).take_while(move |(i, _, _)| *i == ino);
        same.filter_map(|(_, _, serial)| self.entries.get(serial))
    }

    /// All names that are fixed, each with the file that has it, or is about to get it.
    pub fn fixed_names(&self) -> impl Iterator<Item = (&str, Serial)> {
        let of = |entry| Entry::forms(entry).filter_map(|(form, _)| Some((form.fixed()?, entry.serial)));
        self.entries().flat_map(of)
    }

    /// This number of this period is given.
    pub fn give(&mut self, stamp: &str, copy: u32) {
        self.stamps.give(stamp, copy);
    }

    /// Templates of names that the log has had, the youngest last.
    pub fn templates(&self) -> impl Iterator<Item = &str> {
        self.templates.iter().map(String::as_str)
    }

    /// The log has names from this template now. True if that was not the youngest one known.
    pub fn learn(&mut self, template: &str) -> bool {
        if self.templates.last().is_some_and(|youngest| youngest == template) {
            return false;
        }
        self.templates.retain(|known| known != template);
        self.templates.push(template.to_owned());
        let many = self.templates.len().saturating_sub(TEMPLATES_MAX);
        self.templates.drain(..many);
        true
    }

    /// The period of the log file, if it was ever rotated by time: its beginning and its end, seconds of the Unix epoch.
    #[must_use]
    pub fn period(&self) -> Option<(i64, i64)> {
        self.period
    }

    /// The log file has this period now.
    pub fn set_period(&mut self, from: i64, until: i64) {
        self.period = Some((from, until));
    }

    /// Number of the next file to be begun. Never given twice.
    #[must_use]
    pub fn next_serial(&self) -> Serial {
        Serial::begun(self.last.saturating_add(1))
    }

    /// Whether this number of this period may have been given.
    #[must_use]
    pub fn was_given(&self, stamp: &str, copy: u32) -> bool {
        self.stamps.last(stamp) >= Some(copy)
    }

    /// A number for the next file of this period, behind all that were ever given and all that exist: `standing` are the
    /// numbers of the period's files in the directory. The live log's own reservation is kept to. `None` if no
    /// number is left.
    pub fn next_copy(
        &self,
        stamp: &str,
        standing: impl IntoIterator<Item = u32>,
        live: Option<Serial>,
    ) -> Option<u32> {
        let standing = standing.into_iter().max();
        let reserved = live.and_then(|live| self.get(live)).filter(|entry| entry.state == State::Live);
        let reserved = reserved.and_then(|entry| entry.dated.as_ref()).filter(|dated| dated.stamp == stamp);
        match reserved {
            Some(dated) if self.stamps.last(stamp) == Some(dated.copy) && standing < Some(dated.copy) => {
                Some(dated.copy)
            }
            _ => match self.stamps.last(stamp).max(standing) {
                Some(last) => last.checked_add(1),
                None => Some(0),
            },
        }
    }

    /// Takes a change in. The last word on a serial number is the one that counts.
    pub fn apply(&mut self, entry: &Entry) {
        self.last = self.last.max(entry.serial.number);
        if let Some(dated) = &entry.dated {
            self.stamps.give(&dated.stamp, dated.copy);
        }
        self.drop_entry(entry.serial);
        if entry.state == State::Removed {
            return;
        }
        for (form, _) in entry.forms() {
            let has = |other: &&Entry| other.forms().any(|(theirs, _)| theirs.id == form.id);
            let former = self.by_inode(form.id.ino).find(has).map(|other| other.serial);
            former.into_iter().for_each(|former| self.drop_entry(former));
        }
        self.owners.extend(entry.forms().map(|(form, _)| (form.id.ino, form.id.dev, entry.serial)));
        self.entries.insert(entry.serial, entry.clone());
    }

    fn drop_entry(&mut self, serial: Serial) {
        if let Some(entry) = self.entries.remove(&serial) {
            for (form, _) in entry.forms() {
                self.owners.remove(&(form.id.ino, form.id.dev, serial));
            }
        }
    }

    /// Forgets the numbers of periods that are long past: see [`Stamps`]. Before it is written as a whole.
    pub fn tidy(&mut self) {
        let used = self.entries.values().filter_map(|entry| entry.dated.as_ref());
        self.stamps.forget(&used.map(|dated| dated.stamp.as_str()).collect());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
