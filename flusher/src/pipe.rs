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
//! | SIGTERM, SIGINT, and the file cannot be written | leaves after 5 s; what is in the ring stays there | 128 + signal |
//! | the same again | ends at once; what is in the ring is written by whoever flushes next | 128 + signal |

use crate::args::{LogArgs, tell_differences};
use crate::console::{Console, Failure};
use crate::lines::Lines;
use crate::signals::{Interrupt, Seen};
use crate::units::{self, show_bytes, show_count};
use clap::Args;
use crlog::{AppendError, FlushError, Log, Severity, Stats, Writer};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Exit status: 0 if all lines are in the file; 1 if something failed or a line was too long for the log (all
others are in the file then); 2 for wrong arguments; 143 or 130 if SIGTERM or SIGINT ended it, after what it
had read is in the file. A second such signal ends it at once.

Examples:
  my-program 2>&1 | crlog pipe --max-bytes 10MB --backups 5 app.log
  journalctl -f | crlog pipe --severity debug app.log

Any number of pipes may write to the same log at once.";

/// How long the file may take at the end before this program says that it waits.
const PATIENCE: Duration = Duration::from_secs(5);

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

/// Left out of the log: too long for it, or dropped because the ring was full and the policy says so.
#[derive(Clone, Copy, Debug, Default)]
struct LeftOut {
    too_long: u64,
    dropped: u64,
}

/// Copies standard input to the log.
pub fn main(args: &PipeArgs, console: Console) -> Result<u8, Failure> {
    let interrupt =
        Interrupt::new().map_err(|e| Failure::failed(format!("signals cannot be handled: {e}")))?;
    let log = args.log.options("crlog pipe")?.open().map_err(Failure::failed)?;
    tell_differences(console, &log.differences());
    let mut appender = Appender::new(&log, args.severity)?;
    let mut lines = Lines::new(log.record_bytes_max());
    let read = copy(&interrupt, &mut lines, &mut appender);
    drain(&log, &interrupt, console)?;
    read?;
    if let Some(status) = interrupt.status() {
        return Ok(status);
    }
    let LeftOut { too_long: n, dropped } = appender.left_out;
    match (lines.too_long() + n, dropped) {
        (0, 0) => Ok(0),
        (0, n) => Err(Failure::failed(format!(
            "{} lines were dropped because the ring was full and the log's policy does not let them wait",
            show_count(n)
        ))),
        (n, _) => Err(Failure::failed(too_long(n, log.record_bytes_max()))),
    }
}

fn too_long(lines: u64, max: usize) -> String {
    let what = if lines == 1 { "line was" } else { "lines were" };
    format!(
        "{} {what} too long for the log and left out, all others are in it: at most {max} bytes with the terminator are \
         possible, a larger --ring-size takes longer ones",
        show_count(lines)
    )
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

/// Appends groups of lines, all of each.
struct Appender {
    writer: Writer,
    severity: Severity,
    left_out: LeftOut,
}

impl Appender {
    fn new(log: &Log, severity: Severity) -> Result<Appender, Failure> {
        Ok(Appender {
            writer: log.writer().map_err(Failure::failed)?,
            severity,
            left_out: LeftOut::default(),
        })
    }

    fn append(&mut self, mut lines: &[&[u8]]) -> Result<(), Failure> {
        while !lines.is_empty() {
            match self.writer.append_batch(self.severity, lines) {
                Ok(taken) => lines = lines.get(taken..).unwrap_or_default(),
                Err(AppendError::TooLong { .. }) => {
                    self.left_out.too_long += 1;
                    lines = &lines[1..];
                }
                // The policy lets them not wait (any longer): each line of the group is dropped, and counted.
                Err(AppendError::Full) => {
                    self.left_out.dropped += lines.len() as u64;
                    return Ok(());
                }
                Err(e) => return Err(Failure::failed(e)),
            }
        }
        Ok(())
    }
}

/// Waits until everything is in the file, however long it takes, and says what it waits for. After a
/// signal no longer than the first complaint.
fn drain(log: &Log, interrupt: &Interrupt, console: Console) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut patience = PATIENCE;
    while let Err(e) = log.flush(Duration::from_secs(1)) {
        if !matches!(e, FlushError::Timeout { .. }) {
            return Err(Failure::failed(e));
        }
        if let Some(status) = interrupt.status()
            && begun.elapsed() >= PATIENCE
        {
            let left = "; they are kept in memory for whoever opens the log next";
            return Err(Failure { status, message: format!("{}{left}", waits_for(&log.stats())) });
        }
        if begun.elapsed() >= patience {
            console.err(&format!(
                "waiting since {} s: {}",
                begun.elapsed().as_secs(),
                waits_for(&log.stats())
            ));
            patience *= 2;
        }
    }
    Ok(())
}

fn waits_for(stats: &Stats) -> String {
    let lag = format!(
        "{} records ({}) are in the ring but not in {}",
        show_count(stats.lag_records),
        show_bytes(stats.lag_bytes),
        stats.path.display()
    );
    match (stats.error, &stats.flusher) {
        (Some(errno), _) => format!("{lag}: {}", std::io::Error::from_raw_os_error(errno)),
        (None, Some(flusher)) => format!("{lag}; process {} writes it: is it stopped?", flusher.pid),
        (None, None) => format!("{lag}; no process writes it: start crlog-flusher"),
    }
}
