//! Which archives of a log have to go, and why: what `crlog retention` shows, and the flusher does.
//!
//! The decision is pure ([`crate::rotate::retention`] says what counts); here is what it needs of the world, and the hands.

use crate::attached::{Attached, Target};
use crate::error::OpenError;
use crate::flush::limits_of;
use crate::index::directory;
use crate::manifest::{Disk, Hidden, Store};
use crate::options::Options;
use crate::ring::journal::{self, Cell, Found};
use crate::rotate::manifest::{Manifest, State};
use crate::rotate::retention::{Directory, Now, Removal, adopt, decide, explain};
use crate::rotate::{Naming, Scheme};
use crate::sys::{self, FileId};
use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::time::Duration;

mod apply;

pub use crate::rotate::manifest::Serial;
pub use crate::rotate::retention::{Limits, Reason, Row, Seen, Verdict};
pub use apply::{Applied, ApplyError};

/// Attempts to see manifest and directory between two rotations, and the pause between them.
const LOOKS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(2);

/// What is to become of a log's files.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Retention {
    /// The limits that were applied.
    pub limits: Limits,
    /// Every file whose name begins with the log's: strangers by name, then the archives, oldest first, then the live log.
    pub rows: Vec<Row>,
    /// Archives and live log that the manifest knows.
    pub known: usize,
    /// How many of them only because adoption was asked for.
    pub adopted: usize,
    /// Lines of the manifest that could not be believed.
    pub damaged: u64,
    /// Bytes free on the file system.
    pub free_bytes: u64,
    /// When it was looked at, nanoseconds of the Unix epoch.
    pub now_ns: u64,
}

impl Options {
    /// Says of every file of the log what is to become of it under these limits. Changes nothing. What `limits` has not is taken from
    /// the log, if it is open. With `adopt` it is said what would be if the archives that crlog does not know were its own.
    pub fn retention(self, limits: Limits, adopt: bool) -> Result<Retention, OpenError> {
        let target = Target::new(&self)?;
        let failed = |cause| OpenError::Path { path: target.spec.log_path.clone(), cause };
        let look = |at: Option<&Attached>| look(&target.dir, &target.name, at).map_err(failed);
        match self.attach() {
            Ok(log) => {
                let at = log.attached()?;
                Ok(look(Some(&at.0))?.judged(with_those_of(&at.0, limits), adopt))
            }
            Err(OpenError::NotOpen { .. }) => Ok(look(None)?.judged(limits, adopt)),
            Err(e) => Err(e),
        }
    }
}

fn with_those_of(at: &Attached, limits: Limits) -> Limits {
    let running = limits_of(&at.configuration().0);
    Limits {
        archives: limits.archives.or(running.archives),
        age_ns: limits.age_ns.or(running.age_ns),
        bytes: limits.bytes.or(running.bytes),
        free_bytes: limits.free_bytes.or(running.free_bytes),
    }
}

/// All that is to be known, seen at one time.
struct Look {
    naming: Naming,
    manifest: Manifest,
    damaged: u64,
    live: Option<FileId>,
    seen: Vec<Seen>,
    now: Now,
}

/// Where the journal says the log is, unless a rotation is under way.
fn cell_of(at: Option<&Attached>) -> Option<Cell> {
    match journal::read(at?.mem()).1 {
        Found::Cell(cell) => Some(cell),
        _ => None,
    }
}

fn look(dir: &Path, log: &str, at: Option<&Attached>) -> io::Result<Look> {
    let load = || Store::load(Hidden::new(&dir.join(directory(log)), 0, false));
    let place = |cell: &Cell| (cell.file, cell.dev, cell.ino, cell.op);
    let present = match at {
        Some(at) => at.configuration().0.naming(log),
        None => Naming::plain(log, Scheme::Numbered),
    };
    let mut looks = 0;
    loop {
        let (before, store) = (cell_of(at), load()?);
        let naming = present.clone().with_former(store.manifest().templates());
        let seen = files_of(dir, &naming, store.manifest())?;
        let (after, again) = (cell_of(at), load()?);
        let quiet = before.as_ref().map(place) == after.as_ref().map(place)
            && after.is_none_or(|cell| cell.op == 0)
            && store.manifest() == again.manifest();
        looks += 1;
        if quiet || looks == LOOKS {
            let now = Now { ns: sys::unix_ns(), free_bytes: sys::dir::free_bytes(dir)? };
            let (manifest, damaged) = (again.manifest().clone(), again.damaged());
            let live = after.map(|cell| FileId { dev: cell.dev, ino: cell.ino });
            let live = live.or_else(|| last_written(&manifest).filter(|_| sys::is_direct(&dir.join(log))));
            return Ok(Look { naming, manifest, damaged, live, seen, now });
        }
        std::thread::sleep(PAUSE);
    }
}

