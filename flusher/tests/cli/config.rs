//! `crlog-flusher --config`: real sidecars of several logs, real signals.

use super::common::*;
use crlog::{KIB, Options, WhenFull};
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const TABLE: &str = "\n[[log]]\npath = ";

/// A directory with a configuration and logs `a`, `b`, `c`. At the end nothing of them may be left in memory.
struct Site(tempfile::TempDir);

impl Site {
    /// With this configuration, in which `LOG a` begins the table of log `a`.
    fn new(config: &str) -> Site {
        let site = Site(tempfile::tempdir().unwrap());
        site.write(config);
        site
    }

    fn dir(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    fn config(&self) -> PathBuf {
        self.dir().join("crlog.toml")
    }

    fn log(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// At once: whoever reads it meanwhile sees the old one or the new one.
    fn write(&self, config: &str) {
        let lines = config.lines().map(|line| match line.strip_prefix("LOG ") {
            Some(name) => format!("{TABLE}\"{name}\"\n"),
            None => format!("{line}\n"),
        });
        std::fs::write(self.dir().join("new"), lines.collect::<String>()).unwrap();
        std::fs::rename(self.dir().join("new"), self.config()).unwrap();
    }

    fn command(&self, args: &str) -> Command {
        let mut command = Command::new(FLUSHER);
        command.arg("--config").arg(self.config()).args(args.split_whitespace()).current_dir("/");
        command
    }

    /// A sidecar whose standard error goes to a file, so that it can be read while it runs.
    fn start(&self, args: &str) -> Running {
        let said =
            std::fs::OpenOptions::new().append(true).create(true).open(self.dir().join("said")).unwrap();
        Running::spawn_with(self.command(args).stderr(Stdio::from(said)))
    }

    /// The same, and it is at work on these logs.
    fn at_work(&self, args: &str, logs: &[&str]) -> Running {
        let sidecar = self.start(args);
        logs.iter().for_each(|log| self.until_written(log));
        sidecar
    }

    fn until_written(&self, log: &str) {
        eventually(&format!("a sidecar is at work on {log}"), || self.has_sidecar(log));
    }

    fn stats(&self, log: &str) -> Option<crlog::Stats> {
        Options::new(self.log(log)).attach().ok().map(|open| open.stats().unwrap())
    }

    fn flusher(&self, log: &str) -> Option<crlog::FlusherInfo> {
        self.stats(log)?.flusher
    }

    fn has_sidecar(&self, log: &str) -> bool {
        self.flusher(log).is_some_and(|f| f.sidecar)
    }

    /// What was said so far, without the directory's name.
    fn said(&self) -> String {
        let text = std::fs::read_to_string(self.dir().join("said")).unwrap();
        text.replace(&format!("{}/", self.dir().display()), "")
    }

    fn until_said(&self, what: &str) {
        eventually(what, || self.said().contains(what));
    }

    fn check(&self, args: &str) -> Output {
        Running::spawn(self.command(args).arg("--check")).end(b"")
    }

    fn append(&self, log: &str, line: &str) {
        let log = Options::new(self.log(log)).flusher_thread(false).open().unwrap();
        log.writer().unwrap().append(line.as_bytes()).unwrap();
        log.flush(Duration::from_secs(20)).unwrap();
    }

    fn read(&self, log: &str) -> String {
        std::fs::read_to_string(self.log(log)).unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for log in ["a", "b", "c"].map(|log| self.log(log)) {
            if std::thread::panicking() {
                // The last one out removes what a killed sidecar has left.
                drop(Options::new(&log).open());
            } else {
                assert_eq!(segments_of(&log), Vec::<PathBuf>::new(), "{} is left behind", log.display());
            }
        }
    }
}

fn end(mut sidecar: Running, status: i32) {
    sidecar.signal(Signal::TERM);
    assert_eq!(sidecar.end(b"").status.code(), Some(status));
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn each_log_is_written_as_its_table_says_and_term_drains_all() {
    let site = Site::new("mode = \"0600\"\nLOG a\nLOG b\nterminator = \"nul\"\nmode = \"0644\"");
    let mut sidecar = site.at_work("", &["a", "b"]);
    site.append("a", "in a");
    sidecar.signal(Signal::STOP);
    for log in ["a", "b"] {
        let mut pipe = Running::spawn(Command::new(CRLOG).arg("pipe").arg(site.log(log)));
        pipe.type_in(b"last\n");
        eventually("it waits in the ring", || site.stats(log).is_some_and(|s| s.lag_records == 1));
        drop(pipe);
    }
    sidecar.signal(Signal::CONT);
    end(sidecar, 0);
    assert_eq!((site.read("a").as_str(), site.read("b").as_str()), ("in a\nlast\n", "last\0"));
    assert_eq!(site.said(), "");
    let mode = |log| std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(site.log(log)).unwrap()) & 0o777;
    assert_eq!((mode("a"), mode("b")), (0o600, 0o644));
}

#[test]
fn usr1_rotates_all_and_hup_makes_new_files_of_all_after_mv() {
    let site = Site::new("backups = 2\nLOG a\nLOG b");
    let mut sidecar = site.at_work("", &["a", "b"]);
    ["a", "b"].iter().for_each(|log| site.append(log, "first"));
    sidecar.signal(Signal::USR1);
    for log in ["a", "b"] {
        eventually("it is rotated", || site.log(&format!("{log}.1")).exists());
        site.append(log, "second");
        std::fs::rename(site.log(log), site.log(&format!("moved-{log}"))).unwrap();
    }
    sidecar.signal(Signal::HUP);
    for log in ["a", "b"] {
        eventually("there is a new file", || site.log(log).exists());
        site.append(log, "third");
    }
    end(sidecar, 0);
    for log in ["a", "b"] {
        let all = [format!("{log}.1"), format!("moved-{log}"), log.into()].map(|name| site.read(&name));
        assert_eq!(all, ["first\n", "second\n", "third\n"]);
    }
    assert_eq!(site.said(), "", "nothing was changed");
}

#[test]
fn a_log_that_cannot_be_opened_keeps_no_other_from_running_and_is_tried_again() {
    let site = Site::new("LOG a\nLOG missing/c");
    let sidecar = site.at_work("", &["a"]);
    site.until_said("missing/c: error: cannot use missing/c as a log file: its directory does not exist; trying again in 100.0 ms");
    site.append("a", "goes on");
    assert_eq!(site.read("a"), "goes on\n");
    std::fs::create_dir(site.log("missing")).unwrap();
    site.until_written("missing/c");
    site.until_said("missing/c: it is open now");
    site.append("missing/c", "now");
    end(sidecar, 0);
    assert_eq!(site.read("missing/c"), "now\n");
    assert_eq!(segments_of(&site.log("missing/c")), Vec::<PathBuf>::new());
}

#[test]
fn the_soft_limit_of_open_files_is_no_limit_for_it() {
    let site = Site::new("LOG a\nLOG b\nLOG c");
    let said = std::fs::File::create(site.log("said")).unwrap();
    let limited = "ulimit -S -n 16; exec \"$0\" --config \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", limited, FLUSHER]).arg(site.config()).stderr(Stdio::from(said));
    let sidecar = Running::spawn_with(&mut command);
    ["a", "b", "c"].iter().for_each(|log| site.until_written(log));
    end(sidecar, 0);
    assert_eq!(site.said(), "");
}

