//! `crlog-flusher`: the process that does nothing but write the file.

use crate::args::{LogArgs, tell_differences};
use crate::console::{Console, Failure};
use crate::signals;
use crate::units::{show_bytes, show_count, show_time};
use clap::Parser;
use crlog::{Control, Event, Options};

const EXAMPLES: &str = "\
Signals:
  TERM, INT  write everything that is in the ring, then end with status 0; a second one ends at once
  USR1       rotate now
  HUP        reopen the file (after logrotate or mv)

Sizes are bytes, or kB, MB, GB (powers of 1000), or KiB, MiB, GiB (powers of 1024).
Several sidecars may run for one log: one writes, the others wait to take over. Whoever opens the
log first decides its options; others inherit them, and are told if they asked for something else.

Exit status: 0 stopped by a signal, 1 failed, 2 wrong arguments.

Examples:
  crlog-flusher --max-bytes 10MB --backups 5 /var/log/app.log
  crlog-flusher -v --fsync interval:1s --segment /shared/app.ring --lock-dir /shared/locks /logs/app.log";

/// Writes a log that many processes append to: takes their records from shared memory, keeps them in
/// order, writes them to LOGFILE and rotates it. Runs in the foreground.
///
/// It is not needed (any process that logs can do this in a thread), but it takes the work off them,
/// and what they logged is written even if all of them are killed.
#[derive(Parser, Debug)]
#[command(name = "crlog-flusher", version, after_help = EXAMPLES)]
pub struct SidecarArgs {
    #[command(flatten)]
    log: LogArgs,

    /// Tell everything that happens, one line each, on standard error; else only warnings and errors
    #[arg(long, short)]
    verbose: bool,
}

/// What is told on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// Everything that happens.
    All,
    /// What somebody may have to look at.
    Warnings,
    /// What keeps records from the file, and its end.
    Errors,
}

/// Runs until a signal stops it.
pub fn main(args: &SidecarArgs, console: Console) -> Result<u8, Failure> {
    let told = if args.verbose { Told::All } else { Told::Warnings };
    run(args.log.options("crlog-flusher"), told, console)
}

/// Runs a sidecar for these options until a signal stops it.
pub fn run(options: Options, told: Told, console: Console) -> Result<u8, Failure> {
    let control = Control::default();
    signals::steer(control.clone())
        .map_err(|e| Failure::failed(format!("signals cannot be handled: {e}")))?;
    crlog::Sidecar::explain_bus_errors()
        .map_err(|e| Failure::failed(format!("signals cannot be handled: {e}")))?;
    let mut sidecar = options.sidecar().map_err(Failure::failed)?;
    tell_differences(console, &sidecar.differences());
    sidecar.on_event(move |event| {
        if weight(&event) >= told {
            console.err(&in_words(&event));
        }
    });
    sidecar.run(&control).map_err(Failure::failed)?;
    Ok(0)
}

fn weight(event: &Event) -> Told {
    match event {
        Event::Error { .. } | Event::Recovered | Event::IndexInterrupted { .. } | Event::IndexResumed => {
            Told::Errors
        }
        Event::Reaped { lost_unfinished: true, .. } | Event::Moved | Event::PackFailed { .. } => {
            Told::Warnings
        }
        _ => Told::All,
    }
}

fn in_words(event: &Event) -> String {
    match event {
        Event::Waiting { pid } => {
            format!("another sidecar, process {pid}, writes the file: waiting to take over")
        }
        Event::Elected { epoch, truncated_bytes: 0 } => {
            format!("writing the file, as flusher number {epoch} of this log")
        }
        Event::Elected { epoch, truncated_bytes } => {
            format!(
                "writing the file, as flusher number {epoch} of this log; cut {truncated_bytes} bytes that the last one left \
                 unfinished, they are written again"
            )
        }
        Event::Rotated { file_bytes } => format!("rotated at {}", show_bytes(*file_bytes)),
        Event::Error { what, retry, .. } => {
            format!("error: {what}; trying again in {}, records wait in the ring", show_time(*retry))
        }
        Event::Recovered => "the error is gone, records are written again".into(),
        Event::Reopened => "reopened the file".into(),
        Event::Reaped { pid, name, lost_unfinished, records } => {
            let lost = if *lost_unfinished { "; the one record it was writing is lost" } else { "" };
            let records = show_count(*records);
            format!("process {pid} ({name}) died without leaving, after {records} records: cleaned up{lost}")
        }
        Event::Moved => {
            "somebody removed the shared memory or the lock file of this log: moved to a new one, nothing is lost".into()
        }
        Event::IndexInterrupted { what, retry, .. } => {
            format!(
                "error: {what}; the log goes on, what is logged meanwhile cannot be verified; trying again in {}",
                show_time(*retry)
            )
        }
        Event::IndexResumed => "the index is written again".into(),
        Event::Packed { name, from_bytes, to_bytes } => {
            format!("compressed: {name}, {} of {}", show_bytes(*to_bytes), show_bytes(*from_bytes))
        }
        Event::PackFailed { what, retry, .. } => {
            format!("warning: {what}; archives stay as they are, trying again in {}", show_time(*retry))
        }
        Event::Stopped => "stopped".into(),
        other => format!("{other:?}"),
    }
}
