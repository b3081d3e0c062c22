//! **The one list of what can be configured.** An option is added here, with its argument in [`crate::args`]; the
//! names in a configuration file and in the environment follow from it, and tests prove that arguments, library and
//! documentation agree with it.

use super::given::{Given, What, wrong_kind};
use super::setting::{Setting, Value};
use crate::units::{self, show_fsync, show_when_full};
use crlog::{Options, SegmentKind, Severity, WhenFull};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What holds if nobody says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// This, as TOML.
    Is(&'static str),
    /// Something that depends on other things: in words.
    Words(&'static str),
}

/// Something that can be configured.
#[derive(Debug)]
pub struct Key {
    /// Its name in a file. With dashes it is the argument, in capitals behind `CRLOG_` the environment's.
    pub name: &'static str,
    /// Other names that somebody may try, such as the library's.
    pub also: &'static [&'static str],
    /// What it does: the text of `--help`.
    pub help: &'static str,
    /// What can be written, as TOML.
    pub example: &'static str,
    /// What holds if nothing is written.
    pub default: Default,
    reader: fn(&Given<'_>) -> Result<Setting, String>,
}

impl Key {
    /// Reads a value; the reason if it is not possible says what can be written instead.
    pub fn read(&self, given: &Given<'_>) -> Result<Setting, String> {
        (self.reader)(given).map(|setting| setting.of(self.name))
    }

    /// The argument's name.
    pub fn argument(&self) -> String {
        format!("--{}", self.name.replace('_', "-"))
    }

    /// The environment's name.
    pub fn variable(&self) -> String {
        format!("CRLOG_{}", self.name.to_ascii_uppercase())
    }
}

/// The key of the log itself, which is not a setting: see [`super::file`].
pub const PATH: &str = "path";

/// All of them, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    Key {
        name: "max_bytes",
        also: &["max_size"],
        help: "Rotate before the file grows beyond this size, such as 10MB or 64MiB; 0 never rotates",
        example: "\"10 MB\"",
        default: Default::Is("0"),
        reader: |g| size(g, Options::max_bytes),
    },
    Key {
        name: "backups",
        also: &["backup_count", "count"],
        help: "Keep this many rotated files, LOGFILE.1 (newest) to LOGFILE.N; with 0 a file that reaches --max-bytes is emptied, and with dated names, whose default it is, all are kept",
        example: "5",
        default: Default::Is("10"),
        reader: |g| {
            let count = g.count()?;
            Ok(Setting::new(Value::Number(count.into()), move |o| o.backups(count)))
        },
    },
    Key {
        name: "size_rule",
        also: &[],
        help: "strict: no file is ever larger than --max-bytes; check-before: rotate before the first record that finds \
               the file full [default: strict]",
        example: "\"check-before\"",
        default: Default::Is("\"strict\""),
        reader: |g| word(g, units::size_rule, Options::size_rule),
    },
    Key {
        name: "rotate_at",
        also: &["rotate", "when", "rotation"],
        help: "Rotate at times: hourly, 'daily 03:00 Europe/Berlin', 'weekly Monday 03:00', 'monthly 1 00:00', five fields \
               like cron's, or as in Python S, M, H, D, MIDNIGHT, W0 to W6, such as 'H 6'",
        example: "\"daily 03:00 Europe/Berlin\"",
        default: Default::Is("\"never\""),
        reader: |g| {
            let times = g.text(units::times)?;
            Ok(Setting::new(Value::Text(times.clone()), move |o| o.rotate_at(&times)))
        },
    },
    Key {
        name: "names",
        also: &["naming"],
        help: "What archives are called: numbered (LOGFILE.1 is the newest), dated (LOGFILE.2026-05-01), or a template of \
               {name}, {stem}, {ext} and either {n}, or {date:%Y-%m-%d} and {seq} \
               [default: dated with --rotate-at, else numbered]",
        example: "\"{stem}.{date:%Y-%m-%d}{ext}\"",
        default: Default::Words("\"dated\" with rotate_at, else \"numbered\""),
        reader: |g| {
            let names = g.text(units::names)?;
            Ok(Setting::new(Value::Text(units::show_names(&names)), move |o| o.names(names.clone())))
        },
    },
    Key {
        name: "direct",
        also: &["direct_write"],
        help: "The current file has its own name from the beginning, and nothing is ever renamed; LOGFILE is a name only, \
               or, with --link, a link to the current file",
        example: "true",
        default: Default::Is("false"),
        reader: |g| truth(g, Options::direct),
    },
    Key {
        name: "on_start",
        also: &[],
        help: "What the first process does with a log file that is there: append, rotate it first, or truncate it: what was in it \
               is gone [default: append]",
        example: "\"rotate\"",
        default: Default::Is("\"append\""),
        reader: |g| word(g, units::on_start, Options::on_start),
    },
    Key {
        name: "empty_files",
        also: &["rotate_empty"],
        help: "Rotate at the times of --rotate-at also if nothing was logged since the last one",
        example: "true",
        default: Default::Is("false"),
        reader: |g| truth(g, Options::empty_files),
    },
    Key {
        name: "ring_size",
        also: &["ring_bytes"],
        help: "Size of the ring in shared memory, 256KiB to 512MiB; a quarter of it is the longest record [default: 8MiB]",
        example: "\"16 MiB\"",
        default: Default::Is("\"8 MiB\""),
        reader: |g| size(g, Options::ring_bytes),
    },
    Key {
        name: "mode",
        also: &["permissions"],
        help: "Permissions of the log files, in octal [default: 0640]",
        example: "\"0640\"",
        default: Default::Is("\"0640\""),
        reader: |g| {
            let mode = g.mode()?;
            Ok(Setting::new(Value::Text(format!("{mode:04o}")), move |o| o.mode(mode)))
        },
    },
    Key {
        name: "owner",
        also: &["user", "group", "chown"],
        help: "User and group of the log files, by name or number: USER, USER:GROUP, :GROUP, or none, who makes them \
               [default: none]",
        example: "\"root:0\"",
        default: Default::Is("\"none\""),
        reader: |g| {
            let (user, group) = g.text(units::owner)?;
            let shown = units::show_owner(user.as_deref(), group.as_deref());
            Ok(Setting::new(Value::Text(shown), move |o| o.owner(user.as_deref(), group.as_deref())))
        },
    },
    Key {
        name: "fsync",
        also: &["sync"],
        help: "Make the file reach the disk: none, interval:TIME or batch [default: none]",
        example: "\"interval:1s\"",
        default: Default::Is("\"none\""),
        reader: |g| {
            let fsync = g.text(units::fsync)?;
            Ok(Setting::new(Value::Text(show_fsync(fsync)), move |o| o.fsync(fsync)))
        },
    },
    Key {
        name: "terminator",
        also: &[],
        help: "What ends each record in the file: lf, crlf, nul or none [default: lf]",
        example: "\"crlf\"",
        default: Default::Is("\"lf\""),
        reader: |g| word(g, units::terminator, |o, bytes| o.terminator(bytes)),
    },
    Key {
        name: "when_full",
        also: &["when_full_for"],
        help: "What to do with a record when the ring is full: block, block:TIME, drop or write-through; after SEVERITY= \
               for records of one severity. May be given several times [default: block]",
        example: "\"drop, error=block\"",
        default: Default::Is("\"block\""),
        reader: |g| when_full(g.what).map(policies),
    },
    Key {
        name: "reserve",
        also: &["reserve_bytes"],
        help: "How much of the ring is kept for records of severity warn and above [default: a sixteenth]",
        example: "\"1 MiB\"",
        default: Default::Words("a sixteenth of ring_size"),
        reader: |g| size(g, Options::reserve_bytes),
    },
    Key {
        name: "durable",
        also: &[],
        help: "Every call of every process returns only when its record is on the disk; they share the syncs",
        example: "true",
        default: Default::Is("false"),
        reader: |g| truth(g, Options::durable),
    },
    Key {
        name: "checksums",
        also: &["checksum"],
        help: "A checksum for each record in the ring [default: only with --segment FILE]",
        example: "true",
        default: Default::Words("true if segment is a file"),
        reader: |g| truth(g, Options::checksums),
    },
    Key {
        name: "notes",
        also: &[],
        help: "How crlog's own lines in the log look, such as those that tell of dropped records: text, json or off \
               [default: text; off with --terminator none]",
        example: "\"json\"",
        default: Default::Words("\"text\"; \"off\" with terminator = \"none\""),
        reader: |g| word(g, units::notes, Options::notes),
    },
    Key {
        name: "death_notes",
        also: &[],
        help: "A line in the log for each process that died without leaving",
        example: "true",
        default: Default::Is("false"),
        reader: |g| truth(g, Options::death_notes),
    },
    Key {
        name: "index",
        also: &[],
        help: "An index beside the log, with which `crlog verify` proves that no record is missing",
        example: "true",
        default: Default::Is("false"),
        reader: |g| truth(g, Options::index),
    },
    Key {
        name: "escape",
        also: &[],
        help: "Write what could forge a line or steer a terminal as escape sequences: none, controls (control characters \
               but tab and line feed) or lines (line breaks, too) [default: none]",
        example: "\"lines\"",
        default: Default::Is("\"none\""),
        reader: |g| word(g, units::escape, Options::escape),
    },
    Key {
        name: "keep_age",
        also: &["max_age", "retention", "keep"],
        help: "Remove archives that were last written to longer ago than this, such as '7 days'; 0s never [default: 0s]",
        example: "\"7 days\"",
        default: Default::Is("\"0s\""),
        reader: |g| {
            let age = g.text(units::duration)?;
            Ok(Setting::new(Value::Text(units::show_exact_time(age)), move |o| o.keep_age(age)))
        },
    },
    Key {
        name: "keep_bytes",
        also: &["max_total_bytes", "total_bytes"],
        help: "Remove the oldest archives when all files of the log together have more bytes than this; 0 no limit",
        example: "\"1 GB\"",
        default: Default::Is("0"),
        reader: |g| size(g, Options::keep_bytes),
    },
    Key {
        name: "min_free",
        also: &["min_free_disk"],
        help: "Remove the oldest archives when the file system has less free than this; 0 no limit",
        example: "\"500 MB\"",
        default: Default::Is("0"),
        reader: |g| size(g, Options::min_free),
    },
    Key {
        name: "compress",
        also: &["compression", "gzip"],
        help: "Pack rotated files, in a thread of low priority: none, gzip, gzip:LEVEL (1 to 9), or, if it was built in, zstd, \
               zstd:LEVEL (1 to 19) [default: none; gzip is gzip:6, zstd is zstd:3]",
        example: "\"gzip\"",
        default: Default::Is("\"none\""),
        reader: |g| {
            let how = g.text(units::compress)?;
            Ok(Setting::new(Value::Text(how.to_string()), move |o| o.compress(how)))
        },
    },
    Key {
        name: "compress_delay",
        also: &["delay_compress"],
        help: "Do not pack the newest N rotated files [default: 0]",
        example: "1",
        default: Default::Is("0"),
        reader: |g| {
            let files = g.count()?;
            Ok(Setting::new(Value::Number(files.into()), move |o| o.compress_delay(files)))
        },
    },
    Key {
        name: "link",
        also: &["symlink"],
        help: "A symbolic link that always points to the current log file; none for none [default: none]",
        example: "\"/var/log/now.log\"",
        default: Default::Is("\"none\""),
        reader: |g| match g.what {
            What::Text(text) if text == "none" => {
                Ok(Setting::new(Value::Text("none".into()), |o| o.link("")))
            }
            _ => g.path().map(|path| Setting::new(Value::Text(shown_path(&path)), move |o| o.link(&path))),
        },
    },
    Key {
        name: "after_rotate",
        also: &["postrotate", "hook", "on_rotate"],
        help: "Run this program after each rotation that this process makes: words as in a shell, but no shell; CRLOG_FILE in \
               its environment is the rotated file; none takes it back [default: none]",
        example: "\"/usr/local/bin/ship --now 'to the archive'\"",
        default: Default::Is("\"none\""),
        reader: |g| {
            let argv = g.text(units::command)?;
            // All of this process is ours, so its threads may have children.
            let apply = move |o: Options, argv: &[String]| o.after_rotate(argv).after_rotate_in_thread(true);
            Ok(Setting::new(Value::Text(units::show_command(&argv)), move |o| apply(o, &argv)))
        },
    },
    Key {
        name: "after_rotate_timeout",
        also: &["hook_timeout"],
        help: "Kill that program when it has run so long [default: 60s]",
        example: "\"5 min\"",
        default: Default::Is("\"60s\""),
        reader: |g| {
            let limit = g.text(units::duration)?;
            Ok(Setting::new(Value::Text(units::show_exact_time(limit)), move |o| {
                o.after_rotate_timeout(limit)
            }))
        },
    },
    Key {
        name: "segment",
        also: &["ring"],
        help: "The ring: shm, or the path of a file to map (for containers that share a volume) [default: shm]",
        example: "\"/ring/app.ring\"",
        default: Default::Is("\"shm\""),
        reader: |g| match g.text(units::segment)? {
            SegmentKind::File(_) => g.path().map(SegmentKind::File).map(segment),
            kind => Ok(segment(kind)),
        },
    },
    Key {
        name: "lock_dir",
        also: &["lock_directory"],
        help: "Directory of the lock file, on a local file system [default: beside the ring]",
        example: "\"/ring/locks\"",
        default: Default::Words("beside the ring"),
        reader: |g| g.path().map(lock_dir),
    },
    Key {
        name: "verbose",
        also: &[],
        help: "Tell everything that happens, one line each, on standard error; else only warnings and errors",
        example: "true",
        default: Default::Is("false"),
        reader: |g| truth(g, |o, _| o),
    },
];