#[test]
fn a_log_that_could_not_be_opened_until_the_end_makes_the_status_1() {
    let site = Site::new("LOG a\nLOG missing/c");
    let sidecar = site.at_work("", &["a"]);
    site.until_said("trying again in");
    end(sidecar, 1);
}

#[test]
fn a_log_that_cannot_be_drained_makes_the_status_1_and_its_records_are_kept() {
    let site = Site::new("LOG a\nLOG sub/c");
    std::fs::create_dir(site.log("sub")).unwrap();
    let mut sidecar = site.at_work("", &["a", "sub/c"]);
    sidecar.signal(Signal::STOP);
    let mut pipe = Running::spawn(Command::new(CRLOG).arg("pipe").arg(site.log("sub/c")));
    pipe.type_in(b"in c\n");
    eventually("it waits in the ring", || site.stats("sub/c").is_some_and(|s| s.lag_records == 1));
    drop(pipe);
    std::fs::rename(site.log("sub"), site.log("away")).unwrap();
    sidecar.signal(Signal::CONT);
    end(sidecar, 1);
    site.until_said("sub/c: stopped with records left in memory");
    std::fs::rename(site.log("away"), site.log("sub")).unwrap();
    drop(Options::new(site.log("sub/c")).open().unwrap());
    assert_eq!(site.read("sub/c"), "in c\n");
    assert_eq!(segments_of(&site.log("sub/c")), Vec::<PathBuf>::new());
}

