//! crlog's own worker.

use std::time::Duration;

use super::{BACKUPS, Job, MAX_BYTES, drive};

/// Whether crlog takes part.
pub(crate) const READY: bool = true;

pub(crate) fn work(job: &Job) {
    let log =
        crlog::Options::new(&job.path).max_bytes(MAX_BYTES).backups(BACKUPS).open().expect("open the log");
    let mut writer = log.writer().expect("a writer");
    drive(
        job,
        |record| writer.append(record).expect("append"),
        || log.flush(Duration::from_secs(60)).expect("flush"),
    );
}
