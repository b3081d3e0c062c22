use super::*;
use std::os::unix::fs::symlink;
use std::process::Command;

#[test]
fn only_regular_files_of_such_names_are_listed_with_their_figures() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("app.log"), "12345").unwrap();
    fs::write(at("app.log.1"), "").unwrap();
    fs::write(at("other.log"), "").unwrap();
    fs::hard_link(at("app.log.1"), at("elsewhere")).unwrap();
    fs::create_dir(at("app.log.2")).unwrap();
    symlink(at("app.log"), at("app.log.3")).unwrap();
    let mut found = files(dir.path(), |name| name.starts_with("app.log")).unwrap();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let figures: Vec<_> = found.iter().map(|seen| (seen.name.as_str(), seen.bytes, seen.links)).collect();
    assert_eq!(figures, [("app.log", 5, 1), ("app.log.1", 0, 2)]);
    let now = since_1970(SystemTime::now());
    for seen in &found {
        assert_eq!(Some(seen.id), id_at(&at(&seen.name)).unwrap());
        assert!(now - seen.modified_ns < 60_000_000_000, "{seen:?}");
        assert!(seen.born_ns == 0 || now - seen.born_ns < 60_000_000_000, "{seen:?}");
    }
    assert_eq!(look(&at("app.log.4")).unwrap(), None);
    assert!(files(&at("none"), |_| true).is_err());
}

#[test]
fn the_time_of_birth_stays_whatever_is_done_to_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    fs::write(&path, "1").unwrap();
    let before = look(&path).unwrap().unwrap();
    let touched = Command::new("touch").args(["-d", "2001-01-01"]).arg(&path).status().unwrap();
    assert!(touched.success());
    fs::rename(&path, dir.path().join("b")).unwrap();
    let after = look(&dir.path().join("b")).unwrap().unwrap();
    assert_eq!((after.id, after.born_ns), (before.id, before.born_ns));
    assert_eq!(
        after.modified_ns / 1_000_000_000 / 86_400,
        11_323,
        "2001-01-01, in any time zone but the last ones"
    );
}

#[test]
fn a_name_that_is_another_files_by_now_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log.1");
    fs::write(&path, "ours").unwrap();
    let ours = id_at(&path).unwrap().unwrap();
    // Both exist at the same time, so their inodes differ.
    fs::write(dir.path().join("theirs"), "theirs").unwrap();
    fs::rename(&path, dir.path().join("moved")).unwrap();
    fs::rename(dir.path().join("theirs"), &path).unwrap();
    assert!(!remove_if(&path, ours).unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
    assert!(remove_if(&dir.path().join("moved"), ours).unwrap());
    assert!(!remove_if(&dir.path().join("moved"), ours).unwrap(), "it is gone");
}

#[test]
fn free_bytes_are_what_df_says() {
    let dir = tempfile::tempdir().unwrap();
    let df = Command::new("df").args(["--output=avail", "-B1"]).arg(dir.path()).output().unwrap();
    let said: u64 = String::from_utf8(df.stdout).unwrap().lines().last().unwrap().trim().parse().unwrap();
    let free = free_bytes(dir.path()).unwrap();
    // Others write meanwhile.
    assert!(free.abs_diff(said) < 1 << 30, "{free} {said}");
}