#[test]
fn hup_starts_what_is_new_and_drains_and_leaves_what_is_gone() {
    let site = Site::new("LOG a\nLOG b");
    let mut sidecar = site.at_work("-v", &["a", "b"]);
    let of_a = site.flusher("a").unwrap();
    site.append("b", "in b");
    site.write("LOG a\nLOG c");
    sidecar.signal(Signal::HUP);
    site.until_said("c: new in the configuration: started");
    site.until_written("c");
    site.until_said("b: left: it is not in the configuration any more");
    assert_eq!(segments_of(&site.log("b")), Vec::<PathBuf>::new(), "the last one out cleans up");
    assert_eq!(site.read("b"), "in b\n");
    site.append("c", "in c");
    site.write("LOG a\nLOG b");
    sidecar.signal(Signal::HUP);
    site.until_written("b");
    assert_eq!(site.flusher("a").unwrap().epoch, of_a.epoch, "nothing happened to it");
    end(sidecar, 0);
    assert_eq!(site.read("c"), "in c\n");
}

#[test]
fn hup_changes_what_can_be_changed_and_says_when_the_rest_takes_effect() {
    let site = Site::new("ring_size = \"1 MiB\"\nbackups = 1\nLOG a\nLOG b");
    let mut sidecar = site.at_work("", &["a", "b"]);
    let log = Options::new(site.log("a")).flusher_thread(false).open().unwrap();
    assert_eq!(log.stats().unwrap().live.when_full, [WhenFull::Block; 6]);
    site.write("ring_size = \"1 MiB\"\nbackups = 3\nescape = \"lines\"\nwhen_full = \"drop\"\nLOG a\nwhen_full.error = \"block\"\nreserve = \"100 kB\"\nLOG b");
    sidecar.signal(Signal::HUP);
    eventually("it is changed", || log.stats().unwrap().live.reserve_bytes == 112 * KIB);
    let policies =
        [WhenFull::Drop, WhenFull::Drop, WhenFull::Drop, WhenFull::Drop, WhenFull::Block, WhenFull::Drop];
    assert_eq!(log.stats().unwrap().live.when_full, policies);
    site.until_said("b: escape takes effect when all processes of the log have ended");
    site.until_said("a: escape takes effect when all processes of the log have ended");
    site.until_said("a: backups = 3 holds now");
    site.until_said("b: backups = 3 holds now");
    assert_eq!(log.stats().unwrap().backups, 3);
    site.until_said("a: reserve = 100000 holds now");
    site.until_said("b: when_full = \"drop\" holds now");
    assert_eq!(site.said().lines().count(), 7, "{}", site.said());
    site.write("ring_size = \"1 MiB\"\nescape = \"lines\"\nLOG a\nwhen_full.error = \"block\"\nreserve = \"100 kB\"\nLOG b");
    sidecar.signal(Signal::HUP);
    site.until_said("a: backups takes effect when all processes of the log have ended");
    site.until_said("b: when_full = \"block\" holds now");
    assert_eq!((log.stats().unwrap().backups, log.stats().unwrap().live.reserve_bytes), (3, 112 * KIB));
    site.write("ring_size = \"1 MiB\"\nbackups = 3\nLOG a\nreserve = \"600 KiB\"\nLOG b");
    let refused = "the configuration is refused as a whole, what held before goes on";
    sidecar.signal(Signal::HUP);
    site.until_said(refused);
    site.until_said("crlog.toml:6: ring_size and reserve: a reserve of 614400 bytes is not possible");
    assert_eq!(log.stats().unwrap().live.reserve_bytes, 112 * KIB);
    drop(log);
    end(sidecar, 0);
}

#[test]
fn a_configuration_that_is_wrong_is_refused_as_a_whole_and_the_old_one_goes_on() {
    let site = Site::new("LOG a");
    let mut sidecar = site.at_work("", &["a"]);
    site.write("backup = 3\nLOG b\nmode = 640");
    sidecar.signal(Signal::HUP);
    site.until_said("the configuration is refused as a whole, what held before goes on");
    let said = site.said();
    for (line, says) in
        said.lines().zip(["crlog.toml:1: backup: not a key: did you mean backups?", "crlog.toml:5: mode: "])
    {
        assert!(line.starts_with(&format!("crlog-flusher: {says}")), "{said}");
    }
    assert_eq!(said.lines().count(), 3);
    site.append("a", "goes on");
    assert!(site.has_sidecar("a") && !site.has_sidecar("b"));
    site.write("LOG a\nLOG b");
    sidecar.signal(Signal::HUP);
    site.until_written("b");
    end(sidecar, 0);
    assert_eq!(site.read("a"), "goes on\n");
}

