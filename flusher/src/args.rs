//! What a log is to be, as arguments; the same for every program that may be the first to open it.

use crate::config::keys::{self, help, typed};
use crate::config::possible;
use crate::config::setting::Setting;
use crate::config::settings::{Origin, Settings};
use crate::console::{Console, Failure};
use crate::paths::real_path;
use crate::units;
use clap::Args;
use crlog::{Options, SegmentKind};
use std::ffi::OsString;
use std::path::PathBuf;

/// The log file and what can be said about it. What is not given is inherited from whoever has the
/// log open already, else it takes its default.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// The log file; its directory must exist
    #[arg(value_name = "LOGFILE")]
    pub path: PathBuf,

    /// What it is to be.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// An argument for each of [`keys::KEYS`], under the same name.
#[derive(Args, Clone, Debug, Default)]
pub struct SettingArgs {
    #[arg(long, value_name = "SIZE", value_parser = typed("max_bytes"), help = help("max_bytes"))]
    max_bytes: Option<Setting>,

    #[arg(long, value_name = "N", value_parser = typed("backups"), help = help("backups"))]
    backups: Option<Setting>,

    #[arg(long, value_name = "RULE", value_parser = typed("size_rule"), help = help("size_rule"))]
    size_rule: Option<Setting>,

    #[arg(long, value_name = "TIMES", value_parser = typed("rotate_at"), help = help("rotate_at"))]
    rotate_at: Option<Setting>,

    #[arg(long, value_name = "HOW", value_parser = typed("names"), help = help("names"))]
    names: Option<Setting>,

    #[arg(long, value_name = "yes|no", value_parser = typed("direct"), help = help("direct"), num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    direct: Option<Setting>,

    #[arg(long, value_name = "WHAT", value_parser = typed("on_start"), help = help("on_start"))]
    on_start: Option<Setting>,

    #[arg(long, value_name = "yes|no", value_parser = typed("empty_files"), help = help("empty_files"), num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    empty_files: Option<Setting>,

    #[arg(long, value_name = "SIZE", value_parser = typed("ring_size"), help = help("ring_size"))]
    ring_size: Option<Setting>,

    #[arg(long, value_name = "MODE", value_parser = typed("mode"), help = help("mode"))]
    mode: Option<Setting>,

    #[arg(long, value_name = "USER:GROUP", value_parser = typed("owner"), help = help("owner"))]
    owner: Option<Setting>,

    #[arg(long, value_name = "WHEN", value_parser = typed("fsync"), help = help("fsync"))]
    fsync: Option<Setting>,

    #[arg(long, value_name = "END", value_parser = typed("terminator"), help = help("terminator"))]
    terminator: Option<Setting>,

    #[arg(long, value_name = "[SEVERITY=]POLICY", value_parser = typed("when_full"), help = help("when_full"))]
    when_full: Vec<Setting>,

    #[arg(long, value_name = "SIZE", value_parser = typed("reserve"), help = help("reserve"))]
    reserve: Option<Setting>,

    #[arg(long, value_name = "yes|no", value_parser = typed("durable"), help = help("durable"), num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    durable: Option<Setting>,

    #[arg(long, value_name = "yes|no", value_parser = typed("checksums"), help = help("checksums"))]
    checksums: Option<Setting>,

    #[arg(long, value_name = "HOW", value_parser = typed("notes"), help = help("notes"))]
    notes: Option<Setting>,

    #[arg(long, value_name = "yes|no", value_parser = typed("death_notes"), help = help("death_notes"), num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    death_notes: Option<Setting>,

    #[arg(long, value_name = "yes|no", value_parser = typed("index"), help = help("index"), num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    index: Option<Setting>,

    #[arg(long, value_name = "WHAT", value_parser = typed("escape"), help = help("escape"))]
    escape: Option<Setting>,

    #[arg(long, value_name = "TIME", value_parser = typed("keep_age"), help = help("keep_age"))]
    keep_age: Option<Setting>,

    #[arg(long, value_name = "SIZE", value_parser = typed("keep_bytes"), help = help("keep_bytes"))]
    keep_bytes: Option<Setting>,

    #[arg(long, value_name = "SIZE", value_parser = typed("min_free"), help = help("min_free"))]
    min_free: Option<Setting>,

    #[arg(long, value_name = "HOW", value_parser = typed("compress"), help = help("compress"))]
    compress: Option<Setting>,

    #[arg(long, value_name = "N", value_parser = typed("compress_delay"), help = help("compress_delay"))]
    compress_delay: Option<Setting>,

    #[arg(long, value_name = "PATH", value_parser = typed("link"), help = help("link"))]
    link: Option<Setting>,

    #[arg(long, value_name = "PROGRAM ARG...", value_parser = typed("after_rotate"), help = help("after_rotate"))]
    after_rotate: Option<Setting>,

    #[arg(long, value_name = "TIME", value_parser = typed("after_rotate_timeout"), help = help("after_rotate_timeout"))]
    after_rotate_timeout: Option<Setting>,

    /// Where the log is found besides its path.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Where the shared parts of a log live; all processes of a log must say the same.
#[derive(Args, Clone, Debug, Default)]
pub struct PlaceArgs {
    /// The ring.
    #[arg(long, value_name = "shm|FILE", value_parser = units::segment, help = help("segment"))]
    pub segment: Option<SegmentKind>,

    /// Directory of the lock file.
    #[arg(long, value_name = "DIR", help = help("lock_dir"))]
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
            Some(SegmentKind::File(path)) => words.extend(["--segment".into(), path.into()]),
            Some(_) => words.extend(["--segment".into(), "shm".into()]),
            None => {}
        }
        if let Some(dir) = &self.lock_dir {
            words.extend(["--lock-dir".into(), dir.into()]);
        }
        words
    }
}

impl SettingArgs {
    /// All that was said.
    pub fn settings(&self) -> Settings {
        let each = [
            &self.max_bytes,
            &self.backups,
            &self.size_rule,
            &self.rotate_at,
            &self.names,
            &self.direct,
            &self.on_start,
            &self.empty_files,
            &self.ring_size,
            &self.mode,
            &self.owner,
            &self.fsync,
            &self.terminator,
            &self.reserve,
            &self.durable,
            &self.checksums,
            &self.notes,
            &self.death_notes,
            &self.index,
            &self.escape,
            &self.keep_age,
            &self.keep_bytes,
            &self.min_free,
            &self.compress,
            &self.compress_delay,
            &self.link,
            &self.after_rotate,
            &self.after_rotate_timeout,
        ];
        let place =
            [self.place.segment.clone().map(keys::segment), self.place.lock_dir.clone().map(keys::lock_dir)];
        let mut settings = Settings::default();
        for setting in
            each.into_iter().flatten().chain(&self.when_full).cloned().chain(place.into_iter().flatten())
        {
            settings.put(setting, Origin::CommandLine);
        }
        settings
    }
}

impl LogArgs {
    /// The library's options for these arguments.
    pub fn options(&self, name: &str) -> Result<Options, Failure> {
        let settings = self.settings.settings();
        match possible::of_one(&settings, &Origin::CommandLine, &real_path(&self.path)).first() {
            Some(problem) => Err(Failure::usage(problem)),
            None => Ok(settings.apply(Options::new(&self.path).name(name))),
        }
    }
}

/// Says which options are not in force because the log was open already.
pub fn tell_differences(console: Console, differences: &[crlog::Difference]) {
    for d in differences {
        console.err(&format!("warning: the log is open already: {d}"));
    }
}
