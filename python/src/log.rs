//! A log as a Python object.

use crate::shared::Shared;
use crate::signals::Outlook;
use crate::{errors, options, signals};
use crlog::{AppendError, FlushError, Interrupt, OpenError, Options, Severity, Writer};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long handlers of signals wait while a call waits.
const PIECE: Duration = Duration::from_millis(200);
/// How long a call waits for the process to end once a signal has closed the log.
const END_SECONDS: Duration = Duration::from_secs(10);
/// How long a record that may be the last of its process is waited for.
const SETTLE: Duration = Duration::from_millis(250);
/// No wait is longer; a year, so that the arithmetic of clocks holds.
const SECONDS_MAX: f64 = 365.0 * 86400.0;

/// A log that this process writes to.
#[pyclass(frozen, module = "crlog._crlog")]
pub struct Log {
    shared: Arc<Shared>,
    /// What a handler of a signal raised while a call waited.
    raised: Arc<Mutex<Option<PyErr>>>,
    interrupt: Interrupt,
    /// Whether threads of ours may be in this process.
    may_thread: bool,
    /// A record that was waited for took too long.
    is_slow: AtomicBool,
}

#[pymethods]
impl Log {
    /// Opens the log at `path`; `options` as in a configuration file. If a signal ends the process, what is in the ring is waited
    /// for at most `close_timeout` seconds (`None`: [`close_timeout`](Self::close_timeout)), and what is left reported.
    #[new]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        options: &Bound<'_, PyDict>,
        close_timeout: Option<f64>,
        report_at_exit: bool,
    ) -> PyResult<Log> {
        let argv = py.import("sys").and_then(|sys| sys.getattr("argv"));
        let name: Option<String> =
            argv.and_then(|argv| argv.get_item(0)).and_then(|first| first.extract()).ok();
        let may_thread = options::may_thread(options)?;
        let mut options = options::read(path, options)?;
        if let Some(name) = name.as_deref().map(short).filter(|name| !name.is_empty()) {
            options = options.name(name);
        }
        options = options.report_at_exit(report_at_exit);
        if let Some(seconds) = close_timeout {
            options = options.close_timeout(limit(seconds));
        }
        let log = py.detach(|| options.open()).map_err(|e| errors::open(&e))?;
        let raised = Arc::new(Mutex::new(None));
        let interrupt = interrupt(&raised);
        let shared = Shared::new(log, report_at_exit);
        signals::arm(may_thread);
        Ok(Log { shared, raised, interrupt, may_thread, is_slow: AtomicBool::new(false) })
    }

    /// Writes one record of a level of `logging`: text as UTF-8, or bytes, and the terminator. A record that the log's policy
    /// drops because the ring is full is counted, and no error. True if the process was asked to end: this record, which may
    /// be its last, is in the file, and the log is to be left.
    fn write(&self, py: Python<'_>, level: &Bound<'_, PyAny>, record: &Bound<'_, PyAny>) -> PyResult<bool> {
        let bytes = match record.cast::<PyString>() {
            Ok(text) => text.to_str()?.as_bytes(), // no copy; UnicodeEncodeError for lone surrogates
            Err(_) => record.cast::<PyBytes>()?.as_bytes(),
        };
        // A record that somebody made by hand may have no level.
        let severity = level.extract().map_or(Severity::Info, severity);
        let mut writer = match self.shared.take() {
            Some(writer) => writer,
            None => self.new_writer(py)?,
        };
        let done = if writer.log_at_once(severity, bytes) {
            Ok(())
        } else {
            // The object is ours as long as the call lasts, and strings and bytes do not change.
            py.detach(|| writer.log(severity, bytes))
        };
        self.shared.give_back(Some(writer));
        signals::look_again(self.may_thread);
        match done {
            Ok(()) | Err(AppendError::Full) => Ok(self.settle(py)),
            Err(AppendError::Interrupted) => Err(self.raised()),
            Err(e) => Err(errors::append(e)),
        }
    }

    /// Waits, `seconds` at most, until all that any process wrote before this call is in the file.
    fn flush(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        self.patiently(py, seconds, crlog::Log::flush)
    }

    /// Waits, `seconds` at most, until all that any process wrote before this call is in the file. If it is not, `NotFlushed`
    /// says what is left where; at the end of the process the log is then not left, since that would wait again.
    fn close(&self, py: Python<'_>, seconds: f64, at_end: bool) -> PyResult<()> {
        if self.wait(py, seconds, crlog::Log::flush)?.is_ok() {
            return Ok(());
        }
        let log = if at_end { self.shared.take_apart().1 } else { self.shared.log() };
        let left = py.detach(|| log.map(|log| log.close_within(Duration::ZERO)));
        match left {
            Some(Err(left)) => Err(errors::NotFlushed::new_err(left.to_string())),
            _ => Ok(()),
        }
    }

    /// How long the end of the process waits at most, in seconds.
    fn close_timeout(&self, py: Python<'_>) -> PyResult<f64> {
        Ok(self.log(py)?.close_timeout().as_secs_f64())
    }

    /// Waits, `seconds` at most, until all that any process wrote before this call is on the disk.
    fn sync(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        self.patiently(py, seconds, crlog::Log::sync)
    }

    /// Rotates now, and waits `seconds` at most until it is done. Without archives the file is emptied, as
    /// Python's handlers do.
    fn rotate(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        let log = self.log(py)?;
        py.detach(|| log.rotate_or_discard(limit(seconds))).map_err(|e| errors::flush(&e))
    }

    /// Asks the flusher to look whether the file was moved.
    fn reopen(&self, py: Python<'_>) -> PyResult<()> {
        self.log(py)?.request_reopen().map_err(|e| errors::open(&e))
    }

    /// Counters and all that can be seen of the log, as JSON.
    fn stat_json(&self, py: Python<'_>) -> PyResult<String> {
        let log = self.log(py)?;
        let stats = py.detach(|| log.stats()).map_err(|e| errors::open(&e))?;
        Ok(crlog_flusher::stat::to_json(&stats).to_string())
    }

    /// Rotations since the segment was made.
    fn rotations(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.log(py)?.stats().map_err(|e| errors::open(&e))?.counters.rotations)
    }

    /// Which options are not in force because the log was open already.
    fn differences(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let differences = self.log(py)?.differences().map_err(|e| errors::open(&e))?;
        Ok(differences.iter().map(ToString::to_string).collect())
    }

    /// Longest record in bytes, terminator included.
    fn record_bytes_max(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.log(py)?.record_bytes_max())
    }
}

