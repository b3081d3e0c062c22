//! What is kept of the archives: the manifest is told of every file, and what no limit wants any more is removed.
//!
//! A rotation tells the manifest two lines: before it, a dated name, so that its number is never given again; after it, which file
//! was put away and which one was begun. What a killed flusher did not come to tell, the next one finds out ([`reconcile`]).
//!
//! Archives are removed between two sweeps: after rotations, at a take-over, when the configuration has changed, each minute if there
//! is a limit that time alone can break, and each second while the log grows if room is to be left on the disk. No record and no rotation
//! fails with any of this.
//!
//! **Order numbers.** Those of the log are in the journal, hence as exact as the log, whoever is killed. When it is put away, and only then,
//! they are told the manifest.
//!
//! Who asks for it (`crlog retention`) has it done at once, with a fresh look at the directory, by a helper's turn too; and is told how it went.
//!
//! | found | done |
//! |---|---|
//! | the manifest cannot be read or written | nothing is removed; told, tried again after 1 s, doubling to 10 min |
//! | an archive cannot be removed | it stays, and so do the younger ones; likewise |
//! | no limit, no dated names, no chain and no rotation by time | no manifest |

use super::{Event, Flusher, Kind};
use crate::attached::Attached;
use crate::manifest::{Hidden, Store, naming};
use crate::options::{Config, OnStart};
use crate::retention::{carry_out, files_of};
use crate::ring::layout::{Counter, kept, word};
use crate::ring::mem::Mem;
use crate::ring::sweep::bump;
use crate::rotate::manifest::{Ended, Entry, Form, Manifest, Name, Stamped, State};
use crate::rotate::name::Standing;
use crate::rotate::retention::{Directory, Limits, Now, Reason, Removal, Seen, adopt, decide, reconcile};
use crate::rotate::schedule::Dated;
use crate::rotate::{Naming, Scheme};
use crate::sys::{self, FileId};
use std::cmp::Reverse;
use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(600);
/// So many times as long as it took, it is left alone.
const RESTS: u64 = 20;
/// How often it is looked whether an archive has become too old, or the disk too full.
const EVERY: Duration = Duration::from_secs(60);
/// How often while the log itself takes the room.
const GROWING: Duration = Duration::from_secs(1);

/// What the flusher knows of retention.
#[derive(Debug)]
pub(super) struct Keeper {
    /// `None`: not read in this turn.
    store: Option<Store<Hidden>>,
    /// The directory as it was seen then, and as we have changed it since. With numbers, which all change at each rotation, it
    /// is not kept.
    seen: Option<(u64, Vec<Seen>)>,
    due: bool,
    /// When it is tried again, or looked again.
    next_ns: u64,
    /// Not before: however many archives there are, the drain has most of the time.
    rest_ns: u64,
    delay: Duration,
    left: Option<Left>,
    /// Which file was how long when the room was last looked at, and when it is looked at next.
    measured: (u64, u64),
    measure_ns: u64,
    /// Archives cannot make room: there are none.
    in_vain: bool,
}

/// The file that was the log until now, as it was left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    pub(super) id: FileId,
    /// In the journal.
    pub(super) number: u64,
    pub(super) bytes: u64,
    pub(super) keys: Option<(u64, u64)>,
}

impl Default for Keeper {
    fn default() -> Keeper {
        Keeper {
            store: None,
            seen: None,
            due: true,
            next_ns: 0,
            rest_ns: 0,
            delay: Duration::ZERO,
            left: None,
            measured: (0, 0),
            measure_ns: 0,
            in_vain: false,
        }
    }
}

impl Keeper {
    /// What the manifest says, if it was read.
    pub(super) fn manifest(&self) -> Option<&Manifest> {
        self.store.as_ref().map(Store::manifest)
    }
}

/// Whether archives are the manifest's business.
fn has_manifest(config: &Config) -> bool {
    config.policy.names == Scheme::Dated
        || config.policy.backups > 0
        || has_limits_of_time(config)
        || config.keep.bytes > 0
        || config.rotate_at.is_some()
}

fn has_limits_of_time(config: &Config) -> bool {
    !config.keep.age.is_zero() || config.keep.min_free > 0
}

/// Whether archives come and go by themselves. Else the manifest is not written before the first rotation that is asked
/// for: a log that never rotates needs none, and its first record does not wait for one.
fn has_archives(config: &Config) -> bool {
    config.policy.names == Scheme::Dated
        || config.policy.max_bytes > 0
        || config.rotate_at.is_some()
        || config.on_start == OnStart::Rotate
        || has_limits_of_time(config)
        || config.keep.bytes > 0
}

