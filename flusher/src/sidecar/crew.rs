//! A sidecar for each log of a configuration, each on a thread of its own, and one thread that looks after them all.
//!
//! | found | done | exit status |
//! |---|---|---|
//! | a log cannot be opened, or its sidecar fails | told; tried again after 100 ms, doubling to 30 s, and at SIGHUP; the others go on | 1 if it is so at the end |
//! | SIGTERM, SIGINT | every sidecar drains its ring and ends | 1 if one could not |
//! | SIGUSR1 | every log is rotated | |
//! | SIGHUP | every file is opened anew if it was moved; the configuration is read again: [`super::reload`] | |

use super::repeats::Repeats;
use super::words::{Told, weight};
use crate::config::{LogConfig, Sources};
use crate::console::{Console, Failure};
use crate::signals::{self, Wish};
use crate::units::show_time;
use crlog::{Control, Options};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// When nothing is due.
const LONG: Duration = Duration::from_secs(3600);

const LEFT: &str = "left: it is not in the configuration any more";

/// What the thread that looks after all is told.
enum News {
    Wished(Wish),
    /// The sidecar of this number has the log open.
    Opened(u64),
    /// The sidecar of this number has ended, and why if it was not asked to.
    Ended(u64, Result<(), String>),
}

/// A thread with a sidecar.
pub(super) struct Worker {
    number: u64,
    control: Control,
    /// What it was told the log is to be.
    pub(super) config: LogConfig,
    /// How it opened the log.
    pub(super) options: Options,
    /// It has the log open.
    pub(super) open: bool,
}

/// What becomes of a log at this time.
pub(super) enum State {
    Running(Box<Worker>),
    /// Its sidecar was asked to end; then this log is to be started, if any.
    Leaving(Box<Worker>, Option<Box<LogConfig>>),
    /// It could not be opened, and is tried again then.
    Waiting(Instant),
}

pub(super) struct Member {
    pub(super) config: LogConfig,
    pub(super) state: State,
    /// Everything is told; may change while it runs.
    pub(super) verbose: Arc<AtomicBool>,
    pause: Duration,
    /// The last failure that was told; empty if there is none.
    told: String,
}

impl Member {
    /// The same log, whatever it is to be.
    pub(super) fn is(&self, other: &LogConfig) -> bool {
        self.config.real == other.real || self.config.path == other.path
    }

    fn worker(&self) -> Option<&Worker> {
        match &self.state {
            State::Running(worker) | State::Leaving(worker, _) => Some(worker),
            State::Waiting(_) => None,
        }
    }
}

/// All logs of a process.
pub(super) struct Crew {
    pub(super) sources: Sources,
    pub(super) members: Vec<Member>,
    pub(super) console: Console,
    news: Sender<News>,
    next: u64,
    stopping: bool,
    failed: bool,
}

/// Runs until a signal ends all of them.
pub fn run(sources: Sources, logs: Vec<LogConfig>, console: Console) -> Result<u8, Failure> {
    let (news, heard) = mpsc::channel();
    let wishes = news.clone();
    let failed = |e: std::io::Error| Failure::failed(format!("signals cannot be handled: {e}"));
    // Nobody hears it only when all have ended.
    signals::listen(move |wish| drop(wishes.send(News::Wished(wish)))).map_err(failed)?;
    crlog::Sidecar::explain_bus_errors().map_err(failed)?;
    crate::paths::allow_all_open_files();
    let members = Vec::new();
    let mut crew = Crew { sources, members, console, news, next: 0, stopping: false, failed: false };
    logs.into_iter().for_each(|log| crew.add(log));
    crew.work(&heard);
    Ok(u8::from(crew.failed))
}

impl Crew {
    /// Starts a log that nobody has yet.
    pub(super) fn add(&mut self, config: LogConfig) {
        let verbose = Arc::new(AtomicBool::new(config.is_verbose()));
        let state = State::Waiting(Instant::now());
        self.members.push(Member { config, state, verbose, pause: PAUSE_MIN, told: String::new() });
        self.start(self.members.len() - 1);
    }

    pub(super) fn say(&self, log: &LogConfig, text: &str) {
        say(self.console, log, text);
    }

