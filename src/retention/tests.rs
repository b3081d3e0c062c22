//! With a manifest, files and strangers on a real disk.
use super::*;
use crate::rotate::manifest::{Ended, Entry, Form, Name};
use crate::rotate::retention::reconcile;
use std::fs;
use std::path::PathBuf;

const LOG: &str = "app.log";

fn naming() -> Naming {
    Naming::plain(LOG, Scheme::Numbered)
}

struct Place {
    dir: tempfile::TempDir,
    store: Store<Hidden>,
}

impl Place {
    /// `.N` (the oldest) to `.1`, each with its number in bytes, and the live log.
    fn with(archives: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::load(Hidden::new(&dir.path().join(directory(LOG)), 0o640, false)).unwrap();
        let mut place = Self { dir, store };
        for n in (1..=archives).rev() {
            place.begin();
            place.rotate(n);
        }
        place.begin();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn begin(&mut self) {
        fs::write(self.path(LOG), "").unwrap();
        let seen = sys::dir::look(&self.path(LOG)).unwrap().unwrap();
        let form = Form { id: seen.id, born_ns: seen.born_ns, bytes: 0, name: Name::Log };
        let entry = Entry::begun(self.store.manifest().next_serial(), 1, 1, form, sys::unix_ns());
        self.store.tell(&[entry]).unwrap();
    }

    fn rotate(&mut self, number: u32) {
        fs::write(self.path(LOG), vec![b'x'; number as usize]).unwrap();
        fs::rename(self.path(LOG), self.path(&format!("{LOG}.{number}"))).unwrap();
        let live = self.store.manifest().entries().next_back().unwrap().clone();
        let end = Ended { bytes: u64::from(number), keys: None, ns: sys::unix_ns() };
        self.store.tell(&[live.archived(Name::Chain, end)]).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let mut names = sys::dir::list(self.dir.path()).unwrap();
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        names
    }

    fn enforce(
        &mut self,
        limits: Limits,
        remove: impl FnMut(&Removal) -> io::Result<bool>,
    ) -> (Vec<String>, io::Result<()>) {
        let seen = files_of(self.dir.path(), &naming(), self.store.manifest()).unwrap();
        let directory = Directory { naming: &naming(), live: None, seen: &seen };
        let now = Now { ns: sys::unix_ns(), free_bytes: sys::dir::free_bytes(self.dir.path()).unwrap() };
        let (removed, done) = enforce(&mut self.store, &directory, &limits, &now, remove);
        (removed.into_iter().map(|removal| removal.name).collect(), done)
    }

    /// Removes for real.
    fn retain(&mut self, archives: u32) -> Vec<String> {
        let dir = self.dir.path().to_owned();
        let remove = |removal: &Removal| remove_if(&dir.join(&removal.name), removal.id);
        let (removed, done) = self.enforce(Limits { archives: Some(archives), ..Limits::default() }, remove);
        done.unwrap();
        removed
    }

    fn known(&self) -> usize {
        Store::load(Hidden::new(&self.path(&directory(LOG)), 0, false)).unwrap().manifest().entries().count()
    }
}

#[test]
fn lowering_the_number_later_takes_effect_and_the_manifest_forgets_what_went() {
    let mut place = Place::with(5);
    assert_eq!(place.retain(5), Vec::<String>::new());
    assert_eq!(place.retain(2), ["app.log.5", "app.log.4", "app.log.3"]);
    assert_eq!(place.names(), ["app.log", "app.log.1", "app.log.2"]);
    assert_eq!(place.known(), 3);
}

#[test]
fn a_stranger_of_the_same_name_stays_also_with_the_same_inode() {
    let mut place = Place::with(3);
    let (path, before) = (place.path("app.log.3"), place.names());
    let inode = sys::dir::look(&path).unwrap().unwrap().id;
    fs::remove_file(&path).unwrap();
    // Some file systems give the inode to the next file at once.
    fs::write(&path, "abc").unwrap();
    let now = sys::dir::look(&path).unwrap().unwrap();
    if now.id == inode && now.born_ns == 0 {
        return; // No file system of today: the same inode and length, and nobody knows when it was made.
    }
    assert_eq!(place.retain(0), ["app.log.2", "app.log.1"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "abc");
    assert_eq!(before.len() - place.names().len(), 2);
}

#[test]
fn an_archive_that_somebody_wrote_to_stays() {
    let mut place = Place::with(2);
    fs::write(place.path("app.log.2"), "mine").unwrap();
    assert_eq!(place.retain(0), ["app.log.1"]);
    assert_eq!(place.names(), ["app.log", "app.log.2"]);
}

#[test]
fn who_replaces_an_archive_after_the_decision_loses_nothing() {
    let mut place = Place::with(2);
    let dir = place.dir.path().to_owned();
    let remove = |removal: &Removal| {
        let path = dir.join(&removal.name);
        fs::rename(&path, dir.join("saved")).unwrap();
        fs::write(&path, "new").unwrap();
        remove_if(&path, removal.id)
    };
    let (removed, done) = place.enforce(Limits { archives: Some(1), ..Limits::default() }, remove);
    done.unwrap();
    assert_eq!(removed, Vec::<String>::new());
    assert_eq!(place.names(), ["app.log", "app.log.1", "app.log.2", "saved"]);
}

#[test]
fn one_that_cannot_be_removed_keeps_the_younger_ones() {
    let mut place = Place::with(3);
    let refuse = |_: &Removal| Err(io::ErrorKind::PermissionDenied.into());
    let (removed, done) = place.enforce(Limits { archives: Some(0), ..Limits::default() }, refuse);
    assert_eq!((removed.len(), done.unwrap_err().kind()), (0, io::ErrorKind::PermissionDenied));
    assert_eq!(place.names().len(), 4);
    assert_eq!(place.retain(0).len(), 3, "the next time it works");
}

#[test]
fn killed_before_the_manifest_was_told_the_next_start_finds_out() {
    let mut place = Place::with(3);
    fs::remove_file(place.path("app.log.3")).unwrap();
    let seen = files_of(place.dir.path(), &naming(), place.store.manifest()).unwrap();
    let news = reconcile(place.store.manifest(), &Directory { naming: &naming(), live: None, seen: &seen });
    assert_eq!(news.len(), 1);
    place.store.tell(&news).unwrap();
    assert_eq!(place.retain(1), ["app.log.2"]);
}

#[test]
fn a_log_that_nobody_has_open_can_be_looked_at_without_changing_anything() {
    let place = Place::with(3);
    let before = place.names();
    let limits = Limits { archives: Some(1), ..Limits::default() };
    let said = Options::new(place.path(LOG)).retention(limits, false).unwrap();
    let verdicts: Vec<(&str, &Verdict)> =
        said.rows.iter().map(|row| (row.name.as_str(), &row.verdict)).collect();
    let goes = |found| Verdict::Goes(Reason::Archives { found, limit: 1 });
    let want = [
        ("app.log.3", &goes(3)),
        ("app.log.2", &goes(2)),
        ("app.log.1", &Verdict::Kept),
        ("app.log", &Verdict::Live),
    ];
    assert_eq!(verdicts, want);
    assert_eq!((said.known, said.adopted, said.damaged), (4, 0, 0));
    assert_eq!(place.names(), before);
}

/// A thousand archives: what a decision costs.
#[test]
fn a_thousand_archives_are_decided_on_within_milliseconds() {
    let mut place = Place::with(1_000);
    let begun = std::time::Instant::now();
    let seen = files_of(place.dir.path(), &naming(), place.store.manifest()).unwrap();
    let listed = begun.elapsed();
    let directory = Directory { naming: &naming(), live: None, seen: &seen };
    let limits = Limits { archives: Some(999), ..Limits::default() };
    let plan = decide(place.store.manifest(), &directory, &limits, &Now::default());
    println!("listed in {listed:?}, decided in {:?}", begun.elapsed() - listed);
    assert_eq!(plan.len(), 1);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(place.retain(999), ["app.log.1000"]);
}

#[test]
fn an_archive_is_known_until_the_last_of_its_files_is_gone() {
    let mut place = Place::with(1);
    fs::write(place.path("app.log.1.gz"), "packed").unwrap();
    let copy = sys::dir::look(&place.path("app.log.1.gz")).unwrap().unwrap();
    let form = Form { id: copy.id, born_ns: copy.born_ns, bytes: copy.bytes, name: Name::Chain };
    let entry = place.store.manifest().entries().next().unwrap().clone();
    place.store.tell(&[entry.packing(form)]).unwrap();
    let dir = place.dir.path().to_owned();
    let first_only = |removal: &Removal| match removal.name.ends_with(".gz") {
        true => Err(io::ErrorKind::PermissionDenied.into()),
        false => remove_if(&dir.join(&removal.name), removal.id),
    };
    let (removed, done) = place.enforce(Limits { archives: Some(0), ..Limits::default() }, first_only);
    assert_eq!((removed, done.is_err()), (vec!["app.log.1".to_owned()], true));
    assert_eq!(place.known(), 2, "the copy still stands");
    assert_eq!(place.retain(0), ["app.log.1.gz"]);
    assert_eq!((place.names(), place.known()), (vec![LOG.to_owned()], 1));
}
