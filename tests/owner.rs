//! Mode, user and group of everything that crlog makes, from the first instant that anybody can see it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, unsafe_code)]

mod common;

use common::os::is_root;
use common::{LOG, NAME, Place, ROLE, until};
use crlog::{Compression, Control, Event, Log, OpenError, Options, SegmentKind};
use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
const USER: u32 = 12345;
const GROUP: u32 = 54321;
const ROTATIONS: u64 = 120;

/// Not a test: what the other processes do.
#[test]
fn child_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (path, name) = (std::env::var(LOG).unwrap(), std::env::var(NAME).unwrap());
    let options = Options::new(&path);
    match role.as_str() {
        "rotate" => rotate_under(libc::mode_t::from_str_radix(&name, 8).unwrap(), &path),
        "sidecar without rights" => {
            drop_rights();
            sidecar_that_tells(options, Path::new(&name));
        }
        other => panic!("no such role: {other}"),
    }
}

/// Makes everything that there is to be made, under this mask.
fn rotate_under(mask: libc::mode_t, path: &str) {
    // SAFETY: touches no memory.
    unsafe { libc::umask(mask) };
    let ring = SegmentKind::File(format!("{path}-ring").into());
    let options = Options::new(path).segment(ring).lock_dir(format!("{path}-locks/deep")).index(true);
    let options = options.mode(0o664).max_bytes(100).backups(6).compress(Compression::GZIP).compress_delay(3);
    let user = USER.to_string();
    let log = if is_root() { options.owner(Some(&user), Some("54321")) } else { options }.open().unwrap();
    let mut w = log.writer().unwrap();
    for i in 0..ROTATIONS {
        w.append(format!("{i:090}").as_bytes()).unwrap();
    }
    log.flush(LONG).unwrap();
    assert!(log.stats().unwrap().counters.rotations >= ROTATIONS - 1);
    until(LONG, "an archive is packed", || log.stats().unwrap().counters.packed > 0);
}

/// The files stay root's: nobody may give them away any more.
fn drop_rights() {
    const CAP_CHOWN: libc::c_ulong = 0;
    let header = [0x2008_0522u32, 0];
    let mut data = [0u32; 6];
    // SAFETY: arrays of the sizes that version 3 of this call has.
    unsafe {
        assert_eq!(libc::syscall(libc::SYS_capget, header.as_ptr(), data.as_mut_ptr()), 0);
        data[0] &= !(1 << CAP_CHOWN);
        data[1] &= !(1 << CAP_CHOWN);
        assert_eq!(libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()), 0);
    }
}

fn sidecar_that_tells(options: Options, to: &Path) {
    let to = to.to_owned();
    let mut sidecar = options.sidecar().unwrap();
    sidecar.on_event(move |event| {
        if let Event::OwnerRefused { what, errno } = event {
            std::fs::write(&to, format!("{errno} {what}")).unwrap();
        }
    });
    sidecar.run(&Control::default()).unwrap();
}

fn looks(path: &Path) -> Option<(u32, u32, u32)> {
    let m = path.symlink_metadata().ok()?;
    Some((m.permissions().mode() & 0o7777, m.uid(), m.gid()))
}

/// What something of this name must look like; `None` for what is not yet anybody's business.
fn expected(name: &str, own: (u32, u32)) -> Option<(u32, u32, u32)> {
    let given = if is_root() { (USER, GROUP) } else { own };
    let (mode, (user, group)) = match name {
        _ if name.starts_with(".crlog-") || name.starts_with("pack-") => return None,
        "app.log-ring" | "crlog.lock" => (0o600, own),
        "app.log-locks" | "deep" => (0o700, own),
        "manifest" | "manifest.new" => (0o664, own),
        ".app.log.crlog" => (0o775, (own.0, given.1)),
        _ if name.ends_with(".lock") => (0o600, own),
        _ => (0o664, given),
    };
    Some((mode, user, group))
}

/// Looks at everything in these directories, again and again; what looked wrong, and what was seen.
fn watch(root: &Path, ended: &AtomicBool) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut wrong, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let own = root.metadata().map(|m| (m.uid(), m.gid())).unwrap();
    while !ended.load(Relaxed) {
        for dir in ["", "app.log-locks", "app.log-locks/deep", ".app.log.crlog"] {
            let Ok(found) = std::fs::read_dir(root.join(dir)) else { continue };
            for name in found.flatten().map(|e| e.file_name().into_string().unwrap()) {
                let Some(expected) = expected(&name, own) else { continue };
                let Some(looks) = looks(&root.join(dir).join(&name)) else { continue };
                if looks != expected {
                    wrong.insert(format!("{name}: {:o} {}:{}", looks.0, looks.1, looks.2));
                }
                seen.insert(name);
            }
        }
    }
    (wrong, seen)
}

