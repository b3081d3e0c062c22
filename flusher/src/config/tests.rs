//! The configuration, from every side that needs no process.

use super::keys::{Default, KEYS, find, meant};
use super::setting::{Value, quoted};
use super::settings::{Origin, Problem, Settings};
use super::{From, Loaded, LogConfig, Sources, environment, file, show};
use crate::sidecar::SidecarArgs;
use clap::{CommandFactory, Parser};
use crlog::Options;
use proptest::prelude::*;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The arguments of the sidecar that are no settings.
const NO_SETTINGS: &[&str] = &["path", "config", "check", "help", "version"];

fn read(text: &str) -> Result<file::Layers, Vec<String>> {
    let said = file::read("f", text, Path::new("/base"));
    said.map_err(|all| all.iter().map(Problem::to_string).collect())
}

fn in_file(line: &str) -> Result<file::Layers, Vec<String>> {
    read(&format!("{line}\n[[log]]\npath = \"/nowhere/a.log\"\n"))
}

/// What is wrong with a file of these lines, its log put in.
fn wrong(lines: &str) -> Vec<String> {
    in_file(lines).err().unwrap_or_default()
}

fn settings_of_line(args: &[&str]) -> Settings {
    let program = ["crlog-flusher"].iter().chain(args).chain(&["/nowhere/a.log"]);
    SidecarArgs::try_parse_from(program).unwrap().sources().line
}

fn variables(all: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    all.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// A text of TOML, as it would be typed on a command line.
fn typed(example: &str) -> &str {
    example.trim_matches('"')
}

fn value(settings: &Settings, key: &str) -> Option<Value> {
    settings.get(key).map(|(setting, _)| setting.value.clone())
}

fn texts(settings: &Settings) -> Vec<String> {
    settings.keys().map(|key| format!("{:?}", settings.get(key).unwrap().0)).collect()
}

#[test]
fn the_arguments_are_the_keys_and_say_the_same_help() {
    let command = SidecarArgs::command();
    let arguments = command.get_arguments().filter(|a| !NO_SETTINGS.contains(&a.get_id().as_str()));
    let mut named = Vec::new();
    for argument in arguments {
        let key = find(argument.get_id().as_str()).unwrap_or_else(|| panic!("{argument} is not a key"));
        assert_eq!(argument.get_long().map(|long| format!("--{long}")), Some(key.argument()));
        assert_eq!(argument.get_help().map(ToString::to_string).as_deref(), Some(key.help));
        named.push(key.name);
    }
    named.sort_unstable();
    let mut keys: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    keys.sort_unstable();
    assert_eq!(named, keys);
}

#[test]
fn each_key_is_read_alike_from_all_sides() {
    for key in KEYS {
        let from_file = in_file(&format!("{} = {}", key.name, key.example)).unwrap().top;
        let variable = variables(&[(&key.variable(), typed(key.example))]);
        let from_environment = environment::read(&variable);
        assert!(from_environment.problems.is_empty() && from_environment.warnings.is_empty());
        let argument = format!("{}={}", key.argument(), typed(key.example));
        let from_line = settings_of_line(&[&argument]);
        for settings in [&from_environment.settings, &from_line] {
            assert_eq!(texts(settings), texts(&from_file), "{}", key.name);
        }
        assert_eq!(from_file.keys().collect::<Vec<_>>(), [key.name]);
    }
}

#[test]
fn each_key_does_something_to_the_options() {
    for key in KEYS.iter().filter(|key| key.name != "verbose") {
        let plain = Options::new("/x");
        let example = in_file(&format!("{} = {}", key.name, key.example)).unwrap().top;
        assert_ne!(format!("{:?}", example.apply(plain.clone())), format!("{plain:?}"), "{}", key.name);
    }
    let verbose = in_file("verbose = true").unwrap().top;
    assert!(verbose.is_true("verbose") && !verbose.is_true("durable"));
}

#[test]
fn the_defaults_are_those_of_the_library() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    let log = Options::new(&path).open().unwrap();
    let defaults = KEYS.iter().filter_map(|key| match key.default {
        Default::Is(value) => Some(format!("{} = {value}\n", key.name)),
        Default::Words(_) => None,
    });
    let all = in_file(&defaults.collect::<String>()).unwrap().top;
    assert!(all.keys().count() > 10);
    let asked = all.apply(Options::new(&path)).open().unwrap();
    assert_eq!(asked.differences().unwrap(), []);
    let other = in_file("backups = 3").unwrap().top.apply(Options::new(&path)).open().unwrap();
    assert_eq!(other.differences().unwrap().len(), 1, "differences are found");
    drop((log, asked, other));
}

