//! A function of the host that puts the full file away.

use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

/// Puts the full log file (the first path) away under the name of its archive (the second): moves it, packs it, or takes it elsewhere.
/// When it returns `Ok`, the first path must be free. It is called by the thread that flushes, so nothing is
/// written meanwhile; it must not wait for the log. If its process is killed in it, the next flusher goes on as with a file that somebody else
/// moved: what the function left half-made stays.
///
/// If it returns an error or panics, the log goes on in the old file, and the rotation is tried again after 100 ms to 30 s; the
/// error's text, or the panic's, is what [`Stats::error_text`](crate::Stats::error_text) and [`Event::Error`](crate::Event::Error) say.
#[derive(Clone)]
pub struct Rotator(Arc<Rotate>);

type Rotate = dyn Fn(&Path, &Path) -> std::io::Result<()> + Send + Sync;

impl Rotator {
    /// From a function.
    pub fn new(rotate: impl Fn(&Path, &Path) -> std::io::Result<()> + Send + Sync + 'static) -> Rotator {
        Rotator(Arc::new(rotate))
    }

    pub(crate) fn rotate(&self, log: &Path, archive: &Path) -> std::io::Result<()> {
        if std::fs::symlink_metadata(archive).is_ok() {
            return Err(std::io::ErrorKind::AlreadyExists.into());
        }
        // A panic of the host's function is its failure, not the flusher's end.
        let done = catch_unwind(AssertUnwindSafe(|| (self.0)(log, archive)));
        done.unwrap_or_else(|panic| {
            Err(std::io::Error::other(format!("the rotator panicked: {}", panic_text(&*panic))))
        })?;
        match std::fs::symlink_metadata(log) {
            Ok(_) => Err(std::io::Error::other("the rotator has left the file under its name")),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a text")
}

// A panic of it is its failure, and it is called again: it has to bear that.
impl UnwindSafe for Rotator {}
impl RefUnwindSafe for Rotator {}

impl std::fmt::Debug for Rotator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rotator")
    }
}
