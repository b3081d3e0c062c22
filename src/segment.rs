//! Making, finding, checking and leaving a segment.
//!
//! Constraints: any number of processes come and go at once, each may be killed at any step, and
//! what is found may be anybody's. Nothing that might hold records is ever destroyed.
//!
//! All of it happens under byte [`OPEN`](byte::OPEN) of the lock file, which the kernel frees when
//! its holder dies. Who is attached holds [`ATTACH`](byte::ATTACH) shared; the last one out takes
//! it alone and, if the ring is empty, removes segment and lock file. Hence whoever waited for `OPEN`
//! looks again whether its lock file still bears its name ([`OpenError::LockGone`]: open it anew;
//! [`Segment::enter`] does).
//!
//! A segment is made whole before its magic is stored, so one without magic is a leftover of a dead
//! maker. The header names the lock file it goes with: with another lock file two flushers could be
//! at work at once, so that is refused, unless the kernel proves that nobody has the segment open;
//! then it is taken over with all its records.
//!
//! | found | done |
//! |---|---|
//! | nothing | made |
//! | nothing, but others are attached through the lock file | the segment was removed under them: new lock file, made anew |
//! | 0 bytes, or no magic and nothing behind the header | maker died: removed, made anew ([`Report::replaced`]) |
//! | sound | attached; sizes and configuration are inherited ([`Report`] tells differences) |
//! | sound, of an earlier boot | attached, its journal distrusted ([`Report::other_boot`]) |
//! | another lock file, nobody has it open | attached, header corrected ([`Report::adopted`]) |
//! | another lock file otherwise | refused, left alone |
//! | another layout version or word size | refused, left alone |
//! | checksum or sizes wrong, truncated, another log's | refused, left alone |
//! | not a segment at all | looked at again for a second, as a maker whose lock file was removed may be at work; then refused, left alone |

use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::ring::layout::{Geometry, LAYOUT_VERSION, MAGIC, header as at, word};
use crate::ring::mem::Mem;
use crate::ring::reclaim;
use crate::sys::byte;
use crate::sys::{self, FileError, LockFile, MapError, Mapping, SegmentKind, SegmentObject, Shown};

mod error;
mod header;
#[cfg(any(test, fuzzing))]
pub mod hostile;
mod name;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;

pub use error::OpenError;
pub use header::Header;
pub use name::{canonical, segment_id};

use header::{PAGE, Unsound};

/// How long we wait for others to finish with opening or leaving.
const OPEN_LIMIT: Duration = Duration::from_secs(10);
/// Longer than any segment: the longest ring has 512 MiB.
const LARGEST: u64 = 1 << 30;
/// How often [`Segment::enter`] opens a lock file that was removed meanwhile.
const ENTRIES: usize = 1000;
/// How long [`Segment::enter`] waits for a segment and a lock file that go together, and how often it looks.
const PASSING: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(5);

/// Which segment is wanted.
#[derive(Clone, Debug)]
pub struct SegmentSpec {
    /// The canonical path of the log ([`canonical`]).
    pub log_path: PathBuf,
    /// The segment's name ([`segment_id`]).
    pub id: String,
    /// Where it lives.
    pub kind: SegmentKind,
    /// Its sizes, if it has to be made.
    pub geometry: Geometry,
    /// Where the lock file is; `None` = beside the segment.
    pub lock_dir: Option<PathBuf>,
    /// Rights of segment and lock file. If others may write, they may also own.
    pub mode: u32,
    /// Its configuration, if it has to be made.
    pub config: [u8; at::CONFIG_BYTES],
    /// Which successor of the first segment it is, if it has to be made; from 1.
    pub generation: u64,
}

/// What [`Segment::attach`] found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// We made it.
    pub created: bool,
    /// We made it in place of a leftover whose maker had died.
    pub replaced: bool,
    /// Its lock file had been lost; the kernel proved that nobody used it.
    pub adopted: bool,
    /// It was made before the machine's last start.
    pub other_boot: bool,
    /// Its sizes are not those asked for.
    pub geometry_differs: bool,
    /// Its configuration is not the one asked for.
    pub config_differs: bool,
}

/// How [`Segment::release`] left the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// Others are attached.
    OthersRemain,
    /// We were the last, but records are left: it stays for the next start.
    RecordsRemain,
    /// We were the last: segment and lock file are gone.
    Removed,
}

/// A segment we are attached to. Ends with [`Segment::release`]; if it is dropped instead, the lock
/// file keeps us attached until it is dropped too.
#[derive(Debug)]
pub struct Segment {
    mapping: Mapping,
    header: Header,
}

