//! Why crlog does not wait or lock with raw_sync on Unix (docs/decisions/0002-raw-sync-unix.md).
//!
//! The victims and the survivors are real processes: this test binary starts itself again and the copy
//! plays one role on one shared-memory segment. Each test has a control in which nobody is killed, so
//! a "blocked" verdict cannot come from the scaffolding. `CRLOG_RAW_SYNC_ROUNDS=100` repeats more often,
//! `--nocapture` prints the counts.
#![cfg(unix)]
#![allow(unsafe_code)] // raw_sync's constructors and the mapped segment
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use raw_sync::Timeout;
use raw_sync::events::{Event, EventImpl, EventInit, EventState};
use raw_sync::locks::{LockImpl, LockInit, Mutex};
use shared_memory::{Shmem, ShmemConf};

const ROLE: &str = "CRLOG_RAW_SYNC_ROLE";
const SEGMENT: &str = "CRLOG_RAW_SYNC_SEGMENT";
/// How long a survivor may take for a call that needs microseconds before it counts as blocked.
const PATIENCE: Duration = Duration::from_millis(400);
/// How often the setter of the waiter tests sets the event.
const SETS: u64 = 3;
const SETTER_PAUSE: Duration = Duration::from_millis(20);

// ---- the segment: three words of ours, then raw_sync's object -------------------------------------

const VICTIM_READY: usize = 0;
const SURVIVOR_READY: usize = 4;
const WAKES: usize = 8;
const OBJECT: usize = 128;

struct Segment(Shmem);

impl Segment {
    fn create() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let id = format!("/crlog-rs-{}-{n}", std::process::id());
        Segment(ShmemConf::new().size(4096).os_id(id).create().unwrap())
    }

    fn open(id: &str) -> Self {
        Segment(ShmemConf::new().os_id(id).open().unwrap())
    }

    fn flag(&self, at: usize) -> &AtomicU32 {
        // SAFETY: `at` is one of the 4-aligned offsets above, inside the mapping, which is page-aligned,
        // zeroed at creation and lives as long as `self`; everyone accesses it as an atomic.
        unsafe { AtomicU32::from_ptr(self.0.as_ptr().add(at).cast()) }
    }

    fn wakes(&self) -> &AtomicU64 {
        // SAFETY: as in `flag`, 8-aligned.
        unsafe { AtomicU64::from_ptr(self.0.as_ptr().add(WAKES).cast()) }
    }

    fn object(&self) -> *mut u8 {
        // SAFETY: `OBJECT` is inside the 4096-byte mapping.
        unsafe { self.0.as_ptr().add(OBJECT) }
    }

    fn new_event(&self, auto_reset: bool) -> Box<dyn EventImpl> {
        // SAFETY: the object area is ours alone here, aligned to 128 and far larger than the event.
        unsafe { Event::new(self.object(), auto_reset) }.unwrap().0
    }

    fn event(&self) -> Box<dyn EventImpl> {
        // SAFETY: the parent made an event there before it started this process.
        unsafe { Event::from_existing(self.object()) }.unwrap().0
    }

    fn new_mutex(&self) -> Box<dyn LockImpl> {
        // SAFETY: as in `new_event`; the data pointer is never used.
        unsafe { Mutex::new(self.object(), std::ptr::null_mut()) }.unwrap().0
    }

    fn mutex(&self) -> Box<dyn LockImpl> {
        // SAFETY: the parent made a mutex there before it started this process.
        unsafe { Mutex::from_existing(self.object(), std::ptr::null_mut()) }.unwrap().0
    }
}

// ---- the processes -------------------------------------------------------------------------------

/// A copy of this binary in a role; killed at the end whatever happens.
struct Process(Child);