/// The limits of a configuration. With numbers and no backups there are no archives, so there is no limit to their number.
pub(crate) fn limits_of(config: &Config) -> Limits {
    let some = |n: u64| Some(n).filter(|n| *n > 0);
    Limits {
        archives: Some(config.policy.backups).filter(|n| *n > 0),
        age_ns: u64::try_from(config.keep.age.as_nanos()).ok().and_then(some),
        bytes: some(config.keep.bytes),
        free_bytes: some(config.keep.min_free),
    }
}

/// The entry of the live log, if it is known.
fn live_entry(manifest: &Manifest, id: FileId) -> Option<&Entry> {
    manifest
        .by_inode(id.ino)
        .find(|entry| entry.state == State::Live && entry.forms().any(|(form, _)| form.id == id))
}

impl Flusher<'_> {
    /// The manifest is read, if it can be.
    pub(super) fn know_of_files(&mut self) {
        if self.keeper.store.is_none() && has_manifest(&self.config) {
            match self.take_store() {
                Ok(store) => self.keeper.store = Some(store),
                Err(failed) => self.keeping_failed(&failed),
            }
        }
    }

    /// The manifest knows the period of the log file.
    pub(super) fn keep_period(&mut self, from: i64, until: i64) {
        self.know_of_files();
        let kept = self.keeper.store.as_mut().map_or(Ok(()), |store| store.set_period(from, until));
        if let Err(why) = kept {
            self.keeping_failed(&Failed { doing: "write the manifest", why });
        }
    }

    /// The manifest knows the log file at once, whose name says nothing of its being one.
    pub(super) fn tell_first(&mut self) {
        let Some(mut store) = self.keeper.store.take() else { return };
        let seen = sys::dir::look(&self.at.dir.join(self.live_name())).ok().flatten();
        let unknown = live_entry(store.manifest(), self.log_id()).is_none();
        let entry = seen.filter(|_| unknown).map(|seen| self.begun(store.manifest(), &seen));
        let told = entry.map_or(Ok(()), |entry| store.tell(&[entry]));
        self.keeper.store = Some(store);
        if let Err(why) = told {
            self.keeping_failed(&Failed { doing: "write the manifest", why });
        }
    }

    /// What was seen of the directory does not hold any more: archives get other names, or one has gone.
    pub(super) fn forget_seen(&mut self) {
        self.keeper.seen = None;
    }

    /// This file is the log no more: perhaps there is a new archive. If others have moved it, who knows what else they have.
    pub(super) fn keep_soon(&mut self, left: Left, by_others: bool) {
        self.keeper.left = Some(left);
        self.keeper.seen = self.keeper.seen.take().filter(|_| !by_others);
        self.keeper.due = true;
        if self.keeper.delay.is_zero() {
            self.keeper.next_ns = 0;
        }
    }

    /// There are other limits now.
    pub(super) fn keep_anew(&mut self) {
        (self.keeper.due, self.keeper.next_ns) = (true, 0);
    }

    /// At most until retention is due.
    pub(super) fn until_keeping(&self, limit: Duration) -> Duration {
        let waits = self.keeper.due || has_limits_of_time(&self.config);
        if self.kind == Kind::Helper || !waits || !self.has_manifest() {
            return limit;
        }
        let mut at = self.keeper.next_ns;
        if self.may_take_room() {
            at = at.min(self.keeper.measure_ns);
        }
        let wait = at.max(self.keeper.rest_ns).saturating_sub(sys::monotonic_ns());
        limit.min(Duration::from_nanos(wait.max(super::MS)))
    }

    /// There is to be room on the disk, and the log has grown since it was looked at.
    fn may_take_room(&self) -> bool {
        let grown = self.keeper.measured != (self.cell.file, self.cell.end);
        grown && self.config.keep.min_free > 0 && self.keeper.delay.is_zero()
    }

    /// There is too little room, perhaps because the log has grown.
    fn lacks_room(&mut self, now_ns: u64) -> bool {
        if !self.may_take_room() || now_ns < self.keeper.measure_ns {
            return false;
        }
        let wait = if self.keeper.in_vain { EVERY } else { GROWING };
        self.keeper.measured = (self.cell.file, self.cell.end);
        self.keeper.measure_ns = now_ns + nanos(wait);
        sys::dir::free_bytes(&self.at.dir).is_ok_and(|free| free < self.config.keep.min_free)
    }

    /// Whether the manifest is to be written now.
    fn has_manifest(&self) -> bool {
        has_manifest(&self.config) && (has_archives(&self.config) || self.keeper.left.is_some())
    }

    /// Names are as they should be, and ours.
    pub(super) fn is_at_rest(&self) -> bool {
        self.found.is_none() && self.cell.op == 0 && self.retired_ns.is_none()
    }

    /// Somebody wants it now: the limits applied, and before that perhaps archives taken in that nobody knows.
    pub(super) fn keep_if_asked(&mut self) {
        let mem = self.at.mem();
        let asked = |requests, done| {
            let asked = mem.load(requests, Relaxed);
            kept::is_asked(asked, mem.load(done, Relaxed)).then_some((asked, done))
        };
        let keep = asked(word::KEEP_REQUESTS, word::KEEP_DONE);
        let adopt = asked(word::ADOPT_REQUESTS, word::ADOPT_DONE);
        if (keep.is_none() && adopt.is_none()) || !self.is_at_rest() || self.is_shifting() {
            return;
        }
        self.keeper.seen = None;
        let now_ns = sys::monotonic_ns();
        let done = self.keep_now(adopt.is_some());
        let errno = match &done {
            Ok(()) => 0,
            Err(failed) => failed.why.raw_os_error().and_then(|e| e.try_into().ok()).unwrap_or(kept::UNKNOWN),
        };
        self.kept(now_ns, done);
        for (requests, word) in [keep, adopt].into_iter().flatten() {
            mem.store(word, kept::done(requests, errno), Relaxed);
        }
    }

    /// Between two sweeps: is there something to tell, or to remove?
    pub(super) fn keep(&mut self, now_ns: u64) {
        if self.kind != Kind::Helper {
            self.keep_if_asked();
            if self.lacks_room(now_ns) {
                self.keep_anew();
            }
        }
        if self.retry_ns != 0 && self.config.keep.min_free > 0 && self.keeper.delay.is_zero() {
            self.keep_anew(); // perhaps there is no room
        }
        let not_before = self.keeper.next_ns.max(self.keeper.rest_ns);
        let may = self.kind != Kind::Helper && self.is_at_rest() && !self.is_shifting();
        if !may || !self.has_manifest() || now_ns < not_before {
            return;
        }
        if !self.keeper.due && !has_limits_of_time(&self.config) {
            return;
        }
        self.keeper.due = false;
        let done = self.keep_now(false);
        self.kept(now_ns, done);
    }

    fn kept(&mut self, now_ns: u64, done: Result<(), Failed>) {
        let end_ns = sys::monotonic_ns();
        self.keeper.rest_ns = end_ns + RESTS * end_ns.saturating_sub(now_ns);
        match done {
            Ok(()) => {
                self.keeper.delay = Duration::ZERO;
                let next = if has_limits_of_time(&self.config) { EVERY } else { Duration::ZERO };
                self.keeper.next_ns = now_ns + nanos(next);
            }
            Err(failed) => self.keeping_failed(&failed),
        }
    }

    fn keeping_failed(&mut self, failed: &Failed) {
        let keeper = &mut self.keeper;
        keeper.due = true;
        keeper.delay = (keeper.delay * 2).clamp(RETRY_MIN, RETRY_MAX);
        keeper.next_ns = sys::monotonic_ns() + nanos(keeper.delay);
        let retry = keeper.delay;
        bump(self.at.mem(), Counter::IoErrors, 1);
        let (path, why) = (self.at.log_path.display(), &failed.why);
        let what = format!(
            "cannot {} of {path}: {why}; nothing of the log is lost, archives may stay too long",
            failed.doing
        );
        (self.tell)(Event::Error { what, errno: why.raw_os_error().unwrap_or(0), retry });
    }

    fn keep_now(&mut self, adopting: bool) -> Result<(), Failed> {
        let mut store = self.take_store()?;
        let done = self.keep_with(&mut store, adopting);
        self.keeper.store = Some(store);
        done
    }

    fn take_store(&mut self) -> Result<Store<Hidden>, Failed> {
        if let Some(store) = self.keeper.store.take() {
            return Ok(store);
        }
        self.last_copy = None; // it may know of higher numbers
        let store = Store::load(self.hidden_store());
        let mut store = store.map_err(|why| Failed { doing: "read the manifest", why })?;
        self.know_names(&mut store)?;
        Ok(store)
    }

    /// Templates that the log once had are known to us, and the one that it has now to the manifest.
    fn know_names(&mut self, store: &mut Store<Hidden>) -> Result<(), Failed> {
        let learned = self.naming.template().map_or(Ok(()), |template| store.learn(template));
        self.naming = self.naming.clone().with_former(store.manifest().templates());
        learned.map_err(|why| Failed { doing: "write the manifest", why })
    }

    /// What the log's files are called, and were before.
    pub(super) fn all_names(&self) -> Naming {
        match &self.keeper.store {
            Some(_) => self.naming.clone(),
            None => naming(&self.at.dir, &self.at.name, Some(&self.config)),
        }
    }

    /// Names may be made otherwise from now on.
    pub(super) fn rename_from_now_on(&mut self) {
        let before: Vec<String> =
            self.naming.former().chain(self.naming.template()).map(str::to_owned).collect();
        let naming = self.config.naming(&self.at.name);
        self.naming = naming.with_former(before.iter().map(String::as_str));
        (self.keeper.store, self.keeper.seen) = (None, None);
    }

    /// Before a rotation: the manifest is read, and knows the live log.
    pub(super) fn know(&mut self) {
        let waits = !self.keeper.delay.is_zero() && sys::monotonic_ns() < self.keeper.next_ns;
        let known = |store: &Store<Hidden>| live_entry(store.manifest(), self.log_id()).is_some();
        if self.keeper.store.as_ref().is_some_and(known) || waits || !has_manifest(&self.config) {
            return;
        }
        if let Err(failed) = self.try_to_know() {
            self.keeping_failed(&failed);
        }
    }

    fn try_to_know(&mut self) -> Result<(), Failed> {
        let mut store = self.take_store()?;
        let (at, seen) = self.take_seen(&store).map_err(|why| Failed { doing: "list the archives", why })?;
        let naming = self.naming.clone();
        let directory = Directory { naming: &naming, live: Some(self.log_id()), seen: &seen };
        let told = self.bring_up_to_date(&mut store, &directory);
        (self.keeper.store, self.keeper.seen) = (Some(store), Some((at, seen)));
        told.map_err(|why| Failed { doing: "write the manifest", why })
    }

    /// A rotation was made: what was the log has this name now, or was emptied.
    pub(super) fn tell_rotated(&mut self, archive: Option<&str>) {
        let (naming, segment) = (&self.naming, segment_of(self.at));
        let Some(left) = self.keeper.left else { return };
        let Some(mut store) = self.keeper.store.take() else { return };
        let end = Ended { bytes: left.bytes, keys: None, ns: sys::unix_ns() };
        let put_away = live_entry(store.manifest(), left.id).cloned().map(|entry| match archive {
            Some(name) => with_numbers(entry.archived(name_of(naming, name), end), segment, &left),
            None => entry.removed(),
        });
        let put_away = match archive.filter(|_| self.at.rotator().is_some()) {
            Some(name) => put_away.map(|entry| as_made(entry, naming, &self.at.dir, name)),
            None => put_away,
        };
        let seen = sys::dir::look(&self.at.dir.join(self.live_name())).ok().flatten();
        let begun = seen.as_ref().map(|seen| self.begun(store.manifest(), seen));
        let news: Vec<Entry> = put_away.into_iter().chain(begun).collect();
        let told = store.tell(&news);
        self.keeper.store = Some(store);
        self.see_rotated(archive, seen);
        if let Err(why) = told {
            self.keeping_failed(&Failed { doing: "write the manifest", why });
        }
    }

    /// The files of the directory, seen at most [`EVERY`] ago but for what we did ourselves. What others do meanwhile is
    /// found out when a file is to be removed: only if its name is still that of the same file.
    fn take_seen(&mut self, store: &Store<Hidden>) -> io::Result<(u64, Vec<Seen>)> {
        let now_ns = sys::monotonic_ns();
        let recent = |(at, _): &(u64, Vec<Seen>)| now_ns.saturating_sub(*at) < nanos(EVERY);
        match self.keeper.seen.take().filter(recent) {
            Some(seen) => Ok(seen),
            None => Ok((now_ns, files_of(&self.at.dir, &self.naming, store.manifest())?)),
        }
    }

    /// A rotation by us: the log has this name now, and there is a new one.
    fn see_rotated(&mut self, archive: Option<&str>, log: Option<Seen>) {
        // What a rotator has made is looked for.
        let known = self.config.policy.names == Scheme::Dated && self.at.rotator().is_none();
        let Some((at, mut seen)) = self.keeper.seen.take().filter(|_| known) else { return };
        let Some(log) = log else { return };
        seen.retain(|file| file.name != self.live_name() && Some(file.name.as_str()) != archive);
        seen.push(log);
        if let Some(name) = archive {
            let Ok(file) = sys::dir::look(&self.at.dir.join(name)) else { return };
            seen.extend(file);
        }
        self.keeper.seen = Some((at, seen));
    }

    fn hidden_store(&self) -> Hidden {
        Hidden::new(&self.hidden(), self.config.mode, self.syncs_archives())
    }

    fn keep_with(&mut self, store: &mut Store<Hidden>, adopting: bool) -> Result<(), Failed> {
        let listing = |why| Failed { doing: "list the archives", why };
        let from_memory = self.keeper.seen.is_some();
        let (at, mut seen) = self.take_seen(store).map_err(listing)?;
        let naming = self.naming.clone();
        let directory = Directory { naming: &naming, live: Some(self.log_id()), seen: &seen };
        let mut told = self.bring_up_to_date(store, &directory);
        if adopting {
            let news = adopt(store.manifest(), &directory);
            told = store.tell(&news).and(told);
        }
        let told = told.map_err(|why| Failed { doing: "write the manifest", why });
        let limits = limits_of(&self.config);
        if limits.is_none() {
            return told;
        }
        let free_bytes = sys::dir::free_bytes(&self.at.dir).map_err(listing)?;
        let now = Now { ns: sys::unix_ns(), free_bytes };
        let lacks = limits.free_bytes.is_some_and(|wanted| free_bytes < wanted);
        let plan = decide(store.manifest(), &directory, &limits, &now);
        if from_memory && !plan.iter().all(|removal| self.is_as_seen(removal)) {
            return self.keep_with(store, adopting); // with another look at the directory
        }
        let mut gone = HashSet::new();
        let remove = |removal: &Removal| {
            gone.insert(removal.name.clone());
            self.remove(removal)
        };
        let (_, done) = carry_out(store, &plan, remove);
        self.keeper.in_vain = lacks && gone.is_empty();
        if done.is_ok() {
            seen.retain(|file| !gone.contains(&file.name));
            self.keeper.seen = Some((at, seen));
        }
        told.and(done.map_err(|why| Failed { doing: "remove archives", why }))
    }

    fn is_as_seen(&self, removal: &Removal) -> bool {
        let now = sys::dir::look(&self.at.dir.join(&removal.name)).ok().flatten();
        now.is_some_and(|now| (now.id, now.bytes) == (removal.id, removal.bytes))
    }

    /// What happened since the manifest was last told.
    fn bring_up_to_date(&mut self, store: &mut Store<Hidden>, directory: &Directory) -> io::Result<()> {
        let mut news = reconcile(store.manifest(), directory);
        if let Some(left) = &self.keeper.left {
            news = news.into_iter().map(|entry| with_numbers(entry, segment_of(self.at), left)).collect();
        }
        let told = if news.is_empty() { Ok(()) } else { store.tell(&news) };
        let id = self.log_id();
        if live_entry(store.manifest(), id).is_some() {
            return told;
        }
        let Some(seen) = directory.seen.iter().find(|seen| seen.id == id) else { return told };
        let entry = self.begun(store.manifest(), seen);
        told.and(store.tell(&[entry]))
    }

    /// The entry of a new log file.
    fn begun(&self, manifest: &Manifest, log: &Seen) -> Entry {
        let segment = segment_of(self.at);
        let (name, dated) = self.live_as_told();
        let form = form_of(log, name);
        let entry = Entry::begun(manifest.next_serial(), segment, self.cell.file, form, sys::unix_ns());
        Entry { dated, ..entry }
    }

    fn remove(&mut self, removal: &Removal) -> io::Result<bool> {
        let retired = self.retire(&removal.name);
        retired.map_err(|_| io::Error::other("its end could not be written to the index"))?;
        let file = self.hold(&removal.name);
        let removed = sys::dir::remove_if(&self.at.dir.join(&removal.name), removal.id)?;
        match removal.reason {
            // The next look at the file system must find what was given back.
            Reason::Free { .. } => drop(file),
            _ => self.let_go(file),
        }
        if removed {
            bump(self.at.mem(), Counter::Removed, 1);
            let (name, bytes, reason) = (removal.name.clone(), removal.bytes, removal.reason);
            (self.tell)(Event::Removed { name, bytes, reason });
        }
        Ok(removed)
    }

    /// The log is about to get this name. If that cannot be written down, it gets it all the same.
    pub(super) fn reserve(&mut self, archive: &str) {
        let id = self.log_id();
        let Some(Standing::Dated(Reverse(dated))) = self.naming.present(archive) else { return };
        let Some(store) = &mut self.keeper.store else { return };
        if self.config.policy.direct {
            if let Err(why) = store.give(&dated.stamp, dated.copy) {
                self.keeping_failed(&Failed { doing: "write the manifest", why });
            }
            return;
        }
        let Some(entry) = live_entry(store.manifest(), id).cloned() else { return };
        let stamped = Stamped { stamp: dated.stamp, copy: dated.copy };
        if entry.dated.as_ref() == Some(&stamped) {
            return;
        }
        if let Err(why) = store.tell(&[entry.reserved(archive, stamped)]) {
            self.keeping_failed(&Failed { doing: "write the manifest", why });
        }
    }

    /// A number for the next archive of this stamp, if the manifest is there: behind all that were ever given.
    pub(super) fn copy_never_given(&self, stamp: &str, existing: &[Dated]) -> Option<u32> {
        let manifest = self.keeper.store.as_ref()?.manifest();
        // A file that has its name from the beginning does not give it to the next one.
        let own = !self.config.policy.direct;
        let live = live_entry(manifest, self.log_id()).filter(|_| own).map(|entry| entry.serial);
        let standing = existing.iter().filter(|dated| dated.stamp == stamp).map(|dated| dated.copy);
        manifest.next_copy(stamp, standing, live)
    }

    /// This file is about to get the name of a packed archive, which was made of that one.
    pub(super) fn tell_packing(&mut self, plain: FileId, packed: &Path, name: &str) {
        let form =
            sys::dir::look(packed).ok().flatten().map(|seen| form_of(&seen, name_of(&self.naming, name)));
        self.tell_of_archive(plain, |entry| form.map(|form| entry.packing(form)));
    }

    /// The plain file has gone.
    pub(super) fn tell_packed(&mut self, plain: FileId) {
        self.tell_of_archive(plain, |entry| entry.packed.is_some().then(|| entry.packed()));
    }

    fn tell_of_archive(&mut self, id: FileId, change: impl FnOnce(Entry) -> Option<Entry>) {
        let Some(store) = &mut self.keeper.store else { return };
        self.keeper.seen = None; // a name more or less
        let is = |entry: &&Entry| entry.is_closed() && entry.plain.as_ref().is_some_and(|form| form.id == id);
        let entry = store.manifest().by_inode(id.ino).find(is).cloned();
        if let Some(entry) = entry.and_then(change)
            && let Err(why) = store.tell(&[entry])
        {
            self.keeping_failed(&Failed { doing: "write the manifest", why });
        }
    }
}

