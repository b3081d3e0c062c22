//! Which archives have to go: a decision, and its explanation.
//!
//! **Constraints.** Pure: the manifest, a listing of the directory and the limits in, an ordered list out. The driver removes
//! what is on it, one after the other, looking at each name once more just before.
//!
//! **Order.** Oldest first, by serial number, never by name or time. The walk ends at the first archive that no limit wants
//! gone, so what is kept is always the youngest part without a hole: an archive that a wrong clock calls old is not removed as
//! long as there is an older one that is not.
//!
//! | limit | what counts |
//! |---|---|
//! | [`Limits::archives`] | archives that the manifest knows; one with a packed copy beside it once; the live log does not |
//! | [`Limits::age_ns`] | time since the last write. Of an archive from the future: that of the next younger file |
//! | [`Limits::bytes`] | these archives as they stand, packed ones packed, and the live log |
//! | [`Limits::free_bytes`] | what the file system has free for us; an archive gives back its length, or nothing if it has a name elsewhere |
//!
//! All of them hold together: what any of them wants gone goes. None of them removes the live log, so with nothing but
//! it left they may stay unmet. Since all is decided anew each time, a limit that was lowered takes effect at once.
//!
//! **Ours** is a file that the manifest knows, under a name that it has there. Everything else is left alone and not counted:
//!
//! | found | is |
//! |---|---|
//! | another file under a name that the manifest has | [`Verdict::Replaced`] |
//! | our file, but of another length | [`Verdict::Changed`] |
//! | our file under a name that is not its own: moved, or a link | [`Verdict::Elsewhere`] |
//! | a name as we make them, but the manifest has neither name nor file | [`Verdict::Unknown`]: `adopt` takes it in if asked to |
//! | any other name | [`Verdict::Strange`] |
//! | an entry without a file | [`Verdict::Gone`] |
//!
//! So without a manifest (it was lost, or the archives are older than it) nothing is removed here. The numbered chain keeps
//! to its number of backups all the same: that is the [machine's](super::machine), by names.

use super::Naming;
use super::manifest::{Entry, Manifest, Serial};
use crate::sys::FileId;
use std::collections::BTreeMap;

mod adopt;
mod matching;

pub use crate::sys::Seen;
pub use adopt::{adopt, reconcile};
use matching::{Match, match_file};

/// What is to be kept; `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// So many archives.
    pub archives: Option<u32>,
    /// Archives that were last written to so long ago, in nanoseconds, and no longer.
    pub age_ns: Option<u64>,
    /// So many bytes together with the live log.
    pub bytes: Option<u64>,
    /// As many archives as leave so much free on the file system.
    pub free_bytes: Option<u64>,
}

impl Limits {
    /// Whether there is any.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The log's directory.
#[derive(Clone, Copy, Debug)]
pub struct Directory<'a> {
    /// The names of the log's files.
    pub naming: &'a Naming,
    /// The live file, which the journal names; `None` if nobody has the log open: what has the log's name then.
    pub live: Option<FileId>,
    /// The regular files whose names begin with the log's, or are like those of its archives, and those that the manifest names; others do no harm.
    pub seen: &'a [Seen],
}

impl Directory<'_> {
    fn is_live(&self, seen: &Seen) -> bool {
        seen.name == self.naming.log() || Some(seen.id) == self.live
    }
}

/// When it is decided, and how full the disk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Wall-clock time, nanoseconds of the Unix epoch.
    pub ns: u64,
    /// Bytes free for us. What was removed a moment ago and is not given back yet (somebody has it open) must be counted in,
    /// or more is removed in its place.
    pub free_bytes: u64,
}

/// Why an archive goes, with the figures before it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There are more archives than `limit`.
    Archives {
        /// How many there are.
        found: u32,
        /// The limit.
        limit: u32,
    },
    /// It is older.
    Age {
        /// Nanoseconds since it was last written to.
        found_ns: u64,
        /// The limit.
        limit_ns: u64,
    },
    /// All of them together are larger.
    Bytes {
        /// Bytes of all archives and the live log.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// Less is free on the file system.
    Free {
        /// Bytes that are free.
        found: u64,
        /// The limit.
        limit: u64,
    },
}

/// One file to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The archive that it is of. Others of the same archive may follow.
    pub serial: Serial,
    /// Its name: to be removed only if it still is `id`.
    pub name: String,
    /// The file.
    pub id: FileId,
    /// Its length.
    pub bytes: u64,
    /// Why.
    pub reason: Reason,
}

