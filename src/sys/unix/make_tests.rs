use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::make::{self, Made};
use crate::sys::{self, Create, LockFile, LogFile, Owner, Rights};

const OTHERS: Owner = Owner { user: Some(12345), group: Some(54321) };

type Way = fn(&Path, Rights) -> std::io::Result<Option<Made>>;
const WAYS: [Way; 3] = [make::linked, make::renamed, |path, rights| make::file(path, rights).map(Some)];

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o7777
}

fn owner(path: &Path) -> (u32, u32) {
    let m = path.symlink_metadata().unwrap();
    (m.uid(), m.gid())
}

fn names(dir: &Path) -> Vec<String> {
    let mut names = super::dir::list(dir).unwrap();
    names.sort();
    names
}

#[test]
fn each_way_makes_one_file_with_exactly_its_rights() {
    let dir = tempfile::tempdir().unwrap();
    for (i, way) in WAYS.iter().enumerate() {
        for bits in [0o200, 0o600, 0o666, 0o777, 0o642] {
            let path = dir.path().join("a");
            let made = way(&path, bits.into()).unwrap().expect("possible here");
            assert!(made.refused.is_none());
            assert_eq!(mode(&path), bits, "way {i}");
            assert_eq!(super::dir::identity_at(&path).unwrap(), Some(made.id));
            assert_eq!(names(dir.path()), ["a"], "nothing else stays");
            std::fs::remove_file(&path).unwrap();
        }
    }
}

#[test]
fn each_way_overwrites_nothing_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    std::fs::write(&path, "there").unwrap();
    for way in WAYS {
        let error = way(&path, 0o600.into()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
        assert_eq!(names(dir.path()), ["a"]);
        let missing = way(&dir.path().join("no/a"), 0o600.into()).unwrap_err();
        assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
    }
    assert_eq!(std::fs::read(&path).unwrap(), b"there");
}

#[test]
fn an_owner_is_given_or_its_refusal_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let root = sys::user() == 0;
    for (i, way) in WAYS.iter().enumerate() {
        let path = dir.path().join(format!("{i}"));
        let before = (sys::user(), dir.path().metadata().unwrap().gid());
        let made = way(&path, Rights { mode: 0o640, owner: OTHERS }).unwrap().unwrap();
        assert_eq!(made.refused.is_none(), root);
        assert_eq!(owner(&path), if root { (12345, 54321) } else { before });
        assert_eq!(mode(&path), 0o640);
    }
    assert_eq!(sys::can_give(dir.path(), OTHERS).is_ok(), root);
    sys::can_give(dir.path(), Owner::default()).unwrap();
    assert_eq!(names(dir.path()), ["0", "1", "2"]);
}

#[test]
fn a_directory_and_those_above_it_have_the_rights_of_the_files_and_may_be_searched() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("one/two");
    sys::make_private_dir(&deep, 0o640).unwrap();
    assert_eq!([mode(&dir.path().join("one")), mode(&deep)], [0o750; 2]);
    std::fs::set_permissions(&deep, std::fs::Permissions::from_mode(0o711)).unwrap();
    sys::make_private_dir(&deep, 0o600).unwrap();
    assert_eq!(mode(&deep), 0o711, "it was there");
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(sys::make_private_dir(&file, 0o600).is_err());
    assert!(sys::make_private_dir(&file.join("below"), 0o600).is_err());
    assert_eq!(names(dir.path()), ["file", "one"]);
    if sys::user() == 0 {
        let group = Owner { user: None, group: Some(54321) };
        sys::make_private_dir(&dir.path().join("group"), Rights { mode: 0o640, owner: group }).unwrap();
        assert_eq!(owner(&dir.path().join("group")), (0, 54321));
    }
}

#[test]
fn files_that_are_there_keep_their_owner() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    drop(LogFile::open(&path, 0o640, Create::New).unwrap());
    let before = owner(&path);
    let file = LogFile::open(&path, Rights { mode: 0o600, owner: OTHERS }, Create::IfMissing).unwrap();
    assert!(file.owner_refused().is_none() && mode(&path) == 0o640);
    assert_eq!(owner(&path), before);
    drop(LockFile::open(&dir.path().join("lock"), 0o600).unwrap());
    assert_eq!(mode(&dir.path().join("lock")), 0o600);
}

#[test]
fn users_and_groups_are_found_by_name() {
    assert_eq!(sys::user_id("root").unwrap(), Some(0));
    assert_eq!(sys::group_id("root").unwrap(), Some(0));
    for lookup in [sys::user_id, sys::group_id] {
        assert_eq!(lookup("nobody-has-this-name").unwrap(), None);
        assert_eq!(lookup("").unwrap(), None);
        assert!(lookup("a\0b").is_err());
    }
}

#[test]
fn what_the_dead_left_half_made_is_removed_after_an_hour_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let name = |id: u8, end: &str| dir.path().join(format!(".crlog-{:032x}{end}", id));
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3700);
    let age = |path: &Path| std::fs::File::open(path).unwrap().set_modified(old).unwrap();
    let goes = [name(1, ".new"), name(2, ".new")];
    std::fs::write(&goes[0], "").unwrap();
    std::fs::create_dir(&goes[1]).unwrap();
    let stays =
        [name(3, ".new"), name(4, ".new"), name(5, ".tmp"), dir.path().join(".crlog-1.new"), name(6, ".new")];
    std::fs::write(&stays[0], "").unwrap();
    std::fs::write(&stays[1], "not empty").unwrap();
    std::fs::write(&stays[2], "").unwrap();
    std::fs::write(&stays[3], "").unwrap();
    std::fs::create_dir(&stays[4]).unwrap();
    std::fs::write(stays[4].join("in it"), "").unwrap();
    goes.iter().chain(&stays[1..]).for_each(|path| age(path));
    sys::sweep(dir.path()).unwrap();
    assert!(!goes.iter().any(|path| path.exists()), "{goes:?}");
    assert!(stays.iter().all(|path| path.exists()), "{stays:?}");
}