impl Segment {
    /// Opens the lock file and attaches, again if the lock file was removed meanwhile.
    pub fn enter(spec: &SegmentSpec) -> Result<(Segment, LockFile, Report), OpenError> {
        Segment::enter_as(spec, Segment::attach)
    }

    /// The same for who only looks, or recovers: makes no segment, but says [`OpenError::Absent`].
    pub fn enter_existing(spec: &SegmentSpec) -> Result<(Segment, LockFile, Report), OpenError> {
        if SegmentObject::find(&spec.kind, &spec.id, spec.mode)?.is_none() {
            return Err(OpenError::Absent { path: (&spec.object_path()).into() });
        }
        Segment::enter_as(spec, |spec, lock| Segment::attach_as(spec, lock, false))
    }

    fn enter_as(
        spec: &SegmentSpec,
        attach: impl Fn(&SegmentSpec, &LockFile) -> Result<(Segment, Report), OpenError>,
    ) -> Result<(Segment, LockFile, Report), OpenError> {
        let path = spec.lock_path();
        match &spec.lock_dir {
            Some(dir) => sys::make_private_dir(dir, spec.mode)
                .map_err(|e| FileError::io("create the lock directory", dir, e))?,
            None if spec.kind == SegmentKind::Shm && !sys::segment_dir().is_dir() => {
                return Err(MapError::NoSharedMemory { dir: Shown(sys::segment_dir()) }.into());
            }
            None => {}
        }
        let started = Instant::now();
        for _ in 0..ENTRIES {
            let lock = LockFile::open(&path, spec.mode).map_err(|e| OpenError::from(e).placed())?;
            match attach(spec, &lock) {
                Err(OpenError::LockGone { .. }) => {}
                // Somebody removes one file or the other at this moment: those who use the segment hear of it,
                // and make room for a new one.
                Err(e) if e.may_pass() && started.elapsed() < PASSING => std::thread::sleep(PAUSE),
                Err(e) => return Err(e.placed()),
                Ok((segment, report)) => return Ok((segment, lock, report)),
            }
        }
        Err(FileError::Unstable { path: Shown(path) }.into())
    }

    /// Finds or makes the segment and takes [`ATTACH`](byte::ATTACH) for as long as `lock` lives.
    pub fn attach(spec: &SegmentSpec, lock: &LockFile) -> Result<(Segment, Report), OpenError> {
        Segment::attach_as(spec, lock, true)
    }

    fn attach_as(
        spec: &SegmentSpec,
        lock: &LockFile,
        may_make: bool,
    ) -> Result<(Segment, Report), OpenError> {
        let path = spec.log_path.as_os_str().as_encoded_bytes();
        if path.len() > at::PATH_MAX {
            return Err(OpenError::PathTooLong { len: path.len(), max: at::PATH_MAX });
        }
        let _open = Opening::begin(lock, "opening")?;
        let found = find(spec, lock)?;
        let (segment, report) = match found {
            Found::Sound(object, header) => join(spec, lock, object, *header)?,
            Found::Nothing | Found::HalfMade(_) if !may_make => {
                discard(lock);
                return Err(OpenError::Absent { path: (&spec.object_path()).into() });
            }
            Found::Nothing | Found::HalfMade(_) if is_orphan(lock)? => {
                // Somebody removed the segment under those who use it. They go on with this lock file, and
                // the new segment gets a new one.
                lock.unlink().map_err(|e| FileError::io("remove", lock.path(), e))?;
                return Err(OpenError::LockGone { path: lock.path().into() });
            }
            Found::Nothing => (
                make(spec, lock).inspect_err(|_| discard(lock))?,
                Report { created: true, ..Report::default() },
            ),
            Found::HalfMade(object) => {
                object.remove().map_err(|e| FileError::io("remove", object.path(), e))?;
                let report = Report { created: true, replaced: true, ..Report::default() };
                (make(spec, lock).inspect_err(|_| discard(lock))?, report)
            }
        };
        match lock.try_lock_shared(byte::ATTACH) {
            Ok(true) => Ok((segment, report)),
            Ok(false) => Err(OpenError::held(lock)),
            Err(e) => Err(FileError::io("lock", lock.path(), e).into()),
        }
    }

