//! What programs share that put records of others into a log: [`crate::pipe`] and others.

use crate::console::{Console, Failure};
use crate::signals::Interrupt;
use crate::units::{show_bytes, show_count};
use crlog::{AppendError, FlushError, Log, Severity, Writer};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the file may take at the end before this program says that it waits, and after a signal before it leaves.
const PATIENCE: Duration = Duration::from_secs(5);

/// Left out of the log: too long for it, or dropped because the ring was full and the policy says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeftOut {
    /// Longer than the log takes.
    pub too_long: u64,
    /// Dropped by the policy for a full ring.
    pub dropped: u64,
    /// They were still waiting for room when a signal ended this program.
    pub given_up: u64,
}

impl LeftOut {
    /// An error if anything was left out; `one` is what one of them is called.
    pub fn check(self, one: &str, max: usize) -> Result<(), Failure> {
        match (self.too_long, self.dropped) {
            (0, 0) => Ok(()),
            (0, n) => Err(Failure::failed(format!(
                "{} {one}s were dropped because the ring was full and the log's policy does not let them wait",
                show_count(n)
            ))),
            (n, _) => Err(Failure::failed(too_long(n, one, max))),
        }
    }

    /// What is to be said at an end that a signal asked for, after what there is to say anyway.
    pub fn at_a_signal(self, status: u8, one: &str, drained: Result<(), Failure>) -> Result<u8, Failure> {
        let lost = (self.given_up > 0).then(|| self.given_up(one));
        match (drained, lost) {
            (Ok(()), None) => Ok(status),
            (Ok(()), Some(message)) => Err(Failure { status, message }),
            (Err(failure), None) => Err(failure),
            (Err(failure), Some(lost)) => {
                Err(Failure { message: format!("{}; {lost}", failure.message), ..failure })
            }
        }
    }

    fn given_up(self, one: &str) -> String {
        let (n, end) = (show_count(self.given_up), if self.given_up == 1 { "" } else { "s" });
        format!(
            "{n} {one}{end} that had been read did not get into the ring, which was full, and are not in the log"
        )
    }
}

fn too_long(count: u64, one: &str, max: usize) -> String {
    let (end, were) = if count == 1 { ("", "was") } else { ("s", "were") };
    format!(
        "{} {one}{end} {were} too long for the log and left out, all others are in it: at most {max} bytes with the \
         terminator are possible, a larger --ring-size takes longer ones",
        show_count(count)
    )
}

/// Appends groups of records, all of each.
pub struct Appender {
    writer: Writer,
    severity: Severity,
    /// What could not be.
    pub left_out: LeftOut,
}

impl Appender {
    /// With a writer of its own.
    pub fn new(log: &Log, severity: Severity, interrupt: &Interrupt) -> Result<Appender, Failure> {
        let mut writer = log.writer().map_err(Failure::failed)?;
        let signal = interrupt.first();
        writer.set_interrupt(Some(Arc::new(move || signal.is_older_than(PATIENCE))));
        Ok(Appender { writer, severity, left_out: LeftOut::default() })
    }

    /// Waits if the ring is full, as far as the log's policy says; after a signal not for long.
    pub fn append(&mut self, mut records: &[&[u8]]) -> Result<(), Failure> {
        while !records.is_empty() {
            match self.writer.append_batch(self.severity, records) {
                Ok(taken) => records = records.get(taken..).unwrap_or_default(),
                Err(AppendError::TooLong { .. }) => {
                    self.left_out.too_long += 1;
                    records = &records[1..];
                }
                // The policy lets them not wait (any longer): each record of the group is dropped, and counted.
                Err(AppendError::Full) => {
                    self.left_out.dropped += records.len() as u64;
                    return Ok(());
                }
                Err(AppendError::Interrupted) => {
                    self.left_out.given_up += records.len() as u64;
                    return Ok(());
                }
                Err(e) => return Err(Failure::failed(e)),
            }
        }
        Ok(())
    }
}

/// Waits until everything is in the file, however long it takes, and says what it waits for. After a
/// signal no longer than five seconds.
pub fn drain(log: &Log, interrupt: &Interrupt, console: Console) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut patience = PATIENCE;
    while let Err(e) = log.flush(Duration::from_secs(1)) {
        if !matches!(e, FlushError::Timeout { .. }) {
            return Err(Failure::failed(e));
        }
        if let Some(status) = interrupt.status()
            && (begun.elapsed() >= PATIENCE || interrupt.first().is_older_than(PATIENCE))
        {
            let left = "; they are kept in memory for whoever opens the log next";
            return Err(Failure { status, message: format!("{}{left}", waits_for(log)) });
        }
        if begun.elapsed() >= patience {
            console.err(&format!("waiting since {} s: {}", begun.elapsed().as_secs(), waits_for(log)));
            patience *= 2;
        }
    }
    Ok(())
}

fn waits_for(log: &Log) -> String {
    let stats = match log.stats() {
        Ok(stats) => stats,
        Err(e) => return format!("what is left for {} is not known: {e}", log.path().display()),
    };
    let lag = format!(
        "{} records ({}) are in the ring but not in {}",
        show_count(stats.lag_records),
        show_bytes(stats.lag_bytes),
        stats.path.display()
    );
    match (stats.error_text, &stats.flusher) {
        (Some(why), _) => format!("{lag}: {why}"),
        (None, Some(flusher)) => format!("{lag}; process {} writes it: is it stopped?", flusher.pid),
        (None, None) => format!("{lag}; no process writes it: start crlog-flusher"),
    }
}