#[test]
fn nothing_is_ever_seen_with_a_wrong_mode_or_owner_under_any_umask() {
    if !is_root() {
        eprintln!("SKIPPED in part: modes only, owners need root");
    }
    for mask in ["0", "22", "77", "177", "777"] {
        let place = Place::new();
        let ended = AtomicBool::new(false);
        std::thread::scope(|s| {
            let watcher = s.spawn(|| watch(place.path(), &ended));
            let well = place.child("rotate", mask).ends_well(LONG);
            ended.store(true, Relaxed);
            let (wrong, seen) = watcher.join().unwrap();
            assert!(well, "umask {mask}");
            assert!(wrong.is_empty(), "umask {mask}: {wrong:?}");
            let has = |part: &str| seen.iter().any(|name| name.contains(part));
            let all = ["app.log", "app.log.6", ".gz", "-ring", "deep", ".lock", ".app.log.crlog", ".idx"];
            assert!(all.into_iter().all(has), "{:?}", seen.iter().take(20).collect::<Vec<_>>());
        });
    }
}

fn rotate(log: &Log, text: &str) {
    log.writer().unwrap().append(text.as_bytes()).unwrap();
    log.rotate(LONG).unwrap();
}

#[test]
fn owners_are_inherited_and_changed_for_the_files_that_come() {
    if !is_root() {
        eprintln!("SKIPPED: gives files away, which needs root");
        return;
    }
    let place = Place::new();
    let options = || place.options().backups(9);
    let owner = |name: &str| looks(&place.path().join(name)).map(|(_, user, group)| (user, group));
    let log = options().owner(Some("12345"), None).open().unwrap();
    assert_eq!(owner("app.log"), Some((USER, 0)));
    let second = options().owner(None, Some("root")).open().unwrap();
    let differs: Vec<String> = second.differences().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(differs, ["owner stays \"12345\", \":0\" was asked for"]);
    rotate(&second, "one");
    log.change(&options().owner(None, Some("54321"))).unwrap();
    assert_eq!(owner("app.log"), Some((USER, 0)), "a file that is there keeps its owner");
    rotate(&log, "two");
    log.change(&options().owner(None, None)).unwrap();
    rotate(&log, "three");
    let owners = ["app.log.3", "app.log.2", "app.log.1", "app.log"].map(|name| owner(name).unwrap());
    assert_eq!(owners, [(USER, 0), (USER, 0), (0, GROUP), (0, 0)]);
}

#[test]
fn whoever_opens_first_is_told_that_it_may_not_give_files_away() {
    let place = Place::new();
    if !is_root() {
        let error = place.options().owner(Some("0"), None).open().unwrap_err();
        assert!(matches!(error, OpenError::Owner { .. }), "{error}");
        return;
    }
    let (tell, told) = mpsc::channel();
    let options = place.options().owner(Some("12345"), Some("54321"));
    // Rights belong to a thread.
    std::thread::spawn(move || {
        drop_rights();
        let by_group = options.clone().owner(None, Some("54321")).open().map(drop);
        let _ = tell.send([by_group, options.open().map(drop)]);
    });
    for refused in told.recv_timeout(LONG).unwrap() {
        let error = refused.unwrap_err();
        assert!(matches!(error, OpenError::Owner { .. }), "{error}");
        assert!(error.to_string().contains("run as root"), "{error}");
    }
    assert!(!place.log().exists(), "nothing was made");
    assert!(place.options().attach().is_err(), "no segment is left");
}

#[test]
fn a_flusher_that_may_not_give_files_away_loses_nothing_tells_and_counts() {
    if !is_root() {
        eprintln!("SKIPPED: gives files away, which needs root");
        return;
    }
    let place = Place::new();
    let log = place.options().owner(Some("12345"), None).backups(9).flusher_thread(false).open().unwrap();
    let told = place.path().join("told");
    let _sidecar = place.child("sidecar without rights", told.to_str().unwrap());
    until(LONG, "a sidecar", || log.stats().unwrap().flusher.is_some_and(|f| f.sidecar));
    rotate(&log, "one");
    rotate(&log, "two");
    let owners: Vec<_> =
        ["app.log.2", "app.log.1", "app.log"].map(|n| looks(&place.path().join(n)).unwrap().1).into();
    assert_eq!(owners, [USER, 0, 0]);
    assert_eq!(log.stats().unwrap().counters.owner_errors, 2);
    assert!(log.stats().unwrap().error.is_none(), "the log goes on");
    until(LONG, "it is told", || {
        std::fs::read_to_string(&told)
            .is_ok_and(|t| t.starts_with("1 cannot give ") && t.contains("to 12345"))
    });
    assert_eq!(place.lines_now(), ["one", "two"]);
}

#[test]
fn what_a_killed_maker_left_beside_the_log_goes_with_the_next_flusher() {
    let place = Place::new();
    let left = |id: u8| place.path().join(format!(".crlog-{id:032x}.new"));
    let [old, young] = [left(1), left(2)];
    [&old, &young].into_iter().for_each(|path| std::fs::write(path, "").unwrap());
    let then = std::time::SystemTime::now() - Duration::from_secs(3700);
    std::fs::File::open(&old).unwrap().set_modified(then).unwrap();
    let log = place.options().open().unwrap();
    log.writer().unwrap().append(b"x").unwrap();
    until(Duration::from_secs(20), "the old one goes", || !old.exists());
    assert!(young.exists(), "somebody may be making it");
}