/// What is said of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the live log.
    Live,
    /// An archive that no limit touches.
    Kept,
    /// An archive that has to go.
    Goes(Reason),
    /// Our archive, but it had this length when we left it: somebody has changed it.
    Changed {
        /// The length.
        was: u64,
    },
    /// Another file than the one that we gave this name.
    Replaced,
    /// Our archive under a name that we did not give it.
    Elsewhere,
    /// It is called like an archive, but we know nothing of it.
    Unknown,
    /// Not called like anything of ours.
    Strange,
    /// An archive that somebody has removed.
    Gone,
}

/// A line of the explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Name of the file; of an archive that is gone, its last one if it is known.
    pub name: String,
    /// The archive, if it is one that we know.
    pub serial: Option<Serial>,
    /// What it is; the default for one that is gone.
    pub id: FileId,
    /// Length of the file.
    pub bytes: u64,
    /// When it was last written to, nanoseconds of the Unix epoch.
    pub ended_ns: u64,
    /// The lowest and the highest order number in it, as far as they are known.
    pub keys: Option<(u64, u64)>,
    /// What is to become of it.
    pub verdict: Verdict,
}

/// An archive and the files of it that stand.
struct Standing<'a> {
    entry: &'a Entry,
    files: Vec<&'a Seen>,
}

impl Standing<'_> {
    /// Each file once, however many names it has.
    fn each_file(&self) -> impl Iterator<Item = &Seen> {
        let again = |i: usize, id| self.files.iter().take(i).any(|seen| seen.id == id);
        self.files.iter().enumerate().filter(move |(i, seen)| !again(*i, seen.id)).map(|(_, seen)| *seen)
    }

    fn bytes(&self) -> u64 {
        self.each_file().fold(0, |sum, seen| sum.saturating_add(seen.bytes))
    }

    /// What is given back if all of it is removed.
    fn freed(&self) -> u64 {
        let names = |id| self.files.iter().filter(|seen| seen.id == id).count() as u64;
        let gives = self.each_file().filter(|seen| seen.links <= names(seen.id));
        gives.fold(0, |sum, seen| sum.saturating_add(seen.bytes))
    }

    /// When it was last written to. The file is asked if the manifest did not see the end.
    fn ended_ns(&self) -> u64 {
        let seen = self.files.iter().map(|seen| seen.modified_ns).min().unwrap_or_default();
        if self.entry.is_closed() { self.entry.ended_ns } else { seen }
    }
}

/// What has to go, oldest first.
#[must_use]
pub fn decide(manifest: &Manifest, directory: &Directory, limits: &Limits, now: &Now) -> Vec<Removal> {
    let rows = explain(manifest, directory, limits, now).into_iter();
    rows.filter_map(|row| match (row.verdict, row.serial) {
        (Verdict::Goes(reason), Some(serial)) => {
            Some(Removal { serial, name: row.name, id: row.id, bytes: row.bytes, reason })
        }
        _ => None,
    })
    .collect()
}

/// What is to become of every file: first those that are none of our business, by name, then the archives, oldest first, then
/// the live log.
#[must_use]
pub fn explain(manifest: &Manifest, directory: &Directory, limits: &Limits, now: &Now) -> Vec<Row> {
    let (archives, live, mut rows) = sort_out(manifest, directory);
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows.extend(gone(manifest, directory, &archives));
    let reasons = walk(&archives, &live, limits, now);
    for (serial, archive) in &archives {
        let reason = reasons.get(serial).copied();
        for seen in &archive.files {
            let verdict = reason.map_or(Verdict::Kept, Verdict::Goes);
            let (ended_ns, keys) = (archive.ended_ns(), archive.entry.keys);
            rows.push(Row { ended_ns, keys, ..row(seen, Some(*serial), verdict) });
        }
    }
    rows.extend(live.iter().map(|seen| {
        let serial = manifest
            .by_inode(seen.id.ino)
            .find(|entry| matching::is_file_of(entry, seen))
            .map(|entry| entry.serial);
        row(seen, serial, Verdict::Live)
    }));
    rows
}

fn row(seen: &Seen, serial: Option<Serial>, verdict: Verdict) -> Row {
    let (name, id, bytes, ended_ns) = (seen.name.clone(), seen.id, seen.bytes, seen.modified_ns);
    Row { name, serial, id, bytes, ended_ns, keys: None, verdict }
}

