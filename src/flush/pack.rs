//! The driver's hands on packed archives: choose one, have a thread of low priority pack it, put it in the plain one's place.
//!
//! All names are the flusher's, between batches. The thread works on open handles; a rotation may shift the
//! plain archive meanwhile, so its name is looked up by its identity when the thread is done.
//!
//! ```text
//! take-over, rotation, end of a job -> choose -> temporary file in .LOG.crlog -> thread: pack, dress, sync
//!   -> temporary to NAME.gz (never over anything) -> plain removed
//! ```
//!
//! | found | done | counted |
//! |---|---|---|
//! | a temporary file at a take-over | removed: its flusher died | - |
//! | a plain archive, and a packed one that names it | unpacked and compared by the thread: if it is whole and the same, the plain one is removed; else both stay | `PackErrors` if not the same |
//! | a packed archive without our mark | left alone, and so is the plain one of its number | - |
//! | the plain archive has gone, or is falling off, when the thread is done | what it made is removed | - |
//! | it cannot be packed, renamed or removed, or was changed meanwhile | the plain one stays; another one is tried after 1 s, doubling to 10 min, then this one again | `PackErrors` |
//! | the last process of the log ends | what is due is compressed, for 2 s at most, as long as no other process comes | - |
//! | the turn ends, the segment is retired | the thread is cancelled, its file removed | - |

use super::{Event, Flusher};
use crate::attached::Attached;
use crate::index::directory;
use crate::pack::choose::{Archive, archives, candidates, pairs};
use crate::pack::worker::{Done, Job, What, Worker, origin_of};
use crate::pack::{Compression, Halt};
use crate::ring::layout::Counter;
use crate::ring::sweep::bump;
use crate::rotate::name::Packing;
use crate::sys::{self, Create, FileError, FileId, LogFile};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::time::{Duration, Instant};

const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(600);
/// At the end of a process: how often the thread is asked whether it is done, and every how many times whether
/// another process has come.
const POLL: Duration = Duration::from_millis(1);
const ROUNDS_BETWEEN_LOOKS: u32 = 10;
/// Rights of a file that is being made; it has the plain one's before it gets its name.
const MODE: u32 = 0o600;

/// What the flusher knows of archives that are to be packed.
#[derive(Debug)]
pub(super) struct Packer {
    /// Whose bell the thread rings when it is done.
    bell: Weak<Attached>,
    work: Option<Work>,
    /// There may be something to do.
    due: bool,
    /// What a former flusher left was removed.
    swept: bool,
    /// Nothing is to be packed, and no archive stands twice: rotations change nothing of that.
    at_rest: bool,
    retry_ns: u64,
    delay: Duration,
    /// Those that failed since all others were tried.
    failed: Vec<FileId>,
}

#[derive(Debug)]
struct Work {
    worker: Worker,
    /// What is being made; `None`: two files are compared.
    temporary: Option<Temporary>,
    plain: FileId,
}

/// A file with a name of ours, which is taken away when nobody needs it any more.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // Has it become the archive, the name is free. Else, should it fail, the next take-over finds it.
        let _ = sys::dir::remove(&self.0);
    }
}

impl Temporary {
    /// A name that no other flusher, of whatever process, has chosen or will.
    fn new(dir: &Path) -> io::Result<Temporary> {
        let id = u128::from_be_bytes(sys::uuid()?);
        Ok(Temporary(dir.join(format!("pack-{id:032x}.tmp"))))
    }

    fn is_one(name: &str) -> bool {
        let id = name.strip_prefix("pack-").and_then(|rest| rest.strip_suffix(".tmp"));
        id.is_some_and(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))
    }
}