#[test]
fn what_can_be_changed_is_what_the_library_changes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    // Not of the log, but of this process.
    let own = ["verbose", "segment", "lock_dir", "after_rotate", "after_rotate_timeout"];
    for key in KEYS.iter().filter(|key| !own.contains(&key.name)) {
        let log = Options::new(&path).open().unwrap();
        let example = in_file(&format!("{} = {}", key.name, key.example)).unwrap().top;
        let left = log.change(&example.apply(Options::new(&path))).unwrap();
        assert_eq!(left.is_empty(), key.is_live(), "{}: {left:?}", key.name);
        let again = example.apply(Options::new(&path)).attach().unwrap();
        assert_eq!(again.differences().unwrap().is_empty(), key.is_live(), "{}", key.name);
    }
}

#[test]
fn the_stronger_one_holds_for_each_key_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.toml");
    let text = "backups = 1\nmode = \"0601\"\nfsync = \"none\"\nring_size = \"1 MiB\"\n\
                [[log]]\npath = \"a.log\"\nbackups = 2\nmode = \"0602\"\nfsync = \"batch\"\n[[log]]\npath = \"b.log\"";
    std::fs::write(&path, text).unwrap();
    let sources = Sources {
        from: From::File(path),
        line: settings_of_line(&["--backups", "4"]),
        variables: variables(&[("CRLOG_BACKUPS", "3"), ("CRLOG_MODE", "0603"), ("HOME", "x")]),
    };
    let Loaded { logs, warnings } = sources.load();
    let logs = logs.unwrap();
    assert_eq!((logs.len(), warnings), (2, vec![]));
    let said = |log: usize, key: &str| value(&logs[log].settings, key).unwrap().to_string();
    let of = |log| ["backups", "mode", "fsync", "ring_size"].map(|key| said(log, key));
    assert_eq!(of(0), ["4", "\"0603\"", "\"batch\"", "1048576"]);
    assert_eq!(of(1), ["4", "\"0603\"", "\"none\"", "1048576"]);
    assert_eq!(logs[0].path, dir.path().join("a.log"), "beside the file");
}

#[test]
fn what_is_said_of_some_severities_leaves_the_others_as_they_are() {
    let top = in_file("when_full = \"drop, error=block:2s\"").unwrap().top;
    let table = in_file("[when_full]\ninfo = \"write-through\"\nerror = \"block\"").unwrap().top;
    let both = table.over(&top);
    let shown = "{ trace = \"drop\", debug = \"drop\", info = \"write-through\", warn = \"drop\", error = \"block\", \
                 critical = \"drop\" }";
    assert_eq!(value(&both, "when_full").unwrap().to_string(), shown);
    let again = in_file(&format!("when_full = {shown}")).unwrap().top;
    let options = |settings: &Settings| format!("{:?}", settings.apply(Options::new("/x")));
    assert_eq!(options(&again), options(&both), "what is shown is what is done");
    assert_eq!(value(&top.over(&table), "when_full"), value(&top, "when_full"));
    assert_eq!(
        value(&in_file("when_full = \"drop\"").unwrap().top, "when_full").unwrap().to_string(),
        "\"drop\""
    );
}