type Archives<'a> = BTreeMap<Serial, Standing<'a>>;

/// The archives that stand, the live log, and what is none of our business.
fn sort_out<'a>(
    manifest: &'a Manifest,
    directory: &Directory<'a>,
) -> (Archives<'a>, Vec<&'a Seen>, Vec<Row>) {
    let (mut archives, mut live, mut rows) = (Archives::new(), Vec::new(), Vec::new());
    let names: matching::Names = manifest.fixed_names().collect();
    for seen in directory.seen {
        if directory.is_live(seen) {
            live.push(seen);
            continue;
        }
        match match_file(manifest, &names, directory.naming, seen) {
            Match::Ours(entry) => {
                let standing = || Standing { entry, files: Vec::new() };
                archives.entry(entry.serial).or_insert_with(standing).files.push(seen);
            }
            Match::Not(serial, verdict) => rows.push(row(seen, serial, verdict)),
        }
    }
    for archive in archives.values_mut() {
        archive.files.sort_by(|a, b| a.name.cmp(&b.name));
    }
    (archives, live, rows)
}

/// Entries of which nothing stands, neither here nor changed.
fn gone(manifest: &Manifest, directory: &Directory, archives: &Archives) -> Vec<Row> {
    let stands = |entry: &Entry| {
        let here = |seen: &Seen| matching::is_file_of(entry, seen);
        archives.contains_key(&entry.serial) || directory.seen.iter().any(here)
    };
    let row = |entry: &Entry| Row {
        name: matching::last_name(entry, directory.naming),
        serial: Some(entry.serial),
        id: FileId::default(),
        bytes: 0,
        ended_ns: entry.ended_ns,
        keys: entry.keys,
        verdict: Verdict::Gone,
    };
    // Only those that are missed are looked for among all files.
    let missed = manifest.entries().filter(|entry| !archives.contains_key(&entry.serial));
    missed.filter(|entry| !stands(entry)).map(row).collect()
}

/// From the oldest on, as long as any limit is not met.
fn walk(archives: &Archives, live: &[&Seen], limits: &Limits, now: &Now) -> BTreeMap<Serial, Reason> {
    let live_bytes = live.iter().fold(0, |sum: u64, seen| sum.saturating_add(seen.bytes));
    let mut left = u32::try_from(archives.len()).unwrap_or(u32::MAX);
    let mut bytes = archives.values().fold(live_bytes, |sum, archive| sum.saturating_add(archive.bytes()));
    let mut free = now.free_bytes;
    let times = times(archives, now.ns);
    let mut goes = BTreeMap::new();
    for (archive, ended_ns) in archives.values().zip(times) {
        let age_ns = now.ns.saturating_sub(ended_ns);
        let reason = reason(limits, left, age_ns, bytes, free);
        let Some(reason) = reason else { break };
        goes.insert(archive.entry.serial, reason);
        left = left.saturating_sub(1);
        bytes = bytes.saturating_sub(archive.bytes());
        free = free.saturating_add(archive.freed());
    }
    goes
}

/// When each was last written to. What is later than now is no time: such an archive is at least as old as the
/// next younger one, which at worst is the live log of this moment.
fn times(archives: &Archives, now_ns: u64) -> Vec<u64> {
    let mut younger = now_ns;
    let mut times: Vec<u64> = Vec::with_capacity(archives.len());
    for archive in archives.values().rev() {
        let ended_ns = archive.ended_ns();
        if ended_ns <= now_ns {
            younger = ended_ns;
        }
        times.push(younger);
    }
    times.reverse();
    times
}

fn reason(limits: &Limits, archives: u32, age_ns: u64, bytes: u64, free: u64) -> Option<Reason> {
    let count = limits.archives.filter(|limit| archives > *limit);
    let age = limits.age_ns.filter(|limit| age_ns > *limit);
    let size = limits.bytes.filter(|limit| bytes > *limit);
    let room = limits.free_bytes.filter(|limit| free < *limit);
    None.or(count.map(|limit| Reason::Archives { found: archives, limit }))
        .or(age.map(|limit_ns| Reason::Age { found_ns: age_ns, limit_ns }))
        .or(size.map(|limit| Reason::Bytes { found: bytes, limit }))
        .or(room.map(|limit| Reason::Free { found: free, limit }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod histories;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod world;
