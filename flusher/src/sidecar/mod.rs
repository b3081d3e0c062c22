//! `crlog-flusher`: the process that does nothing but write the file.
//!
//! | module | what |
//! |---|---|
//! | [`crew`] | a sidecar for each log of a configuration, each on a thread |
//! | [`reload`] | what becomes of them when the configuration is read again |
//! | [`words`] | what happens, in words for people |

pub mod crew;
pub mod reload;
mod repeats;
pub mod words;

use crate::args::{SettingArgs, tell_differences};
use crate::config::keys::{help, typed};
use crate::config::setting::Setting;
use crate::config::settings::{Origin, Problem};
use crate::config::{From, Loaded, LogConfig, Sources, possible, show};
use crate::console::{Console, Failure};
use crate::signals;
use clap::Parser;
use crlog::{Control, Options};
use repeats::Repeats;
use std::path::PathBuf;
use std::time::Instant;
pub use words::Told;
use words::weight;

const EXAMPLES: &str = "\
Signals:
  TERM, INT  write everything that is in the ring, then end with status 0; a second one ends at once
  USR1       rotate now
  HUP        reopen the file (after logrotate or mv); with --config also read the configuration again

Sizes are bytes, or kB, MB, GB (powers of 1000), or KiB, MiB, GiB (powers of 1024).
Several sidecars may run for one log: one writes, the others wait to take over. Whoever opens the
log first decides its options; others inherit them, and are told if they asked for something else.

A configuration file has a table [[log]] with a path for each log, and the options' names with
underscores: max_bytes = \"10 MB\". CRLOG_MAX_BYTES and its like in the environment are stronger than
the file, the command line is stronger than both; both hold for all logs. --check shows what comes of it.

Exit status: 0 stopped by a signal, 1 failed (with --config: some log could not be written at the
end), 2 wrong arguments or configuration.

Examples:
  crlog-flusher --max-bytes 10MB --backups 5 /var/log/app.log
  crlog-flusher -v --fsync interval:1s --segment /shared/app.ring --lock-dir /shared/locks /logs/app.log
  crlog-flusher --config /etc/crlog.toml --check";

/// Problems that are told, one line each; more are only counted.
const TOLD_MAX: usize = 20;

/// Writes a log that many processes append to: takes their records from shared memory, keeps them in
/// order, writes them to LOGFILE and rotates it. Runs in the foreground.
///
/// It is not needed (any process that logs can do this in a thread), but it takes the work off them,
/// and what they logged is written even if all of them are killed.
#[derive(Parser, Debug)]
#[command(name = "crlog-flusher", version, after_help = EXAMPLES)]
pub struct SidecarArgs {
    /// The log file; its directory must exist
    #[arg(value_name = "LOGFILE", required_unless_present = "config")]
    path: Option<PathBuf>,

    /// Write the logs that are named in this file, as it says (TOML); HUP reads it again
    #[arg(long, value_name = "FILE", conflicts_with = "path")]
    config: Option<PathBuf>,

    /// Open nothing: say what is wrong, and show the effective settings of each log, as TOML
    #[arg(long)]
    check: bool,

    #[command(flatten)]
    settings: SettingArgs,

    #[arg(long, short, value_name = "yes|no", value_parser = typed("verbose"), help = help("verbose"),
          num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    verbose: Option<Setting>,
}

impl SidecarArgs {
    pub(crate) fn sources(&self) -> Sources {
        let mut line = self.settings.settings();
        if let Some(verbose) = &self.verbose {
            line.put(verbose.clone(), Origin::CommandLine);
        }
        let from = match (&self.config, &self.path) {
            (Some(file), _) => From::File(file.clone()),
            (None, path) => From::Log(path.clone().unwrap_or_default()),
        };
        Sources { from, line, variables: std::env::vars_os().collect() }
    }
}

/// Runs until a signal stops it.
pub fn main(args: &SidecarArgs, console: Console) -> Result<u8, Failure> {
    let sources = args.sources();
    let Loaded { logs, warnings } = sources.load();
    warnings.iter().for_each(|text| console.err(&format!("warning: {text}")));
    let logs = match logs {
        Ok(logs) => logs,
        Err(problems) => {
            tell(console, &problems);
            return Ok(2);
        }
    };
    if args.check {
        return Ok(check(&logs, console));
    }
    match (&sources.from, logs.as_slice()) {
        (From::Log(_), [log]) => {
            let told = if log.is_verbose() { Told::All } else { Told::Warnings };
            run(log.options(), told, console)
        }
        _ => crew::run(sources, logs, console),
    }
}

fn tell(console: Console, problems: &[Problem]) {
    problems.iter().take(TOLD_MAX).for_each(|problem| console.err(&problem.to_string()));
    if let Some(more) = problems.len().checked_sub(TOLD_MAX).filter(|more| *more > 0) {
        console.err(&format!("and {more} more"));
    }
}

/// Shows what is to be, and says what stands against it in this place.
fn check(logs: &[LogConfig], console: Console) -> u8 {
    console.out(&show::file(logs));
    let problems: Vec<Problem> = logs.iter().flat_map(possible::in_place).collect();
    tell(console, &problems);
    u8::from(!problems.is_empty())
}

/// Runs a sidecar for these options until a signal stops it.
pub fn run(options: Options, told: Told, console: Console) -> Result<u8, Failure> {
    let control = Control::default();
    signals::steer(control.clone())
        .map_err(|e| Failure::failed(format!("signals cannot be handled: {e}")))?;
    crlog::Sidecar::explain_bus_errors()
        .map_err(|e| Failure::failed(format!("signals cannot be handled: {e}")))?;
    let mut sidecar = options.sidecar().map_err(Failure::failed)?;
    tell_differences(console, &sidecar.differences().map_err(Failure::failed)?);
    let mut repeats = Repeats::default();
    sidecar.on_event(move |event| {
        if weight(&event) >= told
            && let Some(line) = repeats.line(&event, Instant::now())
        {
            console.err(&line);
        }
    });
    sidecar.run(&control).map_err(Failure::failed)?;
    Ok(0)
}