impl Flusher<'_> {
    /// From here on archives are packed. For those who have the time: not for a producer that helps itself.
    pub(crate) fn packs(&mut self, bell: Weak<Attached>) {
        self.packer = Some(Packer {
            bell,
            work: None,
            due: true,
            swept: false,
            at_rest: false,
            retry_ns: 0,
            delay: Duration::ZERO,
            failed: Vec::new(),
        });
    }

    /// There is a new archive.
    pub(super) fn pack_soon(&mut self) {
        if let Some(packer) = self.packer.as_mut().filter(|packer| !packer.at_rest) {
            packer.due = true;
        }
    }

    /// What is wanted has changed: what failed may work now.
    pub(super) fn pack_anew(&mut self) {
        if let Some(packer) = &mut self.packer {
            (packer.due, packer.at_rest) = (true, false);
            (packer.retry_ns, packer.delay) = (0, Duration::ZERO);
            packer.failed.clear();
        }
    }

    /// Cancels what is under way.
    pub(super) fn stop_packing(&mut self) {
        if let Some(packer) = &mut self.packer {
            (packer.work, packer.due) = (None, true);
        }
    }

    /// Compresses what is due, for at most `limit` and as long as `alone` says so.
    pub(crate) fn finish_compression(&mut self, limit: Duration, alone: &dyn Fn() -> bool) {
        let end = Instant::now() + limit;
        for round in 0u32.. {
            let now = sys::monotonic_ns();
            self.pack(now);
            let waits = self.packer.as_ref().is_some_and(|p| p.work.is_some());
            let due = self.pack_due_ns().is_some_and(|at| at <= now);
            let looks = round % ROUNDS_BETWEEN_LOOKS == 0;
            if (!waits && !due) || Instant::now() >= end || (looks && !alone()) {
                break;
            }
            if waits {
                std::thread::sleep(POLL);
            }
        }
        self.stop_packing();
    }

    /// When something is to be tried again, if nothing is under way.
    pub(super) fn pack_due_ns(&self) -> Option<u64> {
        self.packer.as_ref().filter(|p| p.due && p.work.is_none()).map(|p| p.retry_ns)
    }

    /// Between two sweeps: is the thread done, is there something new for it?
    pub(super) fn pack(&mut self, now: u64) {
        let Some(packer) = &self.packer else { return };
        if self.retired_ns.is_some() {
            return self.stop_packing(); // the archives are the successor's
        }
        if self.found.is_some() || self.cell.op != 0 || self.is_shifting() {
            return; // a rotation is under way, or what it has put off
        }
        if let Some(done) = packer.work.as_ref().and_then(|work| work.worker.poll()) {
            self.pack_done(done);
        }
        let Some(packer) = &mut self.packer else { return };
        if packer.work.is_some() || !packer.due || now < packer.retry_ns {
            return;
        }
        packer.due = false;
        if let Err(failed) = self.choose() {
            self.pack_failed(&failed);
        }
    }

    fn choose(&mut self) -> Result<(), Failed> {
        let general = |doing| move |e| Failed::new(None, doing, e);
        self.sweep_temporaries().map_err(general("remove what a former flusher left"))?;
        let all = self.archives().map_err(general("list the archives"))?;
        if let Some(job) = self.find_pair(&all) {
            return self.start(job, None);
        }
        let how = self.config.compress;
        if how == Compression::None {
            if let Some(packer) = self.packer.as_mut().filter(|packer| packer.failed.is_empty()) {
                packer.at_rest = true;
            }
            return Ok(());
        }
        let found = self.next_plain(&all).map_err(general("look at the archives"))?;
        let Some((archive, id)) = found else { return Ok(()) };
        if how.packing().is_none() {
            return Err(Failed::new(None, "pack archives", io::Error::other(Halt::NotBuilt)));
        }
        self.begin_to_pack(&archive, id, how)
    }

    /// Once per turn. Nobody else makes such files now, since this is the flusher, and the log file is its own.
    fn sweep_temporaries(&mut self) -> io::Result<()> {
        let Some(packer) = self.packer.as_mut().filter(|p| !p.swept) else { return Ok(()) };
        packer.swept = true;
        sys::sweep(&self.at.dir)?;
        let dir = self.hidden();
        let names = match sys::dir::list(&dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            names => names?,
        };
        for name in names.iter().filter(|name| Temporary::is_one(name)) {
            let file = LogFile::open(&dir.join(name), MODE, Create::Never).ok();
            sys::dir::remove(&dir.join(name))?;
            self.let_go(file);
        }
        Ok(())
    }

    pub(super) fn hidden(&self) -> PathBuf {
        self.at.dir.join(directory(&self.at.name))
    }

    fn path(&self, archive: &Archive) -> PathBuf {
        self.at.dir.join(&archive.name)
    }

    fn archives(&self) -> io::Result<Vec<Archive>> {
        let mut names = sys::dir::list(&self.at.dir)?;
        names.retain(|name| name != self.live_name());
        Ok(archives(&self.naming, &names, self.config.policy.backups))
    }

    /// The archive that this file is now; `None` if it is none any more, or on its way out.
    fn archive_of<'a>(&self, all: &'a [Archive], id: FileId) -> io::Result<Option<&'a Archive>> {
        for archive in all {
            if sys::dir::identity_at(&self.path(archive))? == Some(id) {
                return Ok(Some(archive));
            }
        }
        Ok(None)
    }

    /// The next one that has not failed yet; if all have, the first again.
    fn next_plain(&mut self, all: &[Archive]) -> io::Result<Option<(Archive, FileId)>> {
        let log = self.log_id();
        let mut again = None;
        for archive in candidates(all, self.config.compress_delay) {
            let id = sys::dir::identity_at(&self.path(archive))?;
            let Some(id) = id.filter(|id| *id != log && !self.hook_needs(*id)) else { continue };
            let found = Some((archive.clone(), id));
            if !self.has_failed(id) {
                return Ok(found);
            }
            again = again.or(found);
        }
        if let Some(packer) = &mut self.packer {
            packer.failed.clear();
        }
        Ok(again)
    }

    fn has_failed(&self, id: FileId) -> bool {
        self.packer.as_ref().is_some_and(|packer| packer.failed.contains(&id))
    }

    /// A plain archive and the packed one that a flusher made of it, which was killed before it removed the plain one.
    fn find_pair(&self, all: &[Archive]) -> Option<Job> {
        pairs(all).find_map(|(plain, packed)| {
            let packing = packed.packing;
            let packed = self.open_archive(packed)?;
            let origin = origin_of(packing, &packed)?;
            let id = FileId { dev: origin.dev, ino: origin.ino };
            if self.has_failed(id) || sys::dir::identity_at(&self.path(plain)).ok()? != Some(id) {
                return None;
            }
            let plain = self.open_archive(plain)?;
            let looks = plain.looks().ok()?;
            let job = Job { plain, looks, packed, what: What::Compare(packing), index: self.hidden() };
            job.origin().is(&origin).then_some(job)
        })
    }

    fn open_archive(&self, archive: &Archive) -> Option<LogFile> {
        LogFile::open(&self.path(archive), self.config.mode, Create::Never).ok()
    }

    fn begin_to_pack(&mut self, archive: &Archive, id: FileId, how: Compression) -> Result<(), Failed> {
        let failed = |e| Failed::new(Some(id), "pack", e);
        let plain = LogFile::open(&self.path(archive), self.config.mode, Create::Never);
        let plain = plain.map_err(|e| failed(io_error(e)))?;
        if plain.identity() != id {
            return Err(failed(io::Error::other(Halt::Changed)));
        }
        let looks = plain.looks().map_err(failed)?;
        let dir = self.hidden();
        sys::make_private_dir(&dir, self.config.rights_of_directory()).map_err(failed)?;
        let temporary = Temporary::new(&dir).map_err(failed)?;
        let packed = LogFile::open(&temporary.0, MODE, Create::New).map_err(|e| failed(io_error(e)))?;
        self.start(Job { plain, looks, packed, what: What::Pack(how), index: dir }, Some(temporary))
    }

    fn start(&mut self, job: Job, temporary: Option<Temporary>) -> Result<(), Failed> {
        let Some(packer) = &mut self.packer else { return Ok(()) };
        let bell = packer.bell.clone();
        let plain = job.plain.identity();
        let wake = move || {
            if let Some(at) = bell.upgrade() {
                at.ring();
            }
        };
        let worker =
            Worker::start(job, wake).map_err(|e| Failed::new(Some(plain), "start a thread that packs", e))?;
        packer.work = Some(Work { worker, temporary, plain });
        Ok(())
    }

    fn pack_done(&mut self, done: Option<Done>) {
        let Some(packer) = &mut self.packer else { return };
        let Some(work) = packer.work.take() else { return };
        packer.due = true;
        let plain = work.plain;
        let failed = |doing, e| Failed::new(Some(plain), doing, e);
        let result = match done {
            None => Err(failed("pack", io::Error::other("its thread ended"))),
            Some(Done { result: Err(Halt::Io(e)), .. }) => Err(failed("pack", e)),
            Some(Done { result: Err(halt), .. }) => Err(failed("pack", io::Error::other(halt))),
            Some(Done { result: Ok(false), .. }) => Err(failed(
                "replace",
                io::Error::other("a packed file that says it was made of it is not the same"),
            )),
            Some(Done { job, result: Ok(true) }) => {
                self.put_in_place(work, job).map_err(|e| failed("put the packed file in the place of", e))
            }
        };
        if let Err(failed) = result {
            self.pack_failed(&failed);
        }
    }

    /// The packed file gets its name, and the plain one loses its own.
    fn put_in_place(&mut self, work: Work, job: Job) -> io::Result<()> {
        let all = self.archives()?;
        let Some(plain) = self.archive_of(&all, work.plain)? else { return Ok(()) };
        if !job.is_unchanged() {
            return Err(io::Error::other(Halt::Changed));
        }
        let (name, made) = match (job.what, work.temporary) {
            (What::Pack(how), Some(temporary)) => {
                let name = plain.packed(how.packing().unwrap_or(Packing::Plain));
                self.tell_packing(work.plain, &temporary.0, &name);
                sys::dir::rename_new(&temporary.0, &self.at.dir.join(&name))?;
                (name, true)
            }
            _ => match self.archive_of(&all, job.packed.identity())? {
                Some(packed) => (packed.name.clone(), false),
                None => return Ok(()),
            },
        };
        if let Err(e) = self.remove_plain(plain) {
            if made {
                // One name too many would be an archive too many.
                let _ = sys::dir::remove(&self.at.dir.join(&name));
            }
            return Err(e);
        }
        self.tell_packed(work.plain);
        let (from_bytes, to_bytes) = (job.looks.bytes, job.packed.size().unwrap_or(0));
        self.index_packed(job.packed.identity());
        self.let_go(Some(job.plain));
        if let Some(packer) = &mut self.packer {
            (packer.retry_ns, packer.delay) = (0, Duration::ZERO);
        }
        bump(self.at.mem(), Counter::Packed, 1);
        (self.tell)(Event::Packed { name, from_bytes, to_bytes });
        Ok(())
    }

    fn remove_plain(&self, plain: &Archive) -> io::Result<()> {
        if self.syncs_archives() {
            sys::dir::sync(&self.at.dir)?;
        }
        sys::dir::remove(&self.path(plain))
    }

    fn pack_failed(&mut self, failed: &Failed) {
        let Some(packer) = &mut self.packer else { return };
        packer.due = true;
        packer.delay = (packer.delay * 2).clamp(RETRY_MIN, RETRY_MAX);
        let retry = packer.delay;
        packer.retry_ns = sys::monotonic_ns() + u64::try_from(retry.as_nanos()).unwrap_or(u64::MAX);
        packer.failed.extend(failed.plain);
        bump(self.at.mem(), Counter::PackErrors, 1);
        let name = |id| Some(self.archive_of(&self.archives().ok()?, id).ok()??.name.clone());
        let of = match failed.plain {
            None => format!("of {}", self.at.log_path.display()),
            Some(id) => name(id).unwrap_or_else(|| "an archive that has gone".into()),
        };
        let what = format!("cannot {} {of}: {}", failed.doing, failed.why);
        (self.tell)(Event::PackFailed { what, errno: failed.why.raw_os_error().unwrap_or(0), retry });
    }
}

/// What went wrong, and with which archive.
struct Failed {
    plain: Option<FileId>,
    doing: &'static str,
    why: io::Error,
}

impl Failed {
    fn new(plain: Option<FileId>, doing: &'static str, why: io::Error) -> Failed {
        Failed { plain, doing, why }
    }
}

fn io_error(e: FileError) -> io::Error {
    match e {
        FileError::Io { cause, .. } => cause,
        other => io::Error::other(other.to_string()),
    }
}
