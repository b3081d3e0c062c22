//! A log as a Python object.

use crate::{errors, options};
use crlog::{AppendError, FlushError, Interrupt, OpenError, Options, Severity, Writer};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// More writers than this at one time are made for one record each.
const WRITERS_MAX: usize = 64;
/// How long handlers of signals wait while a call waits.
const PIECE: Duration = Duration::from_millis(200);
/// No wait is longer; a year, so that the arithmetic of clocks holds.
const SECONDS_MAX: f64 = 365.0 * 86400.0;

/// A log that this process writes to.
#[pyclass(frozen, module = "crlog._crlog")]
pub struct Log {
    /// There until this is dropped.
    log: Option<crlog::Log>,
    /// Writers that nobody uses at this moment. Locked for some nanoseconds, never while anything waits, and nobody waits
    /// for it: who does not get it makes a writer for one record. With the interpreter's lock held that does not happen.
    writers: Mutex<Vec<Writer>>,
    /// What a handler of a signal raised while a call waited.
    raised: Arc<Mutex<Option<PyErr>>>,
    interrupt: Interrupt,
}

#[pymethods]
impl Log {
    /// Opens the log at `path`; `options` as in a configuration file.
    #[new]
    fn new(py: Python<'_>, path: PathBuf, options: &Bound<'_, PyDict>) -> PyResult<Log> {
        let argv = py.import("sys").and_then(|sys| sys.getattr("argv"));
        let name: Option<String> =
            argv.and_then(|argv| argv.get_item(0)).and_then(|first| first.extract()).ok();
        let mut options = options::read(path, options)?;
        if let Some(name) = name.as_deref().map(short).filter(|name| !name.is_empty()) {
            options = options.name(name);
        }
        let log = py.detach(|| options.open()).map_err(|e| errors::open(&e))?;
        let raised = Arc::new(Mutex::new(None));
        let interrupt = interrupt(&raised);
        Ok(Log { log: Some(log), writers: Mutex::new(Vec::new()), raised, interrupt })
    }

    /// Writes one record of a level of `logging`: text as UTF-8, or bytes, and the terminator. A record that the log's policy
    /// drops because the ring is full is counted, and no error.
    fn write(&self, py: Python<'_>, level: &Bound<'_, PyAny>, record: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes = match record.cast::<PyString>() {
            Ok(text) => text.to_str()?.as_bytes(), // no copy; UnicodeEncodeError for lone surrogates
            Err(_) => record.cast::<PyBytes>()?.as_bytes(),
        };
        // A record that somebody made by hand may have no level.
        let severity = level.extract().map_or(Severity::Info, severity);
        let mut writer = match self.take() {
            Some(writer) => writer,
            None => {
                let log = self.log()?;
                let mut writer = py.detach(|| log.writer()).map_err(|e| errors::open(&e))?;
                writer.set_interrupt(Some(Arc::clone(&self.interrupt)));
                writer
            }
        };
        let done = if writer.log_at_once(severity, bytes) {
            Ok(())
        } else {
            // The object is ours as long as the call lasts, and strings and bytes do not change.
            py.detach(|| writer.log(severity, bytes))
        };
        self.give_back(writer);
        match done {
            Ok(()) | Err(AppendError::Full) => Ok(()),
            Err(AppendError::Interrupted) => Err(self.raised()),
            Err(e) => Err(errors::append(e)),
        }
    }

    /// Waits, `seconds` at most, until all that any process wrote before this call is in the file.
    fn flush(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        self.patiently(py, seconds, crlog::Log::flush)
    }

    /// Waits, `seconds` at most, until all that any process wrote before this call is on the disk.
    fn sync(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        self.patiently(py, seconds, crlog::Log::sync)
    }

    /// Rotates now, and waits `seconds` at most until it is done.
    fn rotate(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        let log = self.log()?;
        py.detach(|| log.rotate(limit(seconds))).map_err(|e| errors::flush(&e))
    }

    /// Asks the flusher to look whether the file was moved.
    fn reopen(&self) -> PyResult<()> {
        self.log()?.request_reopen();
        Ok(())
    }

    /// Counters and all that can be seen of the log, as JSON.
    fn stat_json(&self, py: Python<'_>) -> PyResult<String> {
        let log = self.log()?;
        Ok(py.detach(|| crlog_flusher::stat::to_json(&log.stats()).to_string()))
    }

    /// Rotations since the segment was made.
    fn rotations(&self) -> PyResult<u64> {
        Ok(self.log()?.stats().counters.rotations)
    }

