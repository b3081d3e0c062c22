//! Killed or failing at any step, in a model and for real: what is read is the state before or after a change.
use super::*;
use crate::rotate::manifest::{Ended, Form, Name, Serial, Stamped, State};
use crate::sys::{FileId, testing};
use proptest::prelude::*;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// What survives a kill, and when that happens.
#[derive(Debug, Default)]
struct Model {
    file: Vec<u8>,
    new: Vec<u8>,
    /// Steps to go.
    fuse: Option<u32>,
    /// How much of its bytes the last step writes.
    part: usize,
    /// The last step is a failure, and life goes on.
    fails: bool,
    killed: bool,
}

impl Model {
    /// How much of `len` bytes the next step writes, and whether it is reported as done.
    fn step(&mut self, len: usize) -> (usize, io::Result<()>) {
        assert!(!self.killed, "a step after death");
        match self.fuse.as_mut() {
            Some(0) => {
                self.killed = !self.fails;
                self.fuse = None;
                (self.part.min(len), Err(io::ErrorKind::StorageFull.into()))
            }
            Some(left) => {
                *left -= 1;
                (len, Ok(()))
            }
            None => (len, Ok(())),
        }
    }
}

impl Disk for &mut Model {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.file.clone())
    }
    fn append(&mut self, bytes: &[u8], at: u64) -> io::Result<bool> {
        if self.file.len() as u64 != at {
            return Ok(false);
        }
        let (len, done) = self.step(bytes.len());
        self.file.extend(&bytes[..len]);
        done.map(|()| true)
    }
    fn write_new(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (len, done) = self.step(bytes.len());
        self.new = bytes[..len].to_vec();
        done
    }
    fn put_in_place(&mut self) -> io::Result<()> {
        let (len, done) = self.step(1);
        // A rename is done or not, whatever is reported.
        if len == 1 {
            self.file = std::mem::take(&mut self.new);
        }
        done
    }
}

fn form(ino: u64) -> Form {
    Form { id: FileId { dev: 1, ino }, born_ns: 9, bytes: 0, name: Name::Log }
}

/// The n-th rotation, n from 1 on: the old log is named, archived, a new one begun, and what is too old removed.
fn rotation(n: u64) -> Vec<Entry> {
    let begun = |n| Entry::begun(Serial::begun(n), 7, n, form(n), n);
    let stamp = Stamped { stamp: format!("{:06}", n / 3), copy: (n % 3) as u32 };
    let archived = |n, stamp| {
        let name = format!("app.log.{n}-{}", "x".repeat(20));
        begun(n)
            .reserved(&name, stamp)
            .archived(Name::Fixed(name), Ended { bytes: n, keys: Some((n, n)), ns: n })
    };
    let mut news = vec![archived(n, stamp.clone()), begun(n + 1)];
    if n > 5 {
        news.push(archived(n - 5, stamp).removed());
    }
    news
}

fn entries(manifest: &Manifest) -> Vec<Entry> {
    manifest.entries().cloned().collect()
}

/// The last rotation of which anything was told: it is told again, for it may have been told by half.
fn next(manifest: &Manifest) -> u64 {
    let of = |last: &Entry| last.serial.number - u64::from(last.state == State::Live);
    manifest.entries().next_back().map_or(1, of).max(1)
}

/// The states that may be read when `told` rotations were told for certain, and no more than `most`.
fn possible(told: u64, most: u64) -> Vec<Vec<Entry>> {
    let mut manifest = Manifest::default();
    let mut states = Vec::new();
    (1..=told).flat_map(rotation).for_each(|entry| manifest.apply(&entry));
    states.push(entries(&manifest));
    for entry in (told + 1..=most).flat_map(rotation) {
        manifest.apply(&entry);
        states.push(entries(&manifest));
    }
    states
}

/// Steps until a kill or a failure, how much of that step is done, which of the two, and how many rotations, of each start.
fn live_through(lives: &[(u32, usize, bool, u64)]) {
    let mut model = Model::default();
    let (mut written, mut told) = (0, 1);
    for (fuse, part, fails, rotations) in lives.iter().copied() {
        model = Model { file: model.file, new: model.new, fuse: Some(fuse), part, fails, killed: false };
        let mut store = Store::load(&mut model).unwrap();
        let states = possible(written, told);
        let read = entries(store.manifest());
        assert!(states.contains(&read), "{read:?} is none of {states:?}");
        assert!(store.damaged() <= 1);
        let next = next(store.manifest());
        (written, told) = (next - 1, next);
        for n in next..next + rotations {
            told = n;
            if store.tell(&rotation(n)).is_ok() {
                written = n;
            } else if store.disk.killed {
                break;
            }
            let all: Vec<u64> = store.manifest().entries().map(|entry| entry.serial.number).collect();
            assert_eq!(all.last(), Some(&(n + 1)), "what was told holds, written or not");
        }
    }
}

