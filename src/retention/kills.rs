//! A process that rotates and removes on a real disk, killed at random times, beside files that are none of its business.
use super::*;
use crate::rotate::manifest::{Ended, Entry, Form, Name, Stamped, State};
use crate::rotate::name::Packing;
use crate::rotate::retention::reconcile;
use crate::rotate::schedule::stamp::Dated;
use crate::sys::testing;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;

const LOG: &str = "app.log";

fn naming() -> Naming {
    Naming::plain(LOG, Scheme::Dated)
}

const GIVEN: &str = "given";
const KEPT: usize = 4;
/// Not ours, whatever they are called, with a number that no log of ours has.
const STRANGERS: [&str; 3] = ["app.log.bak", "app.log.1", "app.log.2026-05-01.100000"];

/// The least of a flusher: takes over, then rotates and removes for ever.
struct Worker<'a> {
    dir: &'a Path,
    store: Store<Hidden>,
}

impl Worker<'_> {
    fn take_over(dir: &Path) -> Worker<'_> {
        let store = Store::load(Hidden::new(&dir.join(directory(LOG)), 0o640, false)).unwrap();
        let mut worker = Worker { dir, store };
        if sys::dir::look(&dir.join(LOG)).unwrap().is_none() {
            fs::File::create_new(dir.join(LOG)).unwrap();
        }
        let seen = worker.seen();
        let news =
            reconcile(worker.store.manifest(), &Directory { naming: &naming(), live: None, seen: &seen });
        worker.store.tell(&news).unwrap();
        if worker.live().is_none() {
            let begun = worker.begun();
            worker.store.tell(&[begun]).unwrap();
        }
        worker
    }

    fn seen(&self) -> Vec<Seen> {
        files_of(self.dir, &naming(), self.store.manifest()).unwrap()
    }

    fn live(&self) -> Option<Entry> {
        let ino = sys::dir::look(&self.dir.join(LOG)).unwrap().unwrap().id.ino;
        self.store.manifest().by_inode(ino).find(|entry| entry.state == State::Live).cloned()
    }

    fn begun(&self) -> Entry {
        let seen = sys::dir::look(&self.dir.join(LOG)).unwrap().unwrap();
        let form = Form { id: seen.id, born_ns: seen.born_ns, bytes: 0, name: Name::Log };
        Entry::begun(self.store.manifest().next_serial(), 1, 1, form, sys::unix_ns())
    }

    /// The log holds its serial number. Five files have one stamp, and old stamps come back.
    fn rotate(&mut self) {
        let live = self.live().unwrap();
        let number = live.serial.number;
        let text = number.to_string();
        fs::write(self.dir.join(LOG), &text).unwrap();
        let stamp = format!("2026-05-{:02}", number / 5 % 7 + 1);
        let names = sys::dir::list(self.dir).unwrap();
        let dated = names.iter().filter_map(|name| Dated::parse(LOG, name));
        let standing: Vec<u32> = dated.filter(|d| d.stamp == stamp).map(|d| d.copy).collect();
        let copy = self.store.manifest().next_copy(&stamp, standing, Some(live.serial)).unwrap();
        let name = Dated { stamp: stamp.clone(), copy, packing: Packing::Plain }.name(LOG);
        let live = live.reserved(&name, Stamped { stamp, copy });
        self.store.tell(std::slice::from_ref(&live)).unwrap();
        sys::dir::rename_new(&self.dir.join(LOG), &self.dir.join(&name)).unwrap();
        let mut given = fs::File::options().append(true).open(self.dir.join(GIVEN)).unwrap();
        given.write_all(format!("{name}\n").as_bytes()).unwrap();
        fs::File::create_new(self.dir.join(LOG)).unwrap();
        let end = Ended { bytes: text.len() as u64, keys: None, ns: sys::unix_ns() };
        self.store.tell(&[live.archived(Name::Fixed(name), end), self.begun()]).unwrap();
    }

    fn retain(&mut self) {
        let seen = self.seen();
        let limits = Limits { archives: Some(KEPT as u32), ..Limits::default() };
        let now = Now { ns: sys::unix_ns(), free_bytes: 0 };
        let remove = |removal: &Removal| remove_if(&self.dir.join(&removal.name), removal.id);
        let directory = Directory { naming: &naming(), live: None, seen: &seen };
        let (_, done) = enforce(&mut self.store, &directory, &limits, &now, remove);
        done.unwrap();
    }
}

/// What stands of ours: name and serial number, in the order of names.
fn archives(dir: &Path) -> Vec<(Dated, u64)> {
    let mut archives = Vec::new();
    for name in sys::dir::list(dir).unwrap() {
        let Some(dated) = Dated::parse(LOG, &name) else { continue };
        if !STRANGERS.contains(&name.as_str()) {
            archives.push((dated, fs::read_to_string(dir.join(name)).unwrap().parse().unwrap()));
        }
    }
    archives.sort();
    archives
}

#[test]
fn killed_at_any_time_only_ours_go_the_oldest_first_and_no_name_is_given_twice() {
    if let Some((_, dir)) = testing::role() {
        let mut worker = Worker::take_over(Path::new(&dir));
        // Else each kill between a rotation and what follows would leave one more.
        worker.retain();
        testing::say("begun");
        loop {
            worker.rotate();
            worker.retain();
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join(GIVEN), "").unwrap();
    STRANGERS.iter().for_each(|name| fs::write(dir.join(name), "a stranger's").unwrap());
    let me = "retention::kills::killed_at_any_time_only_ours_go_the_oldest_first_and_no_name_is_given_twice";
    let mut states = BTreeSet::new();
    for life in 0..25u64 {
        let mut peer = testing::Peer::start(me, "worker", dir.to_str().unwrap());
        assert_eq!(peer.hear(), "begun");
        // Not to wait for anything: any time will do.
        std::thread::sleep(Duration::from_micros(life * 7919 % 30_000));
        peer.kill();
        peer.reap();

        let archives = archives(dir);
        let mut serials: Vec<u64> = archives.iter().map(|(_, serial)| *serial).collect();
        serials.sort_unstable();
        assert!(serials.is_sorted_by(|a, b| a + 1 == *b), "a hole, or one twice: {serials:?}");
        assert!(serials.len() <= KEPT + 1, "{serials:?}");
        for pair in archives.windows(2).filter(|pair| pair[0].0.stamp == pair[1].0.stamp) {
            assert!(pair[0].1 < pair[1].1, "names of one period are not in the order of time: {archives:?}");
        }
        for name in STRANGERS {
            assert_eq!(fs::read_to_string(dir.join(name)).unwrap(), "a stranger's");
        }
        states.insert((serials.len(), dir.join(LOG).exists()));
    }
    let given = fs::read_to_string(dir.join(GIVEN)).unwrap();
    let names: Vec<&str> = given.lines().collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "a name was given twice: {names:?}");
    assert!(names.len() > 25, "only {} rotations", names.len());
    println!("{} rotations, 25 kills, found with (archives, a log): {states:?}", names.len());
}