    /// Leaves. The last one out removes segment and lock file, if `is_empty` says that nothing is
    /// left in it. Whatever happens, we are no longer attached afterwards.
    pub fn release(
        &self,
        lock: &LockFile,
        is_empty: impl FnOnce(&Segment) -> bool,
    ) -> Result<Departure, OpenError> {
        let left = Opening::begin(lock, "leaving").and_then(|open| {
            let done = self.leave(lock, is_empty);
            // Before OPEN, or the next one in would find ATTACH taken.
            let unlocked = lock.unlock(byte::ATTACH);
            drop(open);
            let done = done.and_then(|departure| unlocked.map(|()| departure));
            done.map_err(|e| FileError::io("remove", self.mapping.path(), e).into())
        });
        if left.is_err() {
            // The first error is the one to tell; this one only fails for a stale handle.
            let _ = lock.unlock(byte::ATTACH);
        }
        left
    }

    fn leave(&self, lock: &LockFile, is_empty: impl FnOnce(&Segment) -> bool) -> io::Result<Departure> {
        if !lock.try_lock(byte::ATTACH)? {
            return Ok(Departure::OthersRemain);
        }
        if !is_empty(self) {
            return Ok(Departure::RecordsRemain);
        }
        self.mapping.unlink()?;
        lock.unlink()?;
        Ok(Departure::Removed)
    }

    /// Whether nobody else is attached at this moment.
    pub fn is_alone(&self, lock: &LockFile) -> Result<bool, OpenError> {
        let io = |e| OpenError::from(FileError::io("lock", lock.path(), e));
        // Under OPEN, so that nobody who comes now finds ATTACH taken.
        let _open = Opening::begin(lock, "looking who is there")?;
        let alone = lock.try_lock(byte::ATTACH).map_err(io)?;
        if alone {
            lock.try_lock_shared(byte::ATTACH).map_err(io)?;
        }
        Ok(alone)
    }

    /// Does it while nobody opens or leaves, and nobody else does such a thing.
    pub fn alone<T>(&self, lock: &LockFile, what: &str, doing: impl FnOnce() -> T) -> Result<T, OpenError> {
        let _open = Opening::begin(lock, what)?;
        Ok(doing())
    }

    /// The memory.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// The sizes, checked against the mapping.
    pub fn geometry(&self) -> &Geometry {
        &self.header.geometry
    }

    /// What the header said when we attached.
    pub fn header(&self) -> &Header {
        &self.header
    }
}

/// Byte [`OPEN`](byte::OPEN) of a lock file that still bears its name; given back when dropped.
struct Opening<'a>(&'a LockFile);

