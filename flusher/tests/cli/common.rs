//! A place for a log, programs run in it, and lines to log.

use rustix::process::{Pid, Signal};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub const CRLOG: &str = env!("CARGO_BIN_EXE_crlog");
pub const FLUSHER: &str = env!("CARGO_BIN_EXE_crlog-flusher");

/// A directory with a log. At the end, what is left in memory is drained, and nothing may remain.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn log(&self) -> PathBuf {
        self.path().canonicalize().unwrap().join("app.log")
    }

    /// All files, oldest first, in one.
    pub fn bytes(&self) -> Vec<u8> {
        let files = crlog_flusher::stress::verify::files_of(&self.log()).unwrap();
        files.iter().flat_map(|f| std::fs::read(f).unwrap()).collect()
    }

    pub fn lines(&self) -> Vec<String> {
        String::from_utf8(self.bytes()).unwrap().lines().map(str::to_string).collect()
    }

    /// Runs a program with these arguments and the log's path.
    pub fn run(&self, program: &str, args: &str, input: &[u8]) -> Output {
        self.start(program, args).end(input)
    }

    pub fn start(&self, program: &str, args: &str) -> Running {
        let mut command = Command::new(program);
        command.args(args.split_whitespace()).arg(self.log());
        Running::spawn(&mut command)
    }

    /// A sidecar that is at work.
    pub fn sidecar(&self, args: &str) -> Running {
        let sidecar = self.start(FLUSHER, args);
        self.until("a sidecar is at work", |s| s["flusher"]["sidecar"] == true);
        sidecar
    }

    pub fn stat(&self) -> Option<Value> {
        let said = self.run(CRLOG, "stat --json", b"");
        said.status.success().then(|| serde_json::from_slice(&said.stdout).unwrap())
    }

    pub fn until(&self, what: &str, mut is_so: impl FnMut(&Value) -> bool) {
        eventually(what, || self.stat().is_some_and(|s| is_so(&s)));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Tests of refusals have nothing to drain.
        if let Ok(log) = crlog::Options::new(self.log()).open() {
            let _ = log.flush(Duration::from_secs(10));
        }
        if !std::thread::panicking() {
            assert_eq!(segments_of(&self.log()), Vec::<PathBuf>::new(), "left behind");
        }
    }
}

/// What there is in shared memory for a log: named by the FNV-1a hash of its path.
pub fn segments_of(log: &Path) -> Vec<PathBuf> {
    let hash = log
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
    let prefix = format!("crlog-{hash:016x}");
    let all = std::fs::read_dir("/dev/shm").unwrap().map(|e| e.unwrap());
    all.filter(|e| e.file_name().to_string_lossy().starts_with(&prefix)).map(|e| e.path()).collect()
}

/// A program that runs; killed if the test ends before it.
pub struct Running(Option<Child>);

impl Running {
    pub fn spawn(command: &mut Command) -> Running {
        Running::spawn_with(command.stderr(Stdio::piped()))
    }

    /// With the standard error that it has.
    pub fn spawn_with(command: &mut Command) -> Running {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        Running(Some(child.unwrap()))
    }

    fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    pub fn type_in(&mut self, text: &[u8]) {
        let input = self.child().stdin.as_mut().unwrap();
        input.write_all(text).unwrap();
        input.flush().unwrap();
    }

    /// The next line of its standard output.
    #[cfg(feature = "zmq")]
    pub fn line(&mut self) -> String {
        let output = self.child().stdout.as_mut().unwrap();
        let bytes = std::io::Read::bytes(output).map(Result::unwrap).take_while(|b| *b != b'\n');
        String::from_utf8(bytes.collect()).unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    pub fn signal(&mut self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Gives it the rest of its input, and waits for its end; at most a minute.
    pub fn end(mut self, input: &[u8]) -> Output {
        let mut stdin = self.child().stdin.take().unwrap();
        let input = input.to_vec();
        // It may end without reading all of it.
        let typing = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let child = self.0.take().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
        let (done, wait) = std::sync::mpsc::channel();
        std::thread::spawn(move || done.send(child.wait_with_output()));
        let Ok(output) = wait.recv_timeout(Duration::from_secs(60)) else {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
            panic!("a program hangs");
        };
        typing.join().unwrap();
        output.unwrap()
    }
}

/// To a process that is still there.
pub fn send(pid: u32, signal: Signal) {
    rustix::process::kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
    if signal == Signal::STOP {
        eventually("all its threads have stopped", || is_stopped(pid));
    }
}

/// The signal stops the threads of a process one after the other, and the call does not wait for that.
fn is_stopped(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let mut states = threads.map(|t| std::fs::read_to_string(t.unwrap().path().join("stat")));
    // "pid (name) T …"; one that has just ended has no file any more.
    states.all(|s| s.map_or(true, |s| s.rsplit(')').next().unwrap().starts_with(" T")))
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// It ended with this status, and said this on standard error.
pub fn assert_ended(output: &Output, status: i32, says: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{said}");
    if says.is_empty() {
        assert_eq!(said, "");
    } else {
        assert!(said.contains(says), "{said:?} does not say {says:?}");
        assert_eq!(said.lines().count(), 1, "{said:?} is not one line");
    }
}

/// Lines for each of four processes, tagged with process and number.
pub fn four_inputs() -> Vec<Vec<String>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/logs");
    (0..4)
        .map(|p| {
            let name = ["Apache", "OpenSSH", "OpenStack", "Zookeeper"][p];
            let real = std::fs::read(dir.join(name).with_extension("log"));
            let lines = real.map_or_else(|_| made_up(p as u64), |bytes| cut(&bytes));
            let lines = lines.iter().cycle().take(10_000).enumerate();
            lines.map(|(i, line)| format!("{p} {i} {line}")).collect()
        })
        .collect()
}

fn cut(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(str::to_string).collect()
}

/// Where the real ones are absent: of like lengths, mostly 60 to 300 bytes, some much longer.
fn made_up(process: u64) -> Vec<String> {
    eprintln!("no real log lines at ../shared/logs: made-up ones of like lengths are used");
    let mut rng = crlog_flusher::stress::rng::Rng::new(process);
    let line = |_| {
        let length = if rng.below(50) == 0 { rng.between(500, 4000) } else { rng.between(60, 300) };
        (0..length).map(|i| char::from(b'a' + ((i + length) % 26) as u8)).collect()
    };
    (0..2000).map(line).collect()
}