#[test]
fn verbose_is_changed_live_for_one_log() {
    let site = Site::new("backups = 9\nLOG a\nLOG b");
    let mut sidecar = site.at_work("", &["a", "b"]);
    site.write("backups = 9\nLOG a\nverbose = true\nLOG b");
    sidecar.signal(Signal::HUP);
    site.until_said("a: verbose = true holds now");
    ["a", "b"].iter().for_each(|log| site.append(log, "line"));
    sidecar.signal(Signal::USR1);
    site.until_said("a: rotated at 5 B");
    end(sidecar, 0);
    assert!(!site.said().contains("b: "), "{}", site.said());
}

#[test]
fn a_log_that_is_gone_and_back_while_it_drains_is_written_again() {
    let site = Site::new("LOG a\nLOG b");
    let mut sidecar = site.at_work("", &["a", "b"]);
    for _ in 0..5 {
        site.write("LOG a");
        sidecar.signal(Signal::HUP);
        site.write("LOG a\nLOG b");
        sidecar.signal(Signal::HUP);
    }
    site.until_written("b");
    site.append("b", "still");
    sidecar.signal(Signal::HUP);
    site.until_written("b");
    end(sidecar, 0);
    assert_eq!(site.read("b"), "still\n");
}

#[test]
fn the_environment_and_the_command_line_are_stronger_than_the_file() {
    let site = Site::new("backups = 1\nmode = \"0640\"\nLOG a\nbackups = 2");
    let shown = |args: &str, variables: &[(&str, &str)]| {
        let output =
            Running::spawn(site.command(args).arg("--check").envs(variables.iter().copied())).end(b"");
        (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
            output.status.code(),
        )
    };
    let (out, err, status) = shown("", &[("CRLOG_MODE", "0600")]);
    assert_eq!((err.as_str(), status), ("", Some(0)));
    assert!(out.contains("backups = 2 ") && out.contains("mode = \"0600\" "), "{out}");
    let (out, err, _) =
        shown("--backups 4", &[("CRLOG_BACKUPS", "3"), ("CRLOG_BACKUP", "3"), ("CRLOG_TEST_ROLE", "x")]);
    assert!(out.contains("backups = 4 ") && out.contains("mode = \"0640\" "), "{out}");
    assert_eq!(err.lines().count(), 1);
    assert!(
        err.contains("warning: CRLOG_BACKUP is in the environment") && err.contains("CRLOG_BACKUPS?"),
        "{err}"
    );
    let (out, err, status) = shown("", &[("CRLOG_MAX_BYTES", "1.5 MB"), ("CRLOG_BACKUP", "3")]);
    assert_eq!((out.as_str(), status), ("", Some(2)));
    assert!(err.contains("CRLOG_MAX_BYTES: no fractions") && err.contains("warning: CRLOG_BACKUP "), "{err}");
}

#[test]
fn the_plain_form_obeys_the_environment() {
    let place = Place::new();
    let mut command = Command::new(FLUSHER);
    command
        .env("CRLOG_MAX_BYTES", "1 kB")
        .env("CRLOG_BACKUPS", "2")
        .env("CRLOG_VERBOSE", "yes")
        .arg(place.log());
    let mut sidecar = Running::spawn(&mut command);
    place.until("it is at work", |s| s["flusher"]["sidecar"] == true);
    let log = Options::new(place.log()).max_bytes(1000).backups(2).flusher_thread(false).open().unwrap();
    assert_eq!(log.differences().unwrap(), []);
    assert_eq!(Options::new(place.log()).max_bytes(7).attach().unwrap().differences().unwrap().len(), 1);
    drop(log);
    sidecar.signal(Signal::TERM);
    let said = stderr(&sidecar.end(b""));
    assert!(said.contains("crlog-flusher: writing the file") && said.contains("stopped"), "{said}");
}

