//! Options as Python gives them: names and values as in a configuration file.

use crate::errors;
use crlog::{Options, Rotator};
use crlog_flusher::config::given::{Given, What};
use crlog_flusher::config::{keys, possible, settings};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyString};
use settings::{Origin, Settings};
use std::path::{Path, PathBuf};

/// Whether this process may flush in a thread: of the process, and in no configuration file.
const THREAD: &str = "flusher_thread";

/// A function that puts the full file away.
const ROTATOR: &str = "rotator";

/// Options of the log at `path` from a dictionary such as `{"max_bytes": "10 MB"}`. `terminator` is bytes.
pub fn read(path: PathBuf, given: &Bound<'_, PyDict>) -> PyResult<Options> {
    let (mut all, mut terminator, mut thread, mut rotator) = (Settings::default(), None, true, None);
    for (name, value) in given {
        let name: String = name.extract()?;
        if name == "terminator" {
            terminator = Some(value.extract::<Vec<u8>>()?);
            continue;
        }
        if name == THREAD {
            thread = value.extract::<bool>()?;
            continue;
        }
        if name == ROTATOR {
            rotator = Some(calling(value.unbind()));
            continue;
        }
        let key = keys::find(&name).filter(|key| key.name != "verbose").ok_or_else(|| unknown(&name))?;
        let what = what(&value).map_err(|kind| wrong_kind(&name, &kind))?;
        let read = key.read(&Given { what: &what, base: Path::new("") });
        all.put(read.map_err(|e| PyValueError::new_err(format!("{name}: {e}")))?, Origin::CommandLine);
    }
    if let Some(problem) = possible::of_one(&all, &Origin::CommandLine, &path).first() {
        return Err(PyValueError::new_err(problem.to_string()));
    }
    let mut options = all.apply(Options::new(path)).flusher_thread(thread);
    if let Some(bytes) = terminator {
        options = options.terminator(&bytes);
    }
    if let Some(rotator) = rotator {
        options = options.rotator(rotator);
    }
    Ok(options)
}

/// Whether threads of ours may be in this process.
pub fn may_thread(given: &Bound<'_, PyDict>) -> PyResult<bool> {
    given.get_item(THREAD)?.map_or(Ok(true), |value| value.extract())
}

/// A rotator that calls a function of Python with two paths.
fn calling(function: Py<PyAny>) -> Rotator {
    Rotator::new(move |log: &Path, archive: &Path| {
        let done = Python::try_attach(|py| {
            function.call1(py, (log, archive)).map(|_| ()).map_err(|e| e.to_string())
        });
        match done {
            Some(done) => done.map_err(std::io::Error::other),
            None => Err(std::io::Error::other("the interpreter has ended")),
        }
    })
}

fn what(value: &Bound<'_, PyAny>) -> Result<What, String> {
    if value.is_instance_of::<PyBool>() {
        return value.extract().map(What::Truth).map_err(|e| e.to_string());
    }
    if value.is_instance_of::<PyInt>() {
        return Ok(What::Number(value.to_string(), 10));
    }
    if value.is_instance_of::<PyString>() {
        return value.extract().map(What::Text).map_err(|e| e.to_string());
    }
    if let Ok(path) = value.extract::<PathBuf>() {
        return path.into_os_string().into_string().map(What::Text).map_err(|_| "it is not Unicode".into());
    }
    if let Ok(table) = value.cast::<PyDict>() {
        let rows = table.iter().map(|(name, value)| Ok((name.to_string(), what(&value)?)));
        return rows.collect::<Result<_, String>>().map(What::Table);
    }
    Err(format!("a value of type {} is not possible", value.get_type()))
}

fn wrong_kind(name: &str, kind: &str) -> PyErr {
    PyTypeError::new_err(format!("{name}: {kind}"))
}

fn unknown(name: &str) -> PyErr {
    let hint = keys::meant(name).map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
    PyTypeError::new_err(format!("{name} is no option of a log{hint}"))
}

/// Whether these options are possible; raises `ValueError` or `TypeError` if not. Opens nothing.
#[pyfunction]
pub fn check(path: PathBuf, options: &Bound<'_, PyDict>) -> PyResult<()> {
    read(path, options)?.check().map_err(|e| errors::open(&e))
}

/// Names of all options.
#[pyfunction]
pub fn option_names() -> Vec<&'static str> {
    let names = keys::KEYS.iter().map(|key| key.name).filter(|name| *name != "verbose");
    names.chain([THREAD]).collect()
}
