//! crlog's own worker.
//!
//! PLUG: the body waits for the library's front door. To enable it, set `READY` to true and delete the
//! `cfg` line and the stand-in.

use super::Job;

/// Whether crlog takes part.
pub(crate) const READY: bool = false;

#[cfg(any())] // PLUG: delete
pub(crate) fn work(job: &Job) {
    use super::{BACKUPS, MAX_BYTES, drive};
    use std::time::Duration;

    let log =
        crlog::Options::new(&job.path).max_bytes(MAX_BYTES).backups(BACKUPS).open().expect("open the log");
    let mut writer = log.writer().expect("a writer");
    drive(
        job,
        |record| writer.append(record).expect("append"),
        || log.flush(Duration::from_secs(60)).expect("flush"),
    );
}

// PLUG: delete this function
pub(crate) fn work(job: &Job) {
    unreachable!("{job:?} was offered before the library is there");
}