fn segment_of(at: &Attached) -> u128 {
    u128::from_be_bytes(at.segment.header().uuid)
}

/// An archive that was left so: with its order numbers, if they are known. They are this segment's, so nothing else stands in it,
/// though another one may have made it.
fn with_numbers(entry: Entry, segment: u128, left: &Left) -> Entry {
    let is_it = |form: &Form| form.id == left.id && form.bytes == left.bytes;
    let known = left.keys.is_some() && entry.state == State::Archived && entry.keys.is_none();
    if known && entry.plain.as_ref().is_some_and(is_it) {
        return Entry { keys: left.keys, segment, file: left.number, ..entry };
    }
    entry
}

/// An archive that a rotator has made: perhaps another file than the log was, or a packed one, or none at all.
fn as_made(entry: Entry, naming: &Naming, dir: &Path, name: &str) -> Entry {
    let form = |name: &str| {
        let seen = sys::dir::look(&dir.join(name)).ok()??;
        Some(form_of(&seen, name_of(naming, name)))
    };
    if let Some(plain) = form(name) {
        return Entry { plain: Some(plain), ..entry };
    }
    match form(&format!("{name}.gz")) {
        Some(copy) => entry.packing(copy).packed(),
        None => entry.removed(),
    }
}

fn form_of(seen: &Seen, name: Name) -> Form {
    Form { id: seen.id, born_ns: seen.born_ns, bytes: seen.bytes, name }
}

fn name_of(naming: &Naming, name: &str) -> Name {
    match naming.standing(name) {
        Some(Standing::Dated(Reverse(_))) | None => Name::Fixed(name.to_owned()),
        Some(Standing::Numbered(_)) => Name::Chain,
        Some(Standing::Log) => Name::Log,
    }
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

struct Failed {
    doing: &'static str,
    why: io::Error,
}