impl Process {
    fn start(role: &str, segment: &Segment) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_role_is_played_by_a_process_of_its_own", "--test-threads=1"])
            .env(ROLE, role)
            .env(SEGMENT, segment.0.get_os_id())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Process(child)
    }

    /// Starts a role and returns once it is about to make its call.
    fn start_ready(role: &str, segment: &Segment, flag: usize) -> Self {
        segment.flag(flag).store(0, Ordering::SeqCst);
        let process = Process::start(role, segment);
        let begin = Instant::now();
        while segment.flag(flag).load(Ordering::SeqCst) == 0 {
            assert!(begin.elapsed() < Duration::from_secs(8), "{role} did not start");
            thread::sleep(Duration::from_millis(1));
        }
        process
    }

    /// SIGKILL, and gone when this returns.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn ends_within(&mut self, limit: Duration) -> bool {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                assert!(status.success(), "a role failed: {status}");
                return true;
            }
            if begin.elapsed() > limit {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Not a test of its own: does nothing unless another test started it in a role.
#[test]
fn a_role_is_played_by_a_process_of_its_own() {
    let (Ok(role), Ok(id)) = (std::env::var(ROLE), std::env::var(SEGMENT)) else {
        return;
    };
    thread::spawn(|| {
        thread::sleep(Duration::from_secs(20)); // outlives no test run, even if the parent was killed
        std::process::exit(3);
    });
    let segment = Segment::open(&id);
    let ready = |flag| segment.flag(flag).store(1, Ordering::SeqCst);
    match role.as_str() {
        "wait for ever" => {
            let event = segment.event();
            ready(VICTIM_READY);
            let _ = event.wait(Timeout::Infinite);
        }
        "set without pause" => {
            let event = segment.event();
            ready(VICTIM_READY);
            loop {
                event.set(EventState::Signaled).unwrap();
            }
        }
        "hold the mutex" => {
            let mutex = segment.mutex();
            let _guard = mutex.lock().unwrap();
            ready(VICTIM_READY);
            thread::sleep(Duration::from_secs(20));
        }
        "survivor locks" => {
            let mutex = segment.mutex();
            ready(SURVIVOR_READY);
            drop(mutex.lock().unwrap());
        }
        "survivor sets once" => {
            let event = segment.event();
            ready(SURVIVOR_READY);
            event.set(EventState::Signaled).unwrap();
        }
        "survivor waits and counts" => {
            let event = segment.event();
            ready(SURVIVOR_READY);
            loop {
                event.wait(Timeout::Infinite).unwrap();
                segment.wakes().fetch_add(1, Ordering::SeqCst);
                event.set(EventState::Clear).unwrap();
            }
        }
        "survivor sets and pauses" => {
            let event = segment.event();
            ready(SURVIVOR_READY);
            for _ in 0..SETS {
                event.set(EventState::Signaled).unwrap();
                thread::sleep(SETTER_PAUSE);
            }
        }
        other => panic!("no such role: {other}"),
    }
}

fn rounds(default: u32) -> u32 {
    std::env::var("CRLOG_RAW_SYNC_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

// ---- (a) a sleeping waiter is killed ----------------------------------------------------------------

#[derive(Debug, Default, PartialEq)]
struct WaiterDeaths {
    set_blocked: u32,
    wake_lost: u32,
    unharmed: u32,
}

/// One process may sleep in `wait` and die there; two survivors then use the event as intended.
fn after_a_waiter(auto_reset: bool, killed: bool, rounds: u32) -> WaiterDeaths {
    let mut seen = WaiterDeaths::default();
    for _ in 0..rounds {
        let segment = Segment::create();
        let _event = segment.new_event(auto_reset);
        if killed {
            let victim = Process::start_ready("wait for ever", &segment, VICTIM_READY);
            thread::sleep(Duration::from_millis(20)); // until it sleeps in the kernel
            victim.kill();
        }
        let _waiter = Process::start_ready("survivor waits and counts", &segment, SURVIVOR_READY);
        thread::sleep(Duration::from_millis(20));
        let mut setter = Process::start_ready("survivor sets and pauses", &segment, SURVIVOR_READY);
        let finished = setter.ends_within(PATIENCE);
        // The setter's last pause leaves the waiter 20 ms; give a busy machine more.
        let begin = Instant::now();
        while finished && segment.wakes().load(Ordering::SeqCst) < SETS && begin.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(1));
        }
        match (finished, segment.wakes().load(Ordering::SeqCst)) {
            (false, _) => seen.set_blocked += 1,
            (true, SETS) => seen.unharmed += 1,
            (true, _) => seen.wake_lost += 1,
        }
    }
    seen
}

/// glibc's condition variable, up to 2.40, waits for every waiter of a group to leave it before the
/// group is used again; a dead one never leaves. Later versions were not run.
fn condition_variable_is_the_one_observed() -> bool {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: returns a pointer to a static NUL-terminated string.
        let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
        let mut parts = version.to_str().unwrap().split('.').map(|p| p.parse().unwrap_or(0));
        (parts.next(), parts.next()) < (Some(2), Some(41))
    }
    #[cfg(not(target_env = "gnu"))]
    false
}

#[test]
fn a_waiter_killed_asleep_blocks_the_survivors_of_an_auto_reset_event() {
    let control = after_a_waiter(true, false, 1);
    assert_eq!(control.unharmed, 1, "nobody was killed, yet {control:?}");
    let seen = after_a_waiter(true, true, rounds(3));
    println!("auto-reset event, sleeping waiter killed: {seen:?}");
    if condition_variable_is_the_one_observed() {
        assert!(seen.set_blocked + seen.wake_lost > 0, "{seen:?}");
    }
}

