//! A mapped file and the checksums of the records in it.

use crate::common::until;
use crate::harness::{LONG, content, files};
use crlog::{KIB, Options, SegmentKind, WhenFull};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

struct Bed(tempfile::TempDir);

impl Bed {
    fn new() -> Bed {
        Bed(tempfile::tempdir().unwrap())
    }
    fn dir(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }
    fn ring(&self) -> PathBuf {
        self.dir().join("ring")
    }
    fn log(&self) -> PathBuf {
        self.dir().join("app.log")
    }
    fn options(&self) -> Options {
        Options::new(self.log()).segment(SegmentKind::File(self.ring())).ring_bytes(256 * KIB)
    }
    fn lines(&self) -> Vec<String> {
        String::from_utf8_lossy(&content(&self.dir())).lines().map(str::to_owned).collect()
    }
}

/// A line that says whether it is whole: name, number, filling, and a sum over them.
fn line(name: &str, i: u64, len: usize) -> String {
    let body = format!("{name} {i} {}", char::from(b'a' + (i % 26) as u8).to_string().repeat(len));
    let sum = crc32c::crc32c(body.as_bytes());
    format!("{body} {sum:08x}")
}

fn is_whole(line: &str) -> bool {
    line.rsplit_once(' ').is_some_and(|(body, sum)| format!("{:08x}", crc32c::crc32c(body.as_bytes())) == sum)
}

fn find(bytes: &[u8], what: &str) -> usize {
    bytes.windows(what.len()).position(|w| w == what.as_bytes()).unwrap()
}

/// Changes one byte of a file that others have mapped.
fn change(path: &Path, at: usize) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(b"#", at as u64).unwrap();
}

#[test]
fn a_changed_byte_in_a_mapped_file_is_refused_and_counted_and_the_others_arrive() {
    for large in [false, true] {
        let bed = Bed::new();
        let log = bed.options().flusher_thread(false).open().unwrap();
        let mut w = log.writer().unwrap();
        let texts: Vec<String> =
            (0..5).map(|i| line("p", i, if large && i == 2 { 40_000 } else { 50 })).collect();
        texts.iter().for_each(|t| w.append(t.as_bytes()).unwrap());
        let victim = &texts[2];
        let at = find(&std::fs::read(bed.ring()).unwrap(), &victim[..60]) + 30;
        change(&bed.ring(), at);
        log.flush(LONG).unwrap();
        let s = log.stats().unwrap();
        assert_eq!((s.counters.bad_checksums, s.counters.records), (1, 4), "large: {large}");
        let want: Vec<&String> = texts.iter().filter(|t| *t != victim).collect();
        assert!(bed.lines().iter().eq(want), "large: {large}");
        w.append(b"on it goes").unwrap();
        log.flush(LONG).unwrap();
        assert_eq!(bed.lines().last().unwrap(), "on it goes");
        assert_eq!(log.stats().unwrap().counters.bad_checksums, 1, "counted once");
    }
}

#[test]
fn without_checksums_the_changed_byte_is_written() {
    let bed = Bed::new();
    let log = bed.options().checksums(false).flusher_thread(false).open().unwrap();
    log.writer().unwrap().append(line("p", 0, 50).as_bytes()).unwrap();
    let at = find(&std::fs::read(bed.ring()).unwrap(), &line("p", 0, 50)) + 30;
    change(&bed.ring(), at);
    log.flush(LONG).unwrap();
    assert!(!is_whole(&bed.lines()[0]), "the test above would show nothing");
}

/// Words of the header, see docs/format.md.
const BOOT_ID: usize = 0x40;
const CRC: usize = 0x70;

