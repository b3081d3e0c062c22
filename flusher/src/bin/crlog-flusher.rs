//! The sidecar: see `crlog_flusher::sidecar`.

use crlog_flusher::console::Console;
use crlog_flusher::sidecar;
use std::process::ExitCode;

fn main() -> ExitCode {
    let console = Console::new("crlog-flusher");
    match console.arguments() {
        Ok(args) => console.end(sidecar::main(&args, console)),
        Err(status) => status,
    }
}