#[test]
fn a_waiter_killed_asleep_blocks_the_survivors_of_a_manual_reset_event() {
    let control = after_a_waiter(false, false, 1);
    assert_eq!(control.unharmed, 1, "nobody was killed, yet {control:?}");
    let seen = after_a_waiter(false, true, rounds(3));
    println!("manual-reset event, sleeping waiter killed: {seen:?}");
    if condition_variable_is_the_one_observed() {
        assert!(seen.set_blocked + seen.wake_lost > 0, "{seen:?}");
    }
}

// ---- (a') a process is killed in set() --------------------------------------------------------------

#[test]
fn a_process_killed_while_it_sets_an_event_blocks_the_next_set() {
    let control = Segment::create();
    let _event = control.new_event(true);
    let mut survivor = Process::start_ready("survivor sets once", &control, SURVIVOR_READY);
    assert!(survivor.ends_within(Duration::from_secs(8)), "nobody was killed, yet set() blocked");

    let (mut kills, mut blocked) = (0, 0);
    let most = rounds(40);
    // Two of them are enough for the test; more rounds on request give a rate.
    while kills < most && (blocked < 2 || most > 40) {
        let segment = Segment::create();
        let _event = segment.new_event(true);
        let victim = Process::start_ready("set without pause", &segment, VICTIM_READY);
        thread::sleep(Duration::from_micros(3_000 + u64::from(kills) * 137));
        victim.kill();
        kills += 1;
        let mut survivor = Process::start_ready("survivor sets once", &segment, SURVIVOR_READY);
        blocked += u32::from(!survivor.ends_within(PATIENCE));
    }
    println!("set() blocked after {blocked} of {kills} kills of a process busy in set()");
    assert!(blocked > 0, "none of {kills} kills hit the window");
}

// ---- (b) the holder of a mutex is killed ------------------------------------------------------------

#[test]
fn a_mutex_whose_holder_was_killed_is_never_locked_again() {
    let control = Segment::create();
    let _mutex = control.new_mutex();
    let mut survivor = Process::start_ready("survivor locks", &control, SURVIVOR_READY);
    assert!(survivor.ends_within(Duration::from_secs(8)), "nobody was killed, yet lock() blocked");

    let most = rounds(3);
    let mut blocked = 0;
    for _ in 0..most {
        let segment = Segment::create();
        let _mutex = segment.new_mutex();
        Process::start_ready("hold the mutex", &segment, VICTIM_READY).kill();
        let mut survivor = Process::start_ready("survivor locks", &segment, SURVIVOR_READY);
        blocked += u32::from(!survivor.ends_within(PATIENCE));
    }
    println!("lock() blocked after {blocked} of {most} kills of the holder");
    assert_eq!(blocked, most, "a non-robust mutex stays locked by the dead");
}

// ---- (c) time limits ---------------------------------------------------------------------------------

const WAITS: u32 = 21;
const LIMIT: Duration = Duration::from_millis(500);

/// Waits once on an event that nobody sets; true if it returned in less than half its limit.
fn wait_returns_early(segment: &Segment) -> bool {
    let event = segment.event();
    let begin = Instant::now();
    assert!(event.wait(Timeout::Val(LIMIT)).is_err(), "nobody set the event");
    begin.elapsed() < LIMIT / 2
}

/// The limit is added to the clock's nanoseconds without a carry into its seconds, so every wait that
/// would end in the next second of the wall clock is refused as invalid.
#[test]
fn a_wait_of_500_ms_that_crosses_a_second_returns_at_once() {
    let spread: u32 = thread::scope(|scope| {
        let waiters: Vec<_> = (0..WAITS)
            .map(|i| {
                scope.spawn(move || {
                    let segment = Segment::create();
                    let _event = segment.new_event(true);
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                    let phase = Duration::from_secs(1) * i / WAITS;
                    let start = Duration::from_secs(now.as_secs() + 1) + phase;
                    thread::sleep(start - now);
                    u32::from(wait_returns_early(&segment))
                })
            })
            .collect();
        waiters.into_iter().map(|waiter| waiter.join().unwrap()).sum()
    });

    let segment = Segment::create();
    let _event = segment.new_event(true);
    let in_a_row: u32 = (0..WAITS).map(|_| u32::from(wait_returns_early(&segment))).sum();

    println!("early, of {WAITS} waits: {spread} begun evenly over a second, {in_a_row} in a row");
    assert!((5..=16).contains(&spread), "about half of the starts cross a second: {spread}");
    assert!(in_a_row >= 15, "only the first two of a row can sleep: {in_a_row}");
}