    fn work(&mut self, heard: &Receiver<News>) {
        while !(self.stopping && self.members.is_empty()) {
            let now = Instant::now();
            let due = self.members.iter().filter_map(|m| match m.state {
                State::Waiting(until) => Some(until.saturating_duration_since(now)),
                _ => None,
            });
            match heard.recv_timeout(due.min().unwrap_or(LONG)) {
                Ok(News::Wished(wish)) => self.wish(wish),
                Ok(News::Opened(number)) => self.opened(number),
                Ok(News::Ended(number, result)) => self.ended(number, result),
                Err(RecvTimeoutError::Timeout) => {}
                // Cannot be: we have a sender ourselves.
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.start_due();
        }
    }

    fn wish(&mut self, wish: Wish) {
        match wish {
            Wish::Stop => self.stop(),
            Wish::Rotate => self.running().for_each(|worker| worker.control.rotate()),
            Wish::Reopen if self.stopping => {}
            Wish::Reopen => {
                self.running().for_each(|worker| worker.control.reopen());
                self.reload();
                self.try_now();
            }
        }
    }

    fn running(&self) -> impl Iterator<Item = &Worker> {
        self.members
            .iter()
            .filter_map(|m| if let State::Running(worker) = &m.state { Some(&**worker) } else { None })
    }

    fn stop(&mut self) {
        self.stopping = true;
        for member in &mut self.members {
            if let State::Leaving(_, next) = &mut member.state {
                *next = None;
            }
        }
        self.running().for_each(|worker| worker.control.stop());
        let waiting = |m: &Member| matches!(m.state, State::Waiting(_));
        self.failed |= self.members.iter().any(waiting);
        self.members.retain(|m| !waiting(m));
    }

    /// Asks a log's sidecar to end, and has this one take its place then, if any.
    pub(super) fn leave(&mut self, i: usize, next: Option<LogConfig>) {
        let Some(member) = self.members.get_mut(i) else { return };
        match std::mem::replace(&mut member.state, State::Waiting(Instant::now())) {
            State::Waiting(_) => {
                let member = self.members.remove(i);
                self.say(&member.config, LEFT);
            }
            State::Running(worker) | State::Leaving(worker, _) => {
                worker.control.stop();
                member.state = State::Leaving(worker, next.map(Box::new));
            }
        }
    }

    /// Whoever waits for his next try has it now.
    fn try_now(&mut self) {
        for member in &mut self.members {
            if let State::Waiting(until) = &mut member.state {
                (*until, member.pause) = (Instant::now(), PAUSE_MIN);
            }
        }
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        for i in 0..self.members.len() {
            if self.members.get(i).is_some_and(|m| matches!(m.state, State::Waiting(until) if until <= now)) {
                self.start(i);
            }
        }
    }

    fn start(&mut self, i: usize) {
        self.next += 1;
        let number = self.next;
        let Some(member) = self.members.get_mut(i) else { return };
        let control = Control::default();
        let job = Job {
            config: member.config.clone(),
            verbose: Arc::clone(&member.verbose),
            control: control.clone(),
            console: self.console,
        };
        let (config, options) = (member.config.clone(), member.config.options());
        member.state = State::Running(Box::new(Worker { number, control, config, options, open: false }));
        let news = self.news.clone();
        let thread = std::thread::Builder::new().name("sidecar".into()).spawn(move || {
            let opened = || drop(news.send(News::Opened(number)));
            let result = catch_unwind(AssertUnwindSafe(|| job.run(opened)))
                .unwrap_or_else(|_| Err("its thread ended by a fault of crlog".into()));
            drop(news.send(News::Ended(number, result)));
        });
        if let Err(e) = thread {
            self.ended(number, Err(format!("cannot start a thread: {e}")));
        }
    }

    fn find(&self, number: u64) -> Option<usize> {
        self.members.iter().position(|m| m.worker().is_some_and(|worker| worker.number == number))
    }

    fn opened(&mut self, number: u64) {
        let Some(i) = self.find(number) else { return };
        let Some(member) = self.members.get_mut(i) else { return };
        if !member.told.is_empty() {
            say(self.console, &member.config, "it is open now");
        }
        (member.pause, member.told) = (PAUSE_MIN, String::new());
        if let State::Running(worker) = &mut member.state {
            worker.open = true;
        }
        self.catch_up(i);
    }

    fn ended(&mut self, number: u64, result: Result<(), String>) {
        let Some(i) = self.find(number) else { return };
        let Some(member) = self.members.get_mut(i) else { return };
        if let State::Leaving(_, next) = &mut member.state {
            let next = next.take();
            let member = self.members.remove(i);
            let end = result.err().unwrap_or_else(|| LEFT.into());
            self.say(&member.config, &end);
            next.into_iter().for_each(|config| self.add(*config));
            return;
        }
        if self.stopping {
            let member = self.members.remove(i);
            if let Err(why) = result {
                self.failed = true;
                self.say(&member.config, &why);
            }
            return;
        }
        let why = result.err().unwrap_or_else(|| "its sidecar ended without being asked to".into());
        member.state = State::Waiting(Instant::now() + member.pause);
        let text = format!("error: {why}; trying again in {}", show_time(member.pause));
        // At last each time is as long as the one before: told once.
        if member.told != text {
            say(self.console, &member.config, &text);
        }
        member.told = text;
        member.pause = (member.pause * 2).min(PAUSE_MAX);
    }
}

fn say(console: Console, log: &LogConfig, text: &str) {
    console.err(&format!("{}: {text}", log.path.display()));
}

/// What a thread does.
struct Job {
    config: LogConfig,
    verbose: Arc<AtomicBool>,
    control: Control,
    console: Console,
}

impl Job {
    fn run(self, opened: impl FnOnce()) -> Result<(), String> {
        let Job { config, verbose, control, console } = self;
        let mut sidecar = config.options().sidecar().map_err(|e| e.to_string())?;
        opened();
        for difference in sidecar.differences().map_err(|e| e.to_string())? {
            say(console, &config, &format!("warning: the log is open already: {difference}"));
        }
        let mut repeats = Repeats::default();
        sidecar.on_event(move |event| {
            let told = if verbose.load(Relaxed) { Told::All } else { Told::Warnings };
            if weight(&event) >= told
                && let Some(line) = repeats.line(&event, Instant::now())
            {
                say(console, &config, &line);
            }
        });
        sidecar.run(&control).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::config::From;
    use crate::config::settings::Settings;
    use crlog::KIB;

    /// A crew of one log, whose sidecar is played by the test.
    struct Tested {
        file: std::path::PathBuf,
        crew: Crew,
        _heard: Receiver<News>,
    }

    impl Tested {
        fn new(dir: &std::path::Path, table: &str) -> Tested {
            let file = dir.join("f.toml");
            write(&file, table);
            let from = From::File(file.clone());
            let sources = Sources { from, line: Settings::default(), variables: vec![] };
            let config = sources.load().logs.unwrap().remove(0);
            let (news, heard) = mpsc::channel();
            let (control, options) = (Control::default(), config.options());
            let worker = Worker { number: 1, control, config: config.clone(), options, open: false };
            let member = Member {
                config,
                state: State::Running(Box::new(worker)),
                verbose: Arc::default(),
                pause: PAUSE_MIN,
                told: String::new(),
            };
            let console = Console::new("test");
            let (next, stopping, failed) = (2, false, false);
            let crew = Crew { sources, members: vec![member], console, news, next, stopping, failed };
            Tested { file, crew, _heard: heard }
        }

        fn open(&mut self) {
            self.crew.opened(1);
        }

        fn reload(&mut self, table: &str) {
            write(&self.file, table);
            self.crew.wish(Wish::Reopen);
        }
    }

    fn write(file: &std::path::Path, table: &str) {
        std::fs::write(file, format!("[[log]]\npath = \"a\"\n{table}")).unwrap();
    }

    #[test]
    fn what_is_changed_while_a_log_is_being_opened_holds_once_it_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut crew = Tested::new(dir.path(), "");
        let log = Options::new(&path).ring_bytes(1024 * KIB).open().unwrap();
        let before = log.stats().unwrap().live.reserve_bytes;
        crew.reload("reserve = \"96 KiB\"");
        crew.reload("reserve = \"128 KiB\"\nverbose = true");
        assert_eq!(log.stats().unwrap().live.reserve_bytes, before);
        assert!(crew.crew.members[0].verbose.load(Relaxed));
        crew.open();
        assert_eq!(log.stats().unwrap().live.reserve_bytes, 128 * KIB);
        crew.reload("reserve = \"192 KiB\"");
        assert_eq!(log.stats().unwrap().live.reserve_bytes, 192 * KIB, "at once when it is open");
    }