    /// Which options are not in force because the log was open already.
    fn differences(&self) -> PyResult<Vec<String>> {
        Ok(self.log()?.differences().iter().map(ToString::to_string).collect())
    }

    /// Longest record in bytes, terminator included.
    fn record_bytes_max(&self) -> PyResult<usize> {
        Ok(self.log()?.record_bytes_max())
    }
}

impl Log {
    fn log(&self) -> PyResult<&crlog::Log> {
        self.log.as_ref().ok_or_else(|| errors::CrlogError::new_err("the log is closed"))
    }

    /// Waits in pieces, so that handlers of signals run meanwhile.
    fn patiently(
        &self,
        py: Python<'_>,
        seconds: f64,
        wait: impl Fn(&crlog::Log, Duration) -> Result<(), FlushError> + Sync,
    ) -> PyResult<()> {
        let (log, end) = (self.log()?, Instant::now() + limit(seconds));
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match py.detach(|| wait(log, left.min(PIECE))) {
                Ok(()) => return Ok(()),
                Err(FlushError::Timeout { .. }) if left > PIECE => py.check_signals()?,
                Err(FlushError::Timeout { reason, .. }) => {
                    return Err(errors::flush(&FlushError::Timeout { waited: limit(seconds), reason }));
                }
                Err(e) => return Err(errors::flush(&e)),
            }
        }
    }

    fn raised(&self) -> PyErr {
        let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner).take();
        raised.unwrap_or_else(|| errors::append(AppendError::Interrupted))
    }

    fn take(&self) -> Option<Writer> {
        match self.writers.try_lock() {
            Ok(mut writers) => writers.pop(),
            Err(TryLockError::Poisoned(p)) => p.into_inner().pop(),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn give_back(&self, writer: Writer) {
        if let Ok(mut writers) = self.writers.try_lock()
            && writers.len() < WRITERS_MAX
        {
            writers.push(writer);
        }
    }
}

impl Drop for Log {
    /// Leaving may wait for the flusher, and other threads go on meanwhile. If there is no interpreter any more, nobody needs to.
    fn drop(&mut self) {
        let writers = std::mem::take(self.writers.get_mut().unwrap_or_else(PoisonError::into_inner));
        let mut all = Some((writers, self.log.take()));
        let _ = Python::try_attach(|py| {
            let all = all.take();
            py.detach(|| drop(all));
        });
        drop(all);
    }
}

/// Runs Python's handlers of signals that have come, in the main thread; true if one raised something, such as
/// `KeyboardInterrupt`.
fn interrupt(raised: &Arc<Mutex<Option<PyErr>>>) -> Interrupt {
    let raised = Arc::clone(raised);
    Arc::new(move || {
        let error = Python::try_attach(|py| py.check_signals().err()).flatten();
        let Some(error) = error else { return false };
        *raised.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        true
    })
}

fn severity(level: i64) -> Severity {
    match level {
        i64::MIN..10 => Severity::Trace,
        10..20 => Severity::Debug,
        20..30 => Severity::Info,
        30..40 => Severity::Warn,
        40..50 => Severity::Error,
        50.. => Severity::Critical,
    }
}

fn limit(seconds: f64) -> Duration {
    Duration::from_secs_f64(if seconds.is_nan() { 0.0 } else { seconds.clamp(0.0, SECONDS_MAX) })
}

/// The last part of a program's path.
fn short(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn attach(path: PathBuf, given: &Bound<'_, PyDict>) -> PyResult<Option<crlog::Log>> {
    let options: Options = options::read(path, given)?;
    match given.py().detach(|| options.attach()) {
        Ok(log) => Ok(Some(log)),
        Err(OpenError::NotOpen { .. }) => Ok(None),
        Err(e) => Err(errors::open(&e)),
    }
}

/// What can be seen of the log at `path` from outside, as JSON; `None` if no process has it open.
#[pyfunction]
pub fn stat(path: PathBuf, options: &Bound<'_, PyDict>) -> PyResult<Option<String>> {
    Ok(attach(path, options)?.map(|log| crlog_flusher::stat::to_json(&log.stats()).to_string()))
}

/// Whether some process has the log at `path` open, or left records of it in memory.
#[pyfunction]
pub fn is_open(path: PathBuf, options: &Bound<'_, PyDict>) -> PyResult<bool> {
    Ok(attach(path, options)?.is_some())
}