#[test]
fn what_is_wrong_is_said_with_its_line_and_what_can_be_written() {
    for (line, says) in [
        ("max_bytez = 1", "f:1: max_bytez: not a key: did you mean max_bytes?"),
        ("\n\nMax-Bytes = 1", "f:3: Max-Bytes: not a key: did you mean max_bytes?"),
        ("ring_bytes = 1", "f:1: ring_bytes: not a key: did you mean ring_size?"),
        ("frobnicate = 1", "f:1: frobnicate: not a key: there are path, max_bytes, backups,"),
        ("path = \"x\"", "f:1: path: this is the path of one log: write it behind a line [[log]]"),
        (
            "max_bytes = 1.5",
            "f:1: max_bytes: a size is expected here, not a number with a fraction; for example: max_bytes = \"10 MB\"",
        ),
        ("max_bytes = \"1.5 MB\"", "f:1: max_bytes: no fractions"),
        ("max_bytes = -1", "f:1: max_bytes: below 0 is not possible"),
        ("max_bytes = [1]", "f:1: max_bytes: a size is expected here, not a list"),
        ("backups = \"five\"", "f:1: backups: a whole number is expected"),
        ("backups = 2026-01-01", "f:1: backups: a number is expected here, not a date or time"),
        ("mode = 640", "f:1: mode: permissions are octal, and 640 does not say that it is"),
        (
            "durable = 1",
            "f:1: durable: true or false is expected here, not a number; for example: durable = true",
        ),
        ("durable = \"maybe\"", "f:1: durable: use yes or no"),
        (
            "notes = true",
            "f:1: notes: a text in quotes is expected here, not true or false; for example: notes = \"json\"",
        ),
        ("fsync = \"interval:5\"", "f:1: fsync: unit \"\" is not known: use ms, s, m or h, days or weeks"),
        ("segment = \"\"", "f:1: segment: use shm, or the path of a file"),
        ("lock_dir = \"a\\u0000b\"", "f:1: lock_dir: a path cannot contain a NUL character"),
        (
            "when_full = 1",
            "f:1: when_full: a text in quotes, or a table by severity, is expected here, not a number",
        ),
        ("when_full.loud = \"drop\"", "f:1: when_full: severity \"loud\" is not known: use trace, debug"),
        ("when_full.info = 1", "f:1: when_full: info: a text in quotes is expected here, not a number"),
        ("when_full.info = \"warn=drop\"", "f:1: when_full: info: the severity is said already"),
        ("log = 1", "f:2: not TOML: "),
        ("logs = 1", "f:1: logs: not a key: a log begins with a line [[log]]"),
        ("a = \"", "f:1: not TOML: "),
        ("backups = 1\nbackups = 2", "f:2: not TOML: duplicate key"),
    ] {
        let said = wrong(line);
        assert!(said.iter().any(|one| one.starts_with(says)), "{line}: {said:?}");
    }
}

#[test]
fn a_file_must_name_a_log_in_its_way() {
    for (text, says) in [
        ("", "f:1: no log is named: write a line [[log]], and below it path = "),
        ("log = []", "f:1: log: no log is named"),
        (
            "backups = 1\n[log]\npath = \"a\"",
            "f:2: log: there can be several logs: write [[log]], with two brackets",
        ),
        ("log = [1]", "f:1: log: a table [[log]] is expected here, not a number"),
        ("\n[[log]]\nbackups = 1", "f:2: path: this [[log]] has none: write path = "),
        ("[[log]]\npath = 1", "f:2: path: a text in quotes is expected here, not a number"),
        ("[[log]]\npath = \"\"", "f:2: path: a path is expected here, not an empty text"),
        ("[[log]]\nbackup = 1\npath = \"a\"", "f:2: backup: not a key: did you mean backups?"),
    ] {
        let said = read(text).err().unwrap_or_default();
        assert!(said.len() == 1 && said[0].starts_with(says), "{text:?}: {said:?}");
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let lines: Vec<String> =
        wrong("modd = 1\nbackups = true\nmax_bytes = \"x\"").iter().map(|s| s[..4].into()).collect();
    assert_eq!(lines, ["f:1:", "f:2:", "f:3:"]);
}

fn load(text: &str) -> Result<Vec<LogConfig>, Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.toml");
    std::fs::write(&path, text).unwrap();
    let sources = Sources { from: From::File(path.clone()), line: Settings::default(), variables: vec![] };
    let name = format!("{}:", path.display());
    sources.load().logs.map_err(|all| all.iter().map(|p| p.to_string().replace(&name, "f:")).collect())
}

#[test]
fn what_is_not_possible_together_is_said_of_the_keys_that_can_mend_it() {
    for (text, says) in [
        (
            "names = \"numbered\"\nbackups = 0\n[[log]]\npath = \"a\"\nrotate_at = \"daily\"",
            "f:5: rotate_at: needs backups, too: with 0 nothing is kept",
        ),
        ("backups = 0\n[[log]]\npath = \"a\"\non_start = \"rotate\"", "f:4: on_start: needs backups, too"),
        ("empty_files = true\n[[log]]\npath = \"a\"", "f:1: empty_files: needs rotate_at, too"),
        ("[[log]]\npath = \"a\"\nmode = \"0440\"", "f:3: mode: mode 440 is not possible"),
        (
            "ring_size = 5\n[[log]]\npath = \"a\"\n[[log]]\npath = \"b\"",
            "f:1: ring_size: ring size 5 is out of range",
        ),
        (
            "reserve = \"1 MiB\"\n[[log]]\npath = \"a\"\nring_size = \"256 KiB\"",
            "f:4: ring_size and reserve: a reserve of 1048576",
        ),
        ("[[log]]\npath = \"a\"\n[[log]]\npath = \"b\"\n[[log]]\npath = \"./a\"", "f:6: path: "),
        ("segment = \"ring\"\n[[log]]\npath = \"a\"\n[[log]]\npath = \"b\"", "f:1: segment: "),
    ] {
        let said = load(text).err().unwrap_or_default();
        assert!(said.len() == 1 && said[0].starts_with(says), "{text:?}: {said:?}");
    }
    let both = load("[[log]]\npath = \"a\"\nmode = \"0440\"\nring_size = 1").unwrap_err();
    assert_eq!(both.len(), 2, "{both:?}");
    for fine in [
        "max_bytes = 5\n[[log]]\npath = \"a\"\nbackups = 0",
        "max_bytes = 5\n[[log]]\npath = \"a\"",
        "names = \"numbered\"\n[[log]]\npath = \"a\"\nrotate_at = \"daily\"",
        "max_bytes = 5\non_start = \"rotate\"\n[[log]]\npath = \"a\"\nbackups = 0",
        "rotate_at = \"never\"\n[[log]]\npath = \"a\"",
        "max_bytes = 0\non_start = \"append\"\n[[log]]\npath = \"a\"",
        "max_bytes = 5\n[[log]]\npath = \"a\"\nrotate_at = \"daily\"\nempty_files = true",
        "max_bytes = 5\nnames = \"dated\"\n[[log]]\npath = \"a\"\n",
        "segment = \"shm\"\nlock_dir = \"l\"\n[[log]]\npath = \"a\"\n[[log]]\npath = \"b\"",
    ] {
        assert!(load(fine).is_ok(), "{fine:?}: {:?}", load(fine).err());
    }
}