/// One line of two is whole, and then nothing happens in the life after.
#[test]
fn killed_between_two_lines_of_a_rotation() {
    live_through(&[(2, 119, false, 2), (0, 0, false, 0), (0, 0, false, 0)]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn killed_or_failing_at_any_step_the_next_start_reads_the_old_or_the_new_state(
        lives in prop::collection::vec((0..400u32, 0..700usize, prop::bool::weighted(0.4), 0..150u64), 1..6),
    ) {
        live_through(&lives);
    }
}

#[test]
fn after_a_failure_all_is_written_with_the_next_change() {
    let mut model = Model { fuse: Some(3), part: 10, fails: true, ..Model::default() };
    let mut store = Store::load(&mut model).unwrap();
    store.tell(&rotation(1)).unwrap();
    store.tell(&rotation(2)).unwrap();
    assert!(store.tell(&rotation(3)).is_err(), "the disk is full");
    store.tell(&[]).unwrap();
    let (read, told) = (Store::load(&mut model).unwrap(), possible(3, 3));
    assert_eq!((entries(read.manifest()), read.damaged()), (told[0].clone(), 0));
}

#[test]
fn it_stays_small_and_is_seldom_rewritten() {
    let mut model = Model::default();
    let mut store = Store::load(&mut model).unwrap();
    let (mut rewritten, mut before, mut largest) = (0, 0, 0);
    for n in 1..=5_000 {
        store.tell(&rotation(n)).unwrap();
        let len = store.disk.file.len();
        rewritten += u32::from(len < before);
        (before, largest) = (len, largest.max(len));
    }
    assert!(largest as u64 <= SMALL_BYTES, "{largest} bytes");
    assert!((20..100).contains(&rewritten), "rewritten {rewritten} times in 5,000 rotations");
}

fn store(dir: &Path) -> Store<Hidden> {
    Store::load(Hidden::new(&dir.join("hidden"), 0o640, false)).unwrap()
}

#[test]
fn a_file_that_somebody_removed_shortened_or_prolonged_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hidden").join(FILE);
    let mut ours = store(dir.path());
    let harm: [fn(&Path); 4] = [
        |_| {},
        |path| std::fs::remove_file(path).unwrap(),
        |path| std::fs::write(path, "short").unwrap(),
        |path| std::fs::write(path, [b'x'; 100_000]).unwrap(),
    ];
    for (n, harm) in (1..).zip(harm) {
        if n > 1 {
            harm(&path);
        }
        ours.tell(&rotation(n)).unwrap();
        let read = store(dir.path());
        assert_eq!((read.manifest(), read.damaged()), (ours.manifest(), 0), "after harm {n}");
    }
}

#[test]
fn one_that_is_not_ours_to_read_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hidden").join(FILE);
    store(dir.path()).tell(&rotation(1)).unwrap();
    let text = "crlog-manifest 4";
    std::fs::write(&path, format!("{:08x} {text}\n", crc32c::crc32c(text.as_bytes()))).unwrap();
    let hidden = || Hidden::new(&dir.path().join("hidden"), 0o640, false);
    assert!(Store::load(hidden()).unwrap_err().to_string().contains("version 4"));
    File::options().write(true).open(&path).unwrap().set_len(BYTES_MAX + 1).unwrap();
    assert!(Store::load(hidden()).unwrap_err().to_string().contains("too many"));
}

const ACKED: &str = "acked";

/// Told rotations are noted in a file, in one write each.
fn tell_for_ever(dir: &Path) -> ! {
    let acked = File::options().write(true).open(dir.join(ACKED)).unwrap();
    let mut store = store(dir);
    let next = next(store.manifest());
    testing::say("begun");
    for n in next.. {
        store.tell(&rotation(n)).unwrap();
        acked.write_all_at(&n.to_le_bytes(), 0).unwrap();
    }
    unreachable!("numbers do not end")
}

#[test]
fn a_process_killed_at_any_time_leaves_the_old_or_the_new_state() {
    if let Some((_, dir)) = testing::role() {
        tell_for_ever(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(ACKED), 0u64.to_le_bytes()).unwrap();
    let me = "manifest::tests::a_process_killed_at_any_time_leaves_the_old_or_the_new_state";
    let (mut before, mut torn, mut within) = (0, 0, 0);
    for life in 0..25u64 {
        let mut peer = testing::Peer::start(me, "teller", dir.path().to_str().unwrap());
        assert_eq!(peer.hear(), "begun");
        // Not to wait for anything: any time will do.
        std::thread::sleep(Duration::from_micros(life * 7919 % 30_000));
        peer.kill();
        peer.reap();
        let acked = std::fs::read(dir.path().join(ACKED)).unwrap();
        let acked = u64::from_le_bytes(acked.try_into().unwrap());
        assert!(acked >= before, "{acked} after {before}");
        before = acked;
        let read = store(dir.path());
        let states = possible(acked, acked + 1);
        assert!(states.contains(&entries(read.manifest())), "life {life}: {:?} {states:?}", read.manifest());
        assert!(read.damaged() <= 1, "life {life}");
        torn += read.damaged();
        within += u32::from(dir.path().join("hidden").join(NEW_FILE).exists());
    }
    assert!(before > 100, "only {before} rotations were told");
    println!("{before} rotations, 25 kills: {torn} torn lines, {within} within rewriting");
}
