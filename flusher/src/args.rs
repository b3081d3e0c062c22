//! What a log is to be, as arguments; the same for every program that may be the first to open it.

use crate::console::Console;
use crate::units;
use clap::Args;
use crlog::{
    Compression, Escape, Fsync, Names, Notes, OnStart, Options, SegmentKind, Severity, SizeRule, WhenFull,
};
use std::ffi::OsString;
use std::path::PathBuf;

/// The log file and what can be said about it. What is not given is inherited from whoever has the
/// log open already, else it takes its default.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// The log file; its directory must exist
    #[arg(value_name = "LOGFILE")]
    pub path: PathBuf,

    /// Rotate before the file grows beyond this size, such as 10MB or 64MiB; 0 never rotates
    #[arg(long, value_name = "SIZE", value_parser = units::size, requires = "backups")]
    pub max_bytes: Option<u64>,

    /// Keep this many rotated files, LOGFILE.1 (newest) to LOGFILE.N; with 0 a full file is emptied
    #[arg(long, value_name = "N")]
    pub backups: Option<u32>,

    /// strict: no file is ever larger than --max-bytes; check-before: rotate before the first
    /// record that finds the file full [default: strict]
    #[arg(long, value_name = "RULE", value_parser = units::size_rule)]
    pub size_rule: Option<SizeRule>,

    /// Rotate at times: hourly, 'daily 03:00 Europe/Berlin', 'weekly Monday 03:00', 'monthly 1 00:00', five fields like
    /// cron's, or as in Python S, M, H, D, MIDNIGHT, W0 to W6, such as 'H 6'
    #[arg(long, value_name = "TIMES", value_parser = units::times)]
    pub rotate_at: Option<String>,

    /// What archives are called: numbered (LOGFILE.1 is the newest) or dated (LOGFILE.2026-05-01), of which all are kept
    /// [default: dated with --rotate-at, else numbered]
    #[arg(long, value_name = "HOW", value_parser = units::names)]
    pub names: Option<Names>,

    /// What the first process does with a log file that is there: append, or rotate it first [default: append]
    #[arg(long, value_name = "WHAT", value_parser = units::on_start)]
    pub on_start: Option<OnStart>,

    /// Rotate at the times of --rotate-at also if nothing was logged since the last one
    #[arg(long, requires = "rotate_at")]
    pub empty_files: bool,

    /// Size of the ring in shared memory, 256KiB to 512MiB; a quarter of it is the longest record
    /// [default: 8MiB]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub ring_size: Option<u64>,

    /// Permissions of the log files, in octal [default: 0640]
    #[arg(long, value_name = "MODE", value_parser = units::mode)]
    pub mode: Option<u32>,

    /// Make the file reach the disk: none, interval:TIME or batch [default: none]
    #[arg(long, value_name = "WHEN", value_parser = units::fsync)]
    pub fsync: Option<Fsync>,

    /// What ends each record in the file: lf, crlf, nul or none [default: lf]
    #[arg(long, value_name = "END", value_parser = units::terminator)]
    pub terminator: Option<&'static [u8]>,

    /// What to do with a record when the ring is full: block, block:TIME, drop or write-through; after SEVERITY=
    /// for records of one severity. May be given several times [default: block]
    #[arg(long, value_name = "[SEVERITY=]POLICY", value_parser = units::when_full)]
    pub when_full: Vec<(Option<Severity>, WhenFull)>,

    /// How much of the ring is kept for records of severity warn and above [default: a sixteenth]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub reserve: Option<u64>,

    /// Every call of every process returns only when its record is on the disk; they share the syncs
    #[arg(long)]
    pub durable: bool,

    /// A checksum for each record in the ring [default: only with --segment FILE]
    #[arg(long, value_name = "yes|no", value_parser = units::yes)]
    pub checksums: Option<bool>,

    /// How crlog's own lines in the log look, such as those that tell of dropped records: text, json or off
    /// [default: text; off with --terminator none]
    #[arg(long, value_name = "HOW", value_parser = units::notes)]
    pub notes: Option<Notes>,

    /// A line in the log for each process that died without leaving
    #[arg(long)]
    pub death_notes: bool,

    /// An index beside the log, with which `crlog verify` proves that no record is missing
    #[arg(long)]
    pub index: bool,

    /// Write what could forge a line or steer a terminal as escape sequences: none, controls (control characters but
    /// tab and line feed) or lines (line breaks, too) [default: none]
    #[arg(long, value_name = "WHAT", value_parser = units::escape)]
    pub escape: Option<Escape>,

    /// Pack rotated files, in a thread of low priority: none, gzip, gzip:LEVEL (1 to 9), or, if it was built in, zstd,
    /// zstd:LEVEL (1 to 19) [default: none; gzip is gzip:6, zstd is zstd:3]
    #[arg(long, value_name = "HOW", value_parser = units::compress)]
    pub compress: Option<Compression>,

    /// Do not pack the newest N rotated files [default: 0]
    #[arg(long, value_name = "N")]
    pub compress_delay: Option<u32>,

    /// Where the log is found besides its path.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Where the shared parts of a log live; all processes of a log must say the same.
