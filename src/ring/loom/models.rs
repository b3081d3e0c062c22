//! The models; the table is in the parent module.
use super::memory::{LONG, LoomMem, Role};
use crate::ring::append::{Line, Producer, Refused};
use crate::ring::journal::{self, Found};
use crate::ring::layout::{Geometry, Phase, SlotWord, State, slot};
use crate::ring::mem::Mem;
use crate::ring::model::{Flusher, Killed, chunks_in_use};
use crate::ring::reclaim::{Identity, deregister, occupant, register};
use loom::sync::atomic::{AtomicBool, AtomicU64};
use loom::sync::{Arc, Mutex, MutexGuard};
use loom::thread;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Explores `f`; says what it took. A search that was cut short is a failure, unless it was asked for.
fn explore(name: &str, bound: usize, f: impl Fn() + Send + Sync + 'static) {
    let executions = std::sync::Arc::new(AtomicUsize::new(0));
    let count = executions.clone();
    let seconds =
        std::env::var("LOOM_MAX_SECONDS").ok().and_then(|s| s.parse().ok()).map(Duration::from_secs);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(bound));
    builder.max_branches = 10_000;
    builder.max_duration = seconds;
    builder.checkpoint_interval = 256;
    let bound = builder.preemption_bound.unwrap_or(bound);
    let start = Instant::now();
    builder.check(move || {
        count.fetch_add(1, SeqCst);
        f();
    });
    let took = start.elapsed();
    let exhausted = seconds.is_none_or(|s| took < s);
    println!(
        "{name}: bound {bound}, {} executions, {:.1} s{}",
        executions.load(SeqCst),
        took.as_secs_f64(),
        if exhausted { "" } else { ", NOT EXHAUSTED" }
    );
}

/// Explores `model(life)` for every life, until the role that has it is not killed any more. Returns
/// the number of places to die.
fn at_every_step<F>(name: &str, bound: usize, mut model: impl FnMut(u64) -> F) -> u64
where
    F: Fn() -> bool + Send + Sync + 'static,
{
    for life in 0.. {
        let deaths = std::sync::Arc::new(AtomicUsize::new(0));
        let (count, f) = (deaths.clone(), model(life));
        explore(&format!("{name}, killed at {life}"), bound, move || {
            count.fetch_add(usize::from(f()), SeqCst);
        });
        if deaths.load(SeqCst) == 0 {
            return life;
        }
    }
    unreachable!()
}

/// The segment and the file. The mutex is the flusher's lock: the kernel orders the steps of a holder
/// before those of the next one, and frees the lock of a dead one.
struct World {
    g: Geometry,
    mem: LoomMem,
    file: Mutex<Vec<u8>>,
    /// The kernel's evidence that the owner of a slot is dead: it releases what it did.
    gone: Vec<AtomicBool>,
    /// What the application's threads tell each other.
    flag: AtomicBool,
}

