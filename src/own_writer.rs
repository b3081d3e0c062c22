//! A writer of each thread's own, for who has nowhere to keep one: [`Log::append`] and [`Log::log`].
//!
//! The writer belongs to the log: a thread's storage only knows where it is, so a thread that lives on, or whose storage is
//! never dropped (the main thread's), does not keep the log open. It is let go when the thread ends or with the log's last
//! handle, whichever comes first. A forked child goes on with the forking thread's, as with any writer.
//!
//! | found | done |
//! |---|---|
//! | a call from within a call of this thread (its interrupt function logs) | a writer for this record alone |
//! | the list of writers held by a thread that a forked child does not have | likewise |
//! | a thread that ends while its storage is being dropped | likewise |

use crate::error::AppendError;
use crate::log::Log;
use crate::writer::{Severity, Writer};
use std::cell::RefCell;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A thread's writer, until the log takes it back.
type Place = Mutex<Option<Writer>>;

/// Numbers of logs, so that one made where another was is not taken for it.
static NEXT: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// This thread's writers, by the number of their log.
    static MINE: RefCell<Vec<(u64, Arc<Place>)>> = const { RefCell::new(Vec::new()) };
}

/// The writers of all threads that called a log directly.
#[derive(Debug)]
pub(crate) struct OwnWriters {
    number: u64,
    all: Mutex<Vec<Weak<Place>>>,
}

impl OwnWriters {
    pub(crate) fn new() -> Arc<OwnWriters> {
        Arc::new(OwnWriters { number: NEXT.fetch_add(1, Relaxed), all: Mutex::default() })
    }

    /// A place for this thread; `None` if the list cannot be had.
    fn add(&self) -> Option<Arc<Place>> {
        let mut all = self.all.try_lock().ok()?;
        all.retain(|place| place.strong_count() > 0);
        let place = Arc::new(Place::default());
        all.push(Arc::downgrade(&place));
        Some(place)
    }
}

impl Drop for OwnWriters {
    fn drop(&mut self) {
        let all = std::mem::take(self.all.get_mut().unwrap_or_else(PoisonError::into_inner));
        for place in all.iter().filter_map(Weak::upgrade) {
            // Nobody is in a call: that would have a handle of the log.
            drop(place.try_lock().ok().and_then(|mut writer| writer.take()));
        }
    }
}

impl Log {
    /// Writes one record of severity Info through a writer of this thread's own. See [`Log::log`].
    #[inline]
    pub fn append(&self, bytes: &[u8]) -> Result<(), AppendError> {
        self.log(Severity::Info, bytes)
    }

    /// Writes one record, `bytes` and the terminator, through a writer of this thread's own, which is made at its first
    /// record. Some nanoseconds slower than [`Writer::log`], and the same otherwise.
    ///
    /// # Errors
    /// As [`Writer::log`]; [`AppendError::ReadOnly`] for a handle of [`Options::attach`](crate::Options::attach).
    pub fn log(&self, severity: Severity, bytes: &[u8]) -> Result<(), AppendError> {
        let number = self.own_writers().number;
        let known = MINE.try_with(|mine| {
            let mine = mine.try_borrow().ok()?;
            mine.iter().find(|(log, _)| *log == number).map(|(_, place)| Arc::clone(place))
        });
        let place = match known {
            Ok(Some(place)) => Some(place),
            Ok(None) => self.new_place(),
            Err(_) => None, // the thread ends
        };
        let Some(mut held) = place.as_ref().and_then(|place| place.try_lock().ok()) else {
            return self.made(severity)?.log(severity, bytes);
        };
        match held.as_mut() {
            Some(writer) => writer.log(severity, bytes),
            None => held.insert(self.made(severity)?).log(severity, bytes),
        }
    }

    #[cold]
    fn new_place(&self) -> Option<Arc<Place>> {
        let place = self.own_writers().add()?;
        let kept = MINE.try_with(|mine| {
            let mut mine = mine.try_borrow_mut().ok()?;
            // Those of logs that are closed are of no use.
            mine.retain(|(_, place)| place.try_lock().map_or(true, |writer| writer.is_some()));
            mine.push((self.own_writers().number, Arc::clone(&place)));
            Some(())
        });
        matches!(kept, Ok(Some(()))).then_some(place)
    }

    #[cold]
    fn made(&self, severity: Severity) -> Result<Writer, AppendError> {
        self.writer().map_err(|e| self.no_writer(severity, &e))
    }
}