/// Keys that cannot change while a log is open.
const FIXED: &[&str] =
    &["ring_size", "terminator", "checksums", "escape", "index", "durable", "segment", "lock_dir", "direct"];

/// Keys of the process, and not of the log: they hold as long as it runs.
const OWN: &[&str] = &["after_rotate", "after_rotate_timeout"];

impl Key {
    /// Whether it can be changed while the log is open, by `Log::change`.
    pub fn is_live(&self) -> bool {
        !FIXED.contains(&self.name) && !self.is_own()
    }

    /// Whether it belongs to the process, and not to the log.
    pub fn is_own(&self) -> bool {
        OWN.contains(&self.name)
    }

    /// What holds if nobody says anything, if that is one value and no harm to a log that is open. Without backups, and without
    /// times, from which archives have dated names, a full file is emptied; its limit may have been said by others.
    pub fn by_default(&self) -> Option<Setting> {
        if ["backups", "rotate_at"].contains(&self.name) {
            return None;
        }
        let Default::Is(toml) = self.default else { return None };
        let what = What::Text(toml.trim_matches('"').into());
        self.read(&Given { what: &what, base: Path::new("") }).ok()
    }
}

/// The key of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The key that somebody who wrote this name may have meant; `path` is one, too.
pub fn meant(name: &str) -> Option<&'static str> {
    let plain = name.replace(['-', ' ', '.'], "_").to_ascii_lowercase();
    let all =
        KEYS.iter().flat_map(|key| key.also.iter().chain([&key.name]).map(|written| (*written, key.name)));
    let scored = all.chain([(PATH, PATH), ("file", PATH), ("log_file", PATH)]).map(|(written, key)| {
        let same = written.replace('_', "") == plain.replace('_', "");
        (if same { 1.0 } else { strsim::jaro_winkler(written, &plain) }, key)
    });
    scored.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, key)| key)
}