/// The file in which the next process would go on, of a log whose files have their own names.
fn last_written(manifest: &Manifest) -> Option<FileId> {
    let live = manifest.entries().rev().find(|entry| entry.state == State::Live)?;
    live.plain.as_ref().map(|form| form.id)
}

/// What retention has to see of a log's directory: what begins with the log's name, what is called like an archive, and what the
/// manifest says is ours.
#[doc(hidden)]
pub fn files_of(dir: &Path, naming: &Naming, manifest: &Manifest) -> io::Result<Vec<Seen>> {
    let named: HashSet<&str> = manifest.fixed_names().map(|(name, _)| name).collect();
    let log = naming.log();
    sys::dir::files(dir, |name| {
        name.starts_with(log) || named.contains(name) || naming.standing(name).is_some()
    })
}

impl Look {
    fn judged(mut self, limits: Limits, adopting: bool) -> Retention {
        let directory = Directory { naming: &self.naming, live: self.live, seen: &self.seen };
        let before = self.manifest.entries().count();
        if adopting {
            let news = adopt(&self.manifest, &directory);
            news.iter().for_each(|entry| self.manifest.apply(entry));
        }
        let known = self.manifest.entries().count();
        Retention {
            limits,
            rows: explain(&self.manifest, &directory, &limits, &self.now),
            known,
            adopted: known.saturating_sub(before),
            damaged: self.damaged,
            free_bytes: self.now.free_bytes,
            now_ns: self.now.ns,
        }
    }
}

/// Removes what has to go, oldest first, and tells the manifest of each archive that is no more; `Ok` has what was removed.
///
/// `remove` takes a file's name away, if it still is that file's, and says whether it was: [`sys::dir::remove_if`]. The first
/// that cannot be removed ends it, for the younger ones must not go before it. A manifest that cannot be written does not: what it
/// was not told of is found out by [`reconcile`](crate::rotate::retention::reconcile), and the error is the last word.
#[doc(hidden)]
pub fn enforce<D: Disk>(
    store: &mut Store<D>,
    directory: &Directory,
    limits: &Limits,
    now: &Now,
    remove: impl FnMut(&Removal) -> io::Result<bool>,
) -> (Vec<Removal>, io::Result<()>) {
    let plan = decide(store.manifest(), directory, limits, now);
    carry_out(store, &plan, remove)
}

/// The same when it is decided already.
pub(crate) fn carry_out<D: Disk>(
    store: &mut Store<D>,
    plan: &[Removal],
    mut remove: impl FnMut(&Removal) -> io::Result<bool>,
) -> (Vec<Removal>, io::Result<()>) {
    let (mut removed, mut told) = (Vec::new(), Ok(()));
    for (i, removal) in plan.iter().enumerate() {
        match remove(removal) {
            Ok(true) => removed.push(removal.clone()),
            // Somebody was faster: that name is not ours any more.
            Ok(false) => {}
            Err(e) => return (removed, Err(e)),
        }
        let is_last = plan.get(i + 1).is_none_or(|next| next.serial != removal.serial);
        let entry = store.manifest().get(removal.serial).filter(|_| is_last).cloned();
        if let Some(entry) = entry {
            told = store.tell(&[entry.removed()]).or(told);
        }
    }
    (removed, told)
}

#[doc(hidden)]
pub use crate::sys::dir::remove_if;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::print_stdout)]
mod kills;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::print_stdout)]
mod tests;
