//! `crlog zmq-pull`: each message that ZeroMQ PUSH sockets send becomes a record.
//!
//! | found | done | exit status |
//! |---|---|---|
//! | a message | one record, without one line feed at its end; the parts of a multipart message are joined with a space | |
//! | the ring is full | nothing more is read, so that the peers wait; or `--when-full` drops messages, counted and said | 1 if any was dropped |
//! | a message longer than the log takes | left out whole, its bytes are not kept, said at the end | 1 |
//! | a peer that is no PUSH socket, or talks nonsense | its connection is closed, said; nobody else notices | |
//! | SIGTERM, SIGINT | no new peers; what has arrived is read until all are quiet, at most 2 s; all is flushed | 0 |
//! | SIGTERM, SIGINT, and the file cannot be written | leaves after 5 s; what is in the ring stays there; what had been read and did not get in is counted and said | 128 + signal |
//! | the same again | ends at once; what is in the ring is written by whoever flushes next | 128 + signal |
//!
//! The protocol is spoken by [`zmtp`], in this file's directory and not by a library: those at hand reserve
//! whatever size a peer claims (which ends the process), or keep parts of a message without a limit.

#[cfg(feature = "zmq")]
mod connection;
pub mod endpoint;
#[cfg(feature = "zmq")]
mod listener;
#[cfg(feature = "zmq")]
mod server;
#[cfg(feature = "zmq")]
pub mod zmtp;
#[cfg(all(test, feature = "zmq"))]
mod zmtp_tests;

use crate::args::LogArgs;
use crate::console::{Console, Failure};
use crate::units;
use clap::Args;
use crlog::Severity;
use endpoint::Endpoint;

const EXAMPLES: &str = "\
Exit status: 0 after SIGTERM or SIGINT, when all messages that had arrived are in the file; 1 if something failed or
messages were left out; 2 for wrong arguments; 143 or 130 if the file could not be written, or a second signal came.

Examples:
  crlog zmq-pull --bind tcp://127.0.0.1:5555 --max-bytes 10MB --backups 5 app.log
  crlog zmq-pull --bind ipc:///run/app/log.sock --bind 'tcp://[::1]:5555' app.log

There is no authentication: who can connect can write to the log.";

/// Append each message of ZeroMQ PUSH sockets to a log
///
/// For programs that send their log with a PUSH socket: what was their PULL server before is this.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
#[cfg_attr(not(feature = "zmq"), allow(dead_code))]
pub struct ZmqPullArgs {
    /// Where to listen: tcp://ADDRESS:PORT (* for all addresses, port 0 for any free one) or ipc://PATH; may be
    /// given several times
    #[arg(long, value_name = "ENDPOINT", value_parser = endpoint::parse, required = true)]
    bind: Vec<Endpoint>,

    #[command(flatten)]
    log: LogArgs,

    /// Severity of the records: trace, debug, info, warn, error or critical
    #[arg(long, value_name = "LEVEL", value_parser = units::severity, default_value = "info")]
    severity: Severity,
}

/// Serves until a signal comes.
#[cfg(feature = "zmq")]
pub fn main(args: &ZmqPullArgs, console: Console) -> Result<u8, Failure> {
    use crate::append::{Appender, drain};
    use crate::args::tell_differences;
    use crate::signals::Interrupt;

    let interrupt =
        Interrupt::new().map_err(|e| Failure::failed(format!("signals cannot be handled: {e}")))?;
    let listeners = args.bind.iter().map(listener::Listener::bind).collect::<Result<Vec<_>, _>>()?;
    let log = args.log.options("crlog zmq-pull")?.open().map_err(Failure::failed)?;
    tell_differences(console, &log.differences().map_err(Failure::failed)?);
    let appender = Appender::new(&log, args.severity, &interrupt)?;
    let mut server = server::Server::new(listeners, appender, log.record_bytes_max(), console);
    let served = server.serve(&interrupt);
    let drained = drain(&log, &interrupt, console);
    served?;
    let (left_out, status) = (server.left_out(), interrupt.status().unwrap_or(1));
    left_out.at_a_signal(status, "message", drained)?;
    left_out.check("message", log.record_bytes_max())?;
    Ok(0)
}

/// Says how to get it.
#[cfg(not(feature = "zmq"))]
pub fn main(_: &ZmqPullArgs, _: Console) -> Result<u8, Failure> {
    Err(Failure::failed(
        "this crlog was built without ZeroMQ: build it with `cargo install --path flusher --features zmq`",
    ))
}