#[test]
fn a_link_to_a_log_is_the_same_log() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("a.log", dir.path().join("link")).unwrap();
    let text = format!("[[log]]\npath = \"{0}/a.log\"\n[[log]]\npath = \"{0}/link\"", dir.path().display());
    let said = load(&text).unwrap_err();
    assert!(said.len() == 1 && said[0].contains("is named at f:2 already"), "{said:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_said() {
    let load = |path: &Path| {
        let sources = Sources { from: From::File(path.into()), line: Settings::default(), variables: vec![] };
        sources.load().logs.unwrap_err().iter().map(Problem::to_string).collect::<Vec<_>>()
    };
    let dir = tempfile::tempdir().unwrap();
    let bytes = dir.path().join("f");
    std::fs::write(&bytes, b"# a\n\n\xff\n").unwrap();
    assert_eq!(load(&bytes), [format!("{}:3: not UTF-8, so not TOML", bytes.display())]);
    for (path, says) in [
        (dir.path().join("none"), "No such file"),
        (dir.path().to_owned(), "Is a directory"),
        (PathBuf::from("/dev/zero"), "more than 1048576 bytes"),
    ] {
        let said = load(&path);
        assert!(said.len() == 1 && said[0].contains(says), "{said:?}");
    }
}

#[test]
fn the_environment_is_read_strictly_where_it_is_meant_for_us() {
    let all = variables(&[
        ("CRLOG_MAX_BYTES", "10 MB"),
        ("CRLOG_DURABLE", ""),
        ("CRLOG_FSYNC", "always"),
        ("CRLOG_MAX_BITES", "1"),
        ("CRLOG_PATH", "/x"),
        ("CRLOG_FROBNICATE", "1"),
        ("CRLOG_TEST_ROLE", "x"),
        ("CRLOG_BENCH_DIR", "x"),
        ("MAX_BYTES", "x"),
        ("crlog_max_bytes", "x"),
    ]);
    let said = environment::read(&all);
    assert_eq!(said.settings.keys().collect::<Vec<_>>(), ["max_bytes"]);
    assert_eq!(value(&said.settings, "max_bytes"), Some(Value::Number(10_000_000)));
    let problems: Vec<String> = said.problems.iter().map(Problem::to_string).collect();
    assert_eq!(problems, ["CRLOG_FSYNC: use none, batch, or interval:TIME such as interval:1s"]);
    assert_eq!(said.warnings.len(), 3);
    for (warning, says) in
        said.warnings.iter().zip(["did you mean CRLOG_MAX_BYTES?", "in the file", "is ignored"])
    {
        assert!(warning.ends_with(says) || warning.contains(says), "{warning}");
    }
}

#[test]
fn an_argument_can_take_back_what_the_file_says() {
    let line = settings_of_line(&["--durable=no", "-v", "--index"]);
    let said = texts(&line.over(&in_file("durable = true\nindex = false").unwrap().top));
    assert_eq!(said, ["durable = false", "index = true", "verbose = true"]);
}

#[test]
fn the_nearest_key_is_meant() {
    for (name, key) in [
        ("max-bytes", "max_bytes"),
        ("maxBytes", "max_bytes"),
        ("backup", "backups"),
        ("sync", "fsync"),
        ("lockdir", "lock_dir"),
        ("when_ful", "when_full"),
        ("pth", "path"),
    ] {
        assert_eq!(meant(name), Some(key), "{name}");
    }
    assert_eq!(meant("xyzzy"), None);
}

