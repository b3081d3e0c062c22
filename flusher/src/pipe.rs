//! `crlog pipe`: each line of standard input becomes a record.
//!
//! What a read returned is appended at once, as one group; nothing is held back for more to come,
//! except a line whose end was not read yet.
//!
//! | found | done | exit status |
//! |---|---|---|
//! | end of input | the last line is a record also without its line feed; all is flushed | 0 |
//! | the ring is full | `--when-full` decides: waits, or drops lines, which is counted and said | 1 if any was dropped |
//! | a line longer than the log takes | left out whole, said at the end | 1 |
//! | the file cannot be written | waits, and says for what | 0 when it went on |
//! | SIGTERM, SIGINT | stops reading; what was read is flushed, a begun line as a record | 128 + signal |
//! | SIGTERM, SIGINT, and the file cannot be written | leaves after 5 s; what is in the ring stays there; what had been read and did not get in is counted and said | 128 + signal |
//! | the same again | ends at once; what is in the ring is written by whoever flushes next | 128 + signal |

use crate::append::{Appender, drain};
use crate::args::{LogArgs, tell_differences};
use crate::console::{Console, Failure};
use crate::lines::Lines;
use crate::signals::{Interrupt, Seen};
use crate::units;
use clap::Args;
use crlog::Severity;
use std::os::fd::AsFd;

const EXAMPLES: &str = "\
Exit status: 0 if all lines are in the file; 1 if something failed or a line was too long for the log (all
others are in the file then); 2 for wrong arguments; 143 or 130 if SIGTERM or SIGINT ended it, after what it
had read is in the file. A second such signal ends it at once.

Examples:
  my-program 2>&1 | crlog pipe --max-bytes 10MB --backups 5 app.log
  journalctl -f | crlog pipe --severity debug app.log

Any number of pipes may write to the same log at once.";

/// Append each line of standard input to a log
///
/// Lines keep their bytes as they are. Lines that arrive slowly are appended one by one, a fast
/// input in groups.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct PipeArgs {
    #[command(flatten)]
    log: LogArgs,

    /// Severity of the records: trace, debug, info, warn, error or critical
    #[arg(long, value_name = "LEVEL", value_parser = units::severity, default_value = "info")]
    severity: Severity,
}

/// Copies standard input to the log.
pub fn main(args: &PipeArgs, console: Console) -> Result<u8, Failure> {
    let interrupt =
        Interrupt::new().map_err(|e| Failure::failed(format!("signals cannot be handled: {e}")))?;
    let log = args.log.options("crlog pipe")?.open().map_err(Failure::failed)?;
    tell_differences(console, &log.differences().map_err(Failure::failed)?);
    let mut appender = Appender::new(&log, args.severity, &interrupt)?;
    let mut lines = Lines::new(log.record_bytes_max());
    let read = copy(&interrupt, &mut lines, &mut appender);
    let drained = drain(&log, &interrupt, console);
    if let Some(status) = interrupt.status() {
        read?;
        return appender.left_out.at_a_signal(status, "line", drained);
    }
    drained?;
    read?;
    let mut left_out = appender.left_out;
    left_out.too_long += lines.too_long();
    left_out.check("line", log.record_bytes_max())?;
    Ok(0)
}

fn copy(interrupt: &Interrupt, lines: &mut Lines, appender: &mut Appender) -> Result<(), Failure> {
    let input = std::io::stdin();
    let failed = |e: std::io::Error| Failure::failed(format!("standard input cannot be read: {e}"));
    while interrupt.wait_readable(input.as_fd()).map_err(failed)? == Seen::Readable {
        match rustix::io::read(&input, lines.room()) {
            Ok(0) => break,
            Ok(count) => lines.take(count, |group| appender.append(group))?,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(e) => return Err(failed(e.into())),
        }
    }
    match lines.last() {
        Some(line) => appender.append(&[line]),
        None => Ok(()),
    }
}