#[test]
fn what_check_shows_does_the_same_when_it_is_fed_back() {
    let site = Site::new(
        "max_bytes = \"10 MB\"\nbackups = 5\nsegment = \"shm\"\nLOG a\nwhen_full = { debug = \"drop\" }\nLOG b",
    );
    let first = site.check("--fsync interval:1500ms");
    assert_ended(&first, 0, "");
    let text = String::from_utf8(first.stdout).unwrap();
    site.write(&text);
    let second = site.check("");
    assert_ended(&second, 0, "");
    let settings = |text: &str| -> Vec<String> {
        text.lines()
            .map(|line| line.rsplit_once(" # ").map_or(line, |(said, _)| said).trim_end().to_owned())
            .collect()
    };
    let again = String::from_utf8(second.stdout).unwrap();
    assert_eq!(settings(&again), settings(&text));
    assert!(
        text.contains("fsync = \"interval:1500ms\"") && text.contains(&site.log("b").display().to_string()),
        "{text}"
    );
    assert!(segments_of(&site.log("a")).is_empty() && !site.log("a").exists(), "nothing is opened");
}

#[test]
fn the_plain_form_is_checked_alike() {
    let place = Place::new();
    let said = place.run(FLUSHER, "--check --max-bytes 10MB --backups 5", b"");
    assert_ended(&said, 0, "");
    let text = String::from_utf8(said.stdout).unwrap();
    let begins = format!("[[log]]\npath = \"{}\" ", place.log().display());
    assert!(text.starts_with(&begins) && text.contains("\nmax_bytes = 10000000 "), "{text}");
    assert_ended(
        &place.run(FLUSHER, "--check --rotate-at daily --names numbered --backups 0", b""),
        2,
        "--backups",
    );
    assert!(!place.log().exists() && segments_of(&place.log()).is_empty());
}

#[test]
fn check_says_what_stands_against_it_in_this_place() {
    let site = Site::new(
        "LOG missing/a\nLOG b\nsegment = \"missing/ring\"\nLOG c\nlock_dir = \"file/locks\"\nLOG dir",
    );
    std::fs::write(site.log("file"), "").unwrap();
    std::fs::create_dir(site.log("dir")).unwrap();
    let said = site.check("");
    assert_eq!(said.status.code(), Some(1));
    let text = stderr(&said).replace(&format!("{}/", site.dir().display()), "");
    let wants = [
        "crlog.toml:3: path: missing/a: its directory does not exist",
        "crlog.toml:7: segment: missing/ring: its directory does not exist",
        "crlog.toml:11: lock_dir: file is not a directory",
        "crlog.toml:14: path: dir: is a directory",
    ];
    let lines: Vec<&str> = text.lines().map(|line| line.trim_start_matches("crlog-flusher: ")).collect();
    assert_eq!(lines, wants);
    assert_eq!(String::from_utf8(said.stdout).unwrap().matches("[[log]]").count(), 4);
}

#[test]
fn a_wrong_configuration_ends_it_with_2_and_all_that_is_wrong() {
    let site = Site::new("max_bytez = 1\nLOG a\nbackups = \"x\"\nLOG a");
    for args in ["", "--check"] {
        let said = Running::spawn(&mut site.command(args)).end(b"");
        assert_eq!((said.status.code(), stderr(&said).lines().count()), (Some(2), 2), "{}", stderr(&said));
        assert!(said.stdout.is_empty());
    }
    std::fs::remove_file(site.config()).unwrap();
    assert_ended(&Running::spawn(&mut site.command("")).end(b""), 2, "cannot read the configuration");
    assert_ended(&Running::spawn(site.command("").arg("x.log")).end(b""), 2, "cannot be used with");
    let many: String = (0..41)
        .map(|i| {
            format!(
                "x{i} = 1
"
            )
        })
        .collect();
    site.write(&format!("{many}LOG a"));
    let said = stderr(&Running::spawn(&mut site.command("")).end(b""));
    assert_eq!(said.lines().count(), 21);
    assert!(said.ends_with("crlog-flusher: and 21 more\n"), "{said}");
}