#[derive(Args, Clone, Debug, Default)]
pub struct PlaceArgs {
    /// The ring: shm, or the path of a file to map (for containers that share a volume)
    /// [default: shm]
    #[arg(long, value_name = "shm|FILE", value_parser = units::segment)]
    pub segment: Option<SegmentKind>,

    /// Directory of the lock file, on a local file system [default: beside the ring]
    #[arg(long, value_name = "DIR")]
    pub lock_dir: Option<PathBuf>,
}

impl PlaceArgs {
    /// These places put into options.
    pub fn apply(&self, mut options: Options) -> Options {
        if let Some(kind) = &self.segment {
            options = options.segment(kind.clone());
        }
        if let Some(dir) = &self.lock_dir {
            options = options.lock_dir(dir);
        }
        options
    }

    /// As they would be typed.
    pub fn typed(&self) -> Vec<OsString> {
        let mut words = Vec::new();
        match &self.segment {
            Some(SegmentKind::Shm) => words.extend(["--segment".into(), "shm".into()]),
            Some(SegmentKind::File(path)) => words.extend(["--segment".into(), path.into()]),
            None => {}
        }
        if let Some(dir) = &self.lock_dir {
            words.extend(["--lock-dir".into(), dir.into()]);
        }
        words
    }
}

impl LogArgs {
    /// The library's options for these arguments.
    pub fn options(&self, name: &str) -> Options {
        let mut o = self.place.apply(Options::new(&self.path).name(name));
        if let Some(bytes) = self.max_bytes {
            o = o.max_bytes(bytes);
        }
        if let Some(count) = self.backups {
            o = o.backups(count);
        }
        if let Some(rule) = self.size_rule {
            o = o.size_rule(rule);
        }
        if let Some(times) = &self.rotate_at {
            o = o.rotate_at(times);
        }
        if let Some(names) = self.names {
            o = o.names(names);
        }
        if let Some(what) = self.on_start {
            o = o.on_start(what);
        }
        if self.empty_files {
            o = o.empty_files(true);
        }
        if let Some(bytes) = self.ring_size {
            o = o.ring_bytes(bytes);
        }
        if let Some(mode) = self.mode {
            o = o.mode(mode);
        }
        if let Some(fsync) = self.fsync {
            o = o.fsync(fsync);
        }
        if let Some(bytes) = self.terminator {
            o = o.terminator(bytes);
        }
        for &(severity, policy) in &self.when_full {
            o = match severity {
                Some(severity) => o.when_full_for(severity, policy),
                None => o.when_full(policy),
            };
        }
        if let Some(bytes) = self.reserve {
            o = o.reserve_bytes(bytes);
        }
        if let Some(yes) = self.checksums {
            o = o.checksums(yes);
        }
        if let Some(notes) = self.notes {
            o = o.notes(notes);
        }
        if let Some(escape) = self.escape {
            o = o.escape(escape);
        }
        if let Some(how) = self.compress {
            o = o.compress(how);
        }
        if let Some(files) = self.compress_delay {
            o = o.compress_delay(files);
        }
        if self.durable {
            o = o.durable(true);
        }
        if self.death_notes {
            o = o.death_notes(true);
        }
        if self.index {
            o = o.index(true);
        }
        o
    }
}

/// Says which options are not in force because the log was open already.
pub fn tell_differences(console: Console, differences: &[crlog::Difference]) {
    for d in differences {
        console.err(&format!("warning: the log is open already: {d}"));
    }
}