impl<'a> Opening<'a> {
    fn begin(lock: &'a LockFile, what: &str) -> Result<Opening<'a>, OpenError> {
        let io = |e| OpenError::from(FileError::io("lock", lock.path(), e));
        if !lock.lock_within(byte::OPEN, OPEN_LIMIT).map_err(io)? {
            return Err(OpenError::held(lock));
        }
        let opening = Opening(lock);
        if !lock.is_current().map_err(io)? {
            return Err(OpenError::LockGone { path: lock.path().into() });
        }
        // For people only: a full disk must not keep anybody from opening.
        let _ = lock.note(&format!("{} ({}), {what}", sys::pid(), sys::program_name()));
        Ok(opening)
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        // It can only fail for a stale handle, which holds no lock.
        let _ = self.0.unlock(byte::OPEN);
    }
}

enum Found {
    Nothing,
    HalfMade(SegmentObject),
    Sound(SegmentObject, Box<Header>),
}

fn find(spec: &SegmentSpec, lock: &LockFile) -> Result<Found, OpenError> {
    let Some(object) = SegmentObject::find(&spec.kind, &spec.id, spec.mode)? else {
        return Ok(Found::Nothing);
    };
    let path = object.path();
    let io = |e| FileError::io("read", path, e);
    let mut page = [0; PAGE];
    let have = object.read(&mut page).map_err(io)?;
    let header = match header::parse(&page[..have]) {
        Ok(header) => header,
        Err(Unsound::HalfMade) if is_blank(&object).map_err(io)? => return Ok(Found::HalfMade(object)),
        Err(unsound) => return Err(OpenError::unsound(unsound, path, lock.path(), have)),
    };
    let (found, needed) = (object.bytes().map_err(io)?, header.geometry.segment_bytes() as u64);
    if found < needed {
        return Err(MapError::Short { path: path.into(), found, needed }.into());
    }
    if header.path != spec.log_path.as_os_str().as_encoded_bytes() {
        return Err(OpenError::collision(path, &spec.log_path, &header.path));
    }
    Ok(Found::Sound(object, Box::new(header)))
}

fn join(
    spec: &SegmentSpec,
    lock: &LockFile,
    object: SegmentObject,
    mut header: Header,
) -> Result<(Segment, Report), OpenError> {
    let adopted = header.lock != lock.identity();
    if adopted {
        adopt(&object, &mut header, lock)?;
    }
    let boot = sys::boot_id();
    let report = Report {
        adopted,
        other_boot: header.boot_id != boot && boot != [0; 16] && header.boot_id != [0; 16],
        geometry_differs: header.geometry != spec.geometry,
        config_differs: header.config != spec.config,
        ..Report::default()
    };
    if report.other_boot {
        header.boot_id = boot;
        patch(&object, &header, at::BOOT_ID)?;
    }
    let mapping = object.map(header.geometry.segment_bytes())?;
    if report.other_boot {
        reclaim::after_a_crash(&mapping, header.geometry);
    }
    Ok((Segment { mapping, header }, report))
}

/// Whether anybody is attached through this lock file.
fn is_orphan(lock: &LockFile) -> Result<bool, OpenError> {
    let held = lock.held_by_other(byte::ATTACH);
    held.map_err(|e| FileError::io("lock", lock.path(), e).into())
}

/// Gives a segment that lost its lock file a new one, if nobody can be using it.
fn adopt(object: &SegmentObject, header: &mut Header, lock: &LockFile) -> Result<(), OpenError> {
    if !object.is_ours_alone() {
        discard(lock);
        let (path, lock) = (object.path().into(), lock.path().into());
        return Err(OpenError::LockReplaced { path, lock });
    }
    header.lock = lock.identity();
    patch(object, header, at::LOCK_DEV)
}

/// Writes a changed header from offset `from` to the checksum at its end, in one step.
fn patch(object: &SegmentObject, header: &Header, from: usize) -> Result<(), OpenError> {
    let page = header.encode();
    let done = object.write(from as u64, &page[from..at::CRC + 8]);
    done.map_err(|e| FileError::io("write", object.path(), e).into())
}

/// Whether nothing stands behind the header but the shared words of the second page, which the maker stores
/// before it. Many files begin with a page of zeros, and are not ours to remove.
fn is_blank(object: &SegmentObject) -> io::Result<bool> {
    let bytes = object.bytes()?;
    if bytes > LARGEST {
        return Ok(false);
    }
    let mut block = [0; 64 * 1024];
    // A maker stores nothing before the whole length is there.
    let mut at = if bytes > 2 * PAGE as u64 { 2 * PAGE } else { PAGE };
    loop {
        let have = object.read_at(&mut block, at as u64)?;
        if block[..have].iter().any(|&b| b != 0) {
            return Ok(false);
        }
        if have < block.len() {
            return Ok(true);
        }
        at += have;
    }
}

/// Removes a lock file that locks nothing: there is no segment, and nobody is attached to a nameless one.
fn discard(lock: &LockFile) {
    if lock.try_lock(byte::ATTACH).unwrap_or(false) {
        // If it fails, an empty file stays behind, and the reason for our failing matters more.
        let _ = lock.unlink();
        let _ = lock.unlock(byte::ATTACH);
    }
}

fn make(spec: &SegmentSpec, lock: &LockFile) -> Result<Segment, OpenError> {
    let path = spec.object_path();
    let header = Header {
        geometry: spec.geometry,
        generation: spec.generation,
        uuid: sys::uuid().map_err(|e| FileError::io("get random bytes for", &path, e))?,
        boot_id: sys::boot_id(),
        created_ns: sys::unix_ns(),
        creator_pid: sys::pid(),
        creator_uid: sys::user(),
        lock: lock.identity(),
        config: spec.config,
        path: spec.log_path.as_os_str().as_encoded_bytes().to_vec(),
    };
    let bytes = spec.geometry.segment_bytes();
    let mapping = SegmentObject::create(&spec.kind, &spec.id, bytes, spec.mode)?;
    mapping.store(word::POOL, u64::from(spec.geometry.chunks()), Ordering::Relaxed);
    if let Some(config) = crate::options::Config::decode(&spec.config) {
        config.publish(&mapping);
    }
    publish(&mapping, &header.encode());
    Ok(Segment { mapping, header })
}

/// Version first, so that a leftover is known for ours; magic last, so that it is known for one.
fn publish(mapping: &impl Mem, page: &[u8; PAGE]) {
    let mut version = [0; 8];
    version.copy_from_slice(&page[at::VERSION..at::VERSION + 8]);
    mapping.store(at::VERSION, u64::from_le_bytes(version), Ordering::Relaxed);
    // ORDER made/release, in two steps: whoever is killed in between leaves a version and no magic.
    mapping.fence(Ordering::SeqCst);
    mapping.put(at::SEGMENT_BYTES, &page[at::SEGMENT_BYTES..]);
    mapping.store(at::MAGIC, MAGIC, Ordering::Release);
}