/// Where the ring is.
pub fn segment(kind: SegmentKind) -> Setting {
    let shown = match &kind {
        SegmentKind::File(path) => shown_path(path),
        _ => "shm".to_owned(),
    };
    Setting::new(Value::Text(shown), move |o| o.segment(kind.clone())).of("segment")
}

/// Where the lock file is.
pub fn lock_dir(dir: PathBuf) -> Setting {
    let shown = Value::Text(shown_path(&dir));
    Setting::new(shown, move |o| o.lock_dir(&dir)).of("lock_dir")
}

/// The same wherever it is read.
pub(super) fn shown_path(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// What an argument of the command line reads with.
pub fn typed(name: &'static str) -> impl Fn(&str) -> Result<Setting, String> + Clone + Send + Sync + 'static {
    move |text| {
        let key = find(name).ok_or_else(|| format!("{name} is not a key"))?;
        key.read(&Given { what: &What::Text(text.into()), base: Path::new("") })
    }
}

/// What `--help` says of it.
pub fn help(name: &'static str) -> &'static str {
    find(name).map_or("", |key| key.help)
}

fn size(given: &Given<'_>, apply: fn(Options, u64) -> Options) -> Result<Setting, String> {
    let bytes = given.size()?;
    Ok(Setting::new(Value::Number(bytes), move |o| apply(o, bytes)))
}

fn truth(given: &Given<'_>, apply: fn(Options, bool) -> Options) -> Result<Setting, String> {
    let yes = given.truth()?;
    Ok(Setting::new(Value::Truth(yes), move |o| apply(o, yes)))
}

/// One of some words, each of which has a meaning of its own.
fn word<T: Copy + Send + Sync + 'static>(
    given: &Given<'_>,
    parse: fn(&str) -> Result<T, String>,
    apply: fn(Options, T) -> Options,
) -> Result<Setting, String> {
    let (text, meaning) = given.text(|text| Ok((text.to_owned(), parse(text)?)))?;
    Ok(Setting::new(Value::Text(text), move |o| apply(o, meaning)))
}

type Policies = Vec<(Option<Severity>, WhenFull)>;

fn when_full(what: &What) -> Result<Policies, String> {
    match what {
        What::Text(text) => units::when_full_list(text),
        What::Table(rows) => rows.iter().map(|(name, what)| policy_of(name, what)).collect(),
        other => Err(wrong_kind(other, "a text in quotes, or a table by severity,")),
    }
}

fn policy_of(name: &str, what: &What) -> Result<(Option<Severity>, WhenFull), String> {
    let severity = units::severity(name).map_err(|e| format!("severity {name:?} is not known: {e}"))?;
    let What::Text(text) = what else {
        return Err(format!("{name}: {}", wrong_kind(what, "a text in quotes")));
    };
    match units::when_full(text.trim()) {
        Ok((None, policy)) => Ok((Some(severity), policy)),
        Ok(_) => Err(format!("{name}: the severity is said already: leave it out in the text")),
        Err(e) => Err(format!("{name}: {e}")),
    }
}

fn policies(all: Policies) -> Setting {
    let mut each: BTreeMap<usize, WhenFull> = BTreeMap::new();
    for (severity, policy) in all {
        let one = severity.as_ref().map(std::slice::from_ref);
        each.extend(one.unwrap_or(&Severity::ALL).iter().map(|s| (*s as usize, policy)));
    }
    let severities = move || {
        let all = each.clone().into_iter();
        all.filter_map(|(i, policy)| Some((*Severity::ALL.get(i)?, policy)))
    };
    let shown = severities().map(|(severity, policy)| (severity as usize, show_when_full(policy))).collect();
    Setting::new(Value::BySeverity(shown), move |options| {
        severities().fold(options, |o, (severity, policy)| o.when_full_for(severity, policy))
    })
}
