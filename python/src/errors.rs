//! Errors of the library as Python's: all are `OSError`s, which `logging.shutdown` takes calmly.

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::{PyErr, create_exception};

create_exception!(crlog, CrlogError, PyOSError, "crlog could not do what was asked for; the text says why.");
create_exception!(
    crlog,
    RecordTooLong,
    CrlogError,
    "A record is longer than the ring can take; nothing of it is written."
);
create_exception!(crlog, NotFlushed, CrlogError, "Not everything reached the file in time. Nothing is lost.");

pub fn open(e: &crlog::OpenError) -> PyErr {
    match e {
        crlog::OpenError::Option(text) => PyValueError::new_err(text.clone()),
        other => CrlogError::new_err(other.to_string()),
    }
}

pub fn append(e: crlog::AppendError) -> PyErr {
    match e {
        crlog::AppendError::TooLong { .. } => RecordTooLong::new_err(e.to_string()),
        other => CrlogError::new_err(other.to_string()),
    }
}

pub fn flush(e: &crlog::FlushError) -> PyErr {
    NotFlushed::new_err(e.to_string())
}
