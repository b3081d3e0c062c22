//! What the Python package `crlog` is made of on this side: a log as an object, and the two programs.
//!
//! [`Log::write`] is the hot path: it keeps the interpreter's lock, makes no copy of the text but the one into the ring,
//! and takes no lock of its own that anybody could hold. Only a call that must wait (the ring is full, the log is durable,
//! a forked child's first record) lets go of the interpreter meanwhile.

mod errors;
mod log;
mod options;
mod shared;
mod signals;

use pyo3::prelude::*;
use std::ffi::OsString;

/// Runs the program `crlog` or `crlog-flusher` in this process; returns its exit status.
#[pyfunction]
#[allow(clippy::needless_pass_by_value)] // what Python's objects become belongs to the call
fn run_tool(py: Python<'_>, flusher: bool, arguments: Vec<OsString>, again: Vec<OsString>) -> u8 {
    crlog_flusher::tool::hosted_by(again);
    py.detach(|| {
        let main = if flusher { crlog_flusher::tool::flusher } else { crlog_flusher::tool::main };
        main(&arguments)
    })
}

#[pymodule]
fn _crlog(m: &Bound<'_, PyModule>) -> PyResult<()> {
    signals::watch_forks();
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    m.add("CrlogError", m.py().get_type::<errors::CrlogError>())?;
    m.add("RecordTooLong", m.py().get_type::<errors::RecordTooLong>())?;
    m.add("NotFlushed", m.py().get_type::<errors::NotFlushed>())?;
    m.add_class::<log::Log>()?;
    m.add_function(wrap_pyfunction!(options::check, m)?)?;
    m.add_function(wrap_pyfunction!(options::option_names, m)?)?;
    m.add_function(wrap_pyfunction!(log::stat, m)?)?;
    m.add_function(wrap_pyfunction!(log::is_open, m)?)?;
    m.add_function(wrap_pyfunction!(log::recover, m)?)?;
    m.add_function(wrap_pyfunction!(run_tool, m)?)
}