    #[test]
    fn a_change_of_the_times_leaves_the_names_as_the_file_says() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let log = Options::new(&path).open().unwrap();
        let has = |name: &str| log.settings().unwrap().into_iter().find(|(key, _)| *key == name).unwrap().1;
        let mut crew = Tested::new(dir.path(), "");
        crew.open();
        let numbered = "names = \"numbered\"\nbackups = 3";
        crew.reload(numbered);
        crew.reload(&format!("{numbered}\nrotate_at = \"daily 03:00 UTC\""));
        assert_eq!((has("rotate_at"), has("names")), ("daily 03:00 UTC".into(), "numbered".into()));
        let dated = "names = \"dated\"\nbackups = 3";
        crew.reload(&format!("{dated}\nrotate_at = \"daily 03:00 UTC\""));
        crew.reload(&format!("{dated}\nrotate_at = \"never\""));
        assert_eq!((has("rotate_at"), has("names")), ("never".into(), "dated".into()));
        crew.reload("rotate_at = \"daily UTC\"");
        crew.reload("");
        let left = (has("rotate_at"), has("names"));
        assert_eq!(left, ("daily 00:00 UTC".into(), "dated".into()), "only when it is said");
    }

    #[test]
    fn archives_that_a_file_does_not_ask_for_any_more_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let log = Options::new(&path).max_bytes(100).backups(5).open().unwrap();
        let mut crew = Tested::new(dir.path(), "");
        crew.open();
        crew.reload("backups = 7\nmode = \"0600\"");
        assert_eq!(log.stats().unwrap().backups, 7);
        crew.reload("");
        assert_eq!(log.settings().unwrap().iter().find(|(key, _)| *key == "mode").unwrap().1, "0640");
        let line = [b'x'; 79];
        let mut w = log.writer().unwrap();
        (0..3).for_each(|_| w.append(&line).unwrap());
        log.flush(Duration::from_secs(20)).unwrap();
        let left = ["a", "a.1", "a.2"].map(|name| std::fs::read(dir.path().join(name)).is_ok());
        assert_eq!(left, [true; 3], "of a log that others gave a limit");
    }

    #[test]
    fn a_change_reaches_the_log_where_it_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let log = Options::new(dir.path().join("a")).open().unwrap();
        let mut crew = Tested::new(dir.path(), "");
        crew.open();
        crew.reload("backups = 3\nsegment = \"elsewhere\"");
        assert_eq!(log.stats().unwrap().backups, 3);
        crew.reload("backups = 4\nsegment = \"elsewhere\"");
        assert_eq!(log.stats().unwrap().backups, 4);
        assert!(!dir.path().join("elsewhere").exists());
    }

    #[test]
    fn a_log_that_fails_again_and_again_is_tried_ever_more_rarely() {
        let dir = tempfile::tempdir().unwrap();
        let (news, heard) = mpsc::channel();
        let from = From::Log(dir.path().join("missing/a"));
        let sources = Sources { from, line: Settings::default(), variables: vec![] };
        let config = sources.load().logs.unwrap().remove(0);
        let console = Console::new("test");
        let (next, stopping, failed) = (0, false, false);
        let mut crew = Crew { sources, members: Vec::new(), console, news, next, stopping, failed };
        crew.add(config);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let News::Ended(number, result) = heard.recv().unwrap() else { panic!("it cannot be opened") };
            assert!(result.as_ref().is_err_and(|why| why.contains("directory does not exist")));
            let begun = Instant::now();
            crew.ended(number, result);
            let State::Waiting(until) = crew.members[0].state else { panic!("it waits") };
            pauses.push((until - begun).as_millis() / 100 * 100);
            crew.start(0);
        }
        assert_eq!(pauses[..4], [100, 200, 400, 800]);
        assert_eq!(pauses[8..], [25_600, 30_000, 30_000, 30_000]);
        let News::Ended(number, result) = heard.recv().unwrap() else { panic!("it cannot be opened") };
        crew.ended(number, result);
        crew.wish(Wish::Reopen);
        let State::Waiting(until) = crew.members[0].state else { panic!("it waits") };
        assert!(until <= Instant::now(), "SIGHUP has it tried at once");
    }
}