impl Log {
    /// The log; if a signal has closed it, the end of the process is waited for.
    fn log(&self, py: Python<'_>) -> PyResult<crlog::Log> {
        self.shared.log().map_or_else(
            || {
                py.detach(|| std::thread::sleep(END_SECONDS));
                Err(errors::CrlogError::new_err(
                    "the log is closed: a signal was to end this process, and did not",
                ))
            },
            Ok,
        )
    }

    /// Waits for the record that was just written to be in the file, if it may be the last of this process. Once that took too
    /// long no record is waited for: what stops the flusher must not stop each call.
    fn settle(&self, py: Python<'_>) -> bool {
        let outlook = signals::outlook();
        if outlook == Outlook::GoesOn || self.is_slow.load(Relaxed) {
            return false;
        }
        let Some(log) = self.shared.log() else { return false };
        let done = py.detach(|| log.flush(SETTLE)).is_ok();
        self.is_slow.store(!done, Relaxed);
        done && outlook == Outlook::Ending
    }

    /// For a call that found none.
    fn new_writer(&self, py: Python<'_>) -> PyResult<Writer> {
        let made = self.log(py).and_then(|log| py.detach(|| log.writer()).map_err(|e| errors::open(&e)));
        match made {
            Ok(mut writer) => {
                writer.set_interrupt(Some(Arc::clone(&self.interrupt)));
                Ok(writer)
            }
            Err(e) => {
                self.shared.give_back(None);
                Err(e)
            }
        }
    }

    fn patiently(
        &self,
        py: Python<'_>,
        seconds: f64,
        wait: impl Fn(&crlog::Log, Duration) -> Result<(), FlushError> + Sync,
    ) -> PyResult<()> {
        self.wait(py, seconds, wait)?.map_err(|e| errors::flush(&e))
    }

    /// Waits in pieces, so that handlers of signals run meanwhile.
    fn wait(
        &self,
        py: Python<'_>,
        seconds: f64,
        wait: impl Fn(&crlog::Log, Duration) -> Result<(), FlushError> + Sync,
    ) -> PyResult<Result<(), FlushError>> {
        let (log, end) = (self.log(py)?, Instant::now() + limit(seconds));
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match py.detach(|| wait(&log, left.min(PIECE))) {
                Err(FlushError::Timeout { .. }) if left > PIECE => py.check_signals()?,
                Err(FlushError::Timeout { reason, .. }) => {
                    return Ok(Err(FlushError::Timeout { waited: limit(seconds), reason }));
                }
                done => return Ok(done),
            }
        }
    }

    fn raised(&self) -> PyErr {
        let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner).take();
        raised.unwrap_or_else(|| errors::append(AppendError::Interrupted))
    }
}

impl Drop for Log {
    /// Leaving may wait for the flusher, and other threads go on meanwhile. If there is no interpreter any more, nobody needs to.
    fn drop(&mut self) {
        let mut parts = Some(self.shared.take_apart());
        let _ = Python::try_attach(|py| {
            let parts = parts.take();
            py.detach(|| drop(parts));
        });
        drop(parts);
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
    let Some(log) = attach(path, options)? else { return Ok(None) };
    let stats = log.stats().map_err(|e| errors::open(&e))?;
    Ok(Some(crlog_flusher::stat::to_json(&stats).to_string()))
}

/// Whether some process has the log at `path` open, or left records of it in memory.
#[pyfunction]
pub fn is_open(path: PathBuf, options: &Bound<'_, PyDict>) -> PyResult<bool> {
    Ok(attach(path, options)?.is_some())
}

/// Writes to the file what processes that ended without leaving have left in memory of the log at `path`, and removes
/// that memory; nothing if some process has the log open. True if there was something.
#[pyfunction]
pub fn recover(path: PathBuf, given: &Bound<'_, PyDict>) -> PyResult<bool> {
    let Some(log) = attach(path.clone(), given)? else { return Ok(false) };
    let py = given.py();
    let found = py.detach(|| log.stats()).map_err(|e| errors::open(&e))?;
    py.detach(|| drop(log));
    if found.flusher.is_some() || found.producers.iter().any(|producer| producer.alive) {
        return Ok(false);
    }
    let options = options::read(path, given)?;
    match py.detach(|| options.recover()) {
        Ok(crlog::Recovered::Done(_)) => Ok(true),
        Ok(_) => Ok(false),
        Err(e) => Err(errors::NotFlushed::new_err(e.to_string())),
    }
}
