//! The sidecar: see `crlog_flusher::sidecar`.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    crlog_flusher::tool::flusher(&arguments).into()
}