#[test]
fn check_names_the_line_of_a_template_that_is_not_possible() {
    let site = Site::new(
        "LOG a\nmax_bytes = 10\nbackups = 3\nnames = \"{stem}/{n}\"\nLOG b\nbackups = 3\nnames = \"{nam}.{n}\"\nLOG c\nnames = \"day\"",
    );
    let said = |site: &Site| {
        let said = site.check("");
        assert_eq!(said.status.code(), Some(2));
        stderr(&said).replace(&format!("{}/", site.dir().display()), "")
    };
    let assert_says = |text: String, wants: &[(&str, &str)]| {
        for (line, what) in wants {
            assert!(
                text.lines().any(|said| said.contains(line) && said.contains(what)),
                "{line}{what}: {text}"
            );
        }
        assert_eq!(text.lines().count(), wants.len(), "{text}");
    };
    let wants = [
        ("crlog.toml:6: names: ", "leave out slashes"),
        ("crlog.toml:11: names: ", "{nam} is not known: fields are"),
        ("crlog.toml:15: names: ", "use numbered, dated, or a template such as"),
    ];
    assert_says(said(&site), &wants);
    site.write("LOG a.7\nnames = \"a.{seq}\"\nLOG d\nbackups = 0\nrotate_at = \"daily\"\nnames = \"{stem}.{n}{ext}\"");
    let wants = [
        ("crlog.toml:4: names: ", "the log itself is called so"),
        ("crlog.toml:9: rotate_at", "needs backups, too"),
    ];
    assert_says(said(&site), &wants);
}

#[test]
fn archives_of_several_logs_are_called_by_their_templates() {
    let site = Site::new(
        "names = \"{stem}.{n}{ext}\"\nbackups = 3\nLOG a.log\nLOG b.log\nnames = \"{name} {seq}\"\nLOG c",
    );
    let mut sidecar = site.at_work("", &["a.log", "b.log", "c"]);
    for round in 0..2 {
        for log in ["a.log", "b.log", "c"] {
            let log = Options::new(site.log(log)).flusher_thread(false).open().unwrap();
            log.writer().unwrap().append(format!("{round}").as_bytes()).unwrap();
            log.flush(Duration::from_secs(20)).unwrap();
        }
        sidecar.signal(Signal::USR1);
        let name = ["a.1.log", "a.2.log"][round];
        eventually("all are rotated", || {
            let all = [name, ["b.log 1", "b.log 2"][round], ["c.1", "c.2"][round]];
            all.iter().all(|name| site.log(name).exists())
        });
    }
    let text = |name: &str| std::fs::read_to_string(site.log(name)).unwrap();
    assert_eq!(["a.1.log", "a.2.log", "b.log 1", "b.log 2"].map(text), ["1\n", "0\n", "0\n", "1\n"]);
    end(sidecar, 0);
}

#[test]
fn the_second_term_ends_it_at_once() {
    let site = Site::new("LOG a");
    let mut sidecar = site.at_work("", &["a"]);
    // A stopped process gets both at once.
    sidecar.signal(Signal::STOP);
    sidecar.signal(Signal::TERM);
    sidecar.signal(Signal::INT);
    sidecar.signal(Signal::CONT);
    let status = sidecar.end(b"").status;
    assert!(status.signal().is_none() && matches!(status.code(), Some(130 | 143)), "{status:?}");
    Options::new(site.log("a")).open().unwrap();
}

#[test]
fn the_example_of_the_documentation_is_a_configuration() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operating.md");
    let text = std::fs::read_to_string(docs).unwrap();
    let example = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let layers = crlog_flusher::config::file::read("example", example, Path::new("/etc")).unwrap();
    let mut said: Vec<&str> = layers.logs.iter().flat_map(|log| log.settings.keys()).collect();
    said.extend(layers.top.keys());
    for key in crlog_flusher::config::keys::KEYS {
        let comment = format!("# {} = ", key.name);
        assert!(said.contains(&key.name) || example.contains(&comment), "{} is not in the example", key.name);
    }
    // The comments are configurations as well.
    let keys = crlog_flusher::config::keys::KEYS;
    let all = example.lines().map(|line| match line.strip_prefix("# ") {
        Some(rest) if keys.iter().any(|key| rest.starts_with(&format!("{} = ", key.name))) => rest,
        _ => line,
    });
    let all: Vec<&str> = all.collect();
    crlog_flusher::config::file::read("example", &all.join("\n"), Path::new("/etc")).unwrap();
    let row = |key: &str| format!("| `--{} ", key.replace('_', "-"));
    for key in keys.iter().map(|key| key.name).filter(|key| *key != "verbose") {
        assert!(text.contains(row(key).trim_end()), "{key} is not in the table of options");
    }
}