impl World {
    fn new(g: Geometry, states: &[State]) -> World {
        World {
            g,
            mem: LoomMem::new(g, states),
            file: Mutex::new(Vec::new()),
            gone: (0..g.slots()).map(|_| AtomicBool::new(false)).collect(),
            flag: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.file.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// True if `role` was killed, false if it came to its end.
fn killed(role: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(role)) {
        Ok(()) => false,
        Err(e) if e.is::<Killed>() => true,
        Err(e) => std::panic::resume_unwind(e),
    }
}

/// What became of a producer.
#[derive(Debug, Default)]
struct Told {
    acked: Vec<String>,
    writing: Option<String>,
    refused: usize,
    died: bool,
}

/// A producer that has already appended `texts`, in the model's closure, where nothing races with it:
/// what leads up to the interesting part need not be explored.
fn warmed_up(w: &World, slot: u32, hint: u32, texts: &[&str]) -> (Producer, Told) {
    let (mut p, mut told) = (Producer::new(w.g, slot, hint), Told::default());
    for t in texts {
        append(&mut p, &Role::new(&w.mem, LONG), t, &mut told);
    }
    (p, told)
}

/// Appends `texts`; the end of the process is the kernel's evidence.
fn produce(w: &World, slot: u32, hint: u32, texts: &[&str], life: u64) -> Told {
    carry_on(w, slot, warmed_up(w, slot, hint, &[]), texts, life)
}

fn carry_on(w: &World, slot: u32, (mut p, mut told): (Producer, Told), texts: &[&str], life: u64) -> Told {
    let role = Role::new(&w.mem, life);
    told.died = killed(|| {
        for t in texts {
            append(&mut p, &role, t, &mut told);
        }
    });
    w.gone[slot as usize].store(true, Release);
    told
}

fn append(p: &mut Producer, role: &Role<'_>, text: &str, told: &mut Told) {
    told.writing = Some(text.to_owned());
    let line = Line { bytes: text.as_bytes(), end: b"\n" };
    match p.append(role, 0, &line) {
        Ok(_) => told.acked.push(text.to_owned()),
        Err(Refused::Full) => told.refused += 1,
        Err(e) => panic!("{e:?}"),
    }
    told.writing = None;
}

/// No death damages the journal: where the file ends is always known.
fn sound(role: &Role<'_>) {
    assert_ne!(journal::read(role).1, Found::Damaged);
}

/// A flusher's turn under its lock; true if it was killed.
fn flush(w: &World, life: u64, script: impl FnOnce(&Role<'_>, Flusher, &mut Vec<u8>)) -> bool {
    let mut file = w.lock();
    let role = Role::new(&w.mem, life);
    killed(|| {
        sound(&role);
        let f = Flusher::take_over(&role, w.g, &mut file);
        script(&role, f, &mut file);
    })
}

fn sweep(role: &Role<'_>, f: &mut Flusher, file: &mut Vec<u8>, batch: u64) {
    f.sweep(role, file, batch).unwrap();
}

fn reap(w: &World, role: &Role<'_>, f: &mut Flusher, slot: u32) -> bool {
    f.drainer.reap(role, slot, || w.gone[slot as usize].load(Acquire))
}

/// All roles have ended: one more flusher, which nobody disturbs. Afterwards no chunk is in use but
/// the `hogs` that no role owned, and the file holds what it has to.
fn settle(w: &World, told: &[Told], hogs: u32) -> Vec<String> {
    flush(w, LONG, |role, mut f, file| {
        for slot in 0..w.g.slots() {
            f.drainer.reap(role, slot, || true);
        }
        for _ in 0..3 {
            sweep(role, &mut f, file, u64::MAX);
        }
        assert_eq!(chunks_in_use(role, w.g), hogs, "a chunk leaks");
    });
    let lines = lines(&w.lock());
    for t in told {
        check(&lines, t);
    }
    let known = |l: &String| told.iter().any(|t| t.acked.contains(l) || t.writing.as_ref() == Some(l));
    assert!(lines.iter().all(known), "{lines:?} of {told:?}");
    lines
}

fn lines(file: &[u8]) -> Vec<String> {
    assert!(file.is_empty() || file.ends_with(b"\n"), "the file ends in the middle of a line");
    let text = String::from_utf8(file.to_vec()).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// What was acknowledged is there once, in order; besides it at most what a dead one was writing.
fn check(lines: &[String], told: &Told) {
    let mine = |l: &&String| told.acked.contains(l) || told.writing.as_ref() == Some(l);
    let got: Vec<&String> = lines.iter().filter(mine).collect();
    let more: Vec<&String> = told.acked.iter().chain(&told.writing).collect();
    assert!(got == more || got == told.acked.iter().collect::<Vec<_>>(), "{lines:?} of {told:?}");
}

/// Chunks of one record of eight bytes, and of two.
const ONE: u32 = 32;
const TWO: u32 = 48;

/// L1: the third record needs the chunk of the first one again.
fn recycle(bound: usize) {
    static REUSED: AtomicUsize = AtomicUsize::new(0);
    explore("l1", bound, || {
        let w = Arc::new(World::new(Geometry::new(1, 2, ONE).unwrap(), &[]));
        let (v, u) = (w.clone(), w.clone());
        let p = thread::spawn(move || produce(&v, 0, 0, &["a1.....", "a2.....", "a3....."], LONG));
        let f = thread::spawn(move || {
            flush(&u, LONG, |role, mut f, file| {
                sweep(role, &mut f, file, u64::MAX);
                sweep(role, &mut f, file, u64::MAX);
            })
        });
        let told = p.join().unwrap();
        f.join().unwrap();
        REUSED.fetch_add(usize::from(told.acked.len() == 3), SeqCst);
        settle(&w, &[told], 0);
    });
    assert!(REUSED.load(SeqCst) > 0, "no chunk was used twice");
}

#[test]
fn l1_recycle() {
    recycle(2);
}

#[test]
#[ignore = "minutes"]
fn l1_recycle_three_preemptions() {
    recycle(3);
}

/// A chunk that nobody frees, so that one remains to be fought for.
fn hog() -> State {
    State::new(Phase::Big, 0, 0xffe, 0)
}

/// L2: the flusher takes the chunk back from the first producer, recycles it, and the second leases it.
/// The first has written one record, and two sweeps have seen it, before the race begins.
fn revoke(bound: usize) {
    static REVOKED: AtomicUsize = AtomicUsize::new(0);
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    explore("l2", bound, || {
        let w = Arc::new(World::new(Geometry::new(2, 2, TWO).unwrap(), &[hog()]));
        let warm = warmed_up(&w, 0, 0, &["a1....."]);
        let mut drain = None;
        flush(&w, LONG, |role, mut f, file| {
            sweep(role, &mut f, file, u64::MAX);
            sweep(role, &mut f, file, u64::MAX);
            drain = Some(f);
        });
        let mut drain = drain.unwrap();
        let (va, vb, u) = (w.clone(), w.clone(), w.clone());
        let a = thread::spawn(move || carry_on(&va, 0, warm, &["a2....."], LONG));
        let f = thread::spawn(move || {
            let role = Role::new(&u.mem, LONG);
            let revoked = drain.drainer.revoke_idle(&role);
            sweep(&role, &mut drain, &mut u.lock(), u64::MAX);
            revoked
        });
        let b = thread::spawn(move || produce(&vb, 1, 0, &["b1....."], LONG));
        let told = [a.join().unwrap(), b.join().unwrap()];
        let revoked = f.join().unwrap() > 0;
        REVOKED.fetch_add(usize::from(revoked), SeqCst);
        let taken = revoked && told[1].acked.len() == 1;
        TAKEN.fetch_add(usize::from(taken), SeqCst);
        settle(&w, &told, 1);
    });
    assert!(REVOKED.load(SeqCst) > 0, "no lease was taken back");
    assert!(TAKEN.load(SeqCst) > 0, "no lease passed from one to the other");
}

#[test]
fn l2_revoke() {
    revoke(3);
}

#[test]
#[ignore = "minutes"]
fn l2_revoke_four_preemptions() {
    revoke(4);
}

/// L3: a producer dies; the flusher asks for evidence, and cleans up while another one writes.
fn producer_killed(bound: usize, warm: &'static [&str], cold: &'static [&str]) {
    static REAPED: AtomicUsize = AtomicUsize::new(0);
    static SPARED: AtomicUsize = AtomicUsize::new(0);
    let steps = at_every_step("l3", bound, |life| {
        move || {
            let w = Arc::new(World::new(Geometry::new(2, 2, ONE).unwrap(), &[]));
            let start = warmed_up(&w, 0, 0, warm);
            let (va, vb, u) = (w.clone(), w.clone(), w.clone());
            let a = thread::spawn(move || carry_on(&va, 0, start, cold, life));
            let f = thread::spawn(move || {
                let mut reaped = false;
                flush(&u, LONG, |role, mut f, file| {
                    reaped = reap(&u, role, &mut f, 0);
                    sweep(role, &mut f, file, u64::MAX);
                });
                reaped
            });
            let b = thread::spawn(move || produce(&vb, 1, 0, &["b1....."], LONG));
            let told = [a.join().unwrap(), b.join().unwrap()];
            let reaped = f.join().unwrap();
            let died = told[0].died;
            let which = if reaped { &REAPED } else { &SPARED };
            which.fetch_add(usize::from(died), SeqCst);
            settle(&w, &told, 0);
            died
        }
    });
    assert!(steps > 6, "only {steps} places to die");
    assert!(REAPED.load(SeqCst) > 0, "nobody dead was reaped");
    assert!(SPARED.load(SeqCst) > 0, "nobody was spared for want of evidence");
}

#[test]
fn l3_producer_killed() {
    producer_killed(1, &["a1....."], &["a2....."]);
}

#[test]
#[ignore = "minutes"]
fn l3_producer_killed_two_preemptions() {
    producer_killed(2, &["a1....."], &["a2....."]);
}

#[test]
#[ignore = "minutes"]
fn l3_producer_killed_from_its_first_record_on() {
    producer_killed(1, &[], &["a1.....", "a2....."]);
}

/// L4: a flusher dies, its successor waits for the lock, and a producer writes all the while.
fn flusher_killed(bound: usize, warm: &'static [&str], cold: &'static [&str]) {
    static BOTH: AtomicUsize = AtomicUsize::new(0);
    let steps = at_every_step("l4", bound, |life| {
        move || {
            let w = Arc::new(World::new(Geometry::new(1, 2, ONE).unwrap(), &[]));
            let start = warmed_up(&w, 0, 0, warm);
            let (v, u) = (w.clone(), w.clone());
            let p = thread::spawn(move || carry_on(&v, 0, start, cold, LONG));
            let f = thread::spawn(move || turns(&u, &[(life, u64::MAX), (LONG, u64::MAX)]));
            let told = p.join().unwrap();
            let (died, moved) = f.join().unwrap();
            BOTH.fetch_add(usize::from(moved), SeqCst);
            settle(&w, &[told], 0);
            died
        }
    });
    assert!(steps > 15, "only {steps} places to die");
    assert!(BOTH.load(SeqCst) > 0, "no successor found something left to do");
}

/// Flushers one after the other, each `(life, records in a batch)`, each in its own thread and waiting
/// for the lock while the one before it works. Tells whether the first one was killed, and whether a
/// later one wrote anything.
fn turns(w: &Arc<World>, lives: &[(u64, u64)]) -> (bool, bool) {
    let Some((&(life, batch), rest)) = lives.split_first() else {
        return (false, false);
    };
    let mut file = w.lock();
    let (v, rest) = (w.clone(), rest.to_vec());
    let next = (!rest.is_empty()).then(|| thread::spawn(move || turns(&v, &rest)));
    let before = file.len();
    let role = Role::new(&w.mem, life);
    let died = killed(|| {
        sound(&role);
        let mut f = Flusher::take_over(&role, w.g, &mut file);
        sweep(&role, &mut f, &mut file, batch);
    });
    let wrote = file.len() > before;
    drop(file);
    let later = next.is_some_and(|n| {
        let (_, wrote) = n.join().unwrap();
        wrote
    });
    (died, wrote || later)
}

#[test]
fn l4_flusher_killed() {
    flusher_killed(2, &["a1.....", "a2....."], &["a3....."]);
}

#[test]
#[ignore = "minutes"]
fn l4_flusher_killed_three_preemptions() {
    flusher_killed(3, &["a1.....", "a2....."], &["a3....."]);
}

#[test]
#[ignore = "minutes"]
fn l4_flusher_killed_from_the_first_record_on() {
    flusher_killed(1, &[], &["a1.....", "a2.....", "a3....."]);
}

/// L5: who has heard of a record and then writes one comes after it.
fn causality(bound: usize) {
    static HEARD: AtomicUsize = AtomicUsize::new(0);
    static SPLIT: AtomicUsize = AtomicUsize::new(0);
    explore("l5", bound, || {
        let w = Arc::new(World::new(Geometry::new(2, 2, ONE).unwrap(), &[]));
        let (va, vb, u) = (w.clone(), w.clone(), w.clone());
        let a = thread::spawn(move || {
            let told = produce(&va, 0, 0, &["a1....."], LONG);
            va.flag.store(true, Release);
            told
        });
        let f = thread::spawn(move || {
            flush(&u, LONG, |role, mut f, file| {
                sweep(role, &mut f, file, u64::MAX);
            });
            lines(&u.lock()).len()
        });
        let b = thread::spawn(move || {
            if vb.flag.load(Acquire) { produce(&vb, 1, 1, &["b1....."], LONG) } else { Told::default() }
        });
        let told = [a.join().unwrap(), b.join().unwrap()];
        let early = f.join().unwrap();
        let heard = told[1].acked.len() == 1;
        HEARD.fetch_add(usize::from(heard), SeqCst);
        SPLIT.fetch_add(usize::from(heard && early == 1), SeqCst);
        let lines = settle(&w, &told, 0);
        if heard {
            assert_eq!(lines, ["a1.....", "b1....."], "effect before cause");
        }
    });
    assert!(HEARD.load(SeqCst) > 0, "the second never heard of the first");
    assert!(SPLIT.load(SeqCst) > 0, "no sweep came between them");
}

#[test]
fn l5_causality() {
    causality(2);
}

#[test]
#[ignore = "minutes"]
fn l5_causality_three_preemptions() {
    causality(3);
}

/// L6: the successor dies too. Batches of different sizes, so that a batch number which both of them
/// used does not mean the same records.
fn successor_killed(bound: usize) {
    static PAIRS: AtomicUsize = AtomicUsize::new(0);
    for second in 0.. {
        let alive = std::sync::Arc::new(AtomicUsize::new(0));
        let outer = alive.clone();
        at_every_step(&format!("l6, successor {second}"), bound, move |life| {
            let alive = outer.clone();
            move || {
                let w = Arc::new(World::new(Geometry::new(1, 2, ONE).unwrap(), &[]));
                let start = warmed_up(&w, 0, 0, &["a1.....", "a2....."]);
                let (v, u) = (w.clone(), w.clone());
                let p = thread::spawn(move || carry_on(&v, 0, start, &["a3....."], LONG));
                let f = thread::spawn(move || {
                    let first = turns(&u, &[(life, u64::MAX)]).0;
                    let next = thread::spawn(move || turns(&u, &[(second, 1)]).0);
                    (first, next.join().unwrap())
                });
                let told = p.join().unwrap();
                let (first, next) = f.join().unwrap();
                alive.fetch_add(usize::from(next), SeqCst);
                PAIRS.fetch_add(usize::from(first && next), SeqCst);
                settle(&w, &[told], 0);
                first
            }
        });
        if alive.load(SeqCst) == 0 {
            break;
        }
    }
    assert!(PAIRS.load(SeqCst) > 0, "never did both die");
}

#[test]
fn l6_successor_killed() {
    successor_killed(1);
}

#[test]
#[ignore = "minutes"]
fn l6_successor_killed_two_preemptions() {
    successor_killed(2);
}

/// L7: a large record's continuation is freed by the flusher and leased again at once.
fn large(bound: usize, life: u64) {
    static WHOLE: AtomicUsize = AtomicUsize::new(0);
    static REUSED: AtomicUsize = AtomicUsize::new(0);
    explore("l7", bound, move || {
        let g = Geometry::new(2, 4, ONE).unwrap();
        let w = Arc::new(World::new(g, &[hog(), hog()]));
        let (va, vb, u) = (w.clone(), w.clone(), w.clone());
        let a = thread::spawn(move || produce(&va, 0, 2, &["a1 is larger than fits."], life));
        let f = thread::spawn(move || {
            flush(&u, LONG, |role, mut f, file| {
                sweep(role, &mut f, file, u64::MAX);
            });
            lines(&u.lock()).len()
        });
        let b = thread::spawn(move || produce(&vb, 1, 2, &["b1....."], LONG));
        let told = [a.join().unwrap(), b.join().unwrap()];
        let early = f.join().unwrap();
        let both = told.iter().all(|t| t.acked.len() == 1);
        WHOLE.fetch_add(usize::from(told[0].acked.len() == 1), SeqCst);
        REUSED.fetch_add(usize::from(both && early >= 1), SeqCst);
        settle(&w, &told, 2);
    });
    assert!(WHOLE.load(SeqCst) > 0, "no large record");
    assert!(REUSED.load(SeqCst) > 0, "no continuation was used again");
}

#[test]
fn l7_large_record() {
    large(2, LONG);
}

#[test]
#[ignore = "minutes"]
fn l7_large_record_three_preemptions() {
    large(3, LONG);
}

/// L7, refused: a large record is copied before a chunk for its head is sought, and finds none. What it
/// gives back, written but never read, is leased again.
#[test]
fn l7_large_record_refused() {
    static REUSED: AtomicUsize = AtomicUsize::new(0);
    explore("l7 refused", 3, || {
        let g = Geometry::new(2, 4, ONE).unwrap();
        let w = Arc::new(World::new(g, &[hog(), hog(), hog()]));
        let (va, vb) = (w.clone(), w.clone());
        let texts = ["a1 is larger than fits."];
        let a = thread::spawn(move || produce(&va, 0, 3, &texts, LONG));
        let b = thread::spawn(move || produce(&vb, 1, 3, &["b1....."], LONG));
        let told = [a.join().unwrap(), b.join().unwrap()];
        let reused = told[0].refused == 1 && told[1].acked.len() == 1;
        REUSED.fetch_add(usize::from(reused), SeqCst);
        settle(&w, &told, 3);
    });
    assert!(REUSED.load(SeqCst) > 0, "nothing was given back");
}

/// L7, a dead producer: what it had leased for a large record comes back, unless a committed one names it.
#[test]
fn l7_large_record_killed() {
    static NAMED: AtomicUsize = AtomicUsize::new(0);
    at_every_step("l7 killed", 1, |life| {
        move || {
            let g = Geometry::new(2, 4, ONE).unwrap();
            let w = Arc::new(World::new(g, &[hog(), hog()]));
            let (va, u) = (w.clone(), w.clone());
            let texts = ["a1 is larger than fits.", "a2....."];
            let a = thread::spawn(move || produce(&va, 0, 2, &texts, life));
            let f = thread::spawn(move || {
                let mut reaped = false;
                flush(&u, LONG, |role, mut f, file| {
                    reaped = reap(&u, role, &mut f, 0);
                    sweep(role, &mut f, file, u64::MAX);
                });
                reaped
            });
            let told = a.join().unwrap();
            let reaped = f.join().unwrap();
            let died = told.died;
            NAMED.fetch_add(usize::from(died && reaped && told.acked.len() == 1), SeqCst);
            settle(&w, &[told], 2);
            died
        }
    });
    assert!(NAMED.load(SeqCst) > 0, "no committed record of a dead producer was spared");
}

/// L8: one owner leaves a slot, the next one comes; who sees it ALIVE sees the identity of that owner
/// or a newer one, and a reaper that asked about the first does not hit the second.
#[test]
fn l8_slot() {
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    static REFUSED: AtomicUsize = AtomicUsize::new(0);
    explore("l8", 3, || {
        let g = Geometry::new(1, 2, ONE).unwrap();
        let mut w = World::new(g, &[]);
        w.mem.share(g.slot(0) + slot::PID);
        let w = Arc::new(w);
        // The kernel's lock on the slot, held by the first owner: 1 = held.
        let lock = Arc::new(AtomicU64::new(1));
        let (v, u, held, seen) = (w.clone(), w.clone(), lock.clone(), lock.clone());
        let owner = thread::spawn(move || {
            let role = Role::new(&v.mem, LONG);
            deregister(&role, v.g, 0);
            held.store(0, Release);
            held.store(1, Relaxed);
            let id = Identity { pid: 7, ..Identity::default() };
            assert!(register(&role, v.g, 0, &id));
        });
        let reaper = thread::spawn(move || {
            let role = Role::new(&u.mem, LONG);
            let mut free = false;
            let reaped = flush(&u, LONG, |role, mut f, _| {
                let gone = || {
                    free = seen.load(Acquire) == 0;
                    free
                };
                assert!(!f.drainer.reap(role, 0, gone), "the second owner was reaped");
            });
            REFUSED.fetch_add(usize::from(free), SeqCst);
            assert!(!reaped);
            // Relaxed: what makes the identity visible must be in `occupant`.
            let word = SlotWord(role.load(u.g.slot(0) + slot::WORD, Relaxed));
            let pid = occupant(&role, u.g, 0).map(|id| id.pid);
            assert!(word.generation() == 0 || pid.is_none_or(|p| p == 7), "{pid:?}");
            pid
        });
        owner.join().unwrap();
        let pid = reaper.join().unwrap();
        SEEN.fetch_add(usize::from(pid == Some(7)), SeqCst);
        let role = Role::new(&w.mem, LONG);
        assert_eq!(occupant(&role, w.g, 0).map(|id| id.pid), Some(7));
    });
    assert!(SEEN.load(SeqCst) > 0, "nobody saw the second owner");
    assert!(REFUSED.load(SeqCst) > 0, "no reaper came too late");
}
