//! Noticing that this process is a copy of another one.
//!
//! Constraints: the check runs once a record, so it is one plain load and a compare; it must not need
//! the child's help; and what a fork handler does must be async-signal-safe.
//!
//! A private page holds the process's *epoch*. The kernel wipes it in a child (`MADV_WIPEONFORK`,
//! also after a raw `clone`), and a `pthread_atfork` handler gives the child a new epoch before it
//! runs anything else. Whoever remembered the old one sees the difference. A zero that is found later
//! means a raw `clone`: the first to look does what the handler would have done.
//!
//! Forks are also counted before and after, so that [`super::descriptor`] can tell whether one ran
//! beside the opening of a file.
//!
//! | found | done |
//! |---|---|
//! | no `MADV_WIPEONFORK` (old kernel) | the handler alone tells; a raw `clone` is then not noticed |
//! | no page to be had | a static word takes its place, as above |

use std::ptr::{null, null_mut};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicPtr, AtomicU64};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use super::descriptor;

const PAGE: usize = 4096;
/// The kernel wiped the page and nobody has looked yet.
const WIPED: u64 = 0;
/// Somebody is closing what a raw clone inherited.
const AT_WORK: u64 = u64::MAX;

/// The word that holds the epoch; null until the first use.
static CELL: AtomicPtr<AtomicU64> = AtomicPtr::new(null_mut());
static FALLBACK: AtomicU64 = AtomicU64::new(1);
/// The last epoch given in this process.
static LAST: AtomicU64 = AtomicU64::new(1);
static STARTED: AtomicU64 = AtomicU64::new(0);
static FINISHED: AtomicU64 = AtomicU64::new(0);

/// The process in which something was made: remembered by a handle, asked before each use.
#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    cell: &'static AtomicU64,
    seen: u64,
}

impl Epoch {
    /// This process.
    pub fn now() -> Epoch {
        Epoch { seen: fork_epoch(), cell: cell() }
    }

    /// Whether we are still the process that called [`Epoch::now`]: one plain load and a compare.
    #[inline]
    pub fn is_current(&self) -> bool {
        self.cell.load(Relaxed) == self.seen
    }
}

/// A number that differs from the one our parent process got.
#[inline]
pub fn fork_epoch() -> u64 {
    let cell = cell();
    // ORDER epoch/acquire: what was inherited is given up before the new epoch is believed.
    match cell.load(Acquire) {
        WIPED | AT_WORK => notice(cell),
        epoch => epoch,
    }
}

/// Proof that no fork ran since [`Quiet::now`].
pub(super) struct Quiet(u64);

impl Quiet {
    /// `None` while a fork is under way.
    pub(super) fn now() -> Option<Quiet> {
        // ORDER fork/seqcst: finished first, so that a fork in between shows.
        let finished = FINISHED.load(SeqCst);
        let started = STARTED.load(SeqCst);
        (finished >= started).then_some(Quiet(started))
    }

    pub(super) fn lasted(&self) -> bool {
        STARTED.load(SeqCst) == self.0
    }
}

#[inline]
fn cell() -> &'static AtomicU64 {
    published().unwrap_or_else(install)
}

#[inline]
fn published() -> Option<&'static AtomicU64> {
    // SAFETY: non-null values are published by `install` only, and point to a word that is never
    // unmapped; fork copies the address space, so the address holds in every descendant.
    // ORDER page/acquire.
    unsafe { CELL.load(Acquire).as_ref() }
}

/// Registers the handlers and publishes the page. Two threads may both come here: then the handlers
/// run twice, which only skips an epoch, and the loser's page goes away.
#[cold]
fn install() -> &'static AtomicU64 {
    // SAFETY: the handlers call nothing but atomics and close(2); they live as long as the program.
    unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    let page = wiped_page();
    let word: *mut AtomicU64 = page.unwrap_or((&raw const FALLBACK).cast_mut());
    // SAFETY: `word` is either our own fresh page, aligned and zeroed, or a static.
    unsafe { &*word }.store(LAST.load(SeqCst), SeqCst);
    // ORDER page/release: the word holds its epoch before it is published.
    match CELL.compare_exchange(null_mut(), word, SeqCst, SeqCst) {
        // SAFETY: as above; it is published now and never unmapped.
        Ok(_) => unsafe { &*word },
        Err(first) => {
            if let Some(own) = page {
                // SAFETY: our own page, never published.
                let _ = unsafe { munmap(own.cast(), PAGE) };
            }
            // SAFETY: published by the winner, never unmapped.
            unsafe { &*first }
        }
    }
}

fn wiped_page() -> Option<*mut AtomicU64> {
    let rights = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches nothing of ours.
    let page = unsafe { mmap_anonymous(null_mut(), PAGE, rights, MapFlags::PRIVATE) }.ok()?;
    debug_assert!(!std::ptr::eq(page.cast_const(), null()));
    // SAFETY: the page is ours alone.
    let wiping = unsafe { madvise(page, PAGE, Advice::LinuxWipeOnFork) };
    if wiping.is_err() {
        // SAFETY: the page is ours alone and not published.
        let _ = unsafe { munmap(page, PAGE) };
        return None;
    }
    Some(page.cast())
}

#[cold]
fn notice(cell: &AtomicU64) -> u64 {
    loop {
        match cell.compare_exchange(WIPED, AT_WORK, SeqCst, SeqCst) {
            Ok(_) => return become_child(cell),
            Err(AT_WORK) => std::thread::yield_now(),
            Err(epoch) => return epoch,
        }
    }
}

/// Gives up what was inherited, then takes a new epoch. Async-signal-safe.
fn become_child(cell: &AtomicU64) -> u64 {
    FINISHED.store(STARTED.load(SeqCst), SeqCst);
    descriptor::close_inherited();
    let epoch = LAST.fetch_add(1, SeqCst) + 1;
    // ORDER epoch/release.
    cell.store(epoch, Release);
    epoch
}

extern "C" fn before() {
    STARTED.fetch_add(1, SeqCst);
}

extern "C" fn in_parent() {
    FINISHED.fetch_add(1, SeqCst);
}

extern "C" fn in_child() {
    become_child(published().unwrap_or(&FALLBACK));
}