fn origin(line: usize) -> Origin {
    Origin::File("f".into(), line)
}

/// What is shown is read again as the same.
fn assert_fed_back(logs: &[LogConfig]) {
    let shown = show::file(logs);
    let again = file::read("f", &shown, Path::new("/other")).unwrap_or_else(|e| panic!("{e:?} in\n{shown}"));
    let path = |path: &Path| std::path::absolute(path).unwrap();
    let of = |settings: &Settings, p: &Path| (path(p), texts(settings));
    let was: Vec<_> = logs.iter().map(|log| of(&log.settings, &log.path)).collect();
    let is: Vec<_> = again.logs.iter().map(|log| of(&log.settings, &log.path)).collect();
    assert_eq!(is, was, "{shown}");
    assert_eq!(again.top.keys().count(), 0);
}

#[test]
fn what_is_shown_can_be_fed_back() {
    let all: String = KEYS.iter().map(|key| format!("{} = {}\n", key.name, key.example)).collect();
    let text = format!(
        "{all}[[log]]\npath = \"a\"\n[[log]]\npath = \"b \\\" c\"\nsegment = \"shm\"\nwhen_full.info = \"block\""
    );
    assert_fed_back(&load(&text).unwrap());
    assert_fed_back(&load("[[log]]\npath = \"/a\"").unwrap());
    let odd = LogConfig { origin: origin(7), ..load("[[log]]\npath = \"/a\"").unwrap().remove(0) };
    assert!(show::file(&[odd]).contains(" # f:7\n"));
}

#[test]
fn no_text_is_an_odd_one_out() {
    for depth in [10, 100, 100_000] {
        drop(read(&format!("a = {}", "[".repeat(depth))));
        drop(read(&"[a.".repeat(depth)));
        drop(read(&format!("a{} = 1", ".a".repeat(depth))));
    }
    drop(read(&"x".repeat(1 << 20)));
    drop(read(&"\n=".repeat(1 << 16)));
}

/// Pieces of configurations, and what may stand between them.
fn pieces() -> impl Strategy<Value = String> {
    let names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    let values: Vec<&str> = KEYS.iter().map(|key| key.example).collect();
    let piece = prop_oneof![
        3 => prop::sample::select(names).prop_map(String::from),
        3 => prop::sample::select(values).prop_map(String::from),
        4 => prop::sample::select(vec![" = ", "\n", "[[log]]\n", "path = \"a\"\n", "[", "]", "{", "}", "\"", "'", ",", "."])
            .prop_map(String::from),
        1 => "\\PC{0,6}",
        1 => any::<i64>().prop_map(|n| n.to_string()),
        1 => any::<f64>().prop_map(|n| n.to_string()),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|all| all.concat())
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_in_single_lines(text in prop_oneof![pieces(), any::<String>()]) {
        match read(&text) {
            Ok(layers) => {
                for table in &layers.logs {
                    let settings = table.settings.over(&layers.top);
                    assert_fed_back(&[LogConfig::new(&table.path, table.origin.clone(), settings)]);
                }
                prop_assert!(!layers.logs.is_empty());
            }
            Err(said) => {
                prop_assert!(!said.is_empty());
                let lines = text.bytes().filter(|b| *b == b'\n').count() + 1;
                for one in said {
                    let line = one.strip_prefix("f:").and_then(|rest| rest.split(':').next()).and_then(|n| n.parse::<usize>().ok());
                    prop_assert!(line.is_some_and(|line| (1..=lines).contains(&line)), "{one:?}");
                }
            }
        }
    }

    #[test]
    fn any_value_of_any_key_is_read_alike_in_a_file_and_in_the_environment(i in 0..KEYS.len(), text in "[^\\x00]{1,12}") {
        let key = &KEYS[i];
        let said = environment::read(&variables(&[(&key.variable(), &text)]));
        let file = in_file(&format!("{} = {}", key.name, quoted(&text)));
        prop_assert_eq!(said.problems.is_empty(), file.is_ok(), "{:?}", file);
    }

    #[test]
    fn any_path_comes_through(name in "[^/\\x00]{1,20}") {
        prop_assume!(name != "." && name != "..");
        let path = Path::new("/nowhere").join(&name);
        let layers = read(&format!("[[log]]\npath = {}", quoted(&path.display().to_string())));
        prop_assert_eq!(&layers.unwrap().logs[0].path, &path);
    }
}