/// The file as a machine might find it after a power cut: each page is of the earlier or the later copy, and
/// the boot another one.
fn torn(early: &[u8], late: &[u8], rng: &mut impl FnMut() -> u64) -> Vec<u8> {
    let mut mixed = late.to_vec();
    for (n, page) in mixed.chunks_mut(4096).enumerate().skip(1) {
        if rng().is_multiple_of(2) {
            page.copy_from_slice(&early[n * 4096..n * 4096 + page.len()]);
        }
    }
    mixed[BOOT_ID] ^= 0x55;
    let sum = crc32c::crc32c(&mixed[0x08..CRC]);
    mixed[CRC..CRC + 4].copy_from_slice(&sum.to_le_bytes());
    mixed
}

fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x
    }
}

/// Copies of ring and log while threads write as fast as they can: the ring twice, the log in between.
fn copies(bed: &Bed, log: &crlog::Log, pause: u64) -> [Vec<u8>; 3] {
    let early = std::fs::read(bed.ring()).unwrap();
    let done = log.stats().unwrap().counters.records;
    until(LONG, "the ring to go on", || log.stats().unwrap().counters.records > done + pause);
    let text = std::fs::read(bed.log()).unwrap_or_default(); // a rotation may be under way
    [early, text, std::fs::read(bed.ring()).unwrap()]
}

/// The whole lines of a copy that was made while somebody wrote and emptied the file.
fn whole(text: &[u8]) -> String {
    String::from_utf8_lossy(text).lines().filter(|l| is_whole(l)).fold(String::new(), |all, l| all + l + "\n")
}

const ROUNDS: u64 = 120;

/// Each round drains a file of mixed pages as the next start would, in the same place, so that the path in its
/// header is right; its lock file is a new one, so it is adopted.
#[test]
fn pages_of_different_ages_never_become_a_line_of_garbage() {
    let bed = Bed::new();
    let log = bed.options().max_bytes(300_000).backups(3).when_full(WhenFull::Block).open().unwrap();
    let stop = std::sync::Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|n| {
            let (stop, mut w) = (std::sync::Arc::clone(&stop), log.writer().unwrap());
            std::thread::spawn(move || {
                for i in 0.. {
                    let len = if i % 50 == 49 {
                        20_000 + (i % 977) as usize * 20
                    } else {
                        20 + (i * 31 % 300) as usize
                    };
                    w.append(line(&format!("p{n}"), i, len).as_bytes()).unwrap();
                    if stop.load(Relaxed) {
                        return;
                    }
                }
            })
        })
        .collect();
    let mut rng = random(7);
    let cuts: Vec<_> = (0..ROUNDS).map(|_| copies(&bed, &log, rng() % 400)).collect();
    stop.store(true, Relaxed);
    writers.into_iter().for_each(|t| t.join().unwrap());
    drop(log);

    let (mut refused, mut arrived) = (0, 0);
    for (round, [early, text, late]) in cuts.iter().enumerate() {
        assert!(!bed.ring().exists(), "round {round}: the last one out removes the ring");
        files(&bed.dir()).iter().for_each(|f| std::fs::remove_file(f).unwrap());
        std::fs::write(bed.log(), whole(text)).unwrap();
        std::fs::write(bed.ring(), torn(early, late, &mut rng)).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(bed.ring(), mode).unwrap();
        let log = bed.options().open().unwrap();
        let mut w = log.writer().unwrap();
        w.append(line("new", round as u64, 30).as_bytes()).unwrap();
        log.flush(LONG).unwrap_or_else(|e| panic!("round {round}: {e}"));
        let s = log.stats().unwrap();
        drop((w, log));
        let lines = bed.lines();
        for l in &lines {
            assert!(is_whole(l), "round {round}: garbage: {:?}", l.chars().take(200).collect::<String>());
        }
        refused += s.counters.bad_checksums;
        arrived += u64::from(lines.contains(&line("new", round as u64, 30)));
        let _ = std::fs::remove_file(bed.ring());
    }
    eprintln!("{ROUNDS} rounds: {refused} records refused");
    assert_eq!(arrived, ROUNDS, "a record written after the cut is missing");
    assert!(refused > 100, "{refused} were refused: the test shows nothing");
}
